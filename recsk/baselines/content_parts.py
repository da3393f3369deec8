"""Scores of content by modality, for the rules whose vectors are content."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsk.contract import BaseRecommender, Users

__all__ = ["ContentScores"]

Floats = npt.NDArray[np.float32]


class ContentScores(BaseRecommender):
    """A recommender whose vectors are those of `content_vectors`: modalities side by side."""

    def score_parts(
        self, users: Users, rows: npt.NDArray[np.int64], items: npt.NDArray[np.int64]
    ) -> dict[str, Floats]:
        """Split the content by modality."""
        parts = super().score_parts(users, rows, items)
        if users.vectors is None or parts.pop("vectors", None) is None:
            return parts
        of_users, of_items = users.vectors[rows], self.item_embedding_[items]
        split, start = {}, 0
        for name, values in self._known_features().items():
            some = slice(start, start + values.shape[1])
            split[f"{name}: content"] = np.einsum("ij,ij->i", of_users[:, some], of_items[:, some])
            start = some.stop
        return {**split, **parts}
