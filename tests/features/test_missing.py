"""`fill_missing_modalities` against a reference implementation with loops."""

from __future__ import annotations

import numpy as np
import pytest

from recsk import MDSRecRecommender
from recsk.datasets import make_multimodal
from recsk.features import Features, fill_missing_modalities
from recsk.features.dense import fill_and_standardize

N_ITEMS = 60


def make_features(n_modalities: int, seed: int = 0) -> list[Features]:
    """Make modalities from the same hidden factors.

    A third of the items lack each modality, and item 5 lacks all.
    """
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(N_ITEMS, 4))
    features = []
    for _ in range(n_modalities):
        values = (hidden @ rng.normal(size=(4, 7))).astype(np.float32)
        values[rng.permutation(N_ITEMS)[: N_ITEMS // 3]] = np.nan
        values[5] = np.nan
        features.append(fill_and_standardize(values, standardize=True))
    return features


def fill_by_loops(features: list[Features], n_neighbors: int) -> list[Features]:
    def cosine(m: int, i: int, j: int) -> float:
        values, present = features[m]
        if not (present[i] and present[j]):
            return 0.0
        a, b = values[i].astype(np.float64), values[j].astype(np.float64)
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    filled = []
    for m, (values, present) in enumerate(features):
        values, found = values.copy(), present.copy()
        for i in np.flatnonzero(~present):
            similarity = {
                j: sum(cosine(n, i, j) for n in range(len(features)) if n != m)
                for j in np.flatnonzero(present)
            }
            neighbors = sorted(similarity, key=similarity.__getitem__)[-n_neighbors:]
            weight = {j: similarity[j] for j in neighbors if similarity[j] > 0}
            if weight:
                total = sum(weight.values())
                values[i] = sum(w / total * features[m].values[j] for j, w in weight.items())
                found[i] = True
        filled.append(Features(values, found))
    return filled


@pytest.mark.parametrize("n_modalities", [2, 3])
@pytest.mark.parametrize("n_neighbors", [1, 4, 1000])
def test_against_loops(n_modalities, n_neighbors):
    features = make_features(n_modalities)
    before = [(values.copy(), present.copy()) for values, present in features]
    found = fill_missing_modalities(features, n_neighbors=n_neighbors)
    for (values, present), expected in zip(
        found, fill_by_loops(features, n_neighbors), strict=True
    ):
        np.testing.assert_array_equal(present, expected.present)
        np.testing.assert_allclose(values, expected.values, rtol=1e-4, atol=1e-5)
        assert values.dtype == np.float32 and not present[5]
    for (values, present), own in zip(before, features, strict=True):
        np.testing.assert_array_equal(values, own.values)
        np.testing.assert_array_equal(present, own.present)


def test_present_features_stay():
    features = make_features(2)
    for part, filled in zip(features, fill_missing_modalities(features), strict=True):
        np.testing.assert_array_equal(filled.values[part.present], part.values[part.present])
        assert filled.present.sum() > part.present.sum()


def test_the_same_object_is_returned_where_nothing_can_be_filled_in():
    whole = [fill_and_standardize(np.eye(5, dtype="f4"), standardize=False)] * 2
    assert all(a is b for a, b in zip(fill_missing_modalities(whole), whole, strict=True))
    (single,) = make_features(1)
    assert fill_missing_modalities([single])[0] is single
    assert fill_missing_modalities([]) == []
    # Rows of zeros are similar to no item.
    zeros = Features(np.zeros((N_ITEMS, 2), "f4"), np.ones(N_ITEMS, bool))
    assert fill_missing_modalities([single, zeros])[0] is single


@pytest.mark.parametrize("scale", [1e-30, 1e25])
def test_features_of_any_scale(scale):
    features = make_features(2)
    scaled = [Features(values * np.float32(scale), present) for values, present in features]
    for large, plain in zip(
        fill_missing_modalities(scaled), fill_missing_modalities(features), strict=True
    ):
        np.testing.assert_array_equal(large.present, plain.present)
        np.testing.assert_allclose(
            large.values / np.float32(scale), plain.values, rtol=1e-3, atol=1e-4
        )


def test_mdsrec_uses_the_filled_in_features():
    data = make_multimodal(n_users=40, n_items=N_ITEMS, sequential=True, random_state=0)
    features = {name: values.copy() for name, values in data.item_features.items()}
    first, second = features
    features[first][3] = np.nan
    features[first][7] = features[second][7] = np.nan
    model = MDSRecRecommender(n_factors=8, max_epochs=1, n_interests=4, random_state=0)
    model.fit(data.interactions, item_features=features)
    in_no_cluster = model._encoder.interests.cluster[0] == 4
    np.testing.assert_array_equal(np.flatnonzero(in_no_cluster), [7])
