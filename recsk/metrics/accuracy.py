"""Metrics that count hits: recall, precision and hit rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.metrics.hits import Bools, Floats, add_shared_sections, mean_over_users

__all__ = ["hit_rate", "hit_rate_at_k", "precision", "precision_at_k", "recall", "recall_at_k"]

# `hits` has shape (n_users, k) and marks the held-out items in the first k ranks. `n_held_out`
# has shape (n_users,) and is at least 1 for each user.


def recall(hits: Bools, n_held_out: Floats) -> Floats:
    """Compute each user's number of hits divided by the number of held-out items."""
    return hits.sum(axis=1) / n_held_out


def precision(hits: Bools, n_held_out: Floats) -> Floats:
    """Compute each user's number of hits divided by the number of ranks."""
    return hits.sum(axis=1) / hits.shape[1]


def hit_rate(hits: Bools, n_held_out: Floats) -> Floats:
    """Return 1 for each user with a hit, and 0 for the others."""
    return np.asarray(hits.any(axis=1), dtype=np.float64)


@add_shared_sections
def recall_at_k(
    ranked: npt.ArrayLike, truth: Any, k: int | None = None, *, average: bool = True
) -> float | Floats:
    """Share of the held-out items that are in the first `k` ranks.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import recall_at_k
    >>> recall_at_k([[2, 0, 1]], csr_array([[1, 1, 0, 1]]), k=2)
    0.333...
    """
    return mean_over_users(recall, ranked, truth, k, average)


@add_shared_sections
def precision_at_k(
    ranked: npt.ArrayLike, truth: Any, k: int | None = None, *, average: bool = True
) -> float | Floats:
    """Share of the first `k` ranks that hold held-out items.

    The divisor is `k` for lists with fewer items too.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import precision_at_k
    >>> precision_at_k([[2, 0, 1]], csr_array([[1, 1, 0, 1]]), k=2)
    0.5
    """
    return mean_over_users(precision, ranked, truth, k, average)


@add_shared_sections
def hit_rate_at_k(
    ranked: npt.ArrayLike, truth: Any, k: int | None = None, *, average: bool = True
) -> float | Floats:
    """Share of the users with a held-out item in the first `k` ranks.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import hit_rate_at_k
    >>> hit_rate_at_k([[2, 0, 1]], csr_array([[1, 1, 0, 1]]), k=2)
    1.0
    """
    return mean_over_users(hit_rate, ranked, truth, k, average)
