"""The best items by inner product: exact, with exclusions, in blocks of bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from implicit.cpu.topk import topk as _implicit_topk
from scipy import sparse
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from recsk._checks import (
    at_least_one,
    finite_vectors,
    float_vectors,
    ids_below,
    nonzeros,
    thread_count,
)

__all__ = ["similar", "top_k", "top_k_with_met", "unit_rows"]

Ranking = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]

# implicit scores at most this many rows at once; fewer when the catalogue is so large that
# their scores would take more than the bytes below.
_ENGINE_ROWS = 100
_BLOCK_BYTES = 2**27
_MERGED_ROWS = 2**13  # whose lists are merged at once
_PAIRS = 2**14  # scored at once where users and items come in pairs
_MASKED = -np.finfo(np.float32).max  # what implicit writes over an excluded score


def top_k(
    user_vectors: npt.ArrayLike,
    item_vectors: npt.ArrayLike,
    k: int,
    *,
    exclude: Any = None,
    items: npt.ArrayLike | None = None,
    filter_items: npt.ArrayLike | None = None,
    n_threads: int = 0,
    block_size: int | None = None,
    check_finite: bool = True,
) -> Ranking:
    """Rank the items of largest inner product with each user.

    Parameters
    ----------
    user_vectors : array-like of shape (n, d)
        One query per row; finite.
    item_vectors : array-like of shape (n_items, d)
        The catalogue; finite.
    k : int
        Length of the lists, 1 or more. It may exceed the number of items.
    exclude : sparse matrix or array of shape (n, n_items), default=None
        Items that row ``i`` must not get: the nonzeros of its row ``i``.
    items : array-like of int, default=None
        Only these items compete, for every row. Order and repeats do not matter.
    filter_items : array-like of int, default=None
        Items that nobody gets; stronger than `items`.
    n_threads : int, default=0
        Threads that rank blocks of users, no more than the machine has cores; 0 is as many as
        OpenMP allows.
    block_size : int, default=None
        Users scored at once by one thread, 100 at most: that many times n_items floats are
        the extra memory. ``None``: as many as keep within 128 MiB.
    check_finite : bool, default=True
        Whether to look through the vectors for values that are not finite. False saves that
        where they are known to be: scores and lists are nonsense if they are not.

    Returns
    -------
    ids : ndarray of shape (n, k), int64
        Best first. Items of one score are ordered by id. Where fewer than `k` items are
        allowed the row ends in -1.
    scores : ndarray of shape (n, k), float32
        Their inner products; -inf where the id is -1. They are rounded as the blocks of the
        matrix product are, so that items with one and the same vector, or one user in two
        batches, may have scores that differ in the last digit.

    Raises
    ------
    ValueError
        If shapes do not match, a vector is not finite, `k` or `block_size` is below 1, or
        `n_threads` below 0.
    TypeError
        If `k`, `n_threads` or an item id is no integer.
    IndexError
        If an id in `items` or `filter_items` is not in the catalogue.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.ranking import top_k
    >>> ids, scores = top_k([[1.0, 0.0]], np.eye(2), k=3)
    >>> ids
    array([[ 0,  1, -1]])
    >>> scores
    array([[  1.,   0., -inf]], dtype=float32)
    """
    read = finite_vectors if check_finite else float_vectors
    users, catalogue = read(user_vectors, "user_vectors"), read(item_vectors, "item_vectors")
    n_items = len(catalogue)
    n_threads = thread_count(n_threads)
    if users.shape[1] != catalogue.shape[1]:
        raise ValueError(
            f"user_vectors and item_vectors must have one width; got {users.shape[1]} and "
            f"{catalogue.shape[1]}"
        )
    k = at_least_one(k, "k")
    if block_size is not None:
        block_size = at_least_one(block_size, "block_size")
    seen = _Seen.from_sparse(exclude, (len(users), n_items))
    banned = None if filter_items is None else ids_below(filter_items, "filter_items", n_items)
    candidates = None
    if items is not None:
        candidates = np.unique(ids_below(items, "items", n_items))
        if banned is not None:
            candidates, banned = np.setdiff1d(candidates, banned), None
        catalogue = catalogue[candidates]
        if seen is not None:
            seen = seen.among(candidates, n_items)
    if not catalogue.shape[1]:  # all scores are 0, but BLAS takes no vectors of width 0
        users, catalogue = (np.zeros((len(x), 1), np.float32) for x in (users, catalogue))

    ids = np.full((len(users), k), -1, dtype=np.int64)
    scores = np.full((len(users), k), -np.inf, dtype=np.float32)
    if not len(catalogue):
        return ids, scores
    with _ONE_BLAS_THREAD if len(users) > _ENGINE_ROWS else nullcontext():
        for rows in _blocks(len(users), len(catalogue), block_size):
            block_seen = None if seen is None else seen[rows]
            best = _rank(users[rows], catalogue, k, block_seen, banned, n_threads)
            width = best[0].shape[1]
            ids[rows, :width], scores[rows, :width] = best
    if candidates is not None:
        ids = np.where(ids < 0, -1, candidates[ids])
    return ids, scores


def top_k_with_met(
    user_vectors: npt.ArrayLike,
    item_vectors: npt.ArrayLike,
    k: int,
    *,
    met: Any,
    met_width: int,
    items: npt.ArrayLike | None = None,
    filter_items: npt.ArrayLike | None = None,
    check_finite: bool = True,
) -> Ranking:
    """Rank all items, those that a user has met by a part of the vectors alone.

    Parameters
    ----------
    user_vectors : array-like of shape (n, d)
        One query per row; finite.
    item_vectors : array-like of shape (n_items, d)
        The catalogue; finite.
    k : int
        Length of the lists, 1 or more.
    met : sparse matrix or array of shape (n, n_items)
        Its nonzeros are what row ``i`` has met.
    met_width : int
        The score of an item met is the inner product of so many columns, the first ones.
    items, filter_items : array-like of int, default=None
    check_finite : bool, default=True
        As in :func:`top_k`.

    Returns
    -------
    ids, scores : ndarray of shape (n, k), int64 and float32
        As in :func:`top_k`.

    Raises
    ------
    IndexError, TypeError, ValueError
        As :func:`top_k`; also where `met` is None, or `met_width` no integer or below 0.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.ranking import top_k_with_met
    >>> items = [[1.0, 9.0], [2.0, 0.0]]
    >>> top_k_with_met([[1.0, 1.0]], items, 2, met=csr_array([[1, 0]]), met_width=1)[0]
    array([[1, 0]])
    """
    read = finite_vectors if check_finite else float_vectors
    users, catalogue = read(user_vectors, "user_vectors"), read(item_vectors, "item_vectors")
    if not isinstance(met_width, Integral) or isinstance(met_width, bool):
        raise TypeError(f"met_width must be an int; got {met_width!r}")
    pairs = nonzeros(met, (len(users), len(catalogue)), "met")
    if pairs is None or met_width < 0:
        raise ValueError(
            f"met and met_width must be a sparse matrix and 0 or more; got {met} and {met_width}"
        )
    restriction: dict[str, Any] = {"items": items, "filter_items": filter_items}
    restriction["check_finite"] = False  # they were looked through, if at all
    if met_width >= users.shape[1]:
        return top_k(users, catalogue, k, **restriction)
    if not pairs.has_canonical_format:
        pairs = pairs.copy()
        pairs.sum_duplicates()
    ids, scores = top_k(users, catalogue, k, exclude=pairs, **restriction)
    allowed = np.full(len(catalogue), items is None)
    if items is not None:
        allowed[ids_below(items, "items", len(catalogue))] = True
    if filter_items is not None:
        allowed[ids_below(filter_items, "filter_items", len(catalogue))] = False
    known_part = np.ascontiguousarray(catalogue[:, :met_width])
    for start in range(0, len(users), _MERGED_ROWS):
        rows = slice(start, start + _MERGED_ROWS)
        block = pairs[rows]
        kept = allowed[block.indices]
        user = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))[kept]
        item = block.indices[kept].astype(np.int64)
        score = _products(users[rows, :met_width], known_part, user, item)
        _merge(ids[rows], scores[rows], user, item, score)
    return ids, scores


def _products(
    users: npt.NDArray[np.float32],
    items: npt.NDArray[np.float32],
    user: npt.NDArray[np.int64],
    item: npt.NDArray[np.int64],
) -> npt.NDArray[np.float32]:
    """Inner products of pairs."""
    score = np.empty(len(item), dtype=np.float32)
    for start in range(0, len(item), _PAIRS):
        part = slice(start, start + _PAIRS)
        score[part] = np.einsum("ij,ij->i", users[user[part]], items[item[part]])
    return score


def _merge(
    ids: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    user: npt.NDArray[np.int64],
    item: npt.NDArray[np.int64],
    score: npt.NDArray[np.float32],
) -> None:
    """Put further items and their scores in their place in lists, which stay as long."""
    n, k = ids.shape
    owner = np.concatenate([np.repeat(np.arange(n), k), user])
    every = np.concatenate([ids.ravel(), item])
    value = np.concatenate([scores.ravel(), score])
    order = np.lexsort((every, -value, owner))
    # Every user has k of them at least, with the padding.
    best = order[np.searchsorted(owner[order], np.arange(n))[:, None] + np.arange(k)]
    ids[:], scores[:] = every[best], value[best]


def similar(
    vectors: npt.ArrayLike, query_ids: npt.ArrayLike, k: int, *, n_threads: int = 0
) -> Ranking:
    """Find the nearest rows by cosine.

    Parameters
    ----------
    vectors : array-like of shape (n, d)
        Finite. A row of zeros has cosine 0 with everything.
    query_ids : array-like of int, shape (m,)
        Rows whose neighbours are wanted.
    k : int
        Number of neighbours, 1 or more.
    n_threads : int, default=0
        As in :func:`top_k`.

    Returns
    -------
    ids : ndarray of shape (m, k), int64
        Nearest first, the row itself left out; ends in -1 if there are not `k` others.
    scores : ndarray of shape (m, k), float32
        The cosines; -inf where the id is -1.

    Raises
    ------
    ValueError
        If `k` is below 1, or `vectors` has not two axes or is not finite.
    IndexError
        If an id in `query_ids` is out of range.

    Examples
    --------
    >>> from recsk.ranking import similar
    >>> ids, cosines = similar([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], [0], k=1)
    >>> ids, cosines
    (array([[1]]), array([[1.]], dtype=float32))
    """
    array = finite_vectors(vectors, "vectors")
    queries = ids_below(query_ids, "query_ids", len(array))
    unit = unit_rows(array)
    itself = sparse.csr_array(
        (np.ones(len(queries), "f4"), queries, np.arange(len(queries) + 1)),
        shape=(len(queries), len(array)),
    )
    return top_k(unit[queries], unit, k, exclude=itself, n_threads=n_threads, check_finite=False)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Bring every row of an array to length one; rows of zeros stay."""
    # To a largest entry of one first: the squares of very large or small values leave float32.
    peak = np.abs(rows).max(axis=1, keepdims=True)
    rows = rows / np.where(peak > 0, peak, np.float32(1))
    return rows / np.where(peak > 0, np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1))


class _Row(NamedTuple):
    indices: npt.NDArray[Any]


class _Seen:
    """Rows of a CSR matrix for implicit, which asks for ``matrix[row].indices`` one by one.

    scipy builds a whole matrix for each such question: slower than the ranking itself.
    """

    def __init__(self, indices: npt.NDArray[Any], indptr: npt.NDArray[Any]) -> None:
        self.indices, self.indptr = indices, indptr

    @classmethod
    def from_sparse(cls, exclude: Any, shape: tuple[int, int]) -> _Seen | None:
        found = nonzeros(exclude, shape)
        return None if found is None else cls(found.indices, found.indptr)

    def among(self, candidates: npt.NDArray[np.int64], n_items: int) -> _Seen:
        """Return the same in positions among the sorted `candidates`."""
        position = np.full(n_items, -1, dtype=np.int64)
        position[candidates] = np.arange(len(candidates))
        indices = position[self.indices]
        kept = np.concatenate([[0], np.cumsum(indices >= 0)])
        return _Seen(indices[indices >= 0], kept[self.indptr])

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return _Seen(self.indices, self.indptr[row.start : row.stop + 1])
        return _Row(self.indices[self.indptr[row] : self.indptr[row + 1]])


def _rank(
    users: npt.NDArray[np.float32],
    catalogue: npt.NDArray[np.float32],
    k: int,
    seen: _Seen | None,
    banned: npt.NDArray[np.int64] | None,
    n_threads: int,
) -> Ranking:
    """Rank one block; lists may be shorter than `k`, for implicit fills up with item 0."""
    # One more than asked for shows whether equal scores straddle the end of the list.
    width = min(k + 1, len(catalogue))
    found, scores = _implicit_topk(
        catalogue,
        users,
        width,
        filter_query_items=seen,
        filter_items=banned,
        num_threads=n_threads,
    )
    ids = found.astype(np.int64)
    masked = scores <= _MASKED
    ids[masked], scores[masked] = -1, -np.inf
    # implicit leaves to its heap how equal scores are ordered and which of them get in.
    tied = (scores[:, 1:] == scores[:, :-1]) & ~masked[:, 1:]
    for row in np.flatnonzero(tied.any(axis=1)):
        n = int(width - masked[row].sum())
        if width > k and tied[row, -1]:
            every = catalogue @ users[row]
            if seen is not None:
                every[seen[row].indices] = -np.inf
            if banned is not None:
                every[banned] = -np.inf
            among = np.flatnonzero(every >= np.partition(every, -n)[-n])
            ids[row] = among[np.argsort(-every[among], kind="stable")[:n]]
            scores[row] = every[ids[row]]
        else:
            order = np.lexsort((ids[row, :n], -scores[row, :n]))
            ids[row, :n] = ids[row, order]
    return ids[:, :k], scores[:, :k]


class _OneBlasThread:
    """Limit BLAS to one thread for as long as anybody, in any thread, is inside.

    The blocks of many users already run in parallel; threads of BLAS inside each of them only
    contend: measured on two cores, 10,000 users and 20,000 items take three times as long. The
    limit is the process's: of two calls that overlap, the last one out has to lift it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._limit = ThreadpoolController().limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._limit.restore_original_limits()


_ONE_BLAS_THREAD = _OneBlasThread()


def _blocks(n: int, n_items: int, block_size: int | None) -> Iterator[slice]:
    rows = _BLOCK_BYTES // (4 * n_items) if block_size is None else block_size
    # From here on implicit makes the blocks, and shares them among threads; the outer step
    # then only bounds its 32-bit copy of the answer.
    step = 2**16 if rows >= _ENGINE_ROWS else max(rows, 1)
    return (slice(start, min(start + step, n)) for start in range(0, n, step))
