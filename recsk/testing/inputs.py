"""Checks of the forms that `X` and `item_features` may have, and of the errors of wrong ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import SkipTest

import numpy as np
from scipy import sparse

from recsk.data.interactions import Interactions
from recsk.testing.answers import expect_same_model
from recsk.testing.data import (
    N_ITEMS,
    N_USERS,
    Problem,
    as_matrix,
    has,
    is_ordered,
    takes,
)
from recsk.testing.expect import expect, expect_error
from recsk.testing.labels import InIds, unwrap

__all__ = ["matrices", "with_index"]


def check_a_matrix_of_every_kind_gives_the_same_model(estimator: Any, problem: Problem) -> None:
    """`X` may be a sparse matrix of any format and type, or a dense one."""
    expected = problem.fitted(estimator)
    for name, X in matrices(problem.train):
        if is_ordered(estimator) and X.dtype == bool:
            continue  # the values are the order, and these are all equal
        model = problem.fit(problem.new(estimator), X)
        expect_same_model(model, expected, f"fit on a matrix ({name}) beside fit on Interactions")


def matrices(interactions: Interactions) -> Iterator[tuple[str, Any]]:
    """Yield the interactions as a matrix of every kind."""
    X = as_matrix(interactions)
    for name in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil"):
        yield f"{name}_array", X.asformat(name)
        yield f"{name}_matrix", getattr(sparse, f"{name}_matrix")(X)
    for dtype in (np.int8, np.uint16, np.int64, np.float32):
        yield np.dtype(dtype).name, X.astype(dtype)
    yield "bool", X.astype(bool)
    yield "dense", X.toarray()
    yield "64-bit indices", with_index(X, np.int64)

    coo = X.tocoo()
    zeros = np.flatnonzero(X.toarray().ravel() == 0)[::7]
    row, column = np.divmod(zeros, X.shape[1])
    data = np.r_[coo.data, np.zeros(len(zeros))]
    pairs = np.r_[coo.row, row], np.r_[coo.col, column]
    yield "explicit zeros", sparse.coo_array((data, pairs), shape=X.shape).tocsr()
    twice = np.r_[coo.row, coo.row], np.r_[coo.col, coo.col]
    again = np.r_[coo.data, np.zeros(coo.nnz)]
    yield "duplicates", sparse.coo_array((again, twice), shape=X.shape)
    backwards = X.copy()
    for start, end in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        backwards.indices[start:end] = X.indices[start:end][::-1]
        backwards.data[start:end] = X.data[start:end][::-1]
    parts = backwards.data, backwards.indices, X.indptr
    yield "unsorted indices", sparse.csr_array(parts, shape=X.shape)


def with_index(X: Any, dtype: Any) -> Any:
    """Return a copy with another type of indices."""
    X = X.copy()
    X.indices, X.indptr = X.indices.astype(dtype), X.indptr.astype(dtype)
    return X


def check_interactions_worth_nothing_are_none(estimator: Any, problem: Problem) -> None:
    """An interaction with value 0 is no interaction, as an entry 0 of a matrix is none."""
    train, unseen = problem.train, np.argwhere(~problem.seen)[::5]
    worthless = Interactions(
        np.r_[train.user, unseen[:, 0]],
        np.r_[train.item, unseen[:, 1]],
        timestamp=np.r_[train.timestamp, np.full(len(unseen), 5)],
        value=np.r_[np.full(len(train), 2.5), np.zeros(len(unseen))],
    )
    model = problem.fit(problem.new(estimator), worthless)
    asked = f"fit on X with {len(unseen)} more interactions of value 0"
    expect_same_model(model, problem.fitted(estimator), asked)


def check_features_in_every_form_give_the_same_model(estimator: Any, problem: Problem) -> None:
    """`item_features` may be dense or sparse, float or half, an array or a list."""
    _skip_without_features(estimator)
    # Values that half precision holds exactly.
    half = {name: x.astype(np.float16).astype(np.float32) for name, x in problem.features.items()}
    expected = problem.fit(problem.new(estimator), item_features=half)
    forms: dict[str, Callable[[Any], Any]] = {
        "float16": lambda x: x.astype(np.float16),
        "float64": lambda x: x.astype(np.float64),
        "lists": np.ndarray.tolist,
        "arrays in Fortran order": np.asfortranarray,
        "csr_array": sparse.csr_array,
        "coo_matrix": sparse.coo_matrix,
    }
    for name, form in forms.items():
        given = {modality: form(x) for modality, x in half.items()}
        model = problem.fit(problem.new(estimator), item_features=given)
        expect_same_model(model, expected, f"fit with item_features as {name} beside float32")


def check_no_features_is_an_empty_dict_of_features(estimator: Any, problem: Problem) -> None:
    """Fit without features works, or raises a ValueError that names `item_features`."""
    _skip_without_features(estimator)
    none, empty = problem.new(estimator), problem.new(estimator)
    if problem.needs_features(estimator):
        for name, call in (
            ("without item_features", partial(none.fit, problem.train)),
            ("with item_features={}", partial(empty.fit, problem.train, item_features={})),
        ):
            asked = f"fit {name}, which the estimator needs,"
            expect_error(call, ValueError, "item_features", asked)
    else:
        none.fit(problem.train)
        empty.fit(problem.train, item_features={})
        expect_same_model(empty, none, "fit with item_features={} beside fit without")


def check_wrong_features_are_named(estimator: Any, problem: Problem) -> None:
    """Features that are no dict, or of another number of items, are rejected."""
    _skip_without_features(estimator)
    v = problem.features["v"]
    wrong: list[Any] = [v, {"v": v[:-1]}, {"v": v[:, 0]}, {"v": np.where(v > 1, np.inf, v)}]
    for features in wrong:
        model = problem.new(estimator)
        call = partial(model.fit, problem.train, item_features=features)
        asked = f"fit with item_features={features!r:.60}..."
        expect_error(call, (TypeError, ValueError), "item_features", asked)


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


def check_what_is_no_matrix_is_named(estimator: Any, problem: Problem) -> None:
    """`fit` and `score` reject what is no matrix of interactions, and name `X`."""
    model, est = problem.fitted(estimator), problem.new(estimator)
    negative = -as_matrix(problem.train)
    empty = sparse.csr_array((N_USERS, N_ITEMS))
    not_finite = as_matrix(problem.train) * np.inf
    wrong: list[Any] = [None, "a", {}, [], np.zeros(3), negative, empty, not_finite]
    for X in wrong:
        for name, call in (("fit", est.fit), ("score", model.score)):
            asked = f"{name}(X) with X = {X!r:.80}"
            expect_error(partial(call, X), (TypeError, ValueError), "X", asked)
    few = as_matrix(problem.train)[:, :5]
    asked = f"score(X) of a matrix of 5 items, where the fit had {N_ITEMS},"
    expect_error(lambda: model.score(few), ValueError, ["X has 5", str(N_ITEMS)], asked)


def check_wrong_arguments_are_named(estimator: Any, problem: Problem) -> None:
    """Unknown users and items are an IndexError (of labels a KeyError) that names them."""
    model = problem.fitted(estimator)
    raw = unwrap(model)
    labelled = isinstance(model, InIds)
    user, item = (raw.users_[0], raw.items_[0]) if labelled else (0, 0)
    unknown: list[Any] = ["nobody"] if labelled else [-1, 1000]
    error: type[Exception] = KeyError if labelled else IndexError
    for x in unknown:
        calls: dict[str, Callable[[], Any]] = {
            f"recommend([{x!r}])": partial(raw.recommend, [x]),
            f"recommend({x!r})": partial(raw.recommend, x),
            f"recommend(items=[{x!r}])": partial(raw.recommend, items=[x]),
            f"recommend(filter_items=[{x!r}])": partial(raw.recommend, filter_items=[x]),
            f"recommend(user_items=[[{x!r}]])": partial(raw.recommend, user_items=[[x]]),
            f"rank_items({user!r}, [{x!r}])": partial(raw.rank_items, user, [x]),
            f"rank_items({x!r}, [{item!r}])": partial(raw.rank_items, x, [item]),
        }
        if has(raw, "similar_items"):
            calls[f"similar_items({x!r})"] = partial(raw.similar_items, x)
        for asked, call in calls.items():
            expect_error(call, error, str(x), asked)
    expect_error(lambda: raw.recommend(k=0), ValueError, "k", "recommend(k=0)")
    expect_error(lambda: raw.recommend(k=2.5), TypeError, "k", "recommend(k=2.5)")
    if not labelled:
        asked = "recommend([0.5])"
        expect_error(lambda: raw.recommend([0.5]), TypeError, "user_ids", asked)
    few = sparse.csr_array(np.ones((2, 5)))
    asked = f"recommend(user_items=a matrix of 5 items, where the fit had {N_ITEMS})"
    expect_error(lambda: raw.recommend(user_items=few), ValueError, "user_items", asked)
    asked = "recommend(user_items=3)"
    expect_error(lambda: raw.recommend(user_items=3), TypeError, "user_items", asked)


def _skip_without_features(estimator: Any) -> None:
    if not takes(estimator, "item_features"):
        raise SkipTest("fit takes no item_features")
