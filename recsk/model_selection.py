"""Splitters of interactions and scorers of rankings, for scikit-learn's own searches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.metadata_routing import UNUSED

from recsk._checks import at_least_one
from recsk.interactions import Interactions
from recsk.metrics import check_metric, evaluate

__all__ = [
    "InteractionKFold",
    "LeaveLastOut",
    "PredefinedInteractionSplit",
    "RandomHoldout",
    "TemporalSplit",
    "make_ranking_scorer",
]

Indices = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]


class _Splitter(BaseEstimator):
    """What all splitters of interactions share: the checks, and masks turned into indices."""

    # As scikit-learn's own: without it, routing would offer to route `groups`.
    __metadata_request__split = {"groups": UNUSED}

    n_splits: int
    # What makes an X for this splitter of a matrix.
    _from_matrix = "Interactions.from_csr(X)"

    def split(
        self, X: Interactions, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[Indices, Indices]]:
        """Yield the training and test indices of each split.

        Parameters
        ----------
        X : Interactions
            What to split.
        y, groups : object
            Ignored, exist for API compatibility.

        Yields
        ------
        train, test : ndarray of int
            Positions in `X`, ascending. Who has a test interaction also has a training one.

        Raises
        ------
        TypeError
            If `X` is not `Interactions`.
        ValueError
            If a parameter is out of range, timestamps are needed and missing, or the test
            set would be empty.
        """
        self._validate_params()
        if not isinstance(X, Interactions):
            raise TypeError(
                f"{type(self).__name__} splits interactions, not users: pass "
                f"{self._from_matrix} in place of X; got {type(X).__name__}"
            )
        return self._split(X)

    def _split(self, X: Interactions) -> Iterator[tuple[Indices, Indices]]:
        for train, test in self._masks(X):
            # Nobody can be asked for recommendations of whom training knows nothing.
            known = np.bincount(X.user[train], minlength=X.n_users) > 0
            test = test & known[X.user]
            if not test.any():
                raise ValueError(
                    f"{self} leaves nothing to test in X={X}: a user needs another interaction, "
                    "for training, beside each held-out one"
                )
            yield np.flatnonzero(train), np.flatnonzero(test)

    @abstractmethod
    def _masks(self, X: Interactions) -> Iterator[tuple[Bools, Bools]]:
        """Yield masks of training and test interactions."""

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits.

        Parameters
        ----------
        X, y, groups : object
            Ignored, exist for API compatibility.

        Returns
        -------
        n_splits : int
            How many pairs :meth:`split` yields.
        """
        return self.n_splits

    def _times(self, X: Interactions) -> npt.NDArray[Any]:
        if X.timestamp is None:
            raise ValueError(
                f"{type(self).__name__} needs timestamps: Interactions(..., timestamp=...) or "
                f"{self._from_matrix}"
            )
        return X.timestamp


class RandomHoldout(_Splitter):
    """Hold out a random share of every user's interactions.

    Parameters
    ----------
    n_splits : int, default=1
        Number of independent splits.
    test_size : float, default=0.2
        Share of each user's interactions, in (0, 1). Their number is rounded to the nearest,
        halves up, and at least one interaction of each user stays in training: at 0.2, whoever
        has 1 or 2 interactions is not tested, and from 3 to 7 it is one of them.
    random_state : int, RandomState instance or None, default=None
        An int makes all calls give the same splits, as successive halving demands.

    See Also
    --------
    InteractionKFold : Every interaction is tested once.
    LeaveLastOut : Hold out by time.

    Examples
    --------
    >>> from recsk import Interactions
    >>> from recsk.model_selection import RandomHoldout
    >>> X = Interactions([0, 0, 0, 0, 1], [0, 1, 2, 3, 0])
    >>> train, test = next(RandomHoldout(test_size=0.25, random_state=0).split(X))
    >>> len(train), X[test].user
    (4, array([0]))
    """

    _parameter_constraints = {
        "n_splits": [Interval(Integral, 1, None, closed="left")],
        "test_size": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
    }

    def __init__(self, n_splits: int = 1, test_size: float = 0.2, random_state: Any = None) -> None:
        self.n_splits = n_splits
        self.test_size = test_size
        self.random_state = random_state

    def _masks(self, X: Interactions) -> Iterator[tuple[Bools, Bools]]:
        rng = check_random_state(self.random_state)
        counts = np.bincount(X.user, minlength=X.n_users)
        # A half that rounding puts just below is a half: 50 * 0.29 is 14.499999999999998.
        n_test = np.minimum(np.floor(counts * self.test_size + 0.5 + 1e-9), counts - 1)
        for _ in range(self.n_splits):
            test = _rank_in_user(X, rng.permutation(len(X))) < n_test[X.user]
            yield ~test, test


class InteractionKFold(_Splitter):
    """Deal every user's interactions out to folds, each of which is the test set once.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, 2 or more.
    random_state : int, RandomState instance or None, default=None
        An int makes all calls give the same folds, as successive halving demands.

    Notes
    -----
    A user's only interaction is in every training set and in no test set. The others are
    shuffled, and each user's are spread over the folds as evenly as can be; the sizes of the
    folds differ by one at most.

    See Also
    --------
    RandomHoldout : One test set, of any size.

    Examples
    --------
    >>> from recsk import Interactions
    >>> from recsk.model_selection import InteractionKFold
    >>> X = Interactions([0, 0, 0, 1], [0, 1, 2, 0])
    >>> sorted(int(i) for _, test in InteractionKFold(3, random_state=0).split(X) for i in test)
    [0, 1, 2]
    """

    _parameter_constraints = {
        "n_splits": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(self, n_splits: int = 5, random_state: Any = None) -> None:
        self.n_splits = n_splits
        self.random_state = random_state

    def _masks(self, X: Interactions) -> Iterator[tuple[Bools, Bools]]:
        if self.n_splits > len(X):
            raise ValueError(
                f"n_splits={self.n_splits} is more than the {len(X)} interactions of X"
            )
        rng = check_random_state(self.random_state)
        rank = _rank_in_user(X, rng.permutation(len(X)))
        counts = np.bincount(X.user, minlength=X.n_users)
        dealt = np.where(counts > 1, counts, 0)
        # Each user, in random order, where the one before ended: all folds are of one size.
        order = rng.permutation(X.n_users)
        first = np.empty(X.n_users, dtype=np.int64)
        first[order] = np.cumsum(dealt[order]) - dealt[order]
        fold = (rank + first[X.user]) % self.n_splits
        fold[counts[X.user] == 1] = -1
        for i in range(self.n_splits):
            yield fold != i, fold == i


class LeaveLastOut(_Splitter):
    """Hold out the last interactions of every user.

    Parameters
    ----------
    n_splits : int, default=1
        Number of splits, in the order of time. The last one holds out each user's last
        `n_last` interactions; the one before it the `n_last` before those, and drops the
        last, which its training must not foresee; and so on.
    n_last : int, default=1
        Interactions to hold out for each user, 1 or more.

    Notes
    -----
    A user's first interaction is always in the training set. Interactions at the same time
    are in the order of the input. Times are compared within users only:
    :class:`TemporalSplit` cuts all users at one time.

    Examples
    --------
    >>> from recsk import Interactions
    >>> from recsk.model_selection import LeaveLastOut
    >>> X = Interactions([0, 0, 0, 1], [4, 5, 6, 4], timestamp=[30, 20, 10, 5])
    >>> for train, test in LeaveLastOut(n_splits=2).split(X):
    ...     print(train, test)
    [2 3] [1]
    [1 2 3] [0]
    """

    _from_matrix = "Interactions.from_csr(X, values_as='timestamp')"

    _parameter_constraints = {
        "n_splits": [Interval(Integral, 1, None, closed="left")],
        "n_last": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, n_splits: int = 1, n_last: int = 1) -> None:
        self.n_splits = n_splits
        self.n_last = n_last

    def _masks(self, X: Interactions) -> Iterator[tuple[Bools, Bools]]:
        rank = _rank_in_user(X, np.argsort(self._times(X), kind="stable"))
        left = np.bincount(X.user, minlength=X.n_users)[X.user] - rank  # 1 for the last
        for block in reversed(range(self.n_splits)):
            train = (left > (block + 1) * self.n_last) | (rank == 0)
            yield train, ~train & (left > block * self.n_last)


class TemporalSplit(_Splitter):
    """Train on what happened before a point in time, test on what came after.

    Parameters
    ----------
    n_splits : int, default=1
        Number of splits, in the order of time. The last one tests the last `test_size` of all
        interactions, the one before it as many before those, and so on; each trains on all
        that is older than its test set.
    test_size : float, default=0.2
        Share of all interactions in each test set; ``n_splits * test_size < 1``.

    Notes
    -----
    Interactions at the same time are never separated: all that happened at the time of the
    cut is in the test set. Test interactions of users who are new since the cut are left out,
    so that test sets can be smaller than asked for.

    Examples
    --------
    >>> from recsk import Interactions
    >>> from recsk.model_selection import TemporalSplit
    >>> X = Interactions([0, 0, 1, 1, 2], [0, 1, 0, 1, 0], timestamp=[1, 4, 2, 3, 5])
    >>> next(TemporalSplit(test_size=0.4).split(X))
    (array([0, 2, 3]), array([1]))
    """

    _from_matrix = "Interactions.from_csr(X, values_as='timestamp')"

    _parameter_constraints = {
        "n_splits": [Interval(Integral, 1, None, closed="left")],
        "test_size": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(self, n_splits: int = 1, test_size: float = 0.2) -> None:
        self.n_splits = n_splits
        self.test_size = test_size

    def _masks(self, X: Interactions) -> Iterator[tuple[Bools, Bools]]:
        times, n = self._times(X), len(X)
        n_test = max(int(n * self.test_size + 0.5), 1)
        if self.n_splits * n_test >= n:
            raise ValueError(
                f"n_splits={self.n_splits} test sets of {n_test} leave none of the {n} "
                "interactions for training; lower n_splits or test_size"
            )
        starts = n - n_test * np.arange(self.n_splits, 0, -1)
        cuts = np.partition(times, starts)[starts]
        same = np.append(cuts[1:] == cuts[:-1], False)
        if same.any() or not (times < cuts[0]).any():
            at = cuts[np.argmax(same)]
            raise ValueError(
                f"{self} cannot cut X={X}: too many interactions share the time {at}, and those of "
                "one time are never separated"
            )
        for i, cut in enumerate(cuts):
            test = times >= cut
            if i + 1 < len(cuts):
                test &= times < cuts[i + 1]
            yield times < cut, test


class PredefinedInteractionSplit(_Splitter):
    """Split by a label of each interaction, as scikit-learn's ``PredefinedSplit``.

    Parameters
    ----------
    labels : array-like of int, shape (n_interactions,)
        Each label from 0 on is the test set of one split, in ascending order, all other
        interactions its training set. -1 is in every training set and no test set.

    Notes
    -----
    To choose parameters on a given validation set, take training and validation interactions
    alone: ``part < 2`` of parts 0 (train), 1 (validation) and 2 (test), with the labels
    ``part - 1``. Labels of 0, 1, 2 would be three folds, two of which train on the test set.

    Test interactions of users without any in that training set are left out.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk import Interactions
    >>> from recsk.model_selection import PredefinedInteractionSplit
    >>> X = Interactions([0, 0, 0, 1, 1], [0, 1, 2, 0, 2])
    >>> part = np.array([0, 1, 2, 0, 1])
    >>> cv = PredefinedInteractionSplit(part[part < 2] - 1)
    >>> next(cv.split(X[part < 2]))
    (array([0, 2]), array([1, 3]))
    """

    _parameter_constraints = {"labels": ["array-like"]}

    def __init__(self, labels: npt.ArrayLike) -> None:
        self.labels = labels

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of different labels from 0 on.

        Parameters
        ----------
        X, y, groups : object
            Ignored, exist for API compatibility.

        Returns
        -------
        n_splits : int
            How many pairs :meth:`split` yields.
        """
        return len(self._folds()[1])

    def _folds(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        try:
            labels = np.asarray(self.labels)
        except ValueError as error:
            raise ValueError("labels must be 1-D; got sequences of several lengths") from error
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise ValueError(
                f"labels must be 1-D and hold integers; got {labels.ndim} axes of {labels.dtype}"
            )
        folds = np.unique(labels)
        if folds.size and folds[0] < -1:
            raise ValueError(f"labels must be -1 or more; got {folds[0]}")
        folds = folds[folds >= 0]
        if not folds.size:
            raise ValueError("labels name no test set: all of them are -1")
        return labels, folds

    def _masks(self, X: Interactions) -> Iterator[tuple[Bools, Bools]]:
        labels, folds = self._folds()
        if len(labels) != len(X):
            raise ValueError(
                f"labels must have one entry for each interaction; got {len(labels)} labels and "
                f"{len(X)} interactions"
            )
        for fold in folds:
            yield labels != fold, labels == fold


def make_ranking_scorer(metric: str, k: int = 10, *, exclude_seen: bool = True) -> RankingScorer:
    """Make a scorer for ``scoring=`` of scikit-learn from a ranking metric.

    Parameters
    ----------
    metric : {"recall", "ndcg", "precision", "map", "mrr", "hit_rate", "coverage"}
        Defined in :mod:`recsk.metrics`; of all of them, higher is better.
    k : int, default=10
        Length of the lists, 1 or more.
    exclude_seen : bool, default=True
        Mask what the model saw in training. Scores on the training set are then 0; False
        also lets repeated interactions be found.

    Returns
    -------
    scorer : RankingScorer
        Called as ``scorer(estimator, X, y=None)`` with held-out interactions `X`. It can be
        pickled and cloned, and stands metadata routing, of which it requests nothing.

    Raises
    ------
    ValueError
        If `metric` is unknown or `k` below 1.
    TypeError
        If `k` is no integer, or `exclude_seen` no bool.

    Examples
    --------
    >>> from recsk.model_selection import make_ranking_scorer
    >>> make_ranking_scorer("recall", k=20)
    RankingScorer(k=20, metric='recall')
    """
    if not isinstance(exclude_seen, bool | np.bool_):
        raise TypeError(f"exclude_seen must be a bool; got {exclude_seen!r}")
    return RankingScorer(check_metric(metric), at_least_one(k), exclude_seen=exclude_seen)


class RankingScorer(BaseEstimator):
    """What :func:`~recsk.model_selection.make_ranking_scorer` returns.

    Parameters
    ----------
    metric : str
        A metric of :mod:`recsk.metrics`.
    k : int, default=10
        Length of the lists.
    exclude_seen : bool, default=True
        Whether to mask what the model saw in training.

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

    def __init__(self, metric: str, k: int = 10, *, exclude_seen: bool = True) -> None:
        self.metric = metric
        self.k = k
        self.exclude_seen = exclude_seen

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Return the metric of a fitted estimator on held-out interactions.

        Parameters
        ----------
        estimator : fitted estimator
            Anything with ``recommend``, or a search or pipeline of such.
        X : Interactions, or sparse matrix or array of shape (n_users, n_items)
            Held-out interactions.
        y : object
            Ignored, exists for API compatibility.

        Returns
        -------
        value : float
            Higher is better.
        """
        check_metric(self.metric)
        values = evaluate(
            estimator, X, metrics=self.metric, k=self.k, exclude_seen=self.exclude_seen
        )
        return values[f"{self.metric}@{self.k}"]


def _rank_in_user(X: Interactions, order: Indices) -> npt.NDArray[np.int64]:
    """Return for each interaction how many of the same user come before it in `order`."""
    user = X.user[order]
    # A narrow type, for NumPy sorts 16 bits by radix, and no loop over the users is needed.
    grouped = order[np.argsort(user.astype(np.min_scalar_type(X.n_users)), kind="stable")]
    counts = np.bincount(X.user, minlength=X.n_users)
    starts = np.cumsum(counts) - counts
    rank = np.empty(len(X), dtype=np.int64)
    rank[grouped] = np.arange(len(X)) - np.repeat(starts, counts)
    return rank
