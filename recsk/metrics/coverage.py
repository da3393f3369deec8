"""Coverage: the share of the catalogue that is recommended."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsk.data.checks import check_positive_int
from recsk.metrics.exposure import count_exposure
from recsk.metrics.hits import check_ranked

__all__ = ["coverage", "coverage_at_k"]


def coverage(exposure: npt.NDArray[np.int64]) -> float:
    """Compute the share of items with a count above 0."""
    return float(np.mean(exposure > 0))


def coverage_at_k(ranked: npt.ArrayLike, n_items: int, k: int | None = None) -> float:
    """Share of the catalogue that is in the first `k` of at least one list.

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
    coverage : float
        From 0 to 1.

    Raises
    ------
    ValueError
        If an id is out of range, or `k` or `n_items` is below 1.
    TypeError
        If `ranked` does not hold integers, or `n_items` is not an integer.

    Examples
    --------
    >>> from recsk.metrics import coverage_at_k
    >>> coverage_at_k([[2, 0], [2, -1]], n_items=4)
    0.5
    """
    n_items = check_positive_int(n_items, "n_items")
    return coverage(count_exposure(check_ranked(ranked, n_items, k), n_items))
