"""EASE: the linear item-to-item model in closed form."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.linalg import lapack

from recsk.graphs.memory import check_memory

__all__ = ["ease"]

_BLOCK_SIZE = 512
_BYTES_IN_BLOCK = 24  # a product in a block: its value and index, and dense copies


def ease(
    matrix: sp.csr_array | sp.csr_matrix, regularization: float, *, block_size: int = _BLOCK_SIZE
) -> npt.NDArray[np.float32]:
    r"""Compute the item-to-item weights that best rebuild each history from its other items.

    .. math:: \min_B \lVert X - X B \rVert_F^2 + \lambda \lVert B \rVert_F^2
              \quad \text{with} \quad B_{jj} = 0

    has the solution

    .. math:: B_{ij} = -\frac{P_{ij}}{P_{jj}} \quad (i \ne j), \qquad
              P = (X^T X + \lambda I)^{-1}.

    Parameters
    ----------
    matrix : sparse array of shape (n_users, n_items)
        :math:`X`, one, or a weight, where a user interacted with an item.
    regularization : float
        :math:`\lambda`, above zero.
    block_size : int, default=512
        Rows that are computed at once beside the matrix itself.

    Returns
    -------
    ndarray of shape (n_items, n_items), float32
        :math:`B`. A row is an item of the history, a column a candidate. The diagonal is zero.

    Raises
    ------
    MemoryError
        If the matrix does not fit in the available memory. Nothing is allocated before.
    ValueError
        If `regularization` is so small that float32 cannot invert the matrix.

    Notes
    -----
    The inverse is computed in place, by a Cholesky decomposition in float32: the matrix of the
    result is all that is ever in memory, beside a block of rows. The time grows with the cube of
    the number of items. float32 takes half the time and memory of float64. The weights then
    differ by 1e-5, relative to their root mean square, at a regularization of 10, and by 5e-4 at
    0.1 (MovieLens and TikTok, 1,663 to 6,710 items); no recall@20 or NDCG@20 changes in the third
    decimal.

    References
    ----------
    .. [1] Steck, H. (2019). "Embarrassingly Shallow Autoencoders for Sparse Data." The World Wide
       Web Conference. https://arxiv.org/abs/1905.03375

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from recsk.graphs import ease
    >>> matrix = sp.csr_array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> ease(matrix, regularization=1.0).round(2)
    array([[0.  , 0.67, 0.  ],
           [0.67, 0.  , 0.  ],
           [0.  , 0.  , 0.  ]], dtype=float32)
    """
    n_items = matrix.shape[1]
    check_memory(
        4 * n_items**2 + _BYTES_IN_BLOCK * min(block_size, n_items) * n_items,
        f"EASE with n_items={n_items:,} is a dense {n_items:,} x {n_items:,} matrix, and it",
        "leave out rare items, or use RP3beta or an item kNN, whose matrices are sparse",
    )
    blocks = [slice(i, min(i + block_size, n_items)) for i in range(0, n_items, block_size)]
    weights = _gram(sp.csr_array(matrix, dtype=np.float32), blocks)
    weights[np.diag_indices(n_items)] += np.float32(regularization)
    _invert(weights, regularization)
    _mirror(weights, blocks)
    scale = -weights.diagonal()
    for rows in blocks:
        weights[rows] /= scale
        weights[rows] += 0  # no negative zeros
    np.fill_diagonal(weights, 0)
    return weights


def _gram(matrix: sp.csr_array, blocks: list[slice]) -> npt.NDArray[np.float32]:
    """Compute the dense matrix ``matrix.T @ matrix`` in blocks of rows."""
    n_items = matrix.shape[1]
    transposed = sp.csr_array(matrix.T)
    gram = np.empty((n_items, n_items), dtype=np.float32)
    for rows in blocks:
        (transposed[rows] @ matrix).toarray(out=gram[rows])
    return gram


def _invert(matrix: npt.NDArray[np.float32], regularization: float) -> None:
    """Replace the lower triangle of a symmetric matrix by that of its inverse."""
    columns = matrix.T  # LAPACK wants columns one after the other, and then works in place
    _, failed = lapack.spotrf(columns, lower=0, clean=0, overwrite_a=1)
    if not failed:
        _, failed = lapack.spotri(columns, lower=0, overwrite_c=1)
    if failed:
        raise ValueError(
            f"regularization={regularization!r} is too small for these interactions: the matrix "
            "cannot be inverted in float32; set a larger one, such as 1"
        )


def _mirror(matrix: np.ndarray, blocks: list[slice]) -> None:
    """Copy the lower triangle of a matrix to the upper one."""
    for rows in blocks:
        square = matrix[rows, rows]
        square[:] = np.tril(square) + np.tril(square, -1).T
        matrix[rows, rows.stop :] = matrix[rows.stop :, rows].T
