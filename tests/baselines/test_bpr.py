import numpy as np
from implicit.bpr import BayesianPersonalizedRanking
from sklearn.base import clone

from recsk.baselines import BPRRecommender
from tests.baselines.cases import interactions


def test_it_is_the_model_of_implicit_with_one_thread(interactions):
    params = {"factors": 5, "learning_rate": 0.05, "regularization": 0.02, "iterations": 20}
    ours = BPRRecommender(**params, random_state=3).fit(interactions)
    seed = np.random.RandomState(3).randint(np.iinfo(np.int32).max)
    theirs = BayesianPersonalizedRanking(**params, num_threads=1, random_state=seed, use_gpu=False)
    theirs.fit(interactions.to_csr(), show_progress=False)
    np.testing.assert_array_equal(ours.item_embedding_, theirs.item_factors)
    np.testing.assert_array_equal(ours.user_embedding_, theirs.user_factors)


def test_new_users_are_a_ridge_regression_on_the_means_of_their_items():
    X = interactions()
    model = BPRRecommender(factors=4, random_state=0).fit(X)
    histories = X.sequences()[:29]  # the last one is empty
    M = np.array([model.item_embedding_[history].mean(axis=0) for history in histories])
    U = model.user_embedding_[:29].astype(np.float64)
    centred = M - M.mean(axis=0)
    gram = centred.T @ centred + np.eye(M.shape[1])
    coefficients = np.linalg.solve(gram, centred.T @ (U - U.mean(axis=0)))
    new = model.item_embedding_[[4, 7]].mean(axis=0)
    expected = U.mean(axis=0) + (new - M.mean(axis=0)) @ coefficients
    vectors = model.user_vectors(user_items=[[4, 7], []])
    np.testing.assert_allclose(vectors[0], expected, rtol=1e-3, atol=1e-4)
    assert not vectors[1].any()
    np.testing.assert_allclose(vectors[0, -1], 1, rtol=1e-5)  # the bias counts once


def test_folded_in_users_rank_like_known_users(checkerboard):
    est = BPRRecommender(factors=8, learning_rate=0.1, iterations=300, random_state=0)
    model = clone(est).fit(checkerboard)
    ids, _ = model.recommend(user_items=[[0, 2, 4], [1, 3, 5]], k=5)
    assert (ids % 2 == [[0], [1]]).all()
