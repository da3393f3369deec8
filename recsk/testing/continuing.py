"""Checks of `partial_fit`: data that grow."""

from __future__ import annotations

import copy
import os
import tempfile
from functools import partial
from inspect import getattr_static
from typing import Any
from unittest import SkipTest

import numpy as np
from scipy import sparse

from recsk.contract.learning import Learning
from recsk.data.interactions import Interactions
from recsk.storage import load, save
from recsk.testing.answers import expect_same_model
from recsk.testing.data import N_ITEMS, N_USERS, Problem, as_matrix, has
from recsk.testing.expect import expect, expect_equal, expect_error, expect_identical
from recsk.testing.labels import rewrap, unwrap

__all__: list[str] = []

_USERS, _ITEMS = 25, 20  # of the first fit


def _parts(problem: Problem) -> tuple[Interactions, Interactions, Interactions]:
    """Interactions of the first users and items, all others in two parts, one after the other."""
    X, time = problem.train, np.asarray(problem.train.timestamp)
    old = (X.user < _USERS) & (X.item < _ITEMS) & (time < np.median(time))
    late = ~old & (X.user % 2 == 1)
    first, second, third = (
        Interactions(
            X.user[rows],
            X.item[rows],
            timestamp=time[rows] + place * time.max(),
            n_users=n_users,
            n_items=n_items,
        )
        for place, rows, n_users, n_items in (
            (0, old, _USERS, _ITEMS),
            (1, ~old & ~late, N_USERS, N_ITEMS),
            (2, late, N_USERS, N_ITEMS),
        )
    )
    return first, second, third


def _together(*parts: Interactions, **options: Any) -> Interactions:
    columns = [
        np.concatenate([getattr(x, c) for x in parts]) for c in ("user", "item", "timestamp")
    ]
    return Interactions(
        *columns[:2], timestamp=columns[2], n_users=N_USERS, n_items=N_ITEMS, **options
    )


def _skip_without(estimator: Any) -> None:
    if not has(estimator, "partial_fit"):
        raise SkipTest("the estimator has no partial_fit")


def _options(problem: Problem, estimator: Any, n_items: int) -> dict[str, Any]:
    features = problem.given_features(estimator, n_items)
    return {} if features is None else {"item_features": features}


def _fit_first(problem: Problem, estimator: Any) -> Any:
    _skip_without(estimator)
    first, _, _ = _parts(problem)
    model = problem.new(estimator)
    return problem.fit(model, first, **_options(problem, model, _ITEMS))


def _grow(problem: Problem, model: Any) -> Any:
    _, second, third = _parts(problem)
    returned = model.partial_fit(second, **_options(problem, model, N_ITEMS))
    expect(returned is model, f"partial_fit must return the estimator itself; got {returned!r}")
    return model.partial_fit(third)


def check_partial_fit_before_a_fit_is_fit(estimator: Any, problem: Problem) -> None:
    """On an estimator that is not fitted, `partial_fit` is `fit`."""
    _skip_without(estimator)
    model = problem.new(estimator)
    model.partial_fit(problem.train, **_options(problem, model, N_ITEMS))
    asked = "partial_fit of an estimator that is not fitted, beside fit"
    expect_same_model(model, problem.fitted(estimator), asked)


def check_partial_fit_knows_what_comes_later(estimator: Any, problem: Problem) -> None:
    """Later interactions, users and items are part of the model; earlier positions stay."""
    model = _grow(problem, _fit_first(problem, estimator))
    expect_equal(model.n_users_, N_USERS, "n_users_ after partial_fit with more users")
    expect_equal(model.n_features_in_, N_ITEMS, "n_features_in_ after partial_fit with more items")
    seen = model.interactions_.toarray() > 0
    expect_equal(seen, problem.seen, "interactions_ after a fit and two calls of partial_fit")
    ids, scores = model.recommend(np.arange(N_USERS), k=N_ITEMS)
    rows, places = np.nonzero(ids >= 0)
    expect(
        not problem.seen[rows, ids[rows, places]].any(),
        "recommend after partial_fit must not return items of later interactions",
    )
    expect_equal(np.isfinite(scores), ids >= 0, "finite scores of recommend after partial_fit")


def check_partial_fit_of_a_rule_is_a_fit_on_all(estimator: Any, problem: Problem) -> None:
    """A recommender that learns in one step is then the same as fitted on all interactions."""
    _skip_without(estimator)
    kind = type(unwrap(estimator))
    names = ("partial_fit", "_learn_more")
    if any(getattr_static(kind, name) is not getattr_static(Learning, name) for name in names):
        raise SkipTest("partial_fit goes on from what was learned")
    parts = _parts(problem)
    expected = problem.fit(problem.new(estimator), _together(*parts))
    model = _grow(problem, _fit_first(problem, estimator))
    expect_same_model(model, expected, "two calls of partial_fit beside a fit on all")
    if problem.rejects_weights(estimator):
        return
    weights = [1.0 + np.arange(len(x)) % 3 for x in parts]
    expected = problem.fit(
        problem.new(estimator), _together(*parts), sample_weight=np.concatenate(weights)
    )
    model = problem.new(estimator)
    for n_items, x, weight in zip((_ITEMS, N_ITEMS, N_ITEMS), parts, weights, strict=True):
        model.partial_fit(x, sample_weight=weight, **_options(problem, model, n_items))
    expect_same_model(model, expected, "partial_fit with weights beside a fit on all")


def check_partial_fit_gives_the_same_twice(estimator: Any, problem: Problem) -> None:
    """The same calls give the same model, also after `recsk.save` and `recsk.load`."""
    first = _fit_first(problem, estimator)
    again = copy.deepcopy(first)
    copies = {"a copy": again}
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.recsk")
            save(unwrap(first), path)
            copies["a loaded file"] = rewrap(first, load(path))
    except ImportError:  # without safetensors
        pass
    model = _grow(problem, first)
    for text, other in copies.items():
        asked = f"partial_fit of {text} beside that of the model"
        expect_identical(unwrap(_grow(problem, other)), unwrap(model), asked)


def check_partial_fit_that_fails_changes_nothing(estimator: Any, problem: Problem) -> None:
    """Wrong arguments are an error, and the model stays as it was."""
    model = _fit_first(problem, estimator)
    before = copy.deepcopy(model)
    first, second, _ = _parts(problem)
    matrix = sparse.csr_array(as_matrix(first))
    cases: list[tuple[str, Any, dict[str, Any], str]] = [
        ("a matrix with fewer columns", matrix[:, :-1], {}, "X"),
        ("a matrix with fewer rows", matrix[:-1], {}, "X"),
        ("nothing", first[:0], {}, "X"),
        ("a matrix of zeros", matrix * 0, {}, "X"),
        ("a matrix with NaN", matrix * np.nan, {}, "X"),
        ("negative values", -matrix, {}, "X"),
        ("weights of zero", second, {"sample_weight": np.zeros(len(second))}, "sample_weight"),
    ]
    features = problem.given_features(estimator, N_ITEMS)
    if features is not None and unwrap(model).uses_features:
        wide = {"v": np.ones((N_ITEMS, 7))}
        other = {"other": features["v"]}
        short = {"v": features["v"][:3]}
        for text, given in (("another width", wide), ("another modality", other), ("few", short)):
            options = {"item_features": given}
            cases.append((f"features of {text}", second, options, "item_features"))
    for text, X, options, word in cases:
        asked = f"partial_fit on {text}"
        expect_error(partial(model.partial_fit, X, **options), ValueError, word, asked)
        expect_identical(unwrap(model), unwrap(before), f"the model after {asked} failed")


def check_warm_start(estimator: Any, problem: Problem) -> None:
    """With `warm_start`, the first fit is the same, and later ones keep the positions of labels."""
    _skip_without(estimator)
    model = problem.new(estimator)
    if "warm_start" not in unwrap(model).get_params():
        raise SkipTest("the estimator has no warm_start")
    unwrap(model).set_params(warm_start=True)
    first, _, _ = _parts(problem)
    problem.fit(model, first, **_options(problem, model, _ITEMS))
    asked = "the first fit with warm_start=True, beside one without"
    expect_identical(
        unwrap(model), unwrap(_fit_first(problem, estimator)), asked, but=["warm_start"]
    )
    again = copy.deepcopy(model)
    for other in (model, again):
        other.fit(problem.train, **_options(problem, model, N_ITEMS))
    expect_identical(unwrap(again), unwrap(model), "the same two fits with warm_start=True")
    seen = model.interactions_.toarray() > 0
    expect_equal(seen, problem.seen, "interactions_ after a second fit with warm_start=True")
    ids, scores = model.recommend(np.arange(N_USERS), k=N_ITEMS)
    expect_equal(np.isfinite(scores), ids >= 0, "finite scores after a second fit")
    before = copy.deepcopy(model)
    call = partial(model.fit, problem.train[:0])
    expect_error(call, ValueError, "X", "fit with warm_start=True on nothing")
    expect_identical(unwrap(model), unwrap(before), "the model after a second fit failed")
