"""Checks of `score`, of `recsk.metrics.evaluate` and of scikit-learn's searches."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.model_selection import GridSearchCV

from recsk.data.interactions import Interactions
from recsk.model_selection import RandomHoldout, make_ranking_scorer
from recsk.testing.data import N_ITEMS, N_USERS, Problem, as_matrix
from recsk.testing.expect import expect, expect_equal, expect_error, expect_same
from recsk.testing.labels import as_spoken, evaluate_in_ids, score_in_ids, unwrap

__all__: list[str] = []


def check_score_is_the_metric_on_held_out_interactions(estimator: Any, problem: Problem) -> None:
    """`score` is the NDCG at `score_k`, whatever the form of the held-out interactions."""
    model, test = problem.fitted(estimator), problem.test
    k = _score_k(model)

    def metric(X: Any) -> float:
        return evaluate_in_ids(model, X, "ndcg", k)[f"ndcg@{k}"]

    expected, matrix = metric(test), as_matrix(test)
    expect(0 < expected <= 1, f"evaluate of held-out interactions must be above 0; got {expected}")
    text = "make_ranking_scorer('ndcg', k=score_k) beside evaluate"
    expect_equal(score_in_ids(model, test, "ndcg", k), expected, text)
    for name, X in (
        ("Interactions", test),
        ("csr_array", matrix),
        ("coo_array", matrix.tocoo()),
        ("dense array", matrix.toarray()),
    ):
        text = f"score of held-out interactions as {name}, beside evaluate"
        expect_equal(model.score(X), expected, text)
    words = ["X has 20 users", "the model was fitted"]
    expect_error(lambda: model.score(matrix[:20]), ValueError, words, "score of 20 rows of 30")
    few = test[test.user < 20]
    few = Interactions(few.user, few.item, n_items=N_ITEMS)  # in ids, fewer users than in the fit
    text = "score of the interactions of 20 users beside evaluate"
    expect_equal(model.score(few), metric(few), text)
    expect_equal(model.score(few), metric(test[test.user < 20]), text)
    expect_equal(model.score(few), model.score(test[test.user < 20]), text)
    worthless = Interactions(
        np.r_[test.user, np.arange(N_USERS)],
        np.r_[test.item, np.arange(N_USERS) % N_ITEMS],
        timestamp=np.arange(len(test) + N_USERS),
        value=np.r_[np.ones(len(test)), np.zeros(N_USERS)],
    )
    for value in (model.score(worthless), metric(worthless)):
        expect_equal(value, expected, "score with more interactions of value 0")


def check_evaluate_names_what_does_not_fit(estimator: Any, problem: Problem) -> None:
    """`evaluate` rejects other users than those of the fit."""
    model, test = problem.fitted(estimator), problem.test
    X = sparse.csr_array(np.ones((N_USERS + 1, N_ITEMS)))
    words = ["X_test", f"{N_USERS + 1} users"]
    expect_error(lambda: evaluate_in_ids(model, X), ValueError, words, "evaluate of 31 users")
    users = np.flatnonzero(np.diff(test.to_csr().indptr))
    one = evaluate_in_ids(model, test, eval_users=users.astype(np.uint64))
    other = evaluate_in_ids(model, test, eval_users=users.tolist())
    expect(one == other, f"evaluate with users as uint64 beside a list: {one} and {other}")


def check_held_out_data_are_matched_by_label(estimator: Any, problem: Problem) -> None:
    """A test set that was encoded by itself has other ids for the same users and items."""
    names = np.array([f"user {u}" for u in range(N_USERS)])
    titles = np.array([f"item {i}" for i in range(N_ITEMS)])

    def frame(X: Interactions, **labels: Any) -> Interactions:
        columns = {"user": names[X.user], "item": titles[X.item], "time": X.timestamp}
        return Interactions.from_frame(columns, timestamp="time", **labels)

    labels = {"user_labels": names, "item_labels": titles}
    some = problem.test[problem.test.user > 3]
    train, test = frame(problem.train, **labels), frame(some, **labels)
    model = unwrap(problem.fit(problem.new(estimator), train))
    users = np.unique(names[some.user])
    expected = model.score(test), evaluate_in_ids(model, test)
    lists = _lists(model, test, users)
    for text, other in (
        (
            "the labels of the fit as lists",
            frame(some, user_labels=[*names], item_labels=[*titles]),
        ),
        ("labels of its own", frame(some)),
        (
            "the labels backwards",
            frame(some, user_labels=names[::-1], item_labels=titles[::-1]),
        ),
    ):
        asked = f"a test set with {text} beside one with the labels of the fit"
        got = model.score(other), evaluate_in_ids(model, other)
        expect(got == expected, f"score and evaluate of {asked}: got {got}, expected {expected}")
        again = _lists(model, other, users)
        for user in users:
            ids = f"recommend(user_items=...) of {user!r}, of {asked}"
            expect_same(again[user], lists[user], ids)
    unknown = frame(problem.test).with_labels(item_labels=[f"x{i}" for i in range(N_ITEMS)])
    words = ["user_items has 'x", f"which is not one of the {N_ITEMS}"]
    asked = "recommend(user_items=interactions with unknown labels)"
    expect_error(lambda: model.recommend(user_items=unknown), KeyError, words, asked)


def _lists(model: Any, X: Interactions, users: Any) -> dict[str, Any]:
    """Return the lists of users by label, who are rows of `X` in the order of its labels."""
    ids, scores = model.recommend(user_items=X, k=3)
    rows = {label: row for row, label in enumerate(np.asarray(X.user_labels).tolist())}
    return {user: (ids[rows[user]], scores[rows[user]]) for user in users.tolist()}


def check_a_search_of_scikit_learn(estimator: Any, problem: Problem) -> None:
    """`GridSearchCV` clones, fits and scores the estimator, and refits the best one."""
    X = as_spoken(estimator, problem.train)
    raw, cv = unwrap(problem.new(estimator)), RandomHoldout(random_state=0)
    features = problem.given_features(estimator)
    options = {} if features is None else {"item_features": features}
    scorer = make_ranking_scorer("ndcg", k=_score_k(raw))
    # Two equal candidates; an estimator need not have a parameter.
    grid = {name: [value, value] for name, value in [*raw.get_params(deep=False).items()][:1]}
    search = GridSearchCV(raw, grid, cv=cv, scoring=scorer, error_score="raise")
    search.fit(X, **options)
    train, test = next(cv.split(X))
    model = unwrap(problem.fit(problem.new(estimator), problem.train[train]))
    expected = scorer(model, X[test])
    for value in search.cv_results_["mean_test_score"]:
        expect(
            np.isclose(value, expected, rtol=1e-6),
            f"GridSearchCV must score as the split by hand; got {value}, expected {expected}",
        )
    best = search.best_estimator_.recommend(k=5)
    whole = unwrap(problem.fitted(estimator)).recommend(k=5)
    expect_same(best, whole, "recommend of best_estimator_ beside fit on all of X")


def _score_k(model: Any) -> int:
    """Return the length of the lists that `score` measures."""
    return int(getattr(model, "score_k", 10))
