"""Share of new items: recommended items that nobody has in training."""

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

__all__ = ["NewItems", "new_items_at_k"]


class NewItems(ListMetric):
    """Share of listed items without training interactions, see `new_items_at_k`."""

    name = "new_items"
    greater_is_better = True

    def bind(self, setting: Setting) -> ListValues:
        """Mark the new items."""
        counts, _ = count_users(self.get_train(setting))
        is_new = (counts == 0).astype(np.float64)
        return lambda ranked, users: mean_of_items(is_new, ranked)


def new_items_at_k(
    ranked: npt.ArrayLike, train: Any, k: int | None = None, *, average: bool = True
) -> float | Floats:
    """Share of new items, which have no interaction in training, among the first `k` items.

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
    >>> from recsk.metrics import new_items_at_k
    >>> new_items_at_k([[2, 0], [1, -1]], csr_array([[1, 1, 0]]), average=False)
    array([0.5, 0. ])
    """
    return measure_lists(NewItems(), ranked, k, average, train=train)
