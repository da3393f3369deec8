"""Arguments of random calls: mostly valid, often nearly valid, sometimes nonsense."""

import numpy as np
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
