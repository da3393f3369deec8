"""Random splits of each user's interactions."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from recsk.data.interactions import Interactions
from recsk.data.repeats import find_pairs
from recsk.model_selection.splitter import Bools, Indices, InteractionSplitter, rank_within_user

__all__ = ["InteractionKFold", "RandomHoldout"]


class RandomHoldout(InteractionSplitter):
    """Hold out a random share of every user's interactions.

    Parameters
    ----------
    n_splits : int, default=1
        Number of independent splits.
    test_size : float, default=0.2
        Share of each user's interactions, in (0, 1). The number of test interactions is rounded
        to the nearest, halves up, and each user keeps at least one interaction for training. At
        0.2, users with 1 or 2 interactions have no test interaction, and users with 3 to 7 have
        one.
    random_state : int, RandomState instance or None, default=None
        An int makes every call give the same splits, which successive halving requires.
    repeats : bool, default=False
        False: all interactions of a user with an item are on one side of a split, and count as
        one. True: each of them is drawn by itself, so that a test set repeats training
        interactions. See :doc:`/guide/splitting`.

    See Also
    --------
    InteractionKFold : Test every interaction once.
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
        "repeats": ["boolean"],
    }

    def __init__(
        self,
        n_splits: int = 1,
        test_size: float = 0.2,
        random_state: Any = None,
        *,
        repeats: bool = False,
    ) -> None:
        self.n_splits = n_splits
        self.test_size = test_size
        self.random_state = random_state
        self.repeats = repeats

    def _iter_masks(self, X: Interactions) -> Iterator[tuple[Bools, Bools]]:
        X, unit = _units(X, self.repeats)
        rng = check_random_state(self.random_state)
        counts = np.bincount(X.user, minlength=X.n_users)
        # Halves round up, also those that floats put just below: 50 * 0.29 is 14.499999999999998.
        n_test = np.minimum(np.floor(counts * self.test_size + 0.5 + 1e-9), counts - 1)
        for _ in range(self.n_splits):
            test = rank_within_user(X, rng.permutation(len(X))) < n_test[X.user]
            yield ~test[unit], test[unit]


class InteractionKFold(InteractionSplitter):
    """Split every user's interactions into folds, each of which is the test set once.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, 2 or more.
    random_state : int, RandomState instance or None, default=None
        An int makes every call give the same folds, which successive halving requires.
    repeats : bool, default=False
        False: all interactions of a user with an item are in one fold, and count as one. True:
        each of them is drawn by itself, so that a test set repeats training interactions. See
        :doc:`/guide/splitting`.

    Notes
    -----
    The interaction of a user who has only one is in every training set and in no test set. All
    others are shuffled and spread over the folds, those of each user as evenly as possible. The
    sizes of the folds differ by at most one; repeats are not counted.

    See Also
    --------
    RandomHoldout : Choose the size of the test set.

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
        "repeats": ["boolean"],
    }

    def __init__(
        self, n_splits: int = 5, random_state: Any = None, *, repeats: bool = False
    ) -> None:
        self.n_splits = n_splits
        self.random_state = random_state
        self.repeats = repeats

    def _iter_masks(self, X: Interactions) -> Iterator[tuple[Bools, Bools]]:
        X, unit = _units(X, self.repeats)
        if self.n_splits > len(X):
            raise ValueError(
                f"n_splits={self.n_splits} is more than the {len(X)} interactions of X"
                + ("" if len(X) == len(unit) else ", where repeats count once")
            )
        rng = check_random_state(self.random_state)
        rank = rank_within_user(X, rng.permutation(len(X)))
        counts = np.bincount(X.user, minlength=X.n_users)
        n_to_spread = np.where(counts > 1, counts, 0)
        # In a random order of users, each user starts at the fold after the last one of the user
        # before. This gives all folds the same size, up to one.
        order = rng.permutation(X.n_users)
        first = np.empty(X.n_users, dtype=np.int64)
        first[order] = np.cumsum(n_to_spread[order]) - n_to_spread[order]
        fold = (rank + first[X.user]) % self.n_splits
        fold[counts[X.user] == 1] = -1
        fold = fold[unit]
        for i in range(self.n_splits):
            yield fold != i, fold == i


def _units(X: Interactions, repeats: bool) -> tuple[Interactions, Indices]:
    """Return what is drawn, and the position in it of each interaction.

    With `repeats` each interaction is drawn by itself, otherwise each pair of a user and an item.
    """
    if repeats:
        return X, np.arange(len(X))
    first, pair = find_pairs(X)
    return X[first], pair
