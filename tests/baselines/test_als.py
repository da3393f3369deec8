import numpy as np
import pytest
from implicit.als import AlternatingLeastSquares

from recsk.baselines import ALSRecommender
from recsk.baselines import als as als_module
from tests.baselines.cases import interactions


@pytest.mark.parametrize("weighted", [False, True])
def test_a_new_user_is_the_least_squares_solution(weighted):
    X = interactions()
    weight = np.random.default_rng(1).integers(1, 5, len(X)) if weighted else None
    model = ALSRecommender(factors=3, regularization=0.5, alpha=4.0, random_state=0)
    model.fit(X, sample_weight=weight)
    Y = model.item_embedding_.astype(np.float64)
    history = [2, 5, 9]
    confidence, liked = np.ones(len(Y)), np.zeros(len(Y))
    confidence[history], liked[history] = 4.0, 1.0
    A = Y.T @ (confidence[:, None] * Y) + 0.5 * np.eye(3)
    expected = np.linalg.solve(A, Y.T @ (confidence * liked))
    np.testing.assert_allclose(
        model.user_vectors(user_items=[history]), [expected], rtol=1e-3, atol=1e-5
    )


def test_known_users_are_near_their_fold_in(interactions):
    model = ALSRecommender(factors=5, regularization=1.0, iterations=30, random_state=0)
    model.fit(interactions)
    known, new = model.user_embedding_, model.user_vectors(user_items=interactions)
    cosine = (known * new).sum(axis=1) / np.linalg.norm(known, axis=1) / np.linalg.norm(new, axis=1)
    assert cosine.min() > 0.99


def test_it_is_the_model_of_implicit(interactions):
    ours = ALSRecommender(
        factors=5,
        regularization=0.1,
        alpha=3.0,
        iterations=4,
        random_state=np.random.RandomState(3),
    ).fit(interactions)
    seed = np.random.RandomState(3).randint(np.iinfo(np.int32).max)
    theirs = AlternatingLeastSquares(
        factors=5, regularization=0.1, alpha=3.0, iterations=4, random_state=seed, use_gpu=False
    )
    theirs.fit(interactions.to_csr(), show_progress=False)
    np.testing.assert_allclose(ours.item_embedding_, theirs.item_factors, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.user_embedding_, theirs.user_factors, rtol=1e-5, atol=1e-6)


def test_the_number_of_threads_does_not_change_the_model(monkeypatch, interactions):
    models = []
    for in_fork in (False, True):  # a fork has one thread
        monkeypatch.setattr(als_module, "in_fork", lambda in_fork=in_fork: in_fork)
        models.append(ALSRecommender(random_state=0).fit(interactions))
    np.testing.assert_array_equal(models[0].item_embedding_, models[1].item_embedding_)
    np.testing.assert_array_equal(models[0].user_embedding_, models[1].user_embedding_)
