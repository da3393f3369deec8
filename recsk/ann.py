"""Approximate top-k, for catalogues that are too large to be scored whole each time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk._checks import at_least_one, finite_vectors, nonzeros
from recsk.ranking import top_k, unit_rows

__all__ = ["ItemIndex"]

_MOST_LINKS = 1024
_BLOCK_BYTES = 2**27  # of the vectors of what was found


class ItemIndex:
    r"""Items behind an index that finds most of the best ones without scoring all.

    The largest inner product is made the shortest distance: every item gets one more column, so
    that all have the same length, which is made one,

    .. math:: \tilde e_i = \left( e_i, \sqrt{\max_j \lVert e_j \rVert^2 - \lVert e_i \rVert^2}
              \right) / \max_j \lVert e_j \rVert,

    and users get a zero there. A graph of links between items (HNSW) gives the neighbours, whose
    scores then are exact. Items with the same vector are one in the graph, which would
    otherwise fall apart. An estimator's `to_ann` makes such an index; it knows of items
    alone, so that it is served with nothing else.

    Parameters
    ----------
    item_vectors : array-like of shape (n_items, width)
        Finite, of one item at least. A score is the inner product of a user's vector with one of
        these.
    popularity : array-like of shape (n_items,)
        Finite. Ranks the items for a user whose vector is zero.
    n_links : int, default=32
        Links of each item, from 2 to 1024. More find more and cost memory and time.
    search_width : int, default=128
        Items that a search keeps at hand, and at least as many as it is to find: `k` and those to
        be left out, up to the next power of two. More find more and cost time.
    build_width : int, default=200
        Items at hand while the links of one are chosen. Too few, and items that lie in groups are
        linked to their own group alone: whole lists are then missed. More cost time to build.

    Attributes
    ----------
    search_width : int
        The same. It may be set anew between queries.
    index : faiss.IndexHNSWFlat
        Of the different vectors, with their further column; ``faiss.write_index(ann.index, path)``
        keeps it.
    members : ndarray of shape (n_items,), int64
        Items in the order of the index: those of its entry e are
        ``members[starts[e]:starts[e + 1]]``.
    starts : ndarray of shape (n_different + 1,), int64

    Raises
    ------
    ImportError
        If faiss is not installed.
    TypeError, ValueError
        If a number is no integer or out of its range, or an array has another shape or values
        that are not finite.

    Notes
    -----
    faiss links items on as many threads as it may use, and with several of them not always in
    the same way: ``faiss.omp_set_num_threads(1)`` before makes an index that can be repeated.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.ann import ItemIndex
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
    ) -> None:
        self.item_vectors = item_vectors = finite_vectors(item_vectors, "item_vectors")
        self.popularity = finite_vectors(popularity, "popularity", (1,))
        if not len(item_vectors) or len(self.popularity) != len(item_vectors):
            raise ValueError(
                "item_vectors and popularity must have one entry for each item, and one at least; "
                f"got {len(item_vectors)} and {len(self.popularity)}"
            )
        n_links = at_least_one(n_links, "n_links")
        if not 2 <= n_links <= _MOST_LINKS:  # with less than 2 faiss ends the process
            raise ValueError(f"n_links must be from 2 to {_MOST_LINKS}; got {n_links}")
        self.search_width = at_least_one(search_width, "search_width")
        different, entry = np.unique(item_vectors, axis=0, return_inverse=True)
        entry = entry.ravel()
        self.members = np.argsort(entry, kind="stable")
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(entry))])
        self.index = _faiss().IndexHNSWFlat(item_vectors.shape[1] + 1, n_links)
        self.index.hnsw.efConstruction = at_least_one(build_width, "build_width")
        self.index.add(_of_one_length(different))

    def query(
        self, user_vectors: npt.ArrayLike, k: int = 10, *, exclude: Any = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Find most of the items with the highest scores.

        Parameters
        ----------
        user_vectors : array-like of shape (n, width) or (width,)
            What the model's `user_vectors` gives; finite.
        k : int, default=10
            Items per user.
        exclude : sparse matrix of shape (n, n_items), default=None
            Items that row i must not get: the nonzeros of its row i, such as what was met.

        Returns
        -------
        ids : ndarray of shape (n, k), int64
            Items, best first; -1 where fewer were found. A single vector gives (k,).
        scores : ndarray of shape (n, k), float32
            Their exact scores; -inf beside an id of -1. For a vector of zeros, popularities.

        Raises
        ------
        TypeError
            If `k` is no integer, `exclude` no sparse matrix, or `user_vectors` holds no numbers.
        ValueError
            If `k` is below 1, a shape is wrong, or a vector is not finite.
        """
        k = at_least_one(k)
        n_items, width = self.item_vectors.shape
        vectors = finite_vectors(user_vectors, "user_vectors", (1, 2))
        if vectors.shape[-1] != width:
            raise ValueError(
                f"user_vectors must have {width} columns, as those of the items; got shape "
                f"{vectors.shape}"
            )
        rows = np.atleast_2d(vectors)
        seen = nonzeros(exclude, (len(rows), n_items))
        if seen is None:
            seen = sp.csr_array((len(rows), n_items), dtype=np.float32)
        ids = np.full((len(rows), k), -1, dtype=np.int64)
        scores = np.full((len(rows), k), -np.inf, dtype=np.float32)
        known = rows.any(axis=1)
        # As many more are looked for as may have to be left out. Rows alike in that go together,
        # so that one long history does not slow all others down.
        needed = np.minimum(k + np.diff(seen.indptr), n_items)
        needed = np.minimum(2 ** np.ceil(np.log2(needed)).astype(np.int64), n_items)
        for size in np.unique(needed[known]).tolist():
            group = np.flatnonzero(known & (needed == size))
            n_rows = max(_BLOCK_BYTES // (4 * size * max(width, 1)), 1)
            for start in range(0, len(group), n_rows):
                part = group[start : start + n_rows]
                found = self._search(rows[part], size)
                best = _best(rows[part], self.item_vectors, found, seen[part], k)
                columns = best[0].shape[1]
                ids[part, :columns], scores[part, :columns] = best
        if not known.all():
            one = np.ones(((~known).sum(), 1), dtype=np.float32)
            popular = top_k(one, self.popularity[:, None], k, exclude=seen[np.flatnonzero(~known)])
            ids[~known], scores[~known] = popular
        return (ids[0], scores[0]) if vectors.ndim == 1 else (ids, scores)

    def _search(self, rows: npt.NDArray[np.float32], n_nearest: int) -> npt.NDArray[np.int64]:
        """About that many items for each row, or as many as there are; -1 as padding."""
        n_entries = min(n_nearest, len(self.starts) - 1)
        width = max(min(self.search_width, self.index.ntotal), n_entries)
        search = _faiss().SearchParametersHNSW(efSearch=width)
        # As long as the items: float32 cannot tell distances to what is very near or far apart.
        queries = np.pad(unit_rows(rows), ((0, 0), (0, 1)))
        found = self.index.search(queries, n_entries, params=search)[1]
        if len(self.starts) > len(self.members):  # no two items are the same
            return np.where(found < 0, -1, self.members[found])
        # Entries that stand for several items: all of these, but no more than were asked for.
        count = np.where(found < 0, 0, np.diff(self.starts)[found])
        before = np.cumsum(count, axis=1) - count
        count = np.clip(n_nearest - before, 0, count)
        items = np.full((len(rows), n_nearest), -1, dtype=np.int64)
        total = count.sum(axis=1)
        first = np.repeat(self.starts[found].ravel(), count.ravel())
        rank = np.arange(len(first)) - np.repeat(np.cumsum(count) - count.ravel(), count.ravel())
        items[np.arange(n_nearest) < total[:, None]] = self.members[first + rank]
        return items


def _of_one_length(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    longest = length.max() or 1.0
    rest = np.sqrt(1 - np.minimum(length / longest, 1) ** 2)
    return np.hstack([vectors / np.float32(longest), rest[:, None].astype(np.float32)])


def _best(
    rows: npt.NDArray[np.float32],
    item_vectors: npt.NDArray[np.float32],
    found: npt.NDArray[np.int64],
    seen: sp.csr_array,
    k: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Score what was found, leave out what was seen, and order the rest."""
    scores = np.einsum("nkd,nd->nk", item_vectors[found], rows)
    n_items = len(item_vectors)
    owner = np.arange(len(rows))[:, None]
    met = np.repeat(owner[:, 0], np.diff(seen.indptr)) * n_items + seen.indices
    barred = (found < 0) | np.isin(owner * n_items + found, met)
    scores[barred] = -np.inf
    found = np.where(barred, -1, found)
    order = np.lexsort((found, -scores), axis=1)[:, :k]
    return np.take_along_axis(found, order, 1), np.take_along_axis(scores, order, 1)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ImportError("an approximate index needs faiss: pip install faiss-cpu") from error
    return faiss
