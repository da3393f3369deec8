import numpy as np

from recsk import Interactions
from recsk.baselines import PopularRecommender


def test_scores_are_numbers_of_interactions():
    X = Interactions([0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 1, 2], n_items=5)
    model = PopularRecommender().fit(X)
    ids, scores = model.recommend(2, k=3)
    assert ids.tolist() == [1, 3, 4]
    np.testing.assert_allclose(scores, [2 / 3, 0, 0])
    assert model.recommend(user_items=[[1]], k=2)[0].tolist() == [[0, 2]]


def test_scores_are_sums_of_weights():
    X = Interactions([0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 1, 2])
    model = PopularRecommender().fit(X, sample_weight=[1, 1, 1, 1, 1, 10])
    ids, scores = model.recommend(0, k=3, exclude_seen=False)
    assert ids.tolist() == [2, 0, 1]
    np.testing.assert_allclose(scores, [1, 0.3, 0.2], rtol=1e-6)
