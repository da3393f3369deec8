"""What came next in other histories, as an item-to-item part of the scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.data.sequences import Sequences
from recsk.features.dense import Features
from recsk.graphs.neighbors import top_k_per_row
from recsk.graphs.succession import recency_weights, succession_graph
from recsk.ranking.exact import top_k
from recsk.ranking.vectors import unit_rows

__all__ = ["item_relations", "recent_weights"]

# One setting for all data: the best on validation of short and long histories together.
_MAX_GAP, _GAP_DECAY = 20, 0.8
_POPULARITY = 0.25  # exponent of the candidate's count, which divides
_N_RECENT, _RECENT_DECAY = 10, 0.8
_N_ALIKE, _ALIKE_POWER = 20, 4
_MAX_RELATED = 500  # largest weights of an item; the others would fill the memory


def item_relations(
    sequences: Sequences, n_items: int, features: Sequence[Features] = ()
) -> sp.csr_array:
    r"""Weigh ordered pairs of items by how often, and how soon, the second follows the first.

    .. math:: B_{ji} = \frac{1}{\sqrt{n_j} \sqrt[4]{n_i}}
              \sum_v \sum_{g=1}^{20} 0.8^{g-1} \, [i \text{ is } g \text{ places after } j]

    with :math:`n_j` the number of interactions with item j. A new item has no interactions: its
    column is the mean of those of the 20 known items most alike, weighted by the fourth power of
    the cosine. Only the 500 largest weights of each item j are kept.

    Parameters
    ----------
    sequences : Sequences
        Two items with weights a and b count :math:`\sqrt{a b}` times; :math:`n` sums weights.
    n_items : int
    features : sequence of Features
        One per modality; without any, the columns of new items are empty.

    Returns
    -------
    csr_array of shape (n_items, n_items), float32
        :math:`B`. A row is an item of the history, a column a candidate. The diagonal is empty.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.data.sequences import Sequences
    >>> from recsk.models.mdsrec.relations import item_relations
    >>> item_relations(Sequences(np.array([0, 2]), np.array([0, 1])), 2).toarray()
    array([[0., 1.],
           [0., 0.]], dtype=float32)
    """
    indptr, items, weights = sequences
    relations = succession_graph(
        indptr, items, n_items, max_gap=_MAX_GAP, gap_decay=_GAP_DECAY, weights=weights
    )
    count = np.bincount(items, weights=weights, minlength=n_items)
    scale = np.where(count > 0, count, 1) ** -_POPULARITY
    relations.data *= scale[relations.indices].astype(np.float32)
    new = np.flatnonzero(count == 0)
    if features and len(new):
        relations = relations + relations @ _most_alike(features, np.flatnonzero(count), new).T
    return top_k_per_row(relations, _MAX_RELATED, diagonal_offset=None)


def _most_alike(
    features: Sequence[Features], known: npt.NDArray[np.int64], new: npt.NDArray[np.int64]
) -> sp.csr_array:
    """Weights of the known items most alike in each row of a new item; rows sum to one."""
    unit = [unit_rows(values) * present[:, None] for values, present in features]
    content = unit_rows(np.hstack(unit))
    n_items = len(content)
    ids, cosines = top_k(content[new], content[known], min(_N_ALIKE, len(known)))
    weights = np.maximum(cosines, 0) ** _ALIKE_POWER
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    rows = np.repeat(new, ids.shape[1])
    return sp.csr_array((weights.ravel(), (rows, known[ids.ravel()])), shape=(n_items, n_items))


def recent_weights(
    indptr: npt.NDArray[np.int64], items: npt.NDArray[np.int64], n_items: int, max_length: int
) -> sp.csr_array:
    """Weigh the last ten items of each history: one for the last, 0.8 for the one before it.

    Parameters
    ----------
    indptr : ndarray of shape (n + 1,)
    items : ndarray of shape (n_interactions,)
        History u is ``items[indptr[u]:indptr[u + 1]]``, oldest first.
    n_items : int
    max_length : int
        If below ten, only so many items count.

    Returns
    -------
    csr_array of shape (n, n_items), float32
    """
    n_recent = min(_N_RECENT, max_length)
    return recency_weights(indptr, items, n_items, n_recent=n_recent, decay=_RECENT_DECAY)
