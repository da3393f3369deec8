"""Batches of interactions, whole or the share of a process."""

from __future__ import annotations

from typing import NamedTuple

import torch

from recsk.nn.parallel import Processes

__all__ = ["Batch", "BatchRows", "BatchShare", "SeenNegatives", "StepRows"]


class SeenNegatives(NamedTuple):
    """Which of a batch's shared negatives the users of the batch have seen.

    Attributes
    ----------
    user : Tensor of shape (n_users,), int64
        Distinct users of the batch.
    user_index : Tensor of shape (n,), int64
        Index into `user` for each interaction of the batch.
    seen : Tensor of bool of shape (n_users, n_negatives)
        Whether the user has interacted with the negative.
    """

    user: torch.Tensor
    user_index: torch.Tensor
    seen: torch.Tensor


class StepRows(NamedTuple):
    """The rows of all processes in a step.

    Attributes
    ----------
    user, item : Tensor, int64
        Distinct users and items.
    own_user, own_item : Tensor, int64
        Positions of this process's rows among them.
    """

    user: torch.Tensor
    item: torch.Tensor
    own_user: torch.Tensor
    own_item: torch.Tensor


class BatchRows(NamedTuple):
    """The users and items of a batch of whole users, each once.

    Attributes
    ----------
    user : Tensor of shape (n_users,), int64
    user_index : Tensor of shape (n,), int64
        Index into `user` for each interaction.
    item : Tensor of shape (n_items,), int64
        Positives and negatives.
    positive_index, negative_index : Tensor, int64
        Index into `item` for each positive and each negative.
    affinity : Tensor of shape (n,)
        Entry of the interaction graph for each interaction.
    step : StepRows or None
        If these rows are the share of a process: those of all.
    """

    user: torch.Tensor
    user_index: torch.Tensor
    item: torch.Tensor
    positive_index: torch.Tensor
    negative_index: torch.Tensor
    affinity: torch.Tensor
    step: StepRows | None = None

    def share_of(self, users: slice, own: torch.Tensor, own_negative: torch.Tensor) -> BatchRows:
        """Return the rows of some users, their interactions and these negatives."""
        used = torch.zeros(len(self.item), dtype=torch.bool, device=own.device)
        positive, negative = self.positive_index[own], self.negative_index[own_negative]
        used[positive] = used[negative] = True
        place, own_item = used.cumsum(0) - 1, used.nonzero()[:, 0]
        own_user = torch.arange(users.start, users.stop, device=own.device)
        return BatchRows(
            self.user[users],
            self.user_index[own] - users.start,
            self.item[own_item],
            place[positive],
            place[negative],
            self.affinity[own],
            StepRows(self.user, self.item, own_user, own_item),
        )


class BatchShare(NamedTuple):
    """What a process has of a batch.

    Attributes
    ----------
    processes : Processes
    fraction : float
        Of the interactions: the weight of the means over this share in those over the batch.
    own : Tensor, int64
        Positions of this share in the batch, ascending. Empty where the fraction is zero; the share
        then has some interactions all the same, which do not count.
    user, positive : Tensor of shape (n,), int64
        Of the whole batch.
    """

    processes: Processes
    fraction: float
    own: torch.Tensor
    user: torch.Tensor
    positive: torch.Tensor


class Batch(NamedTuple):
    """Interactions of one training step.

    Attributes
    ----------
    user, positive : Tensor of shape (n,), int64
        The user and the item of each interaction.
    negative : Tensor of shape (n,) or (n_negatives,), int64
        Either one negative for each interaction or distinct negatives that all interactions
        share.
    positive_index : Tensor of shape (n,), int64, or None
        Position of the positive among the shared negatives; -1 if it is not among them.
    weight : Tensor of shape (n,) or None
        Weight of each interaction in the loss; None weights all equally.
    seen : SeenNegatives or None
        Which shared negatives the users have seen. If given, `positive_index` is None.
    rows : BatchRows or None
        If the batch has all interactions of its users: the rows of the tables that it needs.
    share : BatchShare or None
        If this is the part of a batch that one of several processes takes: which.
    """

    user: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor
    positive_index: torch.Tensor | None = None
    weight: torch.Tensor | None = None
    seen: SeenNegatives | None = None
    rows: BatchRows | None = None
    share: BatchShare | None = None

    @property
    def shares_negatives(self) -> bool:
        """Whether all interactions have the same negatives."""
        return self.seen is not None or self.positive_index is not None

    def share_of(self, processes: Processes) -> Batch:
        """Return the part that a process takes: an equal share of the users, or of interactions."""
        index, n = None, len(self.user)
        if self.rows is not None:
            index, n = self.rows.user_index, len(self.rows.user)
        elif self.seen is not None:
            index, n = self.seen.user_index, len(self.seen.user)
        part = processes.slice_of(n)
        counts = part.start < part.stop
        if not counts:
            part = slice(0, 1)
        if index is None:
            own = torch.arange(part.start, part.stop, device=self.user.device)
        else:
            own = ((index >= part.start) & (index < part.stop)).nonzero()[:, 0]
        shared = self.shares_negatives
        everything = torch.arange(len(self.negative), device=own.device)
        seen = self.seen
        if seen is not None:
            seen = SeenNegatives(
                seen.user[part], seen.user_index[own] - part.start, seen.seen[part]
            )
        return Batch(
            self.user[own],
            self.positive[own],
            self.negative if shared else self.negative[own],
            None if self.positive_index is None else self.positive_index[own],
            None if self.weight is None else self.weight[own],
            seen,
            None
            if self.rows is None
            else self.rows.share_of(part, own, everything if shared else own),
            BatchShare(
                processes,
                len(own) / len(self.user) if counts else 0.0,
                own if counts else own[:0],
                self.user,
                self.positive,
            ),
        )
