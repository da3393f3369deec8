"""Popularity of the recommended items, and its shift against the user's history."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.metrics.hits import Floats
from recsk.metrics.lists import (
    Ids,
    ListMetric,
    ListValues,
    Setting,
    count_users,
    mean_of_items,
    measure_lists,
)

__all__ = ["Popularity", "PopularityShift", "popularity_at_k", "popularity_shift_at_k"]


class Popularity(ListMetric):
    """Mean share of users who have the listed items, see `popularity_at_k`."""

    name = "popularity"
    greater_is_better = None

    def bind(self, setting: Setting) -> ListValues:
        """Compute the popularity of every item."""
        shares = _shares(*count_users(self.get_train(setting)))
        return lambda ranked, users: mean_of_items(shares, ranked)


class PopularityShift(ListMetric):
    """Popularity of the list minus that of the history, see `popularity_shift_at_k`."""

    name = "popularity_shift"
    greater_is_better = None

    def bind(self, setting: Setting) -> ListValues:
        """Compute the popularity of every item and of every history."""
        train = self.get_train(setting)
        shares = _shares(*count_users(train))
        lengths = np.diff(train.indptr)
        missing = np.full(len(lengths), np.nan)
        of_history = np.divide(train @ shares, lengths, out=missing, where=lengths > 0)

        def values(ranked: Ids, users: Ids) -> Floats:
            return mean_of_items(shares, ranked) - of_history[users]

        return values


def popularity_at_k(
    ranked: npt.ArrayLike, train: Any, k: int | None = None, *, average: bool = True
) -> float | Floats:
    """Mean popularity of the first `k` items: the share of the users who have each.

    The users are those with a history in `train`. Times their number, this is the average
    recommendation popularity (ARP) of the literature.

    Parameters
    ----------
    ranked : array-like of int, shape (n, at least k)
        Item ids, best first, padded with -1.
    train : Interactions, or sparse matrix or array of shape (n_users, n_items)
        The training interactions of all users.
    k : int, default=None
        Number of ranks to count. ``None`` counts all columns of `ranked`.
    average : bool, default=True
        Whether to average over the lists. False returns one value for each list, NaN for an empty
        one.

    Returns
    -------
    float or ndarray of shape (n,)
        From 0 to 1.

    Raises
    ------
    ValueError
        If an id or `k` is out of range, or all lists are empty.
    TypeError
        If `ranked` does not hold integers or `train` is not sparse.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import popularity_at_k
    >>> train = csr_array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0]])
    >>> popularity_at_k([[0, 1], [1, 2]], train, average=False)
    array([0.75, 0.25])
    """
    return measure_lists(Popularity(), ranked, k, average, train=train)


def popularity_shift_at_k(
    ranked: npt.ArrayLike,
    train: Any,
    k: int | None = None,
    *,
    users: npt.ArrayLike | None = None,
    average: bool = True,
) -> float | Floats:
    """Popularity of the first `k` items minus the popularity of the user's history.

    Both are means of the share of users who have an item, as in `popularity_at_k`. Above 0, the
    lists are more popular than what their users choose.

    Parameters
    ----------
    ranked : array-like of int, shape (n, at least k)
        Item ids, best first, padded with -1.
    train : Interactions, or sparse matrix or array of shape (n_users, n_items)
        The training interactions of all users.
    k : int, default=None
        Number of ranks to count. ``None`` counts all columns of `ranked`.
    users : array-like of int, shape (n,), default=None
        The row of `train` that each list belongs to. ``None``: list i belongs to row i.
    average : bool, default=True
        Whether to average over the lists. False returns one value for each list, NaN for an empty
        one and for a user without a history.

    Returns
    -------
    float or ndarray of shape (n,)
        From -1 to 1.

    Raises
    ------
    ValueError
        If an id or `k` is out of range, the numbers of lists and users differ, or no list has a
        value.
    TypeError
        If `ranked` does not hold integers or `train` is not sparse.
    IndexError
        If one of `users` is out of range.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import popularity_shift_at_k
    >>> train = csr_array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0]])
    >>> popularity_shift_at_k([[2, -1], [1, 2]], train, users=[0, 1], average=False)
    array([-0.75, -0.75])
    """
    return measure_lists(
        PopularityShift(), ranked, k, average, train=train, users=users, by_row=True
    )


def _shares(counts: Floats, n_users: int) -> Floats:
    return counts / max(n_users, 1)
