"""Checks of `fit`: what it returns and keeps, and what it leaves alone."""

from __future__ import annotations

import contextlib
import io
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from recsk.data.interactions import Interactions
from recsk.testing.answers import ask_everything
from recsk.testing.data import HISTORIES, N_ITEMS, N_USERS, Problem, as_matrix, has, takes
from recsk.testing.expect import expect, expect_equal, expect_error
from recsk.testing.inputs import with_index
from recsk.testing.labels import labels_given, unwrap

__all__: list[str] = []


def check_an_unfitted_estimator_says_so(estimator: Any, problem: Problem) -> None:
    """Before `fit` every question is a NotFittedError that names the class."""
    est = problem.new(estimator)
    calls: dict[str, Callable[[], Any]] = {
        "recommend(0)": lambda: est.recommend(0),
        "recommend(user_items=[[0]])": lambda: est.recommend(user_items=HISTORIES),
        "rank_items(0, [0])": lambda: est.rank_items(0, [0]),
        "similar_items(0)": lambda: est.similar_items(0),
        "similar_users(0)": lambda: est.similar_users(0),
        "score(X)": lambda: est.score(problem.test),
    }
    for name, call in calls.items():
        if hasattr(est, name.split("(")[0]):
            asked = f"{name} of an estimator that is not fitted"
            expect_error(call, NotFittedError, type(unwrap(est)).__name__, asked)


def check_fit_changes_none_of_its_arguments(estimator: Any, problem: Problem) -> None:
    """`fit` returns the estimator, and changes neither its arguments nor its parameters."""
    est = problem.new(estimator)
    arguments: dict[str, Any] = {"X": with_index(as_matrix(problem.train), np.int32)}
    features = problem.given_features(est)
    if features is not None:
        arguments["item_features"] = {name: x.copy() for name, x in features.items()}
    if takes(est, "eval_set"):
        arguments["eval_set"] = as_matrix(problem.test).tocoo()
    if not problem.rejects_weights(estimator):
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
    expect(len(caught) <= 1, f"fit must warn once that it ignores item_features; got {len(caught)}")


def check_silent_unless_asked(estimator: Any, problem: Problem) -> None:
    """`fit` and `score` print nothing."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        problem.fit(problem.new(estimator)).score(problem.test)
    printed = out.getvalue() + err.getvalue()
    expect(not printed, f"fit and score must print nothing; got {printed[:300]!r}")
