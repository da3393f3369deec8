"""The metric that early stopping watches."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from recsk.metrics.evaluation import METRICS, evaluate
from recsk.nn.training import NotFiniteError
from recsk.ranking.blocks import top_k_of_blocks
from recsk.ranking.exact import top_k
from recsk.ranking.users import Users, combine_scores

__all__ = ["Validation", "parse_metric"]

# Enough to tell epochs apart: the standard error of recall is about .003.
_MAX_USERS = 10_000


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
    """A metric on held-out interactions, for the current vectors of a network.

    Of more than 10,000 users with held-out interactions, a fixed random sample is ranked: an epoch
    must not cost more to judge than to train.

    Parameters
    ----------
    seen : csr_matrix of shape (n_users, n_items)
        Interactions of the training set.
    held_out : csr_matrix of shape (n_users, n_items)
        Interactions to be found.
    eval_metric : str
        Such as ``"recall@20"``.
    exclude_seen : bool, default=True
        Whether the rankings leave `seen` out.
    """

    def __init__(
        self,
        seen: sp.csr_matrix,
        held_out: sp.csr_matrix,
        eval_metric: str,
        *,
        exclude_seen: bool = True,
    ) -> None:
        self.seen, self.held_out = seen, _sample_users(held_out)
        self.exclude_seen = exclude_seen
        self.metric, self.k = parse_metric(eval_metric)

    def __call__(
        self,
        users: np.ndarray,
        items: np.ndarray,
        *,
        weights: sp.csr_matrix | None = None,
        item_to_item: sp.csr_matrix | None = None,
    ) -> float:
        """Rank by the inner products of these vectors, and compute the metric.

        To the scores of unseen items, weights of histories and item-to-item weights are added.

        Raises
        ------
        NotFiniteError
            If a vector is not finite: training has diverged.
        """
        if not (np.isfinite(users).all() and np.isfinite(items).all()):
            raise NotFiniteError("the vectors of users or items are not finite")
        ranker = _Ranker(Users(users, weights, self.seen), items, item_to_item)
        measured = evaluate(
            ranker, self.held_out, self.metric, self.k, exclude_seen=self.exclude_seen
        )
        return measured[f"{self.metric}@{self.k}"]


def _sample_users(held_out: sp.csr_matrix) -> sp.csr_matrix:
    """Leave out the interactions of all but `_MAX_USERS` users."""
    users = np.flatnonzero(np.diff(held_out.indptr))
    if len(users) <= _MAX_USERS:
        return held_out
    chosen = np.zeros(held_out.shape[0], dtype=held_out.dtype)
    chosen[np.random.RandomState(0).permutation(users)[:_MAX_USERS]] = 1
    sample = sp.csr_matrix(sp.diags_array(chosen) @ held_out)
    sample.eliminate_zeros()
    return sample


class _Ranker:
    def __init__(self, users: Users, items: np.ndarray, item_to_item: sp.csr_matrix | None) -> None:
        self.users, self.items, self.item_to_item = users, items, item_to_item

    def recommend(self, user_ids: np.ndarray, k: int, *, exclude_seen: bool) -> Any:
        users = self.users[user_ids]
        exclude = users.unrelated if exclude_seen else None
        if self.item_to_item is None:
            assert users.vectors is not None
            return top_k(users.vectors, self.items, k, exclude=exclude)
        return top_k_of_blocks(
            lambda rows: combine_scores(users[rows], self.items, self.item_to_item),
            len(user_ids),
            len(self.items),
            k,
            exclude=exclude,
        )
