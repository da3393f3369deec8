"""Evaluation of a fitted model on held-out interactions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recsk.data.checks import check_positive_int
from recsk.data.optional import import_pandas
from recsk.metrics.exposure import count_exposure
from recsk.metrics.held_out import (
    find_recommender,
    match_test,
    match_training,
    warn_of_repeats,
    warn_of_unknown_users,
)
from recsk.metrics.hits import Floats, check_ranked, find_hits
from recsk.metrics.lists import ListMetric, ListValues, Setting, mean_of_values
from recsk.metrics.registry import (
    EXPOSURE_METRICS,
    LIST_METRICS,
    METRICS,
    NAMES,
    USER_METRICS,
    check_metric,
    metric_name,
)

__all__ = [
    "METRICS",
    "Measured",
    "check_metric",
    "check_metrics",
    "evaluate",
    "find_recommender",
    "measure",
    "standard_error",
]

# Users per call of `recommend`: enough to fill the blocks of any ranking engine.
_BATCH_USERS = 8192


class Measured(NamedTuple):
    """Values of a model.

    Attributes
    ----------
    users : ndarray of shape (n,)
        Labels or ids of the users with held-out items.
    columns : list of (name, k) pairs
        In the order of the call.
    by_user : dict of (name, k) to ndarray of shape (n,)
        Values by user, NaN where they are not defined.
    overall : dict of (name, k) to float
        Values of the metrics of all lists together.
    """

    users: npt.NDArray[Any]
    columns: list[tuple[str, int]]
    by_user: dict[tuple[str, int], Floats]
    overall: dict[tuple[str, int], float]

    def mean(self, column: tuple[str, int]) -> float:
        """Return the mean over users, or the value of all lists together."""
        found = self.overall.get(column)
        return mean_of_values(self.by_user[column]) if found is None else found


def evaluate(
    est: Any,
    X_test: Any,
    metrics: str | ListMetric | Sequence[str | ListMetric] = ("recall", "ndcg", "precision", "map"),
    k: int | Iterable[int] = (5, 10, 20),
    eval_users: npt.ArrayLike | None = None,
    *,
    exclude_seen: bool = True,
    per_user: bool = False,
    as_frame: bool = False,
    X_train: Any = None,
) -> Any:
    """Measure the recommendations of a fitted model on held-out interactions.

    Every user with a held-out item gets one list, which excludes the user's training items and
    nothing else. Held-out items that are also in training can then not be found: a warning counts
    them.

    Parameters
    ----------
    est : fitted estimator
        Anything with ``recommend(user_ids, k=..., exclude_seen=...) -> ids, scores``, or a search
        or pipeline of scikit-learn whose best or last estimator has it.
    X_test : Interactions, or sparse matrix or array of shape (n_users, n_items)
        The held-out interactions. A matrix has one row for every training user.
    metrics : str, metric object or sequence of them, default=("recall", "ndcg", "precision", "map")
        Of accuracy: "recall", "ndcg", "precision", "map", "mrr" and "hit_rate". Beyond accuracy:
        "novelty", "popularity", "popularity_shift" and "new_items", which read the training
        interactions; :class:`~recsk.metrics.Diversity` and :class:`~recsk.metrics.Calibration`,
        which carry what they need. Of all lists together: "gini" and "coverage".
        :mod:`recsk.metrics` defines them all.
    k : int or iterable of int, default=(5, 10, 20)
        Lengths of the lists.
    eval_users : array-like of labels or int, default=None
        Evaluate only those of these users who have held-out items. None evaluates all users
        with held-out items.
    exclude_seen : bool, default=True
        Passed to `recommend`. False lets the model recommend training items.
    per_user : bool, default=False
        Whether to return the values of every user in place of their means.
    as_frame : bool, default=False
        Whether to return a pandas DataFrame.
    X_train : Interactions, or sparse matrix or array of shape (n_users, n_items), default=None
        The training interactions, for metrics beyond accuracy. None reads the model's
        ``interactions_``, which every recommender of recsk has.

    Returns
    -------
    values : dict or DataFrame
        Ordered by `metrics`, then by `k`:

        - by default ``{"recall@5": ..., ...}`` with the means over users,
        - with `as_frame` one row for each metric and k: `metric`, `k`, `mean`, `standard_error` of
          the mean, and `n_users`, the number of users with a value,
        - with `per_user` ``{"user": ..., "recall@5": ..., ...}`` with arrays: the users, as labels
          where the model speaks labels, else as ids, and their values,
        - with both, a frame of the values, indexed by user.

        A value that is not defined for a user, such as the diversity of one item, is NaN and does
        not enter the mean. `gini` and `coverage` have no standard error, because they measure all
        lists together.

    Raises
    ------
    ValueError
        If a metric is unknown or two have one name, `per_user` is asked of `gini` or `coverage`, a
        `k` is below 1, `X_test` has ids and the fit had labels or the
        reverse, the numbers of items of ids differ, a matrix has fewer rows than there are users,
        or no user has a held-out item.
    IndexError
        If one of `eval_users` does not exist.
    TypeError
        If `est` cannot recommend, `X_test` is not sparse, or a metric needs training interactions
        that are neither given nor in the model.
    ImportError
        If `as_frame` is true and pandas is not installed.

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
    >>> evaluate(Favourites(), csr_array([[1, 0, 0], [0, 0, 1]]), "recall", k=2, as_frame=True)
       metric  k  mean  standard_error  n_users
    0  recall  2   0.5             0.5        2
    """
    pd = import_pandas("as_frame=True") if as_frame else None
    wanted = check_metrics(metrics)
    if per_user and (shared := [name for name in wanted if name in EXPOSURE_METRICS]):
        raise ValueError(
            f"metrics has {shared[0]!r}, which measures all lists together and has no values by "
            "user: leave it out, or use per_user=False"
        )
    measured = measure(est, X_test, wanted, k, eval_users, exclude_seen, X_train, stacklevel=3)
    if per_user:
        values = {
            f"{name}@{cutoff}": measured.by_user[name, cutoff] for name, cutoff in measured.columns
        }
        if pd is None:
            return {"user": measured.users, **values}
        return pd.DataFrame(values, index=pd.Index(measured.users, name="user"))
    if pd is None:
        return {
            f"{name}@{cutoff}": measured.mean((name, cutoff)) for name, cutoff in measured.columns
        }
    rows = []
    for name, cutoff in measured.columns:
        found = measured.by_user.get((name, cutoff))
        n_users = len(measured.users) if found is None else int((~np.isnan(found)).sum())
        error = float("nan") if found is None else standard_error(found)
        rows.append((name, cutoff, measured.mean((name, cutoff)), error, n_users))
    return pd.DataFrame(rows, columns=["metric", "k", "mean", "standard_error", "n_users"])


def measure(
    est: Any,
    X_test: Any,
    metrics: dict[str, str | ListMetric],
    k: Any,
    eval_users: Any,
    exclude_seen: bool,
    X_train: Any,
    *,
    stacklevel: int,
) -> Measured:
    """Rank once for every user with held-out items, and compute all metrics from the lists.

    `metrics` are those of `check_metrics`; other parameters are those of `evaluate`. `stacklevel`
    is that of a warning given here.
    """
    cutoffs = list(dict.fromkeys(check_positive_int(cutoff) for cutoff in _as_list(k)))
    if not metrics or not cutoffs:
        raise ValueError(
            f"metrics and k must not be empty; got metrics={list(metrics)}, k={cutoffs}"
        )
    est = find_recommender(est)
    test = match_test(est, X_test, eval_users, stacklevel)
    users, truth, n_items = test.users, test.truth, test.n_items
    warn_of_unknown_users(est, users, stacklevel)
    if exclude_seen:
        warn_of_repeats(est, truth, users, X_test, stacklevel)
    of_lists: dict[str, ListValues] = {}
    if any(name not in USER_METRICS and name not in EXPOSURE_METRICS for name in metrics):
        train = match_training(est, X_train, test)
        setting = Setting(n_items, train, test.item_labels, type(est).__name__)
        for name, metric in metrics.items():
            of_items = LIST_METRICS.get(metric) if isinstance(metric, str) else metric
            if of_items is not None:
                of_lists[name] = of_items.bind(setting)
    recommend = getattr(est, "_recommend_ids", est.recommend)

    width = max(cutoffs)
    hits = np.empty((len(users), width), dtype=bool)
    columns = [(name, cutoff) for name in metrics for cutoff in cutoffs]
    by_user = {
        column: np.empty(len(users)) for column in columns if column[0] not in EXPOSURE_METRICS
    }
    counts_exposure = any(name in EXPOSURE_METRICS for name in metrics)
    exposure = np.zeros((len(cutoffs) * counts_exposure, n_items), dtype=np.int64)
    for start in range(0, len(users), _BATCH_USERS):
        batch = users[start : start + _BATCH_USERS]
        here = slice(start, start + len(batch))
        ids, _ = recommend(batch, k=width, exclude_seen=exclude_seen)
        ids = check_ranked(ids, n_items, width)
        hits[here] = find_hits(ids, truth[batch])
        for row, cutoff in zip(exposure, cutoffs, strict=False):
            row += count_exposure(ids[:, :cutoff], n_items)
        for name, values in of_lists.items():
            for cutoff in cutoffs:
                by_user[name, cutoff][here] = values(ids[:, :cutoff], batch)
    n_held_out = np.diff(truth.indptr)[users].astype(np.float64)
    overall = {}
    for name, cutoff in columns:
        if name in EXPOSURE_METRICS:
            overall[name, cutoff] = EXPOSURE_METRICS[name](exposure[cutoffs.index(cutoff)])
        elif name in USER_METRICS:
            by_user[name, cutoff] = USER_METRICS[name](hits[:, :cutoff], n_held_out)
    return Measured(test.user_names(), columns, by_user, overall)


def check_metrics(metrics: Any) -> dict[str, str | ListMetric]:
    """Return the metrics that a call asks for by name, in its order."""
    found: dict[str, str | ListMetric] = {}
    for metric in _as_list(metrics):
        metric = check_metric(metric, "metrics")
        name = metric_name(metric)
        is_taken = name in NAMES or found.get(name, metric) is not metric
        if is_taken and not isinstance(metric, str):
            raise ValueError(
                f"metrics has two metrics of the name {name!r}: give each object another name, as "
                f"in {type(metric).__name__}(..., name='{name}_2')"
            )
        found[name] = metric
    return found


def standard_error(values: Floats) -> float:
    """Return the standard error of the mean of the values that are not NaN; NaN for one value."""
    defined = values[~np.isnan(values)]
    if len(defined) < 2:
        return float("nan")
    return float(defined.std(ddof=1) / np.sqrt(len(defined)))


def _as_list(one_or_several: Any) -> list[Any]:
    is_one = isinstance(one_or_several, str) or not isinstance(one_or_several, Iterable)
    is_one = is_one or getattr(one_or_several, "ndim", 1) == 0
    return [one_or_several] if is_one else list(one_or_several)
