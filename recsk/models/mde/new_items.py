"""Vectors of items that nobody in training has seen, from those of similar items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.features.dense import Features
from recsk.ranking.exact import top_k
from recsk.ranking.vectors import unit_rows

__all__ = ["NewItems"]

_N_SIMILAR = 20
_SHARPNESS = 4


class NewItems:
    r"""Places new items among the known items that have similar content.

    .. math:: x_i \propto \sum_{j \in N_i} \cos(f_i, f_j)^4 x_j

    with :math:`N_i` the 20 known items that are most similar in content, scaled to the mean length
    of the known items. Training ranks what is seen above what is not, so it moves items that
    nobody has seen, which are negatives at best, away from all users. Their own vectors say little.

    Parameters
    ----------
    known : ndarray of shape (n_items,), bool
        Items with interactions.
    modalities : sequence of Features
    """

    def __init__(self, known: npt.NDArray[np.bool_], modalities: Sequence[Features]) -> None:
        has_content = np.zeros(len(known), dtype=bool)
        for _, present in modalities:
            has_content |= present
        new, self.known = np.flatnonzero(~known & has_content), np.flatnonzero(known & has_content)
        self.new, self.weights = new[:0], sp.csr_array((0, len(self.known)), dtype=np.float32)
        if not len(new) or not len(self.known):
            return
        content = unit_rows(np.hstack([unit_rows(values) for values, _ in modalities]))
        n_similar = min(_N_SIMILAR, len(self.known))
        similar, cosine = top_k(content[new], content[self.known], n_similar)
        weights = np.maximum(cosine, 0) ** _SHARPNESS
        alike = weights.any(axis=1)  # others have nothing in common with what is known
        self.new = new[alike]
        starts = np.arange(0, len(self.new) * n_similar + 1, n_similar)
        entries = weights[alike].ravel(), similar[alike].ravel(), starts
        self.weights = sp.csr_array(entries, shape=(len(self.new), len(self.known)))

    def place(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return vectors of items with those of new items replaced, (n_items, width)."""
        if not len(self.new):
            return vectors
        of_known = vectors[self.known]
        length = np.linalg.norm(of_known, axis=1).mean()
        placed = vectors.copy()
        placed[self.new] = length * unit_rows(self.weights @ of_known)
        return placed
