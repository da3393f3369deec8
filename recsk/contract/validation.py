"""The metric that early stopping watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from recsk.metrics.evaluation import METRICS, evaluate
from recsk.metrics.registry import USER_METRICS
from recsk.ranking.allowed import Allowed
from recsk.ranking.blocks import rank, top_k_of_blocks
from recsk.ranking.exact import top_k
from recsk.ranking.scores import CombinedScores
from recsk.ranking.users import Users

if TYPE_CHECKING:
    from recsk.nn.parallel import Processes

__all__ = ["Validation", "parse_metric"]

# Enough to tell epochs apart: the standard error of recall is about .005.
_MAX_USERS = 4_000
_MAX_KNOWN = 10**8  # products that are computed before training: 800 MB at most


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

    Of more than 4,000 users with held-out interactions, a fixed random sample is ranked: an epoch
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
    weights : csr_matrix of shape (n_users, n_items), default=None
        Weights of the items in the histories, for scores with an item-to-item part.
    item_to_item : csr_matrix of shape (n_items, n_items), default=None
        What an item of a history, a row, adds to the score of another that is not seen. It stays
        the same from epoch to epoch.
    device : str, default=None
        Device of torch that ranks; vectors are tensors there. None is the CPU.
    processes : Processes, default=None
        Processes that measure a share of the users each, where the metric is a mean over users.

    Attributes
    ----------
    users : ndarray of int
        The users whose lists this process measures.
    """

    def __init__(
        self,
        seen: sp.csr_matrix,
        held_out: sp.csr_matrix,
        eval_metric: str,
        *,
        exclude_seen: bool = True,
        weights: sp.csr_matrix | None = None,
        item_to_item: sp.csr_matrix | None = None,
        device: str | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.metric, self.k = parse_metric(eval_metric)
        self.processes = processes if self.metric in USER_METRICS else None
        self.seen, self.held_out = seen, _sample_users(held_out)
        self.users = np.flatnonzero(np.diff(self.held_out.indptr))
        if self.processes is not None:
            self.users = self.users[self.processes.slice_of(len(self.users))]
            self.held_out = _of_users(self.held_out, self.users)
        self.exclude_seen, self.device = exclude_seen, device
        self.weights = weights if item_to_item is not None else None
        self.item_to_item = item_to_item if weights is not None else None
        self.term = None
        if weights is not None and item_to_item is not None and device is None:
            self.term = _ItemToItemPart(weights, item_to_item, seen, self.held_out)

    def __call__(self, users: Any, items: Any) -> float:
        """Rank by the inner products of these vectors and the other part, if there is one.

        Raises
        ------
        NotFiniteError
            If a vector is not finite: training has diverged.
        """
        from recsk.nn.training import NotFiniteError

        finite = bool(_is_finite(users) & _is_finite(items))  # one wait for a device
        if self.processes is not None:  # all of them go on, or none: vectors of users differ
            finite = not self.processes.sum_numbers(float(not finite))[0]
        if not finite:
            raise NotFiniteError("the vectors of users or items are not finite")
        ranker: _Ranker | _DeviceRanker
        if self.device is not None:
            ranker = _DeviceRanker(self, users, items)
        else:
            ranker = _Ranker(users, items, self.seen, self.term)
        if self.processes is None:
            return self._measure(ranker)
        total = self._measure(ranker) * len(self.users) if len(self.users) else 0.0
        total, n_users = self.processes.sum_numbers(total, len(self.users))
        return total / n_users

    def _measure(self, ranker: _Ranker | _DeviceRanker) -> float:
        measured = evaluate(
            ranker, self.held_out, self.metric, self.k, exclude_seen=self.exclude_seen
        )
        return float(measured[f"{self.metric}@{self.k}"])


def _is_finite(vectors: Any) -> Any:
    """Whether all numbers of an array or a tensor are finite."""
    finite = np.isfinite(vectors) if isinstance(vectors, np.ndarray) else vectors.isfinite()
    return finite.all()


def _sample_users(held_out: sp.csr_matrix) -> sp.csr_matrix:
    """Leave out the interactions of all but `_MAX_USERS` users."""
    users = np.flatnonzero(np.diff(held_out.indptr))
    if len(users) <= _MAX_USERS:
        return held_out
    return _of_users(held_out, np.random.RandomState(0).permutation(users)[:_MAX_USERS])


def _of_users(held_out: sp.csr_matrix, users: np.ndarray) -> sp.csr_matrix:
    """Leave out the interactions of all other users."""
    chosen = np.zeros(held_out.shape[0], dtype=held_out.dtype)
    chosen[users] = 1
    sample = sp.csr_matrix(sp.diags_array(chosen) @ held_out)
    sample.eliminate_zeros()
    return sample


class _ItemToItemPart:
    """The part of the scores that training does not change, of the users that are ranked."""

    def __init__(
        self,
        weights: sp.csr_matrix,
        item_to_item: sp.csr_matrix,
        seen: sp.csr_matrix,
        held_out: sp.csr_matrix,
    ) -> None:
        self.weights, self.item_to_item, self.seen = weights, item_to_item, seen.astype(bool)
        users = np.flatnonzero(np.diff(held_out.indptr))
        # Computed once where it fits into memory: it would cost an epoch more than its training.
        n_products = np.diff(item_to_item.indptr)[weights[users].indices].sum()
        self.known: sp.csr_matrix | None = None
        if n_products <= _MAX_KNOWN:
            self.known = self._compute(users)
            self.row = np.full(weights.shape[0], -1)
            self.row[users] = np.arange(len(users))

    def __getitem__(self, users: np.ndarray) -> sp.csr_matrix:
        if self.known is None:
            return self._compute(users)
        return self.known[self.row[users]]

    def _compute(self, users: np.ndarray) -> sp.csr_matrix:
        scores = self.weights[users] @ self.item_to_item
        return sp.csr_matrix(scores - scores.multiply(self.seen[users]))


class _Ranker:
    def __init__(
        self,
        users: np.ndarray,
        items: np.ndarray,
        seen: sp.csr_matrix,
        term: _ItemToItemPart | None,
    ) -> None:
        self.users, self.items, self.seen, self.term = users, items, seen, term

    def recommend(self, user_ids: np.ndarray, k: int, *, exclude_seen: bool) -> Any:
        users = self.users[user_ids]
        exclude = self.seen[user_ids] if exclude_seen else None
        if self.term is None:
            return top_k(users, self.items, k, exclude=exclude)
        term = self.term

        def score_block(rows: slice) -> np.ndarray:
            scores = users[rows] @ self.items.T
            added = term[user_ids[rows]]
            row = np.repeat(np.arange(len(scores)), np.diff(added.indptr))
            scores[row, added.indices] += added.data
            return scores

        return top_k_of_blocks(score_block, len(users), len(self.items), k, exclude=exclude)


class _DeviceRanker:
    """Ranks on a device, where the vectors are and stay."""

    def __init__(self, of: Validation, users: Any, items: Any) -> None:
        self.users, self.items, self.of, self.seen = users, items, of, of.seen

    def recommend(self, user_ids: np.ndarray, k: int, *, exclude_seen: bool) -> Any:
        of, seen = self.of, self.seen[user_ids]
        users = Users(
            self.users[user_ids],
            None if of.weights is None else of.weights[user_ids],
            None if of.weights is None else seen,
        )
        scores = CombinedScores(
            users, self.items, of.item_to_item, len(user_ids), self.items.shape[0]
        )
        allowed = Allowed.read(seen if exclude_seen else None, None, None, scores.shape)
        return rank(scores, k, allowed, device=of.device)
