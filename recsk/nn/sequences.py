"""Batches of item sequences for next-item prediction at every position."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from recsk.nn.parallel import Processes
from recsk.nn.sampling import find_positions

__all__ = ["SequenceBatch", "SequenceSampler", "SequenceShare", "pad_sequences"]

# Share of the catalogue up to which the vectors of single items cost less than those of all.
_LARGEST_SHARE = 0.5


class SequenceShare(NamedTuple):
    """What a process has of a batch.

    Attributes
    ----------
    fraction : float
        Of the targets: the weight of the means over this share in those over the batch. Where it
        is zero, the share has a sequence all the same, which does not count.
    rows : slice
        Its sequences among those of the batch.
    n_sequences : int
        Of the batch.
    own : Tensor, int64
        Its targets among those of the batch, ascending.
    n_targets : int
        Of the batch.
    """

    fraction: float
    rows: slice
    n_sequences: int
    own: torch.Tensor
    n_targets: int


class SequenceBatch(NamedTuple):
    """B sequences of one training step, the longest of length L.

    Attributes
    ----------
    items : Tensor of shape (B, L), int64
        Oldest first; padded at the end with item 0.
    position : Tensor of shape (n,), int64
        Positions that hold an item, as indices into the flattened (B * L,).
    target : Tensor of shape (n,), int64
        The next item at each of these positions.
    negative : Tensor of shape (n_negatives,), int64, or None
        Distinct items that the batch shares as negatives; None means all items.
    target_index : Tensor of shape (n,), int64
        Position of the target among the negatives; -1 if it is not among them.
    weight : Tensor of shape (n,) or None
        Weight of each target in the loss; None weights all equally.
    needed : Tensor of shape (n_needed,), int64, or None
        Distinct items of the batch, in ascending order; `items`, `target` and `negative` are
        positions in it. None: they are items, and the batch needs the whole catalogue.
    share : SequenceShare or None
        If this is the part of a batch that one of several processes takes: which.
    """

    items: torch.Tensor
    position: torch.Tensor
    target: torch.Tensor
    negative: torch.Tensor | None
    target_index: torch.Tensor
    weight: torch.Tensor | None = None
    needed: torch.Tensor | None = None
    share: SequenceShare | None = None

    def share_of(self, processes: Processes) -> SequenceBatch:
        """Return the part that a process takes: every so many-th sequence, all targets of it."""
        n_sequences, length = self.items.shape
        counts = processes.rank < n_sequences
        rows = slice(processes.rank, None, processes.size) if counts else slice(0, 1)
        place = torch.full((n_sequences,), -1, device=self.items.device)
        items = self.items[rows]
        place[rows] = torch.arange(len(items), device=place.device)
        row = place[self.position // length]
        own = (row >= 0).nonzero()[:, 0]
        fraction = len(own) / len(self.position) if counts else 0.0
        target, negative, needed = self.target[own], self.negative, self.needed
        if needed is not None and negative is not None:
            used = torch.zeros(len(needed), dtype=torch.bool, device=place.device)
            used[items] = used[target] = used[negative] = True
            place_of = used.cumsum(0) - 1
            items, target, negative = place_of[items], place_of[target], place_of[negative]
            needed = needed[used]
        return SequenceBatch(
            items,
            row[own] * length + self.position[own] % length,
            target,
            negative,
            self.target_index[own],
            None if self.weight is None else self.weight[own],
            needed,
            SequenceShare(fraction, rows, n_sequences, own, len(self.position)),
        )


def pad_sequences(
    items: npt.NDArray[Any],
    start: npt.NDArray[np.int64],
    length: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Copy slices of a flat array into the rows of a padded array.

    Parameters
    ----------
    items : ndarray of shape (n_interactions,)
        All sequences, one after the other; or a number for each of their items.
    start, length : ndarray of shape (B,)
        Start and length of each slice.

    Returns
    -------
    padded : ndarray of shape (B, L)
        Zero after the end of a slice.
    position : ndarray of shape (n,)
        Positions of the items in the flattened (B * L,), row by row.
    """
    width = int(length.max(initial=0))
    column = np.arange(width)
    filled = column < length[:, None]
    index = np.where(filled, start[:, None] + column, 0)
    padded = np.where(filled, items[index], 0) if width else np.zeros((len(start), 0), np.int64)
    return padded, np.flatnonzero(filled)


class SequenceSampler:
    """Shuffled passes over sequences; every item but the first of each is a target once.

    A sequence longer than `max_length` + 1 items is cut into windows. Each pass draws new places
    for the cuts. Batches join sequences of similar length, so that little is padding. They have
    about the same number of targets, so that all targets have the same weight, as all steps have.

    Parameters
    ----------
    indptr : ndarray of shape (n_users + 1,)
    items : ndarray of shape (n_interactions,)
        Sequence u is ``items[indptr[u]:indptr[u + 1]]``, oldest first.
    n_items : int
    max_length : int
        Largest number of items before a target that the network reads.
    batch_size : int
        Mean number of sequences, or windows of them, per step; more where single ones are longer
        than a step should be.
    rng : RandomState
    device : torch.device
    weights : ndarray of shape (n_interactions,), float32, default=None
        Weight of each item as a target, relative to the mean over all targets.
    n_negatives : int or None, default=None
        Number of negatives of each batch, drawn uniformly among the candidates. None takes all of
        these.
    candidates : ndarray of int64, default=None
        Distinct items that may be negatives, ascending. None: those that occur in any sequence.
        Items without interactions are left out: they would only learn to be far from every user.
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
        weights: npt.NDArray[np.float32] | None = None,
        n_negatives: int | None = None,
        candidates: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self.items = items
        self.n_items = n_items
        self.max_length = max_length
        self.batch_size = batch_size
        self.rng = rng
        self.device = device
        self.n_negatives = n_negatives
        self._candidates = np.unique(items) if candidates is None else candidates
        n_candidates = len(self._candidates)
        self._draws_negatives = n_negatives is not None and n_negatives < n_candidates
        # The negatives without a draw; None is the whole catalogue.
        self._all_negatives = None
        if n_candidates < n_items:
            self._all_negatives = self._to_device(self._candidates)
        length = np.diff(indptr) - 1  # inputs: the last item of a sequence is only a target
        self._start, self._length = indptr[:-1][length > 0], length[length > 0]
        self.weights = weights
        if weights is not None and len(self._start):
            is_target = np.ones(len(items), dtype=bool)
            is_target[indptr[:-1][length >= 0]] = False
            mean = weights[is_target].mean(dtype=np.float64)
            self.weights = (weights / mean).astype(np.float32)

    def __len__(self) -> int:
        # Cuts and noise change the number of batches a little.
        return self._n_batches

    @cached_property
    def _n_batches(self) -> int:
        n_full, rest = np.divmod(self._length, self.max_length)
        length = np.sort(np.append(rest[rest > 0], np.full(n_full.sum(), self.max_length)))
        return len(_split_evenly(length, length, -(-len(length) // self.batch_size)))

    def __iter__(self) -> Iterator[SequenceBatch]:
        start, length = self._cut_windows()
        # Sorted by a length with some noise, so that batches are not always the same. Where many
        # sequences have one length, less noise is enough, which means less padding.
        noise = 0.25 * min(1, 64 * self.batch_size / max(len(length), 1))
        order = np.argsort(length * (1 + noise * self.rng.random_sample(len(length))))
        batches = _split_evenly(order, length[order], -(-len(order) // self.batch_size))
        for batch in self.rng.permutation(len(batches)):
            rows = batches[batch]
            yield self._make_batch(start[rows], length[rows])

    def _make_batch(
        self, start: npt.NDArray[np.int64], length: npt.NDArray[np.int64]
    ) -> SequenceBatch:
        padded, position = pad_sequences(self.items, start, length)
        next_items, _ = pad_sequences(self.items, start + 1, length)
        arrays = [padded, next_items.reshape(-1)[position]]
        n_ids, needed = self.n_items, None
        if self._draws_negatives:
            drawn = self.rng.permutation(len(self._candidates))[: self.n_negatives]
            arrays.append(self._candidates[drawn])
            used = np.zeros(n_ids, dtype=bool)
            for items in arrays:
                used[items] = True
            if used.sum() <= _LARGEST_SHARE * n_ids:
                place, needed = np.cumsum(used) - 1, self._to_device(np.flatnonzero(used))
                arrays, n_ids = [place[items] for items in arrays], len(needed)
        weight = None
        if self.weights is not None:
            next_weights, _ = pad_sequences(self.weights, start + 1, length)
            weight = self._to_device(next_weights.reshape(-1)[position])
        inputs, target, *shared = map(self._to_device, arrays)
        negative = shared[0] if shared else self._all_negatives
        return SequenceBatch(
            inputs,
            self._to_device(position),
            target,
            negative,
            target if negative is None else find_positions(target, negative, n_ids),
            weight,
            needed,
        )

    def _to_device(self, array: npt.NDArray[Any]) -> torch.Tensor:
        tensor = torch.as_tensor(array)
        if self.device.type == "cuda":
            # From other memory the copy would wait for the device.
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    def _cut_windows(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Cut long sequences and return the start and length of every window.

        Only the first window of a sequence has a random length; those after it are full, except
        the last.
        """
        first = self._length.copy()
        long = first > self.max_length
        first[long] = self.rng.randint(1, self.max_length + 1, size=long.sum())
        n_more = -(-(self._length - first) // self.max_length)
        sequence = np.repeat(np.arange(len(first)), n_more + 1)
        first_window = np.cumsum(n_more + 1) - n_more - 1
        window = np.arange(len(sequence)) - np.repeat(first_window, n_more + 1)
        begin = np.where(window > 0, first[sequence] + (window - 1) * self.max_length, 0)
        end = np.minimum(first[sequence] + window * self.max_length, self._length[sequence])
        return self._start[sequence] + begin, end - begin


def _split_evenly(
    windows: npt.NDArray[np.int64], length: npt.NDArray[np.int64], n: int
) -> list[npt.NDArray[np.int64]]:
    """Split windows into n runs of about the same total length, fewer if windows are longer."""
    end = np.cumsum(length)
    run = (end - 1) * n // end[-1:]
    return np.split(windows, np.flatnonzero(np.diff(run)) + 1) if len(windows) else []
