"""The ranking engine of devices: exact top-k in torch, with ties in the order of ids.

It gives the lists of the engine of the CPU, up to the rounding of scores. Only a call with a device
imports this module, and torch with it.
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from recsk.ranking.allowed import Allowed
from recsk.ranking.devices import is_memory_error_of_device
from recsk.ranking.engine import Ranking
from recsk.ranking.scores import CombinedScores, Scores, ScoresOfItems

__all__ = ["on_device", "rank_on_device", "unit_rows_on_device"]

Ids = npt.NDArray[np.int64]
# Memory of a block: the scores, and the keys that order them.
_BLOCK_BYTES = {"cpu": 2**24, "cuda": 2**30}
_BYTES_PER_SCORE = 28
_BYTES_PER_PRODUCT = 48  # of an item of a history and a related item
_LOW = 2**32 - 1


def rank_on_device(scores: Scores, k: int, allowed: Allowed, device: str) -> Ranking:
    """Find the k columns with the largest scores for each row; arguments are checked.

    Parameters
    ----------
    scores : Scores
        Vectors may be arrays or tensors.
    k : int
    allowed : Allowed
    device : str
        Of torch.

    Returns
    -------
    ids, scores : ndarray of shape (n_rows, k), int64 and float32
        As `recsk.ranking.blocks.rank`.

    Raises
    ------
    ValueError
        If a score is not a number, or the device does not exist.
    torch.OutOfMemoryError
        If the memory of the device is not enough.
    """
    where = _check_device(device)
    try:
        with torch.no_grad(), torch.autocast(where.type, enabled=False):
            return _rank(scores, k, allowed, where)
    except RuntimeError as error:
        if not is_memory_error_of_device(error):
            raise
        raise torch.OutOfMemoryError(
            f"the memory of {device} was not enough to rank {scores.shape[1]} items: set "
            "device='cpu' by set_params, or free memory of the device"
        ) from error


def _check_device(device: Any) -> torch.device:
    try:
        where = torch.device(device)
    except (RuntimeError, TypeError):
        where = None
    n_devices = torch.cuda.device_count()
    if where is None or not (
        where.type == "cpu" or (where.type == "cuda" and (where.index or 0) < n_devices)
    ):
        raise ValueError(
            f"device must be 'cpu' or a device of CUDA, of which torch sees {n_devices}, such as "
            f"'cuda:0'; got {device!r}. None ranks on the CPU without torch"
        )
    return where


def _rank(scores: Scores, k: int, allowed: Allowed, device: torch.device) -> Ranking:
    n = scores.shape[0]
    ids = np.full((n, k), -1, dtype=np.int64)
    best = np.full((n, k), -np.inf, dtype=np.float32)
    scorer, columns = _scorer(scores, device), None
    if isinstance(scorer, _Combined) and allowed.common is not None and allowed.sets is None:
        columns = np.flatnonzero(allowed.common)
        scorer.choose(columns)
        allowed = allowed.among(columns)
    n_columns = scorer.shape[1]
    if not (n and n_columns):
        return ids, best
    width = min(k, n_columns)
    reversed_ids = _LOW - torch.arange(n_columns, device=device)
    column_of = None if columns is None else _to(columns, device)
    common = None if allowed.common is None else _to(~allowed.common, device)
    for rows in scorer.blocks():
        block = scorer.block(rows)
        _forbid(block, allowed, common, rows)
        found, values = _best(block, width, reversed_ids)
        if column_of is not None:
            found = column_of[found]
        found.masked_fill_(values == -torch.inf, -1)
        best[rows, :width] = values.cpu().numpy()
        ids[rows, :width] = found.cpu().numpy()
    return ids, best


def _best(
    block: torch.Tensor, k: int, reversed_ids: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and scores of the best columns of each row.

    `torch.topk` takes any of equal scores. So it ranks integers that have the score in their high
    bits and the id, reversed, in the low ones: no two are equal.
    """
    block.add_(0.0)  # -0.0, which equals 0.0, has other bits
    bits = block.view(torch.int32)
    # The bits of floats are ordered as they are; those of negative ones the other way round.
    keys = (bits >> 31).bitwise_and_(0x7FFFFFFF).bitwise_xor_(bits).to(torch.int64)
    keys.bitwise_left_shift_(32).add_(reversed_ids)
    found = _LOW - keys.topk(k, dim=1).values.bitwise_and_(_LOW)
    values = block.gather(1, found)
    # A score that is not a number is larger than all others here, or smaller.
    if block.isnan().any():
        raise ValueError("a score is not a number (NaN)")
    return found, values


def _forbid(
    block: torch.Tensor, allowed: Allowed, common: torch.Tensor | None, rows: slice
) -> None:
    """Set the scores of items that are not allowed to -inf."""
    if common is not None:
        block.masked_fill_(common, -torch.inf)
    if allowed.exclude is not None:
        _fill(block, allowed.exclude, rows, -torch.inf)
    if allowed.sets is not None:
        block.masked_fill_(~_mask(allowed.sets, rows, block), -torch.inf)
    if allowed.filtered is not None:
        block.masked_fill_(_mask(allowed.filtered, rows, block), -torch.inf)


def _fill(block: torch.Tensor, sets: Any, rows: slice, value: float) -> None:
    """Set the entries of a block at the nonzeros of some rows of a sparse matrix."""
    first, last = sets.indptr[rows.start], sets.indptr[rows.stop]
    length = np.diff(sets.indptr[rows.start : rows.stop + 1])
    row = np.repeat(np.arange(len(length)), length)
    flat = row * block.shape[1] + sets.indices[first:last]
    block.view(-1).index_fill_(0, _to(flat, block.device), value)


def _mask(sets: Any, rows: slice, block: torch.Tensor) -> torch.Tensor:
    if not sp.issparse(sets):
        return _to(sets[rows], block.device)
    mask = torch.zeros(block.shape, dtype=torch.bool, device=block.device)
    _fill(mask, sets, rows, True)
    return mask


class _Scorer(ABC):
    """Scores of some rows, computed on a device."""

    def __init__(self, shape: tuple[int, int], device: torch.device) -> None:
        self.shape, self.device = shape, device

    @abstractmethod
    def block(self, rows: slice) -> torch.Tensor:
        """Compute the scores of some rows for all columns, as a new contiguous tensor."""

    def memory(self) -> npt.NDArray[np.float64]:
        """Return about how many bytes each row takes while it is ranked."""
        return np.full(self.shape[0], float(_BYTES_PER_SCORE * max(self.shape[1], 1)))

    def blocks(self) -> Iterator[slice]:
        """Split the rows into blocks of bounded memory."""
        most = _BLOCK_BYTES.get(self.device.type, _BLOCK_BYTES["cuda"])
        needed = np.cumsum(self.memory())
        start = 0
        while start < len(needed):
            before = needed[start - 1] if start else 0.0
            stop = max(int(np.searchsorted(needed, before + most, side="right")), start + 1)
            yield slice(start, stop)
            start = stop


class _Combined(_Scorer):
    """Inner products of vectors, item-to-item weights of histories, or both."""

    def __init__(self, scores: CombinedScores, device: torch.device) -> None:
        super().__init__(scores.shape, device)
        self.users = scores.users
        self.items = None
        if scores.item_vectors is not None:
            self.items = on_device(scores.item_vectors, device)
            if scores._chosen is not None:
                self.items = self.items.index_select(0, _to(scores._chosen, device))
        self.term = None
        if scores.item_to_item is not None:
            self.term = _ItemToItem(scores.item_to_item, device)
        if self.items is None and self.term is None:
            raise ValueError("a score needs vectors of users and items, or weights")
        self.columns: torch.Tensor | None = None

    def choose(self, columns: Ids) -> None:
        """Score some of the columns only."""
        self.columns = _to(columns, self.device)
        self.shape = self.shape[0], len(columns)
        if self.items is not None:
            self.items = self.items.index_select(0, self.columns)

    def memory(self) -> npt.NDArray[np.float64]:
        needed = super().memory()
        if self.term is not None:
            n_products = self.term.n_products(self.users.weights)
            needed += _BYTES_PER_PRODUCT * n_products + 8.0 * self.term.n_items
        return needed

    def block(self, rows: slice) -> torch.Tensor:
        scores = None
        if self.items is not None:
            assert self.users.vectors is not None
            scores = _to(self.users.vectors[rows], self.device) @ self.items.T
        if self.term is not None:
            term = self.term.of(self.users.weights, rows)
            if self.users.unrelated is not None:
                _fill(term, self.users.unrelated, rows, 0.0)
            if self.columns is not None:
                term = term.index_select(1, self.columns)
            scores = term if scores is None else scores.add_(term)
        assert scores is not None
        return scores


class _ItemToItem:
    """Products of histories and an item-to-item matrix."""

    def __init__(self, matrix: Any, device: torch.device) -> None:
        self.device, self.n_items = device, matrix.shape[1]
        self.dense = None
        self.length = np.full(matrix.shape[0], matrix.shape[1])
        if not sp.issparse(matrix):
            self.dense = on_device(matrix, device)
            return
        matrix = sp.csr_matrix(matrix)
        self.length = np.diff(matrix.indptr)
        self.starts, self.indices, self.values = (
            on_device(part, device) for part in (matrix.indptr, matrix.indices, matrix.data)
        )

    def n_products(self, weights: Any) -> npt.NDArray[np.float64]:
        """Return the number of products for each row of weights."""
        if self.dense is not None:
            return np.zeros(weights.shape[0])
        ends = np.append(0, np.cumsum(self.length[weights.indices], dtype=np.float64))
        return ends[weights.indptr[1:]] - ends[weights.indptr[:-1]]

    def of(self, weights: Any, rows: slice) -> torch.Tensor:
        """Compute the products of some rows of weights, as a dense tensor."""
        device, n_rows = self.device, rows.stop - rows.start
        first, last = weights.indptr[rows.start], weights.indptr[rows.stop]
        histories = weights.indices[first:last]
        row = np.repeat(np.arange(n_rows), np.diff(weights.indptr[rows.start : rows.stop + 1]))
        weight = _to(weights.data[first:last], device).to(torch.float32)
        history, row_of = _to(histories.astype(np.int64), device), _to(row, device)
        if self.dense is not None:
            whole = torch.zeros(n_rows, len(self.dense), device=device)
            whole.view(-1).index_copy_(0, row_of * len(self.dense) + history, weight)
            return whole @ self.dense
        # One product for each item of a history and each related item; no size is read from the
        # device.
        n_products = int(self.length[histories].sum())
        start = self.starts.index_select(0, history).to(torch.int64)
        count = self.starts.index_select(0, history + 1).to(torch.int64) - start
        pair = torch.arange(len(histories), device=device)
        pair = torch.repeat_interleave(pair, count, output_size=n_products)
        place = (start - count.cumsum(0) + count).index_select(0, pair)
        place += torch.arange(n_products, device=device)
        products = self.values.index_select(0, place) * weight.index_select(0, pair)
        item = self.indices.index_select(0, place).to(torch.int64)
        flat = row_of.index_select(0, pair) * self.n_items + item
        return _sums(products, flat, n_rows * self.n_items).view(n_rows, self.n_items)


def _sums(values: torch.Tensor, ids: torch.Tensor, n: int) -> torch.Tensor:
    """Sum values by id, in their order: the same sums each time."""
    if values.device.type == "cpu":
        return torch.zeros(n, device=values.device).index_add_(0, ids, values)
    # On CUDA, `index_add_` has no order.
    sums = torch.ops.aten.embedding_dense_backward(values[:, None], ids, n, -1, False)
    return sums[:, 0]


class _Blocks(_Scorer):
    """Scores that something else computes on the CPU."""

    def __init__(self, scores: Scores, device: torch.device) -> None:
        super().__init__(scores.shape, device)
        self.scores = scores

    def block(self, rows: slice) -> torch.Tensor:
        return _to(np.ascontiguousarray(self.scores.block(rows)), self.device)


class _OfItems(_Scorer):
    """The other way round: rows are items, columns are users."""

    def __init__(self, scores: ScoresOfItems, device: torch.device) -> None:
        super().__init__(scores.shape, device)
        self.scores = scores

    def block(self, rows: slice) -> torch.Tensor:
        some = _scorer(self.scores.of_users(rows), self.device)
        parts = [some.block(users).T for users in some.blocks()]
        return torch.cat(parts, dim=1).contiguous()


def _scorer(scores: Scores, device: torch.device) -> _Scorer:
    if isinstance(scores, CombinedScores):
        return _Combined(scores, device)
    if isinstance(scores, ScoresOfItems):
        return _OfItems(scores, device)
    return _Blocks(scores, device)


# Arrays of fitted models on devices, as long as the arrays live: they are never changed.
_Copies = dict[tuple[int, str], tuple[weakref.ref[Any], torch.Tensor]]
_copies: _Copies = {}


def on_device(array: Any, device: torch.device) -> torch.Tensor:
    """Return an array of a fitted model on a device, where it stays until the array is deleted."""
    if isinstance(array, torch.Tensor) or device.type == "cpu":
        return _to(array, device)
    key = id(array), str(device)
    known = _copies.get(key)
    if known is not None and known[0]() is array:
        return known[1]
    copy = _to(array, device)
    _copies[key] = weakref.ref(array, partial(_forget, key, _copies)), copy
    return copy


def _forget(key: tuple[int, str], copies: _Copies, reference: weakref.ref[Any]) -> None:
    # Without a lock: the worst is that a copy is made again.
    known = copies.get(key)
    if known is not None and known[0] is reference:
        copies.pop(key, None)


def unit_rows_on_device(vectors: Any, device: str) -> Any:
    """Scale the rows of an array to length one on a device; rows of zeros stay zero."""
    rows = on_device(vectors, _check_device(device))
    peak = rows.abs().amax(dim=1, keepdim=True)
    rows = rows / torch.where(peak > 0, peak, 1)
    return rows / torch.where(peak > 0, rows.norm(dim=1, keepdim=True), 1)


def _to(array: Any, device: torch.device) -> torch.Tensor:
    if isinstance(array, torch.Tensor):
        return array
    # torch warns of arrays that are read-only; nothing writes to these.
    array = array if array.flags.writeable else array.copy()
    return torch.as_tensor(array, device=device)
