"""Batches that have all interactions of their users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from recsk.nn.batches import Batch, BatchRows, SeenNegatives
from recsk.nn.sampling import InteractionSampler, find_positions

__all__ = ["UserBatches"]

# Batches that are drawn at once; the device is waited for twice for all of them.
_DRAWN_AT_ONCE = 32


class UserBatches(InteractionSampler):
    """Shuffled passes over the users, with all their interactions.

    A batch knows the histories of its users. So a step can propagate from them without the rest of
    the graph, and compares each user with the negatives once, however many interactions it has.

    Parameters
    ----------
    user, item : Tensor of shape (n_interactions,), int64
        Pairs without duplicates, sorted by user, on the device.
    affinity : Tensor of shape (n_interactions,)
        Entry of the interaction graph for each pair.
    n_items : int
    batch_size : int
        Number of interactions that a batch has about; users are never divided.
    exclude_seen : bool, default=False
    **options
        Generator, shared negatives and weights, as in `InteractionSampler`.
    """

    def __init__(
        self,
        user: torch.Tensor,
        item: torch.Tensor,
        affinity: torch.Tensor,
        *,
        exclude_seen: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(user, item, **options)
        self.affinity = affinity
        self.exclude_seen = exclude_seen and self.n_shared is not None
        self._users, self._counts = torch.unique_consecutive(user, return_counts=True)
        self._starts = self._counts.cumsum(0) - self._counts
        self._true = torch.ones((), dtype=torch.bool, device=user.device)

    def __len__(self) -> int:
        return min(super().__len__(), len(self._users))

    def __iter__(self) -> Iterator[Batch]:
        order = self._draw_permutation(len(self._users))
        first_users, first_pairs = self._divide(self._counts[order])
        for first in range(0, len(self), _DRAWN_AT_ONCE):
            part = slice(first, first + _DRAWN_AT_ONCE + 1)
            users, pairs = first_users[part], first_pairs[part]
            yield from self._draw(order[users[0] : users[-1]], users, pairs)

    def _divide(self, counts: torch.Tensor) -> tuple[list[int], list[int]]:
        """Divide users into batches of about as many interactions.

        Returns
        -------
        first_users, first_pairs : list of int, one more than there are batches
            The first user of each batch, and the number of interactions before it.
        """
        n_batches, n_users = len(self), len(counts)
        n_pairs = counts.cumsum(0)
        batch = torch.arange(n_batches + 1, device=counts.device)
        bounds = batch * (len(self.user) / n_batches)
        first = torch.searchsorted(n_pairs, bounds.to(n_pairs.dtype), right=False)
        # Every batch has a user: firsts rise by at least one, and leave one user to each batch.
        first = torch.cummax(first - batch, 0).values + batch
        first = torch.minimum(first, n_users - n_batches + batch)
        first[-1:] = n_users  # ``first[-1] = ...`` would copy the number to the device, and wait
        before = torch.cat([n_pairs.new_zeros(1), n_pairs])[first]
        first_users, first_pairs = torch.stack([first, before]).tolist()
        return first_users, first_pairs

    def _draw(self, order: torch.Tensor, users: list[int], pairs: list[int]) -> Iterator[Batch]:
        """Draw some batches; `users` and `pairs` are where each of them starts and ends."""
        n_batches, n_pairs = len(users) - 1, pairs[-1] - pairs[0]
        device = order.device
        counts = self._counts[order]
        skipped = self._starts[order] - counts.cumsum(0) + counts
        owner = torch.arange(len(order), device=device)
        owner = torch.repeat_interleave(owner, counts, output_size=n_pairs)
        index = torch.arange(n_pairs, device=device) + skipped[owner]
        ends = torch.tensor(pairs[1:], device=device) - pairs[0]
        batch = torch.searchsorted(ends, torch.arange(n_pairs, device=device), right=True)

        user, positive = self.user[index], self.item[index]
        if self.n_shared is None:
            negative, batch_of_negative = self.draw_negatives(user), batch
            bounds = pairs
        else:
            negative = self._draw_shared_negatives(self.n_shared, n_batches).flatten()
            batch_of_negative = torch.arange(n_batches, device=device)
            batch_of_negative = batch_of_negative.repeat_interleave(
                self.n_shared, output_size=len(negative)
            )
            bounds = [b * self.n_shared for b in range(n_batches + 1)]
        keys = torch.cat([batch, batch_of_negative]) * self.n_items
        keys, key_index = torch.unique(keys + torch.cat([positive, negative]), return_inverse=True)
        n_keys = torch.bincount(keys // self.n_items, minlength=n_batches).tolist()

        first_key = 0
        for b, n in enumerate(n_keys):
            own = slice(pairs[b] - pairs[0], pairs[b + 1] - pairs[0])
            of_negatives = slice(bounds[b] - bounds[0], bounds[b + 1] - bounds[0])
            first_user = users[b] - users[0]
            rows = BatchRows(
                self._users[order[first_user : users[b + 1] - users[0]]],
                owner[own] - first_user,
                keys[first_key : first_key + n] % self.n_items,
                key_index[own] - first_key,
                key_index[n_pairs + of_negatives.start : n_pairs + of_negatives.stop] - first_key,
                self.affinity[index[own]],
            )
            first_key += n
            weight = None if self.weight is None else self.weight[index[own]]
            yield self._with_seen(
                Batch(user[own], positive[own], negative[of_negatives], None, weight, None, rows)
            )

    def _with_seen(self, batch: Batch) -> Batch:
        """Add where the shared negatives are positives, of any user or of the same."""
        if self.n_shared is None:
            return batch
        position = find_positions(batch.positive, batch.negative, self.n_items)
        if not self.exclude_seen:
            return batch._replace(positive_index=position)
        assert batch.rows is not None
        user, user_index = batch.rows.user, batch.rows.user_index
        n_negatives = len(batch.negative)
        seen = self._true.new_zeros(len(user), n_negatives + 1)  # the last column: not among them
        seen[user_index, position % (n_negatives + 1)] = self._true
        return batch._replace(seen=SeenNegatives(user, user_index, seen[:, :-1]))
