import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from recsk.graphs import rp3beta
from tests.graphs.cases import check_graph, interaction_matrices, weight_matrices


def walks(X, alpha, beta, n_neighbors):
    """Sum over the users of each pair of items, one pair after the other."""
    n_users, n_items = X.shape
    of_user, of_item = X.sum(axis=1), X.sum(axis=0)
    W = np.zeros((n_items, n_items))
    for i in range(n_items):
        for j in range(n_items):
            for u in range(n_users):
                if i != j and X[u, i] and X[u, j]:
                    back, on = X[u, i] / of_item[i], X[u, j] / of_user[u]
                    W[i, j] += back**alpha * on**alpha / of_item[j] ** beta
    kept = np.zeros_like(W)
    for i, row in enumerate(W):
        largest = np.argsort(-row, kind="stable")[:n_neighbors]
        kept[i, largest] = row[largest]
    return kept


exponents = st.sampled_from([0.0, 0.2, 1.0, 1.5])


@given(
    X=interaction_matrices | weight_matrices,
    alpha=exponents,
    beta=exponents,
    block_size=st.integers(1, 6),
)
def test_all_weights_equal_the_reference(X, alpha, beta, block_size):
    W = rp3beta(sp.csr_array(X), alpha, beta, 10, block_size=block_size)
    check_graph(W, walks(X.astype(np.float64), alpha, beta, 10))


def test_the_largest_weights_of_each_row_are_kept():
    X = (np.random.default_rng(0).random((200, 12)) < 0.3).astype(np.float32)
    check_graph(rp3beta(sp.csr_array(X), 0.7, 0.3, 4), walks(X.astype(np.float64), 0.7, 0.3, 4))


def test_ties_go_to_the_lower_id():
    X = sp.csr_array(np.ones((2, 5)))
    W = rp3beta(X, 1.0, 0.2, 2)
    assert W.indices.tolist() == [1, 2, 0, 2, 0, 1, 0, 1, 0, 1]


def test_the_input_is_not_changed():
    X = sp.csr_matrix(np.random.default_rng(0).integers(0, 2, (30, 8)))
    before = X.copy()
    X.data.flags.writeable = False
    rp3beta(X, 0.5, 0.5, 3)
    assert (X != before).nnz == 0
