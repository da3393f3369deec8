import numpy as np
import pytest
from scipy import sparse

from recsk.graphs import spectral_vectors


def matrix(n_users=40, n_items=30, density=0.2):
    rng = np.random.default_rng(0)
    values = (rng.random((n_users, n_items)) < density) * rng.uniform(0.5, 2, (n_users, n_items))
    values[3] = values[:, 5] = 0
    return values


def reference(values, n_factors):
    """Singular vectors of the matrix, scaled by the root of the degrees on both sides."""
    users, items = values.sum(axis=1), values.sum(axis=0)
    scaled = np.zeros_like(values)
    for u, i in zip(*values.nonzero(), strict=True):
        scaled[u, i] = values[u, i] / np.sqrt(users[u] * items[i])
    left, scale, right = np.linalg.svd(scaled)
    root = np.sqrt(scale[:n_factors])
    return left[:, :n_factors] * root, right[:n_factors].T * root


def unit(rows):
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-6)


@pytest.mark.parametrize("n_factors", [1, 4, 30])
def test_all_inner_products_are_those_of_the_singular_vectors(n_factors):
    values = matrix()
    found = np.vstack(spectral_vectors(sparse.csr_matrix(values), n_factors, seed=0))
    expected = unit(np.vstack(reference(values, n_factors)))
    known = np.linalg.norm(expected, axis=1) > 0
    # Vectors are known up to a rotation.
    np.testing.assert_allclose(
        (found @ found.T)[known][:, known], (expected @ expected.T)[known][:, known], atol=0.05
    )
    np.testing.assert_allclose(np.linalg.norm(found[known], axis=1), 1, rtol=1e-5)


def test_more_factors_than_users_are_zeros():
    users, items = spectral_vectors(sparse.csr_matrix(matrix(6, 9)), 8, seed=0)
    assert users.shape == (6, 8) and items.shape == (9, 8)
    assert users.dtype == items.dtype == np.float32
    assert not users[:, 6:].any() and not items[:, 6:].any()
    assert np.isfinite(users).all() and np.isfinite(items).all()


def test_the_seed_decides():
    X = sparse.csr_matrix(matrix())
    one, again = spectral_vectors(X, 4, seed=3), spectral_vectors(X, 4, seed=3)
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a, b)
