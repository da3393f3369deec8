"""What training holds out, and the metric that it watches there."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from recsk.metrics import METRICS, evaluate
from recsk.ranking import top_k, top_k_with_met

__all__ = ["Validation", "hold_out", "parse_metric"]


def hold_out(
    interactions: sp.csr_matrix, fraction: float, rng: np.random.RandomState
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Set a random share of the interactions aside; every user keeps at least one.

    Parameters
    ----------
    interactions : csr_matrix of shape (n_users, n_items)
    fraction : float
        Chance of an interaction to be held out.
    rng : RandomState

    Returns
    -------
    kept, held_out : csr_matrix of shape (n_users, n_items)
        Together they are `interactions`.
    """
    draw = rng.random_sample(interactions.nnz)
    length = np.diff(interactions.indptr)
    starts = interactions.indptr[:-1][length > 0]
    smallest = np.minimum.reduceat(draw, starts) if len(starts) else draw
    # The smallest draw of each user stays, so that nobody loses everything.
    kept_anyway = draw == np.repeat(smallest, length[length > 0])
    held = (draw >= 1 - fraction) & ~kept_anyway
    return _subset(interactions, ~held), _subset(interactions, held)


def _subset(matrix: sp.csr_matrix, mask: np.ndarray) -> sp.csr_matrix:
    ends = np.concatenate([[0], np.cumsum(mask)])[matrix.indptr]
    return sp.csr_matrix((matrix.data[mask], matrix.indices[mask], ends), shape=matrix.shape)


def parse_metric(eval_metric: str) -> tuple[str, int]:
    """Split a name such as ``"recall@20"`` into the metric and its cut-off.

    Raises
    ------
    ValueError
        If the metric is unknown or the cut-off no positive integer.
    """
    metric, at, k = eval_metric.partition("@")
    if metric not in METRICS or not at or not k.isdecimal() or int(k) < 1:
        raise ValueError(
            f"eval_metric must be a metric and its cut-off, such as 'recall@20', with one of "
            f"{', '.join(METRICS)}; got {eval_metric!r}"
        )
    return metric, int(k)


class Validation:
    """A metric on held-out interactions, for the vectors that a network has at the moment.

    Parameters
    ----------
    seen : csr_matrix of shape (n_users, n_items)
        The interactions trained on.
    held_out : csr_matrix of shape (n_users, n_items)
        To be found.
    eval_metric : str
        Such as ``"recall@20"``.
    exclude_seen : bool, default=True
        Whether `seen` is left out of the rankings.
    """

    def __init__(
        self,
        seen: sp.csr_matrix,
        held_out: sp.csr_matrix,
        eval_metric: str,
        *,
        exclude_seen: bool = True,
    ) -> None:
        self.seen, self.held_out = seen, held_out
        self.exclude_seen = exclude_seen
        self.metric, self.k = parse_metric(eval_metric)

    def __call__(
        self, users: np.ndarray, items: np.ndarray, *, met_width: int | None = None
    ) -> float:
        """Rank by the inner products of these vectors, and measure.

        Where `seen` is ranked too, only the first `met_width` columns count for it.
        """
        width = items.shape[1] if met_width is None else met_width
        ranker = _Ranker(users, items, self.seen, width)
        measured = evaluate(
            ranker, self.held_out, self.metric, self.k, exclude_seen=self.exclude_seen
        )
        return measured[f"{self.metric}@{self.k}"]


class _Ranker:
    def __init__(
        self, users: np.ndarray, items: np.ndarray, seen: sp.csr_matrix, met_width: int
    ) -> None:
        self.users, self.items, self.seen, self.met_width = users, items, seen, met_width

    def recommend(self, user_ids: np.ndarray, k: int, *, exclude_seen: bool) -> Any:
        users, seen = self.users[user_ids], self.seen[user_ids]
        if exclude_seen:
            return top_k(users, self.items, k, exclude=seen)
        return top_k_with_met(users, self.items, k, met=seen, met_width=self.met_width)
