import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from recsk.graphs import ease
from recsk.graphs import memory as memory_module
from tests.graphs.cases import interaction_matrices, weight_matrices


def ridge_without_itself(X, regularization):
    """Rebuild each column from the others by a ridge regression."""
    n_items = X.shape[1]
    B = np.zeros((n_items, n_items))
    for j in range(n_items):
        others = np.delete(np.arange(n_items), j)
        A = X[:, others].astype(np.float64)
        gram = A.T @ A + regularization * np.eye(n_items - 1)
        B[others, j] = np.linalg.solve(gram, A.T @ X[:, j])
    return B


@given(
    X=interaction_matrices | weight_matrices,
    regularization=st.floats(0.5, 1e3),
    block_size=st.integers(1, 7),
)
def test_each_column_is_a_ridge_regression_on_the_others(X, regularization, block_size):
    B = ease(sp.csr_array(X), regularization, block_size=block_size)
    assert B.dtype == np.float32 and B.flags.c_contiguous
    assert (np.diag(B) == 0).all() and not np.signbit(B[B == 0]).any()
    np.testing.assert_allclose(B, ridge_without_itself(X, regularization), rtol=1e-3, atol=1e-4)


def test_the_input_is_not_changed_and_may_be_of_any_type():
    X = sp.csr_matrix(np.random.default_rng(0).integers(0, 2, (30, 8)))
    before = X.copy()
    X.data.flags.writeable = False
    B = ease(X, 2.0)
    assert (X != before).nnz == 0
    np.testing.assert_allclose(B, ridge_without_itself(X.toarray(), 2.0), rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_refused_before_it_is_allocated(monkeypatch):
    monkeypatch.setattr(memory_module, "available_memory", lambda: 10**9)
    X = sp.csr_array((3, 10**6), dtype=np.float32)
    message = r"n_items=1,000,000 .* needs 4,012,288,000,000 bytes .* leave out rare items"
    with pytest.raises(MemoryError, match=message):
        ease(X, 1.0)


def test_a_regularization_that_float32_cannot_invert_is_refused():
    X = sp.csr_array(np.ones((1000, 3)))
    with pytest.raises(ValueError, match="regularization=1e-09 is too small .* such as 1"):
        ease(X, 1e-9)
