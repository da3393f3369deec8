"""What a fitted recommender holds, and how files store it."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from recsk.data.matching import FitLabels
from recsk.storage.labels import labels_state, read_labels
from recsk.storage.state import StateReader, matrix_state, text_state, weights_state

__all__ = ["FittedState"]

# What scores are made of: vectors of items and users, weights of pairs of items and of histories.
_PARTS = ("item_embedding_", "user_embedding_", "item_to_item_", "history_weights_")


class FittedState(BaseEstimator):
    """The fitted attributes that all recommenders share, as arrays on the CPU."""

    _labels: FitLabels = {}
    # Names of the first columns of a table, where later columns have none.
    _first_names: npt.NDArray[Any] | None = None

    def _set_labels(self, labels: FitLabels) -> None:
        """Set the labels that this model speaks, in place of those of an earlier fit."""
        self._labels = dict(labels)
        for kind in ("user", "item"):
            self.__dict__.pop(f"{kind}s_", None)
            if kind in labels:
                setattr(self, f"{kind}s_", labels[kind].values)

    def _as_fitted(self) -> Self:
        """Return this model as it is now, which another thread may change meanwhile.

        Raises a NotFittedError before the fit.
        """
        check_is_fitted(self)
        return self._as_copy()

    def _as_copy(self) -> Self:
        """Return a copy whose attributes may be set; the arrays are shared, and never changed."""
        copy = object.__new__(type(self))
        copy.__dict__ = self.__dict__.copy()
        return copy

    def __copy__(self) -> Self:
        """Return a copy that has what was made when it was needed, unlike a pickled one."""
        return self._as_copy()

    def _forget(self) -> None:
        """Remove what an earlier fit left: a fit that fails must not leave half a model."""
        self._forget_parts()
        for name in ("interactions_", "_log", "_features", "_feature_columns", "_first_names"):
            self.__dict__.pop(name, None)

    def _forget_parts(self) -> None:
        for name in _PARTS:
            self.__dict__.pop(name, None)

    def _scores_blocks(self) -> bool:
        """Whether the class computes scores in its own way."""
        return False

    def _check_parts(self) -> None:
        """Raise a ValueError if the parts of the score do not fit each other."""
        n_users, n_items = self.n_users_, self.n_features_in_
        shapes: dict[str, tuple[int, ...]] = {
            name: getattr(self, name).shape for name in _PARTS if hasattr(self, name)
        }
        width = shapes.get("item_embedding_", (0, 0))[-1]
        expected = {
            "item_embedding_": (n_items, width),
            "user_embedding_": (n_users, width),
            "item_to_item_": (n_items, n_items),
            "history_weights_": (n_users, n_items),
        }
        for name, shape in shapes.items():
            if shape != expected[name]:
                raise ValueError(
                    f"{type(self).__name__} has {name} of shape {shape}; expected {expected[name]}"
                )
        if not shapes.keys() & {"item_embedding_", "item_to_item_"} and not self._scores_blocks():
            raise ValueError(
                f"{type(self).__name__} has nothing to score by: `learn` returns item_vectors or "
                "item_to_item, or the class has a `score_block` of its own"
            )
        if ("item_embedding_" in shapes) != ("user_embedding_" in shapes):
            raise ValueError(
                f"{type(self).__name__} must have vectors of both users and items, or of neither: "
                "`learn` returns `user_vectors`, or `encode` computes them from histories"
            )

    def get_state(self) -> dict[str, Any]:
        """Return the fitted state for `recsk.save`.

        Returns
        -------
        dict
            Of numbers, strings, lists of strings, arrays, and dicts of these. A subclass adds what
            its `encode` or `score_block` needs beyond vectors and item-to-item weights.
        """
        state: dict[str, Any] = {
            "n_users_": self.n_users_,
            "n_features_in_": self.n_features_in_,
            "interactions_": matrix_state(self.interactions_),
            "item_popularity_": self.item_popularity_,
        }
        for name in _PARTS:
            if hasattr(self, name):
                part = getattr(self, name)
                state[name] = weights_state(part) if sp.issparse(part) else part
        if self._labels:
            state["labels"] = {
                kind: labels_state(labels, f"{kind}s_") for kind, labels in self._labels.items()
            }
        if hasattr(self, "feature_names_in_"):
            state["feature_names_in_"] = text_state(self.feature_names_in_)
        if self._first_names is not None:
            state["first_names"] = text_state(self._first_names)
        return state

    def set_state(self, state: StateReader) -> None:
        """Set the state that `get_state` returned, for `recsk.load`.

        Parameters
        ----------
        state : StateReader
            Each of its methods reads a value, checks its type and range, and raises a ValueError
            otherwise. A subclass reads what its `get_state` added.
        """
        self.n_users_ = state.integer("n_users_", 1)
        self.n_features_in_ = state.integer("n_features_in_", 1)
        sizes = {"user": self.n_users_, "item": self.n_features_in_}
        self._set_labels(read_labels(state.part("labels"), sizes))
        self.interactions_ = state.matrix("interactions_", (self.n_users_, self.n_features_in_))
        if state.has("user_embedding_"):
            self.user_embedding_ = state.array("user_embedding_", (self.n_users_, None))
            shape = self.n_features_in_, self.user_embedding_.shape[1]
            self.item_embedding_ = state.array("item_embedding_", shape)
        for name, n_rows in (
            ("item_to_item_", self.n_features_in_),
            ("history_weights_", self.n_users_),
        ):
            shape = n_rows, self.n_features_in_
            if state.has(name):
                setattr(self, name, state.array(name, shape))
            elif state.part(name).names():
                setattr(self, name, state.weights(name, shape))
        self.item_popularity_ = state.array("item_popularity_", (self.n_features_in_,))
        self._check_parts()
        if state.part("feature_names_in_").names():
            names = state.texts("feature_names_in_", self.n_features_in_)
            self.feature_names_in_ = np.array(names, dtype=object)
        if state.part("first_names").names():
            names = state.texts("first_names", None)
            if len(names) >= self.n_features_in_:
                raise ValueError(f"first_names must be fewer than the {self.n_features_in_} items")
            self._first_names = np.array(names, dtype=object)

    def _require_vectors(self) -> None:
        """Raise a ValueError if a file has no vectors, for classes that cannot be without."""
        if not hasattr(self, "item_embedding_"):
            raise ValueError("'user_embedding_' is missing")

    def __sklearn_is_fitted__(self) -> bool:
        # Validation sets n_features_in_ and others before training begins.
        return hasattr(self, "interactions_")
