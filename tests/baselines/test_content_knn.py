import numpy as np
import pytest

from recsk import Interactions
from recsk.baselines import ContentKNNRecommender
from tests.baselines.cases import N_ITEMS, all_scores, cosine, interactions, item_features


def cosines(features):
    return np.array([[cosine(features, i, j) for j in range(N_ITEMS)] for i in range(N_ITEMS)])


def test_a_score_is_the_mean_of_the_cosines():
    X, features = interactions(), item_features()
    model = ContentKNNRecommender().fit(X, item_features=features)
    C = cosines(features)
    expected = [C[history].mean(axis=0) for history in X.sequences()[:29]]
    np.testing.assert_allclose(all_scores(model, np.arange(29)), expected, rtol=1e-4, atol=1e-6)


def test_only_the_nearest_items_of_each_item_count():
    X, features = interactions(), item_features()
    model = ContentKNNRecommender(n_neighbors=4).fit(X, item_features=features)
    C = cosines(features)
    np.fill_diagonal(C, -np.inf)
    kept = np.zeros_like(C)
    for i, row in enumerate(C):
        for j in np.argsort(-row, kind="stable")[:4]:
            kept[i, j] = max(row[j], 0)
    expected = [kept[history].mean(axis=0) for history in X.sequences()[:29]]
    np.testing.assert_allclose(all_scores(model, np.arange(29)), expected, rtol=1e-4, atol=1e-6)
    assert not hasattr(model, "item_embedding_")


def test_new_items_are_recommended_by_what_they_are():
    features = np.zeros((5, 2))
    features[[0, 4], 0] = features[[1, 2, 3], 1] = 1
    X = Interactions([0, 1], [0, 1], n_items=5)
    model = ContentKNNRecommender().fit(X, item_features={"text": features})
    ids, scores = model.recommend(0, k=1)
    assert ids.tolist() == [4] and scores.tolist() == [1.0]


@pytest.mark.parametrize("features", [None, {}])
def test_features_are_needed(features):
    with pytest.raises(ValueError, match=r"ContentKNNRecommender needs item_features.*fit\(X, "):
        ContentKNNRecommender().fit(interactions(), item_features=features)
