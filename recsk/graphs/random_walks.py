"""RP3beta: item-to-item weights from random walks of three steps."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from recsk.graphs.neighbors import top_k_products

__all__ = ["rp3beta"]


def rp3beta(
    matrix: sp.csr_array | sp.csr_matrix,
    alpha: float,
    beta: float,
    n_neighbors: int,
    *,
    block_size: int = 1024,
) -> sp.csr_array:
    r"""Weigh item pairs by random walks over their users, with popular candidates held down.

    .. math:: W_{ij} = \frac{1}{d_j^\beta} \sum_u
              \left(\frac{x_{ui}}{d_i}\right)^\alpha \left(\frac{x_{uj}}{d_u}\right)^\alpha

    with :math:`d_i` and :math:`d_u` the sums of the weights of an item and a user. With
    :math:`\alpha = 1` the sum is the probability that a walk from item i to one of its users, and
    on to one of their items, ends in j. The first step of the three, from the user to an item of
    the history, is the sum over the history.

    Parameters
    ----------
    matrix : sparse array of shape (n_users, n_items)
        :math:`x`, one, or a weight, where a user interacted with an item.
    alpha : float
        Exponent of the probabilities. Above one, likely steps count more.
    beta : float
        Exponent of the popularity of the candidate. 0 leaves popular items as they are.
    n_neighbors : int
        Candidates kept for each item, those of the largest weights. Ties go to the lower id.
    block_size : int, default=1024
        Items whose weights are computed at once, as a sparse block. Blocks are smaller if so many
        items have too many weights.

    Returns
    -------
    csr_array of shape (n_items, n_items), float32
        :math:`W`. A row is an item of the history, a column a candidate. The diagonal is empty.

    References
    ----------
    .. [1] Paudel, B., Christoffel, F., Newell, C., & Bernstein, A. (2017). "Updatable, Accurate,
       Diverse, and Scalable Recommendations for Interactive Applications." ACM Transactions on
       Interactive Intelligent Systems, 7(1). https://doi.org/10.1145/2955101

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from recsk.graphs import rp3beta
    >>> matrix = sp.csr_array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> rp3beta(matrix, alpha=1.0, beta=0.0, n_neighbors=2).toarray()
    array([[0.  , 0.5 , 0.  ],
           [0.25, 0.  , 0.25],
           [0.  , 0.5 , 0.  ]], dtype=float32)
    """
    matrix = sp.csr_array(matrix, dtype=np.float64)
    by_item = sp.csr_array(matrix.T)
    of_item, of_user = np.asarray(by_item.sum(axis=1)).ravel(), np.asarray(matrix.sum(1)).ravel()
    to_item = _steps(matrix, of_user, alpha)
    to_item.data *= of_item[to_item.indices] ** -beta
    return top_k_products(
        _steps(by_item, of_item, alpha).astype(np.float32),
        sp.csr_array(to_item.T, dtype=np.float32),
        n_neighbors,
        max_degree=None,
        block_size=block_size,
        ignore_diagonal=True,
    )


def _steps(matrix: sp.csr_array, total: np.ndarray, alpha: float) -> sp.csr_array:
    """Return the probabilities of the steps from the rows of a matrix, to the power of alpha."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    data = (matrix.data / total[row]) ** alpha
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
