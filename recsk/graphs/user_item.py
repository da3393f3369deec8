"""The user-item graph and the symmetric normalisation."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

__all__ = ["interaction_graph", "inverse_sqrt", "normalize_symmetric"]


def normalize_symmetric(adjacency: sp.csr_array) -> sp.csr_array:
    r"""Scale an adjacency matrix to :math:`D_r^{-1/2} A D_c^{-1/2}`.

    Parameters
    ----------
    adjacency : sparse array of shape (n, m)
        Non-negative weights.

    Returns
    -------
    csr_array of shape (n, m), float32
        Empty rows and columns stay empty.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from recsk.graphs import normalize_symmetric
    >>> normalize_symmetric(sp.csr_array([[0.0, 4.0], [4.0, 0.0]])).toarray()
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    adjacency = sp.csr_array(adjacency, dtype=np.float32)
    row_scale = inverse_sqrt(np.asarray(adjacency.sum(axis=1)).ravel())
    column_scale = inverse_sqrt(np.asarray(adjacency.sum(axis=0)).ravel())
    data = adjacency.data * np.repeat(row_scale, np.diff(adjacency.indptr))
    data *= column_scale[adjacency.indices]
    return sp.csr_array((data, adjacency.indices, adjacency.indptr), shape=adjacency.shape)


def interaction_graph(interactions: sp.csr_array) -> sp.csr_array:
    r"""Build the normalised user-item graph (MDE, Eq. 2-3).

    .. math:: \hat A = D^{-1/2} \begin{pmatrix} 0 & R \\ R^T & 0 \end{pmatrix} D^{-1/2}

    Parameters
    ----------
    interactions : sparse array of shape (n_users, n_items)
        :math:`R`, one, or a weight, where a user interacted with an item.

    Returns
    -------
    csr_array of shape (n_users + n_items, n_users + n_items), float32
        Users come first, then items.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from recsk.graphs import interaction_graph
    >>> interaction_graph(sp.csr_array([[1.0, 1.0], [0.0, 1.0]])).toarray().round(2)
    array([[0.  , 0.  , 0.71, 0.5 ],
           [0.  , 0.  , 0.  , 0.71],
           [0.71, 0.  , 0.  , 0.  ],
           [0.5 , 0.71, 0.  , 0.  ]], dtype=float32)
    """
    scaled = normalize_symmetric(interactions)
    return sp.csr_array(sp.block_array([[None, scaled], [scaled.T, None]], format="csr"))


def inverse_sqrt(degree: np.ndarray) -> np.ndarray:
    """Return ``degree ** -0.5`` as float32, and zero where the degree is zero."""
    with np.errstate(divide="ignore"):
        return np.where(degree > 0, degree**-0.5, 0.0).astype(np.float32)
