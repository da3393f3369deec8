"""What all baselines share; `tests/contract` has what they share with all recommenders."""

import warnings

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import recsk
from recsk import Interactions, baselines
from recsk.model_selection import RandomHoldout, make_ranking_scorer
from tests.baselines.cases import ALL, IDS_ALONE, WITH_FEATURES, interactions, item_features, name

BY_CLASS = pytest.mark.parametrize("est", ALL, ids=name)
# Answers of these do not change when a known user comes again with the same history.
LINEAR = [est for est in ALL if not type(est).__name__.startswith(("ALS", "BPR"))]


def fit(est, X, **options):
    if est in WITH_FEATURES:
        options["item_features"] = item_features()
    return clone(est).fit(X, **options)


def assert_same_answers(a, b, **options):
    for one, other in zip(a.recommend(k=5, **options), b.recommend(k=5, **options), strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_public_baseline_is_tested():
    assert {type(est).__name__ for est in ALL} == set(baselines.__all__)


@BY_CLASS
def test_fits_answers_and_repeats_itself(est):
    X = interactions()
    model = fit(est, X)
    ids, scores = model.recommend(k=5)
    assert np.isfinite(scores).all() and (np.diff(scores, axis=1) <= 1e-6).all()
    assert not model.interactions_[np.arange(30)[:, None], ids].toarray().any()
    unseen = Interactions(*np.nonzero(model.interactions_.toarray() == 0))
    assert 0 < model.score(unseen, None) <= 1
    assert_same_answers(model, fit(est, X))


@pytest.mark.parametrize("est", LINEAR, ids=name)
def test_the_history_of_a_known_user_gives_the_answer_of_the_user(est):
    X = interactions()
    model = fit(est, X)
    for known, new in zip(model.recommend(k=5), model.recommend(user_items=X, k=5), strict=True):
        np.testing.assert_allclose(known, new, rtol=1e-5, atol=1e-6)


@BY_CLASS
def test_files_and_joblib_keep_the_answers(est, tmp_path):
    model = fit(est, interactions())
    recsk.save(model, tmp_path / "model.recsk")
    joblib.dump(model, tmp_path / "model.joblib")
    histories = [[3, 1], [], [0, 5, 2]]
    for loaded in (recsk.load(tmp_path / "model.recsk"), joblib.load(tmp_path / "model.joblib")):
        assert type(loaded) is type(est) and loaded.get_params() == est.get_params()
        assert_same_answers(loaded, model)
        assert_same_answers(loaded, model, user_items=histories)


@BY_CLASS
def test_grid_search_on_labelled_interactions(est):
    plain = interactions()
    X = Interactions.from_frame(
        {
            "user": [f"u{user}" for user in plain.user],
            "item": [f"i{item:02}" for item in plain.item],
            "time": plain.timestamp,
        },
        user="user",
        item="item",
        timestamp="time",
    )
    search = GridSearchCV(
        clone(est),
        {"score_k": [5, 10]},
        cv=RandomHoldout(test_size=0.3, random_state=0),
        scoring=make_ranking_scorer("ndcg", k=5),
        error_score="raise",
    )
    options = {}
    if est in WITH_FEATURES:
        options["item_features"] = {k: v[: X.n_items] for k, v in item_features().items()}
    best = search.fit(X, **options).best_estimator_
    items, _ = best.recommend(["u3", "u0"], k=3)
    assert set(items.ravel()) <= set(X.item_labels)
    assert best.recommend(user_items=[["i01", "i04"]], k=3)[0].dtype == object


@pytest.mark.parametrize("est", IDS_ALONE, ids=name)
def test_baselines_of_ids_warn_once_that_features_are_not_used(est):
    X = interactions()
    with pytest.warns(UserWarning) as record:
        model = clone(est).fit(X, item_features=item_features())
    (warning,) = record
    assert "item_features ('text', 'image') are not used" in str(warning.message)
    assert type(est).__name__ in str(warning.message) and warning.filename == __file__
    assert_same_answers(model, fit(est, X))
    with pytest.raises(ValueError, match="has 3 rows"):
        clone(est).fit(X, item_features={"text": np.ones((3, 2))})


@pytest.mark.parametrize("est", WITH_FEATURES, ids=name)
def test_baselines_of_content_do_not_warn(est):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(est, interactions())


@BY_CLASS
def test_weights_change_the_model_unless_they_are_equal(est):
    X = interactions()
    weight = np.random.default_rng(0).integers(1, 9, len(X))
    assert_same_answers(fit(est, X, sample_weight=np.full(len(X), 3.0)), fit(est, X))
    if "BPR" in name(est):
        with pytest.raises(ValueError, match="numbers in sample_weight differ.*ALSRecommender"):
            fit(est, X, sample_weight=weight)
        return
    weighted = fit(est, X, sample_weight=weight)
    plain = fit(est, X)
    same = np.array_equal(weighted.recommend(k=5)[1], plain.recommend(k=5)[1])
    assert same == ("ContentKNN" in name(est))  # which learns nothing from interactions


@pytest.mark.parametrize("est", ALL, ids=name)
def test_items_without_interactions_or_features_have_finite_scores(est):
    X = interactions()
    model = fit(est, X)
    ids, scores = model.recommend(user_items=[[11], [3]], k=11)
    assert np.isfinite(scores).all() and (ids >= 0).all()
