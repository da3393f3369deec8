"""Checks of the sparse matrices that users pass in."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from recsk.data.forms import check_form

__all__ = ["canonical_csr"]


def canonical_csr(X: Any, name: str, *, why_unique: str | None = None) -> sparse.csr_array:
    """Copy a sparse matrix to CSR with duplicates summed and explicit zeros dropped.

    Parameters
    ----------
    X : sparse matrix or array of shape (n_users, n_items), any format
        Not changed.
    name : str
        Name of `X` in error messages.
    why_unique : str, default=None
        Reason for the error message if duplicates are an error. None: duplicates are summed.

    Returns
    -------
    matrix : csr_array of shape (n_users, n_items)
        Its entries are finite; int64 where `X` holds integers or bools.

    Raises
    ------
    TypeError
        If `X` is not sparse or does not hold numbers.
    ValueError
        If `X` is not 2-D, an entry is not finite, or there are duplicates and `why_unique`.
    """
    check_form(X, name)
    if not sparse.issparse(X):
        raise TypeError(
            f"{name} must be a scipy sparse matrix or array (n_users x n_items); got "
            f"{type(X).__name__}. Convert a dense array with scipy.sparse.csr_array({name})"
        )
    if X.ndim != 2:
        raise ValueError(f"{name} must have 2 axes, n_users x n_items; got shape {X.shape}")
    if X.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers; got dtype {X.dtype}")
    if X.dtype.kind in "biu":
        X = X.astype(np.int64)  # else a sum of duplicates may overflow a smaller type
    if why_unique:  # before CSR sums duplicates; on a copy, because the conversion changes flags
        X = X.copy()
        _check_unique(sparse.coo_array(X), why_unique)
    # Sum before dropping zeros, because a sum may be zero. Copy, because both work in place.
    X = sparse.csr_array(X, copy=True)
    X.sum_duplicates()
    X.eliminate_zeros()
    if X.dtype.kind == "f":
        _check_finite(X, name)
    return X


def _check_finite(X: sparse.csr_array, name: str) -> None:
    """Raise a ValueError that names the first entry that is not finite."""
    finite = np.isfinite(X.data)
    if finite.all():
        return
    first = int(np.argmin(finite))
    user = int(np.searchsorted(X.indptr, first, side="right")) - 1
    value = X.data[first]
    where = f"{name} must be finite; entry {first} is {value}, user {user} and item "
    where += str(X.indices[first])
    if np.isnan(value):
        raise ValueError(
            f"{name} contains NaN, but {where}. No interaction is 0, or no entry of a sparse "
            f"matrix: {name}.fillna(0) for a pivoted table, numpy.nan_to_num({name}) for an array"
        )
    raise ValueError(f"{name} contains infinity, but {where}")


def _check_unique(X: sparse.coo_array, why: str) -> None:
    """Raise an error if a user has several entries other than zero for one item."""
    stored = X.data != 0
    row, column = X.row[stored].astype(np.int64), X.col[stored]
    order = np.lexsort((column, row))
    row, column = row[order], column[order]
    repeated = (row[1:] == row[:-1]) & (column[1:] == column[:-1])
    if repeated.any():
        first = int(np.argmax(repeated))
        raise ValueError(
            f"the matrix has several entries for user {row[first]} and item {column[first]}, and "
            f"{why}; use Interactions(user, item, timestamp=...) to repeat a pair"
        )
