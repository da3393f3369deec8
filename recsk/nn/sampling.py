"""Batches of interactions with sampled negatives, drawn on the device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

__all__ = ["Batch", "InteractionSampler"]


class Batch(NamedTuple):
    """Interactions of one training step.

    Attributes
    ----------
    user, positive : Tensor of shape (n,), int64
        Who met what.
    negative : Tensor of shape (n,) or (n_negatives,), int64
        An item for each interaction that its user has not met, or items for all to share.
    """

    user: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor


class InteractionSampler:
    """Shuffled passes over the interactions, with negatives uniform over the catalogue.

    A whole epoch is drawn at once and on the device, so that no step waits for the CPU.

    A batch shares ``n_shared`` negatives, or has one for each interaction. Of these one that the
    user has met is drawn again, ``n_redraws`` times at most: a loop until none is left would need
    a synchronisation. With a user who has met half the catalogue one in 2 ** (n_redraws + 1)
    stays. Shared ones are not checked, as in any estimate of a softmax over the catalogue.

    Parameters
    ----------
    user, item : Tensor of shape (n_interactions,), int64
        Pairs without duplicates, on the device.
    n_items : int
    batch_size : int
    generator : torch.Generator
        Of the same device.
    n_shared : int or None, default=None
        Negatives that a batch shares, at most the catalogue; None
        draws one for each interaction.
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
        n_redraws: int = 4,
    ) -> None:
        self.user, self.item = user, item
        self.n_items = n_items
        self.batch_size = batch_size
        self.generator = generator
        self.n_shared = None if n_shared is None else min(n_shared, n_items)
        self.n_redraws = n_redraws
        self._met = torch.sort(user * n_items + item).values

    def __len__(self) -> int:
        return -(-len(self.user) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = self._permutation(len(self.user))
        user, positive = self.user[order], self.item[order]
        negative = self.negatives(user) if self.n_shared is None else None
        for start in range(0, len(user), self.batch_size):
            batch = slice(start, start + self.batch_size)
            yield Batch(
                user[batch],
                positive[batch],
                self._shared(self.n_shared or 0) if negative is None else negative[batch],
            )

    def negatives(self, user: torch.Tensor) -> torch.Tensor:
        """Draw an item for each user that the user has not met."""
        drawn = self._draw(len(user))
        for _ in range(self.n_redraws):
            drawn = torch.where(self._has_met(user, drawn), self._draw(len(user)), drawn)
        return drawn

    def _shared(self, size: int) -> torch.Tensor:
        # A permutation of a catalogue far larger than the sample would cost more than it is worth.
        if size * 16 < self.n_items:
            return self._draw(size)
        return self._permutation(self.n_items)[:size]

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
