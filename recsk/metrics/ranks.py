"""Metrics that weight hits by rank: NDCG, MAP and MRR."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.metrics.hits import Bools, Floats, add_shared_sections, mean_over_users

__all__ = ["average_precision", "map_at_k", "mrr", "mrr_at_k", "ndcg", "ndcg_at_k"]

# `hits` has shape (n_users, k) and marks the held-out items in the first k ranks. `n_held_out`
# has shape (n_users,) and is at least 1 for each user.


def mrr(hits: Bools, n_held_out: Floats) -> Floats:
    """Compute one over the rank of each user's first hit."""
    return hits.any(axis=1) / (hits.argmax(axis=1) + 1)


def average_precision(hits: Bools, n_held_out: Floats) -> Floats:
    """Compute each user's mean precision at the ranks of the hits."""
    k = hits.shape[1]
    precision = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return (precision * hits).sum(axis=1) / np.minimum(n_held_out, k)


def ndcg(hits: Bools, n_held_out: Floats) -> Floats:
    """Compute each user's discounted gain, divided by the best possible one."""
    k = hits.shape[1]
    gains = 1 / np.log2(np.arange(2, k + 2))
    return hits @ gains / np.cumsum(gains)[np.minimum(n_held_out, k).astype(np.intp) - 1]


@add_shared_sections
def ndcg_at_k(
    ranked: npt.ArrayLike, truth: Any, k: int | None = None, *, average: bool = True
) -> float | Floats:
    """Discounted gain of the first `k` ranks, divided by the best possible one.

    A held-out item at rank ``r`` gains ``1 / log2(r + 1)``. The best possible list has
    ``min(k, h)`` of the ``h`` held-out items at the top.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import ndcg_at_k
    >>> ndcg_at_k([[2, 0, 1]], csr_array([[1, 1, 0, 1]]), k=2)
    0.386...
    """
    return mean_over_users(ndcg, ranked, truth, k, average)


@add_shared_sections
def map_at_k(
    ranked: npt.ArrayLike, truth: Any, k: int | None = None, *, average: bool = True
) -> float | Floats:
    """Mean average precision: precision averaged over the ranks of held-out items.

    The sum of the precisions is divided by ``min(k, h)`` for ``h`` held-out items, so that a
    perfect list scores 1.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import map_at_k
    >>> map_at_k([[2, 0, 1]], csr_array([[1, 1, 0, 1]]), k=2)
    0.25
    """
    return mean_over_users(average_precision, ranked, truth, k, average)


@add_shared_sections
def mrr_at_k(
    ranked: npt.ArrayLike, truth: Any, k: int | None = None, *, average: bool = True
) -> float | Floats:
    """Reciprocal rank of the first held-out item, 0 if the first `k` ranks have none.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import mrr_at_k
    >>> mrr_at_k([[2, 0, 1]], csr_array([[1, 1, 0, 1]]), k=2)
    0.5
    """
    return mean_over_users(mrr, ranked, truth, k, average)
