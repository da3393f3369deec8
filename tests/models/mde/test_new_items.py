import numpy as np
import pytest

from recsk import MDERecommender
from recsk.features.dense import Features
from recsk.models.mde.new_items import NewItems
from tests.contract.suite import COLD_ITEM, FEATURES, N_ITEMS, TRAIN


def problem(n_items=60, seed=0):
    rng = np.random.default_rng(seed)
    known = rng.random(n_items) < 0.7
    modalities = []
    for width in (5, 3):
        present = rng.random(n_items) < 0.8
        values = rng.normal(size=(n_items, width)).astype(np.float32)
        modalities.append(Features(values * present[:, None], present))
    return known, modalities, rng.normal(size=(n_items, 7)).astype(np.float32)


def reference(known, modalities, vectors):
    """The formula, item by item."""
    n_items = len(known)
    content = []
    for i in range(n_items):
        parts = [v[i] / np.linalg.norm(v[i]) if p[i] else 0 * v[i] for v, p in modalities]
        whole = np.concatenate(parts)
        content.append(whole / max(np.linalg.norm(whole), 1e-30))
    with_content = [any(p[i] for _, p in modalities) for i in range(n_items)]
    old = [i for i in range(n_items) if known[i] and with_content[i]]
    length = np.mean([np.linalg.norm(vectors[i]) for i in old])
    placed = vectors.copy()
    for i in range(n_items):
        if known[i] or not with_content[i]:
            continue
        cosine = {j: float(content[i] @ content[j]) for j in old}
        nearest = sorted(old, key=lambda j: -cosine[j])[:20]
        mean = sum(max(cosine[j], 0) ** 4 * vectors[j] for j in nearest)
        if np.any(mean):
            placed[i] = length * mean / np.linalg.norm(mean)
    return placed


@pytest.mark.parametrize("seed", range(4))
def test_new_items_are_means_of_similar_known_items(seed):
    known, modalities, vectors = problem(seed=seed)
    before = vectors.copy()
    placed = NewItems(known, modalities).place(vectors)
    np.testing.assert_allclose(placed, reference(known, modalities, vectors), rtol=2e-4, atol=1e-5)
    np.testing.assert_array_equal(vectors, before)
    np.testing.assert_array_equal(placed[known], vectors[known])


def test_without_new_or_known_items_nothing_changes():
    _, modalities, vectors = problem()
    for known in (np.ones(60, dtype=bool), np.zeros(60, dtype=bool)):
        np.testing.assert_array_equal(NewItems(known, modalities).place(vectors), vectors)
    np.testing.assert_array_equal(NewItems(np.arange(60) < 30, []).place(vectors), vectors)


def test_new_items_like_nothing_known_keep_their_vectors():
    known = np.arange(4) < 2
    values = np.array([[1, 0], [1, 0], [-1, 0], [0, 1]], dtype=np.float32)
    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)
    found = NewItems(known, [Features(values, np.ones(4, dtype=bool))]).place(vectors)
    np.testing.assert_array_equal(found, vectors)


def test_the_parameter_moves_new_items_alone():
    params = {"n_factors": 4, "max_epochs": 2, "random_state": 0, "early_stopping": False}
    similar, encoder = (
        MDERecommender(**params, new_items=how).fit(TRAIN, item_features=FEATURES)
        for how in ("similar", "encoder")
    )
    moved = (similar.item_embedding_ != encoder.item_embedding_).any(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(moved), [COLD_ITEM])
    np.testing.assert_array_equal(similar.user_embedding_, encoder.user_embedding_)
    assert len(moved) == N_ITEMS and MDERecommender.paper().new_items == "encoder"
