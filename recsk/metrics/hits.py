"""Held-out items found in ranked lists, and the mean of a metric over users."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsk.data.checks import check_positive_int
from recsk.data.matrices import interaction_matrix

__all__ = ["add_shared_sections", "check_ranked", "find_hits", "mean_over_users"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_SHARED_SECTIONS = """\
Parameters
----------
ranked : array-like of int, shape (n, at least k)
    Item ids, best first, padded with -1.
truth : Interactions, or sparse matrix or array of shape (n, n_items)
    The nonzeros of each row are its held-out items.
k : int, default=None
    Number of ranks to count. ``None`` counts all columns of `ranked`.
average : bool, default=True
    Whether to average over the rows with held-out items. False returns one value for each
    row, NaN for rows without held-out items.

Returns
-------
float or ndarray of shape (n,)
    From 0 to 1, higher is better.

Raises
------
ValueError
    If the shapes do not match, an id is out of range, a list has a held-out item twice, or
    no row has a held-out item.
TypeError
    If `ranked` does not hold integers or `truth` is not sparse.

"""

_Metric = TypeVar("_Metric", bound=Callable[..., Any])


def add_shared_sections(metric: _Metric) -> _Metric:
    """Add the sections that all metrics share to a docstring, before its examples."""
    if metric.__doc__ is not None:  # python -OO removes docstrings
        description, heading, examples = inspect.cleandoc(metric.__doc__).partition("Examples\n")
        metric.__doc__ = description + _SHARED_SECTIONS + heading + examples
    return metric


def mean_over_users(
    metric: Callable[[Bools, Floats], Floats], ranked: Any, truth: Any, k: int | None, average: bool
) -> float | Floats:
    """Compute a metric for every user, or its mean over the users with held-out items."""
    matrix = interaction_matrix(truth, "truth")
    ids = check_ranked(ranked, matrix.shape[1], k)
    if len(ids) != matrix.shape[0]:
        raise ValueError(
            f"ranked and truth must have a row for each user; got {len(ids)} and "
            f"{matrix.shape[0]} rows"
        )
    n_held_out = np.diff(matrix.indptr).astype(np.float64)
    evaluated = n_held_out > 0
    if average and not evaluated.any():
        raise ValueError("truth has no held-out items, so there is no user to average over")
    values = np.full(len(n_held_out), np.nan)
    values[evaluated] = metric(find_hits(ids, matrix)[evaluated], n_held_out[evaluated])
    return float(values[evaluated].mean()) if average else values


def find_hits(ranked: npt.NDArray[np.int64], truth: sparse.csr_array) -> Bools:
    """Mark where ``ranked[i, r]`` is a nonzero of row ``i``; `truth` must be canonical CSR."""
    n, n_items = truth.shape
    if not truth.nnz:
        return np.zeros(ranked.shape, dtype=bool)
    # One sorted array of (row, item) keys replaces n sets, and one bisection the look-ups.
    keys = np.repeat(np.arange(n), np.diff(truth.indptr)) * n_items + truth.indices
    ranked_keys = np.arange(n)[:, np.newaxis] * n_items + ranked
    positions = np.minimum(np.searchsorted(keys, ranked_keys), len(keys) - 1)
    hits = (keys[positions] == ranked_keys) & (ranked >= 0)
    found = positions[hits]
    # A repeated item would count twice, and recall would exceed 1.
    if np.unique(found).size < found.size:
        key = keys[np.flatnonzero(np.bincount(found) > 1)[0]]
        raise ValueError(f"ranked has item {key % n_items} twice in row {key // n_items}")
    return hits


def check_ranked(ranked: Any, n_items: int, k: int | None) -> npt.NDArray[np.int64]:
    """Check ranked item ids and return the first `k` columns."""
    try:
        array = np.asarray(ranked)
    except ValueError as error:
        raise ValueError("ranked must be one array, but its rows differ in length") from error
    if array.ndim != 2:
        raise ValueError(f"ranked must have 2 axes, n x k; got shape {array.shape}")
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"ranked must hold integer ids; got dtype {array.dtype}")
    k = array.shape[1] if k is None else check_positive_int(k)
    if not 1 <= k <= array.shape[1]:
        raise ValueError(f"k={k}, but ranked has {array.shape[1]} columns; pad lists with -1")
    array = array[:, :k].astype(np.int64, copy=False)
    if (out_of_range := (array < -1) | (array >= n_items)).any():
        raise ValueError(
            f"ranked has the id {array[out_of_range][0]}; ids go from 0 to {n_items - 1}, and -1 "
            "is padding"
        )
    return array
