"""The item-to-item part of the scores of MDE."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from recsk.graphs.regression import neighbor_regression

__all__ = ["item_to_item_weights"]

# From 50 to 400 co-occurring items, more are a little better on validation, and their cost grows
# with the square.
_N_CO_OCCURRING = 150
_SHRINKAGE = 100_000  # interactions: from fewer, much of what items say about each other is chance


def item_to_item_weights(interactions: sp.csr_matrix, weight: float) -> sp.csr_matrix:
    r"""Predict the interactions with each item from those with the items that occur with it.

    Parameters
    ----------
    interactions : csr_matrix of shape (n_users, n_items)
        Their weights, or ones.
    weight : float
        c. It counts :math:`n / (n + 100\,000)` where there are n interactions.

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
    weights = neighbor_regression(matrix, _N_CO_OCCURRING, regularization)
    counted = weight * interactions.nnz / (interactions.nnz + _SHRINKAGE)
    return sp.csr_matrix(weights * np.float32(counted))
