"""Properties that all functions that build graphs share."""

import numpy as np
import pytest
import scipy.sparse as sp

from recsk.graphs import (
    interaction_graph,
    item_similarity_graph,
    normalize_symmetric,
    relation_graph,
    similar_histories,
    user_cooccurrence_graph,
    user_walk_graph,
)
from tests.graphs.cases import random_features


@pytest.mark.parametrize(
    "build",
    [
        normalize_symmetric,
        interaction_graph,
        lambda R: user_cooccurrence_graph(R, 2, max_degree=1),
        lambda R: user_walk_graph(R, 2, max_degree=1),
        lambda R: similar_histories(R, R, 2, max_degree=1),
        lambda R: item_similarity_graph(R.toarray(), 2),
        lambda R: relation_graph(R, random_features(0, 5), 2, max_length=2),
        lambda R: relation_graph(R, None, 2, relation="behavior", max_length=None),
    ],
)
def test_interactions_are_not_changed(build):
    R = sp.csr_array(np.random.default_rng(0).integers(0, 2, (6, 5)).astype(np.float32))
    before = R.copy()
    for array in (R.data, R.indices, R.indptr):
        array.flags.writeable = False
    build(R)
    assert (R != before).nnz == 0


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csr_array])
def test_graphs_without_interactions_are_empty(form):
    R = form((3, 4), dtype=np.float32)
    graphs = interaction_graph(R), user_cooccurrence_graph(R, 2), user_walk_graph(R, 2)
    for graph in (*graphs, similar_histories(R, R, 2)):
        assert graph.nnz == 0


def test_features_are_not_changed():
    F = random_features(0)
    F.flags.writeable = False
    R = sp.csr_array(np.ones((2, 9), np.float32))
    item_similarity_graph(F, 2)
    relation_graph(R, F, 2)
    np.testing.assert_array_equal(F, random_features(0))
