"""Logs that hold a pair of a user and an item several times."""

import inspect
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import cross_validate

from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.contract import Learned
from recsk.contract.inputs import InputChecks
from recsk.metrics import evaluate
from recsk.model_selection import (
    InteractionKFold,
    LeaveLastOut,
    PredefinedInteractionSplit,
    RandomHoldout,
    TemporalSplit,
    make_ranking_scorer,
)

N_USERS, N_ITEMS = 5, 6
INDICES = Path(__file__).with_name("indices.json")

# With and without repeats in test sets: the second needs an answer that recommends seen items.
PROTOCOLS = {
    "mde": (MDERecommender(), False),
    "mdsrec": (MDSRecRecommender(), False),
    "mdsrec, repeats": (MDSRecRecommender(repeats=True), True),
}
SPLITTERS = {
    "holdout": lambda **kw: RandomHoldout(n_splits=2, test_size=0.4, random_state=0, **kw),
    "folds": lambda **kw: InteractionKFold(3, random_state=0, **kw),
    "last": lambda **kw: LeaveLastOut(**kw),
    "last two": lambda **kw: LeaveLastOut(n_splits=2, n_last=2, **kw),
    "time": lambda **kw: TemporalSplit(n_splits=2, test_size=0.3, **kw),
}


@st.composite
def logs(draw):
    """Interactions, with repeats or without, at different times or at the same."""
    pairs = st.tuples(st.integers(0, N_USERS - 1), st.integers(0, N_ITEMS - 1))
    rows = draw(st.lists(pairs, min_size=4, max_size=25, unique=draw(st.booleans())))
    rows *= draw(st.integers(1, 2))
    times = st.integers(0, draw(st.sampled_from([3, 100])))
    time = draw(st.lists(times, min_size=len(rows), max_size=len(rows)))
    user, item = zip(*rows, strict=True)
    return Interactions(user, item, timestamp=time, n_users=N_USERS, n_items=N_ITEMS)


def pairs(X):
    return list(zip(X.user.tolist(), X.item.tolist(), strict=True))


def splits_of(cv, X):
    """All splits; none where nothing can be held out."""
    try:
        return list(cv.split(X))
    except ValueError as error:
        impossible = ("leaves nothing to test", "is more than the", "too many", "leave none")
        assert any(words in str(error) for words in impossible)
        return []


def oracle(est, train, test):
    """The estimator as fitted on `train`, with vectors that rank the items of `test` first."""
    InputChecks._check_interactions(est, train, reset=True)
    est._set_fitted(train, Learned(np.eye(train.n_items), test.to_csr().toarray()))
    return est


def scores(est, train, test, exclude_seen):
    """The NDCG of a perfect model by all ways to measure it."""
    model = oracle(est, train, test)
    yield model.score(test)
    for k in (1, 3, 10):
        yield evaluate(model, test, "ndcg", k, exclude_seen=exclude_seen)[f"ndcg@{k}"]
        yield make_ranking_scorer("ndcg", k, exclude_seen=exclude_seen)(model, test)


several = settings(max_examples=40)


@pytest.mark.parametrize("splitter", SPLITTERS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@several
@given(X=logs())
def test_a_perfect_model_has_an_ndcg_of_1(protocol, splitter, X):
    est, repeats = PROTOCOLS[protocol]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for train, test in splits_of(SPLITTERS[splitter](repeats=repeats), X):
            np.testing.assert_allclose(
                list(scores(est, X[train], X[test], exclude_seen=not repeats)), 1
            )


@pytest.mark.parametrize("protocol", PROTOCOLS)
@several
@given(X=logs(), one_label_per_pair=st.booleans(), seed=st.integers(0, 9))
def test_a_perfect_model_under_given_labels_has_1_or_a_warning(
    protocol, X, one_label_per_pair, seed
):
    est, repeats = PROTOCOLS[protocol]
    labels = np.random.default_rng(seed).integers(-1, 3, (N_USERS, N_ITEMS, len(X)))
    labels = labels[X.user, X.item, 0 if one_label_per_pair else np.arange(len(X))]
    if (labels < 0).all():
        return
    expected = [
        label
        for label, pair in zip(labels, pairs(X), strict=True)
        if label >= 0
        and any(p == pair and other != label for p, other in zip(pairs(X), labels, strict=True))
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        splits = splits_of(PredefinedInteractionSplit(labels), X)
    assert len(caught) == bool(expected)
    if expected:
        text = str(caught[0].message)
        assert text.startswith(f"{len(expected)} of the {(labels >= 0).sum()} interactions to test")
        assert "the same label" in text and "X.deduplicate()" in text
    for train, test in splits:
        n_seen = len(set(pairs(X[train])) & set(pairs(X[test])))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = list(scores(est, X[train], X[test], exclude_seen=not repeats))
        if repeats or not n_seen:
            np.testing.assert_allclose(found, 1)
            assert not caught
        else:
            assert len(caught) == len(found)  # once a call
            for warning in caught:
                assert str(warning.message).startswith(f"{n_seen} of the ")


@several
@given(X=logs())
def test_all_repeats_of_a_pair_are_on_one_side(X):
    distinct = {u: len({i for v, i in pairs(X) if v == u}) for u in range(N_USERS)}
    for name in ("holdout", "folds"):
        splits = splits_of(SPLITTERS[name](), X)
        for train, test in splits:
            assert not set(pairs(X[train])) & set(pairs(X[test]))
            assert sorted([*train, *test]) == list(range(len(X)))
        tested = [set(pairs(X[test])) for _, test in splits]
        if name == "holdout":
            for found in tested:
                n_test = [sum(u == user for u, _ in found) for user in range(N_USERS)]
                assert n_test == [int(min(n * 0.4 + 0.5, max(n - 1, 0))) for n in distinct.values()]
        elif splits:
            assert set().union(*tested) == {pair for pair in pairs(X) if distinct[pair[0]] > 1}
            assert np.ptp([len(found) for found in tested]) <= 1


@several
@given(X=logs())
def test_splits_by_time_leave_out_what_training_has_seen_and_nothing_else(X):
    for name in ("last", "last two", "time"):
        splits = splits_of(SPLITTERS[name](), X)
        expected = splits_of(SPLITTERS[name](repeats=True), X)
        for (train, test), (same, all_tested) in zip(splits, expected, strict=False):
            assert train.tolist() == same.tolist()
            seen = set(pairs(X[train]))
            rows = zip(all_tested.tolist(), pairs(X[all_tested]), strict=True)
            assert test.tolist() == [row for row, pair in rows if pair not in seen]


@several
@given(X=logs())
def test_random_splits_draw_pairs_as_if_each_stood_once(X):
    distinct = X[np.sort(np.unique(X.user * N_ITEMS + X.item, return_index=True)[1])]
    for name in ("holdout", "folds"):
        splits, once = (splits_of(SPLITTERS[name](), data) for data in (X, distinct))
        for (_, test), (_, test_once) in zip(splits, once, strict=True):
            assert set(pairs(X[test])) == set(pairs(distinct[test_once]))


def stored():
    number = np.arange(36) * 23 % 64  # no pair twice
    user, item = np.divmod(number, 8)
    X = Interactions(user, item, timestamp=np.arange(36) * 17 % 29, n_users=9)
    splitters = [
        (RandomHoldout, {"n_splits": 2, "test_size": 0.4, "random_state": 0}),
        (RandomHoldout, {"random_state": 7}),
        (InteractionKFold, {"n_splits": 3, "random_state": 0}),
        (InteractionKFold, {"random_state": 7}),
        (LeaveLastOut, {"n_splits": 2, "n_last": 2}),
        (LeaveLastOut, {}),
        (TemporalSplit, {"n_splits": 2, "test_size": 0.3}),
        (TemporalSplit, {}),
        (PredefinedInteractionSplit, {"labels": (np.arange(36) * 7 % 3 - 1).tolist()}),
    ]
    return X, splitters, json.loads(INDICES.read_text(encoding="utf-8"))


def test_without_repeats_the_indices_are_those_of_the_first_version():
    X, splitters, expected = stored()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for (splitter, params), indices in zip(splitters, expected, strict=True):
            changes = [{}]
            if splitter is not PredefinedInteractionSplit:
                changes += [{"repeats": True}]
            for change in changes:
                splits = splitter(**params, **change).split(X)
                assert [[train.tolist(), test.tolist()] for train, test in splits] == indices


@pytest.mark.parametrize("name", SPLITTERS)
def test_with_repeats_the_test_sets_are_those_of_the_first_version(name):
    """`repeats=True` draws and tests every interaction by itself, whatever its item."""
    rng = np.random.default_rng(0)
    user, time = rng.integers(0, 5, 60), rng.integers(0, 99, 60)
    X, different = (
        Interactions(user, item, timestamp=time) for item in (np.zeros(60, int), np.arange(60))
    )
    cv = SPLITTERS[name](repeats=True)
    for (train, test), (same_train, same_test) in zip(
        cv.split(X), cv.split(different), strict=True
    ):
        np.testing.assert_array_equal(train, same_train)
        np.testing.assert_array_equal(test, same_test)


class TestEachPairTwice:
    """LeaveLastOut and evaluate once gave a recall of 0 on such a log, without a word."""

    once = Interactions(np.repeat(np.arange(20), 5), np.arange(100) % 17, timestamp=np.arange(100))
    X = once[np.repeat(np.arange(100), 2)]

    def recall(self, cv, X):
        train, test = next(cv.split(X))
        return evaluate(oracle(MDERecommender(), X[train], X[test]), X[test], "recall", 10)

    def test_the_splitter_names_the_cure(self):
        message = (
            r"leaves nothing to test.* with another item\. 100 of the 200 interactions repeat the "
            r"user and item of another one: X\.deduplicate\(\).*repeats=True"
        )
        with pytest.raises(ValueError, match=message):
            self.recall(LeaveLastOut(), self.X)

    def test_the_evaluation_warns(self):
        message = (
            r"^20 of the 20 held-out interactions are in training too.*X\.deduplicate\(\).*"
            r"exclude_seen=False \(score: MDSRecRecommender\(repeats=True\)\)"
        )
        with pytest.warns(UserWarning, match=message) as caught:
            assert self.recall(LeaveLastOut(repeats=True), self.X) == {"recall@10": 0}
        assert len(caught) == 1

    @pytest.mark.parametrize("keep", ["first", "last", "sum", "max"])
    def test_the_cure_works(self, keep):
        X = self.X.with_value(np.ones(len(self.X))) if keep == "max" else self.X
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert self.recall(LeaveLastOut(), X.deduplicate(keep)) == {"recall@10": 1}

    def test_with_values_the_cure_keeps_the_largest(self):
        """The advised code once kept the view of each pair and dropped the purchase."""
        X = self.X.with_value(np.tile([1, 10], 100))  # a view, then a purchase
        message = r"X\.deduplicate\(\"max\"\)"
        with pytest.raises(ValueError, match=message):
            next(LeaveLastOut().split(X))
        with pytest.warns(UserWarning, match=message):
            list(PredefinedInteractionSplit(np.tile([-1, 0], 100)).split(X))
        purchases = X[1::2]
        model = oracle(MDERecommender(), X[::2], purchases)
        with pytest.warns(UserWarning, match=message):
            evaluate(model, purchases, "recall", 10)
        assert (X.deduplicate("max").value == 10).all()

    @pytest.mark.parametrize("cv", [LeaveLastOut, TemporalSplit])
    def test_a_later_purchase_of_a_viewed_item_is_kept_as_the_guide_says(self, cv):
        user = np.tile(np.arange(3), 3)
        item = np.repeat([4, 5, 4], 3)  # each views 4, views 5 and buys 4
        X = Interactions(user, item, timestamp=np.arange(9), value=np.repeat([1, 1, 10], 3))
        with pytest.raises(ValueError, match="leaves nothing to test"):
            next((cv(test_size=1 / 3) if cv is TemporalSplit else cv()).split(X))
        for log, options in ((X.deduplicate("max"), {}), (X, {"repeats": True})):
            if cv is TemporalSplit:
                options["test_size"] = 3 / len(log)
            train, test = next(cv(**options).split(log))
            assert log.item[test].tolist() == [4, 4, 4]
            assert set(log.value[test]) == {10} and set(log.value[train]) == {1}

    def test_other_splitters_need_no_cure(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for cv in (RandomHoldout(random_state=0), InteractionKFold(random_state=0)):
                assert self.recall(cv, self.X) == {"recall@10": 1}


def test_one_item_many_times_is_never_tested():
    X = Interactions([0] * 5 + [1] * 5, [3] * 5 + [1, 2, 3, 1, 2], timestamp=np.arange(10))
    for splitter in SPLITTERS.values():
        for _, test in splits_of(splitter(), X):
            assert 0 not in X.user[test]
    only = X[:5]
    for cv in (RandomHoldout(), LeaveLastOut()):
        with pytest.raises(ValueError, match=r"with another item\. 4 of the 5 interactions repeat"):
            next(cv.split(only))
    with pytest.raises(ValueError, match="n_splits=2 is more than the 1 .* repeats count once"):
        next(InteractionKFold(2).split(only))


class TestSearches:
    """Warnings that reach the user of scikit-learn's searches."""

    X = Interactions(
        np.repeat(np.arange(12), 6), np.tile([0, 1, 2, 3, 0, 1], 12), timestamp=np.arange(72)
    )

    def search(self, est, cv, scoring):
        return cross_validate(est, self.X, cv=cv, scoring=scoring, error_score="raise")

    @pytest.mark.parametrize(
        "scoring", [None, make_ranking_scorer("ndcg")], ids=["score", "scorer"]
    )
    def test_a_search_warns_once_for_each_fold(self, scoring):
        cv = LeaveLastOut(n_splits=2, repeats=True)
        est = MDERecommender(n_factors=2, max_epochs=1, random_state=0)
        with pytest.warns(UserWarning, match="^12 of the 12 held-out .* in training") as caught:
            assert not self.search(est, cv, scoring)["test_score"].any()
        assert sum("held-out" in str(warning.message) for warning in caught) == 2

    def test_a_search_that_ranks_seen_items_does_not_warn(self):
        est = MDSRecRecommender(repeats=True, n_factors=2, n_heads=1, max_epochs=1, random_state=0)
        cv = LeaveLastOut(n_splits=2, repeats=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for scoring in (None, make_ranking_scorer("ndcg", exclude_seen=False)):
                assert self.search(est, cv, scoring)["test_score"].all()

    def test_a_model_of_repeats_whose_scorer_masks_them_warns(self):
        est = MDSRecRecommender(repeats=True, n_factors=2, n_heads=1, max_epochs=1, random_state=0)
        with pytest.warns(UserWarning, match="held-out .* in training.*use exclude_seen=False"):
            self.search(est, LeaveLastOut(repeats=True), make_ranking_scorer("ndcg"))


@pytest.mark.parametrize("name", SPLITTERS)
def test_repeats_is_a_keyword_and_a_bool(name):
    with pytest.raises(ValueError, match="The 'repeats' parameter"):
        SPLITTERS[name](repeats="yes").split(TestSearches.X)
    assert SPLITTERS[name](repeats=np.True_).get_params()["repeats"]
    parameter = inspect.signature(type(SPLITTERS[name]())).parameters["repeats"]
    assert parameter.kind is parameter.KEYWORD_ONLY and parameter.default is False
