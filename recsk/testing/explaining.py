"""Checks of `explain`."""

from __future__ import annotations

import copy
import os
import tempfile
from functools import partial
from typing import Any

import numpy as np

from recsk.storage import load, save
from recsk.testing.data import COLD_USER, HISTORIES, N_ITEMS, N_USERS, Problem
from recsk.testing.expect import expect, expect_close, expect_equal, expect_error
from recsk.testing.labels import InIds, rewrap, unwrap

__all__: list[str] = []


def check_parts_add_up_to_the_score(estimator: Any, problem: Problem) -> None:
    """The parts of `explain` add up to the scores of `recommend`, of known and of new users."""
    model = _model(estimator, problem)
    for text, users, options in (
        ("None", None, {}),
        ("[2]", [2], {}),
        ("None, user_items", None, {"user_items": HISTORIES}),
        ("[2], user_items", [2], {"user_items": HISTORIES}),
        ("[]", [], {}),
    ):
        for exclude_seen in (True, False):
            items, scores = model.recommend(
                users, k=N_ITEMS + 1, exclude_seen=exclude_seen, **options
            )
            _expect_parts(
                model.explain(users, items, history=False, **options), items, scores, text
            )
        every = np.arange(N_ITEMS)
        for_all = model.explain(users, every, history=False, **options)
        expected = np.full(for_all.scores.shape, np.nan, dtype=np.float32)
        np.put_along_axis(expected, items[:, :N_ITEMS], scores[:, :N_ITEMS], axis=1)
        _expect_parts(for_all, np.tile(every, (len(items), 1)), expected, f"{text}, a list")
    one = model.explain(3, 5)
    expect_close(one.scores, [[model.score_pairs(3, 5)]], "explain(3, 5).scores")


def check_effects_are_differences_of_folded_in_scores(estimator: Any, problem: Problem) -> None:
    """`explain` folds users in with and without each item of their history."""
    model = _model(estimator, problem)
    items = np.array([4, 0, 11, 23])
    histories = [*HISTORIES, [3, 0, 3, 17]]  # a repeat is left out with the first
    why = model.explain(None, items, user_items=histories)
    expect_equal(len(why.effects), len(histories), "the number of users in effects")
    for history, found, effects in zip(histories, why.history, why.effects, strict=True):
        distinct = list(dict.fromkeys(history))
        text = f"explain of the history {history}"
        wanted = distinct if unwrap(model).ordered else sorted(distinct)
        expect_equal(found, wanted, f"{text}: its items")
        expect_equal(effects.shape, (len(wanted), len(items)), f"{text}: shape of effects")
        for item, effect in zip(found.tolist(), effects, strict=True):
            if len(distinct) < 2:
                continue  # what is left has popularities
            others = [x for x in history if x != item]
            both = [
                model.score_pairs(None, items, user_items=[one] * len(items))
                for one in (history, others)
            ]
            # Items of the history itself are scored as seen ones in both.
            unseen = ~np.isin(items, history)
            wanted = (both[0] - both[1])[unseen]
            expect_close(effect[unseen], wanted, f"{text}: the effect of item {item}")


def check_histories_of_known_users_are_explained(estimator: Any, problem: Problem) -> None:
    """`explain` lists the history of users of the fit; users without one have popularities."""
    model = _model(estimator, problem)
    why = model.explain(None, [4, 0])
    for user, history in enumerate(why.history):
        expect_equal(
            np.sort(history), np.flatnonzero(problem.seen[user]), f"the history of user {user}"
        )
        expect(np.isfinite(why.effects[user]).all(), f"effects of user {user} must be finite")
    expect_close(
        why.parts["popularity"][COLD_USER],
        model.item_popularity_[[4, 0]],
        "the part 'popularity' of a user without a history",
    )
    asked = "explain(history=False)"
    expect_equal(len(model.explain([2], [4], history=False).history), 0, f"histories of {asked}")


def check_files_keep_explanations(estimator: Any, problem: Problem) -> None:
    """A model that was saved and loaded explains the same."""
    model = _model(estimator, problem)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.recsk")
        save(unwrap(model), path)
        loaded = rewrap(model, load(path))
    items = np.arange(N_ITEMS)
    before, after = model.explain(None, items), loaded.explain(None, items)
    expect_equal(list(after.parts), list(before.parts), "the names of the parts after load")
    for name, part in before.parts.items():
        expect_close(after.parts[name], part, f"the part {name!r} after load")
    for user, (effects, expected) in enumerate(zip(after.effects, before.effects, strict=True)):
        expect_close(effects, expected, f"the effects of user {user} after load")


def check_wrong_calls_of_explain_are_named(estimator: Any, problem: Problem) -> None:
    """Unknown users and items, and rows for other users, are named."""
    model = _model(estimator, problem)
    raw, labelled = unwrap(model), isinstance(model, InIds)
    user, item = (raw.users_[0], raw.items_[0]) if labelled else (0, 0)
    error: type[Exception] = KeyError if labelled else IndexError
    unknown = "nobody" if labelled else 1000
    for users, items in (([unknown], [item]), ([user], [unknown])):
        asked = f"explain({users!r}, {items!r})"
        expect_error(partial(raw.explain, users, items), error, str(unknown), asked)
    rows = np.full((N_USERS - 1, 2), item, dtype=object if labelled else np.int64)
    asked = "explain(None, items) with a row too few"
    expect_error(partial(raw.explain, None, rows), ValueError, "items", asked)
    call = partial(raw.explain, [user], [item], history=1)
    expect_error(call, TypeError, "history", "explain(history=1)")


def _model(estimator: Any, problem: Problem) -> Any:
    """Return a copy: `explain` may keep what it made, and other checks compare all attributes."""
    model = problem.fitted(estimator)
    return rewrap(model, copy.copy(unwrap(model)))


def _expect_parts(why: Any, items: Any, scores: Any, text: str) -> None:
    asked = f"explain({text})"
    expect_equal(why.items, items, f"{asked}: items")
    missing = np.isneginf(scores)
    expected = np.where(missing, np.float32(np.nan), scores)
    expect_close(why.scores, expected, f"{asked}: scores beside those of recommend")
    total = np.zeros(scores.shape, dtype=np.float32)
    for name, part in why.parts.items():
        expect(
            isinstance(name, str) and part.dtype == np.float32 and part.shape == scores.shape,
            f"{asked}: the part {name!r} must be a float32 array of shape {scores.shape}",
        )
        total += part
    expect_close(total, expected, f"{asked}: the sum of the parts beside the scores")
