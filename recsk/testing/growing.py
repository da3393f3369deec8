"""Checks of `item_vectors` and `add_items`, for estimators that have them."""

from __future__ import annotations

import copy
import os
import tempfile
from functools import partial
from typing import Any
from unittest import SkipTest

import numpy as np

from recsk.data.interactions import Interactions
from recsk.storage import load, save
from recsk.testing.data import N_ITEMS, N_USERS, Problem, has
from recsk.testing.expect import (
    expect,
    expect_close,
    expect_equal,
    expect_error,
    expect_identical,
)
from recsk.testing.labels import labels_given, rewrap, unwrap

__all__: list[str] = []

_N_NEW = 3


def check_added_items_are_recommended(estimator: Any, problem: Problem) -> None:
    """`add_items` adds items behind the others, which stay as they are."""
    model, before = _model(estimator, problem), problem.fitted(estimator)
    features, labels = _features(problem), _labels(model)
    vectors = unwrap(model).item_vectors(features)
    expect(vectors.dtype == np.float32, f"item_vectors must be float32; got {vectors.dtype}")
    added = unwrap(model).add_items(features, labels)
    n_items = N_ITEMS + _N_NEW
    new = np.arange(N_ITEMS, n_items)
    wanted = new.tolist() if labels is None else labels
    expect(list(added) == wanted, f"add_items must return {wanted}; got {list(added)}")
    expect_equal(unwrap(model).n_features_in_, n_items, "n_features_in_ after add_items")
    expect_close(unwrap(model).item_embedding_[N_ITEMS:], vectors, "vectors of added items")
    everything = unwrap(model).recommend(k=n_items, exclude_seen=False)
    ids, scores = everything
    expect_equal(ids.shape, (N_USERS, n_items), "shape of recommend after add_items")
    expect(np.isfinite(scores).all(), "scores after add_items must be finite")
    found = [len(set(row)) for row in ids.tolist()]
    expect_equal(found, [n_items] * N_USERS, "different items in recommend after add_items")
    known = unwrap(model).recommend(k=N_ITEMS, exclude_seen=False, items=_items(before))
    was = unwrap(before).recommend(k=N_ITEMS, exclude_seen=False)
    expect_close(known[1], was[1], "scores of known items after add_items, beside those before")


def check_added_items_are_taken_in_calls(estimator: Any, problem: Problem) -> None:
    """Added items are in histories, candidates and similar items."""
    model = unwrap(_model(estimator, problem))
    added = list(model.add_items(_features(problem), _labels(_model(estimator, problem))))
    history = model.recommend(user_items=[added[:1]], k=N_ITEMS + _N_NEW)[0][0].tolist()
    expect(added[0] not in history, "recommend(user_items=[[new item]]) must leave it out")
    ids, _ = model.recommend([_users(model)[0]], k=_N_NEW, items=added)
    expect_equal(set(ids[0].tolist()), set(added), "recommend(items=[new items])")
    ids, _ = model.similar_items(added, k=2)
    expect_equal(ids.shape, (_N_NEW, 2), "shape of similar_items of new items")


def check_first_interactions_of_added_items(estimator: Any, problem: Problem) -> None:
    """`partial_fit` takes interactions with added items, also after `recsk.save`."""
    model = _model(estimator, problem)
    if not has(unwrap(model), "partial_fit"):
        raise SkipTest("the estimator has no partial_fit")
    unwrap(model).add_items(_features(problem), _labels(model))
    copies = {"a copy": copy.deepcopy(model)}
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.recsk")
            save(unwrap(model), path)
            copies["a loaded file"] = rewrap(model, load(path))
    except ImportError:  # without safetensors
        pass
    n_items = N_ITEMS + _N_NEW
    days = [
        Interactions(user, item, timestamp=[9.0] * len(user), n_users=N_USERS, n_items=n_items)
        for user, item in (([0, 1, 2], [N_ITEMS, N_ITEMS, N_ITEMS + 1]), ([3], [N_ITEMS + 1]))
    ]
    for day in days:
        model.partial_fit(day)
    ids, scores = model.recommend(k=n_items, exclude_seen=False)
    expect(np.isfinite(scores).all(), "scores after clicks on added items must be finite")
    found = [len(set(row)) for row in ids.tolist()]
    expect_equal(found, [n_items] * N_USERS, "different items after clicks on added items")
    for text, other in copies.items():
        for day in days:
            other.partial_fit(day)
        asked = f"clicks on added items: partial_fit of {text} beside that of the model"
        expect_identical(unwrap(other), unwrap(model), asked)


def check_add_items_changes_nothing_after_an_error(estimator: Any, problem: Problem) -> None:
    """What is wrong with new items is named, and the model stays as it is."""
    asked = _model(estimator, problem)
    model, features, labels = unwrap(asked), _features(problem), _labels(asked)
    name = next(iter(features))
    wrong: list[tuple[Any, type[Exception]]] = [
        (features[name], TypeError),
        ({}, ValueError),
        ({"other": features[name]}, ValueError),
        ({name: features[name][:, 1:]}, ValueError),
        ({name: np.full_like(features[name], np.nan)}, ValueError),
    ]
    text = "add_items with wrong features"
    for given, error in wrong:
        expect_error(partial(model.add_items, given, labels), error, "item_features", text)
    bad: list[Any] = ["a"]
    if labels is not None:
        known = labels_given(asked, "item", N_ITEMS) or []
        bad = [*labels[1:], known[0]]
    expect_error(partial(model.add_items, features, bad), ValueError, "labels", "add_items")
    expect_equal(model.n_features_in_, N_ITEMS, "n_features_in_ after add_items with errors")


def _model(estimator: Any, problem: Problem) -> Any:
    """Return a fitted copy to add items to."""
    model = problem.fitted(estimator)
    if not has(unwrap(model), "add_items"):
        raise SkipTest("the estimator adds no items")
    if problem.given_features(estimator) is None:
        raise SkipTest("the fit has no features")
    return rewrap(model, copy.deepcopy(unwrap(model)))


def _features(problem: Problem) -> dict[str, Any]:
    return {name: 0.9 * values[:_N_NEW] for name, values in problem.features.items()}


def _labels(model: Any) -> list[Any] | None:
    labels = labels_given(model, "item", N_ITEMS + _N_NEW)
    return None if labels is None else labels[N_ITEMS:]


def _items(model: Any) -> list[Any]:
    return getattr(unwrap(model), "items_", np.arange(N_ITEMS)).tolist()


def _users(model: Any) -> list[Any]:
    return getattr(model, "users_", np.arange(N_USERS)).tolist()
