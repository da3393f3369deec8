"""Find the best items by inner product or cosine: exact, with exclusions, in bounded memory."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsk.data.checks import (
    check_finite_vectors,
    check_ids,
    check_positive_int,
    check_thread_count,
    check_vectors,
)
from recsk.ranking.allowed import Allowed
from recsk.ranking.blocks import rank
from recsk.ranking.engine import (
    ENGINE_ROWS,
    ONE_BLAS_THREAD,
    ExcludedItems,
    Ranking,
    blocks_of_users,
    rank_block,
)
from recsk.ranking.scores import CombinedScores
from recsk.ranking.threads import in_fork, one_thread_in_forks
from recsk.ranking.users import Users
from recsk.ranking.vectors import unit_rows

__all__ = ["similar", "top_k"]


def top_k(
    user_vectors: npt.ArrayLike,
    item_vectors: npt.ArrayLike,
    k: int,
    *,
    exclude: Any = None,
    items: Any = None,
    filter_items: Any = None,
    n_threads: int = 0,
    block_size: int | None = None,
    check_finite: bool = True,
    device: str | None = None,
) -> Ranking:
    """Find the k items with the largest inner product for each user.

    Parameters
    ----------
    user_vectors : array-like of shape (n, d)
        One user per row; finite.
    item_vectors : array-like of shape (n_items, d)
        The catalogue; finite.
    k : int
        Length of the lists, 1 or more. It may exceed the number of items.
    exclude : sparse matrix or array of shape (n, n_items), default=None
        The nonzeros of row ``i`` are items that user ``i`` must not get.
    items : array-like, list of lists, sparse matrix or boolean mask, default=None
        Only these items (ids) are ranked, for all users or for each user its row, of shape
        (n, n_items). Order and repeats do not matter. None ranks all items.
    filter_items : as `items`, default=None
        Items that no user gets, or each user, even if they are in `items`.
    n_threads : int, default=0
        Threads that rank blocks of users, at most the number of cores. 0 uses as many as OpenMP
        allows. A forked process uses one.
    block_size : int, default=None
        Users that one thread scores at once, at most 100. The extra memory is
        ``block_size * n_items`` floats. None uses as many users as fit in 128 MiB.
    check_finite : bool, default=True
        Whether to check that all vectors are finite. False saves the time if they are known to
        be. Scores and lists are meaningless if they are not.
    device : str, default=None
        Device of torch that ranks, such as "cuda:0"; item vectors stay there as long as their
        array lives, and must not be changed meanwhile. None ranks on the CPU, without torch.

    Returns
    -------
    ids : ndarray of shape (n, k), int64
        Best first. Items with equal scores are ordered by id. If fewer than `k` items are
        allowed, the row ends in -1.
    scores : ndarray of shape (n, k), float32
        Their inner products; -inf where the id is -1. The rounding depends on the blocks of the
        matrix product. Two items with the same vector, or the same user in two batches, may have
        scores that differ in the last digit.

    Raises
    ------
    ValueError
        If shapes do not match, a vector is not finite, `k` or `block_size` is below 1,
        `n_threads` below 0, or `device` does not exist.
    TypeError
        If `k`, `n_threads` or an item id is not an integer, or a mask is not boolean.
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
    read = check_finite_vectors if check_finite else check_vectors
    users, catalogue = read(user_vectors, "user_vectors"), read(item_vectors, "item_vectors")
    n_items = len(catalogue)
    n_threads = check_thread_count(n_threads)
    n_threads = 1 if in_fork() else n_threads
    if users.shape[1] != catalogue.shape[1]:
        raise ValueError(
            "user_vectors and item_vectors must have the same number of columns; got "
            f"{users.shape[1]} and {catalogue.shape[1]}"
        )
    k = check_positive_int(k, "k")
    if block_size is not None:
        block_size = check_positive_int(block_size, "block_size")
    allowed = Allowed.read(exclude, items, filter_items, (len(users), n_items))
    if device is not None:
        products = CombinedScores(Users(users), catalogue, None, len(users), n_items)
        return rank(products, k, allowed, device=device)
    if len(users) == 1 and catalogue.shape[1]:
        best = _best_of_most(users, catalogue, k, allowed)
        if best is not None:
            return best
    if any(x is not None for x in (allowed.common, allowed.sets, allowed.filtered)):
        products = CombinedScores(Users(users), catalogue, None, len(users), n_items)
        return rank(products, k, allowed, n_threads=n_threads, block_size=block_size)
    excluded = ExcludedItems.from_csr(allowed.exclude)
    if not catalogue.shape[1]:  # all scores are 0, but BLAS rejects vectors without columns
        users, catalogue = (np.zeros((len(x), 1), np.float32) for x in (users, catalogue))

    ids = np.full((len(users), k), -1, dtype=np.int64)
    scores = np.full((len(users), k), -np.inf, dtype=np.float32)
    if not len(catalogue):
        return ids, scores
    blas = ONE_BLAS_THREAD if len(users) > ENGINE_ROWS and not in_fork() else nullcontext()
    with blas, one_thread_in_forks():
        for rows in blocks_of_users(len(users), len(catalogue), block_size):
            block_excluded = None if excluded is None else excluded[rows]
            best = rank_block(users[rows], catalogue, k, block_excluded, n_threads)
            width = best[0].shape[1]
            ids[rows, :width], scores[rows, :width] = best
    return ids, scores


def _best_of_most(
    user: npt.NDArray[np.float32], catalogue: npt.NDArray[np.float32], k: int, allowed: Allowed
) -> Ranking | None:
    """Rank for one user who may get most items: some more are asked for, others left out.

    To mask all scores takes longer. Returns None if too few items are found.
    """
    n = int(1.3 * k / max(allowed.share(slice(0, 1)), 1e-9)) + 8
    if allowed.common is None or allowed.to_gather(1) is not None or 8 * n > len(catalogue):
        return None
    excluded = ExcludedItems.from_csr(allowed.exclude)
    with one_thread_in_forks():
        ids, scores = rank_block(user, catalogue, n, excluded, 1)
    kept = np.flatnonzero(allowed.common[ids[0]] & (ids[0] >= 0))[:k]
    return (ids[:, kept], scores[:, kept]) if len(kept) == k else None


def similar(
    vectors: npt.ArrayLike,
    query_ids: npt.ArrayLike,
    k: int,
    *,
    items: Any = None,
    filter_items: Any = None,
    n_threads: int = 0,
    device: str | None = None,
) -> Ranking:
    """Find the k most similar rows of each query by cosine.

    Parameters
    ----------
    vectors : array-like of shape (n, d)
        Finite. A row of zeros has cosine 0 with all rows.
    query_ids : array-like of int, shape (m,)
        The queries: rows whose neighbours are searched.
    k : int
        Number of neighbours, 1 or more.
    items, filter_items, n_threads, device
        As in :func:`top_k`: the rows that may be found, and those that may not.

    Returns
    -------
    ids : ndarray of shape (m, k), int64
        Most similar first, without the query itself. A row ends in -1 if there are fewer than
        `k` others.
    scores : ndarray of shape (m, k), float32
        The cosines; -inf where the id is -1.

    Raises
    ------
    ValueError
        If `k` is below 1, or `vectors` is not 2-D or not finite.
    IndexError
        If an id in `query_ids` is out of range.

    Examples
    --------
    >>> from recsk.ranking import similar
    >>> ids, cosines = similar([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], [0], k=1)
    >>> ids, cosines
    (array([[1]]), array([[1.]], dtype=float32))
    """
    array = check_finite_vectors(vectors, "vectors")
    queries = check_ids(query_ids, "query_ids", len(array))
    itself = sparse.csr_array(
        (np.ones(len(queries), "f4"), queries, np.arange(len(queries) + 1)),
        shape=(len(queries), len(array)),
    )
    if device is not None:
        from recsk.ranking.on_device import unit_rows_on_device  # it imports torch

        shape = itself.shape
        allowed = Allowed.read(itself, items, filter_items, shape)
        on_device = unit_rows_on_device(array, device)
        products = CombinedScores(Users(on_device[queries]), on_device, None, *shape)
        return rank(products, check_positive_int(k, "k"), allowed, device=device)
    unit = unit_rows(array)
    options = {"items": items, "filter_items": filter_items, "n_threads": n_threads}
    return top_k(unit[queries], unit, k, exclude=itself, check_finite=False, **options)
