"""Checks of two fits: which of them must give the same model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from recsk.testing.answers import expect_same_model
from recsk.testing.data import Problem, as_matrix
from recsk.testing.expect import expect, expect_equal, expect_error
from recsk.testing.labels import unwrap

__all__: list[str] = []


def check_the_same_seed_gives_the_same_model(estimator: Any, problem: Problem) -> None:
    """Two fits on the same data give the same model; an int `random_state` fixes what is random."""
    params = unwrap(estimator).get_params(deep=False)
    seed = {"random_state": 0} if params.get("random_state", 0) is None else {}
    models = [problem.fit(problem.new(estimator, **seed)) for _ in range(2)]
    asked = "a second fit" + (" with the same random_state" if "random_state" in params else "")
    expect_same_model(models[1], models[0], f"{asked} on the same data")
    if "random_state" in params:
        for other in (np.int64(3), np.random.RandomState(3)):
            problem.fit(problem.new(estimator, random_state=other))


def check_a_clone_of_a_fitted_model_is_not_fitted(estimator: Any, problem: Problem) -> None:
    """`clone` copies the parameters alone."""
    model = problem.fitted(estimator)
    copy = clone(model)
    expect_equal(repr(unwrap(copy)), repr(unwrap(estimator)), "repr of a clone of a fitted model")
    asked = "recommend of a clone of a fitted model"
    expect_error(lambda: copy.recommend(0), NotFittedError, (), asked)
    expect_same_model(problem.fit(copy), model, "fit of a clone of a fitted model")


def check_a_second_fit_forgets_the_first(estimator: Any, problem: Problem) -> None:
    """A second `fit` gives the model that a new estimator would be."""
    expected = problem.fitted(estimator)
    est = problem.new(estimator)
    X = as_matrix(problem.train)[:25, :20]
    features = problem.given_features(est, 20)
    options = {} if features is None else {"item_features": {"z": features["v"]}}
    problem.fit(est, X, **options)
    expect_equal(est.n_users_, 25, "n_users_ after fit on 25 users")
    expect_equal(est.n_features_in_, 20, "n_features_in_ after fit on 20 items")
    problem.fit(est)
    expect_same_model(est, expected, "a second fit, on other data than the first")
    names = sorted(vars(unwrap(est)).keys() ^ vars(unwrap(expected)).keys())
    expect(not names, f"a second fit must leave nothing of the first; {', '.join(names)} differ")


def check_a_fit_that_fails_leaves_nothing_fitted(estimator: Any, problem: Problem) -> None:
    """After a `fit` that raises, the estimator is not fitted."""
    model = problem.fit(problem.new(estimator))
    wrong = -as_matrix(problem.train)
    expect_error(lambda: problem.fit(model, wrong), ValueError, "X", "fit on negative values")
    asked = "recommend after a fit that failed"
    expect_error(lambda: model.recommend(0), NotFittedError, (), asked)


def check_numbers_of_numpy_are_numbers(estimator: Any, problem: Problem) -> None:
    """Parameters may be numbers of NumPy, as a search over an array gives them."""
    params = unwrap(estimator).get_params(deep=False)
    of_numpy = {
        name: np.min_scalar_type(value).type(value)
        for name, value in params.items()
        if type(value) is int and name != "random_state"
    }
    model = problem.fit(problem.new(estimator, **of_numpy))
    asked = f"fit with {', '.join(of_numpy)} as the smallest integers of NumPy that hold them"
    expect_same_model(model, problem.fitted(estimator), asked)
    wide = {
        name: np.int64(value) if type(value) is int else np.float64(value)
        for name, value in params.items()
        if type(value) in (int, float)
    }
    model = problem.fit(problem.new(estimator, **wide))
    asked = f"fit with {', '.join(wide)} as int64 and float64 of NumPy"
    expect_same_model(model, problem.fitted(estimator), asked)


def check_several_threads_may_fit(estimator: Any, problem: Problem) -> None:
    """Several threads may fit copies of an estimator at once."""
    expected = problem.fitted(estimator)
    copies = [problem.new(estimator) for _ in range(6)]
    with ThreadPoolExecutor(4) as pool:
        for model in pool.map(problem.fit, copies):
            expect_same_model(model, expected, "fit in four threads beside fit in one")
