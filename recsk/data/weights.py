"""Weights of interactions as a users x items matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

__all__ = ["scale_to_unit_mean", "weight_matrix"]


def weight_matrix(
    user: npt.NDArray[np.int64],
    item: npt.NDArray[np.int64],
    weight: npt.NDArray[np.float32],
    shape: tuple[int, int],
) -> sp.csr_matrix:
    """Make the users x items matrix of weights; a pair that repeats has its largest weight.

    Parameters
    ----------
    user, item : ndarray of shape (n_interactions,), int64
    weight : ndarray of shape (n_interactions,), float32
        Above zero.
    shape : tuple of int
        ``(n_users, n_items)``.

    Returns
    -------
    csr_matrix of shape (n_users, n_items), float32
        Sorted, without duplicates.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.data.weights import weight_matrix
    >>> weight = np.array([1, 5, 2], dtype=np.float32)
    >>> weight_matrix(np.array([0, 0, 1]), np.array([1, 1, 0]), weight, (2, 2)).toarray()
    array([[0., 5.],
           [2., 0.]], dtype=float32)
    """
    order = np.lexsort((weight, item, user))
    user, item, weight = user[order], item[order], weight[order]
    last = np.ones(len(user), dtype=bool)  # of a pair: its largest weight
    last[:-1] = (user[1:] != user[:-1]) | (item[1:] != item[:-1])
    matrix = sp.csr_matrix((weight[last], (user[last], item[last])), shape=shape, dtype=np.float32)
    matrix.sort_indices()
    return matrix


def scale_to_unit_mean(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Divide the entries of a matrix by their mean; entries of one stay exactly one."""
    mean = matrix.data.mean(dtype=np.float64) if matrix.nnz else 1.0
    data = (matrix.data / mean).astype(np.float32)
    return sp.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)
