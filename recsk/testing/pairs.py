"""Checks of `score_pairs` and `recommend_users`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from recsk.testing.candidates import best_of, expect_ranked, forms
from recsk.testing.data import COLD_USER, HISTORIES, N_ITEMS, N_USERS, Problem
from recsk.testing.expect import expect, expect_close, expect_equal, expect_error
from recsk.testing.labels import InIds, unwrap

__all__: list[str] = []


def check_scores_of_pairs(estimator: Any, problem: Problem) -> None:
    """`score_pairs` gives the scores of `rank_items`, for pairs in any order, some twice."""
    model = problem.fitted(estimator)
    expected = _scores(model.recommend(k=N_ITEMS, exclude_seen=False), N_ITEMS)
    rng = np.random.default_rng(0)
    for n in (0, 1, 3, 300):
        users, items = rng.integers(N_USERS, size=n), rng.integers(N_ITEMS, size=n)
        scores = model.score_pairs(users, items)
        asked = f"score_pairs of {n} pairs"
        expect(
            isinstance(scores, np.ndarray) and scores.dtype == np.float32,
            f"{asked} must return an array of float32; got {getattr(scores, 'dtype', scores)}",
        )
        text = f"{asked} beside the scores of recommend(exclude_seen=False)"
        expect_close(scores, expected[users, items], text)
    expect_close(model.score_pairs(3, 5), expected[3, 5], "score_pairs(3, 5)")
    everybody = model.score_pairs(None, np.arange(N_USERS) % N_ITEMS)
    wanted = expected[np.arange(N_USERS), np.arange(N_USERS) % N_ITEMS]
    expect_close(everybody, wanted, "score_pairs(None, items): the item of each user in order")


def check_scores_of_pairs_of_new_users(estimator: Any, problem: Problem) -> None:
    """`score_pairs` takes one history for each item, as `recommend` takes them."""
    model = problem.fitted(estimator)
    answer = model.recommend([2], user_items=HISTORIES, k=N_ITEMS, exclude_seen=False)
    expected = _scores(answer, N_ITEMS)
    n = len(HISTORIES)
    for shift in range(4):
        items = (np.arange(n) * 5 + shift) % N_ITEMS
        text = f"score_pairs(None, {items.tolist()}, user_items={HISTORIES})"
        scores = model.score_pairs(None, items, user_items=HISTORIES)
        expect_close(scores, expected[np.arange(1, n + 1), items], text)
    items = np.r_[4, items]
    text = "score_pairs([2], items, user_items=...): known users, then new ones"
    scores = model.score_pairs([2], items, user_items=HISTORIES)
    expect_close(scores, expected[np.arange(n + 1), items], text)


def check_the_best_users_for_items(estimator: Any, problem: Problem) -> None:
    """`recommend_users` ranks the users with a history who have not seen the item."""
    model = problem.fitted(estimator)
    by_user = _scores(model.recommend(k=N_ITEMS, exclude_seen=False), N_ITEMS)
    items = np.array([4, 0, 11, 4, 23])
    scores = by_user[:, items].T
    order = np.argsort(-scores, axis=1, kind="stable")
    everything = order, np.take_along_axis(scores, order, axis=1)
    known = np.arange(N_USERS) != COLD_USER
    some = [1, 2, COLD_USER, 20]
    among = np.isin(np.arange(N_USERS), some)
    rng = np.random.default_rng(0)
    for k in (1, 5, N_USERS + 2):
        for exclude_seen in (True, False):
            seen = problem.seen[:, items].T if exclude_seen else np.zeros(scores.shape, bool)
            mask, without = rng.random((2, *scores.shape)) < 0.3
            for text, options, allowed in (
                ("", {}, np.ones_like(mask)),
                ("users", {"users": mask}, mask),
                ("a list as users", {"users": some}, among),
                ("filter_users", {"filter_users": without}, ~without),
                ("both", {"users": mask, "filter_users": without}, mask & ~without),
                ("a list as filter_users", {"filter_users": some}, ~among),
            ):
                expected = best_of(everything, allowed & ~seen & known, k)
                for form, given in forms(options):
                    asked = f"recommend_users(k={k}, exclude_seen={exclude_seen}, {text} as {form})"
                    found = model.recommend_users(items, k, exclude_seen=exclude_seen, **given)
                    expect_ranked(found, expected, everything, asked)
    ids, scores = model.recommend_users([4], 5)
    expect(ids.dtype == np.int64 and scores.dtype == np.float32, "types of recommend_users")
    one = model.recommend_users(4, 5)
    expect_equal(one[0], ids[0], "recommend_users(4, 5) beside recommend_users([4], 5)")
    expect_equal(model.recommend_users([], 5)[0].shape, (0, 5), "the shape of recommend_users([])")


def check_tied_users_are_in_the_order_of_ids(estimator: Any, problem: Problem) -> None:
    """Users of equal scores come in the order of their ids."""
    model = problem.fitted(estimator)
    ids, scores = model.recommend_users(np.arange(N_ITEMS), N_USERS, exclude_seen=False)
    tied = (scores[:, 1:] == scores[:, :-1]) & (ids[:, 1:] >= 0)
    for row, column in np.argwhere(tied & (ids[:, 1:] < ids[:, :-1])):
        raise AssertionError(
            f"recommend_users, row {row}: users {ids[row, column : column + 2].tolist()} have the "
            f"same score {scores[row, column]}, and must come in the order of their ids"
        )


def check_wrong_pairs_are_named(estimator: Any, problem: Problem) -> None:
    """Unknown users and items are named, and arrays of two lengths are an error."""
    model = problem.fitted(estimator)
    raw, labelled = unwrap(model), isinstance(model, InIds)
    user, item = (raw.users_[0], raw.items_[0]) if labelled else (0, 0)
    unknown: list[Any] = ["nobody"] if labelled else [-1, 1000]
    error: type[Exception] = KeyError if labelled else IndexError
    for x in unknown:
        calls: dict[str, Callable[[], Any]] = {
            f"score_pairs([{x!r}], [{item!r}])": partial(raw.score_pairs, [x], [item]),
            f"score_pairs([{user!r}], [{x!r}])": partial(raw.score_pairs, [user], [x]),
            f"recommend_users([{x!r}])": partial(raw.recommend_users, [x]),
            f"recommend_users(users=[{x!r}])": partial(raw.recommend_users, [item], users=[x]),
            f"recommend_users(filter_users=[{x!r}])": partial(
                raw.recommend_users, [item], filter_users=[x]
            ),
        }
        for asked, call in calls.items():
            expect_error(call, error, str(x), asked)
    for users, items in (([user, user], [item]), (user, [item]), ([user], item), ([], [item])):
        asked = f"score_pairs({users!r}, {items!r}), of two lengths,"
        expect_error(partial(raw.score_pairs, users, items), ValueError, "items", asked)
    for k, kind in ((0, ValueError), (2.5, TypeError)):
        expect_error(partial(raw.recommend_users, [item], k), kind, "k", f"recommend_users(k={k})")


def _scores(answer: tuple[np.ndarray, np.ndarray], n: int) -> np.ndarray:
    """Return complete lists as a matrix of scores."""
    ids, scores = answer
    matrix = np.full((len(ids), n), np.nan, dtype=np.float32)
    np.put_along_axis(matrix, ids, scores, axis=1)
    return matrix
