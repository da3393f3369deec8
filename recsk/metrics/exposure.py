"""Gini index: how unevenly the lists expose the catalogue."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.data.checks import check_positive_int
from recsk.metrics.hits import check_ranked

__all__ = ["count_exposure", "gini", "gini_at_k"]


def count_exposure(ranked: npt.NDArray[np.int64], n_items: int) -> npt.NDArray[np.int64]:
    """Return the number of lists that have each item."""
    return np.bincount(ranked[ranked >= 0], minlength=n_items)


def gini(exposure: npt.NDArray[Any]) -> float:
    """Compute the Gini index of counts; NaN if all are zero."""
    n, total = len(exposure), exposure.sum()
    if not total:
        return float("nan")
    return float((2 * np.arange(1, n + 1) - n - 1) @ np.sort(exposure) / (n * total))


def gini_at_k(ranked: npt.ArrayLike, n_items: int, k: int | None = None) -> float:
    """Gini index of exposure: how unevenly the first `k` ranks expose the items.

    Let ``x_1 <= ... <= x_n`` be the numbers of lists that have each of the n items of the
    catalogue. The index is ``sum over j of (2j - n - 1) x_j / (n * sum of x)``: 0 if all items are
    in as many lists, ``1 - 1/n`` if all lists hold the same single item.

    Parameters
    ----------
    ranked : array-like of int, shape (n, at least k)
        Item ids, best first, padded with -1.
    n_items : int
        Number of items in the catalogue.
    k : int, default=None
        Number of ranks to count. ``None`` counts all columns of `ranked`.

    Returns
    -------
    gini : float
        From 0 to 1, lower is more even.

    Raises
    ------
    ValueError
        If an id is out of range, `k` or `n_items` is below 1, or all lists are empty.
    TypeError
        If `ranked` does not hold integers, or `n_items` is not an integer.

    Examples
    --------
    >>> from recsk.metrics import gini_at_k
    >>> gini_at_k([[0, 1], [2, 3]], n_items=4)
    0.0
    >>> gini_at_k([[0], [0]], n_items=4)
    0.75
    """
    n_items = check_positive_int(n_items, "n_items")
    exposure = count_exposure(check_ranked(ranked, n_items, k), n_items)
    if not exposure.any():
        raise ValueError("ranked holds no item, so exposure has no Gini index")
    return gini(exposure)
