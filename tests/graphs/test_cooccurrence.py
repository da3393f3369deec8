import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from recsk.graphs import relation_graph, window_cooccurrence_graph
from tests.graphs.cases import N_ITEMS, check_graph, pack, window_cooccurrence


@given(
    st.lists(st.lists(st.integers(0, N_ITEMS - 1), max_size=8), min_size=1, max_size=5),
    st.integers(1, 9),
)
def test_window_cooccurrence_graph_equals_the_reference(histories, window):
    graph = window_cooccurrence_graph(*pack(histories), N_ITEMS, window)
    assert graph.dtype == np.float32
    np.testing.assert_allclose(graph.toarray(), window_cooccurrence(histories, window), atol=1e-6)


def test_sparse_and_dense_blocks_give_the_same_links(monkeypatch):
    # With so many users, no two counts are equal. Ties could be broken in different ways.
    R = sp.csr_array((np.random.default_rng(0).random((999, 9)) < 0.4).astype(np.float32))
    graphs = []
    for dense_share in (0, np.inf):
        monkeypatch.setattr("recsk.graphs.cooccurrence._DENSE_SHARE", dense_share)
        graphs.append(relation_graph(R, None, 3, relation="behavior", block_size=4))
        assert relation_graph(sp.csr_array((3, 1)), None, 2, relation="behavior").nnz == 1
    check_graph(graphs[0], graphs[1].toarray())
