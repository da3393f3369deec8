"""The small problem that every check asks about."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import clone

from recsk.data.interactions import Interactions
from recsk.testing.labels import unwrap

__all__ = [
    "COLD_ITEM",
    "COLD_USER",
    "HISTORIES",
    "ITEM_WITHOUT_TEXT",
    "N_ITEMS",
    "N_USERS",
    "Problem",
    "as_matrix",
    "checkerboard",
    "has",
    "is_ordered",
    "takes",
]

N_USERS, N_ITEMS = 30, 24
COLD_USER, COLD_ITEM, ITEM_WITHOUT_TEXT = 7, 11, 5
# Histories of new users, oldest first.
HISTORIES: list[list[int]] = [[3, 0, 17], [9], [22, 1, 2, 3, 4, 5], [], [23, 0]]


@dataclass
class Problem:
    """30 users and 24 items with two modalities, and how an estimator is fitted on them.

    User 7 and item 11 have no interactions; item 5 lacks the modality ``"t"``.

    Parameters
    ----------
    item_features : bool, default=True
        Whether `fit` gives the estimator the features of the items.
    enough : dict, default={}
        Parameters that let the estimator learn a 20 x 20 checkerboard by heart.

    Attributes
    ----------
    train, test : Interactions
        With timestamps.
    features : dict of str to ndarray
        All there are, whether `fit` gives them or not.
    weights : ndarray of shape (len(train),)
        For `sample_weight`; some are zero.
    seen : ndarray of shape (30, 24), bool
        The pairs of `train`.
    """

    item_features: bool = True
    enough: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        alike = (np.add.outer(np.arange(N_USERS), np.arange(N_ITEMS)) % 3 == 0) * 0.5
        seen = rng.random((N_USERS, N_ITEMS)) < 0.15 + alike
        seen[COLD_USER] = seen[:, COLD_ITEM] = False
        user, item = seen.nonzero()
        time = rng.permutation(len(user))
        held_out = rng.random(len(user)) < 0.2
        X = Interactions(user, item, timestamp=time, n_users=N_USERS, n_items=N_ITEMS)
        self.train, self.test = X[~held_out], X[held_out]
        self.features = {
            "v": rng.normal(size=(N_ITEMS, 6)).astype(np.float32),
            "t": rng.normal(size=(N_ITEMS, 4)).astype(np.float32),
        }
        self.features["t"][ITEM_WITHOUT_TEXT] = np.nan
        rng = np.random.default_rng(1)
        self.weights = rng.choice([0, 0.5, 1, 2, 10], len(self.train))
        self._kept: dict[str, tuple[Any, Any]] = {}

    @cached_property
    def seen(self) -> npt.NDArray[np.bool_]:
        """Which user has seen which item."""
        return self.train.to_csr().toarray() > 0

    def new(self, estimator: Any, **params: Any) -> Any:
        """Return an unfitted copy with other parameters."""
        return clone(estimator).set_params(**params) if params else clone(estimator)

    def given_features(self, estimator: Any, n_items: int = N_ITEMS) -> dict[str, Any] | None:
        """Return the features that a fit on the first `n_items` items is given, or None."""
        if not (self.item_features and takes(estimator, "item_features")):
            return None
        return {name: values[:n_items] for name, values in self.features.items()}

    def fit(self, model: Any, X: Any = None, **options: Any) -> Any:
        """Fit `model` itself, on `train` and the features unless others are given."""
        options = {"item_features": self.given_features(model), **options}
        if options["item_features"] is None:
            del options["item_features"]
        model.fit(self.train if X is None else X, **options)
        return model

    def fitted(self, estimator: Any) -> Any:
        """Return a copy that is fitted on `train`, the same for all checks."""
        return self.keep("fitted", estimator, lambda: self.fit(clone(estimator)))

    def needs_features(self, estimator: Any) -> bool:
        """Whether `fit` without features raises an error that names `item_features`."""

        def needs() -> bool:
            try:
                clone(estimator).fit(self.train)
            except (TypeError, ValueError) as error:
                return "item_features" in str(error)
            return False

        return takes(estimator, "item_features") and self.keep("needs", estimator, needs)

    def rejects_weights(self, estimator: Any) -> bool:
        """Whether `fit` with different weights raises an error that names `sample_weight`."""

        def rejects() -> bool:
            try:
                self.fit(clone(estimator), sample_weight=self.weights)
            except (TypeError, ValueError) as error:
                return "sample_weight" in str(error)
            return False

        return not takes(estimator, "sample_weight") or self.keep("weights", estimator, rejects)

    def keep(self, name: str, estimator: Any, make: Callable[[], Any]) -> Any:
        """Return what `make` makes of an estimator, and make it once."""
        if name not in self._kept or self._kept[name][0] is not estimator:
            self._kept[name] = estimator, make()
        return self._kept[name][1]


def takes(estimator: Any, name: str) -> bool:
    """Whether `fit` has an argument of this name."""
    return name in inspect.signature(unwrap(estimator).fit).parameters


def is_ordered(estimator: Any) -> bool:
    """Whether the estimator reads the order of the interactions."""
    return bool(unwrap(estimator).ordered)


def has(model: Any, *names: str) -> bool:
    """Whether a fitted model has all these attributes; a method can be absent."""
    return all(hasattr(model, name) for name in names)


def as_matrix(interactions: Interactions) -> sparse.csr_array:
    """Return the interactions as a matrix; its values are the order, 1 for the oldest."""
    matrix = np.zeros((interactions.n_users, interactions.n_items))
    for user, items in enumerate(interactions.sequences()):
        matrix[user, items] = np.arange(1, len(items) + 1)
    return sparse.csr_array(matrix)


def checkerboard() -> npt.NDArray[np.bool_]:
    """Return what 20 users have seen: all items of their own parity but the one of their number."""
    board = np.add.outer(np.arange(20), np.arange(20)) % 2 == 0
    np.fill_diagonal(board, False)
    return board
