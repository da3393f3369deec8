"""Random inputs, comparisons and slow references shared by the tests of graphs."""

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.nn.reference import symmetric

interaction_matrices = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 7), st.integers(1, 6)),
    elements=st.sampled_from([0.0, 1.0]),
)
weight_matrices = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 7), st.integers(1, 6)),
    elements=st.sampled_from([0.0, 0.25, 1.0, 4.0, 9.0]),  # with exact roots: ties stay ties
)
neighbor_counts = st.integers(1, 8)
seeds = st.integers(0, 2**32 - 1)
N_ITEMS = 10


def check_graph(graph, expected, tolerance=1e-5):
    """Assert that a sparse graph is canonical, without stored zeros and as expected."""
    assert isinstance(graph, sp.csr_array) and graph.dtype == np.float32
    assert graph.has_canonical_format and (graph.data != 0).all()
    np.testing.assert_allclose(graph.toarray(), expected, rtol=tolerance, atol=tolerance)


def random_features(seed, n_items=9, n_columns=4):
    return np.random.default_rng(seed).normal(size=(n_items, n_columns)).astype(np.float32)


def pack(histories):
    """Join histories into one array of items, with the start of each."""
    indptr = np.cumsum([0, *map(len, histories)])
    return indptr, np.concatenate([np.asarray(h, np.int64) for h in histories])


def window_cooccurrence(histories, window, weights=None):
    """Count pairs of items at most `window` places apart, normalised symmetrically.

    A pair counts as the geometric mean of the weights of its two interactions.
    """
    C = np.zeros((N_ITEMS, N_ITEMS))
    weights = [[1] * len(h) for h in histories] if weights is None else weights
    for history, weight in zip(histories, weights, strict=True):
        for s, i in enumerate(history):
            for t, j in enumerate(history):
                if i != j and 0 < abs(s - t) <= window:
                    C[i, j] += np.sqrt(weight[s] * weight[t])
    return symmetric(C)
