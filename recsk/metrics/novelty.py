"""Novelty: how few users have the recommended items."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.metrics.hits import Floats
from recsk.metrics.lists import (
    ListMetric,
    ListValues,
    Setting,
    count_users,
    mean_of_items,
    measure_lists,
)

__all__ = ["Novelty", "novelty_at_k"]


class Novelty(ListMetric):
    """Mean self-information of the listed items, see `novelty_at_k`."""

    name = "novelty"
    greater_is_better = True

    def bind(self, setting: Setting) -> ListValues:
        """Compute the self-information of every item."""
        counts, n_users = count_users(self.get_train(setting))
        information = -np.log2(np.maximum(counts, 1) / max(n_users, 1))
        return lambda ranked, users: mean_of_items(information, ranked)


def novelty_at_k(
    ranked: npt.ArrayLike, train: Any, k: int | None = None, *, average: bool = True
) -> float | Floats:
    """Mean self-information of the first `k` items: ``-log2`` of the share of users who have one.

    With ``U`` users who have a history and ``U_i`` of them who have item i, an item has
    ``-log2(U_i / U)`` bits. An item without users counts as if it had one. The novelty of a list is
    the mean over its items, as in [1]_.

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
        From 0 (every user has the items) to ``log2(U)`` bits; higher is more novel.

    Raises
    ------
    ValueError
        If an id or `k` is out of range, or all lists are empty.
    TypeError
        If `ranked` does not hold integers or `train` is not sparse.

    References
    ----------
    .. [1] T. Zhou et al. "Solving the apparent diversity-accuracy dilemma of recommender systems."
       PNAS 107(10), 2010.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import novelty_at_k
    >>> train = csr_array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0]])
    >>> novelty_at_k([[0, 1], [1, 2]], train, average=False)  # 0, 1 and 2 bits
    array([0.5, 1.5])
    """
    return measure_lists(Novelty(), ranked, k, average, train=train)
