"""Neighbour graphs from behaviour and from content, as sparse matrices.

Everything here is NumPy and SciPy: graphs are built once, before training, block by block, so
that no dense users x users or items x items array ever exists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from recsk.neighbors import (
    largest_of_rows,
    largest_products,
    nearest_by_content,
    nearest_links,
    scale_rows,
    unit_features,
)

__all__ = [
    "cooccurrence_graph",
    "interaction_graph",
    "keep_own",
    "nearby_graph",
    "nearest_histories",
    "neighbor_graph",
    "normalize_symmetric",
    "relation_graph",
]


_DENSE = 0.1  # share of the pairs of items that people met together


def normalize_symmetric(adjacency: sp.csr_array) -> sp.csr_array:
    r"""Scale an adjacency matrix to :math:`D_r^{-1/2} A D_c^{-1/2}`.

    Parameters
    ----------
    adjacency : sparse array of shape (n, m)
        Non-negative weights.

    Returns
    -------
    csr_array of shape (n, m), float32
        Rows and columns without any weight stay empty.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from recsk.graphs import normalize_symmetric
    >>> normalize_symmetric(sp.csr_array([[0.0, 4.0], [4.0, 0.0]])).toarray()
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    adjacency = sp.csr_array(adjacency, dtype=np.float32)
    row_scale = _inverse_sqrt(np.asarray(adjacency.sum(axis=1)).ravel())
    column_scale = _inverse_sqrt(np.asarray(adjacency.sum(axis=0)).ravel())
    data = adjacency.data * np.repeat(row_scale, np.diff(adjacency.indptr))
    data *= column_scale[adjacency.indices]
    return sp.csr_array((data, adjacency.indices, adjacency.indptr), shape=adjacency.shape)


def interaction_graph(interactions: sp.csr_array) -> sp.csr_array:
    r"""Build the normalised user-item graph (MDE, Eq. 2-3).

    .. math:: \hat A = D^{-1/2} \begin{pmatrix} 0 & R \\ R^T & 0 \end{pmatrix} D^{-1/2}

    Parameters
    ----------
    interactions : sparse array of shape (n_users, n_items)
        :math:`R`, one where a user met an item.

    Returns
    -------
    csr_array of shape (n_users + n_items, n_users + n_items), float32
        Users come first, then items.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from recsk.graphs import interaction_graph
    >>> interaction_graph(sp.csr_array([[1.0, 1.0], [0.0, 1.0]])).toarray().round(2)
    array([[0.  , 0.  , 0.71, 0.5 ],
           [0.  , 0.  , 0.  , 0.71],
           [0.71, 0.  , 0.  , 0.  ],
           [0.5 , 0.71, 0.  , 0.  ]], dtype=float32)
    """
    scaled = normalize_symmetric(interactions)
    return sp.csr_array(sp.block_array([[None, scaled], [scaled.T, None]], format="csr"))


def neighbor_graph(
    features: np.ndarray,
    n_neighbors: int,
    *,
    present: np.ndarray | None = None,
) -> sp.csr_array:
    r"""Link every item to its nearest items by cosine similarity (MDE, Eq. 4).

    The search is exact, in blocks of bounded memory.

    Parameters
    ----------
    features : ndarray of shape (n_items, n_columns)
        :math:`F_m`.
    n_neighbors : int
        Links per item. An item is never its own neighbour; links of negative similarity are
        dropped.
    present : ndarray of bool of shape (n_items,), default=None
        Items that have this modality. The others get no link and are nobody's neighbour.

    Returns
    -------
    csr_array of shape (n_items, n_items), float32
        Symmetrically normalised similarities. Not symmetric itself: that a is near b does not
        make b near a.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.graphs import neighbor_graph
    >>> features = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    >>> neighbor_graph(features, n_neighbors=1).toarray().round(2)
    array([[0.  , 0.95, 0.  ],
           [1.  , 0.  , 0.  ],
           [0.  , 0.3 , 0.  ]], dtype=float32)
    """
    return normalize_symmetric(sp.csr_array(nearest_by_content(features, present, n_neighbors)))


def relation_graph(
    interactions: sp.csr_array,
    features: np.ndarray | None,
    n_neighbors: int,
    *,
    relation: Literal["blend", "sum", "product", "semantic", "behavior"] = "sum",
    behavior_share: float = 0.25,
    present: np.ndarray | None = None,
    max_length: int | None = 1000,
    block_size: int = 1024,
    behavior: sp.csr_array | None = None,
) -> sp.csr_array:
    r"""Link every item to the items it is related to, by behaviour and by content (MDSRec, MRGC).

    .. math:: A_m = \frac{D^{-1/2} C D^{-1/2}}{\max D^{-1/2} C D^{-1/2}} + S_m

    with :math:`C` the number of people who met both items and :math:`S_m` the cosine similarity
    of their features. The largest entries of each row stay, every item is linked to itself with
    weight one, and the result is normalised symmetrically. The search is exact, in blocks.

    Parameters
    ----------
    interactions : csr_array of shape (n_users, n_items)
        One where a user met an item.
    features : ndarray of shape (n_items, n_columns) or None
        :math:`F_m`; None for ``relation="behavior"`` only.
    n_neighbors : int
        Links per item beside the one to itself. Affinities that are not above zero are dropped.
    relation : {"blend", "sum", "product", "semantic", "behavior"}, default="sum"
        What is joined how: :math:`C + S`, :math:`C S`, :math:`S` alone or :math:`C` alone.
        "blend" is a weighted mean of the graphs of the last two, with as many links from each:
        where all items look much alike, or few people met any two, neither drowns the other.
    behavior_share : float, default=0.25
        Weight from 0 to 1 of the graph of behaviour in the blend; the rest is that of content.
    present : ndarray of bool of shape (n_items,), default=None
        Items that have this modality; the others have a similarity of zero with every item.
    max_length : int or None, default=1000
        People with more items than this are not counted in :math:`C`: they say little about
        which items belong together, and n items cost n^2 operations. None counts all.
    block_size : int, default=1024
        Items whose co-occurrence with all others is held at once: ``block_size * n_items`` floats,
        or fewer where few people met any two.
    behavior : csr_array of shape (n_items, n_items), default=None
        What this function gives for ``relation="behavior"``, for the blend, where it is at hand:
        it is the same for all modalities. None finds it.

    Returns
    -------
    csr_array of shape (n_items, n_items), float32
        Not symmetric: that a is near b does not make b near a.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from recsk.graphs import relation_graph
    >>> interactions = sp.csr_array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> relation_graph(interactions, None, 2, relation="behavior").toarray().round(2)
    array([[0.5 , 0.41, 0.  ],
           [0.41, 0.33, 0.41],
           [0.  , 0.41, 0.5 ]], dtype=float32)
    """
    if relation == "blend":
        rest: dict[str, Any] = {"max_length": max_length, "block_size": block_size}
        if behavior is None:
            behavior = relation_graph(interactions, None, n_neighbors, relation="behavior", **rest)
        semantic = relation_graph(
            interactions, features, n_neighbors, relation="semantic", present=present, **rest
        )
        blend = behavior_share * behavior + (1 - behavior_share) * semantic
        return sp.csr_array(blend, dtype=np.float32)
    n_items = interactions.shape[1]
    if relation == "semantic":
        assert features is not None
        links = nearest_by_content(features, present, n_neighbors)
    elif relation == "behavior":
        links = _most_together(interactions, n_neighbors, max_length, block_size)
    else:
        assert features is not None
        found, members = unit_features(features, present)
        unit = np.zeros((n_items, found.shape[1]), dtype=np.float32)
        unit[members] = found
        together = _items_together(interactions, max_length, block_size)

        def affinity(rows: np.ndarray) -> np.ndarray:
            behavior, semantic = together(rows).toarray(), unit[rows] @ unit.T
            return behavior * semantic if relation == "product" else behavior + semantic

        links = nearest_links(affinity, n_items, n_neighbors, block_size=block_size)
    own = sp.eye_array(n_items, dtype=np.float32, format="csr")
    return normalize_symmetric(sp.csr_array(links) + own)


def keep_own(graph: sp.csr_array, count: np.ndarray, strength: float) -> sp.csr_array:
    r"""Let an item rely the less on its relations the more people met it.

    .. math:: A' = \Lambda + (I - \Lambda) A, \quad \lambda_i = \frac{n_i}{n_i + s}

    Parameters
    ----------
    graph : csr_array of shape (n_items, n_items)
        :math:`A`, such as a relation graph.
    count : ndarray of shape (n_items,)
        :math:`n`, how many people met each item.
    strength : float
        :math:`s`, as how many people the relations of an item count.

    Returns
    -------
    csr_array of shape (n_items, n_items), float32
        Items that nobody met have their relations alone.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from recsk.graphs import keep_own
    >>> swap = sp.csr_array([[0.0, 1.0], [1.0, 0.0]])
    >>> keep_own(swap, np.array([0, 30]), strength=10).toarray()
    array([[0.  , 1.  ],
           [0.25, 0.75]], dtype=float32)
    """
    share = count / (count + strength)
    mixed = sp.diags_array(share) + sp.diags_array(1 - share) @ graph
    return sp.csr_array(mixed, dtype=np.float32)


def nearby_graph(indptr: np.ndarray, items: np.ndarray, n_items: int, window: int) -> sp.csr_array:
    r"""Link items that people met one soon after the other.

    .. math:: N = D^{-1/2} C D^{-1/2}

    with :math:`C` the number of times that two items are at most `window` places apart in a
    history. An item's own repeats do not count.

    Parameters
    ----------
    indptr : ndarray of shape (n_users + 1,)
    items : ndarray of shape (n_interactions,)
        History u is ``items[indptr[u]:indptr[u + 1]]``, oldest first.
    n_items : int
    window : int

    Returns
    -------
    csr_array of shape (n_items, n_items), float32
        Symmetric. An interaction adds at most ``2 * window`` entries, however long its history is.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.graphs import nearby_graph
    >>> nearby_graph(np.array([0, 3]), np.array([0, 1, 2]), 3, window=1).toarray().round(2)
    array([[0.  , 0.71, 0.  ],
           [0.71, 0.  , 0.71],
           [0.  , 0.71, 0.  ]], dtype=float32)
    """
    items = items.astype(np.int32)  # or all indices of the graph are twice as wide
    user = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    counts = sp.csr_array((n_items, n_items), dtype=np.float32)
    for apart in range(1, min(window, int(np.diff(indptr).max(initial=0)) - 1) + 1):
        earlier, later = items[:-apart], items[apart:]
        pair = (user[apart:] == user[:-apart]) & (earlier != later)
        one = np.ones(pair.sum(), dtype=np.float32)
        shape = (n_items, n_items)
        counts += sp.csr_array((one, (earlier[pair], later[pair])), shape=shape)
    return normalize_symmetric(sp.csr_array(counts + counts.T))


def _items_together(
    interactions: sp.csr_array, max_length: int | None, block_size: int
) -> Callable[[np.ndarray], sp.csr_array]:
    """Co-occurrence of items, symmetrically normalised and scaled to [0, 1], by blocks of rows.

    All rows at once would be as large as items x items where histories are long.
    """
    met = sp.csr_array(interactions, dtype=np.float32)
    if max_length is not None:
        met = met[np.flatnonzero(np.diff(met.indptr) <= max_length)]
    people = sp.csr_array(met.T)
    # Everybody who met an item met so many others.
    scale = _inverse_sqrt(people @ (np.diff(met.indptr) - 1).astype(np.float64))

    def normalized(rows: np.ndarray) -> sp.csr_array:
        counts = sp.csr_array(people[rows] @ met)
        item = np.repeat(rows, np.diff(counts.indptr))
        counts.data *= scale[item] * scale[counts.indices] * (item != counts.indices)
        return counts

    blocks = np.split(np.arange(met.shape[1]), np.arange(block_size, met.shape[1], block_size))
    peak = max(normalized(rows).data.max(initial=0) for rows in blocks)
    return lambda rows: normalized(rows) / (peak or 1)


def _most_together(
    interactions: sp.csr_array, n_neighbors: int, max_length: int | None, block_size: int
) -> sp.csr_array:
    """The other items that people met most often together with each one."""
    n_items = interactions.shape[1]
    together = _items_together(interactions, max_length, block_size)
    length = np.diff(interactions.indptr).astype(np.float64)
    if max_length is not None:
        length = length[length <= max_length]
    if (length**2).sum() >= _DENSE * n_items**2:  # sorting what is not zero would take longer
        return sp.csr_array(
            nearest_links(
                lambda rows: together(rows).toarray(), n_items, n_neighbors, block_size=block_size
            )
        )
    starts = range(0, n_items, block_size)
    parts = [np.arange(i, min(i + block_size, n_items)) for i in starts]
    found = [largest_of_rows(together(rows), n_neighbors, own_column=rows[0]) for rows in parts]
    return sp.csr_array(sp.vstack(found, format="csr", dtype=np.float32))


def cooccurrence_graph(
    interactions: sp.csr_array,
    n_neighbors: int,
    *,
    others: sp.csr_array | None = None,
    max_degree: int | None = 1000,
    block_size: int = 4096,
) -> sp.csr_array:
    r"""Link every user to the users with the most items in common (MDE, Eq. 4).

    Parameters
    ----------
    interactions : csr_array of shape (n_users, n_items)
        One where a user met an item.
    n_neighbors : int
        Links per user: those with the highest counts, the lower id first among equals.
    others : csr_array of shape (n_others, n_items), default=None
        Users to be linked to. By default the same users, and then nobody is their own neighbour.
    max_degree : int or None, default=1000
        Items that more users than this have met are not counted: they say little about who is
        alike, and an item of degree :math:`g` costs :math:`g^2` operations. None counts all.
    block_size : int, default=4096
        Users whose counts are held at once, as a sparse block.

    Returns
    -------
    csr_array of shape (n_users, n_others), float32
        Rows sum to one (softmax of the counts of the neighbours kept) or are empty.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from recsk.graphs import cooccurrence_graph
    >>> interactions = sp.csr_array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> cooccurrence_graph(interactions, n_neighbors=1).toarray()
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    counts = largest_products(
        sp.csr_array(interactions, dtype=np.float32),
        None if others is None else sp.csr_array(others, dtype=np.float32),
        n_neighbors,
        max_degree=max_degree,
        block_size=block_size,
    )
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    if len(rows):
        # Less the largest of its row, so that the exponential stays in range.
        starts = counts.indptr[:-1][np.diff(counts.indptr) > 0]
        peaks = np.maximum.reduceat(counts.data, starts)
        counts.data -= np.repeat(peaks, np.diff(np.append(starts, counts.nnz)))
        counts.data = np.exp(counts.data)
        counts.data /= np.bincount(rows, weights=counts.data)[rows].astype(np.float32)
    return counts


def nearest_histories(
    histories: sp.csr_array,
    others: sp.csr_array,
    n_neighbors: int,
    *,
    max_degree: int | None = 1000,
    block_size: int = 4096,
) -> sp.csr_array:
    """Link histories to the most similar of others by the cosine of what was met.

    Parameters
    ----------
    histories : csr_array of shape (n, n_items)
        One where an item was met.
    others : csr_array of shape (n_others, n_items)
        The same of the users to be linked to.
    n_neighbors, max_degree, block_size : int
        As in `cooccurrence_graph`.

    Returns
    -------
    csr_array of shape (n, n_others), float32
        Cosines in (0, 1].

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from recsk.graphs import nearest_histories
    >>> others = sp.csr_array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> nearest_histories(sp.csr_array([[1.0, 1.0, 0.0]]), others, n_neighbors=2).toarray().round(2)
    array([[1. , 0.5]], dtype=float32)
    """
    return largest_products(
        scale_rows(histories),
        scale_rows(others),
        n_neighbors,
        max_degree=max_degree,
        block_size=block_size,
    )


def _inverse_sqrt(degree: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.where(degree > 0, degree**-0.5, 0.0).astype(np.float32)
