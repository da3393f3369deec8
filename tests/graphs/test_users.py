import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from recsk.graphs import similar_histories, user_cooccurrence_graph, user_walk_graph
from recsk.graphs.users import HistoryIndex
from tests.graphs.cases import (
    check_graph,
    interaction_matrices,
    neighbor_counts,
    seeds,
    weight_matrices,
)
from tests.nn import reference


@pytest.mark.parametrize("block_size", [1, 3, 4096])
@given(
    R=interaction_matrices | weight_matrices,
    n_neighbors=neighbor_counts,
    max_degree=st.none() | st.integers(1, 4),
)
def test_user_cooccurrence_equals_the_reference(block_size, R, n_neighbors, max_degree):
    graph = user_cooccurrence_graph(
        sp.csr_array(R), n_neighbors, max_degree=max_degree, block_size=block_size
    )
    check_graph(graph, reference.user_graph(R, n_neighbors, max_degree=max_degree))
    assert not graph.diagonal().any()
    np.testing.assert_array_less(np.diff(graph.indptr), n_neighbors + 1)
    total = graph.sum(axis=1)
    np.testing.assert_allclose(total, total > 0, rtol=1e-6)


@pytest.mark.parametrize("block_size", [2, 4096])
@given(
    R=interaction_matrices | weight_matrices,
    seed=seeds,
    n_neighbors=neighbor_counts,
    max_degree=st.none() | st.integers(1, 4),
)
def test_user_cooccurrence_with_other_users_equals_the_reference(
    block_size, R, seed, n_neighbors, max_degree
):
    others = np.random.default_rng(seed).integers(0, 2, (5, R.shape[1])).astype(np.float32)
    others *= R.max(initial=1)
    graph = user_cooccurrence_graph(
        sp.csr_array(R),
        n_neighbors,
        others=sp.csr_array(others),
        max_degree=max_degree,
        block_size=block_size,
    )
    check_graph(graph, reference.user_graph(R, n_neighbors, others, max_degree))


@given(interaction_matrices, seeds, neighbor_counts)
def test_user_cooccurrence_does_not_depend_on_the_order_of_items(R, seed, n_neighbors):
    order = np.random.default_rng(seed).permutation(R.shape[1])
    graph = user_cooccurrence_graph(sp.csr_array(R), n_neighbors)
    check_graph(user_cooccurrence_graph(sp.csr_array(R[:, order]), n_neighbors), graph.toarray())


def test_large_counts_do_not_overflow():
    R = np.ones((3, 500), dtype=np.float32)
    R[2, 250:] = 0
    # e^250 against e^500: a user with half as many common items gets weight zero.
    expected = [[0, 1, 0], [1, 0, 0], [0.5, 0.5, 0]]
    graph = user_cooccurrence_graph(sp.csr_array(R), 2)
    np.testing.assert_allclose(graph.toarray(), expected, atol=1e-6)


@pytest.mark.parametrize("block_size", [1, 3, 4096])
@given(
    R=interaction_matrices | weight_matrices,
    seed=seeds,
    max_degree=st.none() | st.integers(1, 4),
)
def test_user_walks_equal_the_reference(block_size, R, seed, max_degree):
    # All neighbours: which of equally likely users are kept depends on the order of sums.
    others = np.random.default_rng(seed).integers(0, 2, (5, R.shape[1])).astype(np.float32)
    others *= R.max(initial=1)
    options = {"max_degree": max_degree, "block_size": block_size}
    for target in (None, others):
        n_neighbors = len(R) if target is None else len(others)
        graph = user_walk_graph(
            sp.csr_array(R),
            n_neighbors,
            others=None if target is None else sp.csr_array(target),
            **options,
        )
        expected = reference.user_walks(R, n_neighbors, target, max_degree)
        np.testing.assert_allclose(graph.toarray(), expected, rtol=1e-5, atol=1e-7)
        assert (graph.sum(axis=1) < 1 + 1e-5).all()


@given(interaction_matrices, neighbor_counts)
def test_user_walks_keep_the_likeliest_users(R, n_neighbors):
    kept = user_walk_graph(sp.csr_array(R), n_neighbors).toarray()
    every = user_walk_graph(sp.csr_array(R), len(R)).toarray()
    largest = -np.sort(-every, axis=1)[:, :n_neighbors]
    np.testing.assert_allclose(-np.sort(-kept, axis=1)[:, :n_neighbors], largest, rtol=1e-6)
    assert ((kept == 0) | (kept == every)).all()


@given(interaction_matrices, seeds, neighbor_counts, st.none() | st.integers(1, 4))
def test_similar_histories_have_the_largest_cosines(R, seed, n_neighbors, max_degree):
    others = np.random.default_rng(seed).integers(0, 2, (5, R.shape[1])).astype(np.float32)
    graph = similar_histories(
        sp.csr_array(R), sp.csr_array(others), n_neighbors, max_degree=max_degree, block_size=2
    )
    counted = others.sum(axis=0) <= (max_degree or np.inf)
    cosine = reference.unit(R) @ (reference.unit(others) * counted).T
    for found, row in zip(graph.toarray(), cosine, strict=True):
        best = np.sort(row)[::-1][:n_neighbors]
        np.testing.assert_allclose(np.sort(found)[::-1][: len(best)], best, atol=1e-6)
        np.testing.assert_allclose(found[found > 0], row[found > 0], atol=1e-6)


@given(interaction_matrices, seeds, neighbor_counts, st.none() | st.integers(1, 4))
def test_an_index_finds_the_same_for_each_history_alone(R, seed, n_neighbors, max_degree):
    others = np.random.default_rng(seed).integers(0, 2, (5, R.shape[1])).astype(np.float32)
    histories, others = sp.csr_array(R), sp.csr_array(others)
    expected = similar_histories(histories, others, n_neighbors, max_degree=max_degree).toarray()
    index = HistoryIndex(others, max_degree)
    for row in range(len(R)):
        found = index.similar(histories[row : row + 1], n_neighbors).toarray()
        np.testing.assert_array_equal(found[0], expected[row])
