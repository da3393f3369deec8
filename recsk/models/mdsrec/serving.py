"""What a fitted MDSRec does beside ranking: it encodes histories, and its state is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from recsk.contract.training import TrainedRecommender
from recsk.data.interactions import Interactions
from recsk.graphs.recent import RecentRelations
from recsk.models.mdsrec.encoder import StoredEncoder
from recsk.ranking.users import Users
from recsk.storage.state import StateReader

__all__ = ["MDSRecServing"]


class MDSRecServing(TrainedRecommender):
    """Ordered histories as users, and the state that `recsk.save` stores."""

    ordered = True
    _encoder: StoredEncoder
    _relations: RecentRelations | None

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
        check_is_fitted(self)
        return self._encode(self._check_histories(user_items)[1])[1]

    def _similarity_vectors(self, vectors: np.ndarray) -> np.ndarray:
        return vectors[:, : self._encoder.width]

    def _has_modality_parts(self) -> bool:
        return bool(self._encoder.settings["concatenate"])

    def _seen_width(self) -> int:
        # The last items are the most related to themselves, which does not make them likely next
        # items: relations do not count for seen items.
        n_relations = 0 if self._relations is None else self._relations.vectors.shape[1]
        return super()._seen_width() - n_relations

    def _score_excludes_seen(self) -> bool:
        return not self.repeats

    def encode(self, histories: Interactions) -> Users:
        """Encode ordered histories."""
        return Users(self._encode(histories)[0])

    def _encode(self, interactions: Interactions) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of users, and their weights of the modalities, from ordered histories."""
        indptr, items = interactions.sequences(packed=True)
        vectors, weights = self._encoder(indptr, items)
        if self._relations is not None:
            vectors = np.hstack([vectors, self._relations.users(indptr, items)])
        empty = np.diff(indptr) == 0
        weights[empty] = 1 / weights.shape[1]
        return vectors, weights

    def get_state(self) -> dict[str, Any]:
        """Return the fitted state for `recsk.save`."""
        state = {**super().get_state(), "encoder": self._encoder.get_state()}
        relations = self._relations
        if relations is not None:
            # Their vectors are the last columns of `item_embedding_`.
            state["relations"] = {
                "n_factors": relations.vectors.shape[1],
                "window": relations.window,
                "weight": relations.weight,
            }
        return state

    def set_state(self, state: StateReader) -> None:
        """Set the state that `get_state` returned."""
        super().set_state(state)
        n_modalities = max(len(self.modality_names_), 1)
        width = self.user_embedding_.shape[1]
        self._relations = None
        stored = state.part("relations")
        if stored.names():
            n_factors = stored.integer("n_factors", 1, width - 1)
            width -= n_factors
            self._relations = RecentRelations(
                np.ascontiguousarray(self.item_embedding_[:, width:]),
                stored.integer("window", 1),
                stored.number("weight", 0, 1e30),
            )
        encoder = state.part("encoder")
        self._encoder = StoredEncoder.from_state(encoder, n_modalities, self.n_features_in_, width)
