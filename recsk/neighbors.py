"""Nearest and largest: what the graphs are made of, block by block.

No dense users x users or items x items array ever exists here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import scipy.sparse as sp

from recsk.ranking import similar, unit_rows

# Products held at once: some 50 bytes each while the largest are looked for.
_MOST_PRODUCTS = 4_000_000

__all__ = [
    "largest_of_rows",
    "largest_products",
    "nearest_by_content",
    "nearest_links",
    "scale_rows",
    "unit_features",
]


def nearest_by_content(
    features: np.ndarray, present: np.ndarray | None, n_neighbors: int
) -> sp.coo_array:
    """Cosines of each item with those that are most like it; none that is not above zero."""
    shape = (len(features), len(features))
    unit, members = unit_features(features, present)
    if not len(members) or n_neighbors < 1:
        return sp.coo_array(shape, dtype=np.float32)
    nearest, cosine = similar(unit, np.arange(len(members)), min(n_neighbors, len(members)))
    row, rank = np.nonzero(cosine > 0)
    columns = members[nearest[row, rank]]
    return sp.coo_array((cosine[row, rank], (members[row], columns)), shape=shape)


def nearest_links(
    affinity: Callable[[np.ndarray], np.ndarray], n: int, n_neighbors: int, *, block_size: int
) -> sp.coo_array:
    """Largest positive entries of each row of an n x n affinity, which is given by blocks of rows.

    The diagonal does not count.
    """
    n_neighbors = min(n_neighbors, n - 1)
    if n_neighbors < 1:
        return sp.coo_array((n, n), dtype=np.float32)
    columns = np.empty((n, n_neighbors), dtype=np.int64)
    weights = np.empty((n, n_neighbors), dtype=np.float32)
    for start in range(0, n, block_size):
        rows = np.arange(start, min(start + block_size, n))
        block = affinity(rows)
        block[rows - start, rows] = -np.inf
        nearest = np.argpartition(block, -n_neighbors, axis=1)[:, -n_neighbors:]
        columns[rows] = nearest
        weights[rows] = np.take_along_axis(block, nearest, axis=1)
    row, rank = np.nonzero(weights > 0)
    return sp.coo_array((weights[row, rank], (row, columns[row, rank])), shape=(n, n))


def largest_products(
    left: sp.csr_array,
    right: sp.csr_array | None,
    n_neighbors: int,
    *,
    max_degree: int | None,
    block_size: int,
) -> sp.csr_array:
    """Keep the largest entries of every row of ``left @ right.T``.

    Without `right` it is `left` itself, and the diagonal does not count. Among equals the lower
    column is kept. A block has `block_size` rows, or fewer where so many have too many products to
    be held at once.
    """
    target = left if right is None else right
    if max_degree is not None:
        degree = np.bincount(target.indices, minlength=target.shape[1])
        if (degree > max_degree).any():
            keep = sp.diags_array((degree <= max_degree).astype(np.float32))
            target = sp.csr_array(target @ keep)
            target.eliminate_zeros()
    transposed = sp.csr_array(target.T)
    blocks = []
    for rows in _blocks(_most_products(left, transposed), block_size):
        block = sp.csr_array(left[rows] @ transposed)
        own = rows.start if right is None else None
        blocks.append(largest_of_rows(block, n_neighbors, own_column=own))
    return sp.csr_array(sp.vstack(blocks, format="csr", dtype=np.float32))


def _most_products(left: sp.csr_array, right: sp.csr_array) -> np.ndarray:
    """How many entries each row of ``left @ right`` has at most."""
    met = np.concatenate([[0], np.cumsum(np.diff(right.indptr)[left.indices], dtype=np.int64)])
    return np.minimum(np.diff(met[left.indptr]), right.shape[1])


def _blocks(sizes: np.ndarray, block_size: int) -> Iterator[slice]:
    """Rows that go together: their sizes add up to `_MOST_PRODUCTS` at most, or it is one row."""
    total = np.concatenate([[0], np.cumsum(sizes)])
    start = 0
    while start < len(sizes):
        fitting = int(np.searchsorted(total, total[start] + _MOST_PRODUCTS, side="right")) - 1
        stop = min(max(fitting, start + 1), start + block_size)
        yield slice(start, min(stop, len(sizes)))
        start = stop


def largest_of_rows(
    matrix: sp.csr_array, n_largest: int, *, own_column: int | None
) -> sp.csr_array:
    """Keep the largest entries of every row, the lower column first among equals.

    The entry of row i in column ``own_column + i`` does not count; None counts all.
    """
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    columns, values = matrix.indices.astype(np.int64), matrix.data
    if own_column is not None:
        foreign = columns != rows + own_column
        rows, columns, values = rows[foreign], columns[foreign], values[foreign]
    order = np.lexsort((columns, -values, rows))
    starts = np.searchsorted(rows, np.arange(matrix.shape[0]))  # sorting leaves the rows in place
    order = order[np.arange(len(rows)) - starts[rows] < n_largest]
    largest = sp.coo_array((values[order], (rows[order], columns[order])), shape=matrix.shape)
    graph = sp.csr_array(largest)
    graph.sort_indices()
    return graph


def unit_features(
    features: np.ndarray, present: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Features of length one of the items that have them, and which these are."""
    members = np.arange(len(features)) if present is None else np.flatnonzero(present)
    return unit_rows(np.asarray(features[members], dtype=np.float32)), members


def scale_rows(histories: sp.csr_array | sp.csr_matrix) -> sp.csr_array:
    """Bring every row of a binary matrix to length one; empty ones stay."""
    count = np.maximum(np.diff(histories.indptr), 1)
    return sp.csr_array(sp.diags_array((count**-0.5).astype(np.float32)) @ histories)
