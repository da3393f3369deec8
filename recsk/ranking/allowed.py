"""Which items may be ranked: one set for all users, or one set for each user."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.data.checks import check_excluded, check_ids, check_unmasked, describe

__all__ = ["Allowed", "ItemMask", "check_sets", "count_candidates", "is_for_each", "keep"]

Ids = npt.NDArray[np.int64]
_SAMPLE = 16  # rows that tell how many entries a mask has
_BUFFER = 2**18  # numbers that a mask is applied to at once: they fit in the cache


class ItemMask(NamedTuple):
    """Items for all users, checked once: for a long list and one user, that takes a while.

    Attributes
    ----------
    chosen : boolean array of shape (n_items,)
    """

    chosen: npt.NDArray[np.bool_]

    @classmethod
    def read(cls, items: Any, name: str, n_items: int) -> ItemMask:
        """Check ids and mark them, or return a mask as it is."""
        if isinstance(items, ItemMask):
            return items
        chosen = np.zeros(n_items, dtype=bool)
        chosen[check_ids(items, name, n_items, copy=False)] = True
        return cls(chosen)


class Allowed(NamedTuple):
    """Which items may be ranked for which user. None of a part allows all items.

    Attributes
    ----------
    common : boolean array of shape (n_items,), or None
        Items that all users may get.
    sets : csr_array or boolean array of shape (n, n_items), or None
        Items that each user may get.
    exclude : csr_array of shape (n, n_items), or None
        Its nonzeros are items that a user must not get.
    filtered : boolean array of shape (n, n_items), or None
        Items that a user must not get.
    n_items : int
    """

    common: npt.NDArray[np.bool_] | None
    sets: Any
    exclude: Any
    filtered: npt.NDArray[np.bool_] | None
    n_items: int

    @classmethod
    def read(cls, exclude: Any, items: Any, filter_items: Any, shape: tuple[int, int]) -> Allowed:
        """Check the arguments of a ranking, for all users or for each, and unite them."""
        excluded, sets, filtered = check_excluded(exclude, shape), None, None
        if is_for_each(items):
            sets, items = check_sets(items, "items", shape), None
        if is_for_each(filter_items):
            filtered, filter_items = check_sets(filter_items, "filter_items", shape), None
        masks = []
        if items is not None:
            masks.append(ItemMask.read(items, "items", shape[1]).chosen)
        if filter_items is not None:
            masks.append(~ItemMask.read(filter_items, "filter_items", shape[1]).chosen)
        if shape[0] == 1 and not (sets is None and filtered is None):
            # The set of one user is that of all.
            if sets is not None:
                masks.append(_as_mask(sets, 0, 1)[0])
            if filtered is not None:
                masks.append(~_as_mask(filtered, 0, 1)[0])
            sets = filtered = None
        common = None
        if masks:
            common = np.logical_and.reduce(masks) if len(masks) > 1 else masks[0]
        if shape[0] == 1 and common is not None and excluded is not None:
            common = common.copy()  # it may be the mask that was given
            common[excluded.indices] = False
            excluded = None
        if sp.issparse(filtered):
            excluded = filtered if excluded is None else excluded.astype(bool) + filtered
            filtered = None
        return cls(common, sets, excluded, filtered, shape[1])

    def to_gather(self, n_users: int) -> Ids | None:
        """Return the items to score, if that is faster than to score all items and mask.

        To copy the vector of one item costs what it costs to score 25 users for it. In the product
        with all items, one user costs as much as 9 in a large batch, several cost 51 more.
        """
        if self.common is None or self.sets is not None:
            return None
        n_candidates = np.count_nonzero(self.common)
        whole = 9 if n_users == 1 else 0.9 * n_users + 51
        if n_candidates * (n_users + 25) >= self.n_items * whole:
            return None
        return np.flatnonzero(self.common)

    def share(self, rows: slice) -> float:
        """Return about which share of the items some users may get, seen ones included."""
        share = 1.0
        if self.common is not None:
            share *= np.count_nonzero(self.common) / max(self.n_items, 1)
        n = max((rows.stop - rows.start) * self.n_items, 1)
        if self.sets is not None:
            share *= _size(self.sets, rows) / n
        if self.filtered is not None:
            share *= 1 - _size(self.filtered, rows) / n
        return share

    def are_in(self, user: Ids, item: Ids) -> npt.NDArray[np.bool_]:
        """Return which pairs of a user and an item are allowed; seen items too.

        Pairs are sorted by user.
        """
        allowed = np.ones(len(item), dtype=bool)
        if self.common is not None:
            allowed &= self.common[item]
        if self.filtered is not None:
            allowed &= ~self.filtered[user, item]
        if self.sets is None:
            return allowed
        if not sp.issparse(self.sets):
            return allowed & self.sets[user, item]
        indptr, indices = self.sets.indptr, self.sets.indices
        first, end = indptr[user], indptr[user + 1]
        place = np.empty(len(item), dtype=np.int64)
        asked = item.astype(indices.dtype)  # or each search would copy the row
        edges = [*np.flatnonzero(np.diff(user, prepend=-1)).tolist(), len(user)]
        for start, stop in pairwise(edges):
            own = indices[first[start] : end[start]]
            place[start:stop] = own.searchsorted(asked[start:stop])
        place += first
        inside = place < end
        allowed &= inside
        allowed[inside] &= indices[place[inside]] == asked[inside]
        return allowed

    def among(self, items: Ids) -> Allowed:
        """Return what is allowed in a catalogue of these items alone."""
        sets, exclude, filtered = (
            x if x is None else x[:, items] for x in (self.sets, self.exclude, self.filtered)
        )
        return Allowed(None, sets, exclude, filtered, len(items))

    def forbid(self, block: npt.NDArray[np.float32], rows: slice) -> None:
        """Set the scores of some users for all items to -inf where these are not allowed."""
        if self.common is not None:
            np.minimum(block, _limit(self.common), out=block)
        self.forbid_excluded(block, rows)
        if self.sets is not None:
            keep(block, self.sets, rows)
        if self.filtered is not None:
            keep(block, ~self.filtered[rows], slice(0, len(block)))

    def forbid_excluded(self, block: npt.NDArray[np.float32], rows: slice) -> None:
        """Set the scores of excluded items alone to -inf: they are few."""
        if self.exclude is not None:
            row, item = _nonzeros_of(self.exclude, rows)
            block[row, item] = -np.inf

    def pairs(self, rows: slice) -> tuple[Ids, Ids]:
        """Return the items of the sets of some users as pairs, sorted by user and item."""
        row, item = _nonzeros_of(self.sets, rows)
        allowed = np.ones(len(row), dtype=bool)
        if self.common is not None:
            allowed = self.common[item]
        if self.exclude is not None:
            user, excluded = _nonzeros_of(self.exclude, rows)
            pairs = row * self.n_items + item, user * self.n_items + excluded
            allowed &= ~np.isin(*pairs)
        if self.filtered is not None:
            allowed &= ~self.filtered[rows][row, item]
        return row[allowed], item[allowed]

    def are_pairs_faster(self, rows: slice) -> bool:
        """Whether to score the sets of some users item by item, not all items and then mask."""
        if self.sets is None:
            return False
        size = _size(self.sets, rows)
        return bool(size < self.n_items * (0.04 * (rows.stop - rows.start) + 0.2))


def is_for_each(given: Any) -> bool:
    """Whether it is one set for each user, rather than a list of ids or labels for all."""
    if isinstance(given, list) and given:  # a list or an array is no id and no label
        return isinstance(given[0], list) or getattr(given[0], "ndim", 0) == 1
    return sp.issparse(given) or (isinstance(given, np.ndarray) and given.ndim == 2)


def count_candidates(items: Any) -> int:
    """Return how many items there are for all users, or for the user who has the most."""
    if isinstance(items, ItemMask):
        return int(np.count_nonzero(items.chosen))
    counts = np.diff(items.indptr) if sp.issparse(items) else np.count_nonzero(items, axis=1)
    return int(counts.max(initial=0))


def check_sets(given: Any, name: str, shape: tuple[int, int], what: str = "item") -> Any:
    """Check one set for each row and return it as a canonical csr_array of bool, or as a mask.

    Raises
    ------
    TypeError
        If it is an array of another type than bool.
    IndexError
        If an id in a list is out of range.
    ValueError
        If it has another shape.
    """
    if isinstance(given, list):
        given = _lists_to_matrix(given, name, shape, what)
    check_unmasked(given, name)
    if not sp.issparse(given) and given.dtype != bool:
        raise TypeError(
            f"{name} must be a list of {what}s for all rows, a list with one such list for each "
            f"row, or a sparse matrix or boolean mask of shape {shape}, such as {name} > 0; got "
            f"{describe(given)}"
        )
    if given.shape != shape:
        raise ValueError(
            f"{name} must have shape {shape}, a row for each one that is asked about and a column "
            f"for each {what}; got {describe(given)}"
        )
    if not sp.issparse(given):
        return np.asarray(given)
    # Sums of duplicates could overflow or cancel out; those of bool cannot.
    matrix = given.astype(bool, copy=False).tocsr()
    parts = matrix.data, matrix.indices, matrix.indptr
    canonical = matrix.has_canonical_format
    sets = sp.csr_array(parts, shape=shape, copy=not canonical)
    if canonical:
        sets.has_canonical_format = True  # or the new matrix would look at all its entries
    sets.sum_duplicates()
    if not sets.data.all():
        sets = sets.copy()
        sets.eliminate_zeros()
    return sets


def _lists_to_matrix(lists: list[Any], name: str, shape: tuple[int, int], what: str) -> Any:
    """Return one list of ids for each row as a csr_array of bool; an id may occur twice."""
    if len(lists) != shape[0]:
        raise ValueError(
            f"{name} must have one list of {what}s for each of the {shape[0]} that are asked "
            f"about; got {len(lists)} lists. The same {what}s for all are one list, such as [3, 17]"
        )
    rows = [check_ids(x, f"{name}[{i}]", shape[1], f"{what}s") for i, x in enumerate(lists)]
    indptr = np.cumsum([0, *map(len, rows)])
    return sp.csr_array((np.ones(indptr[-1], bool), np.concatenate(rows), indptr), shape=shape)


def keep(block: npt.NDArray[np.float32], sets: Any, rows: slice) -> None:
    """Set the scores outside the sets of some rows to -inf.

    The minimum with inf or -inf takes a fifth of the time of an assignment by a mask.
    """
    step = max(_BUFFER // max(block.shape[1], 1), 1)
    for start in range(0, len(block), step):
        part = block[start : start + step]
        mask = _as_mask(sets, rows.start + start, rows.start + start + len(part))
        np.minimum(part, _limit(mask), out=part)


def _size(sets: Any, rows: slice) -> float:
    """Return how many entries some rows have; of a mask, by a sample of rows."""
    if sp.issparse(sets):
        return int(sets.indptr[rows.stop] - sets.indptr[rows.start])
    some = sets[rows][:: max((rows.stop - rows.start) // _SAMPLE, 1)]
    return np.count_nonzero(some) * (rows.stop - rows.start) / max(len(some), 1)


def _limit(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Return inf inside the mask and -inf outside; a tenth of the time of np.where."""
    limit = mask.astype(np.float32)
    limit -= np.float32(0.5)
    limit *= np.float32(np.inf)
    return limit


def _as_mask(sets: Any, start: int, stop: int) -> npt.NDArray[np.bool_]:
    """Return the sets of some rows as a mask."""
    if not sp.issparse(sets):
        return sets[start:stop]
    first, last = sets.indptr[start], sets.indptr[stop]  # without the copies of sets[start:stop]
    indptr = sets.indptr[start : stop + 1] - first
    parts = sets.data[first:last], sets.indices[first:last], indptr
    return sp.csr_array(parts, shape=(stop - start, sets.shape[1])).toarray()


def _nonzeros_of(sets: Any, rows: slice) -> tuple[Ids, Ids]:
    """Return rows and columns of the nonzeros of some rows, sorted by row."""
    if not sp.issparse(sets):
        row, column = np.nonzero(sets[rows])
        return row, column
    indptr = sets.indptr[rows.start : rows.stop + 1]  # without the checks of sets[rows]
    row = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return row, sets.indices[indptr[0] : indptr[-1]].astype(np.int64)
