import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import example, given
from hypothesis import strategies as st

from recsk.graphs import ease, neighbor_regression, regression
from tests.graphs.cases import check_graph, interaction_matrices, weight_matrices


def regressions(X, n_neighbors, regularization):
    """One regression after the other."""
    n_items = X.shape[1]
    total = X.sum(axis=1, keepdims=True)
    Y = X * np.where(total > 0, total, 1) ** -0.25
    norm = np.sqrt((Y**2).sum(axis=0))
    B = np.zeros((n_items, n_items))
    for i in range(n_items):
        cosine = Y.T @ Y[:, i] / np.where(norm * norm[i] > 0, norm * norm[i], 1)
        cosine[i] = 0
        # The order of almost equal cosines depends on the rounding.
        near = np.argsort(-cosine.round(5), kind="stable")[:n_neighbors]
        near = near[cosine[near] > 0]
        gram = X[:, near].T @ X[:, near] + regularization * np.eye(len(near))
        B[near, i] = np.linalg.solve(gram, X[:, near].T @ X[:, i])
    return B


@given(
    X=interaction_matrices | weight_matrices,
    regularization=st.sampled_from([0.5, 3.0]),
    at_once=st.integers(1, 5),
    n_kept=st.sampled_from([1, 3, 10_000]),
)
@example(  # a weight that cancels to zero
    X=np.array([[0, 0, 1, 1], [0, 1, 0, 1], [1, 1, 1, 1], [1, 1, 1, 0]], dtype=np.float32),
    regularization=3.0,
    at_once=1,
    n_kept=1,
)
def test_all_weights_equal_the_reference(X, regularization, at_once, n_kept):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regression, "_ITEMS_AT_ONCE", at_once)
        patch.setattr(regression, "_WITH_RARE_AT_ONCE", at_once)
        patch.setattr(regression, "_MAX_DENSE_ITEMS", n_kept)
        B = neighbor_regression(sp.csr_array(X), 10, regularization)
    # Counts of 1,200 beside a penalty of one half: float32 loses three digits.
    check_graph(B, regressions(X.astype(np.float64), 10, regularization), tolerance=2e-4)


@pytest.mark.parametrize("n_kept", [1, 5, 10_000])
def test_an_item_is_predicted_from_those_that_occur_with_it_most(n_kept, monkeypatch):
    monkeypatch.setattr(regression, "_MAX_DENSE_ITEMS", n_kept)
    X = (np.random.default_rng(0).random((200, 12)) < 0.3).astype(np.float32)
    B = neighbor_regression(sp.csr_array(X), 4, 2.0)
    check_graph(B, regressions(X.astype(np.float64), 4, 2.0))
    assert (np.diff(sp.csc_array(B).indptr) == 4).all()


@pytest.mark.parametrize("items", [[], [3], [0, 2, 7, 11], list(range(12))])
@pytest.mark.parametrize("n_kept", [1, 5, 10_000])
def test_some_items_are_predicted_as_among_all(items, n_kept, monkeypatch):
    monkeypatch.setattr(regression, "_MAX_DENSE_ITEMS", n_kept)
    X = (np.random.default_rng(0).random((90, 12)) < 0.3).astype(np.float32)
    X[:, 7] = X[:, 2]  # two items of the same users
    X = sp.csr_array(X)
    expected = neighbor_regression(X, 4, 2.0).toarray()
    expected[:, np.setdiff1d(np.arange(12), items)] = 0
    found = neighbor_regression(X, 4, 2.0, items=np.array(items, dtype=np.int64))
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-5)


def test_with_all_items_as_neighbours_it_is_ease():
    X = sp.csr_array((np.random.default_rng(1).random((80, 9)) < 0.4).astype(np.float32))
    B = neighbor_regression(X, 8, 5.0).toarray()
    np.testing.assert_allclose(B, ease(X, 5.0), atol=1e-5)


def test_items_without_common_users_have_no_weights():
    assert neighbor_regression(sp.csr_array(np.eye(4)), 2, 1.0).nnz == 0
    assert neighbor_regression(sp.csr_array((3, 4)), 2, 1.0).shape == (4, 4)


def test_the_input_is_not_changed():
    X = sp.csr_matrix(np.random.default_rng(0).integers(0, 2, (30, 8)))
    before = X.copy()
    X.data.flags.writeable = False
    neighbor_regression(X, 3, 1.0)
    assert (X != before).nnz == 0


def test_indices_are_small():
    X = sp.random_array((30, 12), density=0.3, random_state=0, format="csr")
    for items in (None, np.array([2, 5])):
        weights = neighbor_regression(X, 4, 1.0, items=items)
        assert weights.indices.dtype == weights.indptr.dtype == np.int32
