"""MDERecommender in scikit-learn's own searches (splitters alone: test_scikit_learn.py)."""

import warnings

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    ParameterGrid,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline

from recsk import Interactions, MDERecommender
from recsk.metrics import evaluate
from recsk.model_selection import InteractionKFold, LeaveLastOut, RandomHoldout, make_ranking_scorer
from tests.contract.suite import FEATURES, N_ITEMS, TEST, TRAIN, as_matrix, assert_same

X = Interactions.from_csr(TRAIN.to_csr())
GRID = {"alpha": [0.0, 0.1], "beta": [0.0, 0.1], "reg_lambda": [1e-4, 0.1]}
CV = RandomHoldout(random_state=0)
NDCG = make_ranking_scorer("ndcg", k=10)
PARAMS = {"n_factors": 4, "max_epochs": 2, "learning_rate": 0.02, "random_state": 0}


def small(**params):
    return MDERecommender(**PARAMS, device="cpu").set_params(**params)


@pytest.fixture(params=[False, True], ids=["plain", "routing"])
def est(request):
    """An estimator without metadata routing, and one with it that requests the features."""
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield small().set_fit_request(item_features=True) if request.param else small()


def grid_search(est, grid=GRID, **kwargs):
    return GridSearchCV(est, grid, **{"cv": CV, "scoring": NDCG, "error_score": "raise", **kwargs})


def test_grid_search(est, tmp_path):
    search = grid_search(est).fit(X, item_features=FEATURES)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 8 and len(set(scores)) > 1 and (scores > 0).all()
    assert search.best_score_ == scores.max()

    # Each score is that of a fit by hand, and the best estimator is refitted on all data.
    train, test = next(CV.split(X))
    for params, score in zip(ParameterGrid(GRID), scores, strict=True):
        by_hand = small(**params).fit(X[train], item_features=FEATURES)
        assert NDCG(by_hand, X[test]) == score
    best = search.best_estimator_
    assert best.modality_names_ == ["v", "t"] and best.interactions_.nnz == len(X)
    refitted = small(**search.best_params_).fit(X, item_features=FEATURES)
    assert_same(best.recommend(), refitted.recommend())

    joblib.dump(search, tmp_path / "search.joblib")
    copy = joblib.load(tmp_path / "search.joblib")
    assert_same(copy.best_estimator_.recommend(), best.recommend())
    assert copy.best_params_ == search.best_params_


def test_two_jobs_give_the_scores_of_one(est):
    one, two = (
        grid_search(est, n_jobs=n_jobs, cv=InteractionKFold(2, random_state=0))
        .fit(X, item_features=FEATURES)
        .cv_results_
        for n_jobs in (1, 2)
    )
    assert one["params"] == two["params"]
    for name in one:
        if "test_score" in name and "time" not in name:
            np.testing.assert_array_equal(one[name], two[name])


def test_grid_search_with_several_scorers(est):
    scoring = {name: make_ranking_scorer(name, k=5) for name in ("recall", "ndcg", "coverage")}
    search = grid_search(est, {"alpha": [0.0, 0.1]}, scoring=scoring, refit="recall")
    search.fit(X, item_features=FEATURES)
    for name in scoring:
        assert (search.cv_results_[f"mean_test_{name}"] > 0).all()
    assert search.best_score_ == search.cv_results_["mean_test_recall"].max()
    assert search.best_estimator_.recommend(0, k=3)[0].shape == (3,)


def test_without_scoring_a_search_uses_the_score_of_the_estimator(est):
    default, same = (
        grid_search(est.set_params(score_k=10), {"beta": [0.0, 0.5]}, scoring=scoring)
        .fit(X, item_features=FEATURES)
        .cv_results_["mean_test_score"]
        for scoring in (None, NDCG)
    )
    np.testing.assert_array_equal(default, same)


def test_a_search_scores_with_its_best_estimator(est):
    search = grid_search(est, {"alpha": [0.0]}).fit(X, item_features=FEATURES)
    assert 0 <= search.score(TRAIN) <= 1
    assert search.n_features_in_ == N_ITEMS


def test_halving_search(est):
    search = HalvingGridSearchCV(
        est,
        {"alpha": [0.0, 0.1], "learning_rate": [1e-4, 0.02]},
        resource="max_epochs",
        max_resources=4,
        min_resources=1,
        factor=2,
        cv=CV,
        scoring=NDCG,
        error_score="raise",
    ).fit(X, item_features=FEATURES)
    assert search.n_resources_ == [1, 2, 4]
    assert search.best_estimator_.max_epochs == search.best_estimator_.n_iter_ == 4
    assert search.best_estimator_.recommend([0], k=3)[0].shape == (1, 3)


def test_cross_validate(est):
    kwargs = {"params": {"item_features": FEATURES}, "error_score": "raise"}
    result = cross_validate(
        est,
        X,
        cv=InteractionKFold(3, random_state=0),
        scoring={"ndcg": NDCG, "recall": make_ranking_scorer("recall")},
        return_estimator=True,
        **kwargs,
    )
    scores = cross_val_score(
        est, X, cv=InteractionKFold(3, random_state=0), scoring=NDCG, n_jobs=2, **kwargs
    )
    np.testing.assert_array_equal(result["test_ndcg"], scores)
    assert len(scores) == len(result["test_recall"]) == 3 and (scores > 0).all()
    assert all(fold.modality_names_ == ["v", "t"] for fold in result["estimator"])


def test_cross_validation_by_time(est):
    scores = cross_val_score(
        est, TRAIN, cv=LeaveLastOut(n_splits=2), params={"item_features": FEATURES}
    )
    assert len(scores) == 2 and (scores > 0).all()


def test_eval_set_reaches_fit():
    est = small(max_epochs=5)
    fit_params = {"item_features": FEATURES, "eval_set": as_matrix(TEST)}
    search = grid_search(est, {"alpha": [0.0]}).fit(X, **fit_params)
    assert len(search.best_estimator_.validation_curve_) == search.best_estimator_.n_iter_


@pytest.mark.parametrize("cv", [CV, LeaveLastOut(), InteractionKFold(2)])
def test_a_matrix_is_rejected_with_the_code_that_converts_it(cv):
    search = grid_search(small(), cv=cv)
    with pytest.raises(TypeError, match=r"pass Interactions\.from_csr\(X.*\) in place of X"):
        search.fit(X.to_csr(), item_features=FEATURES)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_features_stay_whole_if_n_items_equals_n_interactions(n_jobs, est):
    """scikit-learn slices an argument of fit with as many rows as there are samples."""
    same_length = X[np.random.default_rng(0).permutation(len(X))[:N_ITEMS]]
    assert len(same_length) == len(FEATURES["v"])
    search = grid_search(est, {"alpha": [0.0, 0.1]}, n_jobs=n_jobs)
    search.fit(same_length, item_features=FEATURES)
    train, test = next(CV.split(same_length))
    by_hand = small(alpha=0.0).fit(same_length[train], item_features=FEATURES)
    assert search.cv_results_["mean_test_score"][0] == NDCG(by_hand, same_length[test])


def test_as_many_modalities_as_interactions_raise_an_error(est):
    """The only case in which scikit-learn tries to slice the dict: it raises a KeyError."""
    three = Interactions([0, 0, 0], [0, 1, 2], n_items=N_ITEMS)
    features = {**FEATURES, "a": FEATURES["v"]}
    with pytest.raises(KeyError):
        grid_search(est, {"alpha": [0.0]}).fit(three, item_features=features)


def test_a_bare_array_of_features_is_rejected_in_a_search_too(est):
    with pytest.raises(TypeError, match="item_features must be a dict"):
        grid_search(est, {"alpha": [0.0]}).fit(X, item_features=FEATURES["v"])


def test_search_over_a_pipeline_that_ends_with_a_recommender():
    """A pipeline has no `recommend`, so a scorer uses its last step."""
    pipeline = make_pipeline(small())
    for scoring in (None, make_ranking_scorer("ndcg")):
        search = grid_search(pipeline, {"mderecommender__alpha": [0.0, 0.1]}, scoring=scoring)
        search.fit(X, mderecommender__item_features=FEATURES)
        assert search.best_estimator_[-1].modality_names_ == ["v", "t"]
        assert search.best_score_ > 0
    assert evaluate(search, TEST) == evaluate(search.best_estimator_[-1], TEST)


def test_cross_validation_of_a_search():
    search = grid_search(small(), {"alpha": [0.0, 0.1]})
    result = cross_validate(
        search, X, cv=CV, scoring=make_ranking_scorer("ndcg"), error_score="raise"
    )
    assert (result["test_score"] > 0).all()
    unfitted = grid_search(small(), {"alpha": [0.0]}, refit=False).fit(X)
    with pytest.raises(TypeError, match=r"fitted search \(with refit\).*got GridSearchCV"):
        evaluate(unfitted, TEST)


def test_a_matrix_split_by_rows_is_rejected():
    """Splitters of scikit-learn split rows: row i of the test set is not user i of training."""
    with pytest.raises(ValueError, match=r"^X has \d+ users \(rows\), but the model was fitted"):
        cross_val_score(small(), TRAIN.to_csr(), cv=3, error_score="raise")
    model = small().fit(TRAIN.to_csr()[:20])
    for score in (model.score, lambda X: evaluate(model, X)):
        with pytest.raises(ValueError, match=r"has 10 users \(rows\).*fitted with 20.*from_csr"):
            score(TRAIN.to_csr()[20:])


def test_a_warning_if_most_test_users_are_not_in_training():
    with pytest.warns(UserWarning, match=r"have no interaction in training.*model_selection"):
        cross_val_score(small(), X, cv=KFold(5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cross_val_score(small(), X, cv=InteractionKFold(5, random_state=0))
