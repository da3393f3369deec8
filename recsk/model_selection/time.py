"""Splits by time: each user's last interactions, or all after a point in time."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Interval

from recsk.data.interactions import Interactions
from recsk.model_selection.splitter import (
    Bools,
    InteractionSplitter,
    leave_out_seen,
    rank_within_user,
)

__all__ = ["LeaveLastOut", "TemporalSplit"]


class LeaveLastOut(InteractionSplitter):
    """Hold out the last interactions of every user.

    Parameters
    ----------
    n_splits : int, default=1
        Number of splits, oldest first. The last split holds out each user's last `n_last`
        interactions. The split before it holds out the `n_last` before those, and drops the later
        ones, because its training must not see the future; and so on.
    n_last : int, default=1
        Number of interactions to hold out for each user, 1 or more.
    repeats : bool, default=False
        False: the test set leaves out interactions whose user has interacted with the item in
        training, because lists exclude seen items. True: they are tested.
        See :doc:`/guide/splitting`.

    Notes
    -----
    A user's first interaction is always in the training set. Interactions at the same time
    keep the order of the input. Times are compared only within a user; use
    :class:`TemporalSplit` to split all users at the same time.

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

    _matrix_conversion = "Interactions.from_csr(X, values_as='timestamp')"

    _parameter_constraints = {
        "n_splits": [Interval(Integral, 1, None, closed="left")],
        "n_last": [Interval(Integral, 1, None, closed="left")],
        "repeats": ["boolean"],
    }

    def __init__(self, n_splits: int = 1, n_last: int = 1, *, repeats: bool = False) -> None:
        self.n_splits = n_splits
        self.n_last = n_last
        self.repeats = repeats

    def _iter_masks(self, X: Interactions) -> Iterator[tuple[Bools, Bools]]:
        masks = self._iter_periods(X)
        return masks if self.repeats else leave_out_seen(X, masks)

    def _iter_periods(self, X: Interactions) -> Iterator[tuple[Bools, Bools]]:
        rank = rank_within_user(X, np.argsort(self._get_timestamps(X), kind="stable"))
        # 1 for a user's last interaction, 2 for the one before it, and so on.
        from_end = np.bincount(X.user, minlength=X.n_users)[X.user] - rank
        for block in reversed(range(self.n_splits)):
            train = (from_end > (block + 1) * self.n_last) | (rank == 0)
            yield train, ~train & (from_end > block * self.n_last)


class TemporalSplit(InteractionSplitter):
    """Train on the interactions before a point in time, test on those after it.

    Parameters
    ----------
    n_splits : int, default=1
        Number of splits, oldest first. The last split tests the latest `test_size` of all
        interactions, the split before it the same number before those, and so on. Each split
        trains on all interactions that are older than its test set.
    test_size : float, default=0.2
        Share of all interactions in each test set, with ``n_splits * test_size < 1``.
    repeats : bool, default=False
        False: the test set leaves out interactions whose user has interacted with the item in
        training, because lists exclude seen items. True: they are tested.
        See :doc:`/guide/splitting`.

    Notes
    -----
    Interactions at the same time are never separated: all interactions at the time of the cut
    are in the test set. A test set leaves out users without interactions before the cut, and
    repeats, so it can be smaller than `test_size`.

    Examples
    --------
    >>> from recsk import Interactions
    >>> from recsk.model_selection import TemporalSplit
    >>> X = Interactions([0, 0, 1, 1, 2], [0, 1, 0, 1, 0], timestamp=[1, 4, 2, 3, 5])
    >>> next(TemporalSplit(test_size=0.4).split(X))
    (array([0, 2, 3]), array([1]))
    """

    _matrix_conversion = "Interactions.from_csr(X, values_as='timestamp')"

    _parameter_constraints = {
        "n_splits": [Interval(Integral, 1, None, closed="left")],
        "test_size": [Interval(Real, 0, 1, closed="neither")],
        "repeats": ["boolean"],
    }

    def __init__(self, n_splits: int = 1, test_size: float = 0.2, *, repeats: bool = False) -> None:
        self.n_splits = n_splits
        self.test_size = test_size
        self.repeats = repeats

    def _iter_masks(self, X: Interactions) -> Iterator[tuple[Bools, Bools]]:
        masks = self._iter_periods(X)
        return masks if self.repeats else leave_out_seen(X, masks)

    def _iter_periods(self, X: Interactions) -> Iterator[tuple[Bools, Bools]]:
        times, n = self._get_timestamps(X), len(X)
        n_test = max(int(n * self.test_size + 0.5), 1)
        if self.n_splits * n_test >= n:
            raise ValueError(
                f"n_splits={self.n_splits} test sets of {n_test} leave none of the {n} "
                "interactions for training; lower n_splits or test_size"
            )
        starts = n - n_test * np.arange(self.n_splits, 0, -1)
        cuts = np.partition(times, starts)[starts]
        repeated = np.append(cuts[1:] == cuts[:-1], False)
        if repeated.any() or not (times < cuts[0]).any():
            raise ValueError(
                f"{self} cannot split X={X}: too many interactions share the time "
                f"{cuts[np.argmax(repeated)]}, and interactions at the same time are never "
                "separated"
            )
        for i, cut in enumerate(cuts):
            test = times >= cut
            if i + 1 < len(cuts):
                test &= times < cuts[i + 1]
            yield times < cut, test
