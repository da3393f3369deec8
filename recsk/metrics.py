"""Rankings to numbers.

Every metric takes the ranked ids of some users and the matrix of what was held out for them,
and averages over the users with at least one held-out item; the others have nothing to find.
With ``h`` the number of held-out items of a user:

============ =============================================================================
recall       held-out items in the first k, divided by h
precision    held-out items in the first k, divided by k
hit_rate     1 if a held-out item is in the first k, else 0
mrr          1 / rank of the first held-out item, 0 if there is none in the first k
map          sum of precision@r over the ranks r <= k of held-out items, by min(k, h)
ndcg         sum of 1 / log2(r + 1) over the same ranks, divided by the best possible sum,
             that of min(k, h) held-out items at the top
coverage     share of the catalogue that appears in anybody's first k
============ =============================================================================
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsk._checks import at_least_one
from recsk._labels import refuse_other_labels, refuse_rows_of_others
from recsk.interactions import Interactions, interaction_matrix

__all__ = [
    "coverage_at_k",
    "evaluate",
    "hit_rate_at_k",
    "map_at_k",
    "mrr_at_k",
    "ndcg_at_k",
    "precision_at_k",
    "recall_at_k",
]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

# Users asked about at once: plenty to fill the blocks of any ranking engine.
_BATCH_USERS = 8192


# Each takes the hits among the first k ranks, of shape (n, k), and h > 0 of shape (n,).


def _recall(hits: Bools, h: Floats) -> Floats:
    return hits.sum(axis=1) / h


def _precision(hits: Bools, h: Floats) -> Floats:
    return hits.sum(axis=1) / hits.shape[1]


def _hit_rate(hits: Bools, h: Floats) -> Floats:
    return np.asarray(hits.any(axis=1), dtype=np.float64)


def _mrr(hits: Bools, h: Floats) -> Floats:
    return hits.any(axis=1) / (hits.argmax(axis=1) + 1)


def _map(hits: Bools, h: Floats) -> Floats:
    k = hits.shape[1]
    precision = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return (precision * hits).sum(axis=1) / np.minimum(h, k)


def _ndcg(hits: Bools, h: Floats) -> Floats:
    k = hits.shape[1]
    gains = 1 / np.log2(np.arange(2, k + 2))
    return hits @ gains / np.cumsum(gains)[np.minimum(h, k).astype(np.intp) - 1]


_PER_USER: dict[str, Callable[[Bools, Floats], Floats]] = {
    "recall": _recall,
    "ndcg": _ndcg,
    "precision": _precision,
    "map": _map,
    "mrr": _mrr,
    "hit_rate": _hit_rate,
}
METRICS = (*_PER_USER, "coverage")


_SHARED = """\
Parameters
----------
ranked : array-like of int, shape (n, at least k)
    Item ids, best first; -1 where a list has ended.
truth : Interactions, or sparse matrix or array of shape (n, n_items)
    The held-out items of each row: its nonzeros.
k : int, default=None
    Ranks that count; ``None``: all columns of `ranked`.
average : bool, default=True
    False: one value for each row, NaN where nothing was held out.

Returns
-------
float or ndarray of shape (n,)
    From 0 to 1, higher is better.

Raises
------
ValueError
    If the shapes do not match, an id is out of range, a list names a held-out item
    twice, or nothing at all was held out.
TypeError
    If `ranked` does not hold integers or `truth` is not sparse.

"""

_Metric = TypeVar("_Metric", bound=Callable[..., Any])


def _documented(metric: _Metric) -> _Metric:
    """Put the parts that the docstrings of all metrics share before the examples."""
    if metric.__doc__ is not None:  # python -OO has none
        about, heading, examples = inspect.cleandoc(metric.__doc__).partition("Examples\n")
        metric.__doc__ = about + _SHARED + heading + examples
    return metric


@_documented
def recall_at_k(
    ranked: npt.ArrayLike, truth: Any, k: int | None = None, *, average: bool = True
) -> float | Floats:
    """Share of the held-out items that are in the first `k`.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import recall_at_k
    >>> recall_at_k([[2, 0, 1]], csr_array([[1, 1, 0, 1]]), k=2)
    0.333...
    """
    return _mean("recall", ranked, truth, k, average)


@_documented
def precision_at_k(
    ranked: npt.ArrayLike, truth: Any, k: int | None = None, *, average: bool = True
) -> float | Floats:
    """Share of the first `k` ranks that hold held-out items, ended lists included.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import precision_at_k
    >>> precision_at_k([[2, 0, 1]], csr_array([[1, 1, 0, 1]]), k=2)
    0.5
    """
    return _mean("precision", ranked, truth, k, average)


@_documented
def ndcg_at_k(
    ranked: npt.ArrayLike, truth: Any, k: int | None = None, *, average: bool = True
) -> float | Floats:
    """Discounted gain of the first `k` ranks, relative to the best possible.

    Rank ``r`` gains ``1 / log2(r + 1)``; the best possible list begins with ``min(k, h)`` of
    the ``h`` held-out items.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import ndcg_at_k
    >>> ndcg_at_k([[2, 0, 1]], csr_array([[1, 1, 0, 1]]), k=2)
    0.386...
    """
    return _mean("ndcg", ranked, truth, k, average)


@_documented
def map_at_k(
    ranked: npt.ArrayLike, truth: Any, k: int | None = None, *, average: bool = True
) -> float | Floats:
    """Average precision: the mean of the precisions at the ranks of held-out items.

    The sum is divided by ``min(k, h)`` for ``h`` held-out items, so that a perfect list has 1.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import map_at_k
    >>> map_at_k([[2, 0, 1]], csr_array([[1, 1, 0, 1]]), k=2)
    0.25
    """
    return _mean("map", ranked, truth, k, average)


@_documented
def mrr_at_k(
    ranked: npt.ArrayLike, truth: Any, k: int | None = None, *, average: bool = True
) -> float | Floats:
    """Reciprocal rank of the first held-out item; 0 if the first `k` have none.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import mrr_at_k
    >>> mrr_at_k([[2, 0, 1]], csr_array([[1, 1, 0, 1]]), k=2)
    0.5
    """
    return _mean("mrr", ranked, truth, k, average)


@_documented
def hit_rate_at_k(
    ranked: npt.ArrayLike, truth: Any, k: int | None = None, *, average: bool = True
) -> float | Floats:
    """Share of the users with a held-out item among the first `k`.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import hit_rate_at_k
    >>> hit_rate_at_k([[2, 0, 1]], csr_array([[1, 1, 0, 1]]), k=2)
    1.0
    """
    return _mean("hit_rate", ranked, truth, k, average)


def coverage_at_k(ranked: npt.ArrayLike, n_items: int, k: int | None = None) -> float:
    """Share of the catalogue that is in the first `k` of anybody's list.

    Parameters
    ----------
    ranked : array-like of int, shape (n, at least k)
        Item ids, best first; -1 where a list has ended.
    n_items : int
        Size of the catalogue.
    k : int, default=None
        Ranks that count; ``None``: all columns of `ranked`.

    Returns
    -------
    coverage : float
        From 0 to 1.

    Raises
    ------
    ValueError
        If an id is out of range, or `k` or `n_items` is below 1.
    TypeError
        If `ranked` does not hold integers, or `n_items` is none.

    Examples
    --------
    >>> from recsk.metrics import coverage_at_k
    >>> coverage_at_k([[2, 0], [2, -1]], n_items=4)
    0.5
    """
    n_items = at_least_one(n_items, "n_items")
    ranked = _as_ranked(ranked, n_items, k)
    return float(np.unique(ranked[ranked >= 0]).size / n_items)


def _recommender(est: Any) -> Any:
    """What recommends in it: a search has a best estimator, a pipeline a last one."""
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


def _warn_of_strangers(est: Any, users: npt.NDArray[np.int64]) -> None:
    """Say so where most of the users are unknown, as with splitters that do not know users."""
    met = getattr(est, "interactions_", None)
    if met is None:
        return
    n_strangers = int((np.diff(met.indptr)[users] == 0).sum())
    if n_strangers > len(users) / 2:
        warnings.warn(
            f"{n_strangers} of the {len(users)} users to evaluate have no interaction in training, "
            "and were recommended what is popular: this measures that, not the model. The "
            "splitters of recsk.model_selection leave everybody some (cv= of a search)",
            stacklevel=3,
        )


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

    Every user with a held-out item is asked about once, with the items of training masked
    and no others. A held-out item that was seen in training as well can then not be found.

    Parameters
    ----------
    est : fitted estimator
        Anything with ``recommend(user_ids, k=..., exclude_seen=...) -> ids, scores``, or a search
        or pipeline of scikit-learn whose best or last estimator has it.
    X_test : Interactions, or sparse matrix or array of shape (n_users, n_items)
        The held-out interactions. A matrix has a row for every user of the training.
    metrics : str or sequence of str, default=("recall", "ndcg", "precision", "map")
        Among "recall", "ndcg", "precision", "map", "mrr", "hit_rate" and "coverage".
    k : int or iterable of int, default=(5, 10, 20)
        Lengths of the lists.
    eval_users : array-like of int, default=None
        Only these users count; those without held-out items do not all the same.
    exclude_seen : bool, default=True
        Passed on; False lets the model recommend what it saw in training.

    Returns
    -------
    values : dict of str to float
        ``{"recall@5": ..., ...}``, in the order of `metrics`, then `k`.

    Raises
    ------
    ValueError
        If a metric is unknown, a `k` below 1, the number of items or the label of one not that
        of the training, a matrix has fewer rows than there are users, or no user has a held-out
        item.
    IndexError
        If one of `eval_users` does not exist.
    TypeError
        If `est` cannot recommend, or `X_test` is not sparse.

    Warns
    -----
    UserWarning
        If most of the users have no interaction in training, so that it is not the model that is
        measured.

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
    cuts = [at_least_one(cut) for cut in _as_list(k)]
    if not metrics or not cuts:
        raise ValueError(f"metrics and k must not be empty; got metrics={metrics}, k={cuts}")
    est = _recommender(est)
    truth = interaction_matrix(X_test, "X_test")
    n_items = getattr(est, "n_features_in_", truth.shape[1])
    if n_items != truth.shape[1]:
        raise ValueError(
            f"X_test (n_users x n_items) has {truth.shape[1]} items, but "
            f"{type(est).__name__} was fitted on {n_items}"
        )
    if isinstance(X_test, Interactions):
        refuse_other_labels(X_test, getattr(est, "_labels", {}), "X_test")
    elif hasattr(est, "n_users_"):
        refuse_rows_of_others(truth.shape[0], est.n_users_, "X_test")
    n_users = getattr(est, "n_users_", truth.shape[0])
    if truth.shape[0] > n_users:
        raise ValueError(
            f"X_test (n_users x n_items) has {truth.shape[0]} users, but "
            f"{type(est).__name__} was fitted on {n_users}"
        )
    counts = np.diff(truth.indptr)
    users = np.flatnonzero(counts)
    if eval_users is not None:
        users = np.intersect1d(users, _check_users(eval_users, truth.shape[0]))
    if not users.size:
        raise ValueError(
            f"no user to evaluate has a held-out item in X_test; {counts.sum()} in all"
        )

    _warn_of_strangers(est, users)
    hits = np.empty((len(users), max(cuts)), dtype=bool)
    # the best rank at which an item appears for anybody: coverage for every k at once
    best_rank = np.full(n_items, max(cuts))
    for start in range(0, len(users), _BATCH_USERS):
        batch = users[start : start + _BATCH_USERS]
        ids, _ = est.recommend(batch, k=max(cuts), exclude_seen=exclude_seen)
        ids = _as_ranked(ids, n_items, max(cuts))
        hits[start : start + len(batch)] = _hits(ids, truth[batch])
        for rank in reversed(range(max(cuts))):
            shown = ids[:, rank]
            shown = shown[shown >= 0]
            best_rank[shown] = np.minimum(best_rank[shown], rank)
    h = counts[users].astype(np.float64)
    return {
        f"{metric}@{cut}": float(
            np.mean(best_rank < cut)
            if metric == "coverage"
            else np.mean(_PER_USER[metric](hits[:, :cut], h))
        )
        for metric in metrics
        for cut in cuts
    }


def check_metric(metric: Any, name: str = "metric") -> str:
    """Return `metric`, or raise a ValueError that lists the legal names."""
    if not isinstance(metric, str) or metric not in METRICS:
        raise ValueError(f"{name} must be one of {', '.join(METRICS)}; got {metric!r}")
    return metric


def _as_list(one_or_several: Any) -> list[Any]:
    one = isinstance(one_or_several, str) or not isinstance(one_or_several, Iterable)
    one = one or getattr(one_or_several, "ndim", 1) == 0
    return [one_or_several] if one else list(one_or_several)


def _mean(name: str, ranked: Any, truth: Any, k: int | None, average: bool) -> float | Floats:
    matrix = interaction_matrix(truth, "truth")
    ids = _as_ranked(ranked, matrix.shape[1], k)
    if len(ids) != matrix.shape[0]:
        raise ValueError(
            f"ranked and truth must have a row for each user; got {len(ids)} and {matrix.shape[0]}"
        )
    h = np.diff(matrix.indptr).astype(np.float64)
    some = h > 0
    if average and not some.any():
        raise ValueError("truth holds nothing out, so there is nothing to average over")
    values = np.full(len(h), np.nan)
    values[some] = _PER_USER[name](_hits(ids, matrix)[some], h[some])
    return float(values[some].mean()) if average else values


def _hits(ranked: npt.NDArray[np.int64], truth: sparse.csr_array) -> Bools:
    """Whether ``ranked[i, r]`` is among the nonzeros of row ``i``; `truth` is canonical."""
    n, n_items = truth.shape
    if not truth.nnz:
        return np.zeros(ranked.shape, dtype=bool)
    # One sorted array of (row, item) keys in place of n sets: the look-up is one bisection.
    keys = np.repeat(np.arange(n), np.diff(truth.indptr)) * n_items + truth.indices
    wanted = np.arange(n)[:, np.newaxis] * n_items + ranked
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    hits = (keys[at] == wanted) & (ranked >= 0)
    found = at[hits]
    if np.unique(found).size < found.size:  # would count twice, and recall exceed 1
        key = keys[np.flatnonzero(np.bincount(found) > 1)[0]]
        raise ValueError(f"ranked names item {key % n_items} twice in row {key // n_items}")
    return hits


def _as_ranked(ranked: Any, n_items: int, k: int | None) -> npt.NDArray[np.int64]:
    """Check ids and return the first `k` columns."""
    try:
        array = np.asarray(ranked)
    except ValueError as error:
        raise ValueError("ranked must be one array; its rows differ in length") from error
    if array.ndim != 2:
        raise ValueError(f"ranked must have 2 axes, n x k; got shape {array.shape}")
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"ranked must hold integer ids; got dtype {array.dtype}")
    k = array.shape[1] if k is None else at_least_one(k)
    if not 1 <= k <= array.shape[1]:
        raise ValueError(f"k={k}, but ranked has {array.shape[1]} columns; pad lists with -1")
    array = array[:, :k].astype(np.int64, copy=False)
    if (bad := (array < -1) | (array >= n_items)).any():
        raise ValueError(
            f"ranked holds {array[bad][0]}; ids go from 0 to {n_items - 1}, and -1 is padding"
        )
    return array


def _check_users(users: npt.ArrayLike, n_users: int) -> npt.NDArray[Any]:
    array = np.atleast_1d(np.asarray(users))
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise TypeError(
            f"eval_users must be 1-D and hold integers; got {array.ndim} axes of {array.dtype}"
        )
    if (bad := (array < 0) | (array >= n_users)).any():
        raise IndexError(
            f"eval_users holds {array[np.argmax(bad)]}; X_test has users 0 to {n_users - 1}"
        )
    return array.astype(np.int64)
