"""The argument `sample_weight`: errors, the warning about values, scikit-learn's searches."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_validate
from sklearn.pipeline import Pipeline

from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.datasets import make_multimodal
from recsk.model_selection import InteractionKFold, RandomHoldout, make_ranking_scorer
from recsk.models.mde.training import _pair_weights
from recsk.testing.expect import expect_identical
from tests.contract.suite import (
    FEATURES,
    N_USERS,
    TEST,
    TRAIN,
    WEIGHTS,
    as_matrix,
    assert_identical,
)

ESTIMATORS = {
    "mde": MDERecommender(n_factors=4, max_epochs=1, random_state=0),
    "mdsrec": MDSRecRecommender(n_factors=4, n_interests=2, max_epochs=1, random_state=0),
}
MATRIX = as_matrix(TRAIN)
N = len(TRAIN)
VALUED = TRAIN.with_value(np.arange(N) % 3 + 1)


@pytest.fixture(params=ESTIMATORS)
def est(request):
    return clone(ESTIMATORS[request.param])


@pytest.fixture
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def with_first(value, dtype=float):
    weight = np.ones(N, dtype=dtype)
    weight[0] = value
    return weight


@pytest.mark.parametrize(
    ("X", "weight", "error", "message"),
    [
        (TRAIN, np.zeros(N), ValueError, r"^sample_weight is zero for all \d+ interactions of X"),
        (MATRIX, np.zeros(N_USERS), ValueError, "^sample_weight is zero for all"),
        # The only user with a weight has no interactions.
        (MATRIX, np.arange(N_USERS) == 7, ValueError, "^sample_weight is zero for all"),
        (TRAIN, with_first(-1), ValueError, r"^sample_weight\[0\] is -1; weights must be finite"),
        (TRAIN, with_first(np.nan), ValueError, r"^sample_weight\[0\] is nan"),
        (TRAIN, with_first(-np.inf), ValueError, r"^sample_weight\[0\] is -inf"),
        (TRAIN, with_first(None, object), ValueError, r"^sample_weight\[0\] is nan"),
        (
            TRAIN,
            pd.array([None, *[1] * (N - 1)], dtype="Int64"),
            ValueError,
            r"^sample_weight\[0\] is nan",
        ),
        (TRAIN, np.ma.masked_equal(with_first(5), 5), ValueError, "^sample_weight has masked"),
        (TRAIN, np.ones(N - 1), ValueError, rf"^sample_weight has {N - 1} entries, .* {N} inter"),
        (TRAIN, np.ones(N_USERS), ValueError, r"to weigh users: sample_weight\[X.user\]$"),
        (TRAIN, [], ValueError, "^sample_weight has 0 entries"),
        (MATRIX, np.ones(N), ValueError, r"X has 30 users \(rows\).*: Interactions.from_csr\(X\)$"),
        (TRAIN, np.ones((N, 1)), ValueError, rf"^sample_weight must be 1-D; .* \({N}, 1\)"),
        (TRAIN, pd.DataFrame({"w": np.ones(N)}), ValueError, "^sample_weight must be 1-D"),
        (TRAIN, [[1], [1, 2]], ValueError, "^sample_weight must be 1-D"),
        (TRAIN, 2.0, ValueError, "^sample_weight must be 1-D; got float 2.0"),
        (TRAIN, ["1"] * N, TypeError, "^sample_weight must hold numbers"),
        (TRAIN, np.array(["1"] * N, object), TypeError, "^sample_weight must hold numbers"),
        (TRAIN, np.ones(N, complex), TypeError, "^sample_weight must hold numbers"),
        (TRAIN, np.ones(N, "datetime64[s]"), TypeError, "^sample_weight must hold numbers"),
        (TRAIN, {"a": 1}, TypeError, "^sample_weight must hold numbers"),
        (TRAIN, sparse.csr_array(np.ones((1, N))), TypeError, "^sample_weight must hold numbers"),
        (TRAIN, "values", ValueError, "^sample_weight must be 'value' or an array .* 'values'"),
        (TRAIN, "value", ValueError, r"^sample_weight='value' .* X has none: .*X.with_value"),
        (MATRIX, "value", ValueError, r"^sample_weight='value' .* Interactions.from_csr\(X\)"),
    ],
)
def test_a_wrong_weight_is_named_before_training(est, X, weight, error, message):
    with pytest.raises(error, match=message):
        est.fit(X, item_features=FEATURES, sample_weight=weight)
    with pytest.raises(NotFittedError):
        est.recommend()


@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        pd.Series,
        lambda w: pd.Series(w, index=np.arange(len(w))[::-1]),  # by position, as everywhere
        lambda w: pd.array(w, dtype="Float64"),
        lambda w: w.astype(object),
        lambda w: w.astype(np.float16),
        lambda w: np.ma.array(w),
        lambda w: (2 * w).astype(np.uint8),
    ],
)
def test_weights_of_every_type(est, form):
    expected = clone(est).fit(TRAIN, sample_weight=WEIGHTS)
    weight = form(WEIGHTS)
    # Weights count relative to each other; what `partial_fit` joins new ones to is as given.
    expect_identical(est.fit(TRAIN, sample_weight=weight), expected, "models", but=("_log",))
    np.testing.assert_array_equal(np.asarray(weight, float), np.asarray(form(WEIGHTS), float))


def test_values_that_are_not_used_are_named_once(est):
    for X in (VALUED, VALUED[::2]):
        with pytest.warns(UserWarning, match=r'values from 1 to 3, .*sample_weight="value"') as log:
            model = clone(est).fit(X)
        assert len(log) == 1 and log[0].filename == __file__
        assert_identical(model, clone(est).fit(X.with_value(None)))


def test_values_that_are_used_or_equal_are_quiet(est, quiet):
    est.fit(VALUED, sample_weight="value", eval_set=TEST.with_value(np.arange(len(TEST))))
    est.fit(VALUED, sample_weight=np.ones(N))
    est.fit(VALUED.with_value(np.full(N, 2.5)))
    est.fit(VALUED.with_value((np.arange(N) % 3 > 0) * 4.0))  # zeros are no interactions
    est.fit(MATRIX)


def test_weights_follow_their_interactions_where_a_value_is_zero(est):
    value = (np.arange(N) % 3 > 0) * 4.0
    model = clone(est).fit(VALUED.with_value(value), sample_weight=WEIGHTS)
    kept = value > 0
    assert_identical(model, est.fit(TRAIN[kept], sample_weight=WEIGHTS[kept]))


def test_the_order_has_to_remain_without_weight_zero():
    X = Interactions([0, 0, 0, 1, 1], [0, 1, 2, 0, 1], timestamp=[1, 1, 2, 3, 3])
    est = ESTIMATORS["mdsrec"]
    clone(est).fit(X, sample_weight=[1, 1, 2, 1, 1])
    with pytest.raises(ValueError, match="^X has the same time for all interactions of each user"):
        clone(est).fit(X, sample_weight=[1, 1, 0, 1, 1])


def test_a_frame_of_users_keeps_its_column_names_where_users_weigh_nothing(est):
    frame = pd.DataFrame(MATRIX.toarray(), columns=[f"item {i}" for i in range(MATRIX.shape[1])])
    est.fit(frame, sample_weight=np.arange(N_USERS) % 3 > 0)
    assert est.feature_names_in_[0] == "item 0" and est.n_users_ == N_USERS


def test_users_of_mde_get_what_is_like_their_heavy_interactions():
    """Two groups of items; the last 10 users have two items of each, and the weights decide."""
    rng = np.random.default_rng(0)
    seen = np.zeros((50, 20), dtype=bool)
    seen[:20, :10], seen[20:40, 10:] = rng.random((2, 20, 10)) < 0.5
    seen[40:, [0, 1, 10, 11]] = True
    user, item = seen.nonzero()
    X = Interactions(user, item)
    share = []  # of the second group among what these users get
    for heavy in (0, 1):
        weight = np.where((user >= 40) & (item // 10 == heavy), 20.0, 1.0)
        model = MDERecommender(n_factors=8, learning_rate=0.01, random_state=0)
        ids, _ = model.fit(X, sample_weight=weight).recommend(np.arange(40, 50), k=5)
        share.append(np.mean(ids // 10))
    assert share[0] < 0.3 and share[1] > 0.7


def test_weights_find_purchases_in_a_log_of_random_views():
    """The log of the guide: what is bought or put into the cart is liked, views are at random."""
    found = np.array([ndcg_of_purchases(seed) for seed in range(4)])
    unweighted, weighted = found.mean(axis=0)
    assert weighted > 1.25 * unweighted
    assert (found[:, 1] > found[:, 0]).all()


def ndcg_of_purchases(seed):
    """Quality without weights and with them."""
    data = make_multimodal(n_users=200, n_items=300, random_state=seed)
    liked, rng = data.interactions, np.random.default_rng(seed)
    n = len(liked)
    log = pd.DataFrame(
        {
            "user": np.r_[liked.user, rng.integers(200, size=n)],
            "item": np.r_[liked.item, rng.integers(300, size=n)],
            "worth": np.r_[rng.choice([3, 10], n), np.ones(n)],
        }
    ).drop_duplicates(["user", "item"])
    X = Interactions.from_frame(log, encode=False, value="worth", n_users=200, n_items=300)
    train, test = next(RandomHoldout(test_size=0.3, random_state=0).split(X))
    train, bought = X[train], X[test[X.value[test] == 10]]
    est, found = MDERecommender(n_factors=16, random_state=0), []
    for X in (train.with_value(None), train):
        est.fit(X, item_features=data.item_features, sample_weight=X.value)
        found.append(est.score(bought))
    return found


def test_heavier_targets_of_mdsrec_lead():
    """After items 0 and 1 half of the users have item 2 and half item 3; the weights decide."""
    n = 40
    user = np.repeat(np.arange(n), 3)
    item = np.stack([np.zeros(n), np.ones(n), 2 + np.arange(n) % 2], axis=1).astype(int).ravel()
    X = Interactions(user, item, timestamp=np.tile(np.arange(3), n))
    for heavy in (2, 3):
        model = MDSRecRecommender(n_factors=4, max_epochs=40, learning_rate=0.02, random_state=0)
        model.fit(X, sample_weight=np.where(item == heavy, 20.0, 1.0))
        assert model.recommend(user_items=[[0, 1]], k=1)[0] == heavy


class Recording(MDERecommender):
    """Keeps the weights that a search passed on."""

    seen: list = []

    def fit(self, X, y=None, *, item_features=None, eval_set=None, sample_weight=None):
        if not isinstance(sample_weight, str | None):
            # Weight 1000 * user + item shows which interaction a weight belongs to.
            np.testing.assert_array_equal(sample_weight, 1000 * X.user + X.item + 1)
        self.seen.append(None if sample_weight is None else len(sample_weight))
        return super().fit(X, sample_weight=sample_weight)


GRID = {"learning_rate": [0.001, 0.01]}
SCORERS = [None, make_ranking_scorer("recall"), {"a": make_ranking_scorer("ndcg", 5)}]


@pytest.fixture
def recording():
    Recording.seen = []
    return Recording(n_factors=4, max_epochs=1, random_state=0)


@pytest.mark.parametrize("scoring", SCORERS, ids=["score", "scorer", "several"])
@pytest.mark.parametrize("search", [GridSearchCV, HalvingGridSearchCV])
@pytest.mark.parametrize("form", [np.asarray, list, pd.Series])
def test_searches_cut_weights_along(recording, search, scoring, form, quiet):
    if search is HalvingGridSearchCV and isinstance(scoring, dict):
        pytest.skip("halving takes a single metric")
    weight = form(1000 * TRAIN.user + TRAIN.item + 1)
    options = {"cv": RandomHoldout(random_state=0), "refit": "a", "error_score": "raise"}
    if not isinstance(scoring, dict):
        options["refit"] = True
    if search is HalvingGridSearchCV:
        options |= {"min_resources": N // 2, "factor": 2, "random_state": 0}
        options["return_train_score"] = False  # scores of the training set are 0, with a warning
    found = search(recording, GRID, scoring=scoring, **options).fit(TRAIN, sample_weight=weight)
    assert len(recording.seen) >= 3 and None not in recording.seen
    assert recording.seen[-1] == N > min(recording.seen)
    assert 0 < found.best_score_ < 1


@pytest.mark.parametrize("scoring", SCORERS, ids=["score", "scorer", "several"])
def test_weights_pass_with_metadata_routing(recording, scoring, quiet):
    weight = 1000 * TRAIN.user + TRAIN.item + 1
    with sklearn.config_context(enable_metadata_routing=True):
        est = recording.set_fit_request(sample_weight=True)
        refit = "a" if isinstance(scoring, dict) else True
        search = GridSearchCV(
            est, GRID, cv=RandomHoldout(random_state=0), scoring=scoring, refit=refit
        )
        search.fit(TRAIN, sample_weight=weight)
        pipeline = Pipeline([("model", est)]).fit(TRAIN, sample_weight=weight)
        assert pipeline.score(TEST) > 0
        with pytest.raises(ValueError, match="sample_weight"):  # set neither to True nor to False
            GridSearchCV(clone(ESTIMATORS["mde"]), GRID).fit(TRAIN, sample_weight=weight)
    assert None not in recording.seen and recording.seen[2] == N


def test_searches_pass_the_word_value(est, quiet):
    cv = InteractionKFold(2, random_state=0)
    search = GridSearchCV(est, GRID, cv=cv, error_score="raise")
    search.fit(VALUED, sample_weight="value")
    est.set_params(learning_rate=0.001)
    scores = cross_validate(est, VALUED, cv=cv, params={"sample_weight": "value"})["test_score"]
    i = list(search.cv_results_["param_learning_rate"]).index(0.001)
    found = [search.cv_results_[f"split{fold}_test_score"][i] for fold in range(2)]
    np.testing.assert_array_equal(found, scores)


def test_held_out_weights_do_not_enter_the_metric(est):
    est.fit(TRAIN)
    weight = np.arange(len(TEST))
    assert est.score(TEST, sample_weight=weight) == est.score(TEST)
    scorer = make_ranking_scorer("ndcg")
    assert scorer(est, TEST, sample_weight=weight) == scorer(est, TEST)
    valued = TEST.with_value(1 + weight)
    assert est.score(valued) == est.score(TEST)


@pytest.mark.parametrize(("training", "user_balance"), [("paper", 0.0), ("fast", 0.5)])
def test_mde_multiplies_weights_with_the_balance_of_users(training, user_balance):
    """Compare with the slow equation: w_ui n_u^-b over its mean, where n_u = sum of w_ui."""
    est = clone(ESTIMATORS["mde"]).set_params(training=training)
    prepared = est._build(est._prepare(TRAIN, None, None, WEIGHTS)).prepared
    user, item = prepared.train_set.nonzero()
    found = _pair_weights(est, prepared, user)
    w = {}
    for u, i, weight in zip(TRAIN.user, TRAIN.item, WEIGHTS, strict=True):
        if weight:
            w[u, i] = max(weight, w.get((u, i), 0))
    total = {u: sum(x for (v, _), x in w.items() if v == u) for u, _ in w}
    expected = {(u, i): x * total[u] ** -user_balance for (u, i), x in w.items()}
    mean = np.mean(list(expected.values()))
    np.testing.assert_allclose(
        found, [expected[pair] / mean for pair in zip(user, item, strict=True)], rtol=1e-5
    )
    w_mean = np.mean(list(w.values()))
    np.testing.assert_allclose(
        prepared.train_set.data,
        [w[pair] / w_mean for pair in zip(user, item, strict=True)],
        rtol=1e-5,
    )
