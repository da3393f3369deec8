"""Batches of interactions with sampled negatives, drawn on the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from recsk.nn.batches import Batch, SeenNegatives

__all__ = ["InteractionSampler", "find_positions"]


class InteractionSampler:
    """Shuffled passes over the interactions, with negatives drawn uniformly.

    A whole epoch is drawn at once and on the device, so that no step waits for the CPU.

    With ``n_shared`` all interactions of a batch share that many negatives. The batch then gives
    the position of each positive among them or, with ``exclude_seen``, which of them each user has
    seen. Otherwise each interaction has one negative. It is drawn again, at most ``n_redraws``
    times, if the user has seen it. Drawing until no seen item is left would wait for the device.
    For a user who has seen half the catalogue, one negative in 2 ** (n_redraws + 1) is a seen
    item.

    Parameters
    ----------
    user, item : Tensor of shape (n_interactions,), int64
        Pairs without duplicates, on the device.
    n_items : int
    batch_size : int
    generator : torch.Generator
        On the same device.
    n_shared : int or None, default=None
        Number of negatives that a batch shares, at most the number of items with interactions,
        of which they are. None draws one negative for each interaction, of all items.
    exclude_seen : bool, default=False
        Whether batches give the shared negatives that each user has seen.
    weight : Tensor of shape (n_interactions,), default=None
        Weight of each interaction in the loss.
    candidates : Tensor, int64, default=None
        Distinct items that shared negatives are drawn from, ascending. None: those of `item`.
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
        exclude_seen: bool = False,
        weight: torch.Tensor | None = None,
        candidates: torch.Tensor | None = None,
        n_redraws: int = 4,
    ) -> None:
        self.user, self.item = user, item
        self.n_items = n_items
        self.batch_size = batch_size
        self.generator = generator
        # An item without interactions is nobody's positive. As a negative it would teach the
        # network that content which is new is content that nobody wants.
        self._candidates = torch.unique(item) if candidates is None else candidates
        self.n_shared = None if n_shared is None else min(n_shared, len(self._candidates))
        self.weight = weight
        self.n_redraws = n_redraws
        if self.n_shared is None:
            self._seen_keys = torch.sort(self._pair_keys(user, item)).values
        self._item_users = _ItemUsers(user, item, n_items) if exclude_seen and n_shared else None

    def __len__(self) -> int:
        return -(-len(self.user) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = self._draw_permutation(len(self.user))
        users, positives = self.user[order], self.item[order]
        negatives: Iterable[torch.Tensor]
        if self.n_shared is None:
            negatives = self.draw_negatives(users).split(self.batch_size)
        else:
            negatives = self._draw_shared_negatives(self.n_shared, len(self))
        weights: Iterable[torch.Tensor | None] = [None] * len(self)
        if self.weight is not None:
            weights = self.weight[order].split(self.batch_size)
        seen_negatives: Iterable[SeenNegatives | None] = [None] * len(self)
        if self._item_users is not None and isinstance(negatives, torch.Tensor):
            seen_negatives = self._item_users.find_seen(users, negatives, self.batch_size)
        parts = users.split(self.batch_size), positives.split(self.batch_size), negatives
        for user, positive, negative, seen, weight in zip(
            *parts, seen_negatives, weights, strict=True
        ):
            positive_index = None
            if self.n_shared and seen is None:
                positive_index = find_positions(positive, negative, self.n_items)
            yield Batch(user, positive, negative, positive_index, weight, seen)

    def draw_negatives(self, user: torch.Tensor) -> torch.Tensor:
        """Draw one item for each user, again where the user has seen it."""
        items = self._draw_items(len(user))
        for _ in range(self.n_redraws):
            items = torch.where(self._has_seen(user, items), self._draw_items(len(user)), items)
        return items

    def _draw_shared_negatives(self, size: int, n_batches: int) -> torch.Tensor:
        """Draw distinct items for every batch, (n_batches, size)."""
        items = torch.empty(n_batches, size, dtype=torch.int64, device=self.user.device)
        for row in items:
            row.copy_(self._candidates[self._draw_permutation(len(self._candidates))[:size]])
        return items

    def _draw_permutation(self, size: int) -> torch.Tensor:
        return torch.randperm(size, generator=self.generator, device=self.user.device)

    def _draw_items(self, size: int) -> torch.Tensor:
        return torch.randint(
            self.n_items, (size,), generator=self.generator, device=self.user.device
        )

    def _has_seen(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        key = self._pair_keys(user, item)
        position = torch.searchsorted(self._seen_keys, key).clamp_(max=len(self._seen_keys) - 1)
        return self._seen_keys[position] == key

    def _pair_keys(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        return user * self.n_items + item


def find_positions(items: torch.Tensor, among: torch.Tensor, n_items: int) -> torch.Tensor:
    """Find the position of each item in `among`, whose items are distinct; -1 if it is absent."""
    position = torch.full((n_items,), -1, device=among.device)
    position[among] = torch.arange(len(among), device=among.device)
    return position[items]


class _ItemUsers:
    """The users who have seen each item, in compressed sparse columns.

    Attributes
    ----------
    users : Tensor of shape (n_interactions,)
        Users of item 0, then those of item 1, and so on.
    counts : Tensor of shape (n_items,)
        Number of users of each item.
    starts : Tensor of shape (n_items,)
        Position in `users` of the first user of each item.
    """

    def __init__(self, user: torch.Tensor, item: torch.Tensor, n_items: int) -> None:
        self.n_users = int(user.max()) + 1
        self.users = user[torch.argsort(item)]
        self.counts = torch.bincount(item, minlength=n_items)
        self.starts = self.counts.cumsum(0) - self.counts
        # True itself would be copied to the device, and the step would wait for that.
        self._true = torch.ones((), dtype=torch.bool, device=user.device)

    def find_seen(
        self, users: torch.Tensor, negatives: torch.Tensor, batch_size: int
    ) -> Iterator[SeenNegatives]:
        """Find the shared negatives that the users of each batch have seen.

        Parameters
        ----------
        users : Tensor of shape (n_interactions,)
            The users of an epoch, batch after batch.
        negatives : Tensor of shape (n_batches, n_negatives)
        batch_size : int
        """
        n_batches = len(negatives)
        batch = torch.arange(len(users), device=users.device) // batch_size
        keys, key_index = torch.unique(batch * self.n_users + users, return_inverse=True)
        n_distinct, n_seen = torch.stack(
            [
                torch.bincount(keys // self.n_users, minlength=n_batches),
                self.counts[negatives].sum(dim=1),
            ]
        ).tolist()  # this and `unique` wait for the device, once, before the first step
        first = 0
        for user, index, negative, n in zip(
            (keys % self.n_users).split(n_distinct),
            key_index.split(batch_size),
            negatives,
            n_seen,
            strict=True,
        ):
            yield SeenNegatives(user, index - first, self._seen_mask(user, negative, n))
            first += len(user)

    def _seen_mask(self, user: torch.Tensor, negative: torch.Tensor, n_seen: int) -> torch.Tensor:
        """Return which users have seen which negatives, (n_users, n_negatives).

        `n_seen` is the number of interactions with these negatives, of any user. It is known
        beforehand, so that the size of no tensor has to be read from the device.
        """
        row = torch.full((self.n_users,), len(user), device=user.device)  # the last: other users
        row[user] = torch.arange(len(user), device=user.device)
        counts = self.counts[negative]
        column = torch.repeat_interleave(counts, output_size=n_seen)
        shift = (self.starts[negative] - counts.cumsum(0) + counts)[column]
        position = shift + torch.arange(n_seen, device=user.device)
        mask = torch.zeros(len(user) + 1, len(negative), dtype=torch.bool, device=user.device)
        mask[row[self.users[position]], column] = self._true
        return mask[:-1]
