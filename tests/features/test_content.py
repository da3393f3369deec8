import numpy as np

from recsk.features.content import content_vectors
from tests.baselines.cases import N_ITEMS, cosine, item_features


def test_inner_products_are_normalised_sums_of_cosines():
    features = item_features()
    before = {name: rows.copy() for name, rows in features.items()}
    vectors = content_vectors(features)
    assert vectors.dtype == np.float32 and vectors.shape == (N_ITEMS, 8)
    expected = [[cosine(features, i, j) for j in range(N_ITEMS)] for i in range(N_ITEMS)]
    np.testing.assert_allclose(vectors @ vectors.T, expected, rtol=1e-4, atol=1e-6)
    for name, rows in before.items():
        np.testing.assert_array_equal(features[name], rows)


def test_an_item_without_any_modality_is_zero():
    vectors = content_vectors(item_features())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), np.arange(N_ITEMS) != 3, rtol=1e-5)
