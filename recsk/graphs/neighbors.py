"""Nearest neighbours and the largest entries of each row, computed block by block.

No dense users x users or items x items array is ever in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import scipy.sparse as sp

from recsk.ranking.exact import similar
from recsk.ranking.vectors import unit_rows

__all__ = [
    "cosine_neighbors",
    "normalize_rows",
    "top_k_by_blocks",
    "top_k_of_transposed",
    "top_k_per_row",
    "top_k_products",
    "transpose_rare",
    "unit_features",
]

# Products held at once. Finding the largest takes about 50 bytes for each of them.
_MAX_PRODUCTS = 4_000_000
_FEW_SORTED = 1.3  # times the largest entries wanted: so few are sorted without a selection before
_SHORT = 64  # entries of a row: so few are sorted faster than selected from
_ROWS_PER_SORT = 256  # with 8 bits for a row and 32 for a value, 24 are left for a place


def cosine_neighbors(
    features: np.ndarray, present: np.ndarray | None, n_neighbors: int
) -> sp.coo_array:
    """Find the most similar items of each item by cosine; only positive cosines are kept."""
    shape = (len(features), len(features))
    unit, members = unit_features(features, present)
    if not len(members) or n_neighbors < 1:
        return sp.coo_array(shape, dtype=np.float32)
    nearest, cosine = similar(unit, np.arange(len(members)), min(n_neighbors, len(members)))
    row, rank = np.nonzero(cosine > 0)
    columns = members[nearest[row, rank]]
    return sp.coo_array((cosine[row, rank], (members[row], columns)), shape=shape)


def top_k_by_blocks(
    affinity: Callable[[np.ndarray], np.ndarray], n: int, n_neighbors: int, *, block_size: int
) -> sp.coo_array:
    """Find the largest positive entries of each row of an n x n affinity matrix.

    `affinity` takes row indices and returns these rows as a new dense array, which is then
    changed in place. The diagonal is ignored.
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


def top_k_products(
    left: sp.csr_array,
    right: sp.csr_array | None,
    n_neighbors: int,
    *,
    max_degree: int | None,
    block_size: int,
    ignore_diagonal: bool = False,
    itself: np.ndarray | None = None,
) -> sp.csr_array:
    """Keep the largest entries of every row of ``left @ right.T``.

    If `right` is None, it is `left` itself and the diagonal is ignored, as it is with
    `ignore_diagonal`; `itself` has the column of each row that is ignored. Ties go to the lower
    column. Columns of `right` with more than `max_degree` entries are ignored; None keeps all. A
    block has `block_size` rows, or fewer if the products of so many rows do not fit in memory.
    """
    transposed = transpose_rare(left if right is None else right, max_degree)
    ignore_diagonal = right is None or ignore_diagonal
    return top_k_of_transposed(left, transposed, n_neighbors, block_size, ignore_diagonal, itself)


def transpose_rare(matrix: sp.csr_array, max_degree: int | None) -> sp.csr_array:
    """Return the transpose, without the columns of more than `max_degree` entries."""
    if max_degree is not None:
        degree = np.bincount(matrix.indices, minlength=matrix.shape[1])
        if (degree > max_degree).any():
            keep = sp.diags_array((degree <= max_degree).astype(np.float32))
            matrix = sp.csr_array(matrix @ keep)
            matrix.eliminate_zeros()
    return sp.csr_array(matrix.T)


def top_k_of_transposed(
    left: sp.csr_array,
    transposed: sp.csr_array,
    n_neighbors: int,
    block_size: int,
    ignore_diagonal: bool = False,
    itself: np.ndarray | None = None,
) -> sp.csr_array:
    """Keep the largest entries of every row of ``left @ transposed``, as `top_k_products`."""
    blocks = []
    for rows in _split_rows(_max_products_per_row(left, transposed), block_size):
        block = sp.csr_array(left[rows] @ transposed)
        offset: int | np.ndarray | None = None if itself is None else itself[rows]
        if ignore_diagonal:
            offset = rows.start
        blocks.append(top_k_per_row(block, n_neighbors, diagonal_offset=offset))
    if not blocks:
        return sp.csr_array((left.shape[0], transposed.shape[1]), dtype=np.float32)
    return sp.csr_array(sp.vstack(blocks, format="csr", dtype=np.float32))


def _max_products_per_row(left: sp.csr_array, right: sp.csr_array) -> np.ndarray:
    """Bound the number of entries in each row of ``left @ right`` from above."""
    row_sizes = np.diff(right.indptr)[left.indices]
    total = np.concatenate([[0], np.cumsum(row_sizes, dtype=np.int64)])
    return np.minimum(np.diff(total[left.indptr]), right.shape[1])


def _split_rows(sizes: np.ndarray, block_size: int) -> Iterator[slice]:
    """Split rows into blocks of at most `_MAX_PRODUCTS` products; a single row may have more."""
    total = np.concatenate([[0], np.cumsum(sizes)])
    start = 0
    while start < len(sizes):
        fitting = int(np.searchsorted(total, total[start] + _MAX_PRODUCTS, side="right")) - 1
        stop = min(max(fitting, start + 1), start + block_size)
        yield slice(start, min(stop, len(sizes)))
        start = stop


def top_k_per_row(
    matrix: sp.csr_array, n_largest: int, *, diagonal_offset: int | np.ndarray | None
) -> sp.csr_array:
    """Keep the largest entries of every row; ties go to the lower column.

    The entry of row i in column ``diagonal_offset + i`` is ignored, or in column
    ``diagonal_offset[i]``. None ignores no entry. Entries are compared in float32.
    """
    n_largest = int(n_largest)  # a small integer of NumPy would overflow below
    matrix = sp.csr_array(matrix)
    if not matrix.has_sorted_indices:
        # Transposed twice, the columns of many entries are in order in less time than sorted.
        many = matrix.nnz > matrix.shape[1]
        matrix = sp.csr_array(matrix.tocsc().tocsr()) if many else matrix.sorted_indices()
    sizes = np.diff(matrix.indptr)
    itself = None
    if diagonal_offset is not None:
        of_row = np.arange(len(sizes)) if np.ndim(diagonal_offset) == 0 else 0
        itself = np.asarray(of_row + diagonal_offset)
    kept, n_kept = [], np.zeros(len(sizes), dtype=np.int64)
    for rows in _split_rows(sizes, _ROWS_PER_SORT):
        start, stop = matrix.indptr[rows.start], matrix.indptr[rows.stop]
        row = np.repeat(np.arange(rows.stop - rows.start), sizes[rows])
        place = np.arange(start, stop)
        if itself is not None:
            other = matrix.indices[start:stop] != itself[rows][row]
            row, place = row[other], place[other]
        n_entries = np.bincount(row, minlength=rows.stop - rows.start)
        if len(row) > max(_FEW_SORTED * n_largest, _SHORT) * len(n_entries):
            some = _may_be_largest(matrix.data[place], n_entries, n_largest)
            row, place = row[some], place[some]
            n_entries = np.bincount(row, minlength=len(n_entries))
        kept.append(place[_are_largest(row, matrix.data[place], n_entries, n_largest)])
        n_kept[rows] = np.minimum(n_entries, n_largest)
    chosen = np.concatenate([np.empty(0, dtype=np.int64), *kept])
    indptr = np.concatenate([[0], np.cumsum(n_kept)])
    indptr = indptr.astype(matrix.indptr.dtype)
    return sp.csr_array((matrix.data[chosen], matrix.indices[chosen], indptr), shape=matrix.shape)


def _are_largest(
    row: np.ndarray, values: np.ndarray, sizes: np.ndarray, n_largest: int
) -> np.ndarray:
    """Return which entries are the largest of their row; of equal ones, the first."""
    largest = np.ones(len(row), dtype=bool)
    crowded = sizes > n_largest
    if not crowded.any():
        return largest
    among = np.flatnonzero(crowded[row])
    row, sizes = row[among], np.where(crowded, sizes, 0)
    first = np.cumsum(sizes) - sizes
    order = _order_by_row(row, values[among])
    largest[among[order[np.arange(len(row)) - first[row] >= n_largest]]] = False
    return largest


def _may_be_largest(values: np.ndarray, sizes: np.ndarray, n_largest: int) -> np.ndarray:
    """Return which entries are as large as the last of the largest ones of their row, or larger."""
    values = values.astype(np.float32, copy=False)
    kept = np.ones(len(values), dtype=bool)
    start = 0
    for size in sizes.tolist():
        if size > n_largest:
            own = values[start : start + size]
            kept[start : start + size] = own >= np.partition(own, -n_largest)[-n_largest]
        start += size
    return kept


def _order_by_row(row: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the places of entries by row and, within a row, from the largest to the smallest.

    Row, value and place share one integer, and sorting integers is what NumPy does fastest.
    """
    place_bits = max(int(len(row) - 1).bit_length(), 1)
    bits = (values.astype(np.float32) + np.float32(0)).view(np.uint32)  # no negative zeros
    negative = bits >> 31 == 1
    descending = np.where(negative, bits, ~bits & np.uint32(0x7FFFFFFF)).astype(np.uint64)
    keys = row.astype(np.uint64) << np.uint64(32)
    keys = (keys | descending) << np.uint64(place_bits)
    keys |= np.arange(len(row), dtype=np.uint64)
    keys.sort()
    return (keys & np.uint64(2**place_bits - 1)).astype(np.int64)


def unit_features(
    features: np.ndarray, present: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of items that have them, scaled to length one, and the item indices."""
    members = np.arange(len(features)) if present is None else np.flatnonzero(present)
    return unit_rows(np.asarray(features[members], dtype=np.float32)), members


def normalize_rows(histories: sp.csr_array | sp.csr_matrix) -> sp.csr_array:
    """Divide every row by the square root of its sum; empty rows stay empty.

    A row of ones gets the length one.
    """
    total = np.asarray(histories.sum(axis=1, dtype=np.float64)).ravel()
    scale = np.where(total > 0, total, 1) ** -0.5
    return sp.csr_array(sp.diags_array(scale.astype(np.float32)) @ histories)
