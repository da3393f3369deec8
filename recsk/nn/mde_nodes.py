"""What a batch needs of MDE's network: from the whole graph, or from its own rows and a cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from recsk.nn.lazy_adam import rows_of
from recsk.nn.mde import MDENetwork
from recsk.nn.propagation import gather, scatter_sum
from recsk.nn.sampling import Batch

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
        learned_users = rows_of(network.user, rows.user)
        learned_items = None
        learned = [_repeated(learned_users, rows.user_index)]
        if network.id_embedding != "none":
            learned_items = rows_of(network.item, rows.item)
            of_items = torch.cat([rows.positive_index, rows.negative_index])
            learned.append(_repeated(learned_items, of_items))
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
        of_users, of_items = network.preferences(rows.user, rows.item)
        tradeoffs: tuple[torch.Tensor, ...] = ()
        if network.tradeoff == "independent":
            tradeoffs = (
                gather(rows_of(network.user_tradeoff, rows.user), rows.user_index),
                gather(rows_of(network.item_tradeoff, rows.item), rows.positive_index),
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
            of_histories = (network.graphs.interaction @ initial)[: network.n_users]
            users.sub_(of_histories, alpha=self._own)
        self._users, self._items = users, items


def _repeated(rows: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Scale rows so that their squared norm is that of the rows at `index`."""
    ones = torch.ones(len(index), device=rows.device)
    return rows * scatter_sum(ones, index, len(rows)).sqrt()[:, None]
