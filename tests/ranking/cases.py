"""Random problems and a naive_top_k ranking shared by the tests of rankings."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse


def naive_top_k(users, catalogue, k, exclude=None, items=None, filter_items=None):
    """Rank in the obvious way: score all allowed items and sort by (-score, id)."""
    ids = np.full((len(users), k), -1)
    scores = np.full((len(users), k), -np.inf, dtype="f4")
    for u, vector in enumerate(users):
        allowed = set(range(len(catalogue))) if items is None else own_set(items, u)
        allowed -= set() if filter_items is None else own_set(filter_items, u)
        if exclude is not None:
            allowed -= own_set(exclude, u)
        score = {i: float(catalogue[i] @ vector) for i in allowed}
        best = sorted(allowed, key=lambda i: (-score[i], i))[:k]
        ids[u, : len(best)] = best
        scores[u, : len(best)] = [score[i] for i in best]
    return ids, scores


def own_set(items, row):
    """The items of a row: of a list for all rows, or of a matrix or mask with a set for each."""
    if sparse.issparse(items):
        items = items.toarray()
    return set(np.flatnonzero(items[row])) if np.ndim(items) == 2 else set(items)


def sets(n, n_items):
    """Items for all rows, or for each row as a mask or a sparse matrix; or None."""
    mask = hnp.arrays(bool, (n, n_items), elements=st.booleans())
    matrix = mask.map(lambda x: sparse.csr_array(x.astype(np.int8)))
    return st.none() | st.lists(st.integers(0, n_items - 1), max_size=12) | mask | matrix


@st.composite
def problems(draw):
    n, n_items, d = draw(st.integers(0, 6)), draw(st.integers(1, 9)), draw(st.integers(0, 3))
    # With small integers, sums are exact in float32 and ties are frequent.
    entries = st.integers(-2, 2).map(float)
    users = draw(hnp.arrays(np.float32, (n, d), elements=entries))
    catalogue = draw(hnp.arrays(np.float32, (n_items, d), elements=entries))
    exclude = draw(st.none() | hnp.arrays(np.float32, (n, n_items), elements=st.integers(0, 1)))
    options = {
        "exclude": None if exclude is None else sparse.csr_array(exclude),
        "items": draw(sets(n, n_items)),
        "filter_items": draw(sets(n, n_items)),
    }
    return users, catalogue, draw(st.integers(1, 12)), options, draw(st.sampled_from([None, 1, 2]))
