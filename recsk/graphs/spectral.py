"""Vectors of users and items from the largest singular vectors of the interactions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils.extmath import randomized_svd

from recsk.graphs.user_item import normalize_symmetric
from recsk.ranking.vectors import unit_rows

__all__ = ["spectral_vectors"]

_N_ITER = 4  # enough to separate the largest singular values of real interactions


def spectral_vectors(
    interactions: sp.csr_matrix, n_factors: int, seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    r"""Embed users and items in the space that propagation on their graph keeps the longest.

    .. math:: D_u^{-1/2} R D_i^{-1/2} \approx U S V^T, \qquad x_u = \frac{(U S^{1/2})_u}{\lVert
              \cdot \rVert}, \quad x_i = \frac{(V S^{1/2})_i}{\lVert \cdot \rVert}

    Parameters
    ----------
    interactions : csr_matrix of shape (n_users, n_items)
        Weights :math:`R`.
    n_factors : int
        Singular values; with fewer users or items, the other columns are zero.
    seed : int
        Of the randomized decomposition.

    Returns
    -------
    users : ndarray of shape (n_users, n_factors), float32
        Rows of length one; zero without interactions.
    items : ndarray of shape (n_items, n_factors), float32

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> from recsk.graphs import spectral_vectors
    >>> users, items = spectral_vectors(csr_matrix([[1, 1, 0], [1, 1, 0], [0, 0, 1]]), 2, seed=0)
    >>> (users @ items.T).round(2) + 0.0
    array([[1., 1., 0.],
           [1., 1., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    matrix = normalize_symmetric(sp.csr_array(interactions))
    rank = min(n_factors, *matrix.shape)
    users, scale, items = randomized_svd(matrix, rank, n_iter=_N_ITER, random_state=seed)
    root = np.sqrt(scale)
    return tuple(  # type: ignore[return-value]
        np.pad(unit_rows((side * root).astype(np.float32)), ((0, 0), (0, n_factors - rank)))
        for side in (users, items.T)
    )
