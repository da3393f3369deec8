"""Neighbour graphs from behaviour and from content, as sparse matrices.

Everything here is NumPy and SciPy: graphs are built once, before training, block by block, so
that no dense users x users or items x items array ever exists.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

__all__ = [
    "cooccurrence_graph",
    "interaction_graph",
    "neighbor_graph",
    "normalize_symmetric",
]


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
    """
    scaled = normalize_symmetric(interactions)
    return sp.csr_array(sp.block_array([[None, scaled], [scaled.T, None]], format="csr"))


def neighbor_graph(
    features: np.ndarray,
    n_neighbors: int,
    *,
    present: np.ndarray | None = None,
    block_size: int = 1024,
) -> sp.csr_array:
    r"""Link every item to its nearest items by cosine similarity (MDE, Eq. 4).

    The search is exact: similarities are computed for ``block_size`` items at a time.

    Parameters
    ----------
    features : ndarray of shape (n_items, n_columns)
        :math:`F_m`.
    n_neighbors : int
        Links per item. An item is never its own neighbour; links of negative similarity are
        dropped.
    present : ndarray of bool of shape (n_items,), default=None
        Items that have this modality. The others get no link and are nobody's neighbour.
    block_size : int, default=1024
        Items compared at a time; ``block_size * n_items`` floats are held at once.

    Returns
    -------
    csr_array of shape (n_items, n_items), float32
        Symmetrically normalised similarities. Not symmetric itself: that a is near b does not
        make b near a.
    """
    n_items = features.shape[0]
    members = np.arange(n_items) if present is None else np.flatnonzero(present)
    n_neighbors = min(n_neighbors, len(members) - 1)
    if n_neighbors < 1:
        return sp.csr_array((n_items, n_items), dtype=np.float32)
    unit = np.asarray(features[members], dtype=np.float32)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    columns = np.empty((len(members), n_neighbors), dtype=np.int64)
    weights = np.empty((len(members), n_neighbors), dtype=np.float32)
    for start in range(0, len(members), block_size):
        rows = np.arange(start, min(start + block_size, len(members)))
        similarity = unit[rows] @ unit.T
        similarity[rows - start, rows] = -np.inf
        nearest = np.argpartition(similarity, -n_neighbors, axis=1)[:, -n_neighbors:]
        columns[rows] = nearest
        weights[rows] = np.take_along_axis(similarity, nearest, axis=1)
    graph = sp.coo_array(
        (
            np.maximum(weights, 0).ravel(),
            (np.repeat(members, n_neighbors), members[columns.ravel()]),
        ),
        shape=(n_items, n_items),
    ).tocsr()
    graph.eliminate_zeros()
    graph.sort_indices()
    return normalize_symmetric(graph)


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
    """
    interactions = sp.csr_array(interactions, dtype=np.float32)
    itself = others is None
    target = interactions if others is None else sp.csr_array(others, dtype=np.float32)
    if max_degree is not None:
        degree = np.bincount(target.indices, minlength=target.shape[1])
        if (degree > max_degree).any():
            keep = sp.diags_array((degree <= max_degree).astype(np.float32))
            target = sp.csr_array(target @ keep)
            target.eliminate_zeros()
    transposed = sp.csr_array(target.T)
    blocks = [
        _softmax_of_largest(
            sp.csr_array(interactions[start : start + block_size] @ transposed),
            n_neighbors,
            first_row=start if itself else None,
        )
        for start in range(0, interactions.shape[0], block_size)
    ]
    return sp.csr_array(sp.vstack(blocks, format="csr", dtype=np.float32))


def _softmax_of_largest(
    counts: sp.csr_array, n_neighbors: int, *, first_row: int | None
) -> sp.csr_array:
    """Keep the largest counts of every row and turn them into weights that sum to one."""
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    columns, values = counts.indices.astype(np.int64), counts.data
    if first_row is not None:
        foreign = columns != rows + first_row
        rows, columns, values = rows[foreign], columns[foreign], values[foreign]
    order = np.lexsort((columns, -values, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    starts = np.searchsorted(rows, np.arange(counts.shape[0] + 1))
    keep = np.arange(len(rows)) - starts[rows] < n_neighbors
    # The first entry of a row is its largest: subtracting it keeps the exponential in range.
    peaks = values[starts[rows]]
    rows, columns, values = rows[keep], columns[keep], np.exp(values - peaks)[keep]
    totals = np.bincount(rows, weights=values, minlength=counts.shape[0])
    values = (values / totals[rows]).astype(np.float32)
    graph = sp.coo_array((values, (rows, columns)), shape=counts.shape).tocsr()
    graph.sort_indices()
    return graph


def _inverse_sqrt(degree: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.where(degree > 0, degree**-0.5, 0.0).astype(np.float32)
