"""Checks of `recommend` with ``diversity=``."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from recsk.testing.data import HISTORIES, N_ITEMS, N_USERS, Problem
from recsk.testing.expect import expect, expect_close, expect_equal, expect_error, expect_same

__all__: list[str] = []


def check_diverse_lists_are_of_the_items_allowed(estimator: Any, problem: Problem) -> None:
    """Lists that are re-ranked have the items allowed, once each, with their own scores."""
    model = problem.fitted(estimator)
    if not _keeps_features(model):
        call = partial(model.recommend, [0], diversity=0.3)
        expect_error(call, ValueError, ["diversity", "features"], "recommend(diversity=0.3)")
        return
    mask = np.random.default_rng(0).random((N_USERS, N_ITEMS)) < 0.5
    some = np.arange(0, N_ITEMS, 2)
    for text, options in (
        ("", {}),
        ("exclude_seen=False", {"exclude_seen": False}),
        ("items", {"items": some}),
        ("filter_items", {"filter_items": some}),
        ("a mask as items", {"items": mask}),
        ("a mask as filter_items", {"filter_items": mask}),
    ):
        everything = model.recommend(k=N_ITEMS, **options)
        for k in (1, 6, N_ITEMS + 2):
            ids, scores = model.recommend(k=k, diversity=0.5, **options)
            asked = f"recommend(k={k}, diversity=0.5, {text})"
            expect_equal(ids.shape, (N_USERS, k), f"{asked}: shape")
            expect_equal(ids[:, 0], everything[0][:, 0], f"{asked}: the first items")
            for user in range(N_USERS):
                known = dict(zip(*(part[user].tolist() for part in everything), strict=True))
                found = [i for i in ids[user].tolist() if i >= 0]
                n = min(k, len([i for i in known if i >= 0]))
                expect(
                    len(set(found)) == len(found) == n and known.keys() >= set(found),
                    f"{asked}: user {user} must get {n} of the items allowed, once each; got "
                    f"{ids[user].tolist()}",
                )
                own = [known[i] for i in found]
                expect_close(scores[user, :n], own, f"{asked}: the scores of user {user}")
                expect(
                    (ids[user, n:] == -1).all() and np.isneginf(scores[user, n:]).all(),
                    f"{asked}: the rest of the list of user {user} must be padding",
                )
    for off in (None, 0, 0.0, {}, {"t": 0}):
        expect_same(model.recommend(k=5, diversity=off), model.recommend(k=5), f"diversity={off!r}")
    one = model.recommend(3, k=5, diversity=0.5)
    expect_same(one, [x[0] for x in model.recommend([3], k=5, diversity=0.5)], "a scalar user")


def check_diverse_lists_are_those_of_maximal_marginal_relevance(
    estimator: Any, problem: Problem
) -> None:
    """Each next item is the best by its score and its cosine with the items chosen so far."""
    model = problem.fitted(estimator)
    if not _keeps_features(model):
        return
    unit = {}
    for name, rows in problem.features.items():
        rows = np.nan_to_num(rows.astype(np.float64))
        unit[name] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    together = np.hstack([*unit.values()])
    unit["together"] = together / np.linalg.norm(together, axis=1, keepdims=True)
    for weights, diversity in (
        ({"together": 0.4}, 0.4),
        ({"together": 1.0}, 1),
        ({"v": 0.5}, {"v": 0.5}),
        ({"t": 0.3, "v": 0.4}, {"t": 0.3, "v": 0.4}),
    ):
        for options in ({}, {"user_items": HISTORIES}):
            everything = model.recommend(k=N_ITEMS, **options)
            ids, _ = model.recommend(k=6, diversity=diversity, **options)
            for row, found in enumerate(ids.tolist()):
                text = f"recommend(k=6, diversity={diversity!r}), row {row}"
                items, scores = (x[row] for x in everything)
                _expect_best_of_rest(found, items, scores, unit, weights, text)


def check_wrong_diversity_is_named(estimator: Any, problem: Problem) -> None:
    """What is no number from 0 to 1, and modalities that the fit did not have, are errors."""
    model = problem.fitted(estimator)
    for wrong, error in (
        ("much", TypeError),
        (True, TypeError),
        ({"t": None}, TypeError),
        (1.5, ValueError),
        (-0.1, ValueError),
        (float("nan"), ValueError),
        ({"t": 0.6, "v": 0.6}, ValueError),
        ({"smell": 0.5}, ValueError),
    ):
        call = partial(model.recommend, [0], diversity=wrong)
        expect_error(call, error, "diversity", f"recommend(diversity={wrong!r})")


def _expect_best_of_rest(
    found: list[int], items: Any, scores: Any, unit: Any, weights: dict[str, float], text: str
) -> None:
    """Expect that no other item is better, but for rounding, where an item is chosen."""
    given = items >= 0
    items, scores = items[given], scores[given].astype(np.float64)
    span = np.ptp(scores) or 1.0
    relevance = dict(zip(items.tolist(), (scores - scores.min()) / span, strict=True))
    for place in range(1, len([i for i in found if i >= 0])):
        chosen = found[:place]

        def value(item: int, chosen: list[int] = chosen) -> float:
            near = sum(w * (unit[n][chosen] @ unit[n][item]).max() for n, w in weights.items())
            return float((1 - sum(weights.values())) * relevance[item] - near)

        best = max(value(item) for item in relevance if item not in chosen)
        expect(
            value(found[place]) >= best - 1e-4,
            f"{text}: the item in place {place} has the value {value(found[place]):g}; the best of "
            f"the rest has {best:g}",
        )


def _keeps_features(model: Any) -> bool:
    return bool(model._features_of(np.empty(0, dtype=np.int64)))
