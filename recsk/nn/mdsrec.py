"""The network of MDSRec and its objective (arXiv 2412.08103).

Shapes use I items, M modalities, width d, and B sequences of at most L items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, cast

import torch
from torch import nn

from recsk.nn.encoder import ItemInterests, ItemTables, SequenceEncoder
from recsk.nn.item_rows import CenterOperator, RowOperator
from recsk.nn.modality import Modality
from recsk.nn.propagation import SparseOperator, gather
from recsk.nn.sequences import SequenceBatch
from recsk.nn.softmax import softmax_loss

__all__ = ["Interests", "MDSRecNetwork", "MDSRecObjective"]


class Interests(NamedTuple):
    """Clusters of the items in one modality.

    Attributes
    ----------
    cluster_mean : SparseOperator of shape (n_interests + 1, I)
        Averages the vectors of items to the center of each cluster; the last row is empty.
    cluster : Tensor of shape (I,), int64
        Cluster of each item; the last row of `cluster_mean` if the item lacks the modality.
    """

    cluster_mean: SparseOperator
    cluster: torch.Tensor


class MDSRecNetwork(nn.Module):
    """Vectors of items in every modality, and the encoder of item sequences.

    Parameters
    ----------
    encoder : SequenceEncoder
    modalities : sequence of Modality
        If empty, the only modality is a learned id vector of each item.
    graphs : sequence of SparseOperator of shape (I, I), one per modality, or None
        Relation graphs that the id vectors are propagated on; None skips the propagation.
    interests : sequence of Interests, one per modality, or None
    n_items, n_factors : int
    shared_ids : bool
        Whether an item has one id vector for all modalities instead of one per modality.
    project_features : bool
        Whether a linear projection of the features is added to the vectors of the items.
    item_vectors : {"modality", "mean", "id"}
        Item vectors that users are compared with. "modality": the vectors of each modality with
        the user's vector of the same modality. "mean": the mean of these over the modalities.
        "id": the mean of the id vectors over the modalities.
    has_interactions : Tensor of shape (I, 1)
        One for items with interactions, zero for cold items.
    generator : torch.Generator
        On the CPU, so that the same seed gives the same initial weights on every device.
    """

    has_interactions: torch.Tensor
    cluster: torch.Tensor

    def __init__(
        self,
        encoder: SequenceEncoder,
        modalities: Sequence[Modality],
        graphs: Sequence[SparseOperator] | None,
        interests: Sequence[Interests] | None,
        *,
        n_items: int,
        n_factors: int,
        shared_ids: bool,
        project_features: bool,
        item_vectors: Literal["modality", "mean", "id"],
        has_interactions: torch.Tensor,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.modalities = list(modalities)
        self.graphs = graphs
        self.cluster_means = None if interests is None else [x.cluster_mean for x in interests]
        if interests is not None:
            cluster = torch.stack([x.cluster for x in interests])
            self.register_buffer("cluster", cluster, persistent=False)
        self.compared_vectors = item_vectors
        n_ids = 1 if shared_ids else max(len(self.modalities), 1)
        self.item = nn.Parameter(torch.empty(n_ids, n_items, n_factors))
        self.item_bias = nn.Parameter(torch.empty(n_items, 1)) if encoder.item_bias else None
        self.register_buffer("has_interactions", has_interactions, persistent=False)
        self.projections = nn.ModuleList(
            nn.Linear(modality.features.shape[1], n_factors)
            for modality in self.modalities
            if project_features
        )
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if "norm" not in name:
                    parameter.normal_(0.0, 0.02, generator=generator)
                if name.endswith("bias"):
                    parameter.zero_()

    def item_tables(self, needed: torch.Tensor | None = None) -> ItemTables:
        """Compute the vectors of items (MRGC) and of their interests.

        `needed` are distinct items, whose vectors alone are computed; None means all items.
        """
        n_modalities = max(len(self.modalities), 1)
        learned = self.item.unbind() * (n_modalities // len(self.item))  # shared ids: repeated
        parts = [self._modality_vectors(m, ids, needed) for m, ids in enumerate(learned)]
        items = torch.stack(parts)
        if self.cluster_means is None:
            return ItemTables(items)
        if needed is None:
            centers = [mean @ items[m] for m, mean in enumerate(self.cluster_means)]
            return ItemTables(items, ItemInterests(torch.stack(centers), self.cluster))
        centers = [
            operator(learned[m], cast(nn.Linear, self.projections[m]) if self.projections else None)
            for m, operator in enumerate(self._center_operators)
        ]
        return ItemTables(
            items, ItemInterests(torch.stack(centers), self.cluster.index_select(1, needed))
        )

    @cached_property
    def _row_operators(self) -> list[RowOperator]:
        return [RowOperator(graph, self.has_interactions) for graph in self._graphs()]

    @cached_property
    def _center_operators(self) -> list[CenterOperator]:
        parts = zip(self.cluster_means or (), self._graphs(), self.modalities, strict=True)
        return [
            CenterOperator(mean, graph, self.has_interactions, modality.features)
            for mean, graph, modality in parts
        ]

    def _graphs(self) -> Sequence[SparseOperator | None]:
        return self.graphs or [None] * max(len(self.modalities), 1)

    def id_vectors(self, needed: torch.Tensor | None = None) -> torch.Tensor:
        """Return the learned id vectors of the items, (M, I, d) or (1, I, d); zero for cold items.

        A cold item is never a positive: its id vector would only learn to be far from every user.
        So a cold item is represented by its content and by the items with similar content.
        """
        if needed is None:
            return self.item * self.has_interactions
        learned = torch.stack([gather(table, needed) for table in self.item.unbind()])
        return learned * self.has_interactions.index_select(0, needed)

    def _modality_vectors(
        self, m: int, learned: torch.Tensor, needed: torch.Tensor | None
    ) -> torch.Tensor:
        if needed is None:
            ids = learned * self.has_interactions
            items = ids if self.graphs is None else self.graphs[m] @ ids
        else:
            items = self._row_operators[m](needed, learned)
        if self.projections:
            features, present = self.modalities[m]
            if needed is not None:
                features, present = (
                    features.index_select(0, needed),
                    present.index_select(0, needed),
                )
            items = items + self.projections[m](features) * present
        return items

    def item_vectors(self, tables: ItemTables, needed: torch.Tensor | None = None) -> torch.Tensor:
        """Return the vectors of items, (I, width); inner products with users are scores."""
        items = self.item_parts(tables, needed).transpose(0, 1).flatten(1)
        return items if self.item_bias is None else torch.cat([items, self._biases(needed)], dim=1)

    def item_parts(self, tables: ItemTables, needed: torch.Tensor | None = None) -> torch.Tensor:
        """Return the compared item vectors, one per modality (M, I, d) or one in all (1, I, d)."""
        items = tables.items
        if self.compared_vectors != "modality":
            items = self.id_vectors(needed) if self.compared_vectors == "id" else items
            items = items.mean(dim=0, keepdim=True)
        return self.encoder.to_score_space(items)

    def item_parts_with_bias(
        self, tables: ItemTables, needed: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Append the bias to every part, for the ranking loss of each modality."""
        parts = self.item_parts(tables, needed)
        if self.item_bias is None:
            return parts
        return torch.cat([parts, self._biases(needed).expand(len(parts), -1, -1)], dim=2)

    def _biases(self, needed: torch.Tensor | None) -> torch.Tensor:
        assert self.item_bias is not None
        known = self.item_bias * self.has_interactions
        # Cold items get the mean bias of the other items.
        mean = known.sum() / self.has_interactions.sum()
        biases = known + (1 - self.has_interactions) * mean
        return biases if needed is None else gather(biases, needed)


@dataclass
class MDSRecObjective:
    """Cross-entropy of the next item at every position.

    Parameters
    ----------
    network : MDSRecNetwork
    score_temperature : float
        Divides the scores in the softmax.
    modality_weight : float
        Weight of the same loss on the scores of each single modality; the loss on the scores of
        all modalities together has weight 1.
    """

    network: MDSRecNetwork
    score_temperature: float
    modality_weight: float = 0.0

    def __call__(self, batch: SequenceBatch) -> dict[str, torch.Tensor]:
        """Compute the weighted terms of the loss, by name."""
        network, encoder = self.network, self.network.encoder
        tables = network.item_tables(batch.needed)
        states = encoder(tables, batch.items, batch.position, batch.share)
        users = encoder.user_vectors(states, batch.share)
        items = network.item_vectors(tables, batch.needed)
        terms = {"ranking": self._ranking_loss(users, items, batch)}
        if self.modality_weight and states.shape[1] > 1:
            user_parts = encoder.append_bias_input(encoder.to_score_space(states)).unbind(dim=1)
            item_parts = network.item_parts_with_bias(tables, batch.needed)
            item_parts = item_parts.expand(len(user_parts), -1, -1)
            pairs = zip(user_parts, item_parts, strict=True)
            losses = [self._ranking_loss(*pair, batch) for pair in pairs]
            terms["modality_ranking"] = self.modality_weight * torch.stack(losses).sum()
        if batch.share is not None:
            terms = {name: batch.share.fraction * term for name, term in terms.items()}
        return terms

    def _ranking_loss(
        self, users: torch.Tensor, items: torch.Tensor, batch: SequenceBatch
    ) -> torch.Tensor:
        items = items / self.score_temperature
        positive = gather(items, batch.target)
        negative = items if batch.negative is None else gather(items, batch.negative)
        return softmax_loss(
            users,
            positive,
            negative,
            positive_index=batch.target_index,
            weight=batch.weight,
        )
