"""Held-out interactions in the space of a fitted model, and the users to evaluate."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsk.data.interactions import Interactions
from recsk.data.labels import Labels
from recsk.data.matching import FitLabels, labels_of_fit, match_held_out
from recsk.data.matrices import check_one_row_per_user, interaction_matrix
from recsk.data.names import check_names
from recsk.data.repeats import name_deduplicate

__all__ = [
    "HeldOut",
    "find_recommender",
    "match_test",
    "match_training",
    "warn_of_repeats",
    "warn_of_unknown_users",
]


class HeldOut(NamedTuple):
    """Held-out interactions in the ids of a model.

    Attributes
    ----------
    truth : csr_array of shape (n_users, n_items or more)
        Items that the model does not know come last.
    users : ndarray of shape (n,)
        The ids of the users to evaluate; each has a held-out item.
    n_users, n_items : int
        Those of the model.
    labels : mapping of str to Labels
        Those of the model, under "user" and "item".
    """

    truth: sparse.csr_array
    users: npt.NDArray[np.int64]
    n_users: int
    n_items: int
    labels: FitLabels

    @property
    def item_labels(self) -> Labels | None:
        """The labels of the items, if the model speaks labels."""
        return self.labels.get("item")

    def user_names(self) -> npt.NDArray[Any]:
        """Return the labels of the users where the model speaks labels, else their ids."""
        return self.labels["user"].values[self.users] if "user" in self.labels else self.users


def find_recommender(est: Any) -> Any:
    """Return the recommender inside a search (its best estimator) or pipeline (its last step)."""
    found = est
    while not hasattr(found, "recommend"):
        if hasattr(found, "best_estimator_"):
            found = found.best_estimator_
        elif hasattr(found, "steps"):
            found = found.steps[-1][1]
        else:
            raise TypeError(
                f"est must have a method recommend, or be a fitted search (with refit) or pipeline "
                f"that ends with one; got {type(est).__name__}"
            )
    return found


def match_test(est: Any, X_test: Any, eval_users: Any, stacklevel: int) -> HeldOut:
    """Match held-out interactions to a recommender, and find the users to evaluate."""
    matched, fit_labels = X_test, labels_of_fit(est)
    if isinstance(X_test, Interactions):
        matched = match_held_out(X_test, fit_labels, "X_test", stacklevel + 2)
    truth = interaction_matrix(matched, "X_test")
    n_items = getattr(est, "n_features_in_", truth.shape[1])
    by_label = isinstance(X_test, Interactions) and "item" in fit_labels
    if n_items != truth.shape[1] and not by_label:
        raise ValueError(
            f"X_test (n_users x n_items) has {truth.shape[1]} items, but "
            f"{type(est).__name__} was fitted on {n_items}"
        )
    if not isinstance(X_test, Interactions) and hasattr(est, "n_users_"):
        check_one_row_per_user(truth.shape[0], est.n_users_, "X_test")
    n_users = getattr(est, "n_users_", truth.shape[0])
    if truth.shape[0] > n_users:
        raise ValueError(
            f"X_test (n_users x n_items) has {truth.shape[0]} users, but "
            f"{type(est).__name__} was fitted on {n_users}"
        )
    counts = np.diff(truth.indptr)
    users = np.flatnonzero(counts)
    if eval_users is not None:
        if "user" in fit_labels:
            labels = fit_labels["user"]
            eval_users = check_names(eval_users, "eval_users", labels, n_users, "users", (0, 1))
        users = np.intersect1d(users, _check_users(eval_users, truth.shape[0]))
    if not users.size:
        raise ValueError(
            f"no user to evaluate has a held-out item in X_test, which has {counts.sum()} "
            "held-out items in total"
        )
    return HeldOut(truth, users, n_users, n_items, fit_labels)


def match_training(est: Any, X_train: Any, held_out: HeldOut) -> sparse.csr_array | None:
    """Return the training interactions of a recommender: those given, else its own, else None."""
    if X_train is None:
        train = getattr(est, "interactions_", None)
        if train is None:
            return None
        train = interaction_matrix(train, "interactions_")
    else:
        matched = X_train
        if isinstance(X_train, Interactions):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an error below
                matched = match_held_out(X_train, held_out.labels, "X_train")
            if len(matched) < len(X_train):
                raise ValueError("X_train has users that the model was not fitted on")
        train = interaction_matrix(matched, "X_train")
        n_rows = held_out.users.max() + 1
        if train.shape[1] > held_out.n_items or train.shape[0] < n_rows:
            raise ValueError(
                f"X_train must have the users and items of the model, {held_out.n_users} x "
                f"{held_out.n_items}; got {train.shape[0]} x {train.shape[1]}"
            )
    if train.shape[1] < held_out.n_items:  # new items come last
        shape = (train.shape[0], held_out.n_items)
        train = sparse.csr_array((train.data, train.indices, train.indptr), shape=shape)
    return train


def warn_of_unknown_users(est: Any, users: npt.NDArray[np.int64], stacklevel: int) -> None:
    """Warn if most users have no training interactions, as after a split by users."""
    train = getattr(est, "interactions_", None)
    if train is None:
        return
    n_unknown = int((np.diff(train.indptr)[users] == 0).sum())
    if n_unknown > len(users) / 2:
        warnings.warn(
            f"{n_unknown} of the {len(users)} users to evaluate have no interaction in training "
            "and get popular items, so that the values do not measure the model. Use a splitter "
            "of recsk.model_selection (cv= of a search): it leaves every user some interactions "
            "in training",
            stacklevel=stacklevel + 1,
        )


def warn_of_repeats(
    est: Any, truth: Any, users: npt.NDArray[np.int64], X_test: Any, stacklevel: int
) -> None:
    """Warn if held-out interactions are in training: lists without seen items never hold them."""
    train = getattr(est, "interactions_", None)
    if train is None:
        return
    held_out = truth[users][:, : train.shape[1]]  # without items that the fit does not know
    n_repeats = held_out.multiply(train[users]).nnz
    if n_repeats:
        distinct = name_deduplicate(X_test.value if isinstance(X_test, Interactions) else None)
        warnings.warn(
            f"{n_repeats} of the {held_out.nnz} held-out interactions are in training too. They "
            "count as not found, because lists leave out seen items. Use a splitter of "
            f"recsk.model_selection (without repeats=True), or split {distinct}. To count "
            "repeats as hits, use exclude_seen=False (score: MDSRecRecommender(repeats=True))",
            stacklevel=stacklevel + 1,
        )


def _check_users(users: npt.ArrayLike, n_users: int) -> npt.NDArray[Any]:
    array = np.atleast_1d(np.asarray(users))
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise TypeError(
            f"eval_users must be 1-D and hold integers; got {array.ndim} axes of {array.dtype}"
        )
    if (out_of_range := (array < 0) | (array >= n_users)).any():
        raise IndexError(
            f"eval_users has {array[np.argmax(out_of_range)]}, but X_test has users 0 to "
            f"{n_users - 1}"
        )
    return array.astype(np.int64)
