"""Plain matrices that users pass in, read without a change to them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from recsk._columns import refuse_non_finite

__all__ = ["canonical_csr"]


def canonical_csr(X: Any, name: str, *, one_each: str | None = None) -> sparse.csr_array:
    """Copy with duplicates summed and explicit zeros dropped; entries are finite numbers.

    With `one_each`, which says why, duplicates are refused.
    """
    if not sparse.issparse(X):
        raise TypeError(
            f"{name} must be a scipy sparse matrix or array (n_users x n_items); got "
            f"{type(X).__name__}. A dense array becomes one by scipy.sparse.csr_array({name})"
        )
    if X.ndim != 2:
        raise ValueError(f"{name} must have 2 axes, n_users x n_items; got shape {X.shape}")
    if X.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers; got dtype {X.dtype}")
    # In this order, for a sum of duplicates may be zero, and a copy, for both work in place.
    if X.dtype.kind in "biu":
        X = X.astype(np.int64)  # else duplicates may sum up to more than the type can hold
    if one_each:  # before CSR sums them up; of a copy, for to convert leaves marks
        X = X.copy()
        _refuse_duplicates(sparse.coo_array(X), one_each)
    X = sparse.csr_array(X, copy=True)
    X.sum_duplicates()
    X.eliminate_zeros()
    if X.dtype.kind == "f":
        refuse_non_finite(X.data, name)
    return X


def _refuse_duplicates(X: sparse.coo_array, why: str) -> None:
    """Refuse several entries in one place, zeros apart."""
    stored = X.data != 0
    row, column = X.row[stored].astype(np.int64), X.col[stored]
    order = np.lexsort((column, row))
    row, column = row[order], column[order]
    twice = (row[1:] == row[:-1]) & (column[1:] == column[:-1])
    if twice.any():
        at = int(np.argmax(twice))
        raise ValueError(
            f"the matrix has several entries for user {row[at]} and item {column[at]}, and {why}; "
            "Interactions(user, item, timestamp=...) may have an item of a user several times"
        )
