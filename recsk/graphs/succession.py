"""Which items follow which in histories, and how much the last items of a history count."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

__all__ = ["recency_weights", "succession_graph"]

# Pairs held at once. Counting them takes about 50 bytes for each.
_MAX_PAIRS = 8_000_000


def succession_graph(
    indptr: npt.NDArray[np.int64],
    items: npt.NDArray[np.int64],
    n_items: int,
    *,
    max_gap: int,
    gap_decay: float,
    weights: npt.NDArray[np.float32] | None = None,
) -> sp.csr_array:
    r"""Weigh ordered pairs of items by how often, and how soon, the second follows the first.

    .. math:: W_{ij} = \frac{1}{\sqrt{n_i}} \sum_u \sum_{s < t \le s + g}
              \gamma^{t - s - 1} [i_{us} = i] [i_{ut} = j]

    with :math:`i_{us}` the item at place s of history u, :math:`n_i` the number of interactions
    with item i, :math:`g` `max_gap` and :math:`\gamma` `gap_decay`.

    Parameters
    ----------
    indptr : ndarray of shape (n_users + 1,)
    items : ndarray of shape (n_interactions,)
        History u is ``items[indptr[u]:indptr[u + 1]]``, oldest first.
    n_items : int
    max_gap : int
        Largest distance between two items that counts; 1 counts neighbours alone.
    gap_decay : float
        Weight of a pair for each further step between its items, from 0 to 1.
    weights : ndarray of shape (n_interactions,), default=None
        Weights of the interactions. Two items with weights a and b then count
        :math:`\sqrt{a b}` times, and :math:`n_i` is a sum of weights. None counts all once.

    Returns
    -------
    csr_array of shape (n_items, n_items), float32
        :math:`W`. A row is the earlier item, a column the later one. The diagonal is empty:
        repeats of an item do not count.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.graphs import succession_graph
    >>> succession_graph(
    ...     np.array([0, 3]), np.array([0, 1, 2]), 3, max_gap=20, gap_decay=0.8
    ... ).toarray()
    array([[0. , 1. , 0.8],
           [0. , 0. , 1. ],
           [0. , 0. , 0. ]], dtype=float32)
    """
    items = items.astype(np.int32)  # with int64, all indices take twice the memory
    shape = (n_items, n_items)
    end = np.repeat(indptr[1:], np.diff(indptr))  # of the history of each interaction
    roots = np.ones(len(items), np.float32) if weights is None else np.sqrt(weights)
    longest = min(max_gap, int(np.diff(indptr).max(initial=1)) - 1)
    counts = sp.csr_array(shape, dtype=np.float32)
    for start in range(0, len(items), block_size := max(_MAX_PAIRS // max(longest, 1), 1)):
        place = np.arange(start, min(start + block_size, len(items)))
        first, second, value = [], [], []
        for gap in range(1, longest + 1):
            place = place[place + gap < end[place]]
            other = place[items[place] != items[place + gap]]
            first.append(items[other])
            second.append(items[other + gap])
            decay = np.float32(gap_decay ** (gap - 1))
            value.append(roots[other] * roots[other + gap] * decay)
        if first:
            pairs = np.concatenate(first), np.concatenate(second)
            counts = counts + sp.csr_array((np.concatenate(value), pairs), shape=shape)
    total = np.bincount(items, weights=weights, minlength=n_items)
    scale = np.where(total > 0, total, 1) ** -0.5
    counts.data *= np.repeat(scale.astype(np.float32), np.diff(counts.indptr))
    counts.eliminate_zeros()  # of a decay of zero
    return counts


def recency_weights(
    indptr: npt.NDArray[np.int64],
    items: npt.NDArray[np.int64],
    n_items: int,
    *,
    n_recent: int,
    decay: float,
) -> sp.csr_array:
    """Weigh the last items of each history: one for the last, `decay` for the one before it.

    Parameters
    ----------
    indptr : ndarray of shape (n + 1,)
    items : ndarray of shape (n_interactions,)
        History u is ``items[indptr[u]:indptr[u + 1]]``, oldest first.
    n_items : int
    n_recent : int
        Last interactions that count.
    decay : float
        Factor for each step back.

    Returns
    -------
    csr_array of shape (n, n_items), float32
        An item that repeats has the sum of its weights.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.graphs import recency_weights
    >>> recency_weights(
    ...     np.array([0, 4]), np.array([3, 0, 1, 0]), 4, n_recent=3, decay=0.5
    ... ).toarray()
    array([[1.25, 0.5 , 0.  , 0.  ]], dtype=float32)
    """
    n = np.minimum(np.diff(indptr), n_recent)
    starts = np.concatenate([[0], np.cumsum(n)])
    # 0 for the last item of each history, 1 for the one before it, and so on.
    age = np.arange(starts[-1]) - np.repeat(starts[:-1], n)
    recent = items[np.repeat(indptr[1:] - 1, n) - age]
    data = (float(decay) ** age).astype(np.float32)
    weights = sp.csr_array((data, recent, starts), shape=(len(n), n_items))
    weights.sum_duplicates()
    weights.eliminate_zeros()
    return weights
