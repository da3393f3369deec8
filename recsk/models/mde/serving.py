"""What a fitted MDE does beside ranking: new users, and its state in files."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from scipy.special import softmax

from recsk.data.interactions import Interactions
from recsk.models.linking import LinkingRecommender
from recsk.models.mde.fold_in import FoldIn, fuse
from recsk.models.mde.recipe import RECIPES, Recipe
from recsk.models.mde.weights import MDEWeights
from recsk.models.new_items import NewItemEstimate
from recsk.ranking.users import Users
from recsk.storage.state import StateReader

__all__ = ["MDEServing"]


class MDEServing(LinkingRecommender):
    """Fold-in of new users, new items, and the state that `recsk.save` stores."""

    _architecture = (
        "n_factors",
        "n_layers",
        "id_embedding",
        "fusion",
        "similarity",
        "preference",
        "tradeoff",
        "training",
    )
    training: Literal["fast", "paper"]
    _fold: FoldIn
    _weights: MDEWeights
    _score_temperature: float  # of the softmax, at the end of the training
    _item_to_item_scale: float  # factor of the weights of a regression in `item_to_item_`
    _fuse_state: dict[str, Any]  # how the modalities of a vector are joined

    @property
    def _recipe(self) -> Recipe:
        return RECIPES[self.training]

    def get_state(self) -> dict[str, Any]:
        """Return the fitted state for `recsk.save`."""
        return {
            **super().get_state(),
            "item_preference_": self.item_preference_,
            "fuse": self._fuse_state,
            "fold": self._fold.get_state(),
            "weights": self._weights.get_state(),
            "score_temperature": self._score_temperature,
            "item_to_item_scale": self._item_to_item_scale,
        }

    def set_state(self, state: StateReader) -> None:
        """Set the state that `get_state` returned."""
        super().set_state(state)
        n_modalities = max(len(self.modality_names_), 1)
        self.item_preference_ = state.array("item_preference_", (self.n_features_in_, n_modalities))
        fuse_state = state.part("fuse")
        self._fuse_state = {
            "fusion": fuse_state.choice("fusion", ("concat", "sum")),
            "similarity": fuse_state.choice("similarity", ("dot", "cosine")),
        }
        # Vectors of the fold-in hold all modalities side by side; `fuse` joins them.
        width = self.user_embedding_.shape[1]
        if self._fuse_state["fusion"] == "sum":
            width *= n_modalities
        self._fold = FoldIn.from_state(
            state.part("fold"),
            self.interactions_.shape,
            width,
            n_modalities,
            self._recipe.user_links,
        )
        shape = self.n_users_, self.n_features_in_, n_modalities
        self._weights = MDEWeights.from_state(state.part("weights"), *shape)
        smallest = np.nextafter(0, 1)
        self._score_temperature = state.number("score_temperature", smallest)
        lowest = smallest if hasattr(self, "item_to_item_") else 0
        self._item_to_item_scale = state.number("item_to_item_scale", lowest)

    def _grown(self, estimate: NewItemEstimate, content: np.ndarray) -> dict[str, Any]:
        similar = estimate.similar
        preference = similar @ self.item_preference_
        preference[np.diff(similar.indptr) == 0] = 1 / preference.shape[1]
        return {
            **super()._grown(estimate, content),
            "item_preference_": np.vstack([self.item_preference_, preference.astype(np.float32)]),
            "_fold": self._fold.with_new_items(similar),
            "_weights": self._weights.with_new_items(len(content)),
        }

    def _has_modality_parts(self) -> bool:
        return self._fuse_state["fusion"] == "concat"

    def _modality_shares(self, items: np.ndarray) -> np.ndarray:
        return self.item_preference_[items]

    def _summands(self, items: np.ndarray) -> np.ndarray:
        preference = self.item_preference_[items]
        width = self._fold.width // preference.shape[1]
        nodes = self._fold.items[items].reshape(*preference.shape, width)
        summands = np.moveaxis(nodes * preference[:, :, None], 1, 0)
        if self._fuse_state["similarity"] == "cosine":
            length = np.linalg.norm(summands.sum(axis=0), axis=1, keepdims=True)
            summands = summands / np.maximum(length, 1e-12)
        return summands.astype(np.float32)

    def encode(self, histories: Interactions) -> Users:
        """Fold in new users."""
        matrix = histories.to_csr()
        nodes, logits = self._fold(matrix)
        preference = softmax(logits, axis=1)
        return Users(fuse(nodes, preference, **self._fuse_state))

    def weigh_histories(self, histories: sp.csr_matrix) -> sp.csr_matrix:
        """Scale histories to length one: long ones do not outweigh the vectors.

        The weight of an item is the root of its share of the history; of n items, each one has
        :math:`n^{-1/2}`.
        """
        total = np.asarray(histories.sum(axis=1, dtype=np.float64)).ravel()
        share = histories.data / np.repeat(total, np.diff(histories.indptr))
        parts = np.sqrt(share).astype(np.float32), histories.indices, histories.indptr
        return sp.csr_matrix(parts, shape=histories.shape)
