"""The network of MDE and its objective (arXiv 2502.18481).

Shapes are written with U users, I items, M modalities and width d. A table of nodes holds all
modalities side by side, (n, M * d), so that one sparse product propagates them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from recsk.nn.losses import (
    alignment_loss,
    bpr_loss,
    difference_loss,
    squared_norm,
    tradeoff_weights,
)
from recsk.nn.modality import Modality
from recsk.nn.propagation import SparseOperator, gather, mean_of_layers
from recsk.nn.sampling import Batch
from recsk.nn.softmax import softmax_loss

__all__ = ["Graphs", "MDENetwork", "MDEObjective"]


class Graphs(NamedTuple):
    """The fixed graphs; None leaves one out.

    Attributes
    ----------
    interaction : SparseOperator of shape (U + I, U + I)
    user : SparseOperator of shape (U, U) or None
    items : sequence of SparseOperator of shape (I, I), one per modality, or None
    """

    interaction: SparseOperator
    user: SparseOperator | None
    items: Sequence[SparseOperator] | None


class MDENetwork(nn.Module):
    """Users and items in every modality, and how much each of them listens to which.

    Parameters
    ----------
    modalities : sequence of Modality
        Empty: one modality that is a learned id embedding of the items.
    graphs : Graphs
    n_users, n_items, n_factors, n_layers : int
    hidden : int
        Width of the encoder's hidden layer; 0 is a linear encoder.
    normalize : bool
        Whether the initial vectors are brought to length one.
    fusion : {"concat", "sum"}
    similarity : {"dot", "cosine"}
        What a score is.
    id_embedding : {"none", "add", "gate"}
        How a learned vector of each item joins its encoded features.
    met : Tensor of shape (I, 1)
        One where somebody met the item, zero where nobody did.
    preference : Tensor of shape (M,) or None
        Fixed preference of every node; None learns one for each.
    tradeoff : {"preference", "uniform", "independent"}
    generator : torch.Generator
        On the CPU: the same seed gives the same initial weights on every device.
    """

    fixed_preference: torch.Tensor | None
    met: torch.Tensor

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
        met: torch.Tensor,
        preference: torch.Tensor | None,
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
        self.tradeoff = tradeoff

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
        self.register_buffer("met", met, persistent=False)
        self.register_buffer("fixed_preference", preference)
        if preference is None:
            self.user_preference = _zeros(n_users, self.n_modalities)
            self.item_preference = _zeros(n_items, self.n_modalities)
        if tradeoff == "independent":
            n_pairs = self.n_modalities * (self.n_modalities - 1) // 2
            self.user_tradeoff = _zeros(n_users, 2 * n_pairs)
            self.item_tradeoff = _zeros(n_items, 2 * n_pairs)

    def initial_nodes(self) -> torch.Tensor:
        """Vectors before any propagation, (U + I, M * d): users first."""
        users = self.user.view(self.n_users, self.n_modalities, self.n_factors)
        if self.id_embedding == "only":
            items = self._scale(self.item)
        else:
            items = torch.cat([self._encode(m) for m in range(self.n_modalities)], dim=1)
        return torch.cat([self._scale(users).flatten(1), items])

    def _scale(self, vectors: torch.Tensor) -> torch.Tensor:
        return functional.normalize(vectors, dim=-1) if self.normalize else vectors

    def _encode(self, m: int) -> torch.Tensor:
        features, present = self.modalities[m]
        encoded = self.encoders[m](features)
        if self.id_embedding == "none":
            return self._scale(encoded) * present
        # The vector of an item that nobody met is only ever a negative, and would learn to be far
        # from everybody: such an item goes by its content alone.
        ids = self.item * self.met
        # Content that an item lacks leaves its id alone, and never poisons it.
        if self.id_embedding == "add":
            return self._scale(functional.normalize(encoded) * present + ids)
        gate = torch.sigmoid(self.gates[m](encoded))
        return self._scale(ids * torch.where(present > 0, gate, 0.5))

    def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Propagate on all graphs.

        Returns
        -------
        users : Tensor of shape (U, M, d)
        items : Tensor of shape (I, M, d)
        """
        nodes = mean_of_layers(self.graphs.interaction, self.initial_nodes(), self.n_layers)
        users, items = nodes[: self.n_users], nodes[self.n_users :]
        if self.graphs.user is not None:
            users = users + self.graphs.user @ users
        if self.graphs.items is not None:
            parts = items.split(self.n_factors, dim=1)
            near = [graph @ part for graph, part in zip(self.graphs.items, parts, strict=True)]
            items = items + torch.cat(near, dim=1)
        shape = (-1, self.n_modalities, self.n_factors)
        return users.view(shape), items.view(shape)

    def preferences(self) -> tuple[torch.Tensor, torch.Tensor]:
        """How much every user (U, M) and item (I, M) listens to each modality; rows sum to 1."""
        if self.fixed_preference is None:
            return self.user_preference.softmax(dim=1), self.item_preference.softmax(dim=1)
        fixed = self.fixed_preference.unsqueeze(0)
        return fixed.expand(self.n_users, -1), fixed.expand(self.n_items, -1)

    def fuse(self, nodes: torch.Tensor, preference: torch.Tensor) -> torch.Tensor:
        """Join the modalities of (n, M, d) nodes, weighted by (n, M) preferences (Eq. 5)."""
        weighted = nodes * preference[:, :, None]
        fused = weighted.flatten(1) if self.fusion == "concat" else weighted.sum(dim=1)
        return self.comparable(fused)

    def comparable(self, vectors: torch.Tensor) -> torch.Tensor:
        """Give vectors whose inner product is the score."""
        return functional.normalize(vectors, dim=-1) if self.similarity == "cosine" else vectors

    @torch.no_grad()
    def fold_in_parts(self) -> dict[str, torch.Tensor]:
        """Give what new users need to be propagated to; see `recsk.foldin.FoldIn`."""
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
        """Fused vectors of all users and items, whose inner product is the score."""
        users, items = self()
        user_preference, item_preference = self.preferences()
        return self.fuse(users, user_preference), self.fuse(items, item_preference)


@dataclass
class MDEObjective:
    r"""The terms of MDE's loss for one batch (Eq. 9-11).

    .. math:: L = L_{rank}(fused) + w \sum_m L_{rank}(m) + \alpha L_{MDA} + \beta L_{MSA}
              + \lambda \|\Theta\|^2

    Parameters
    ----------
    network : MDENetwork
    ranking : {"bpr", "softmax"}
        :math:`L_{rank}`; softmax goes over the item met and negatives shared by the batch.
    score_temperature : float
        Divides the scores in the softmax.
    modality_weight : float
        :math:`w`; the paper's is 1.
    alpha, beta, reg_lambda : float
    temperature : float
        Of the alignment loss.
    max_alignment : int
        Nodes of a batch that the alignment loss compares with each other.
    """

    network: MDENetwork
    ranking: Literal["bpr", "softmax"]
    score_temperature: float
    modality_weight: float
    alpha: float
    beta: float
    reg_lambda: float
    temperature: float
    max_alignment: int

    def __call__(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Give the terms, each with its weight, by name; gradients are those of their sum alone."""
        network = self.network
        users, items = network()
        user_preference, item_preference = network.preferences()
        # A user with several interactions is compared with the shared negatives once.
        user = batch.user if batch.met is None else batch.met.user
        nodes = [gather(users, user), gather(items, batch.positive), gather(items, batch.negative)]
        preferences = [
            gather(user_preference, user),
            gather(item_preference, batch.positive),
            gather(item_preference, batch.negative),
        ]
        terms = self._rank(nodes, preferences, batch)
        if batch.met is not None:
            nodes[0] = gather(nodes[0], batch.met.owner)
            preferences[0] = gather(preferences[0], batch.met.owner)
        if network.n_modalities > 1:
            sides = [
                (nodes[0], preferences[0], batch.user, "user"),
                (nodes[1], preferences[1], batch.positive, "item"),
            ]
            if self.alpha:
                terms["difference"] = self.alpha * _sum([self._differ(*s) for s in sides])
            if self.beta:
                terms["alignment"] = self.beta * _sum([self._align(*s) for s in sides])
        if self.reg_lambda:
            terms["regularization"] = self.reg_lambda * squared_norm(*self._learned(batch))
        return terms

    def _learned(self, batch: Batch) -> list[torch.Tensor]:
        """The learned vectors, before any propagation, of the users and items of a batch."""
        rows = [gather(self.network.user, batch.user)]
        if self.network.id_embedding != "none":
            rows += [gather(self.network.item, ids) for ids in (batch.positive, batch.negative)]
        return rows

    def _rank(
        self, nodes: Sequence[torch.Tensor], preferences: Sequence[torch.Tensor], batch: Batch
    ) -> dict[str, torch.Tensor]:
        """The losses of the fused scores and of those in every modality."""
        network = self.network
        modality_weight = self.modality_weight if network.n_modalities > 1 else 0.0
        fused = [network.fuse(*pair) for pair in zip(nodes, preferences, strict=True)]
        terms = {"ranking": self._rank_one(fused, batch)}
        if modality_weight:
            single = [network.comparable(part) for part in nodes]
            parts = [[x[:, m] for x in single] for m in range(network.n_modalities)]
            losses = [self._rank_one(part, batch) for part in parts]
            terms["modality_ranking"] = modality_weight * _sum(losses)
        return terms

    def _rank_one(self, vectors: Sequence[torch.Tensor], batch: Batch) -> torch.Tensor:
        user, positive, negative = vectors
        if self.ranking == "bpr":
            scores = (user * positive).sum(dim=1), (user * negative).sum(dim=1)
            return bpr_loss(*scores, batch.weight)
        met = batch.met
        return softmax_loss(
            user / self.score_temperature,
            positive,
            negative,
            own=batch.own,
            excluded=None if met is None else met.items,
            weight=batch.weight,
            owner=None if met is None else met.owner,
        )

    def _differ(
        self, nodes: torch.Tensor, preference: torch.Tensor, ids: torch.Tensor, side: str
    ) -> torch.Tensor:
        return _sum(
            [
                difference_loss(
                    nodes[:, a], nodes[:, b], self._tradeoff(preference, ids, side, pair)[0]
                )
                for pair, (a, b) in enumerate(combinations(range(nodes.shape[1]), 2))
            ]
        )

    def _align(
        self, nodes: torch.Tensor, preference: torch.Tensor, ids: torch.Tensor, side: str
    ) -> torch.Tensor:
        # The batch is in random order: its head is a random sample of it.
        nodes, preference, ids = (x[: self.max_alignment] for x in (nodes, preference, ids))
        return _sum(
            [
                alignment_loss(
                    nodes[:, a],
                    nodes[:, b],
                    self._tradeoff(preference, ids, side, pair)[1],
                    temperature=self.temperature,
                    ids=ids,
                )
                for pair, (a, b) in enumerate(combinations(range(nodes.shape[1]), 2))
            ]
        )

    def _tradeoff(
        self, preference: torch.Tensor, ids: torch.Tensor, side: str, pair: int
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Weights of difference and alignment for the nodes of a batch and a pair."""
        if self.network.tradeoff == "uniform":
            return None, None
        if self.network.tradeoff == "independent":
            free = getattr(self.network, f"{side}_tradeoff")[:, 2 * pair : 2 * pair + 2]
            weights = gather(free, ids).sigmoid()
            return weights[:, 0], weights[:, 1]
        a, b = list(combinations(range(preference.shape[1]), 2))[pair]
        return tradeoff_weights(preference[:, a], preference[:, b])


def _encoder(width: int, hidden: int, n_factors: int, generator: torch.Generator) -> nn.Module:
    if not hidden:
        return _linear(width, n_factors, generator)
    return nn.Sequential(
        _linear(width, hidden, generator), nn.LeakyReLU(), _linear(hidden, n_factors, generator)
    )


def _linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out)  # its own draws from the global state
    bound = n_in**-0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def _xavier(rows: int, columns: int, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(rows, columns), generator=generator))


def _zeros(rows: int, columns: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(rows, columns))


def _sum(terms: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(terms)).sum()
