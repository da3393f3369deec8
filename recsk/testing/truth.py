"""Checks against a truth that any model of interactions finds: a checkerboard."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from recsk.data.interactions import Interactions
from recsk.testing.data import Problem, checkerboard, has
from recsk.testing.expect import expect, expect_equal

__all__: list[str] = []

_PARITY = np.arange(20) % 2


def check_finds_what_a_checkerboard_withholds(estimator: Any, problem: Problem) -> None:
    """20 users who have seen the items of their parity, but one, are recommended that one."""
    model = _on_a_checkerboard(estimator, problem)
    ids, _ = model.recommend(k=1)
    expect_equal(ids[:, 0], np.arange(20), f"{_ASKED}: recommend(k=1)")
    score = model.score(sparse.csr_array(np.eye(20)))
    expect(score == 1, f"{_ASKED}: score of the items withheld must be 1; got {score}")
    ids, _ = model.rank_items([0, 1], [6, 7])
    expect_equal(ids, [[6, 7], [7, 6]], f"{_ASKED}: rank_items([0, 1], [6, 7])")
    ids, _ = model.recommend(user_items=[[0, 2, 4, 6, 8]], k=5)
    asked = f"{_ASKED}: the sorted items of recommend(user_items=[[0, 2, 4, 6, 8]], k=5)"
    expect_equal(np.sort(ids), [[10, 12, 14, 16, 18]], asked)


def check_the_similar_on_a_checkerboard_have_the_same_parity(
    estimator: Any, problem: Problem
) -> None:
    """Users and items of the same parity are similar."""
    model = _on_a_checkerboard(estimator, problem)
    for method in ("similar_items", "similar_users"):
        if has(model, method):
            ids, _ = getattr(model, method)(np.arange(20), k=9)
            asked = f"{_ASKED}: the parity of {method}(range(20), k=9)"
            expect_equal(np.sort(ids) % 2, np.tile(_PARITY, (9, 1)).T, asked)


def check_permuted_users_and_items_get_permuted_answers(estimator: Any, problem: Problem) -> None:
    """The number of a user or an item means nothing."""
    rng = np.random.default_rng(0)
    new_user, new_item = rng.permutation(20), rng.permutation(20)
    user, item = checkerboard().nonzero()
    time = rng.permutation(len(user))
    X = Interactions(new_user[user], new_item[item], timestamp=time)
    options = _features(estimator, problem, new_item)
    model = problem.fit(problem.new(estimator, **problem.enough), X, **options)
    ids, _ = model.recommend(new_user, k=1)
    asked = f"{_ASKED}, with users and items in another order"
    expect_equal(ids[:, 0], new_item, f"{asked}: recommend(k=1)")
    ids, _ = model.rank_items(new_user[[0, 1]], new_item[[6, 7]])
    expect_equal(ids, new_item[[[6, 7], [7, 6]]], f"{asked}: rank_items")


_ASKED = "a checkerboard of 20 users and 20 items whose diagonal is withheld"


def _on_a_checkerboard(estimator: Any, problem: Problem) -> Any:
    def fit() -> Any:
        user, item = checkerboard().nonzero()
        # An order in which every item follows every other one of its parity, for some user.
        time = np.random.default_rng(2).permutation(len(user))
        X = Interactions(user, item, timestamp=time)
        model = problem.new(estimator, **problem.enough)
        return problem.fit(model, X, **_features(estimator, problem))

    return problem.keep("checkerboard", estimator, fit)


def _features(
    estimator: Any, problem: Problem, new_item: np.ndarray | None = None
) -> dict[str, Any]:
    """Return the parity of the items as their feature, for an estimator that needs one."""
    if not problem.needs_features(estimator):
        return {"item_features": None}
    parity = np.empty((20, 2), dtype=np.float32)
    parity[np.arange(20) if new_item is None else new_item] = np.eye(2)[_PARITY]
    return {"item_features": {"parity": parity}}
