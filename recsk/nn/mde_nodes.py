"""What a batch needs of MDE's network: from the whole graph, or from its own rows and a cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from recsk.nn.batches import Batch, BatchRows
from recsk.nn.lazy_adam import rows_of
from recsk.nn.mde import MDENetwork
from recsk.nn.propagation import gather, scatter_sum

__all__ = ["BatchNodes", "CachedGraph", "WholeGraph"]


class BatchNodes(NamedTuple):
    """Nodes of a batch.

    Attributes
    ----------
    vectors : tuple of Tensor of shape (n, M, d)
        Users, positives and negatives after propagation, or users and distinct items. Where the
        batch shares negatives that users have seen, users are distinct: ``batch.seen.user``.
    preferences : tuple of Tensor of shape (n, M)
        Of the same nodes.
    tradeoffs : tuple of Tensor of shape (n, 2 * n_pairs)
        Free weights of users and positives, one row per interaction; empty without them.
    learned : tuple of Tensor
        Learned vectors before propagation, one row per interaction, or distinct rows times the
        root of their number.
    items : tuple of Tensor, int64, or None
        If items are distinct: the rows of positives and negatives.
    """

    vectors: tuple[torch.Tensor, ...]
    preferences: tuple[torch.Tensor, ...]
    tradeoffs: tuple[torch.Tensor, ...]
    learned: tuple[torch.Tensor, ...]
    items: tuple[torch.Tensor, torch.Tensor] | None = None

    def select(self, parts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return users, positives and negatives of what was computed from `vectors`."""
        if self.items is None:
            return list(parts)
        users, items = parts
        return [users, *(gather(items, rows) for rows in self.items)]


class WholeGraph:
    """Propagates all nodes in every step, with all gradients.

    Parameters
    ----------
    network : MDENetwork
    """

    def __init__(self, network: MDENetwork) -> None:
        self.network = network

    def __call__(self, batch: Batch) -> BatchNodes:
        """Compute the nodes of a batch."""
        network = self.network
        users, items = network()
        of_users, of_items = network.preferences()
        # Each user is compared with the shared negatives once, however many interactions it has.
        user = batch.user if batch.seen is None else batch.seen.user
        learned = [gather(network.user, batch.user)]
        tradeoffs: tuple[torch.Tensor, ...] = ()
        if network.id_embedding != "none":
            learned += [gather(network.item, ids) for ids in (batch.positive, batch.negative)]
            if batch.share is not None and batch.shares_negatives:
                learned[-1] = learned[-1] * batch.share.fraction**0.5
        if network.tradeoff == "independent":
            tradeoffs = (
                gather(network.user_tradeoff, batch.user),
                gather(network.item_tradeoff, batch.positive),
            )
        items_of = batch.positive, batch.negative
        return BatchNodes(
            (gather(users, user), *(gather(items, ids) for ids in items_of)),
            (gather(of_users, user), *(gather(of_items, ids) for ids in items_of)),
            tradeoffs,
            tuple(learned),
        )


class CachedGraph:
    r"""Computes the nodes of a batch only, with what comes from their neighbours out of a cache.

    After propagation, a node is the sum of its own initial vector, of those of its neighbours and
    of those further away:

    .. math:: x_u = \frac{1}{L + 1} \Big(e_u + \sum_{i \in H_u} \hat A_{ui} e_i\Big) + c_u, \qquad
              x_i = \frac{1}{L + 1} e_i + c_i

    A step computes :math:`e` of its own users and items, with gradients. Since a batch has all
    interactions of its users, so are the items :math:`H_u` of their histories. All else, the
    constants :math:`c`, is computed without gradients, now and then.

    Parameters
    ----------
    network : MDENetwork
    period : int
        Steps after which the constants are computed again.
    """

    def __init__(self, network: MDENetwork, period: int) -> None:
        self.network, self.period = network, period
        self._own = 1 / (network.n_layers + 1)
        self._n_steps = 0

    def restart(self) -> None:
        """Compute the constants again before the next step."""
        self._n_steps = 0

    def __call__(self, batch: Batch) -> BatchNodes:
        """Compute the nodes of a batch of whole users."""
        if self._n_steps % self.period == 0:
            self._compute_constants()
        self._n_steps += 1
        network, rows = self.network, batch.rows
        assert rows is not None
        learned_users = _rows(network.user, *_users(rows))
        learned_items = None
        ones = torch.ones(len(rows.user_index), device=learned_users.device)
        learned = [_repeated(learned_users, rows.user_index, ones)]
        if network.id_embedding != "none":
            learned_items = _rows(network.item, *_items(rows))
            of_items = torch.cat([rows.positive_index, rows.negative_index])
            counts = torch.ones(len(of_items), device=of_items.device)
            if batch.share is not None and batch.shares_negatives:
                counts[len(rows.positive_index) :] = batch.share.fraction
            learned.append(_repeated(learned_items, of_items, counts))
        initial = network.initial_items(learned_items, rows.item)
        users = network.initial_users(learned_users)
        if network.n_layers:
            of_pairs = gather(initial, rows.positive_index) * rows.affinity[:, None]
            users = users + scatter_sum(of_pairs, rows.user_index, len(rows.user))
        users = self._own * users + self._users[rows.user]
        items = self._own * initial + self._items[rows.item]
        return self._of_pairs(batch, users, items, tuple(learned))

    def _of_pairs(
        self,
        batch: Batch,
        users: torch.Tensor,
        items: torch.Tensor,
        learned: tuple[torch.Tensor, ...],
    ) -> BatchNodes:
        network, rows = self.network, batch.rows
        assert rows is not None
        shape = -1, network.n_modalities, network.n_factors
        (user, own_user), (item, own_item) = _users(rows), _items(rows)
        of_users, of_items = network.preferences(user, item)
        if own_user is not None and own_item is not None:
            of_users, of_items = gather(of_users, own_user), gather(of_items, own_item)
        tradeoffs: tuple[torch.Tensor, ...] = ()
        if network.tradeoff == "independent":
            tradeoffs = (
                gather(_rows(network.user_tradeoff, user, own_user), rows.user_index),
                gather(_rows(network.item_tradeoff, item, own_item), rows.positive_index),
            )
        if batch.seen is None:
            users, of_users = gather(users, rows.user_index), gather(of_users, rows.user_index)
        return BatchNodes(
            (users.view(shape), items.view(shape)),
            (of_users, of_items),
            tradeoffs,
            learned,
            (rows.positive_index, rows.negative_index),
        )

    @torch.no_grad()
    def _compute_constants(self) -> None:
        network = self.network
        initial = network.initial_nodes()
        users, items = (nodes.flatten(1) for nodes in network.propagate(initial))
        users.sub_(initial[: network.n_users], alpha=self._own)
        items.sub_(initial[network.n_users :], alpha=self._own)
        if network.n_layers:
            users.sub_(network.sum_histories(initial), alpha=self._own)
        self._users, self._items = users, items


def _users(rows: BatchRows) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the users of a step, and which of them are those of this process if not all."""
    return (rows.user, None) if rows.step is None else (rows.step.user, rows.step.own_user)


def _items(rows: BatchRows) -> tuple[torch.Tensor, torch.Tensor | None]:
    return (rows.item, None) if rows.step is None else (rows.step.item, rows.step.own_item)


def _rows(table: torch.Tensor, ids: torch.Tensor, own: torch.Tensor | None) -> torch.Tensor:
    """Select rows of a table; the gradient has the rows of the step, the same in all processes."""
    rows = rows_of(table, ids)
    return rows if own is None else gather(rows, own)


def _repeated(rows: torch.Tensor, index: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Scale rows so that their squared norm is that of the rows at `index`, so many times each."""
    return rows * scatter_sum(counts, index, len(rows)).sqrt()[:, None]
