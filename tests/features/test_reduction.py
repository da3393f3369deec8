import numpy as np
import pytest
from sklearn.decomposition import PCA

from recsk.features.dense import Features, fill_and_standardize
from recsk.features.reduction import reduce_columns

N, MISSING = 60, [3, 17, 59]


def features_of(rank, n_columns=40, seed=0, missing=MISSING):
    """Standardised features of this rank; some items lack them."""
    rng = np.random.default_rng(seed)
    values = (
        rng.normal(size=(N, rank)) * 2.0 ** -np.arange(rank) @ rng.normal(size=(rank, n_columns))
    )
    values[missing] = np.nan
    return fill_and_standardize(values.astype(np.float32), standardize=True)


def cosines(x):
    return x @ x.T / np.outer(*2 * [np.linalg.norm(x, axis=1)])


@pytest.mark.parametrize("missing", [[], MISSING], ids=str)
@pytest.mark.parametrize("rank", [1, 3, 8])
def test_components_are_those_of_a_whitened_pca(rank, missing):
    features = features_of(rank, missing=missing)
    reduced, present = reduce_columns(features, rank, seed=0).features
    assert reduced.shape == (N, rank) and reduced.dtype == np.float32
    np.testing.assert_array_equal(present, features.present)
    assert not reduced[missing].any()
    np.testing.assert_allclose((reduced[present] ** 2).mean(axis=0), 1, rtol=1e-5)
    expected = PCA(rank, whiten=True, svd_solver="full").fit_transform(features.values[present])
    np.testing.assert_allclose(cosines(reduced[present]), cosines(expected), atol=1e-3)


def test_a_linear_map_of_all_columns_is_one_of_the_components():
    features = features_of(8)
    target = features.values @ np.random.default_rng(1).normal(size=(40, 5))
    reduced = reduce_columns(features, 8, seed=0).features.values
    weight, *_ = np.linalg.lstsq(reduced, target)
    np.testing.assert_allclose(reduced @ weight, target, atol=1e-3)


def test_the_largest_components_are_kept():
    features = features_of(8)
    left, *_ = np.linalg.svd(features.values[features.present], full_matrices=False)
    reduced = reduce_columns(features, 3, seed=0).features.values[features.present]
    np.testing.assert_allclose(
        np.abs(left[:, :3].T @ reduced), np.sqrt(len(reduced)) * np.eye(3), atol=0.02
    )


@pytest.mark.parametrize("n_columns", [40, 41, 1000])
def test_narrow_features_are_returned_as_they_are(n_columns):
    features = features_of(8)
    assert reduce_columns(features, n_columns, seed=0).features is features


def test_few_items_are_returned_as_they_are():
    features = features_of(8, missing=np.arange(10, N))
    assert reduce_columns(features, 10, seed=0).features is features
    assert reduce_columns(features, 9, seed=0).features.values.shape == (N, 9)


def test_columns_beyond_the_rank_are_zero():
    """Else rounding errors would pass for features that count as much as the others."""
    features = features_of(3)
    narrow, wide = (reduce_columns(features, n, seed=0).features.values for n in (3, 10))
    np.testing.assert_allclose(narrow @ narrow.T, wide @ wide.T, atol=1e-2)
    assert narrow.any() and not wide[:, 3:].any()


def test_constant_features():
    features = Features(np.zeros((N, 40), np.float32), np.ones(N, bool))
    assert not reduce_columns(features, 5, seed=0).features.values.any()


def test_the_input_stays_and_the_seed_decides():
    features = features_of(8)
    before = features.values.copy()
    first, again = (reduce_columns(features, 3, seed=1).features.values for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(features.values, before)
