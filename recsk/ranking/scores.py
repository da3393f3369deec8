"""Scores of users for items, computed where they are needed: by blocks, or for given pairs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.ranking.users import Users, combine_scores

__all__ = ["BlockScores", "CombinedScores", "Scores", "ScoresOfItems"]

Ids = npt.NDArray[np.int64]
Array = npt.NDArray[np.float32]
_BLOCK_BYTES = 2**26  # memory for the scores of a block
_PAIR_NUMBERS = 2**20  # numbers in the vectors of the pairs that are scored at once


class Scores(ABC):
    """Scores of some rows for some columns, such as of users for items.

    Parameters
    ----------
    shape : tuple of int
    n_computed : int, default=None
        Numbers that a row takes while it is computed. None means one for each column.
    """

    def __init__(self, shape: tuple[int, int], n_computed: int | None = None) -> None:
        self.shape = shape
        self.n_computed = shape[1] if n_computed is None else n_computed

    @abstractmethod
    def block(self, rows: slice) -> Array:
        """Compute the scores of some rows for all columns, as a new array."""

    @abstractmethod
    def among(self, columns: Ids) -> Scores:
        """Return the scores for some of the columns."""

    @abstractmethod
    def of(self, rows: Ids) -> Scores:
        """Return the scores of some of the rows."""

    def of_pairs(self, rows: Ids, columns: Ids) -> Array:
        """Compute the scores of pairs of a row and a column."""
        scores = np.empty(len(rows), dtype=np.float32)
        for block, pairs in _pairs_by_block(rows, self.blocks()):
            scores[pairs] = self.block(block)[rows[pairs] - block.start, columns[pairs]]
        return scores

    def blocks(self, most: int | None = None) -> list[slice]:
        """Split the rows into blocks that fit in bounded memory, of at most so many rows."""
        return _blocks(self.shape[0], self.n_computed, most)


class BlockScores(Scores):
    """Scores that come in blocks, from whatever computes them.

    Parameters
    ----------
    score_block : callable
        Takes a slice of rows and returns their scores for all columns, as a new array. `of` needs
        one that takes arrays of ids too.
    shape : tuple of int
    """

    def __init__(self, score_block: Callable[[Any], Array], shape: tuple[int, int]) -> None:
        super().__init__(shape)
        self._score_block = score_block
        self._columns: Ids | None = None

    def block(self, rows: slice) -> Array:
        """Compute the scores of some rows."""
        scores = np.asarray(self._score_block(rows), dtype=np.float32)
        shape = rows.stop - rows.start, self.n_computed
        if scores.shape != shape:
            raise ValueError(f"a block of scores must have shape {shape}; got {scores.shape}")
        return scores if self._columns is None else scores[:, self._columns]

    def among(self, columns: Ids) -> Scores:
        """Return the scores for some of the columns."""
        some = BlockScores(self._score_block, (self.shape[0], self.n_computed))
        some.shape = self.shape[0], len(columns)
        some._columns = columns if self._columns is None else self._columns[columns]
        return some

    def of(self, rows: Ids) -> Scores:
        """Return the scores of some of the rows."""
        some = BlockScores(lambda of: self._score_block(rows[of]), (len(rows), self.n_computed))
        some.shape, some._columns = (len(rows), self.shape[1]), self._columns
        return some


class CombinedScores(Scores):
    """Inner products of vectors, item-to-item weights of histories, or both.

    Parameters
    ----------
    users : Users
    item_vectors : ndarray of shape (n_items, width), float32, or None
    item_to_item : sparse matrix or ndarray of shape (n_known, n_items), float32, or None
        Its rows are the items of histories.
    n_users, n_items : int
    """

    def __init__(
        self,
        users: Users,
        item_vectors: Array | None,
        item_to_item: Any,
        n_users: int,
        n_items: int,
    ) -> None:
        super().__init__((n_users, n_items))
        self.users = users
        self.item_vectors = None if users.vectors is None else item_vectors
        self.item_to_item = None if users.weights is None else item_to_item
        self._chosen: Ids | None = None  # rows of `item_vectors`; None: all

    def block(self, rows: slice) -> Array:
        """Compute the scores of some users."""
        everybody = rows.start == 0 and rows.stop == self.shape[0]
        users = self.users if everybody else self.users[rows]
        return combine_scores(users, self.item_vectors, self.item_to_item, self._chosen)

    def among(self, columns: Ids) -> CombinedScores:
        """Return the scores for some of the items."""
        weights, term, unrelated = self.users.weights, self.item_to_item, self.users.unrelated
        if term is not None and weights is not None:
            if weights.nnz > term.shape[0]:
                term = term[:, columns]
            elif self.shape[0] == 1:  # a dense row is cut sooner than a sparse one
                row = weights @ term
                term = (row.toarray() if sp.issparse(row) else row)[:, columns]
                weights = sp.csr_matrix(np.ones((1, 1), dtype=np.float32))
            else:  # the histories are short beside all the relations: multiply before the cut
                weights = sp.csr_matrix((weights @ term)[:, columns])
                term = sp.identity(len(columns), dtype=np.float32, format="csr")
        if unrelated is not None:
            unrelated = unrelated[:, columns]
        users = Users(self.users.vectors, weights, unrelated)
        some = CombinedScores(users, self.item_vectors, term, self.shape[0], len(columns))
        some._chosen = columns if self._chosen is None else self._chosen[columns]
        return some

    def of(self, rows: Ids) -> CombinedScores:
        """Return the scores of some of the users."""
        shape = len(rows), self.shape[1]
        some = CombinedScores(self.users[rows], self.item_vectors, self.item_to_item, *shape)
        some._chosen = self._chosen
        return some

    def of_pairs(self, rows: Ids, columns: Ids) -> Array:
        """Compute the scores of pairs of a user and an item."""
        scores = np.zeros(len(rows), dtype=np.float32)
        if self.item_vectors is not None:
            vectors = self.users.vectors
            assert vectors is not None
            vector_of = columns if self._chosen is None else self._chosen[columns]
            step = max(_PAIR_NUMBERS // max(vectors.shape[1], 1), 1)
            for start in range(0, len(rows), step):
                some = slice(start, start + step)
                pairs = vectors[rows[some]], self.item_vectors[vector_of[some]]
                scores[some] = np.einsum("ij,ij->i", *pairs)
        if self.item_to_item is not None:
            scores += self._term_of_pairs(rows, columns)
        return scores

    def _term_of_pairs(self, rows: Ids, columns: Ids) -> Array:
        """Compute the part of item-to-item weights."""
        term: Any = self.item_to_item
        weights, unrelated = self.users.weights, self.users.unrelated
        assert weights is not None
        used, place = np.unique(columns, return_inverse=True)
        if weights.nnz > term.shape[0] and 2 * len(used) < self.shape[1]:
            term, columns = term[:, used], place
            unrelated = None if unrelated is None else unrelated[:, used]
        found, rows = np.unique(rows, return_inverse=True)
        scores = np.empty(len(rows), dtype=np.float32)
        for block, pairs in _pairs_by_block(rows, _blocks(len(found), term.shape[1], 256)):
            row, column = rows[pairs] - block.start, columns[pairs]
            part = _entries(weights[found[block]] @ term, row, column)
            if unrelated is not None:
                part[_entries(unrelated[found[block]], row, column) != 0] = 0
            scores[pairs] = part
        return scores


class ScoresOfItems(Scores):
    """The other way round: rows are some items, columns are all users.

    Parameters
    ----------
    scores : Scores
        Of users for items.
    items : ndarray of int
    """

    def __init__(self, scores: Scores, items: Ids) -> None:
        super().__init__((len(items), scores.shape[0]))
        self._all = scores
        self._items = items

    def block(self, rows: slice) -> Array:
        """Compute the scores of all users for some of the items."""
        some = self.of_users(rows)
        scores = np.empty((rows.stop - rows.start, self.shape[1]), dtype=np.float32)
        for users in some.blocks():
            scores[:, users] = some.block(users).T
        return scores

    def of_users(self, rows: slice) -> Scores:
        """Return the scores of all users for some of the items, with users as rows."""
        return self._all.among(self._items[rows])

    def among(self, columns: Ids) -> Scores:
        """Return the scores of some of the users."""
        return ScoresOfItems(self._all.of(columns), self._items)

    def of(self, rows: Ids) -> Scores:
        """Return the scores of some of the items."""
        return ScoresOfItems(self._all, self._items[rows])

    def of_pairs(self, rows: Ids, columns: Ids) -> Array:
        """Compute the scores of pairs of an item and a user."""
        return self._all.of_pairs(columns, self._items[rows])


def _blocks(n: int, width: int, most: int | None = None) -> list[slice]:
    height = max(_BLOCK_BYTES // (4 * max(width, 1)), 1)
    height = height if most is None else min(height, most)
    return [slice(start, min(start + height, n)) for start in range(0, n, height)]


def _pairs_by_block(rows: Ids, blocks: list[slice]) -> Iterator[tuple[slice, Ids]]:
    """Yield each block of rows that has pairs, with the positions of these pairs."""
    order = np.argsort(rows, kind="stable")
    ends = np.searchsorted(rows[order], [block.stop for block in blocks])
    start = 0
    for block, end in zip(blocks, ends.tolist(), strict=True):
        if end > start:
            yield block, order[start:end]
        start = end


def _entries(matrix: Any, rows: Ids, columns: Ids) -> Array:
    """Return entries of a sparse matrix or an array."""
    if not len(rows):
        return np.empty(0, dtype=np.float32)
    entries = matrix[rows, columns]
    entries = entries.toarray() if sp.issparse(entries) else entries
    return np.asarray(entries, dtype=np.float32).reshape(-1)
