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


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, N_ITEMS - 1), st.floats(1e-3, 1e3)), max_size=8),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 9),
)
def test_a_weighted_window_cooccurrence_graph_equals_the_reference(histories, window):
    items = [[item for item, _ in history] for history in histories]
    weights = [[weight for _, weight in history] for history in histories]
    flat = np.array([w for history in weights for w in history], dtype=np.float32)
    graph = window_cooccurrence_graph(*pack(items), N_ITEMS, window, flat)
    assert graph.dtype == np.float32
    np.testing.assert_allclose(
        graph.toarray(), window_cooccurrence(items, window, weights), rtol=1e-5, atol=1e-6
    )


def test_window_cooccurrence_with_weights_of_one_is_that_without():
    indptr, items = pack([[3, 1, 4, 1], [5, 9, 2], [6, 5, 3]])
    graphs = [window_cooccurrence_graph(indptr, items, N_ITEMS, 2, w) for w in (None, np.ones(10))]
    np.testing.assert_array_equal(graphs[0].toarray(), graphs[1].toarray())


def test_a_tiny_weight_beside_a_large_one_keeps_its_relations():
    # The degree of the item of weight one comes from the tiny weight alone.
    R = sp.csr_array(np.array([[1, 1e-20]], dtype=np.float32))
    graph = relation_graph(R, None, 1, relation="behavior").toarray()
    np.testing.assert_allclose(graph, 0.5)


def test_sparse_and_dense_blocks_give_the_same_links(monkeypatch):
    # With so many users, no two counts are equal. Ties could be broken in different ways.
    R = sp.csr_array((np.random.default_rng(0).random((999, 9)) < 0.4).astype(np.float32))
    graphs = []
    for dense_share in (0, np.inf):
        monkeypatch.setattr("recsk.graphs.cooccurrence._DENSE_SHARE", dense_share)
        graphs.append(relation_graph(R, None, 3, relation="behavior", block_size=4))
        assert relation_graph(sp.csr_array((3, 1)), None, 2, relation="behavior").nnz == 1
    check_graph(graphs[0], graphs[1].toarray())
