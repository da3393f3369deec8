"""Evaluation of a fitted model on held-out interactions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.data.checks import check_positive_int
from recsk.data.interactions import Interactions
from recsk.data.matching import labels_of_fit, match_held_out
from recsk.data.matrices import check_one_row_per_user, interaction_matrix
from recsk.data.names import check_names
from recsk.metrics.accuracy import hit_rate, precision, recall
from recsk.metrics.hits import Bools, Floats, check_ranked, find_hits
from recsk.metrics.ranks import average_precision, mrr, ndcg

__all__ = ["check_metric", "evaluate", "find_recommender"]

# Users per call of `recommend`: enough to fill the blocks of any ranking engine.
_BATCH_USERS = 8192

USER_METRICS: dict[str, Callable[[Bools, Floats], Floats]] = {
    "recall": recall,
    "ndcg": ndcg,
    "precision": precision,
    "map": average_precision,
    "mrr": mrr,
    "hit_rate": hit_rate,
}

METRICS = (*USER_METRICS, "coverage")


def check_metric(metric: Any, name: str = "metric") -> str:
    """Return `metric`, or raise a ValueError that lists the allowed names."""
    if not isinstance(metric, str) or metric not in METRICS:
        raise ValueError(f"{name} must be one of {', '.join(METRICS)}; got {metric!r}")
    return metric


def evaluate(
    est: Any,
    X_test: Any,
    metrics: str | Sequence[str] = ("recall", "ndcg", "precision", "map"),
    k: int | Iterable[int] = (5, 10, 20),
    eval_users: npt.ArrayLike | None = None,
    *,
    exclude_seen: bool = True,
) -> dict[str, float]:
    """Measure the recommendations of a fitted model on held-out interactions.

    Every user with a held-out item gets one list, which excludes the user's training items and
    nothing else. A held-out item that is also in training can then not be found, which a warning
    says.

    Parameters
    ----------
    est : fitted estimator
        Anything with ``recommend(user_ids, k=..., exclude_seen=...) -> ids, scores``, or a search
        or pipeline of scikit-learn whose best or last estimator has it.
    X_test : Interactions, or sparse matrix or array of shape (n_users, n_items)
        The held-out interactions. A matrix has one row for every training user.
    metrics : str or sequence of str, default=("recall", "ndcg", "precision", "map")
        Any of "recall", "ndcg", "precision", "map", "mrr", "hit_rate" and "coverage".
    k : int or iterable of int, default=(5, 10, 20)
        Lengths of the lists.
    eval_users : array-like of labels or int, default=None
        Evaluate only those of these users who have held-out items. None evaluates all users
        with held-out items.
    exclude_seen : bool, default=True
        Passed to `recommend`. False lets the model recommend training items.

    Returns
    -------
    values : dict of str to float
        ``{"recall@5": ..., ...}``, ordered by `metrics`, then by `k`.

    Raises
    ------
    ValueError
        If a metric is unknown, a `k` is below 1, `X_test` has ids and the fit had labels or the
        reverse, the numbers of items of ids differ, a matrix has fewer rows than there are users,
        or no user has a held-out item.
    IndexError
        If one of `eval_users` does not exist.
    TypeError
        If `est` cannot recommend, or `X_test` is not sparse.

    Warns
    -----
    UserWarning
        If users or items of `X_test` were not in the fit. If most of the evaluated users have no
        interaction in training: the values then measure popular items and not the model. If
        held-out interactions are in training too, and `exclude_seen` is true.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import evaluate
    >>> class Favourites:
    ...     def recommend(self, user_ids, k=10, *, exclude_seen=True):
    ...         return np.tile(np.arange(k), (len(user_ids), 1)), np.zeros((len(user_ids), k))
    >>> evaluate(Favourites(), csr_array([[1, 0, 0], [0, 0, 1]]), "recall", k=(1, 2))
    {'recall@1': 0.5, 'recall@2': 0.5}
    """
    metrics = _as_list(metrics)
    for metric in metrics:
        check_metric(metric, "metrics")
    cutoffs = [check_positive_int(cutoff) for cutoff in _as_list(k)]
    if not metrics or not cutoffs:
        raise ValueError(f"metrics and k must not be empty; got metrics={metrics}, k={cutoffs}")
    est = find_recommender(est)
    matched, fit_labels = X_test, labels_of_fit(est)
    if isinstance(X_test, Interactions):
        matched = match_held_out(X_test, fit_labels, "X_test")
    truth = interaction_matrix(matched, "X_test")
    n_items = getattr(est, "n_features_in_", truth.shape[1])
    by_label = isinstance(X_test, Interactions) and "item" in fit_labels
    if n_items != truth.shape[1] and not by_label:
        raise ValueError(
            f"X_test (n_users x n_items) has {truth.shape[1]} items, but "
            f"{type(est).__name__} was fitted on {n_items}"
        )
    if not isinstance(X_test, Interactions) and hasattr(est, "n_users_"):
        check_one_row_per_user(truth.shape[0], est.n_users_, "X_test")
    n_users = getattr(est, "n_users_", truth.shape[0])
    if truth.shape[0] > n_users:
        raise ValueError(
            f"X_test (n_users x n_items) has {truth.shape[0]} users, but "
            f"{type(est).__name__} was fitted on {n_users}"
        )
    counts = np.diff(truth.indptr)
    users = np.flatnonzero(counts)
    if eval_users is not None:
        if "user" in fit_labels:
            labels = fit_labels["user"]
            eval_users = check_names(eval_users, "eval_users", labels, n_users, "users", (0, 1))
        users = np.intersect1d(users, _check_users(eval_users, truth.shape[0]))
    if not users.size:
        raise ValueError(
            f"no user to evaluate has a held-out item in X_test, which has {counts.sum()} "
            "held-out items in total"
        )

    _warn_of_unknown_users(est, users)
    recommend = getattr(est, "_recommend_ids", est.recommend)
    if exclude_seen:
        _warn_of_repeats(est, truth, users)
    hits = np.empty((len(users), max(cutoffs)), dtype=bool)
    # The best rank of each item over all users gives coverage for every k at once.
    best_rank = np.full(n_items, max(cutoffs))
    for start in range(0, len(users), _BATCH_USERS):
        batch = users[start : start + _BATCH_USERS]
        ids, _ = recommend(batch, k=max(cutoffs), exclude_seen=exclude_seen)
        ids = check_ranked(ids, n_items, max(cutoffs))
        hits[start : start + len(batch)] = find_hits(ids, truth[batch])
        for rank in reversed(range(max(cutoffs))):
            items = ids[:, rank]
            items = items[items >= 0]
            best_rank[items] = np.minimum(best_rank[items], rank)
    n_held_out = counts[users].astype(np.float64)
    return {
        f"{metric}@{cutoff}": float(
            np.mean(best_rank < cutoff)
            if metric == "coverage"
            else np.mean(USER_METRICS[metric](hits[:, :cutoff], n_held_out))
        )
        for metric in metrics
        for cutoff in cutoffs
    }


def find_recommender(est: Any) -> Any:
    """Return the recommender inside a search (its best estimator) or pipeline (its last step)."""
    found = est
    while not hasattr(found, "recommend"):
        if hasattr(found, "best_estimator_"):
            found = found.best_estimator_
        elif hasattr(found, "steps"):
            found = found.steps[-1][1]
        else:
            raise TypeError(
                f"est must have a method recommend, or be a fitted search (with refit) or pipeline "
                f"that ends with one; got {type(est).__name__}"
            )
    return found


def _warn_of_unknown_users(est: Any, users: npt.NDArray[np.int64]) -> None:
    """Warn if most users have no training interactions, as after a split by users."""
    train = getattr(est, "interactions_", None)
    if train is None:
        return
    n_unknown = int((np.diff(train.indptr)[users] == 0).sum())
    if n_unknown > len(users) / 2:
        warnings.warn(
            f"{n_unknown} of the {len(users)} users to evaluate have no interaction in training "
            "and get popular items, so that the values do not measure the model. Use a splitter "
            "of recsk.model_selection (cv= of a search): it leaves every user some interactions "
            "in training",
            stacklevel=3,
        )


def _warn_of_repeats(est: Any, truth: Any, users: npt.NDArray[np.int64]) -> None:
    """Warn if held-out interactions are in training: lists without seen items never hold them."""
    train = getattr(est, "interactions_", None)
    if train is None:
        return
    held_out = truth[users][:, : train.shape[1]]  # without items that the fit does not know
    n_repeats = held_out.multiply(train[users]).nnz
    if n_repeats:
        warnings.warn(
            f"{n_repeats} of the {held_out.nnz} held-out interactions are in training too. They "
            "count as not found, because lists leave out seen items. Use a splitter of "
            "recsk.model_selection (without repeats=True), or split X.deduplicate(). To count "
            "repeats as hits, use exclude_seen=False (score: MDSRecRecommender(repeats=True))",
            stacklevel=3,
        )


def _as_list(one_or_several: Any) -> list[Any]:
    is_one = isinstance(one_or_several, str) or not isinstance(one_or_several, Iterable)
    is_one = is_one or getattr(one_or_several, "ndim", 1) == 0
    return [one_or_several] if is_one else list(one_or_several)


def _check_users(users: npt.ArrayLike, n_users: int) -> npt.NDArray[Any]:
    array = np.atleast_1d(np.asarray(users))
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise TypeError(
            f"eval_users must be 1-D and hold integers; got {array.ndim} axes of {array.dtype}"
        )
    if (out_of_range := (array < 0) | (array >= n_users)).any():
        raise IndexError(
            f"eval_users has {array[np.argmax(out_of_range)]}, but X_test has users 0 to "
            f"{n_users - 1}"
        )
    return array.astype(np.int64)
