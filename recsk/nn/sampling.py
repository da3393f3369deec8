"""Batches of interactions with sampled negatives, drawn on the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch

__all__ = ["Batch", "InteractionSampler", "Met", "place_of"]


class Met(NamedTuple):
    """What the users of a batch have met of the items that it shares.

    Attributes
    ----------
    user : Tensor of shape (n_users,), int64
        The different users of the batch.
    owner : Tensor of shape (n,), int64
        Which of these each interaction is of.
    items : Tensor of bool of shape (n_users, n_negatives)
        What they have met.
    """

    user: torch.Tensor
    owner: torch.Tensor
    items: torch.Tensor


class Batch(NamedTuple):
    """Interactions of one training step.

    Attributes
    ----------
    user, positive : Tensor of shape (n,), int64
        Who met what.
    negative : Tensor of shape (n,) or (n_negatives,), int64
        An item for each interaction that its user has not met, or different items that all
        share.
    own : Tensor of shape (n,), int64, or None
        Where among the shared items the item met is; -1 for nowhere.
    weight : Tensor of shape (n,) or None
        How much each interaction counts; None is one everywhere.
    met : Met or None
        What the users have met of the shared items, if that is to be known. `own` is None then.
    """

    user: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor
    own: torch.Tensor | None = None
    weight: torch.Tensor | None = None
    met: Met | None = None


class InteractionSampler:
    """Shuffled passes over the interactions, with negatives uniform over the catalogue.

    A whole epoch is drawn at once and on the device, so that no step waits for the CPU.

    A batch shares ``n_shared`` negatives, or has one for each interaction. Of these one that the
    user has met is drawn again, ``n_redraws`` times at most: a loop until none is left would need
    a synchronisation. With a user who has met half the catalogue one in 2 ** (n_redraws + 1)
    stays. Of the shared ones it is told where the item met itself is, or with ``exclude_met`` which
    ones every user has met.

    Parameters
    ----------
    user, item : Tensor of shape (n_interactions,), int64
        Pairs without duplicates, on the device.
    n_items : int
    batch_size : int
    generator : torch.Generator
        Of the same device.
    n_shared : int or None, default=None
        Negatives that a batch shares, at most the catalogue; None draws one for each interaction.
    exclude_met : bool, default=False
    weight : Tensor of shape (n_users,), default=None
        How much the interactions of each user count.
    n_redraws : int, default=4
    """

    def __init__(
        self,
        user: torch.Tensor,
        item: torch.Tensor,
        *,
        n_items: int,
        batch_size: int,
        generator: torch.Generator,
        n_shared: int | None = None,
        exclude_met: bool = False,
        weight: torch.Tensor | None = None,
        n_redraws: int = 4,
    ) -> None:
        self.user, self.item = user, item
        self.n_items = n_items
        self.batch_size = batch_size
        self.generator = generator
        self.n_shared = None if n_shared is None else min(n_shared, n_items)
        self.weight = weight
        self.n_redraws = n_redraws
        if self.n_shared is None:
            self._met = torch.sort(user * n_items + item).values
        self._columns = _Columns(user, item, n_items) if exclude_met and n_shared else None

    def __len__(self) -> int:
        return -(-len(self.user) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = self._permutation(len(self.user))
        users, positives = self.user[order], self.item[order]
        drawn: Iterable[torch.Tensor]
        if self.n_shared is None:
            drawn = self.negatives(users).split(self.batch_size)
        else:
            drawn = self._shared_negatives(self.n_shared)
        known: Iterable[Met | None] = [None] * len(self)
        if self._columns is not None and isinstance(drawn, torch.Tensor):
            known = self._columns.met(users, drawn, self.batch_size)
        parts = users.split(self.batch_size), positives.split(self.batch_size)
        for user, positive, negative, met in zip(*parts, drawn, known, strict=True):
            own = None
            if self.n_shared and met is None:
                own = place_of(positive, negative, self.n_items)
            weight = None if self.weight is None else self.weight[user]
            yield Batch(user, positive, negative, own, weight, met)

    def _shared_negatives(self, size: int) -> torch.Tensor:
        """Items for every batch."""
        drawn = torch.empty(len(self), size, dtype=torch.int64, device=self.user.device)
        for row in drawn:
            row.copy_(self._permutation(self.n_items)[:size])
        return drawn

    def negatives(self, user: torch.Tensor) -> torch.Tensor:
        """Draw an item for each user that the user has not met."""
        drawn = self._draw(len(user))
        for _ in range(self.n_redraws):
            drawn = torch.where(self._has_met(user, drawn), self._draw(len(user)), drawn)
        return drawn

    def _permutation(self, size: int) -> torch.Tensor:
        return torch.randperm(size, generator=self.generator, device=self.user.device)

    def _draw(self, size: int) -> torch.Tensor:
        return torch.randint(
            self.n_items, (size,), generator=self.generator, device=self.user.device
        )

    def _has_met(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        key = user * self.n_items + item
        place = torch.searchsorted(self._met, key).clamp_(max=len(self._met) - 1)
        return self._met[place] == key


def place_of(ids: torch.Tensor, among: torch.Tensor, n_items: int) -> torch.Tensor:
    """Find where each of some items is among others, which differ; -1 for nowhere."""
    place = torch.full((n_items,), -1, device=among.device)
    place[among] = torch.arange(len(among), device=among.device)
    return place[ids]


class _Columns:
    """Who met an item, in compressed sparse columns.

    Attributes
    ----------
    counts : Tensor of shape (n_items,)
        How many users met each item.
    """

    def __init__(self, user: torch.Tensor, item: torch.Tensor, n_items: int) -> None:
        self.n_users = int(user.max()) + 1
        self.users = user[torch.argsort(item)]
        self.counts = torch.bincount(item, minlength=n_items)
        self.starts = self.counts.cumsum(0) - self.counts

    def met(self, users: torch.Tensor, items: torch.Tensor, batch_size: int) -> Iterator[Met]:
        """Tell for the batches of an epoch what their users met of the items of each batch."""
        n_batches = len(items)
        batch = torch.arange(len(users), device=users.device) // batch_size
        keys, owners = torch.unique(batch * self.n_users + users, return_inverse=True)
        counts = torch.stack(
            [
                torch.bincount(keys // self.n_users, minlength=n_batches),
                self.counts[items].sum(dim=1),
            ]
        ).tolist()  # this and `unique` wait for the device, once, before the first step
        distinct = (keys % self.n_users).split(counts[0])
        first = 0
        for user, owner, shared, n_met in zip(
            distinct, owners.split(batch_size), items, counts[1], strict=True
        ):
            yield Met(user, owner - first, self._met(user, shared, n_met))
            first += len(user)

    def _met(self, user: torch.Tensor, items: torch.Tensor, n_met: int) -> torch.Tensor:
        """Tell which users met which items, (n_users, n_items), met ``n_met`` times in all."""
        # The last row is for all other users.
        row = torch.full((self.n_users,), len(user), device=user.device)
        row[user] = torch.arange(len(user), device=user.device)
        counts = self.counts[items]
        column = torch.repeat_interleave(counts, output_size=n_met)
        first = (self.starts[items] - counts.cumsum(0) + counts)[column]
        place = first + torch.arange(n_met, device=user.device)
        met = torch.zeros(len(user) + 1, len(items), dtype=torch.bool, device=user.device)
        met[row[self.users[place]], column] = True
        return met[:-1]
