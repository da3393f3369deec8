"""Approximate top-k for catalogues that are too large to score completely at every request."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.data.checks import check_excluded, check_finite_vectors, check_positive_int
from recsk.data.labels import Labels
from recsk.ranking.exact import top_k
from recsk.ranking.threads import one_thread_in_forks
from recsk.ranking.vectors import unit_rows

__all__ = ["ItemIndex"]

_MAX_LINKS = 1024
_BLOCK_BYTES = 2**27  # memory for the vectors of the candidates of one block of users


class ItemIndex:
    r"""Index of items that finds most of the top k without scoring all items.

    The search for the largest inner products becomes a search for the nearest neighbours. Every
    item gets one more column so that all vectors have the same length, which is scaled to one,

    .. math:: \tilde e_i = \left( e_i, \sqrt{\max_j \lVert e_j \rVert^2 - \lVert e_i \rVert^2}
              \right) / \max_j \lVert e_j \rVert,

    and users get a zero in this column. A graph of links between items (HNSW) finds the
    neighbours, and their exact scores are computed. Items with the same vector share one entry in
    the graph, which would otherwise fall apart. The method `to_ann` of an estimator builds such an
    index. The index holds nothing but items, so it can be served without the estimator.

    Parameters
    ----------
    item_vectors : array-like of shape (n_items, width)
        Vectors of one item or more; finite. A score is the inner product of a user vector with an
        item vector.
    popularity : array-like of shape (n_items,)
        Ranks the items for a user whose vector is zero; finite.
    n_links : int, default=32
        Links of each item, from 2 to 1024. More links find more items and cost memory and time.
    search_width : int, default=128
        Candidates that a search keeps. It always keeps at least as many as it has to find: `k`
        plus the number of excluded items, rounded up to a power of two. More candidates find more
        items and cost time.
    build_width : int, default=200
        Candidates that are considered for the links of an item. With too few, items that form
        groups are linked only within their group, and searches miss whole lists. More candidates
        make the build slower.
    labels : array-like of shape (n_items,), default=None
        Labels that `query` returns in place of ids.
    item_to_item : sparse matrix or ndarray of shape (n_items, n_items), default=None
        The part of the scores that no vectors give: entry (j, i) is what item j of a history adds
        to the score of item i. `query` then takes the weights of the histories too.

    Attributes
    ----------
    search_width : int
        The parameter. It may be changed between queries.
    index : faiss.IndexHNSWFlat
        Holds the distinct vectors with their extra column; ``faiss.write_index(ann.index, path)``
        saves it.
    members : ndarray of shape (n_items,), int64
        Items in the order of the index. The items of its entry e are
        ``members[starts[e]:starts[e + 1]]``.
    starts : ndarray of shape (n_distinct + 1,), int64
        First position of each entry in `members`.

    Raises
    ------
    ImportError
        If faiss is not installed.
    TypeError, ValueError
        If a number is not an integer or out of range, or an array has a wrong shape or values
        that are not finite.

    Notes
    -----
    faiss links items on several threads, and the links may then differ from run to run. Call
    ``faiss.omp_set_num_threads(1)`` before the build to get a reproducible index.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.ranking import ItemIndex
    >>> items = np.array([[1, 0], [0, 1], [0, 2]], dtype=np.float32)
    >>> ann = ItemIndex(items, popularity=np.ones(3, dtype=np.float32))
    >>> ids, scores = ann.query([0.0, 1.0], k=2)
    >>> ids, scores
    (array([2, 1]), array([2., 1.], dtype=float32))
    """

    def __init__(
        self,
        item_vectors: npt.ArrayLike,
        popularity: npt.ArrayLike,
        *,
        n_links: int = 32,
        search_width: int = 128,
        build_width: int = 200,
        labels: Any = None,
        item_to_item: Any = None,
    ) -> None:
        self.labels = labels if labels is None or isinstance(labels, Labels) else Labels(labels)
        self.item_vectors = item_vectors = check_finite_vectors(item_vectors, "item_vectors")
        self.popularity = check_finite_vectors(popularity, "popularity", (1,))
        if not len(item_vectors) or len(self.popularity) != len(item_vectors):
            raise ValueError(
                "item_vectors and popularity must have one entry for each item, and at least one; "
                f"got {len(item_vectors)} and {len(self.popularity)}"
            )
        n_items = len(item_vectors)
        if item_to_item is not None and item_to_item.shape != (n_items, n_items):
            raise ValueError(
                f"item_to_item must have shape {(n_items, n_items)}; got {item_to_item.shape}"
            )
        self.item_to_item = item_to_item
        n_links = check_positive_int(n_links, "n_links")
        if not 2 <= n_links <= _MAX_LINKS:  # with fewer than 2, faiss ends the process
            raise ValueError(f"n_links must be from 2 to {_MAX_LINKS}; got {n_links}")
        self.search_width = check_positive_int(search_width, "search_width")
        distinct, entry = np.unique(item_vectors, axis=0, return_inverse=True)
        entry = entry.ravel()
        self.members = np.argsort(entry, kind="stable")
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(entry))])
        self.index = _import_faiss().IndexHNSWFlat(item_vectors.shape[1] + 1, n_links)
        self.index.hnsw.efConstruction = check_positive_int(build_width, "build_width")
        with one_thread_in_forks():
            self.index.add(_pad_to_equal_length(distinct))

    def query(
        self,
        user_vectors: npt.ArrayLike,
        k: int = 10,
        *,
        exclude: Any = None,
        weights: Any = None,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
        """Find most of the items with the highest scores.

        Parameters
        ----------
        user_vectors : array-like of shape (n, width) or (width,)
            Vectors from the model's method `user_vectors`; finite.
        k : int, default=10
            Items per user.
        exclude : sparse matrix of shape (n, n_items), default=None
            The nonzeros of row i are items that user i must not get, such as the items seen.
        weights : sparse matrix of shape (n, n_items), default=None
            Weights of histories, from the model's method `history_weights`. Required if the index
            has `item_to_item`. The items to which they give the most are candidates too.

        Returns
        -------
        ids : ndarray of shape (n, k), int64
            Items, best first; -1 at the end if fewer were found. A single vector gives shape
            (k,).
        scores : ndarray of shape (n, k), float32
            Their exact scores; -inf where the id is -1. Popularities if the user vector is zero.

        Raises
        ------
        TypeError
            If `k` is not an integer, `exclude` is not a sparse matrix, or `user_vectors` does not
            hold numbers.
        ValueError
            If `k` is below 1, a shape is wrong, or a vector is not finite.
        """
        k = check_positive_int(k)
        n_items, width = self.item_vectors.shape
        vectors = check_finite_vectors(user_vectors, "user_vectors", (1, 2))
        if vectors.shape[-1] != width:
            raise ValueError(
                f"user_vectors must have {width} columns, as item_vectors has; got shape "
                f"{vectors.shape}"
            )
        rows = np.atleast_2d(vectors)
        excluded = check_excluded(exclude, (len(rows), n_items))
        if excluded is None:
            excluded = sp.csr_array((len(rows), n_items), dtype=np.float32)
        term = self._item_to_item_term(weights, len(rows))
        ids = np.full((len(rows), k), -1, dtype=np.int64)
        scores = np.full((len(rows), k), -np.inf, dtype=np.float32)
        nonzero = rows.any(axis=1)
        if term is not None:
            nonzero |= np.diff(term.indptr) > 0
        # Search for k items plus all excluded ones. Rows that need about the same number are
        # searched together, so that one long history does not slow down the others.
        needed = np.minimum(k + np.diff(excluded.indptr), n_items)
        if term is not None:  # the best by vectors alone need not be the best
            needed = np.maximum(needed, min(self.search_width, n_items))
        needed = np.minimum(2 ** np.ceil(np.log2(needed)).astype(np.int64), n_items)
        for n_nearest in np.unique(needed[nonzero]).tolist():
            group = np.flatnonzero(nonzero & (needed == n_nearest))
            block_rows = max(_BLOCK_BYTES // (4 * n_nearest * max(width, 1)), 1)
            for start in range(0, len(group), block_rows):
                block = group[start : start + block_rows]
                candidates = self._search(rows[block], n_nearest)
                scores_of = partial(_score_candidates, rows[block], self.item_vectors)
                if term is not None:
                    candidates = _add_largest(candidates, term[block], n_nearest)
                    scores_of = partial(scores_of, term=term[block])
                best = _rank_candidates(candidates, scores_of(candidates), excluded[block], k)
                columns = best[0].shape[1]
                ids[block, :columns], scores[block, :columns] = best
        if not nonzero.all():
            ones = np.ones(((~nonzero).sum(), 1), dtype=np.float32)
            popular = top_k(
                ones, self.popularity[:, None], k, exclude=excluded[np.flatnonzero(~nonzero)]
            )
            ids[~nonzero], scores[~nonzero] = popular
        named = ids if self.labels is None else self.labels.decode(ids)
        return (named[0], scores[0]) if vectors.ndim == 1 else (named, scores)

    def _item_to_item_term(self, weights: Any, n_users: int) -> sp.csr_matrix | None:
        """Return the part of the scores that the items of the histories give."""
        if (weights is None) != (self.item_to_item is None):
            raise ValueError(
                "this index has item_to_item: pass weights=model.history_weights(...) as well"
                if weights is None
                else "weights must be None: this index has vectors alone, no item_to_item"
            )
        if weights is None:
            return None
        checked = check_excluded(weights, (n_users, len(self.item_vectors)), "weights")
        term = sp.csr_matrix(checked @ self.item_to_item, dtype=np.float32)
        term.sort_indices()
        return term

    def _search(self, rows: npt.NDArray[np.float32], n_nearest: int) -> npt.NDArray[np.int64]:
        """Find about `n_nearest` items for each row, or fewer if there are fewer; pad with -1."""
        n_entries = min(n_nearest, len(self.starts) - 1)
        width = max(min(self.search_width, self.index.ntotal), n_entries)
        parameters = _import_faiss().SearchParametersHNSW(efSearch=width)
        # Scale queries to the length of the items: with much shorter or longer queries, the
        # distances are all equal in float32.
        queries = np.pad(unit_rows(rows), ((0, 0), (0, 1)))
        with one_thread_in_forks():
            entries = self.index.search(queries, n_entries, params=parameters)[1]
        if len(self.starts) > len(self.members):  # no two items have the same vector
            return np.where(entries < 0, -1, self.members[entries])
        # Replace each entry by all items with its vector, at most `n_nearest` items in all.
        count = np.where(entries < 0, 0, np.diff(self.starts)[entries])
        before = np.cumsum(count, axis=1) - count
        count = np.clip(n_nearest - before, 0, count)
        items = np.full((len(rows), n_nearest), -1, dtype=np.int64)
        total = count.sum(axis=1)
        first = np.repeat(self.starts[entries].ravel(), count.ravel())
        rank = np.arange(len(first)) - np.repeat(np.cumsum(count) - count.ravel(), count.ravel())
        items[np.arange(n_nearest) < total[:, None]] = self.members[first + rank]
        return items


def _pad_to_equal_length(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Divide vectors by the largest length, and add a column that gives all length one."""
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    longest = length.max() or 1.0
    rest = np.sqrt(1 - np.minimum(length / longest, 1) ** 2)
    return np.hstack([vectors / np.float32(longest), rest[:, None].astype(np.float32)])


def _score_candidates(
    rows: npt.NDArray[np.float32],
    item_vectors: npt.NDArray[np.float32],
    candidates: npt.NDArray[np.int64],
    term: sp.csr_matrix | None = None,
) -> npt.NDArray[np.float32]:
    """Compute the exact scores of candidates; those of -1 mean nothing."""
    scores = np.einsum("nkd,nd->nk", item_vectors[candidates], rows)
    if term is not None:
        row = np.arange(len(rows))[:, None]
        scores += np.asarray(term[row, np.maximum(candidates, 0)].todense())
    return scores


def _add_largest(
    candidates: npt.NDArray[np.int64], term: sp.csr_matrix, n: int
) -> npt.NDArray[np.int64]:
    """Add the n columns with the largest entries of each row to the candidates, each item once."""
    row = np.repeat(np.arange(term.shape[0]), np.diff(term.indptr))
    order = np.lexsort((term.indices, -term.data, row))
    rank = np.arange(len(row)) - term.indptr[row]
    kept = rank < n
    more = np.full((len(candidates), n), -1, dtype=np.int64)
    more[row[kept], rank[kept]] = term.indices[order][kept]
    both = np.sort(np.hstack([candidates, more]), axis=1)
    both[:, 1:][both[:, 1:] == both[:, :-1]] = -1
    return both


def _rank_candidates(
    candidates: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    excluded: sp.csr_array,
    k: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Drop the excluded candidates and sort the others."""
    n, n_items = excluded.shape
    row = np.arange(n)[:, None]
    # One number for each pair of a row and an item.
    excluded_pairs = np.repeat(row[:, 0], np.diff(excluded.indptr)) * n_items + excluded.indices
    dropped = (candidates < 0) | np.isin(row * n_items + candidates, excluded_pairs)
    scores[dropped] = -np.inf
    candidates = np.where(dropped, -1, candidates)
    order = np.lexsort((candidates, -scores), axis=1)[:, :k]
    return np.take_along_axis(candidates, order, 1), np.take_along_axis(scores, order, 1)


def _import_faiss() -> Any:
    """Import faiss; the error gives the install command if it is missing."""
    try:
        import faiss
    except ImportError as error:
        raise ImportError("an approximate index needs faiss: pip install faiss-cpu") from error
    return faiss
