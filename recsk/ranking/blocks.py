"""Find the best items where the scores come in blocks, from whatever computes them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

from recsk.data.checks import check_positive_int, check_thread_count
from recsk.ranking.allowed import Allowed
from recsk.ranking.engine import ONE_BLAS_THREAD, Ranking
from recsk.ranking.scores import BlockScores, Scores
from recsk.ranking.threads import in_fork, one_thread_in_forks

__all__ = ["rank", "top_k_of_blocks"]

_BLOCK_ROWS = 256
_GROUP = 64  # columns whose largest score stands for them


def top_k_of_blocks(
    score_block: Callable[[slice], npt.NDArray[np.float32]],
    n_users: int,
    n_items: int,
    k: int,
    *,
    exclude: Any = None,
    items: Any = None,
    filter_items: Any = None,
    n_threads: int = 0,
) -> Ranking:
    """Find the k items with the largest scores for each user.

    Parameters
    ----------
    score_block : callable
        Takes a slice of users and returns their scores of all items, shape (n, n_items), float32.
        The array is written to. Several threads may call it at once.
    n_users, n_items : int
    k : int
        Length of the lists, 1 or more. It may exceed the number of items.
    exclude, items, filter_items, n_threads
        As in :func:`top_k`.

    Returns
    -------
    ids, scores : ndarray of shape (n_users, k), int64 and float32
        As in :func:`top_k`: ties in the order of ids, and -1 and -inf as padding. A score of -inf
        is that of an item that is not allowed.

    Raises
    ------
    IndexError, TypeError, ValueError
        As in :func:`top_k`. Also if a block has another shape, or a score is not a number.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.ranking import top_k_of_blocks
    >>> scores = np.array([[0.0, 3.0, 1.0]], dtype=np.float32)
    >>> top_k_of_blocks(lambda users: scores[users].copy(), 1, 3, k=2)[0]
    array([[1, 2]])
    """
    k = check_positive_int(k, "k")
    allowed = Allowed.read(exclude, items, filter_items, (n_users, n_items))
    n_threads = check_thread_count(n_threads)
    return rank(BlockScores(score_block, (n_users, n_items)), k, allowed, n_threads=n_threads)


def rank(
    scores: Scores,
    k: int,
    allowed: Allowed,
    *,
    n_threads: int = 0,
    block_size: int | None = None,
    device: str | None = None,
) -> Ranking:
    """Find the k columns with the largest scores for each row; arguments are checked.

    With a device of torch, its own engine ranks there.

    Returns
    -------
    ids, scores : ndarray of shape (n_rows, k), int64 and float32
        As `top_k_of_blocks`.
    """
    if device is not None:
        from recsk.ranking.on_device import rank_on_device  # it imports torch

        return rank_on_device(scores, k, allowed, device)
    n, n_items = scores.shape
    items = allowed.to_gather(n)
    if items is not None:
        scores, allowed, n_items = scores.among(items), allowed.among(items), len(items)
    ids = np.full((n, k), -1, dtype=np.int64)
    best = np.full((n, k), -np.inf, dtype=np.float32)

    if not (n and n_items):
        return ids, best

    def rank_rows(rows: slice) -> None:
        if allowed.are_pairs_faster(rows):
            _rank_pairs(scores, allowed, rows, ids[rows], best[rows])
            return
        block = scores.block(rows)
        done = _take_best_of_most(block, allowed, rows, ids[rows], best[rows])
        for some in [rows] if done is None else _runs(~done, rows.start):
            part = block[some.start - rows.start : some.stop - rows.start]
            allowed.forbid(part, some)
            _take_best(part, ids[some], best[some])

    blocks = scores.blocks(_BLOCK_ROWS if block_size is None else block_size)
    parallel = False
    if len(blocks) > 1:
        n_threads = n_threads or _openmp_effective_n_threads()
        parallel = n_threads > 1 and not in_fork()
    with ONE_BLAS_THREAD if parallel else nullcontext(), one_thread_in_forks():
        if parallel:
            with ThreadPoolExecutor(min(n_threads, len(blocks))) as pool:
                list(pool.map(rank_rows, blocks))
        else:
            for rows in blocks:
                rank_rows(rows)
    return ids if items is None else np.where(ids < 0, -1, items[ids]), best


def _rank_pairs(
    scores: Scores,
    allowed: Allowed,
    rows: slice,
    ids: npt.NDArray[np.int64],
    best: npt.NDArray[np.float32],
) -> None:
    """Rank the items of each user's own set, and score no others."""
    row, item = allowed.pairs(rows)
    if not len(row):
        return
    count = np.bincount(row, minlength=len(ids))
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    items = np.full((len(ids), count.max()), -1, dtype=np.int64)
    block = np.full(items.shape, -np.inf, dtype=np.float32)
    items[row, place] = item
    block[row, place] = scores.of_pairs(row + rows.start, item)
    _take_best(block, ids, best)
    np.copyto(ids, np.take_along_axis(items, np.maximum(ids, 0), axis=1), where=ids >= 0)


def _take_best(
    block: npt.NDArray[np.float32],
    ids: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
) -> None:
    """Write the best items of each row of a block into `ids` and `scores`."""
    n_items, k = block.shape[1], ids.shape[1]
    if not block.size:
        return
    lowest = _lower_bound(block, min(k, n_items))
    row, item = np.divmod(np.flatnonzero(block > lowest[:, None]), n_items)
    # Of the items with the lowest score, which may be most of the catalogue, the first ones.
    missing = np.where(lowest > -np.inf, k - np.bincount(row, minlength=len(block)), 0)
    tied = [np.flatnonzero(block[r] == lowest[r])[: max(n, 0)] for r, n in enumerate(missing)]
    row = np.concatenate([row, np.repeat(np.arange(len(block)), [len(part) for part in tied])])
    _write_best(block, row, np.concatenate([item, *tied]), ids, scores)


def _write_best(
    block: npt.NDArray[np.float32],
    row: npt.NDArray[np.int64],
    item: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
) -> None:
    """Write the best of some items of each row, equal scores in the order of ids."""
    k = ids.shape[1]
    found = block[row, item]
    order = np.lexsort((item, -found, row))
    row, item, found = row[order], item[order], found[order]
    rank = np.arange(len(row)) - np.searchsorted(row, np.arange(len(block)))[row]
    kept = rank < k
    ids[row[kept], rank[kept]] = item[kept]
    scores[row[kept], rank[kept]] = found[kept]


def _take_best_of_most(
    block: npt.NDArray[np.float32],
    allowed: Allowed,
    rows: slice,
    ids: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
) -> npt.NDArray[np.bool_] | None:
    """Write the best items of rows that may get many, and look up the best ones alone.

    To mask all scores takes longer. Returns which rows are done, or None if all are to be masked.
    """
    if allowed.common is None and allowed.sets is None and allowed.filtered is None:
        return None
    n_items, k = block.shape[1], ids.shape[1]
    n = int(1.3 * k / max(allowed.share(rows), 1e-9)) + 8  # so many have k allowed ones, mostly
    if 2 * n > n_items // _GROUP:
        return None
    allowed.forbid_excluded(block, rows)
    lowest = _lower_bound(block, n)
    row, item = np.divmod(np.flatnonzero(block > lowest[:, None]), n_items)
    kept = allowed.are_in(row + rows.start, item)
    row, item = row[kept], item[kept]
    done = np.bincount(row, minlength=len(block)) >= k
    kept = done[row]
    _write_best(block, row[kept], item[kept], ids, scores)
    return done


def _runs(chosen: npt.NDArray[np.bool_], start: int) -> list[slice]:
    """Return runs of chosen rows."""
    edges = np.flatnonzero(np.diff(chosen, prepend=False, append=False)) + start
    return [slice(a, b) for a, b in edges.reshape(-1, 2).tolist()]


def _lower_bound(block: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.float32]:
    """Return for each row a score that at least k of its scores reach, and few more exceed.

    The k-th largest of the maxima of groups of columns is such a score, and it is found in a
    fraction of the time that the k-th largest score takes.
    """
    n_items = block.shape[1]
    n_groups = n_items // _GROUP
    if n_groups < 2 * k:
        largest = rest = block
    else:
        end = n_groups * _GROUP
        largest = block[:, :end].reshape(len(block), _GROUP, n_groups).max(axis=1)
        rest = block[:, end:]
    if np.isnan(largest).any() or np.isnan(rest).any():
        raise ValueError("a score is not a number (NaN)")
    place = largest.shape[1] - k
    return np.partition(largest, place, axis=1)[:, place]
