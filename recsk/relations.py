"""Scores of items by what they have to do with the most recent ones, as inner products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from recsk.features import Features
from recsk.graphs import nearby_graph
from recsk.ranking import unit_rows

__all__ = ["RecentRelations"]

_FEW = 512  # items whose affinities are small enough for all eigenvalues at once
_NOISE = 2e-3  # lengths relative to the largest that float32 cannot tell from zero


class RecentRelations:
    r"""Relations of any item to the last ones of a history.

    The affinity of two items joins how often people met them one soon after the other, and how
    alike they are:

    .. math:: B = b \frac{N}{\lVert N \rVert_F} + \frac{1 - b}{M} \sum_m
              \frac{S_m}{\lVert S_m \rVert_F}
              \approx X X^T

    with :math:`N` of `nearby_graph` and :math:`S_m` the cosines in modality m. From the largest
    eigenvalues of B come vectors X, so that neither B nor its products are ever in memory; those
    of items that nobody met are brought to the mean length of the others. The
    score of item j for a history that ends in :math:`i_1, i_2, \ldots` (the last item first) is

    .. math:: \sqrt{I} \, \frac{p^T x_j}{\lVert X p \rVert}, \qquad
              p = \sum_{s \le w} s^{-1/2} x_{i_s}

    times a weight. Without the weight its square is one in the mean over the I items, whatever
    the history.

    Parameters
    ----------
    vectors : ndarray of shape (n_items, n_factors), float32
        :math:`X`.
    window : int
        :math:`w`, how many of the last items count.
    weight : float

    Examples
    --------
    Three histories of four items, one after the other; nothing is known of their content:

    >>> import numpy as np
    >>> from recsk.relations import RecentRelations
    >>> indptr, items = np.array([0, 2, 4, 6]), np.array([0, 1, 0, 1, 2, 3])
    >>> relations = RecentRelations.from_histories(
    ...     indptr, items, [], n_items=4, n_factors=4, window=2, behavior_share=1.0, weight=1.0
    ... )
    >>> scores = relations.users(np.array([0, 1]), np.array([0])) @ relations.vectors.T
    >>> bool(scores[0, 1] > scores[0, 2])
    True
    """

    def __init__(self, vectors: npt.NDArray[np.float32], window: int, weight: float) -> None:
        self.vectors, self.window, self.weight = vectors, window, weight

    @classmethod
    def from_histories(
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
    ) -> RecentRelations:
        """Find the relations in histories and features.

        Parameters
        ----------
        indptr : ndarray of shape (n_users + 1,)
        items : ndarray of shape (n_interactions,)
            History u is ``items[indptr[u]:indptr[u + 1]]``, oldest first.
        features : sequence of Features
            One per modality.
        n_items : int
        n_factors : int
            Columns of the vectors; no more than there are items in any case.
        window : int
            Items this far apart in a history, or less, are near each other.
        behavior_share : float
            :math:`b`, from 0 to 1.
        weight : float
            Of the scores.
        """
        nearby = nearby_graph(indptr, items, n_items, window)
        alike = [unit_rows(values) * present[:, None] for values, present in features]
        n_factors = min(n_factors, n_items)
        vectors = np.zeros((n_items, n_factors), dtype=np.float32)
        # The others stay zero: rounding would give them relations that they do not have.
        related = np.diff(nearby.indptr) * behavior_share > 0
        for rows in alike:
            related |= rows.any(axis=1) & (behavior_share < 1)
        related = np.flatnonzero(related)
        if len(related):
            affinity = _affinity(
                nearby[related][:, related], [rows[related] for rows in alike], behavior_share
            )
            found = _largest_factors(affinity, n_factors)
            vectors[related, : found.shape[1]] = found
        met = np.bincount(items, minlength=n_items) > 0
        length = np.linalg.norm(vectors, axis=1)
        vectors[length < _NOISE * length.max(initial=0)] = 0
        if (length[met] > 0).any():
            # What people would meet with a new item is not known, which is not the same as nothing.
            new = ~met & vectors.any(axis=1)
            vectors[new] *= (length[met].mean() / length[new])[:, None]
        return cls(vectors, window, weight)

    def users(
        self, indptr: npt.NDArray[np.int64], items: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Vectors of histories, whose inner products with those of the items are the scores.

        Parameters
        ----------
        indptr : ndarray of shape (n + 1,)
        items : ndarray of shape (n_interactions,)

        Returns
        -------
        ndarray of shape (n, n_factors), float32
            Zero for a history whose last items have no relations at all.
        """
        length = np.minimum(np.diff(indptr), self.window)
        ends = np.concatenate([[0], np.cumsum(length)])
        # From the last item of each history back.
        back = np.arange(ends[-1]) - np.repeat(ends[:-1], length)
        recent = items[np.repeat(indptr[1:] - 1, length) - back]
        weight = ((back + 1) ** -0.5).astype(np.float32)
        shape = len(length), len(self.vectors)
        profile = sp.csr_array((weight, recent, ends), shape=shape) @ self.vectors
        products = self.vectors.T @ self.vectors
        squares = np.einsum("ij,ij->i", profile @ products, profile, dtype=np.float64)
        norm = np.sqrt(np.maximum(squares, 0))[:, None]
        length_one = np.sqrt(shape[1]) * self.weight
        scale = np.divide(length_one, norm, out=np.zeros_like(norm), where=norm > 0)
        profile *= scale.astype(np.float32)
        return np.asarray(profile)


def _affinity(
    nearby: sp.csr_array, alike: Sequence[npt.NDArray[np.float32]], behavior_share: float
) -> LinearOperator:
    """The products of B with vectors."""
    # Of the second form only the product of a thin matrix with its transpose is ever made.
    norms = [np.linalg.norm((rows.T @ rows).astype(np.float64)) for rows in alike]
    scale = [(1 - behavior_share) / len(alike) / norm if norm else 0.0 for norm in norms]
    norm = np.linalg.norm(nearby.data.astype(np.float64))
    own = behavior_share / norm if norm else 0.0

    def product(vector: np.ndarray) -> np.ndarray:
        x = vector.astype(np.float32)
        out = own * (nearby @ x)
        for rows, factor in zip(alike, scale, strict=True):
            out = out + factor * (rows @ (rows.T @ x))
        return np.asarray(out, dtype=np.float64)

    return LinearOperator(nearby.shape, matvec=product, matmat=product, dtype=np.float64)


def _largest_factors(affinity: LinearOperator, n_factors: int) -> npt.NDArray[np.float64]:
    """X of as many columns or fewer, where X X^T is nearly the affinity."""
    n = affinity.shape[0]
    if n <= max(_FEW, 2 * n_factors):
        values, vectors = np.linalg.eigh(affinity @ np.eye(n))
        values, vectors = values[-n_factors:], vectors[:, -n_factors:]
    else:
        start = np.random.RandomState(0).standard_normal(n)  # or ARPACK draws one itself
        try:
            values, vectors = eigsh(
                affinity, n_factors, which="LA", v0=start, tol=1e-4, maxiter=100
            )
        except ArpackNoConvergence as error:
            values, vectors = error.eigenvalues, error.eigenvectors
    # Below that it is rounding, for which ARPACK goes on from random vectors of its own.
    kept = values > _NOISE**2 * values.max(initial=0)
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]))
