"""Binary users x items matrices from interactions or sparse matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from recsk.data.interactions import Interactions
from recsk.data.sparse_input import canonical_csr

__all__ = ["check_one_row_per_user", "interaction_matrix"]


def interaction_matrix(X: Any, name: str = "X") -> sparse.csr_array:
    """Make the binary users x items matrix of interactions.

    Parameters
    ----------
    X : Interactions, or sparse matrix or array of shape (n_users, n_items)
        An entry or value of 0 is no interaction. Not changed.
    name : str, default="X"
        Name of `X` in error messages.

    Returns
    -------
    matrix : csr_array of shape (n_users, n_items), float32
        All stored entries are 1. Sorted, without duplicates or explicit zeros. Shares no memory
        with `X`.

    Raises
    ------
    TypeError
        If `X` is neither sparse nor `Interactions`, or does not hold numbers.
    ValueError
        If an entry is negative or not finite.

    Examples
    --------
    >>> from scipy.sparse import coo_array
    >>> from recsk.data import interaction_matrix
    >>> interaction_matrix(coo_array([[0, 3], [5, 0]])).toarray()
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    if isinstance(X, Interactions):
        X = X.to_csr(binary=X.value is None)
    X = canonical_csr(X, name)
    if X.dtype.kind in "if" and X.nnz and (smallest := X.data.min()) < 0:
        raise ValueError(
            f"Negative values in data: {name} holds {smallest:g}; entries of an interaction matrix "
            "must not be negative"
        )
    ones = np.ones(X.nnz, dtype=np.float32)
    return sparse.csr_array((ones, X.indices, X.indptr), shape=X.shape)


def check_one_row_per_user(n_rows: int, n_users: int, name: str) -> None:
    """Raise an error if a held-out matrix has fewer rows than there are users in training.

    Parameters
    ----------
    n_rows, n_users : int
        Rows of the matrix, and users in training.
    name : str
        Name of the matrix in error messages.

    Raises
    ------
    ValueError
        If there are fewer rows than users.
    """
    if n_rows < n_users:
        raise ValueError(
            f"{name} has {n_rows} users (rows), but the model was fitted with {n_users}: row i "
            "must hold user i of the training data. scikit-learn splits a matrix by its rows, "
            "which are users; pass Interactions.from_csr(X) and a splitter of "
            "recsk.model_selection"
        )
