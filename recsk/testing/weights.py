"""Checks of `sample_weight`."""

from __future__ import annotations

from functools import partial
from typing import Any
from unittest import SkipTest

import numpy as np
from scipy import sparse

from recsk.data.interactions import Interactions
from recsk.testing.answers import ask_everything, expect_same_model
from recsk.testing.data import N_USERS, Problem, as_matrix, takes
from recsk.testing.expect import expect, expect_error, expect_identical, is_close
from recsk.testing.labels import unwrap

__all__: list[str] = []

# What `partial_fit` joins new interactions to: weights as they were given.
_MEMORY = ("_log",)


def check_weights_change_the_model(estimator: Any, problem: Problem) -> None:
    """`fit` uses the weights."""
    _skip_without_weights(estimator, problem)
    weighted = problem.fit(problem.new(estimator), sample_weight=problem.weights)
    answers, without = ask_everything(weighted), ask_everything(problem.fitted(estimator))
    same = all(
        np.array_equal(answers[call][0], without[call][0])
        and is_close(answers[call][1], without[call][1]).all()
        for call in answers
    )
    expect(not same, "fit with weights from 0 to 10 gives the model of the fit without weights")


def check_weights_of_one_change_nothing(estimator: Any, problem: Problem) -> None:
    """Equal weights are the fit without weights, to the last digit."""
    if not takes(estimator, "sample_weight"):
        raise SkipTest("fit takes no sample_weight")
    n = len(problem.train)
    twice = problem.train[np.r_[np.arange(n), np.arange(0, n, 3)]]
    for name, X in (
        ("Interactions", problem.train),
        ("Interactions with pairs twice", twice),
        ("a matrix", as_matrix(problem.train)),
    ):
        n = len(X) if isinstance(X, Interactions) else N_USERS
        expected = problem.fit(problem.new(estimator), X)
        for text, weight in (("ones", np.ones(n)), ("[3, 3, ...]", [3] * n)):
            model = problem.fit(problem.new(estimator), X, sample_weight=weight)
            asked = f"fit on {name} with sample_weight={text} beside fit without"
            expect_identical(unwrap(model), unwrap(expected), asked, but=_MEMORY)


def check_weight_zero_is_no_interaction(estimator: Any, problem: Problem) -> None:
    """An interaction of weight zero is as if it were not there."""
    _skip_without_weights(estimator, problem)
    train, kept = problem.train, problem.weights > 0
    for weight in (problem.weights, kept):
        options = {"sample_weight": weight[kept]}
        without = problem.fit(problem.new(estimator), train[kept], **options)
        model = problem.fit(problem.new(estimator), sample_weight=weight)
        asked = f"fit with {(~kept).sum()} weights of zero beside fit without these interactions"
        expect_identical(unwrap(model), unwrap(without), asked)
    by_user = np.arange(N_USERS) % 4 != 1  # and for a matrix a row of zeros
    matrix = as_matrix(train)
    without = sparse.csr_array(sparse.diags_array(by_user.astype(float)) @ matrix)
    expect_identical(
        unwrap(problem.fit(problem.new(estimator), matrix, sample_weight=by_user)),
        unwrap(problem.fit(problem.new(estimator), without)),
        "fit on a matrix with users of weight zero beside fit with their rows zero",
    )


def check_weights_in_every_form_are_the_same(estimator: Any, problem: Problem) -> None:
    """Weights count relative to each other, and may be the values of `X`."""
    _skip_without_weights(estimator, problem)
    train, weights = problem.train, problem.weights
    weighted = problem.fit(problem.new(estimator), sample_weight=weights)
    valued = train.with_value(weights)
    for text, X, weight in (
        ("a list", train, weights.tolist()),
        ("weights times 2 ** 20", train, weights * 2.0**20),
        ('"value"', valued, "value"),
        ("an array beside values", valued, weights),
        ("an array beside other values", train.with_value(weights + 1), weights),
    ):
        model = problem.fit(problem.new(estimator), X, sample_weight=weight)
        asked = f"fit with sample_weight={text} beside the same weights as an array"
        expect_identical(unwrap(model), unwrap(weighted), asked, but=_MEMORY)
    tiny = problem.fit(problem.new(estimator), sample_weight=weights * 1e-250)
    expect_same_model(tiny, weighted, "fit with weights times 1e-250 beside the weights")
    by_user = 0.5 + np.arange(N_USERS) % 3
    expect_same_model(
        problem.fit(problem.new(estimator), as_matrix(train), sample_weight=by_user),
        problem.fit(problem.new(estimator), sample_weight=by_user[train.user]),
        "fit on a matrix with a weight for each user beside one for each interaction",
    )


def check_a_model_of_weights_answers_finite_scores(estimator: Any, problem: Problem) -> None:
    """Weights over all of float64 give finite scores."""
    _skip_without_weights(estimator, problem)
    weight = np.geomspace(1e-300, 1e300, len(problem.train))
    model = problem.fit(problem.new(estimator), sample_weight=weight)
    for call, (ids, scores) in ask_everything(model).items():
        asked = f"{call} after fit with weights from 1e-300 to 1e300"
        expect(np.isfinite(scores[ids >= 0]).all(), f"{asked}: scores must be finite; got {scores}")


def check_wrong_weights_are_named(estimator: Any, problem: Problem) -> None:
    """Weights that are all zero, negative, not finite or of another length are rejected."""
    if not takes(estimator, "sample_weight"):
        raise SkipTest("fit takes no sample_weight")
    n = len(problem.train)
    for text, weight in (
        ("zeros", np.zeros(n)),
        ("a negative one", np.r_[-1.0, np.ones(n - 1)]),
        ("NaN", np.r_[np.nan, np.ones(n - 1)]),
        ("one too few", np.ones(n - 1)),
    ):
        call = partial(problem.fit, problem.new(estimator), sample_weight=weight)
        asked = f"fit with sample_weight={text}"
        expect_error(call, ValueError, "sample_weight", asked)


def _skip_without_weights(estimator: Any, problem: Problem) -> None:
    if problem.rejects_weights(estimator):
        raise SkipTest("fit rejects weights that differ")
