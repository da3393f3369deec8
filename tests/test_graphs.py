import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recsk import neighbors as neighbors_module
from recsk.graphs import (
    cooccurrence_graph,
    interaction_graph,
    keep_own,
    nearest_histories,
    neighbor_graph,
    normalize_symmetric,
    relation_graph,
)
from tests.nn import reference, reference_mdsrec

clicks = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 7), st.integers(1, 6)),
    elements=st.sampled_from([0.0, 1.0]),
)
neighbors = st.integers(1, 8)
seeds = st.integers(0, 2**32 - 1)


def same(graph, expected):
    assert isinstance(graph, sp.csr_array) and graph.dtype == np.float32
    assert graph.has_canonical_format and (graph.data != 0).all()
    np.testing.assert_allclose(graph.toarray(), expected, rtol=1e-5, atol=1e-5)


def content(seed, n_items=9, n_columns=4):
    return np.random.default_rng(seed).normal(size=(n_items, n_columns)).astype(np.float32)


# ------------------------------------------------------------------------ users and items (Eq. 2-3)


@given(hnp.arrays(np.float32, (4, 6), elements=st.integers(0, 3)))
def test_normalize_symmetric(A):
    same(normalize_symmetric(sp.csr_array(A)), reference.symmetric(A))


@given(clicks)
def test_interaction_graph(R):
    graph = interaction_graph(sp.csr_array(R))
    same(graph, reference.interaction_graph(R))
    dense = graph.toarray().astype(float)
    np.testing.assert_array_equal(dense, dense.T)
    # So that no number of layers ever makes vectors grow.
    assert np.abs(np.linalg.eigvalsh(dense)).max() <= 1 + 1e-6


@given(clicks, seeds)
def test_interaction_graph_of_permuted_nodes(R, seed):
    rng = np.random.default_rng(seed)
    users, items = rng.permutation(R.shape[0]), rng.permutation(R.shape[1])
    nodes = np.concatenate([users, len(users) + items])
    graph = interaction_graph(sp.csr_array(R)).toarray()
    permuted = interaction_graph(sp.csr_array(R[users][:, items])).toarray()
    np.testing.assert_allclose(permuted, graph[nodes][:, nodes], rtol=1e-6)


# ------------------------------------------------------------------------- items by content (Eq. 4)


@given(seed=seeds, n_neighbors=neighbors, data=st.data())
def test_neighbor_graph(seed, n_neighbors, data):
    F = content(seed)
    present = data.draw(st.none() | hnp.arrays(bool, len(F)))
    graph = neighbor_graph(F, n_neighbors, present=present)
    same(graph, reference.item_graph(F.astype(float), n_neighbors, present))


@given(seeds, neighbors)
def test_neighbor_graph_of_permuted_items(seed, n_neighbors):
    F = content(seed)
    order = np.random.default_rng(seed).permutation(len(F))
    graph = neighbor_graph(F, n_neighbors).toarray()
    permuted = neighbor_graph(F[order], n_neighbors)
    same(permuted, graph[order][:, order])


def test_items_that_are_absent_might_as_well_not_exist():
    F, present = content(0), np.arange(9) % 3 > 0
    graph = neighbor_graph(F, 3, present=present).toarray()
    assert not graph[~present].any() and not graph[:, ~present].any()
    same(neighbor_graph(F[present], 3), graph[present][:, present])
    F[~present] = np.nan
    same(neighbor_graph(F, 3, present=present), graph)


@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1e10, 1e25])
def test_a_cosine_knows_no_scale(scale):
    F = content(0)
    same(neighbor_graph(F * np.float32(scale), 3), neighbor_graph(F, 3).toarray())


def test_neighbor_graph_of_half_floats():
    F = (content(0) * 1e4).astype(np.float16)  # squares are out of their range
    same(neighbor_graph(F, 3), reference.item_graph(F.astype(float), 3))


@pytest.mark.parametrize("n_items", [1, 2, 5])
def test_fewer_items_than_neighbors(n_items):
    F = np.abs(content(0, n_items))
    graph = neighbor_graph(F, 10)
    same(graph, reference.item_graph(F.astype(float), 10))
    assert graph.nnz == n_items * (n_items - 1)


def test_items_that_are_alike():
    F = np.ones((6, 3), dtype=np.float32)
    graph = neighbor_graph(F, 2)
    np.testing.assert_array_equal(np.diff(graph.indptr), 2)  # whichever: all are equally near
    assert not graph.diagonal().any()


def test_an_item_of_zeros_has_no_neighbors():
    F = content(0)
    F[4] = 0
    same(neighbor_graph(F, 3), reference.item_graph(F.astype(float), 3))


# ----------------------------------------------------------------------- users by behaviour (Eq. 4)


@pytest.mark.parametrize("block_size", [1, 3, 4096])
@given(R=clicks, n_neighbors=neighbors, max_degree=st.none() | st.integers(1, 4))
def test_cooccurrence_graph(block_size, R, n_neighbors, max_degree):
    graph = cooccurrence_graph(
        sp.csr_array(R), n_neighbors, max_degree=max_degree, block_size=block_size
    )
    same(graph, reference.user_graph(R, n_neighbors, max_degree=max_degree))
    assert not graph.diagonal().any()
    np.testing.assert_array_less(np.diff(graph.indptr), n_neighbors + 1)
    total = graph.sum(axis=1)
    np.testing.assert_allclose(total, total > 0, rtol=1e-6)


@given(R=clicks, limit=st.integers(1, 40))
def test_fewer_rows_at_a_time_where_they_have_many_products(R, limit):
    whole = cooccurrence_graph(sp.csr_array(R), 3)
    held = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbors_module, "_MOST_PRODUCTS", limit)
        largest = neighbors_module.largest_of_rows

        def counted(block, *args, **kwargs):
            held.append((block.shape[0], block.nnz))
            return largest(block, *args, **kwargs)

        patch.setattr(neighbors_module, "largest_of_rows", counted)
        same(cooccurrence_graph(sp.csr_array(R), 3), whole.toarray())
    assert sum(rows for rows, _ in held) == len(R)
    assert all(rows == 1 or products <= limit for rows, products in held)


@pytest.mark.parametrize("block_size", [2, 4096])
@given(R=clicks, seed=seeds, n_neighbors=neighbors, max_degree=st.none() | st.integers(1, 4))
def test_cooccurrence_with_others(block_size, R, seed, n_neighbors, max_degree):
    others = np.random.default_rng(seed).integers(0, 2, (5, R.shape[1])).astype(np.float32)
    graph = cooccurrence_graph(
        sp.csr_array(R),
        n_neighbors,
        others=sp.csr_array(others),
        max_degree=max_degree,
        block_size=block_size,
    )
    same(graph, reference.user_graph(R, n_neighbors, others, max_degree))


@given(clicks, seeds, neighbors)
def test_cooccurrence_does_not_care_for_the_order_of_items(R, seed, n_neighbors):
    order = np.random.default_rng(seed).permutation(R.shape[1])
    graph = cooccurrence_graph(sp.csr_array(R), n_neighbors)
    same(cooccurrence_graph(sp.csr_array(R[:, order]), n_neighbors), graph.toarray())


def test_large_counts_do_not_overflow():
    R = np.ones((3, 500), dtype=np.float32)
    R[2, 250:] = 0
    # e^250 against e^500: the one with half as much in common weighs nothing.
    expected = [[0, 1, 0], [1, 0, 0], [0.5, 0.5, 0]]
    graph = cooccurrence_graph(sp.csr_array(R), 2)
    np.testing.assert_allclose(graph.toarray(), expected, atol=1e-6)


@given(clicks, seeds, neighbors, st.none() | st.integers(1, 4))
def test_nearest_histories(R, seed, n_neighbors, max_degree):
    others = np.random.default_rng(seed).integers(0, 2, (5, R.shape[1])).astype(np.float32)
    graph = nearest_histories(
        sp.csr_array(R), sp.csr_array(others), n_neighbors, max_degree=max_degree, block_size=2
    )
    counted = others.sum(axis=0) <= (max_degree or np.inf)
    cosine = reference.unit(R) @ (reference.unit(others) * counted).T
    for found, row in zip(graph.toarray(), cosine, strict=True):
        best = np.sort(row)[::-1][:n_neighbors]
        np.testing.assert_allclose(np.sort(found)[::-1][: len(best)], best, atol=1e-6)
        np.testing.assert_allclose(found[found > 0], row[found > 0], atol=1e-6)


# --------------------------------------------------------------------- items by both (MDSRec, MRGC)

RELATIONS = ["sum", "product", "semantic", "behavior"]
histories = hnp.arrays(bool, st.tuples(st.integers(1, 8), st.just(9)))


def check_relations(graph, A, n_neighbors):
    """Against the reference, whichever of several equals is kept."""
    kept = graph.toarray() > 0
    np.fill_diagonal(kept, False)
    best = reference_mdsrec.nearest(A, n_neighbors)
    for a, own, expected in zip(A, kept, best, strict=True):
        np.testing.assert_allclose(np.sort(a[own]), np.sort(a[expected]), atol=1e-6)
    same(graph, reference_mdsrec.relation_graph(A, kept))


@pytest.mark.parametrize("block_size", [2, 1024])
@pytest.mark.parametrize("relation", RELATIONS)
@given(
    R=histories,
    seed=seeds,
    n_neighbors=st.integers(0, 10),
    max_length=st.none() | st.integers(1, 5),
    data=st.data(),
)
def test_relation_graph(relation, block_size, R, seed, n_neighbors, max_length, data):
    F = content(seed)
    present = data.draw(st.none() | hnp.arrays(bool, len(F)))
    graph = relation_graph(
        sp.csr_array(R.astype(np.float32)),
        F,
        n_neighbors,
        relation=relation,
        present=present,
        max_length=max_length,
        block_size=block_size,
    )
    A = reference_mdsrec.affinity(R, F.astype(float), relation, present, max_length)
    check_relations(graph, A, n_neighbors)
    assert (graph.diagonal() > 0).all()


@pytest.mark.parametrize("share", [0, 0.25, 1])
def test_blend_of_behavior_and_content(share):
    R = sp.csr_array((np.random.default_rng(0).random((40, 9)) < 0.4).astype(np.float32))
    F, present = content(0), np.arange(9) != 4
    options = {"present": present, "max_length": 5, "block_size": 4}
    graph = relation_graph(R, F, 3, relation="blend", behavior_share=share, **options)
    behavior, semantic = (
        relation_graph(R, F, 3, relation=part, **options).toarray()
        for part in ("behavior", "semantic")
    )
    same(graph, share * behavior + (1 - share) * semantic)
    at_hand = sp.csr_array(behavior)
    again = relation_graph(
        R, F, 3, relation="blend", behavior_share=share, behavior=at_hand, **options
    )
    same(again, graph.toarray())


@pytest.mark.parametrize("strength", [0.5, 50])
def test_what_many_met_keeps_its_own(strength):
    R = sp.csr_array((np.random.default_rng(0).random((40, 9)) < 0.4).astype(np.float32))
    graph = relation_graph(R, content(0), 3)
    count = np.array([0, 1, 2, 5, 10, 50, 100, 1000, 0])
    expected = reference_mdsrec.keep_own(graph.toarray(), count, strength)
    same(keep_own(graph, count, strength), expected)


def test_few_or_many_items_met_together_are_linked_alike(monkeypatch):
    # So many people that no two counts are equal: which of equals is kept may differ.
    R = sp.csr_array((np.random.default_rng(0).random((999, 9)) < 0.4).astype(np.float32))
    graphs = []
    for dense in (0, np.inf):
        monkeypatch.setattr("recsk.graphs._DENSE", dense)
        graphs.append(relation_graph(R, None, 3, relation="behavior", block_size=4))
        assert relation_graph(sp.csr_array((3, 1)), None, 2, relation="behavior").nnz == 1
    same(graphs[0], graphs[1].toarray())


@pytest.mark.parametrize("relation", RELATIONS)
def test_relations_do_not_depend_on_the_block(relation):
    R = sp.csr_array((np.random.default_rng(0).random((40, 9)) < 0.4).astype(np.float32))
    graphs = [
        relation_graph(R, content(0), 3, relation=relation, block_size=size) for size in (1, 4, 9)
    ]
    for graph in graphs[1:]:
        same(graph, graphs[0].toarray())


@pytest.mark.parametrize("relation", RELATIONS)
def test_what_an_absent_item_is_like_is_never_looked_at(relation):
    R = sp.csr_array((np.random.default_rng(0).random((40, 9)) < 0.4).astype(np.float32))
    F, present = content(0), np.arange(9) % 3 > 0
    graph = relation_graph(R, F, 3, relation=relation, present=present).toarray()
    F[~present] = np.nan
    same(relation_graph(R, F, 3, relation=relation, present=present), graph)
    if relation in ("semantic", "product"):  # alone with itself
        np.testing.assert_array_equal(graph[~present], np.eye(9)[~present])


@pytest.mark.parametrize("relation", RELATIONS)
def test_relations_of_items_that_nobody_met(relation):
    graph = relation_graph(sp.csr_array((3, 9), dtype=np.float32), content(0), 3, relation=relation)
    F = content(0).astype(float)
    A = reference_mdsrec.affinity(np.zeros((3, 9)), F, relation)
    check_relations(graph, A, 3)
    assert (graph.nnz > 9) == (relation in ("sum", "semantic"))


def test_behavior_needs_no_features():
    R = sp.csr_array((np.random.default_rng(0).random((40, 9)) < 0.4).astype(np.float32))
    graph = relation_graph(R, None, 3, relation="behavior")
    same(graph, relation_graph(R, content(0), 3, relation="behavior").toarray())


def test_relations_of_one_item():
    graph = relation_graph(sp.csr_array(np.ones((2, 1), np.float32)), content(0, 1), 3)
    same(graph, [[1]])


# ---------------------------------------------------------------------------------- for all of them


@pytest.mark.parametrize(
    "build",
    [
        normalize_symmetric,
        interaction_graph,
        lambda R: cooccurrence_graph(R, 2, max_degree=1),
        lambda R: nearest_histories(R, R, 2, max_degree=1),
        lambda R: neighbor_graph(R.toarray(), 2),
        lambda R: relation_graph(R, content(0, 5), 2, max_length=2),
        lambda R: relation_graph(R, None, 2, relation="behavior", max_length=None),
    ],
)
def test_what_comes_in_stays_as_it_is(build):
    R = sp.csr_array(np.random.default_rng(0).integers(0, 2, (6, 5)).astype(np.float32))
    before = R.copy()
    for array in (R.data, R.indices, R.indptr):
        array.flags.writeable = False
    build(R)
    assert (R != before).nnz == 0


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csr_array])
def test_nobody_met_anything(form):
    R = form((3, 4), dtype=np.float32)
    for graph in (interaction_graph(R), cooccurrence_graph(R, 2), nearest_histories(R, R, 2)):
        assert graph.nnz == 0


def test_features_stay_as_they_are():
    F = content(0)
    F.flags.writeable = False
    R = sp.csr_array(np.ones((2, 9), np.float32))
    neighbor_graph(F, 2)
    relation_graph(R, F, 2)
    np.testing.assert_array_equal(F, content(0))
