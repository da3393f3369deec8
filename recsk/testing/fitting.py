"""Checks of parameters, of `clone`, and of what `fit` keeps and leaves alone."""

from __future__ import annotations

import contextlib
import io
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from recsk.data.interactions import Interactions
from recsk.testing.answers import ask_everything, expect_same_model
from recsk.testing.data import N_ITEMS, N_USERS, Problem, as_matrix, has, takes
from recsk.testing.expect import expect, expect_equal, expect_error
from recsk.testing.inputs import with_index
from recsk.testing.labels import labels_given, unwrap

__all__: list[str] = []


def check_parameters_and_clone(estimator: Any, problem: Problem) -> None:
    """`clone`, `get_params` and `set_params` work as scikit-learn's."""
    try:
        est = unwrap(problem.new(estimator))
    except Exception as error:
        raise AssertionError(
            "scikit-learn's clone must copy the estimator: __init__ stores each parameter under "
            f"its own name, unchanged, and does nothing else; got {type(error).__name__}: {error}"
        ) from error
    model = problem.fitted(estimator)
    copy = clone(model)
    expect_equal(repr(unwrap(copy)), repr(est), "repr of a clone")
    names = sorted(est.get_params())
    expect_equal(sorted(unwrap(copy).get_params()), names, "names of the parameters of a clone")
    expect_error(
        lambda: copy.recommend(0), NotFittedError, (), "recommend of a clone of a fitted model"
    )
    expect_same_model(problem.fit(copy), model, "fit of a clone of a fitted model")
    expect(est.set_params() is est, "set_params must return the estimator")
    for name, value in est.get_params(deep=False).items():
        est.set_params(**{name: value})
        expect(est.get_params()[name] is value, f"set_params({name}=...) must store the value")
    expect_error(
        lambda: est.set_params(no_such_parameter=7),
        ValueError,
        "no_such_parameter",
        "set_params(no_such_parameter=7)",
    )


def check_wrong_parameters_are_named(estimator: Any, problem: Problem) -> None:
    """`fit` rejects parameters of a wrong type, and names them."""
    legal = constraints(unwrap(estimator))
    for name in unwrap(estimator).get_params(deep=False):
        if name in legal:
            call = partial(problem.fit, problem.new(estimator, **{name: object()}))
            expect_error(call, (TypeError, ValueError), name, f"fit with {name}=object()")


def constraints(est: Any) -> dict[str, Any]:
    """Return which values are legal, by parameter."""
    return getattr(est, "_parameter_constraints", {})


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


def check_fit_changes_none_of_its_arguments(estimator: Any, problem: Problem) -> None:
    """`fit` returns the estimator, and changes neither its arguments nor its parameters."""
    est = problem.new(estimator)
    arguments: dict[str, Any] = {"X": with_index(as_matrix(problem.train), np.int32)}
    features = problem.given_features(est)
    if features is not None:
        arguments["item_features"] = {name: x.copy() for name, x in features.items()}
    if takes(est, "eval_set"):
        arguments["eval_set"] = as_matrix(problem.test).tocoo()
    if takes(est, "sample_weight"):
        arguments["sample_weight"] = np.arange(N_USERS) % 3 + 1.0
    before = pickle.dumps(arguments)
    params = pickle.dumps(unwrap(est).get_params())
    for array in _arrays(arguments):
        array.flags.writeable = False
    returned = est.fit(**arguments)
    expect(returned is est, f"fit must return the estimator itself; got {returned!r}")
    expect(pickle.dumps(arguments) == before, f"fit changed one of {', '.join(arguments)}")
    after = pickle.dumps(unwrap(est).get_params())
    expect(after == params, "fit changed a parameter; keep what it makes of one as another name")

    train = problem.train
    columns = {name: np.array(getattr(train, name)) for name in ("user", "item", "timestamp")}
    X = Interactions(**columns, n_users=N_USERS, n_items=N_ITEMS)
    problem.fit(problem.new(estimator), X)
    for name, column in columns.items():
        expect_equal(column, getattr(train, name), f"{name} of X after fit")


def _arrays(arguments: dict[str, Any]) -> list[np.ndarray]:
    found = list(arguments.get("item_features", {}).values())
    for name in ("X", "eval_set"):
        for part in ("data", "indices", "indptr", "row", "col"):
            if hasattr(arguments.get(name), part):
                found.append(getattr(arguments[name], part))
    return [*found, *(arguments[name] for name in ("sample_weight",) if name in arguments)]


def check_fitted_attributes(estimator: Any, problem: Problem) -> None:
    """A fitted model has what recommending needs, as finite arrays of float32."""
    model = problem.fitted(estimator)
    for name, number in (("n_users_", N_USERS), ("n_features_in_", N_ITEMS)):
        expect(has(model, name), f"fit must set {name}")
        expect_equal(getattr(model, name), number, name)
    popularity = np.bincount(problem.train.item, minlength=N_ITEMS)
    popularity = (popularity / popularity.max()).astype(np.float32)
    expect_equal(model.item_popularity_, popularity, "item_popularity_")
    expect_equal(model.interactions_.toarray() > 0, problem.seen, "the pairs of interactions_")
    if has(model, "user_vectors"):
        width = model.user_embedding_.shape[1]
        for name, n in (("user_embedding_", N_USERS), ("item_embedding_", N_ITEMS)):
            vectors = getattr(model, name)
            expect_equal(vectors.shape, (n, width), f"shape of {name}")
            expect(vectors.dtype == np.float32, f"{name} must be float32; got {vectors.dtype}")
            expect(np.isfinite(vectors).all(), f"{name} must be finite; got {vectors}")
    raw = unwrap(model)
    for kind, n in (("user", N_USERS), ("item", N_ITEMS)):
        name, labels = f"{kind}s_", labels_given(model, kind, n)
        if labels is None:
            expect(not has(raw, name), f"a model fitted on ids has no labels; got {name}")
        else:
            expect(
                has(raw, name) and getattr(raw, name).tolist() == labels,
                f"{name} must be the labels of the {kind}s of X; got {getattr(raw, name, None)}",
            )


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


def check_the_smallest_problems(estimator: Any, problem: Problem) -> None:
    """One interaction, or one user, is enough to fit."""
    train = problem.train
    for text, X, n_items in (
        ("one interaction", Interactions([0], [0], timestamp=[1]), 1),
        ("the interactions of one user of 30", train[train.user == 0], N_ITEMS),
        ("a matrix of one user", as_matrix(train)[[0]], N_ITEMS),
    ):
        est = problem.new(estimator)
        features = problem.given_features(est, n_items)
        options = {} if features is None else {"item_features": {"v": features["v"]}}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning)
            problem.fit(est, X, **options)
        ids, scores = est.recommend(0, exclude_seen=False, k=3)
        asked = f"recommend(0, exclude_seen=False, k=3) after fit on {text}"
        n = min(3, n_items)
        expect((ids[:n] >= 0).all(), f"{asked} must give {n} items; got {ids.tolist()}")
        expect(np.isfinite(scores[ids >= 0]).all(), f"{asked}: scores must be finite; got {scores}")


def check_nothing_warns(estimator: Any, problem: Problem) -> None:
    """Clean data raise no warning, but one that `item_features` are ignored."""
    est = problem.new(estimator)
    options = {"eval_set": as_matrix(problem.test)} if takes(est, "eval_set") else {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        problem.fit(est, as_matrix(problem.train), **options).score(problem.test)
        ask_everything(est)
    unasked = [w for w in caught if "item_features" not in str(w.message)]
    expect(
        not unasked,
        "fit, score and questions on clean data must not warn; got "
        + "; ".join(f"{w.category.__name__}: {w.message} ({w.filename})" for w in unasked),
    )
    expect(len(caught) <= 1, f"fit must say once that it ignores item_features; got {len(caught)}")


def check_silent_unless_asked(estimator: Any, problem: Problem) -> None:
    """`fit` and `score` print nothing."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        problem.fit(problem.new(estimator)).score(problem.test)
    printed = out.getvalue() + err.getvalue()
    expect(not printed, f"fit and score must print nothing; got {printed[:300]!r}")


def check_several_threads_may_fit(estimator: Any, problem: Problem) -> None:
    """Several threads may fit copies of an estimator at once."""
    expected = problem.fitted(estimator)
    copies = [problem.new(estimator) for _ in range(6)]
    with ThreadPoolExecutor(4) as pool:
        for model in pool.map(problem.fit, copies):
            expect_same_model(model, expected, "fit in four threads beside fit in one")
