"""Links between similar items that are kept while items are added."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.graphs.neighbors import cosine_neighbors, top_k_per_row, unit_features
from recsk.ranking.exact import top_k

__all__ = ["grow_links"]

_MAX_PRODUCTS = 4_000_000  # held at once
_MANY = 0.25  # share of the items whose change makes a search from scratch cheaper


def grow_links(
    links: sp.csr_array,
    features: npt.NDArray[np.float32],
    present: npt.NDArray[np.bool_],
    n_neighbors: int,
    changed: npt.NDArray[np.bool_],
) -> sp.csr_array:
    """Find the most similar items of each item, with what is known of most of them.

    Parameters
    ----------
    links : csr_array of shape (n_known, n_known)
        Cosines of the `n_neighbors` most similar items of the first items, where they are positive.
    features : ndarray of shape (n_items, n_columns)
    present : ndarray of shape (n_items,), bool
        Which items have features.
    n_neighbors : int
    changed : ndarray of shape (n_items,), bool
        Which items are new or have other features than before.

    Returns
    -------
    csr_array of shape (n_items, n_items), float32
        As `cosine_neighbors` finds it.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from recsk.graphs.links import grow_links
    >>> features = np.float32([[1, 0], [0.6, 0.8], [1, 0.1]])
    >>> known = sp.csr_array(np.float32([[0, 0.6], [0.6, 0]]))
    >>> new = np.array([False, False, True])
    >>> grow_links(known, features, ~np.zeros(3, bool), 1, new).toarray().round(2)
    array([[0.  , 0.  , 1.  ],
           [0.  , 0.  , 0.68],
           [1.  , 0.  , 0.  ]], dtype=float32)
    """
    n_items, n_known = len(features), links.shape[0]
    grown = sp.csr_array((links.data, links.indices, links.indptr), shape=(n_known, n_items))
    grown.resize((n_items, n_items))
    if not changed.any():
        return grown
    # Who was linked to an item that changed may have another neighbour now.
    searched = changed | (grown @ changed.astype(np.float32) > 0)
    if searched.mean() > _MANY:
        return sp.csr_array(cosine_neighbors(features, present, n_neighbors))
    unit, members = unit_features(features, present)
    row_of = np.full(n_items, -1)
    row_of[members] = np.arange(len(members))
    rows, others = (members[mask[members]] for mask in (searched, ~searched))
    itself = sp.csr_array(
        (np.ones(len(rows), np.float32), row_of[rows], np.arange(len(rows) + 1)),
        shape=(len(rows), len(members)),
    )
    n_nearest = min(n_neighbors, len(members))
    nearest, cosine = top_k(unit[row_of[rows]], unit, n_nearest, exclude=sp.csr_matrix(itself))
    own, rank = np.nonzero(cosine > 0)
    found = sp.coo_array(
        (cosine[own, rank], (rows[own], members[nearest[own, rank]])), shape=grown.shape
    )
    kept = sp.diags_array((~searched).astype(np.float32)) @ grown
    # Among the others' neighbours may be items that changed.
    arrived = members[changed[members]]
    least = np.zeros(n_items, dtype=np.float32)  # that a link of a full list must exceed
    full = np.diff(kept.indptr) >= n_neighbors
    if full.any():  # or less than that, where rows that are not full are in between
        least[full] = np.minimum.reduceat(kept.data, kept.indptr[:-1][full])
    nearer = [sp.coo_array(grown.shape, dtype=np.float32)]
    size = max(_MAX_PRODUCTS // max(len(arrived), 1), 1)
    for block in np.split(others, range(size, len(others), size)):
        cosines = unit[row_of[block]] @ unit[row_of[arrived]].T
        other, new = np.nonzero(cosines > least[block][:, None])
        entries = cosines[other, new], (block[other], arrived[new])
        nearer.append(sp.coo_array(entries, shape=grown.shape))
    together = sp.csr_array(sum(nearer, kept + found))
    together.eliminate_zeros()
    return sp.csr_array(top_k_per_row(together, n_neighbors, diagonal_offset=None))
