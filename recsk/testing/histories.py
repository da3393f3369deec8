"""Checks of new users, who come with their histories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import SkipTest

import numpy as np
from scipy import sparse

from recsk.data.interactions import Interactions
from recsk.testing.data import HISTORIES, N_ITEMS, N_USERS, Problem, as_matrix, is_ordered
from recsk.testing.expect import expect, expect_close, expect_equal, expect_error, expect_same

__all__: list[str] = []


def check_histories_in_every_form(estimator: Any, problem: Problem) -> None:
    """`user_items` may be `Interactions`, a sparse matrix of any format, or lists."""
    model = problem.fitted(estimator)
    asked = f"recommend(user_items={HISTORIES}, k={N_ITEMS}"
    ids, scores = model.recommend(user_items=HISTORIES, k=N_ITEMS)
    expect(np.isfinite(scores[ids >= 0]).all(), f"{asked}): scores must be finite; got {scores}")
    for row, history in enumerate(HISTORIES):
        everything = sorted([*history, *ids[row][ids[row] >= 0].tolist()])
        text = f"{asked}), row {row}: the history and the recommended items, sorted"
        expect_equal(everything, np.arange(N_ITEMS), text)
    for name, form in _forms(is_ordered(estimator)):
        text = f"{asked}) with the histories as {name}"
        expect_same(model.recommend(user_items=form, k=N_ITEMS), (ids, scores), text)
    nobody, _ = model.recommend(user_items=[])
    expect_equal(nobody.shape, (0, 10), "shape of recommend(user_items=[])")
    with_seen, _ = model.recommend(user_items=HISTORIES, k=N_ITEMS, exclude_seen=False)
    expect((with_seen >= 0).all(), f"{asked}, exclude_seen=False) must recommend all items")


def _forms(ordered: bool) -> Iterator[tuple[str, Any]]:
    """Yield the histories in every form, with the order where a form can hold it."""
    user = np.repeat(np.arange(len(HISTORIES)), [len(h) for h in HISTORIES])
    item = np.concatenate(HISTORIES).astype(int)
    shape = {"n_users": len(HISTORIES), "n_items": N_ITEMS}
    in_order = Interactions(user, item, timestamp=np.arange(len(item)), **shape)
    matrix = as_matrix(in_order)
    yield "Interactions", in_order
    for format in ("csr", "csc", "coo", "lil", "dok"):
        yield f"{format}_array", matrix.asformat(format)
    yield "csr_matrix of int32", sparse.csr_matrix(matrix.astype(np.int32))
    yield "tuple of arrays", tuple(np.array(history, dtype=np.int32) for history in HISTORIES)
    if not ordered:
        yield "csr_array of bool", matrix.astype(bool)
        yield "lists with an item twice", [history + history[:1] for history in HISTORIES]
        twice = np.full(2 * len(item), 128, dtype=np.uint8)  # the sum is 0 in this type
        pairs = np.r_[user, user], np.r_[item, item]
        yield "coo_array with pairs twice", sparse.coo_array((twice, pairs), tuple(shape.values()))


def check_new_users_beside_known_ones(estimator: Any, problem: Problem) -> None:
    """`user_items` may be a mapping, and its users follow those of `user_ids`."""
    model = problem.fitted(estimator)
    mapping = {f"new-{row}": history for row, history in enumerate(HISTORIES)}
    new = model.recommend(user_items=HISTORIES, k=4)
    expect_same(model.recommend(user_items=mapping, k=4), new, "recommend(user_items=a mapping)")
    known = model.recommend([5, 0], k=4)
    both = model.recommend([5, 0], k=4, user_items=mapping)
    stacked = np.vstack([known[0], new[0]]), np.vstack([known[1], new[1]])
    expect_same(both, stacked, "recommend([5, 0], user_items=a mapping)")


def check_popular_items_without_a_history(estimator: Any, problem: Problem) -> None:
    """Users without a history are recommended the most popular items."""
    for with_features in (True, False):
        _check_popular(estimator, problem, with_features)


def _check_popular(estimator: Any, problem: Problem, with_features: bool) -> None:
    options = {} if with_features else {"item_features": None}
    if not with_features and problem.needs_features(estimator):
        return
    train = problem.train
    # Five interactions of one user count as those of five users.
    X = Interactions(
        np.r_[train.user, np.zeros(40, int)],
        np.r_[train.item, np.full(40, 6)],
        timestamp=np.arange(len(train) + 40),
        n_users=N_USERS + 1,
        n_items=N_ITEMS,
    )
    model = problem.fit(problem.new(estimator), X, **options)
    popularity = np.bincount(X.item, minlength=N_ITEMS)
    asked = f"recommend([0, {N_USERS}], k={N_ITEMS}, exclude_seen=False), row 1"
    new = model.recommend([0, N_USERS], k=N_ITEMS, exclude_seen=False)
    ids, scores = (part[1] for part in new)
    expect_equal(np.sort(ids), np.arange(N_ITEMS), f"{asked}: the sorted items")
    expect_equal(
        popularity[ids],
        np.sort(popularity)[::-1],
        f"{asked}: the numbers of interactions of the items recommended to a user without history",
    )
    text = f"{asked}: scores beside the numbers of interactions, relative to the largest"
    expect_close(scores, popularity[ids] / popularity.max(), text)
    folded = model.recommend(user_items=[[1, 2], []], k=N_ITEMS)
    text = f"recommend(user_items=[[1, 2], []], k={N_ITEMS}), row 1, beside {asked}"
    expect_same([part[1] for part in folded], (ids, scores), text)
    text = f"rank_items({N_USERS}, all items) beside {asked}"
    expect_same(model.rank_items(N_USERS, np.arange(N_ITEMS)), (ids, scores), text)
    some: dict[str, Any] = {"items": [3, 6, 9, 11], "filter_items": [9]}
    text = f"recommend({N_USERS}, k=3, items=[3, 6, 9, 11], filter_items=[9])"
    expected = ids[np.isin(ids, [3, 6, 11])]
    expect_equal(model.recommend(N_USERS, k=3, **some)[0], expected, text)
    own = model.recommend(0, k=N_ITEMS, exclude_seen=False)
    expect_same(own, [part[0] for part in new], f"recommend(0) beside row 0 of {asked}")


def check_histories_of_interactions_worth_nothing_are_empty(
    estimator: Any, problem: Problem
) -> None:
    """A history whose values are all zero is an empty one."""
    model = problem.fitted(estimator)
    nothing = Interactions([0], [3], timestamp=[1], value=[0], n_items=N_ITEMS)
    expect_same(
        model.recommend(user_items=nothing),
        model.recommend(user_items=[[]]),
        "recommend(user_items=one interaction of value 0) beside recommend(user_items=[[]])",
    )


def check_an_ordered_model_reads_the_order(estimator: Any, problem: Problem) -> None:
    """An ordered estimator rejects a matrix whose values are all equal: it shows no order."""
    if not is_ordered(estimator):
        raise SkipTest("the estimator does not read the order of the interactions")
    X = as_matrix(problem.train).astype(bool)
    asked = "fit(X) of a matrix without an order (all its values are equal)"
    expect_error(
        lambda: problem.fit(problem.new(estimator), X), ValueError, "X has the same value", asked
    )
