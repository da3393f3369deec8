"""Batches of item sequences, in which every position predicts the item after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from recsk.nn.sampling import place_of

__all__ = ["SequenceBatch", "SequenceSampler", "pad"]


class SequenceBatch(NamedTuple):
    """Sequences of one training step, B of them, the longest of length L.

    Attributes
    ----------
    items : Tensor of shape (B, L), int64
        Oldest first; padded at the end with item 0.
    place : Tensor of shape (n,), int64
        The positions that hold an item, as indices into the flattened (B * L,).
    target : Tensor of shape (n,), int64
        The item that came after each of them.
    negative : Tensor of shape (n_negatives,), int64, or None
        Different items that the batch shares as negatives; None for all items.
    own : Tensor of shape (n,), int64
        Where among the negatives the target is; -1 for nowhere.
    """

    items: torch.Tensor
    place: torch.Tensor
    target: torch.Tensor
    negative: torch.Tensor | None
    own: torch.Tensor


def pad(
    items: npt.NDArray[np.int64],
    start: npt.NDArray[np.int64],
    length: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Put runs of a flat array below each other.

    Parameters
    ----------
    items : ndarray of shape (n_interactions,)
        All sequences, one after the other.
    start, length : ndarray of shape (B,)
        Where each run begins, and how many items it has.

    Returns
    -------
    padded : ndarray of shape (B, L)
        Zero after the end of a run.
    place : ndarray of shape (n,)
        Where the runs are in the flattened (B * L,), row by row.
    """
    width = int(length.max(initial=0))
    column = np.arange(width)
    filled = column < length[:, None]
    index = np.where(filled, start[:, None] + column, 0)
    padded = np.where(filled, items[index], 0) if width else np.zeros((len(start), 0), np.int64)
    return padded, np.flatnonzero(filled)


class SequenceSampler:
    """Shuffled passes over sequences; every item but the first of each is predicted once.

    A sequence that does not fit into `max_length` is cut into windows at places that are drawn
    anew for every pass. Batches join sequences of similar length, so that little is padding.

    Parameters
    ----------
    indptr : ndarray of shape (n_users + 1,)
    items : ndarray of shape (n_interactions,)
        Sequence u is ``items[indptr[u]:indptr[u + 1]]``, oldest first.
    n_items : int
    max_length : int
        Most items that are looked back at.
    batch_size : int
        Sequences, or windows of them, per step.
    rng : RandomState
    device : torch.device
    n_negatives : int or None, default=None
        Items drawn uniformly for each batch as its negatives, among those in any sequence; None
        takes all of these. Others would learn nothing but to be far from everybody.
    """

    def __init__(
        self,
        indptr: npt.NDArray[np.int64],
        items: npt.NDArray[np.int64],
        *,
        n_items: int,
        max_length: int,
        batch_size: int,
        rng: np.random.RandomState,
        device: torch.device,
        n_negatives: int | None = None,
    ) -> None:
        self.items = items
        self.n_items = n_items
        self.max_length = max_length
        self.batch_size = batch_size
        self.rng = rng
        self.device = device
        self._met = np.unique(items)
        self.n_negatives = n_negatives
        self._draws = n_negatives is not None and n_negatives < len(self._met)
        self._all = None if len(self._met) == n_items else self._to_device(self._met)
        length = np.diff(indptr) - 1  # inputs: all but the last, which is only a target
        self._start, self._length = indptr[:-1][length > 0], length[length > 0]

    def __len__(self) -> int:
        # Where the cuts fall moves the number of windows a little; this is only for the bar.
        windows = -(-self._length // self.max_length)
        return int(-(-windows.sum() // self.batch_size))

    def __iter__(self) -> Iterator[SequenceBatch]:
        start, length = self._windows()
        # Of similar length, with some chance in it so that batches are not always the same.
        order = np.argsort(length * (1 + 0.25 * self.rng.random_sample(len(length))))
        batches = [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]
        for batch in self.rng.permutation(len(batches)):
            rows = batches[batch]
            yield self._batch(start[rows], length[rows])

    def _batch(self, start: npt.NDArray[np.int64], length: npt.NDArray[np.int64]) -> SequenceBatch:
        padded, place = pad(self.items, start, length)
        following, _ = pad(self.items, start + 1, length)
        target = self._to_device(following.reshape(-1)[place])
        negative = self._all
        if self._draws:
            drawn = self.rng.permutation(len(self._met))[: self.n_negatives]
            negative = self._to_device(self._met[drawn])
        own = target if negative is None else place_of(target, negative, self.n_items)
        return SequenceBatch(self._to_device(padded), self._to_device(place), target, negative, own)

    def _to_device(self, array: npt.NDArray[np.int64]) -> torch.Tensor:
        return torch.as_tensor(array).to(self.device, non_blocking=True)

    def _windows(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Cut what is too long; the first window of a sequence is the one that varies."""
        first = self._length.copy()
        long = first > self.max_length
        first[long] = self.rng.randint(1, self.max_length + 1, size=long.sum())
        rest = -(-(self._length - first) // self.max_length)
        owner = np.repeat(np.arange(len(first)), rest + 1)
        rank = np.arange(len(owner)) - np.repeat(np.cumsum(rest + 1) - rest - 1, rest + 1)
        begin = np.where(rank > 0, first[owner] + (rank - 1) * self.max_length, 0)
        end = np.minimum(first[owner] + rank * self.max_length, self._length[owner])
        return self._start[owner] + begin, end - begin
