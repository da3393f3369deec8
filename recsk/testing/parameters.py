"""Checks of parameters and of `clone`, before any answer."""

from __future__ import annotations

from functools import partial
from typing import Any

from sklearn.base import clone

from recsk.testing.data import Problem
from recsk.testing.expect import expect, expect_equal, expect_error
from recsk.testing.labels import unwrap

__all__: list[str] = []


def check_parameters_and_clone(estimator: Any, problem: Problem) -> None:
    """`clone`, `get_params` and `set_params` work as scikit-learn's."""
    est = unwrap(estimator)
    try:
        copy = clone(est)
    except Exception as error:
        raise AssertionError(
            "scikit-learn's clone must copy the estimator: __init__ stores each parameter under "
            f"its own name, unchanged, and does nothing else; got {type(error).__name__}: {error}"
        ) from error
    expect(repr(copy) == repr(est), f"repr of a clone: got {copy!r}, expected {est!r}")
    names = sorted(est.get_params())
    expect_equal(sorted(copy.get_params()), names, "names of the parameters of a clone")
    expect(copy.set_params() is copy, "set_params must return the estimator")
    for name, value in est.get_params(deep=False).items():
        returned = copy.set_params(**{name: value})
        expect(returned is copy, f"set_params({name}=...) must return the estimator")
        stored = copy.get_params()[name]
        expect(stored is value, f"set_params({name}={value!r}) must store it; got {stored!r}")
    expect_error(
        lambda: copy.set_params(no_such_parameter=7),
        ValueError,
        "no_such_parameter",
        "set_params(no_such_parameter=7)",
    )


def check_wrong_parameters_are_named(estimator: Any, problem: Problem) -> None:
    """`fit` rejects a parameter of a wrong type, and names it."""
    # Every class lists some; those of its base classes are among them.
    legal = getattr(unwrap(estimator), "_parameter_constraints", {})
    for name in unwrap(estimator).get_params(deep=False):
        if name in legal:
            call = partial(problem.fit, problem.new(estimator, **{name: object()}))
            expect_error(call, (TypeError, ValueError), name, f"fit with {name}=object()")
