import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recsk.graphs import item_similarity_graph, mix_with_identity, relation_graph
from recsk.graphs.neighbors import cosine_neighbors
from tests.graphs.cases import check_graph, neighbor_counts, random_features, seeds
from tests.nn import reference, reference_mdsrec


@given(seed=seeds, n_neighbors=neighbor_counts, data=st.data())
def test_item_similarity_graph_equals_the_reference(seed, n_neighbors, data):
    F = random_features(seed)
    present = data.draw(st.none() | hnp.arrays(bool, len(F)))
    graph = item_similarity_graph(F, n_neighbors, present=present)
    check_graph(graph, reference.item_graph(F.astype(float), n_neighbors, present))


@given(seeds, neighbor_counts)
def test_permuting_items_permutes_the_similarity_graph(seed, n_neighbors):
    F = random_features(seed)
    order = np.random.default_rng(seed).permutation(len(F))
    graph = item_similarity_graph(F, n_neighbors).toarray()
    permuted = item_similarity_graph(F[order], n_neighbors)
    check_graph(permuted, graph[order][:, order])


def test_items_without_the_modality_do_not_affect_the_others():
    F, present = random_features(0), np.arange(9) % 3 > 0
    graph = item_similarity_graph(F, 3, present=present).toarray()
    assert not graph[~present].any() and not graph[:, ~present].any()
    check_graph(item_similarity_graph(F[present], 3), graph[present][:, present])
    F[~present] = np.nan
    check_graph(item_similarity_graph(F, 3, present=present), graph)


@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1e10, 1e25])
def test_similarities_do_not_depend_on_the_scale_of_features(scale):
    F = random_features(0)
    check_graph(
        item_similarity_graph(F * np.float32(scale), 3), item_similarity_graph(F, 3).toarray()
    )


def test_similarities_of_float16_features():
    F = (random_features(0) * 1e4).astype(np.float16)  # the squares overflow in float16
    check_graph(item_similarity_graph(F, 3), reference.item_graph(F.astype(float), 3))


@pytest.mark.parametrize("n_items", [1, 2, 5])
def test_fewer_items_than_neighbors_link_all_items(n_items):
    F = np.abs(random_features(0, n_items))
    graph = item_similarity_graph(F, 10)
    check_graph(graph, reference.item_graph(F.astype(float), 10))
    assert graph.nnz == n_items * (n_items - 1)


def test_identical_items_get_as_many_links_as_others():
    F = np.ones((6, 3), dtype=np.float32)
    graph = item_similarity_graph(F, 2)
    np.testing.assert_array_equal(np.diff(graph.indptr), 2)  # any two: all are equally similar
    assert not graph.diagonal().any()


def test_an_item_of_zeros_has_no_neighbors():
    F = random_features(0)
    F[4] = 0
    check_graph(item_similarity_graph(F, 3), reference.item_graph(F.astype(float), 3))


RELATIONS = ["sum", "product", "semantic", "behavior"]
shapes = st.tuples(st.integers(1, 8), st.just(9))
histories = hnp.arrays(bool, shapes)
weighted_histories = hnp.arrays(
    np.float32, shapes, elements=st.just(0.0) | st.floats(0.0078125, 100, width=32)
)


def check_relations(graph, A, n_neighbors):
    """Compare a graph with the reference; ties may be broken in any way."""
    kept = graph.toarray() > 0
    np.fill_diagonal(kept, False)
    nearest = reference_mdsrec.nearest(A, n_neighbors)
    for row, found, expected in zip(A, kept, nearest, strict=True):
        np.testing.assert_allclose(np.sort(row[found]), np.sort(row[expected]), atol=1e-6)
    check_graph(graph, reference_mdsrec.relation_graph(A, kept))


@pytest.mark.parametrize("block_size", [2, 1024])
@pytest.mark.parametrize("relation", RELATIONS)
@given(
    R=histories | weighted_histories,
    seed=seeds,
    n_neighbors=st.integers(0, 10),
    max_length=st.none() | st.integers(1, 5),
    data=st.data(),
)
def test_relation_graph_equals_the_reference(
    relation, block_size, R, seed, n_neighbors, max_length, data
):
    F = random_features(seed)
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
def test_blend_is_the_weighted_mean_of_behavior_and_content(share):
    R = sp.csr_array((np.random.default_rng(0).random((40, 9)) < 0.4).astype(np.float32))
    F, present = random_features(0), np.arange(9) != 4
    options = {"present": present, "max_length": 5, "block_size": 4}
    graph = relation_graph(R, F, 3, relation="blend", behavior_share=share, **options)
    behavior, semantic = (
        relation_graph(R, F, 3, relation=part, **options).toarray()
        for part in ("behavior", "semantic")
    )
    check_graph(graph, share * behavior + (1 - share) * semantic)
    known = {
        "behavior": sp.csr_array(behavior),
        "links": sp.csr_array(cosine_neighbors(F, present, 3)),
    }
    again = relation_graph(R, F, 3, relation="blend", behavior_share=share, **known, **options)
    check_graph(again, graph.toarray())


@pytest.mark.parametrize("strength", [0.5, 50])
def test_items_with_many_users_rely_less_on_their_links(strength):
    R = sp.csr_array((np.random.default_rng(0).random((40, 9)) < 0.4).astype(np.float32))
    graph = relation_graph(R, random_features(0), 3)
    count = np.array([0, 1, 2, 5, 10, 50, 100, 1000, 0])
    expected = reference_mdsrec.mix_with_identity(graph.toarray(), count, strength)
    check_graph(mix_with_identity(graph, count, strength), expected)


@pytest.mark.parametrize("relation", RELATIONS)
def test_relations_do_not_depend_on_the_block_size(relation):
    R = sp.csr_array((np.random.default_rng(0).random((40, 9)) < 0.4).astype(np.float32))
    graphs = [
        relation_graph(R, random_features(0), 3, relation=relation, block_size=size)
        for size in (1, 4, 9)
    ]
    for graph in graphs[1:]:
        check_graph(graph, graphs[0].toarray())


@pytest.mark.parametrize("relation", RELATIONS)
def test_features_of_items_without_the_modality_are_not_used(relation):
    R = sp.csr_array((np.random.default_rng(0).random((40, 9)) < 0.4).astype(np.float32))
    F, present = random_features(0), np.arange(9) % 3 > 0
    graph = relation_graph(R, F, 3, relation=relation, present=present).toarray()
    F[~present] = np.nan
    check_graph(relation_graph(R, F, 3, relation=relation, present=present), graph)
    if relation in ("semantic", "product"):  # linked to itself only
        np.testing.assert_array_equal(graph[~present], np.eye(9)[~present])


@pytest.mark.parametrize("relation", RELATIONS)
def test_relations_of_new_items(relation):
    graph = relation_graph(
        sp.csr_array((3, 9), dtype=np.float32), random_features(0), 3, relation=relation
    )
    F = random_features(0).astype(float)
    A = reference_mdsrec.affinity(np.zeros((3, 9)), F, relation)
    check_relations(graph, A, 3)
    assert (graph.nnz > 9) == (relation in ("sum", "semantic"))


def test_behavior_needs_no_features():
    R = sp.csr_array((np.random.default_rng(0).random((40, 9)) < 0.4).astype(np.float32))
    graph = relation_graph(R, None, 3, relation="behavior")
    check_graph(graph, relation_graph(R, random_features(0), 3, relation="behavior").toarray())


def test_a_single_item_is_linked_to_itself():
    graph = relation_graph(sp.csr_array(np.ones((2, 1), np.float32)), random_features(0, 1), 3)
    check_graph(graph, [[1]])
