import pickle
from itertools import pairwise

import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    check_cv,
    cross_val_score,
    cross_validate,
)

from recsk import Interactions
from recsk.interactions import interaction_matrix
from recsk.metrics import METRICS, evaluate
from recsk.model_selection import (
    InteractionKFold,
    LeaveLastOut,
    PredefinedInteractionSplit,
    RandomHoldout,
    RankingScorer,
    TemporalSplit,
    make_ranking_scorer,
)
from recsk.ranking import top_k

FEATURES = {"v": np.ones((40, 3), "f4"), "t": np.ones((40, 2), "f2")}


class Popularity(BaseEstimator):
    """The least that a recommender can be; `taste` tells good settings from bad."""

    def __init__(self, taste=1.0, max_epochs=10):
        self.taste = taste
        self.max_epochs = max_epochs

    def fit(self, X, y=None, *, item_features=None):
        self.seen_ = interaction_matrix(X)
        self.n_features_in_ = self.seen_.shape[1]
        self.features_ = item_features
        if item_features is not None:
            assert {name: f.shape[0] for name, f in item_features.items()} == {"v": 40, "t": 40}
        return self

    def recommend(self, user_ids, k=10, *, exclude_seen=True):
        popularity = self.seen_.sum(axis=0)[:, np.newaxis]
        vectors = np.full((len(user_ids), 1), self.taste)
        return top_k(vectors, popularity, k, exclude=self.seen_[user_ids] if exclude_seen else None)

    def score(self, X, y=None):
        return evaluate(self, X, "ndcg", 10)["ndcg@10"]


SPLITTERS = [
    RandomHoldout(random_state=0),
    RandomHoldout(n_splits=3, test_size=0.5, random_state=0),
    LeaveLastOut(),
    LeaveLastOut(n_splits=3, n_last=2),
    TemporalSplit(),
    TemporalSplit(n_splits=3, test_size=0.2),
    InteractionKFold(random_state=0),
    InteractionKFold(n_splits=2, random_state=0),
    PredefinedInteractionSplit(np.arange(800) % 4 - 1),
]


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.parametrize("cv", SPLITTERS, ids=lambda cv: f"{type(cv).__name__}-{cv.get_n_splits()}")
class TestEverySplitter:
    def test_yields_disjoint_ascending_indices(self, cv, interactions):
        splits = list(cv.split(interactions))
        assert len(splits) == cv.get_n_splits(interactions)
        for train, test in splits:
            assert train.dtype.kind == test.dtype.kind == "i"
            assert (np.diff(train) > 0).all() and (np.diff(test) > 0).all()
            assert not np.intersect1d(train, test).size and test.size
            assert set(interactions.user[test]) <= set(interactions.user[train])

    def test_a_second_call_gives_the_same(self, cv, interactions):
        for a, b in zip(cv.split(interactions), cv.split(interactions), strict=True):
            np.testing.assert_array_equal(a[0], b[0])
            np.testing.assert_array_equal(a[1], b[1])

    def test_the_only_interaction_of_a_user_is_never_tested(self, cv):
        # 790 interactions of one user, one each of ten others, at random times
        user = np.r_[np.zeros(790, int), np.arange(1, 11)]
        time = np.random.default_rng(0).permutation(800)
        X = Interactions(user, np.arange(800), timestamp=time)
        for _, test in cv.split(X):
            assert not X.user[test].any()

    def test_scikit_learn_takes_it(self, cv, interactions):
        assert check_cv(cv) is cv
        copy = clone(cv)
        assert copy is not cv and repr(copy) == repr(cv)
        pickle.loads(pickle.dumps(cv))
        scores = cross_val_score(Popularity(), interactions, cv=cv, error_score="raise")
        assert len(scores) == cv.get_n_splits() and (scores > 0).all()

    @pytest.mark.parametrize("matrix", [sparse.csr_array((3, 4)), np.zeros((3, 4)), [[1]]])
    def test_refuses_a_matrix_with_the_line_that_mends_it(self, cv, matrix):
        with pytest.raises(TypeError, match=r"pass Interactions\.from_csr\(.*\) in place") as error:
            cv.split(matrix)
        timed = isinstance(cv, (LeaveLastOut, TemporalSplit))
        assert ("from_csr(X, values_as='timestamp')" in str(error.value)) == timed

    def test_an_empty_test_set_is_an_error(self, cv):
        X = Interactions(np.arange(800), np.zeros(800, int), timestamp=np.arange(800))
        with pytest.raises(ValueError, match="leaves nothing to test"):
            next(cv.split(X))


class TestRandomHoldout:
    def test_rounds_to_the_nearest_and_keeps_one(self):
        counts = np.arange(1, 12)
        X = Interactions(np.repeat(np.arange(11), counts), np.zeros(counts.sum(), int))
        for size, expected in [
            (0.2, [0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2]),
            (0.9, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ]:
            _, test = next(RandomHoldout(test_size=size, random_state=0).split(X))
            np.testing.assert_array_equal(np.bincount(X.user[test], minlength=11), expected)

    def test_halves_are_rounded_up_though_floats_are_below_them(self):
        X = Interactions(np.zeros(50, int), np.arange(50))
        assert len(next(RandomHoldout(test_size=0.29, random_state=0).split(X))[1]) == 15  # 14.5

    def test_splits_differ_and_are_uniform(self):
        X = Interactions(np.zeros(10, int), np.arange(10))
        cv = RandomHoldout(n_splits=2000, test_size=0.3, random_state=0)
        times_tested = np.bincount(np.concatenate([test for _, test in cv.split(X)]), minlength=10)
        assert times_tested.sum() == 6000
        assert abs(times_tested - 600).max() < 100  # five standard deviations

    def test_seeds(self, interactions):
        def test_of(state):
            return next(RandomHoldout(random_state=state).split(interactions))[1].tolist()

        assert test_of(0) == test_of(np.random.RandomState(0)) != test_of(1)
        assert test_of(None) != test_of(None)

    def test_train_and_test_are_everything(self, interactions):
        train, test = next(RandomHoldout(random_state=0).split(interactions))
        np.testing.assert_array_equal(np.sort(np.r_[train, test]), np.arange(800))


class TestInteractionKFold:
    def test_every_interaction_is_tested_once_but_only_ones(self):
        user = np.r_[np.repeat(np.arange(50), 7), 50, 51]
        X = Interactions(user, np.zeros(len(user), int))
        tests = [test for _, test in InteractionKFold(random_state=0).split(X)]
        np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(350))
        for test in tests:  # 7 over 5 folds: 1 or 2 of each user in each
            assert set(np.bincount(X.user[test], minlength=50)[:50]) <= {1, 2}
            assert 55 < len(test) < 85

    @pytest.mark.parametrize("seed", range(20))
    def test_folds_are_of_one_size(self, seed):
        X = Interactions(np.repeat([0, 1, 2], 3), np.tile([0, 1, 2], 3))
        sizes = [len(test) for _, test in InteractionKFold(5, random_state=seed).split(X)]
        assert sorted(sizes) == [1, 2, 2, 2, 2]

    def test_train_is_the_complement(self, interactions):
        for train, test in InteractionKFold(random_state=0).split(interactions):
            assert len(train) + len(test) == 800


class TestLeaveLastOut:
    X = Interactions(
        [0, 1, 0, 0, 1, 0, 2], np.arange(7), timestamp=[1, 9, 4, 3, 8, 2, 5], n_users=4
    )

    def splits(self, **parameters):
        return [(a.tolist(), b.tolist()) for a, b in LeaveLastOut(**parameters).split(self.X)]

    def test_last(self):
        assert self.splits() == [([0, 3, 4, 5, 6], [1, 2])]

    def test_several_last_but_never_the_first(self):
        assert self.splits(n_last=2) == [([0, 4, 5, 6], [1, 2, 3])]
        assert self.splits(n_last=10) == [([0, 4, 6], [1, 2, 3, 5])]

    def test_rolls_forward_without_the_future(self):
        first, second = self.splits(n_splits=2)
        assert second == self.splits()[0]
        assert first == ([0, 4, 5, 6], [3])  # 1 and 2 are the future, dropped

    def test_equal_times_keep_the_order_of_the_input(self):
        X = Interactions([0, 0, 0], [0, 1, 2], timestamp=[1, 1, 1])
        assert next(LeaveLastOut().split(X))[1].tolist() == [2]

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=25))
    def test_equals_a_loop_over_users(self, rows):
        user, time = (np.array(column) for column in zip(*rows, strict=True))
        X = Interactions(user, np.zeros(len(rows), int), timestamp=time)
        expected_test = []
        for u in set(user.tolist()):
            mine = sorted((t, row) for row, (v, t) in enumerate(rows) if v == u)
            expected_test += [row for _, row in mine[1:][-2:]]
        if expected_test:
            train, test = next(LeaveLastOut(n_last=2).split(X))
            assert sorted(expected_test) == test.tolist()
            assert len(train) + len(test) == len(rows)


class TestTemporalSplit:
    def test_cuts_at_one_time(self, interactions):
        train, test = next(TemporalSplit(test_size=0.25).split(interactions))
        time = interactions.timestamp
        assert time[train].max() < time[test].min()
        assert 190 <= len(test) <= 215 and len(train) + len(test) == 800

    def test_windows_expand(self, interactions):
        splits = list(TemporalSplit(n_splits=3, test_size=0.2).split(interactions))
        for (earlier, between), (later, _) in pairwise(splits):
            np.testing.assert_array_equal(np.sort(np.r_[earlier, between]), later)

    def test_equal_times_stay_together(self):
        X = Interactions([0] * 6, range(6), timestamp=[0, 1, 1, 1, 1, 1])
        train, test = next(TemporalSplit(test_size=0.2).split(X))
        assert (train.tolist(), test.tolist()) == ([0], [1, 2, 3, 4, 5])

    def test_new_users_are_left_out(self):
        X = Interactions([0, 0, 1, 1], [0, 1, 0, 1], timestamp=[0, 3, 2, 4])
        train, test = next(TemporalSplit(test_size=0.5).split(X))
        assert (train.tolist(), test.tolist()) == ([0, 2], [1, 3])
        X = Interactions([0, 0, 1, 1], [0, 1, 0, 1], timestamp=[0, 1, 2, 3])
        with pytest.raises(ValueError, match="leaves nothing to test"):
            next(TemporalSplit(test_size=0.5).split(X))

    @pytest.mark.parametrize(("times", "n_splits"), [([7] * 6, 1), ([1, 1, 7, 7, 7, 7], 2)])
    def test_too_much_at_one_time(self, times, n_splits):
        X = Interactions([0, 1] * 3, range(6), timestamp=times)
        with pytest.raises(ValueError, match="too many interactions share the time 7"):
            next(TemporalSplit(n_splits=n_splits).split(X))

    def test_too_many_splits(self, interactions):
        with pytest.raises(ValueError, match="n_splits=5 test sets of 160 leave none of the 800"):
            next(TemporalSplit(n_splits=5).split(interactions))


class TestPredefined:
    def test_is_scikit_learns(self, interactions):
        labels = np.arange(800) % 4 - 1
        theirs = sklearn.model_selection.PredefinedSplit(labels)
        ours = PredefinedInteractionSplit(labels.tolist())
        assert ours.get_n_splits() == theirs.get_n_splits() == 3
        for a, b in zip(ours.split(interactions), theirs.split(), strict=True):
            np.testing.assert_array_equal(a[0], b[0])
            np.testing.assert_array_equal(a[1], b[1])

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([0, 1], "got 2 labels and 800 interactions"),
            (np.full(800, -1), "labels name no test set"),
            (np.full(800, -2), "labels must be -1 or more; got -2"),
            (np.zeros(800), "labels must be 1-D and hold integers; got 1 axes of float64"),
        ],
    )
    def test_bad_labels(self, labels, message, interactions):
        with pytest.raises(ValueError, match=message):
            next(PredefinedInteractionSplit(labels).split(interactions))


@pytest.mark.parametrize("cv", [LeaveLastOut(), TemporalSplit()])
def test_splits_by_time_need_timestamps(cv):
    with pytest.raises(ValueError, match=r"needs timestamps.*values_as='timestamp'"):
        next(cv.split(Interactions([0, 0], [0, 1])))


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (RandomHoldout(test_size=1.0), "'test_size' parameter of RandomHoldout"),
        (RandomHoldout(n_splits=0), "'n_splits' parameter of RandomHoldout"),
        (InteractionKFold(1), "'n_splits' parameter of InteractionKFold"),
        (LeaveLastOut(n_last=0), "'n_last' parameter of LeaveLastOut"),
        (TemporalSplit(test_size=-1), "'test_size' parameter of TemporalSplit"),
    ],
)
def test_parameters_out_of_range(cv, message, interactions):
    with pytest.raises(ValueError, match=message):
        cv.split(interactions)


class TestScorer:
    @pytest.mark.parametrize("metric", METRICS)
    def test_is_the_metric(self, metric, interactions):
        train, test = next(RandomHoldout(random_state=0).split(interactions))
        est = Popularity().fit(interactions[train])
        scorer = make_ranking_scorer(metric, k=5)
        expected = evaluate(est, interactions[test], metric, 5)[f"{metric}@5"]
        for same in (scorer, clone(scorer), pickle.loads(pickle.dumps(scorer))):
            assert same(est, interactions[test]) == same(est, interactions[test], None) == expected

    def test_seen_items(self, interactions):
        est = Popularity().fit(interactions)
        assert make_ranking_scorer("recall")(est, interactions) == 0
        assert make_ranking_scorer("recall", exclude_seen=False)(est, interactions) > 0

    def test_refuses_at_once(self):
        with pytest.raises(ValueError, match="one of recall, ndcg, .*, coverage; got 'ndgc'"):
            make_ranking_scorer("ndgc")
        with pytest.raises(ValueError, match="k must be 1 or more; got 0"):
            make_ranking_scorer("ndcg", k=0)
        with pytest.raises(TypeError, match="exclude_seen must be a bool; got 'yes'"):
            make_ranking_scorer("ndcg", exclude_seen="yes")
        with pytest.raises(ValueError, match="^metric must be one of"):
            RankingScorer("ndcg@10")(None, None)

    def test_repr(self):
        assert repr(make_ranking_scorer("map", 20)) == "RankingScorer(k=20, metric='map')"


GRID = {"taste": [-1.0, 1.0]}
SCORING = {name: make_ranking_scorer(name, k=10) for name in METRICS}


def check_search(search):
    assert search.best_params_["taste"] == 1.0  # the popular, not the unpopular
    assert set(search.best_estimator_.features_) == {"v", "t"}
    ids, scores = search.best_estimator_.recommend([0], k=3)
    assert ids.shape == scores.shape == (1, 3)


class TestSearches:
    """scikit-learn's own searches, without metadata routing."""

    request = staticmethod(lambda est: est)

    @pytest.mark.parametrize("n_jobs", [None, 2])
    @pytest.mark.parametrize("cv", [RandomHoldout(random_state=0), InteractionKFold(3)], ids=str)
    def test_grid_search(self, cv, n_jobs, interactions):
        search = GridSearchCV(
            self.request(Popularity()),
            GRID,
            cv=cv,
            n_jobs=n_jobs,
            error_score="raise",
            scoring=make_ranking_scorer("ndcg", k=10),
        )
        check_search(search.fit(interactions, item_features=FEATURES))

    def test_default_score(self, interactions):
        search = GridSearchCV(
            self.request(Popularity()), GRID, cv=LeaveLastOut(), error_score="raise"
        )
        check_search(search.fit(interactions, item_features=FEATURES))

    @pytest.mark.parametrize("n_jobs", [None, 2])
    def test_several_scorers(self, n_jobs, interactions):
        search = GridSearchCV(
            self.request(Popularity()),
            GRID,
            cv=TemporalSplit(),
            n_jobs=n_jobs,
            scoring=SCORING,
            refit="recall",
            error_score="raise",
        )
        check_search(search.fit(interactions, item_features=FEATURES))
        assert all(f"mean_test_{name}" in search.cv_results_ for name in SCORING)

    def test_halving(self, interactions):
        search = HalvingGridSearchCV(
            self.request(Popularity()),
            {"taste": [-2.0, -1.0, 0.0, 1.0]},
            factor=2,
            resource="max_epochs",
            max_resources=8,
            min_resources=2,
            error_score="raise",
            cv=RandomHoldout(random_state=0),
            scoring=make_ranking_scorer("recall"),
        )
        check_search(search.fit(interactions, item_features=FEATURES))
        assert search.n_resources_ == [2, 4, 8]

    def test_cross_validate(self, interactions):
        result = cross_validate(
            self.request(Popularity()),
            interactions,
            cv=InteractionKFold(4, random_state=0),
            scoring=SCORING,
            params={"item_features": FEATURES},
            n_jobs=2,
            error_score="raise",
            return_estimator=True,
        )
        assert all(len(result[f"test_{name}"]) == 4 for name in SCORING)
        assert set(result["estimator"][0].features_) == {"v", "t"}

    def test_cross_val_score(self, interactions):
        scores = cross_val_score(
            self.request(Popularity()),
            interactions,
            cv=LeaveLastOut(n_splits=2),
            scoring=make_ranking_scorer("mrr"),
            params={"item_features": FEATURES},
            error_score="raise",
        )
        assert len(scores) == 2 and (scores > 0).all()

    def test_a_matrix_is_refused_in_a_search_too(self, interactions):
        search = GridSearchCV(Popularity(), GRID, cv=RandomHoldout())
        with pytest.raises(TypeError, match=r"Interactions\.from_csr\(X\)"):
            search.fit(interactions.to_csr())

    def test_splitter_parameters_are_parameters_of_the_search(self):
        search = GridSearchCV(Popularity(), GRID, cv=RandomHoldout())
        assert clone(search).set_params(cv__test_size=0.5).cv.test_size == 0.5


@pytest.mark.usefixtures("routing")
class TestSearchesWithRouting(TestSearches):
    """The same with metadata routing."""

    request = staticmethod(lambda est: est.set_fit_request(item_features=True))


def test_halving_asks_for_constant_splits(interactions):
    def halving(cv):
        return HalvingGridSearchCV(
            Popularity(),
            GRID,
            resource="max_epochs",
            max_resources=8,
            cv=cv,
            scoring=make_ranking_scorer("recall"),
        )

    for cv in (LeaveLastOut(), TemporalSplit(), PredefinedInteractionSplit(np.arange(800) % 2)):
        halving(cv).fit(interactions)
    with pytest.raises(ValueError, match="Set its random_state to an int"):
        halving(RandomHoldout()).fit(interactions)


@pytest.mark.realdata
def test_popularity_on_real_data(real_data):
    data = real_data("ml100k")
    X = Interactions(data["user"], data["item"], timestamp=data["timestamp"])
    for cv in (RandomHoldout(random_state=0), LeaveLastOut(), TemporalSplit()):
        train, test = next(cv.split(X))
        values = evaluate(Popularity().fit(X[train]), X[test], METRICS, k=(5, 10, 20))
        assert 0.01 < values["recall@20"] < 0.5 and values["recall@5"] < values["recall@20"]
