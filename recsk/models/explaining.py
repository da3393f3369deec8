"""Scores of both networks by modality, and by what content and interactions gave."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsk.models.continuing import ContinuingRecommender
from recsk.ranking.users import Users

__all__ = ["ExplainedRecommender"]

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


class ExplainedRecommender(ContinuingRecommender):
    r"""A network whose scores are split by modality.

    With :math:`x_i = \sum_m x_{im}` and :math:`\hat x_{im}` what content predicts of it,

    .. math:: \langle x_u, x_i \rangle = \sum_m \big( \langle x_u, \hat x_{im} \rangle
              + \langle x_u, x_{im} - \hat x_{im} \rangle \big) + b_i

    The prediction is that of new items: a regression on the content, and the residuals of similar
    items, without the item itself. So the second part is what interactions with this item taught.
    An item without interactions has content alone. A modality that an item lacks has no content:
    what is predicted there comes from the modalities that the item has, and is theirs.

    Where the modalities of a vector are side by side, :math:`x_{im}` are its columns of one
    modality. Otherwise a subclass overrides `_summands` and `_modality_shares`.
    """

    def score_parts(self, users: Users, rows: Ids, items: Ids) -> dict[str, Floats]:
        """Split scores by modality, content and interactions; see `explain`."""
        parts = super().score_parts(users, rows, items)
        if users.vectors is None or parts.pop("vectors", None) is None:
            return parts
        width, names = self._predicted_width(), self.modality_names_
        found, at = np.unique(items, return_inverse=True)
        of_users = users.vectors[rows, :width]
        split: dict[str, Floats] = {}
        if names:
            whole, content = self._whole_and_content(found)
            for m, name in enumerate(names):
                split[f"{name}: content"] = _products(of_users, content[m][at])
                split[f"{name}: learned"] = _products(of_users, (whole[m] - content[m])[at])
        else:
            split["learned"] = _products(of_users, self.item_embedding_[items, :width])
        if users.vectors.shape[1] > width:
            rest = self.item_embedding_[items, width:]
            split["bias"] = _products(users.vectors[rows, width:], rest)
        return {**split, **parts}

    def _by_modality(self, items: Ids) -> Floats:
        """Return vectors that add up to those of the items, (n_modalities, n, width)."""
        whole = self.item_embedding_[items, : self._predicted_width()]
        if self._has_modality_parts():
            return self._divide(whole, items)
        summands = self._summands(items)
        # What content placed has no summands: it is divided.
        return np.asarray(summands + self._divide(whole - summands.sum(axis=0), items))

    def _whole_and_content(self, items: Ids) -> tuple[Floats, Floats]:
        """Return vectors, and the part that content predicts, by modality: (M, n, width)."""
        whole = self._by_modality(items)
        content = self._divide(self._predicted_vectors(items), items)
        if self._content_space is None:
            return whole, content
        alone = (self._n_interactions()[items] == 0) & self._content[items].any(axis=1)
        content[:, alone] = whole[:, alone]
        lacking = np.isnan(self._content_lengths[items]).T
        if not lacking.any():
            return whole, content
        without = np.where(lacking[:, :, None], content, 0)
        share = (~lacking / np.maximum((~lacking).sum(axis=0), 1)).astype(np.float32)
        moved = share[:, :, None] * without.sum(axis=0) - without
        return whole + moved, content + moved

    def _divide(self, vectors: Floats, items: Ids) -> Floats:
        """Divide vectors among the modalities, (n_modalities, n, width)."""
        n_modalities = len(self.modality_names_)
        if not self._has_modality_parts():
            return self._modality_shares(items).T[:, :, None] * vectors
        divided = np.zeros((n_modalities, *vectors.shape), dtype=np.float32)
        width = vectors.shape[1] // n_modalities
        for m in range(n_modalities):
            some = slice(m * width, (m + 1) * width)
            divided[m, :, some] = vectors[:, some]
        return divided

    def _modality_shares(self, items: Ids) -> Floats:
        """Return the share of each modality in a vector that has no columns for each, (n, M)."""
        n_modalities = len(self.modality_names_)
        return np.full((len(items), n_modalities), 1 / n_modalities, dtype=np.float32)

    def _summands(self, items: Ids) -> Floats:
        """Return what each modality adds to vectors of the network, (n_modalities, n, width)."""
        raise NotImplementedError

    def _predicted_vectors(self, items: Ids) -> Floats:
        """Return what content predicts of the vectors of items with interactions, else zeros."""
        width = self._predicted_width()
        predicted = np.zeros((len(items), width), dtype=np.float32)
        if self._content_space is None:
            return predicted
        learned = self._learned_items()[items]
        young = learned & self._young[items]
        if young.any():
            estimate = self._estimate_new(self._content[items[young]])
            predicted[young] = estimate.vectors[:, :width]
        known = learned & ~young
        if known.any():
            predicted[known] = self._kept_model().leave_out(items[known], self.item_embedding_)
        return predicted


def _products(users: Floats, items: Floats) -> Floats:
    return np.einsum("ij,ij->i", users, items)
