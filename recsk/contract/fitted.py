"""What a fit keeps, and how files store it."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from recsk.data.interactions import Interactions
from recsk.data.matching import FitLabels
from recsk.storage.labels import labels_state, read_labels
from recsk.storage.state import StateReader, matrix_state, text_state

__all__ = ["FittedState"]


class FittedState(BaseEstimator):
    """The fitted attributes that all recommenders share, as arrays on the CPU."""

    _labels: FitLabels = {}

    def _set_labels(self, labels: FitLabels) -> None:
        """Set the labels that this model speaks, in place of those of an earlier fit."""
        self._labels = dict(labels)
        for kind in ("user", "item"):
            self.__dict__.pop(f"{kind}s_", None)
            if kind in labels:
                setattr(self, f"{kind}s_", labels[kind].values)

    def _set_fitted(
        self,
        interactions: Interactions,
        user_embedding: np.ndarray,
        item_embedding: np.ndarray,
    ) -> None:
        """Store what recommending needs, as CPU arrays that any machine can load."""
        self.n_users_ = interactions.n_users
        self.interactions_ = interactions.to_csr()
        count = np.bincount(interactions.item, minlength=interactions.n_items)
        self.item_popularity_ = (count / count.max()).astype(np.float32)
        self.user_embedding_ = np.array(user_embedding, dtype=np.float32, order="C")
        self.user_embedding_[np.diff(self.interactions_.indptr) == 0] = 0
        self.item_embedding_ = np.ascontiguousarray(item_embedding, dtype=np.float32)

    def _get_state(self) -> dict[str, Any]:
        """Return the fitted state for `recsk.save`: numbers, strings, lists, arrays, dicts."""
        state: dict[str, Any] = {
            "n_users_": self.n_users_,
            "n_features_in_": self.n_features_in_,
            "interactions_": matrix_state(self.interactions_),
            "user_embedding_": self.user_embedding_,
            "item_embedding_": self.item_embedding_,
            "item_popularity_": self.item_popularity_,
        }
        if self._labels:
            state["labels"] = {
                kind: labels_state(labels.values, f"{kind}s_")
                for kind, labels in self._labels.items()
            }
        if hasattr(self, "feature_names_in_"):
            state["feature_names_in_"] = text_state(self.feature_names_in_)
        return state

    def _set_state(self, state: StateReader) -> None:
        """Set the state that `_get_state` returned, for `recsk.load`; every value is checked."""
        self.n_users_ = state.integer("n_users_", 1)
        self.n_features_in_ = state.integer("n_features_in_", 1)
        sizes = {"user": self.n_users_, "item": self.n_features_in_}
        self._set_labels(read_labels(state.part("labels"), sizes))
        self.interactions_ = state.matrix("interactions_", (self.n_users_, self.n_features_in_))
        self.user_embedding_ = state.array("user_embedding_", (self.n_users_, None))
        width = self.user_embedding_.shape[1]
        self.item_embedding_ = state.array("item_embedding_", (self.n_features_in_, width))
        self.item_popularity_ = state.array("item_popularity_", (self.n_features_in_,))
        if state.part("feature_names_in_").names():
            names = state.texts("feature_names_in_", self.n_features_in_)
            self.feature_names_in_ = np.array(names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        # Validation sets n_features_in_ and others before training begins.
        return hasattr(self, "item_embedding_")
