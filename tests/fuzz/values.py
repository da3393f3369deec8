"""Arguments of random calls: mostly valid, often nearly valid, sometimes nonsense."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from scipy import sparse

from recsk import Interactions

NONSENSE = st.sampled_from(
    [None, True, 1.5, float("nan"), "a", b"a", [], {}, {"a": 1}, object(), slice(3), 2**70, [None]]
    + [[[0], [1, 2]], np.array("x"), np.array(2.0), np.zeros((2, 2, 2)), np.array([object()]), int]
)
INTEGERS = st.sampled_from([np.int8, np.int32, np.int64, np.uint16, np.uint64])


@st.composite
def ids(draw, size):
    """Draw ids below `size`, or nearly so."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(NONSENSE)
    if kind == 1:
        return draw(st.sampled_from([-1, size, [0, -1], [size, 0], [0.0, 1.0], [[0, 1]], {0, 1}]))
    values = draw(st.lists(st.integers(0, size - 1), max_size=5))
    if kind == 2 and values:
        return values[0]
    if kind == 3:
        return tuple(values)
    return np.array(values, dtype=draw(INTEGERS)) if kind < 7 else values


@st.composite
def candidates(draw, given, size):
    """Draw ids for all of the rows that are asked about, or a set for each, or nearly so."""
    kind = draw(st.integers(0, 6))
    if kind < 3:
        return None if kind else draw(ids(size))
    n = len(given) if isinstance(given, list | tuple) else getattr(given, "size", 1)
    n = n if draw(st.integers(0, 9)) else 2
    mask = np.random.default_rng(draw(st.integers(0, 50))).random((n, size)) < 0.4
    if kind == 3:
        return mask
    if kind == 4:
        return [np.flatnonzero(row).tolist() for row in mask]
    form = draw(st.sampled_from([sparse.csr_array, sparse.csc_matrix, sparse.coo_array]))
    return form(mask if draw(st.booleans()) else mask * draw(st.sampled_from([1, -2.5, np.nan])))


def lengths(n_items):
    """Draw lengths of recommendation lists."""
    valid = st.sampled_from([1, 2, 3, n_items - 1, n_items, n_items + 3, np.int32(2)])
    return st.one_of(valid, valid, st.sampled_from([0, -1]), NONSENSE)


def flags():
    """Draw mostly bools."""
    return st.one_of(st.booleans(), st.booleans(), st.booleans(), NONSENSE)


@st.composite
def matrices(draw, n_users, n_items):
    """Draw interactions in any format and nearly any shape."""
    if draw(st.integers(0, 9)) == 0:
        return draw(NONSENSE)
    if draw(st.integers(0, 4)) == 0:
        n_users = draw(st.sampled_from([0, 1, max(n_users - 1, 0), n_users + 1]))
        n_items = draw(st.sampled_from([0, 1, n_items, n_items + 1]))
    rng = np.random.default_rng(draw(st.integers(0, 50)))
    density = draw(st.sampled_from([0, 0.05, 0.3, 0.3, 1]))
    values = rng.permutation(np.arange(1.0, n_users * n_items + 1)).reshape(n_users, n_items)
    values *= rng.random((n_users, n_items)) < density
    if draw(st.integers(0, 3)) == 0:
        user, item = values.nonzero()
        options = {"timestamp": values[user, item]} if draw(st.integers(0, 3)) else {}
        if draw(st.integers(0, 2)) == 0:
            options["value"] = rng.integers(-1 if draw(st.booleans()) else 0, 3, len(user))
        return Interactions(user, item, n_users=n_users, n_items=n_items, **options)
    change = draw(st.integers(0, 9))
    if change == 0 and values.size:
        values[0, 0] = draw(st.sampled_from([-1, np.nan, np.inf]))
    if change == 1:
        values = (values > 0).astype(draw(st.sampled_from([bool, np.int8, np.float32])))
    if change == 2:
        return values
    format = draw(st.sampled_from(["csr", "csc", "coo", "lil", "dok", "bsr", "dia"]))
    make = getattr(sparse, f"{format}_{draw(st.sampled_from(['array', 'matrix']))}")
    return make(values) if values.size else sparse.csr_array(values.shape)


@st.composite
def weights(draw, X):
    """Draw weights of the samples of `X`, or nearly so."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(NONSENSE)
    if kind == 1:
        return "value"
    n = len(X) if isinstance(X, Interactions) else (getattr(X, "shape", ()) or (3,))[0]
    values = draw(st.lists(st.sampled_from([0, 0.5, 1, 3, 1e-300, 1e300]), min_size=n, max_size=n))
    if kind == 2 and n:
        values[0] = draw(st.sampled_from([-1, float("nan"), float("inf"), None, "a"]))
    if kind == 3:
        values.append(1)
    return np.array(values) if kind < 7 else values


@st.composite
def histories(draw, n_items):
    """Draw the histories of several users."""
    kind = draw(st.integers(0, 9))
    if kind < 2:
        return draw(matrices(draw(st.integers(0, 3)), n_items))
    if kind == 2:
        return draw(NONSENSE)
    if kind == 3:
        return [draw(ids(n_items)) for _ in range(draw(st.integers(0, 3)))]
    return draw(st.lists(st.lists(st.integers(0, n_items - 1), max_size=6), max_size=4))


@st.composite
def features(draw, n_items):
    """Draw item features by modality."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(NONSENSE)
    rng = np.random.default_rng(draw(st.integers(0, 50)))
    modalities = {}
    for name in draw(st.lists(st.sampled_from(["v", "t", "sound", ""]), max_size=3, unique=True)):
        rows = n_items + (1 if draw(st.integers(0, 9)) == 0 else 0)
        scale = draw(st.sampled_from([0, 1, 1, 1, 1e-30, 1e30]))
        values = scale * rng.normal(size=(rows, draw(st.integers(0 if kind == 1 else 1, 4))))
        change = draw(st.integers(0, 9))
        if change == 0:
            values[: draw(st.integers(0, rows))] = np.nan
        if change == 1 and values.size:
            values[0, 0] = draw(st.sampled_from([np.nan, np.inf]))
        if change == 2:
            values = sparse.csr_array(values)
        modalities[name] = draw(NONSENSE) if change == 3 else values
    return modalities


@st.composite
def labels(draw, known):
    """Draw labels that a model knows, or nearly so, in any form."""
    kind = draw(st.integers(0, 11))
    if kind == 0:
        return draw(NONSENSE)
    values = draw(st.lists(st.sampled_from(known), max_size=5))
    if kind == 1:
        odd = [None, -1, 99, True, 0.5, float("nan"), "nobody", b"u0", ("u", 0), ["u0"], {}, int]
        values.insert(draw(st.integers(0, len(values))), draw(st.sampled_from(odd)))
        return values
    if kind == 2:
        return draw(st.sampled_from(["nobody", ("sku", -1), 99, np.int8(1), {known[0]}, 0.0]))
    if kind == 3 and values:
        return values[0]
    if kind == 4:
        return tuple(values)
    if kind == 5:
        return pd.Series(values, dtype=object, index=range(7, 7 + len(values)))
    if kind == 6:
        return pd.Index(values, tupleize_cols=False)
    if kind == 7:
        kinds = set(map(type, values))
        return objects(values) if tuple in kinds and len(kinds) > 1 else np.array(values)
    return objects(values) if kind == 8 else values


@st.composite
def histories_of_labels(draw, known):
    """Draw the histories of several users in labels, or nearly so."""
    kind = draw(st.integers(0, 7))
    if kind == 0:
        return draw(NONSENSE)
    if kind == 1:
        return draw(matrices(draw(st.integers(0, 3)), len(known)))
    if kind == 2:
        n, order = draw(st.integers(1, 3)), draw(st.permutations(known))
        X = draw(matrices(n, len(known)))
        return X.with_labels(None, order) if labellable(X, n, len(known)) else X
    drawn = labels(known) if kind < 5 else st.lists(st.sampled_from(known), max_size=5)
    found = draw(st.lists(drawn, max_size=4))
    return dict(zip("abcd", found, strict=False)) if kind in (3, 5) else found


def labellable(X, n_users, n_items):
    """Whether these are interactions that `n_users` and `n_items` labels are enough for."""
    return isinstance(X, Interactions) and X.n_users <= n_users and X.n_items <= n_items


@st.composite
def feature_frame(draw, known, new):
    """Draw a frame of item features: (frame, its rows by label), or (frame, None) if wrong."""
    order = draw(st.permutations([*known, *new]))
    keys = order[: draw(st.integers(0, len(order)))]
    values = np.random.default_rng(draw(st.integers(0, 50))).normal(size=(len(keys), 2))
    wrong = draw(st.integers(0, 15))
    if wrong == 0 and keys:
        keys, values = [*keys, keys[0]], np.vstack([values, values[:1]])
    if wrong == 1 and keys:
        keys = [*keys[:-1], draw(st.sampled_from([None, float("nan"), ["list"]]))]
    frame = pd.DataFrame(values, columns=["a", draw(st.sampled_from(["b", 0]))])
    if wrong == 2:
        return frame, None  # with the default index
    if wrong == 3:
        frame["c"] = draw(st.sampled_from(["text", None, np.inf, 10**400]))
    if wrong == 4 and keys:
        frame["c"] = draw(st.sampled_from([[[1.0, 2.0]], [["a"]], [[1.0, [2.0]]], [3.0]])) * len(
            keys
        )
    if wrong == 5:
        frame.columns = ["a", "a"]
    by_label = dict(zip(keys, values, strict=True)) if wrong > 5 else None
    if draw(st.booleans()):
        frame["item"] = objects(keys)
    else:
        frame.index = pd.Index(objects(keys), tupleize_cols=False)
    return frame, by_label


def objects(values):
    """Return an array of objects, tuples among them."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
