"""Count how often items occur together in histories."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from recsk.graphs.neighbors import top_k_by_blocks, top_k_per_row
from recsk.graphs.user_item import inverse_sqrt, normalize_symmetric

__all__ = ["item_cooccurrence", "top_cooccurring", "window_cooccurrence_graph"]

# Share of item pairs that co-occur from which dense blocks are faster than sparse ones.
_DENSE_SHARE = 0.1


def window_cooccurrence_graph(
    indptr: np.ndarray,
    items: np.ndarray,
    n_items: int,
    window: int,
    weights: np.ndarray | None = None,
) -> sp.csr_array:
    r"""Link items that occur close together in histories.

    .. math:: N = D^{-1/2} C D^{-1/2}

    with :math:`C` the number of times that two items are at most `window` places apart in a
    history. Repeats of the same item do not count.

    Parameters
    ----------
    indptr : ndarray of shape (n_users + 1,)
    items : ndarray of shape (n_interactions,)
        History u is ``items[indptr[u]:indptr[u + 1]]``, oldest first.
    n_items : int
    window : int
        Largest distance between two items that counts.
    weights : ndarray of shape (n_interactions,), default=None
        Weights of the interactions. Two items with weights a and b then count
        :math:`\sqrt{a b}` times. None counts all once.

    Returns
    -------
    csr_array of shape (n_items, n_items), float32
        Symmetric. An interaction adds at most ``2 * window`` entries, even in a long history.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.graphs import window_cooccurrence_graph
    >>> window_cooccurrence_graph(
    ...     np.array([0, 3]), np.array([0, 1, 2]), 3, window=1
    ... ).toarray().round(2)
    array([[0.  , 0.71, 0.  ],
           [0.71, 0.  , 0.71],
           [0.  , 0.71, 0.  ]], dtype=float32)
    """
    items = items.astype(np.int32)  # with int64, all indices of the graph take twice the memory
    user = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    shape = (n_items, n_items)
    roots = np.ones(len(items), dtype=np.float32) if weights is None else np.sqrt(weights)
    counts = sp.csr_array(shape, dtype=np.float32)
    longest = int(np.diff(indptr).max(initial=0))
    for distance in range(1, min(window, longest - 1) + 1):
        earlier, later = items[:-distance], items[distance:]
        counted = (user[distance:] == user[:-distance]) & (earlier != later)
        pairs = (roots[:-distance] * roots[distance:])[counted]
        counts += sp.csr_array((pairs, (earlier[counted], later[counted])), shape=shape)
    return normalize_symmetric(sp.csr_array(counts + counts.T))


def item_cooccurrence(
    interactions: sp.csr_array, max_length: int | None, block_size: int
) -> Callable[[np.ndarray], sp.csr_array]:
    """Return a function that computes rows of the item co-occurrence matrix.

    The matrix is symmetrically normalised and scaled to [0, 1]. It is computed in blocks of rows:
    with long histories, all rows at once would be as large as items x items.

    Parameters
    ----------
    interactions : csr_array of shape (n_users, n_items)
        One, or a weight, where a user interacted with an item.
    max_length : int or None
        Users with more items than this are not counted. None counts all.
    block_size : int
        Rows computed at once while the largest entry is found.

    Returns
    -------
    callable
        Takes item indices of shape (n,), returns a csr_array of shape (n, n_items), float32.
    """
    seen = sp.csr_array(interactions, dtype=np.float32).sqrt()
    if max_length is not None:
        seen = seen[np.flatnonzero(np.diff(seen.indptr) <= max_length)]
    users_of_item = sp.csr_array(seen.T)
    scale = inverse_sqrt(_degrees(seen))

    def normalized(rows: np.ndarray) -> sp.csr_array:
        counts = sp.csr_array(users_of_item[rows] @ seen)
        item = np.repeat(rows, np.diff(counts.indptr))
        counts.data *= scale[item] * scale[counts.indices] * (item != counts.indices)
        return counts

    n_items = seen.shape[1]
    blocks = np.split(np.arange(n_items), np.arange(block_size, n_items, block_size))
    largest = max(normalized(rows).data.max(initial=0) for rows in blocks)
    return lambda rows: normalized(rows) / (largest or 1)


def _degrees(roots: sp.csr_array) -> np.ndarray:
    """Row sums of the co-occurrence matrix, from the roots of the weights.

    An item gets its root times the sum of the other roots of the user; with weights of one and n
    items, that is n - 1.
    """
    user = np.repeat(np.arange(roots.shape[0]), np.diff(roots.indptr))
    others = np.bincount(user, weights=roots.data)[user] - roots.data  # in float64
    return np.bincount(roots.indices, weights=roots.data * others, minlength=roots.shape[1])


def top_cooccurring(
    interactions: sp.csr_array, n_neighbors: int, max_length: int | None, block_size: int
) -> sp.csr_array:
    """Find the `n_neighbors` other items that co-occur most with each item."""
    n_items = interactions.shape[1]
    cooccurrence = item_cooccurrence(interactions, max_length, block_size)
    length = np.diff(interactions.indptr).astype(np.float64)
    if max_length is not None:
        length = length[length <= max_length]
    # With many nonzeros, sorting them takes longer than a partition of dense rows.
    if (length**2).sum() >= _DENSE_SHARE * n_items**2:
        return sp.csr_array(
            top_k_by_blocks(
                lambda rows: cooccurrence(rows).toarray(),
                n_items,
                n_neighbors,
                block_size=block_size,
            )
        )
    starts = range(0, n_items, block_size)
    blocks = [np.arange(i, min(i + block_size, n_items)) for i in starts]
    largest = [
        top_k_per_row(cooccurrence(rows), n_neighbors, diagonal_offset=rows[0]) for rows in blocks
    ]
    return sp.csr_array(sp.vstack(largest, format="csr", dtype=np.float32))
