"""The network of MDE (arXiv 2502.18481).

Shapes use U users, I items, M modalities and width d. Nodes are users and items. A table of nodes
holds all modalities side by side, (n, M * d), so that one sparse product propagates them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import nn

from recsk.nn.lazy_adam import rows_of
from recsk.nn.modality import Modality
from recsk.nn.parallel import Processes
from recsk.nn.precision import upcast
from recsk.nn.propagation import SparseOperator, mean_of_layers
from recsk.nn.unit import unit_vectors

__all__ = ["Graphs", "MDENetwork"]


class Graphs(NamedTuple):
    """The graphs that vectors are propagated on; None leaves a graph out.

    Attributes
    ----------
    interaction : SparseOperator of shape (U + I, U + I)
        Users and items linked by interactions.
    user : SparseOperator of shape (U, U) or None
        Users linked by common items.
    items : sequence of SparseOperator of shape (I, I), one per modality, or None
        Items linked by similar features.
    """

    interaction: SparseOperator
    user: SparseOperator | None
    items: Sequence[SparseOperator] | None


class MDENetwork(nn.Module):
    """Vectors of users and items in every modality, and their preferences for the modalities.

    Parameters
    ----------
    modalities : sequence of Modality
        If empty, the only modality is a learned id embedding of the items.
    graphs : Graphs
    n_users, n_items, n_factors, n_layers : int
    hidden : int
        Width of the encoder's hidden layer; 0 means a linear encoder.
    normalize : bool
        Whether the initial vectors are scaled to length one.
    fusion : {"concat", "sum"}
        How the weighted modalities are joined.
    similarity : {"dot", "cosine"}
        How a score compares the vectors of a user and an item.
    id_embedding : {"none", "add", "gate"}
        How a learned vector of each item is combined with its encoded features.
    id_share : Tensor of shape (I, 1)
        How far the learned vector of an item counts beside its content: zero for cold items.
    preference : Tensor of shape (M,) or None
        Fixed preference that all nodes share; None learns one for each node.
    weigh_items : bool
        Whether preferences weigh the modalities of items in the fused vector, or of users alone.
    tradeoff : {"preference", "uniform", "independent"}
        Weights of difference and alignment: from the preference of each node, one everywhere, or
        learned freely for each node.
    generator : torch.Generator
        On the CPU, so that the same seed gives the same initial weights on every device.
    """

    fixed_preference: torch.Tensor | None
    id_share: torch.Tensor

    def __init__(
        self,
        modalities: Sequence[Modality],
        graphs: Graphs,
        *,
        n_users: int,
        n_items: int,
        n_factors: int,
        n_layers: int,
        hidden: int,
        normalize: bool,
        fusion: Literal["concat", "sum"],
        similarity: Literal["dot", "cosine"],
        id_embedding: Literal["none", "add", "gate"],
        id_share: torch.Tensor,
        preference: torch.Tensor | None,
        weigh_items: bool,
        tradeoff: Literal["preference", "uniform", "independent"],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.modalities = list(modalities)
        self.graphs = graphs
        self.n_users, self.n_items, self.n_factors = n_users, n_items, n_factors
        self.n_modalities = max(len(self.modalities), 1)
        self.n_layers = n_layers
        self.normalize = normalize
        self.fusion, self.similarity = fusion, similarity
        self.id_embedding = id_embedding if self.modalities else "only"
        self.weigh_items = weigh_items
        self.tradeoff = tradeoff
        self.processes: Processes | None = None  # that divide the columns of propagations

        self.user = _xavier(n_users, self.n_modalities * n_factors, generator)
        if self.id_embedding != "none":
            self.item = _xavier(n_items, n_factors, generator)
        self.encoders = nn.ModuleList(
            _encoder(modality.features.shape[1], hidden, n_factors, generator)
            for modality in self.modalities
        )
        self.gates = nn.ModuleList(
            _linear(n_factors, n_factors, generator)
            for _ in self.modalities
            if self.id_embedding == "gate"
        )
        self.register_buffer("id_share", id_share, persistent=False)
        self.register_buffer("fixed_preference", preference)
        if preference is None:
            self.user_preference = _zeros(n_users, self.n_modalities)
            self.item_preference = _zeros(n_items, self.n_modalities)
        if tradeoff == "independent":
            n_pairs = self.n_modalities * (self.n_modalities - 1) // 2
            self.user_tradeoff = _zeros(n_users, 2 * n_pairs)
            self.item_tradeoff = _zeros(n_items, 2 * n_pairs)

    def initial_nodes(self) -> torch.Tensor:
        """Return the vectors before any propagation, (U + I, M * d), users first."""
        items = None if self.id_embedding == "none" else self.item
        return torch.cat([self.initial_users(self.user), self.initial_items(items)])

    def initial_users(self, learned: torch.Tensor) -> torch.Tensor:
        """Return the vectors of users before propagation, from their learned vectors."""
        users = learned.view(-1, self.n_modalities, self.n_factors)
        return self._normalize(users).flatten(1)

    def initial_items(
        self, learned: torch.Tensor | None, ids: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the vectors of items before propagation.

        Parameters
        ----------
        learned : Tensor of shape (n, d) or None
            Their learned vectors; None if the network has none.
        ids : Tensor of shape (n,), default=None
            The items, in ascending order and distinct; None means all.
        """
        if self.id_embedding == "only":
            assert learned is not None
            return self._normalize(learned)
        parts = [self._encode_items(m, learned, ids) for m in range(self.n_modalities)]
        return torch.cat(parts, dim=1)

    def _normalize(self, vectors: torch.Tensor) -> torch.Tensor:
        return unit_vectors(vectors) if self.normalize else vectors

    def _encode_items(
        self, m: int, learned: torch.Tensor | None, ids: torch.Tensor | None
    ) -> torch.Tensor:
        features, present = self.modalities[m]
        id_share = self.id_share
        if ids is not None and len(ids) < self.n_items:
            features, present = features[ids], present[ids]
            id_share = id_share[ids]
        encoded = upcast(self.encoders[m](features))
        if learned is None:
            return self._normalize(encoded) * present
        # A cold item is never a positive: its id vector would only learn to be far from every
        # user. So a cold item has its content alone.
        own = learned * id_share
        # An item without the modality has its id vector alone: its filled features never count.
        if self.id_embedding == "add":
            return self._normalize(unit_vectors(encoded) * present + own)
        gate = torch.sigmoid(upcast(self.gates[m](encoded)))
        return self._normalize(own * torch.where(present > 0, gate, 0.5))

    def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Propagate users and items on all graphs.

        Returns
        -------
        users : Tensor of shape (U, M, d)
        items : Tensor of shape (I, M, d)
        """
        return self.propagate(self.initial_nodes())

    def propagate(self, initial: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Propagate initial vectors (U + I, M * d) on all graphs; see `forward`."""
        if self._divides:
            nodes = self._join(torch.cat(self._propagate(self._own(initial))))
            users, items = nodes[: self.n_users], nodes[self.n_users :]
        else:
            users, items = self._propagate(initial)
        shape = (-1, self.n_modalities, self.n_factors)
        return users.view(shape), items.view(shape)

    def _propagate(self, initial: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Propagate all columns of nodes, or those of this process."""
        nodes = mean_of_layers(self.graphs.interaction, initial, self.n_layers)
        users, items = nodes[: self.n_users], nodes[self.n_users :]
        if self.graphs.user is not None:
            users = users + self.graphs.user @ users
        if self.graphs.items is not None:
            parts = items.split(self._widths(), dim=1)
            pairs = zip(self.graphs.items, parts, strict=True)
            products = [graph @ part for graph, part in pairs if part.shape[1]]
            items = items + torch.cat(products, dim=1)
        return users, items

    def sum_histories(self, initial: torch.Tensor) -> torch.Tensor:
        """Sum the vectors of each user's items, weighted by the graph of interactions."""
        graph = self.graphs.interaction
        if self._divides:
            return self._join((graph @ self._own(initial))[: self.n_users])
        return (graph @ initial)[: self.n_users]

    @contextmanager
    def divided_among(self, processes: Processes | None) -> Iterator[None]:
        """Let processes propagate a share of the columns each within a ``with`` block.

        Propagation is the same for each column. All processes must call it equally often.
        """
        self.processes = processes
        try:
            yield
        finally:
            self.processes = None

    @property
    def _divides(self) -> bool:
        width = self.n_modalities * self.n_factors
        return self.processes is not None and self.processes.size <= width

    def _own(self, nodes: torch.Tensor) -> torch.Tensor:
        assert self.processes is not None
        return nodes[:, self.processes.slice_of(nodes.shape[1])].contiguous()

    def _join(self, columns: torch.Tensor) -> torch.Tensor:
        assert self.processes is not None
        return self.processes.join_columns(columns, self.n_modalities * self.n_factors)

    def _widths(self) -> list[int]:
        """Columns of each modality that this process propagates."""
        d, start, stop = self.n_factors, 0, self.n_modalities * self.n_factors
        if self._divides and self.processes is not None:
            own = self.processes.slice_of(stop)
            start, stop = own.start, own.stop
        ends = [min(max(m * d, start), stop) for m in range(self.n_modalities + 1)]
        return [b - a for a, b in pairwise(ends)]

    def preferences(
        self, user: torch.Tensor | None = None, item: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the modality weights of users (n, M) and items (n, M); rows sum to 1.

        `user` and `item` are distinct ids, whose rows alone then have a gradient; None means all.
        """
        if self.fixed_preference is None:
            of_users = self.user_preference if user is None else rows_of(self.user_preference, user)
            of_items = self.item_preference if item is None else rows_of(self.item_preference, item)
            return of_users.softmax(dim=1), of_items.softmax(dim=1)
        fixed = self.fixed_preference.unsqueeze(0)
        n_users = self.n_users if user is None else len(user)
        n_items = self.n_items if item is None else len(item)
        return fixed.expand(n_users, -1), fixed.expand(n_items, -1)

    def fuse(self, nodes: torch.Tensor, preference: torch.Tensor) -> torch.Tensor:
        """Join the modalities of nodes (n, M, d), weighted by preferences (n, M) (Eq. 5)."""
        weighted = nodes * preference[:, :, None]
        fused = weighted.flatten(1) if self.fusion == "concat" else weighted.sum(dim=1)
        return self.to_score_space(fused)

    def fuse_items(self, items: torch.Tensor, preference: torch.Tensor) -> torch.Tensor:
        """Join the modalities of items; without `weigh_items` all of them count fully."""
        return self.fuse(items, preference if self.weigh_items else torch.ones_like(preference))

    def to_score_space(self, vectors: torch.Tensor) -> torch.Tensor:
        """Scale vectors so that inner products of users and items are scores."""
        return unit_vectors(vectors) if self.similarity == "cosine" else vectors

    @torch.no_grad()
    def fold_in_parts(self) -> dict[str, torch.Tensor]:
        """Return the tensors that folding in new users needs, by name.

        `recsk.models.mde.fold_in.FoldIn` takes them as parameters.
        """
        layer = self.initial_nodes()
        initial_users, total = layer[: self.n_users], torch.zeros_like(layer)
        for _ in range(self.n_layers):
            total += layer
            layer = self.graphs.interaction @ layer
        propagated = (total + layer) / (self.n_layers + 1)
        _, items = self()
        return {
            "initial_users": initial_users,
            "item_layers": total[self.n_users :],
            "items": items.flatten(1),
            "propagated_users": propagated[: self.n_users],
        }

    @torch.no_grad()
    def embeddings(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the fused vectors of all users and items; their inner products are scores."""
        users, items = self()
        user_preference, item_preference = self.preferences()
        return self.fuse(users, user_preference), self.fuse_items(items, item_preference)


def _encoder(width: int, hidden: int, n_factors: int, generator: torch.Generator) -> nn.Module:
    if not hidden:
        return _linear(width, n_factors, generator)
    return nn.Sequential(
        _linear(width, hidden, generator), nn.LeakyReLU(), _linear(hidden, n_factors, generator)
    )


class _EmptyLinear(nn.Linear):
    """A linear layer that draws nothing from the global state, which other threads may use."""

    def reset_parameters(self) -> None:
        """Leave the memory as it is."""


def _linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    layer = _EmptyLinear(n_in, n_out)
    bound = n_in**-0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def _xavier(rows: int, columns: int, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(rows, columns), generator=generator))


def _zeros(rows: int, columns: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(rows, columns))
