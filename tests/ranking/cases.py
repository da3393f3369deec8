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
        allowed = set(range(len(catalogue))) if items is None else set(items)
        allowed -= set() if filter_items is None else set(filter_items)
        if exclude is not None:
            allowed -= set(np.flatnonzero(exclude.toarray()[u]))
        score = {i: float(catalogue[i] @ vector) for i in allowed}
        best = sorted(allowed, key=lambda i: (-score[i], i))[:k]
        ids[u, : len(best)] = best
        scores[u, : len(best)] = [score[i] for i in best]
    return ids, scores


@st.composite
def problems(draw):
    n, n_items, d = draw(st.integers(0, 6)), draw(st.integers(1, 9)), draw(st.integers(0, 3))
    # With small integers, sums are exact in float32 and ties are frequent.
    entries = st.integers(-2, 2).map(float)
    users = draw(hnp.arrays(np.float32, (n, d), elements=entries))
    catalogue = draw(hnp.arrays(np.float32, (n_items, d), elements=entries))
    some_items = st.none() | st.lists(st.integers(0, n_items - 1), max_size=12)
    exclude = draw(st.none() | hnp.arrays(np.float32, (n, n_items), elements=st.integers(0, 1)))
    options = {
        "exclude": None if exclude is None else sparse.csr_array(exclude),
        "items": draw(some_items),
        "filter_items": draw(some_items),
    }
    return users, catalogue, draw(st.integers(1, 12)), options, draw(st.sampled_from([None, 1, 2]))
