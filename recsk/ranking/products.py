"""Inner products of users with all items or some, without a copy of the vectors of these."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["inner_products"]

Array = npt.NDArray[np.float32]
_CACHED = 2**16  # numbers of the vectors that are copied at once: they stay in the cache
_FEW = 16  # users for which BLAS is faster with the items first


def inner_products(
    users: Array, items: Array, chosen: npt.NDArray[np.int64] | None = None
) -> Array:
    """Compute the inner products of users with items.

    Parameters
    ----------
    users : ndarray of shape (n, width)
    items : ndarray of shape (n_items, width)
    chosen : ndarray of int of shape (n_chosen,), default=None
        Rows of `items`, without which all take part.

    Returns
    -------
    ndarray of shape (n, n_items) or (n, n_chosen), float32
        A new array.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.ranking.products import inner_products
    >>> inner_products(np.float32([[2]]), np.float32([[1], [3], [5]]), np.array([2, 0]))
    array([[10.,  2.]], dtype=float32)
    """
    if chosen is None:
        if 1 < len(users) <= _FEW:
            return np.ascontiguousarray((items @ users.T).T)
        return users @ items.T
    products = np.empty((len(users), len(chosen)), dtype=np.float32)
    step = max(_CACHED // max(items.shape[1], 1), 1)
    copied = np.empty((min(step, len(chosen)), items.shape[1]), dtype=np.float32)
    for start in range(0, len(chosen), step):
        rows = chosen[start : start + step]
        some = copied[: len(rows)]
        # With the mode "raise", NumPy would copy once more; the rows are checked.
        np.take(items, rows, axis=0, out=some, mode="clip")
        np.matmul(users, some.T, out=products[:, start : start + len(rows)])
    return products
