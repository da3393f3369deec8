"""The ranking engine: implicit's top-k on blocks of users, with ties in a fixed order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from implicit.cpu.topk import topk as _implicit_topk
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

__all__ = [
    "ENGINE_ROWS",
    "ONE_BLAS_THREAD",
    "ExcludedItems",
    "Ranking",
    "blocks_of_users",
    "rank_block",
]

# Item ids and scores, each of shape (n_users, k).
Ranking = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]

# implicit scores at most this many rows at once.
ENGINE_ROWS = 100
# With a large catalogue, a block has fewer rows, so that their scores take at most this memory.
_BLOCK_BYTES = 2**27
_MASKED = -np.finfo(np.float32).max  # implicit sets the scores of excluded items to this value


class _Row(NamedTuple):
    indices: npt.NDArray[Any]


class ExcludedItems:
    """Rows of a CSR matrix for implicit, which reads ``matrix[row].indices`` one row at a time.

    scipy would build a whole matrix at each read, which is slower than the ranking itself.

    Parameters
    ----------
    indices : ndarray of shape (n_excluded,)
    indptr : ndarray of shape (n + 1,)
        Row u excludes the items ``indices[indptr[u]:indptr[u + 1]]``.
    """

    def __init__(self, indices: npt.NDArray[Any], indptr: npt.NDArray[Any]) -> None:
        self.indices, self.indptr = indices, indptr

    @classmethod
    def from_csr(cls, exclude: Any) -> ExcludedItems | None:
        """Take the nonzeros of a CSR matrix; None stays None."""
        return None if exclude is None else cls(exclude.indices, exclude.indptr)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return ExcludedItems(self.indices, self.indptr[row.start : row.stop + 1])
        return _Row(self.indices[self.indptr[row] : self.indptr[row + 1]])


def rank_block(
    users: npt.NDArray[np.float32],
    catalogue: npt.NDArray[np.float32],
    k: int,
    excluded: ExcludedItems | None,
    n_threads: int,
) -> Ranking:
    """Rank the items for one block of users, with ties in the order of ids.

    Parameters
    ----------
    users : ndarray of shape (n, d)
    catalogue : ndarray of shape (n_items, d)
    k : int
    excluded : ExcludedItems or None
        Items that each user must not get.
    n_threads : int

    Returns
    -------
    ids, scores : ndarray of shape (n, min(k, n_items))
        Best first; -1 and -inf where too few items are allowed. The lists are not filled up to
        `k`: implicit would pad them with item 0.
    """
    # One more item than needed shows whether a tie crosses the end of the list.
    width = min(k + 1, len(catalogue))
    item_ids, scores = _implicit_topk(
        catalogue,
        users,
        width,
        filter_query_items=excluded,
        num_threads=n_threads,
    )
    ids = item_ids.astype(np.int64)
    masked = scores <= _MASKED
    ids[masked], scores[masked] = -1, -np.inf
    # In implicit, the order of ties and which of them enter the list depend on a heap.
    tied = (scores[:, 1:] == scores[:, :-1]) & ~masked[:, 1:]
    for row in np.flatnonzero(tied.any(axis=1)):
        n = int(width - masked[row].sum())
        if width > k and tied[row, -1]:
            all_scores = catalogue @ users[row]
            if excluded is not None:
                all_scores[excluded[row].indices] = -np.inf
            contenders = np.flatnonzero(all_scores >= np.partition(all_scores, -n)[-n])
            ids[row] = contenders[np.argsort(-all_scores[contenders], kind="stable")[:n]]
            scores[row] = all_scores[ids[row]]
        else:
            order = np.lexsort((ids[row, :n], -scores[row, :n]))
            ids[row, :n] = ids[row, order]
    return ids[:, :k], scores[:, :k]


class _OneBlasThread:
    """Limit BLAS to one thread while any thread is inside this context.

    Blocks of users already run in parallel, and BLAS threads inside each of them only compete for
    the cores: with them, 10,000 users and 20,000 items take three times as long on two cores. The
    limit holds for the whole process. If calls overlap, the last one to leave lifts it.
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


ONE_BLAS_THREAD = _OneBlasThread()


def blocks_of_users(n: int, n_items: int, block_size: int | None) -> Iterator[slice]:
    """Split n users into blocks whose scores fit in bounded memory."""
    rows = _BLOCK_BYTES // (4 * n_items) if block_size is None else block_size
    # If ENGINE_ROWS rows fit, implicit splits the users into blocks and shares them among its
    # threads. The step here then only bounds the 32-bit copy of its result.
    step = 2**16 if rows >= ENGINE_ROWS else max(rows, 1)
    return (slice(start, min(start + step, n)) for start in range(0, n, step))
