import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recsk.graphs import interaction_graph, normalize_symmetric
from tests.graphs.cases import check_graph, interaction_matrices, seeds, weight_matrices
from tests.nn import reference


@given(hnp.arrays(np.float32, (4, 6), elements=st.integers(0, 3)))
def test_normalize_symmetric_equals_the_reference(A):
    check_graph(normalize_symmetric(sp.csr_array(A)), reference.symmetric(A))


@given(interaction_matrices | weight_matrices)
def test_interaction_graph_equals_the_reference(R):
    graph = interaction_graph(sp.csr_array(R))
    check_graph(graph, reference.interaction_graph(R))
    dense = graph.toarray().astype(float)
    np.testing.assert_array_equal(dense, dense.T)
    # Then vectors do not grow with the number of layers.
    assert np.abs(np.linalg.eigvalsh(dense)).max() <= 1 + 1e-6


@given(interaction_matrices, seeds)
def test_permuting_users_and_items_permutes_the_interaction_graph(R, seed):
    rng = np.random.default_rng(seed)
    users, items = rng.permutation(R.shape[0]), rng.permutation(R.shape[1])
    nodes = np.concatenate([users, len(users) + items])
    graph = interaction_graph(sp.csr_array(R)).toarray()
    permuted = interaction_graph(sp.csr_array(R[users][:, items])).toarray()
    np.testing.assert_allclose(permuted, graph[nodes][:, nodes], rtol=1e-6)
