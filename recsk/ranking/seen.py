"""Rank items when seen items are scored by a part of the vectors."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.data.checks import check_excluded, check_finite_vectors, check_ids, check_vectors
from recsk.ranking.engine import Ranking
from recsk.ranking.exact import top_k

__all__ = ["top_k_with_seen"]

_ROWS_PER_MERGE = 2**13  # users whose lists are merged at once
_PAIRS_PER_BLOCK = 2**14  # pairs of a user and a seen item that are scored at once


def top_k_with_seen(
    user_vectors: npt.ArrayLike,
    item_vectors: npt.ArrayLike,
    k: int,
    *,
    seen: Any,
    seen_width: int,
    items: npt.ArrayLike | None = None,
    filter_items: npt.ArrayLike | None = None,
    check_finite: bool = True,
) -> Ranking:
    """Find the k best items for each user, with seen items scored by the first columns only.

    Parameters
    ----------
    user_vectors : array-like of shape (n, d)
        One user per row; finite.
    item_vectors : array-like of shape (n_items, d)
        The catalogue; finite.
    k : int
        Length of the lists, 1 or more.
    seen : sparse matrix or array of shape (n, n_items)
        The nonzeros of row ``i`` are the items that user ``i`` has seen.
    seen_width : int
        The score of a seen item is the inner product of the first `seen_width` columns; 0 or
        more.
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
        As in :func:`top_k`; also if `seen` is None, or `seen_width` is not an integer or is below
        0.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.ranking import top_k_with_seen
    >>> items = [[1.0, 9.0], [2.0, 0.0]]
    >>> top_k_with_seen([[1.0, 1.0]], items, 2, seen=csr_array([[1, 0]]), seen_width=1)[0]
    array([[1, 0]])
    """
    read = check_finite_vectors if check_finite else check_vectors
    users, catalogue = read(user_vectors, "user_vectors"), read(item_vectors, "item_vectors")
    if not isinstance(seen_width, Integral) or isinstance(seen_width, bool):
        raise TypeError(f"seen_width must be an int; got {seen_width!r}")
    pairs = check_excluded(seen, (len(users), len(catalogue)), "seen")
    if pairs is None:
        raise ValueError("seen must be a sparse matrix; got None")
    if seen_width < 0:
        raise ValueError(f"seen_width must be 0 or more; got {seen_width}")
    restriction: dict[str, Any] = {"items": items, "filter_items": filter_items}
    restriction["check_finite"] = False  # the check was done above, if requested
    if seen_width >= users.shape[1]:
        return top_k(users, catalogue, k, **restriction)
    if not pairs.has_canonical_format:
        pairs = pairs.copy()
        pairs.sum_duplicates()
    ids, scores = top_k(users, catalogue, k, exclude=pairs, **restriction)
    allowed = np.full(len(catalogue), items is None)
    if items is not None:
        allowed[check_ids(items, "items", len(catalogue))] = True
    if filter_items is not None:
        allowed[check_ids(filter_items, "filter_items", len(catalogue))] = False
    seen_part = np.ascontiguousarray(catalogue[:, :seen_width])
    for start in range(0, len(users), _ROWS_PER_MERGE):
        rows = slice(start, start + _ROWS_PER_MERGE)
        block = pairs[rows]
        kept = allowed[block.indices]
        user = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))[kept]
        item = block.indices[kept].astype(np.int64)
        score = _score_pairs(users[rows, :seen_width], seen_part, user, item)
        _merge_into_lists(ids[rows], scores[rows], user, item, score)
    return ids, scores


def _score_pairs(
    users: npt.NDArray[np.float32],
    items: npt.NDArray[np.float32],
    user: npt.NDArray[np.int64],
    item: npt.NDArray[np.int64],
) -> npt.NDArray[np.float32]:
    """Compute the inner product of each pair of a user and an item."""
    score = np.empty(len(item), dtype=np.float32)
    for start in range(0, len(item), _PAIRS_PER_BLOCK):
        block = slice(start, start + _PAIRS_PER_BLOCK)
        score[block] = np.einsum("ij,ij->i", users[user[block]], items[item[block]])
    return score


def _merge_into_lists(
    ids: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    user: npt.NDArray[np.int64],
    item: npt.NDArray[np.int64],
    score: npt.NDArray[np.float32],
) -> None:
    """Merge more items into sorted lists in place; the length k of the lists stays the same."""
    n, k = ids.shape
    owner = np.concatenate([np.repeat(np.arange(n), k), user])
    all_ids = np.concatenate([ids.ravel(), item])
    all_scores = np.concatenate([scores.ravel(), score])
    order = np.lexsort((all_ids, -all_scores, owner))
    # With the padding, every user has at least k entries.
    best = order[np.searchsorted(owner[order], np.arange(n))[:, None] + np.arange(k)]
    ids[:], scores[:] = all_ids[best], all_scores[best]
