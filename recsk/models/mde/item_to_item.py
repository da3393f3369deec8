"""The item-to-item part of the scores of MDE."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.graphs.regression import neighbor_regression

__all__ = ["item_to_item_weights", "renew_weights", "scale_of_weights"]

# From 50 to 400 co-occurring items, more are a little better on validation, and their cost grows
# with the square.
_N_CO_OCCURRING = 150
_SHRINKAGE = 100_000  # interactions: from fewer, much of what items say about each other is chance


def item_to_item_weights(
    interactions: sp.csr_matrix, weight: float, items: npt.NDArray[np.int64] | None = None
) -> sp.csr_matrix:
    r"""Predict the interactions with each item from those with the items that occur with it.

    Parameters
    ----------
    interactions : csr_matrix of shape (n_users, n_items)
        Their weights, or ones.
    weight : float
        c. It counts :math:`n / (n + 100\,000)` where there are n interactions.
    items : ndarray of int, default=None
        The candidates, in ascending order; columns of others are empty. None means all.

    Returns
    -------
    csr_matrix of shape (n_items, n_items), float32
        :math:`c B`: a row is an item of the history, a column a candidate.
    """
    n_per_item = np.bincount(interactions.indices, weights=interactions.data)
    # Of the item of an interaction, on average: on five data sets the best penalty, or near it.
    regularization = float((n_per_item**2).sum() / n_per_item.sum())
    # Their squares are the weights of interactions.
    roots = np.sqrt(interactions.data), interactions.indices, interactions.indptr
    matrix = sp.csr_array(roots, shape=interactions.shape)
    weights = neighbor_regression(matrix, _N_CO_OCCURRING, regularization, items=items)
    return sp.csr_matrix(weights * np.float32(scale_of_weights(interactions.nnz, weight)))


def scale_of_weights(n_interactions: int, weight: float) -> float:
    """Return the factor of the weights of a regression on so many interactions."""
    return weight * n_interactions / (n_interactions + _SHRINKAGE)


def renew_weights(
    known: sp.csr_matrix, factor: float, kept: npt.NDArray[np.bool_], renewed: sp.csr_matrix
) -> sp.csr_matrix:
    """Return some columns of known weights, beside renewed ones.

    Parameters
    ----------
    known : csr_matrix of shape (n_known, n_known)
        Not changed.
    factor : float
        Of the known weights.
    kept : ndarray of shape (n_known,), bool
        Which columns are kept. `renewed` has no entries in these.
    renewed : csr_matrix of shape (n_items, n_items)
        Of the known items and new ones behind them.
    """
    columns = known.tocoo()
    some = kept[columns.col]
    entries = columns.data[some] * np.float32(factor), (columns.row[some], columns.col[some])
    return sp.csr_matrix(sp.csr_matrix(entries, shape=renewed.shape) + renewed)
