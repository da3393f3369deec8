"""Score items by their relation to the most recent items of a history, as inner products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from recsk.features.dense import Features
from recsk.graphs.cooccurrence import window_cooccurrence_graph
from recsk.ranking.vectors import unit_rows

__all__ = ["RecentRelations"]

_MAX_ITEMS_FULL = 512  # up to this many items, all eigenvalues are computed at once
# A vector shorter than this, relative to the longest, is rounding error of float32.
_MIN_RELATIVE_LENGTH = 2e-3


class RecentRelations:
    r"""Relations of all items to the last items of a history.

    The affinity of two items combines how often they occur close together in histories and how
    similar their features are:

    .. math:: B = b \frac{N}{\lVert N \rVert_F} + \frac{1 - b}{M} \sum_m
              \frac{S_m}{\lVert S_m \rVert_F}
              \approx X X^T

    with :math:`N` the graph from `window_cooccurrence_graph` and :math:`S_m` the cosine
    similarities in modality m. The largest eigenvalues of B give the vectors X. With many
    items, neither B nor :math:`S_m` is ever in memory. The vectors of new items are scaled to the
    mean length of the others. The score of item j for a history that ends in
    :math:`i_1, i_2, \ldots` (the last item first) is

    .. math:: \sqrt{I} \, \frac{p^T x_j}{\lVert X p \rVert}, \qquad
              p = \sum_{s \le w} s^{-1/2} x_{i_s}

    times a weight. Without the weight, the mean square of the scores over the I items is one for
    every history.

    Parameters
    ----------
    vectors : ndarray of shape (n_items, n_factors), float32
        :math:`X`.
    window : int
        :math:`w`, the number of last items that count.
    weight : float
        Factor of the scores.

    Examples
    --------
    Three histories with four items in all, and no features:

    >>> import numpy as np
    >>> from recsk.graphs import RecentRelations
    >>> indptr, items = np.array([0, 2, 4, 6]), np.array([0, 1, 0, 1, 2, 3])
    >>> relations = RecentRelations.from_sequences(
    ...     indptr, items, [], n_items=4, n_factors=4, window=2, behavior_share=1.0, weight=1.0
    ... )
    >>> scores = relations.users(np.array([0, 1]), np.array([0])) @ relations.vectors.T
    >>> bool(scores[0, 1] > scores[0, 2])
    True
    """

    def __init__(self, vectors: npt.NDArray[np.float32], window: int, weight: float) -> None:
        self.vectors, self.window, self.weight = vectors, window, weight

    @classmethod
    def from_sequences(
        cls,
        indptr: npt.NDArray[np.int64],
        items: npt.NDArray[np.int64],
        features: Sequence[Features],
        *,
        n_items: int,
        n_factors: int,
        window: int,
        behavior_share: float,
        weight: float,
        weights: npt.NDArray[np.float32] | None = None,
    ) -> RecentRelations:
        """Compute the relations from histories and features.

        Parameters
        ----------
        indptr : ndarray of shape (n_users + 1,)
        items : ndarray of shape (n_interactions,)
            History u is ``items[indptr[u]:indptr[u + 1]]``, oldest first.
        features : sequence of Features
            One per modality.
        n_items : int
        n_factors : int
            Columns of the vectors; at most `n_items` are used.
        window : int
            Largest distance in a history at which two items count as close. It is also
            :math:`w`.
        behavior_share : float
            :math:`b`, from 0 to 1.
        weight : float
            Factor of the scores.
        weights : ndarray of shape (n_interactions,), default=None
            Weights of the interactions in the co-occurrence, see `window_cooccurrence_graph`.
        """
        cooccurrence = window_cooccurrence_graph(indptr, items, n_items, window, weights)
        unit = [unit_rows(values) * present[:, None] for values, present in features]
        n_factors = min(n_factors, n_items)
        vectors = np.zeros((n_items, n_factors), dtype=np.float32)
        # Items without relations keep a vector of zeros: rounding would relate them to others.
        related = np.diff(cooccurrence.indptr) * behavior_share > 0
        for rows in unit:
            related |= rows.any(axis=1) & (behavior_share < 1)
        related = np.flatnonzero(related)
        if len(related):
            affinity = _affinity_operator(
                cooccurrence[related][:, related], [rows[related] for rows in unit], behavior_share
            )
            factors = _factorize(affinity, n_factors)
            vectors[related, : factors.shape[1]] = factors
        seen = np.bincount(items, minlength=n_items) > 0
        length = np.linalg.norm(vectors, axis=1)
        vectors[length < _MIN_RELATIVE_LENGTH * length.max(initial=0)] = 0
        if (length[seen] > 0).any():
            # The co-occurrence of new items is unknown, not zero. Without it their vectors are
            # too short.
            new = ~seen & vectors.any(axis=1)
            vectors[new] *= (length[seen].mean() / length[new])[:, None]
        return cls(vectors, window, weight)

    def users(
        self, indptr: npt.NDArray[np.int64], items: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Compute user vectors: their inner products with the item vectors are the scores.

        Parameters
        ----------
        indptr : ndarray of shape (n + 1,)
        items : ndarray of shape (n_interactions,)
            History u is ``items[indptr[u]:indptr[u + 1]]``, oldest first.

        Returns
        -------
        ndarray of shape (n, n_factors), float32
            Zero for a history whose last items have no relations.
        """
        n_recent = np.minimum(np.diff(indptr), self.window)
        recent_indptr = np.concatenate([[0], np.cumsum(n_recent)])
        # 0 for the last item of each history, 1 for the one before it, and so on.
        age = np.arange(recent_indptr[-1]) - np.repeat(recent_indptr[:-1], n_recent)
        recent = items[np.repeat(indptr[1:] - 1, n_recent) - age]
        weight = ((age + 1) ** -0.5).astype(np.float32)
        shape = len(n_recent), len(self.vectors)
        profile = sp.csr_array((weight, recent, recent_indptr), shape=shape) @ self.vectors
        gram = self.vectors.T @ self.vectors
        squares = np.einsum("ij,ij->i", profile @ gram, profile, dtype=np.float64)
        norm = np.sqrt(np.maximum(squares, 0))[:, None]
        target_norm = np.sqrt(shape[1]) * self.weight
        scale = np.divide(target_norm, norm, out=np.zeros_like(norm), where=norm > 0)
        profile *= scale.astype(np.float32)
        return np.asarray(profile)


def _affinity_operator(
    cooccurrence: sp.csr_array, unit: Sequence[npt.NDArray[np.float32]], behavior_share: float
) -> LinearOperator:
    """Return the linear operator that multiplies B with vectors."""
    # With U the features, the norm of S = U U^T is that of the small matrix U^T U.
    norms = [np.linalg.norm((rows.T @ rows).astype(np.float64)) for rows in unit]
    scale = [(1 - behavior_share) / len(unit) / norm if norm else 0.0 for norm in norms]
    norm = np.linalg.norm(cooccurrence.data.astype(np.float64))
    behavior_scale = behavior_share / norm if norm else 0.0

    def product(vector: np.ndarray) -> np.ndarray:
        x = vector.astype(np.float32)
        out = behavior_scale * (cooccurrence @ x)
        for rows, factor in zip(unit, scale, strict=True):
            out = out + factor * (rows @ (rows.T @ x))
        return np.asarray(out, dtype=np.float64)

    return LinearOperator(cooccurrence.shape, matvec=product, matmat=product, dtype=np.float64)


def _factorize(affinity: LinearOperator, n_factors: int) -> npt.NDArray[np.float64]:
    """Compute X with at most `n_factors` columns, where X X^T approximates the affinity."""
    n = affinity.shape[0]
    if n <= max(_MAX_ITEMS_FULL, 2 * n_factors):
        values, vectors = np.linalg.eigh(affinity @ np.eye(n))
        values, vectors = values[-n_factors:], vectors[:, -n_factors:]
    else:
        # Without a start vector, ARPACK draws a random one.
        start = np.random.RandomState(0).standard_normal(n)
        try:
            values, vectors = eigsh(
                affinity, n_factors, which="LA", v0=start, tol=1e-4, maxiter=100
            )
        except ArpackNoConvergence as error:
            values, vectors = error.eigenvalues, error.eigenvectors
    # Smaller eigenvalues are rounding errors. For them ARPACK restarts from random vectors.
    kept = values > _MIN_RELATIVE_LENGTH**2 * values.max(initial=0)
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]))
