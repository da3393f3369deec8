"""Checks of pickle, joblib and `recsk.save`."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable
from typing import Any
from unittest import SkipTest

import joblib

from recsk.storage import load, save
from recsk.testing.answers import expect_same_model
from recsk.testing.data import Problem
from recsk.testing.expect import expect, expect_equal
from recsk.testing.labels import rewrap, unwrap

__all__: list[str] = []


def check_pickled_it_answers_the_same(estimator: Any, problem: Problem) -> None:
    """A fitted model can be pickled."""
    model = problem.fitted(estimator)
    copy = _of(pickle.loads, _of(pickle.dumps, unwrap(model), "pickle.dumps"), "pickle.loads")
    _expect_copy(rewrap(model, copy), model, problem, "after pickle")


def check_in_a_joblib_file_it_answers_the_same(estimator: Any, problem: Problem) -> None:
    """A fitted model can be written by joblib: plain, compressed, and read as a memory map."""
    model = problem.fitted(estimator)
    for text, compress, mmap_mode in (
        ("a plain file", 0, None),
        ("a compressed file", 3, None),
        ("a memory map", 0, "r"),
    ):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.joblib")
            joblib.dump(unwrap(model), path, compress=compress)
            copy = rewrap(model, joblib.load(path, mmap_mode=mmap_mode))
            _expect_copy(copy, model, problem, f"after joblib, as {text}")
            del copy  # before the folder goes, on systems that keep open files


def check_in_a_file_without_pickle_it_answers_the_same(estimator: Any, problem: Problem) -> None:
    """`recsk.save` and `recsk.load` keep all that a fitted model needs."""
    _skip_without_safetensors()
    _expect_saved(problem.fitted(estimator), problem)


def check_a_model_of_weights_answers_from_a_file(estimator: Any, problem: Problem) -> None:
    """So they do for a model of weighted interactions."""
    _skip_without_safetensors()
    if problem.rejects_weights(estimator):
        raise SkipTest("fit rejects weights that differ")
    _expect_saved(problem.fit(problem.new(estimator), sample_weight=problem.weights), problem)


def _expect_saved(model: Any, problem: Problem) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.recsk")
        _of(lambda fitted: save(fitted, path), unwrap(model), "recsk.save")
        copy = rewrap(model, _of(load, path, "recsk.load"))
        _expect_copy(copy, model, problem, "after recsk.save and recsk.load")


def _expect_copy(copy: Any, model: Any, problem: Problem, what: str) -> None:
    try:
        expect_same_model(copy, model, what)
        expect_equal(copy.score(problem.test), model.score(problem.test), f"score {what}")
        shape = copy.recommend(user_items=[], k=3)[0].shape
    except (AssertionError, SkipTest):
        raise
    except Exception as error:
        raise AssertionError(
            f"{what} the model must answer as before; it raised {type(error).__name__}: {error}"
        ) from error
    expect_equal(shape, (0, 3), f"shape of recommend(user_items=[], k=3) {what}")
    same = repr(unwrap(copy)) == repr(unwrap(model))
    expect(same, f"repr {what}: got {unwrap(copy)!r}, expected {unwrap(model)!r}")


def _of(call: Callable[[Any], Any], argument: Any, name: str) -> Any:
    try:
        return call(argument)
    except Exception as error:
        raise AssertionError(
            f"{name} of the fitted model raised {type(error).__name__}: {error}"
        ) from error


def _skip_without_safetensors() -> None:
    try:
        import safetensors  # noqa: F401, the files are of safetensors
    except ImportError as error:
        raise SkipTest("safetensors is not installed") from error
