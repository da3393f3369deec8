"""Ranking scorers for ``scoring=`` of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from recsk.data.checks import check_positive_int
from recsk.metrics.evaluation import evaluate
from recsk.metrics.lists import ListMetric
from recsk.metrics.registry import check_metric, greater_is_better, metric_name

__all__ = ["RankingScorer", "make_ranking_scorer"]


def make_ranking_scorer(
    metric: str | ListMetric, k: int = 10, *, exclude_seen: bool = True
) -> RankingScorer:
    """Make a scorer for ``scoring=`` of scikit-learn from a ranking metric.

    Parameters
    ----------
    metric : str or metric object
        "recall", "ndcg", "precision", "map", "mrr", "hit_rate", "novelty", "popularity",
        "popularity_shift", "new_items", "gini" or "coverage", or an object such as
        :class:`~recsk.metrics.Diversity`, all defined in :mod:`recsk.metrics`.
    k : int, default=10
        Length of the lists, 1 or more.
    exclude_seen : bool, default=True
        Whether to exclude training items from the lists. Scores on the training set are then 0,
        and a warning has the number of held-out interactions that are in training. False also
        allows hits on interactions that repeat training interactions.

    Returns
    -------
    scorer : RankingScorer
        Call it as ``scorer(estimator, X, y=None)`` with held-out interactions `X`. Higher is
        better: where a lower metric is better ("gini" and :class:`~recsk.metrics.Calibration`), the
        scorer returns minus the metric, as scikit-learn's do. Of "popularity" and
        "popularity_shift" neither direction is better; use them beside another scorer. It can be
        pickled and cloned. It works with metadata routing and requests no metadata: weights of
        held-out interactions do not enter the metric.

    Raises
    ------
    ValueError
        If `metric` is unknown or `k` is below 1.
    TypeError
        If `k` is not an integer, or `exclude_seen` is not a bool.

    Examples
    --------
    >>> from recsk.model_selection import make_ranking_scorer
    >>> make_ranking_scorer("recall", k=20)
    RankingScorer(k=20, metric='recall')
    """
    if not isinstance(exclude_seen, bool | np.bool_):
        raise TypeError(f"exclude_seen must be a bool; got {exclude_seen!r}")
    return RankingScorer(check_metric(metric), check_positive_int(k), exclude_seen=exclude_seen)


class RankingScorer(BaseEstimator):
    """Scorer that :func:`~recsk.model_selection.make_ranking_scorer` returns.

    Parameters
    ----------
    metric : str or metric object
        A metric of :mod:`recsk.metrics`.
    k : int, default=10
        Length of the lists.
    exclude_seen : bool, default=True
        Whether to exclude training items from the lists.

    Examples
    --------
    >>> from recsk import MDERecommender
    >>> from recsk.datasets import make_multimodal
    >>> from recsk.model_selection import RandomHoldout, make_ranking_scorer
    >>> X = make_multimodal(n_users=40, n_items=30, random_state=0).interactions
    >>> train, test = next(RandomHoldout(random_state=0).split(X))
    >>> model = MDERecommender(n_factors=8, max_epochs=1, random_state=0).fit(X[train])
    >>> scorer = make_ranking_scorer("ndcg", k=5)
    >>> 0 < scorer(model, X[test]) < 1
    True
    """

    def __init__(self, metric: str | ListMetric, k: int = 10, *, exclude_seen: bool = True) -> None:
        self.metric = metric
        self.k = k
        self.exclude_seen = exclude_seen

    def __call__(self, estimator: Any, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the metric of a fitted estimator on held-out interactions.

        Parameters
        ----------
        estimator : fitted estimator
            Anything with ``recommend``, or a search or pipeline that ends with it.
        X : Interactions, or sparse matrix or array of shape (n_users, n_items)
            Held-out interactions.
        y : object
            Ignored, exists for API compatibility.
        sample_weight : array-like, default=None
            Ignored: held-out interactions all count the same. scikit-learn's searches pass the
            weights of ``fit`` on.

        Returns
        -------
        value : float
            Higher is better; minus the metric where a lower metric is better.
        """
        check_metric(self.metric)
        values = evaluate(
            estimator, X, metrics=self.metric, k=self.k, exclude_seen=self.exclude_seen
        )
        value = values[f"{metric_name(self.metric)}@{self.k}"]
        return -value if greater_is_better(self.metric) is False else value

    def _accept_sample_weight(self) -> bool:
        """Tell scikit-learn's searches that `sample_weight` may be passed."""
        return True
