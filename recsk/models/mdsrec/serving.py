"""What a fitted MDSRec does beside ranking: it encodes histories, and its state is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from recsk.data.interactions import Interactions
from recsk.features.dense import RowScale
from recsk.models.linking import LinkingRecommender
from recsk.models.mdsrec.encoder import StoredEncoder
from recsk.models.mdsrec.relations import recent_weights
from recsk.models.mdsrec.weights import MDSRecWeights
from recsk.models.new_items import NewItemEstimate
from recsk.ranking.users import Users
from recsk.storage.state import StateReader

__all__ = ["MDSRecServing"]


class MDSRecServing(LinkingRecommender):
    """Ordered histories as users, new items, and the state that `recsk.save` stores."""

    _architecture = (
        "n_factors",
        "max_length",
        "n_blocks",
        "n_heads",
        "n_interests",
        "fusion",
        "similarity",
        "candidate_vectors",
        "shared_ids",
        "item_bias",
        "project_features",
    )
    ordered = True
    _encoder: StoredEncoder
    _weights: MDSRecWeights
    # Of the fit, by modality; nothing for one that is all zero, and in files that have none.
    _feature_scales: dict[str, RowScale] = {}

    def user_modality_weights(self, user_items: Any) -> np.ndarray:
        """Compute the weight of each modality for the next item of given histories.

        Parameters
        ----------
        user_items : sparse matrix of shape (n, n_items), Interactions, list of lists or mapping
            Histories, as in `recommend`.

        Returns
        -------
        ndarray of shape (n, n_modalities), float32
            In the order of `modality_names_`; rows sum to 1. Empty histories have equal weights.
        """
        self = self._as_fitted()
        return self._encode(self._check_histories(user_items)[1])[1]

    def _similarity_vectors(self, vectors: np.ndarray) -> np.ndarray:
        return vectors[:, : self._encoder.width]

    def _predicted_width(self) -> int:
        return self._encoder.width

    def _grown(self, estimate: NewItemEstimate, content: np.ndarray) -> dict[str, Any]:
        encoder = self._encoder.with_new_items(estimate.similar)
        weights = self._weights.with_new_items(estimate.similar)
        return {**super()._grown(estimate, content), "_encoder": encoder, "_weights": weights}

    def _has_modality_parts(self) -> bool:
        return bool(self._encoder.settings["concatenate"])

    def _summands(self, items: np.ndarray) -> np.ndarray:
        tables = self._encoder.items[:, items]
        if "candidate_vectors='id'" in self._built_with:
            learned = self._weights.arrays["item"][:, items]
            tables = np.broadcast_to(learned, tables.shape)
        summands = tables / np.float32(len(tables))
        if self._encoder.settings["similarity"] == "cosine":
            length = np.linalg.norm(summands.sum(axis=0), axis=1, keepdims=True)
            summands = summands / np.maximum(length, 1e-12)
        return summands.astype(np.float32)

    def _relates_seen(self) -> bool:
        # Items of one history are related to each other, which does not make one of them a likely
        # next item: relations do not count for seen items.
        return False

    def _score_excludes_seen(self) -> bool:
        return not self.repeats

    def encode(self, histories: Interactions) -> Users:
        """Encode ordered histories."""
        vectors, _ = self._encode(histories)
        related = hasattr(self, "item_to_item_")
        return Users(vectors, self._recent_weights(histories) if related else None)

    def _encode(
        self, interactions: Interactions, device: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of users, and their weights of the modalities, from ordered histories.

        Without a device they are computed on the one that ranks.
        """
        indptr, items = interactions.sequences(packed=True)
        device = self._ranking_device() if device is None else device
        vectors, weights = self._encoder(indptr, items, device)
        empty = np.diff(indptr) == 0
        weights[empty] = 1 / weights.shape[1]
        return vectors, weights

    def _recent_weights(self, interactions: Interactions) -> sp.csr_matrix:
        """Weights of the last items of ordered histories."""
        histories = interactions.sequences(packed=True)
        max_length = self._encoder.settings["max_length"]
        return sp.csr_matrix(recent_weights(*histories, interactions.n_items, max_length))

    def get_state(self) -> dict[str, Any]:
        """Return the fitted state for `recsk.save`."""
        scales = self._feature_scales
        rows = [scales.get(name, (0.0, 0.0)) for name in self.modality_names_]
        return {
            **super().get_state(),
            "encoder": self._encoder.get_state(),
            "weights": self._weights.get_state(),
            **({"feature_scales": np.array(rows, dtype=np.float64)} if scales else {}),
        }

    def set_state(self, state: StateReader) -> None:
        """Set the state that `get_state` returned."""
        super().set_state(state)
        n_modalities = max(len(self.modality_names_), 1)
        width = self.user_embedding_.shape[1]
        encoder = state.part("encoder")
        self._encoder = StoredEncoder.from_state(encoder, n_modalities, self.n_features_in_, width)
        n_factors = self._encoder.settings["n_factors"]
        weights = state.part("weights")
        self._weights = MDSRecWeights.from_state(weights, self.n_features_in_, n_factors)
        self._feature_scales = {}
        if state.has("feature_scales"):
            shape = len(self.modality_names_), 2
            rows = state.array("feature_scales", shape, np.float64)
            if (rows < 0).any():
                raise ValueError("feature_scales must not be negative")
            pairs = zip(self.modality_names_, rows.tolist(), strict=True)
            self._feature_scales = {name: RowScale(*row) for name, row in pairs if min(row) > 0}
