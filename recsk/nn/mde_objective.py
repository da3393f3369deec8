"""The objective of MDE: ranking losses, difference and alignment (arXiv 2502.18481)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch

from recsk.nn.losses import (
    alignment_loss,
    bpr_loss,
    difference_loss,
    squared_norm,
    tradeoff_weights,
)
from recsk.nn.mde import MDENetwork
from recsk.nn.propagation import gather
from recsk.nn.sampling import Batch
from recsk.nn.softmax import softmax_loss

__all__ = ["MDEObjective"]


@dataclass
class MDEObjective:
    r"""The terms of MDE's loss for one batch (Eq. 9-11).

    .. math:: L = L_{rank}(fused) + w \sum_m L_{rank}(m) + \alpha L_{MDA} + \beta L_{MSA}
              + \lambda \|\Theta\|^2

    Parameters
    ----------
    network : MDENetwork
    ranking : {"bpr", "softmax"}
        :math:`L_{rank}`; softmax ranks the positive among negatives that the batch shares.
    score_temperature : float
        Divides the scores in the softmax.
    modality_weight : float
        :math:`w`; 1 in the paper.
    alpha, beta, reg_lambda : float
    temperature : float
        Temperature of the alignment loss.
    max_alignment : int
        Largest number of nodes of a batch that the alignment loss compares with each other.
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
        """Compute the weighted terms of the loss, by name; gradients are those of their sum."""
        network = self.network
        users, items = network()
        user_preference, item_preference = network.preferences()
        # Each user is compared with the shared negatives once, however many interactions it has.
        user = batch.user if batch.seen is None else batch.seen.user
        nodes = [gather(users, user), gather(items, batch.positive), gather(items, batch.negative)]
        preferences = [
            gather(user_preference, user),
            gather(item_preference, batch.positive),
            gather(item_preference, batch.negative),
        ]
        terms = self._ranking_terms(nodes, preferences, batch)
        if batch.seen is not None:
            nodes[0] = gather(nodes[0], batch.seen.user_index)
            preferences[0] = gather(preferences[0], batch.seen.user_index)
        if network.n_modalities > 1:
            sides = [
                (nodes[0], preferences[0], batch.user, "user"),
                (nodes[1], preferences[1], batch.positive, "item"),
            ]
            if self.alpha:
                terms["difference"] = self.alpha * _sum([self._difference_loss(*s) for s in sides])
            if self.beta:
                terms["alignment"] = self.beta * _sum([self._alignment_loss(*s) for s in sides])
        if self.reg_lambda:
            terms["regularization"] = self.reg_lambda * squared_norm(*self._learned_vectors(batch))
        return terms

    def _learned_vectors(self, batch: Batch) -> list[torch.Tensor]:
        """Return the learned vectors, before propagation, of the users and items of a batch."""
        rows = [gather(self.network.user, batch.user)]
        if self.network.id_embedding != "none":
            rows += [gather(self.network.item, ids) for ids in (batch.positive, batch.negative)]
        return rows

    def _ranking_terms(
        self, nodes: Sequence[torch.Tensor], preferences: Sequence[torch.Tensor], batch: Batch
    ) -> dict[str, torch.Tensor]:
        """Compute the ranking losses of the fused scores and of the scores per modality."""
        network = self.network
        modality_weight = self.modality_weight if network.n_modalities > 1 else 0.0
        fused = [network.fuse(*pair) for pair in zip(nodes, preferences, strict=True)]
        terms = {"ranking": self._ranking_loss(fused, batch)}
        if modality_weight:
            modality_nodes = [network.to_score_space(part) for part in nodes]
            parts = [[x[:, m] for x in modality_nodes] for m in range(network.n_modalities)]
            losses = [self._ranking_loss(part, batch) for part in parts]
            terms["modality_ranking"] = modality_weight * _sum(losses)
        return terms

    def _ranking_loss(self, vectors: Sequence[torch.Tensor], batch: Batch) -> torch.Tensor:
        user, positive, negative = vectors
        if self.ranking == "bpr":
            scores = (user * positive).sum(dim=1), (user * negative).sum(dim=1)
            return bpr_loss(*scores, batch.weight)
        seen = batch.seen
        return softmax_loss(
            user / self.score_temperature,
            positive,
            negative,
            positive_index=batch.positive_index,
            excluded=None if seen is None else seen.seen,
            weight=batch.weight,
            query_index=None if seen is None else seen.user_index,
        )

    def _difference_loss(
        self, nodes: torch.Tensor, preference: torch.Tensor, ids: torch.Tensor, side: str
    ) -> torch.Tensor:
        return _sum(
            [
                difference_loss(
                    nodes[:, a], nodes[:, b], self._tradeoff_weights(preference, ids, side, pair)[0]
                )
                for pair, (a, b) in enumerate(combinations(range(nodes.shape[1]), 2))
            ]
        )

    def _alignment_loss(
        self, nodes: torch.Tensor, preference: torch.Tensor, ids: torch.Tensor, side: str
    ) -> torch.Tensor:
        # The batch is in random order, so its first rows are a random sample.
        nodes, preference, ids = (x[: self.max_alignment] for x in (nodes, preference, ids))
        return _sum(
            [
                alignment_loss(
                    nodes[:, a],
                    nodes[:, b],
                    self._tradeoff_weights(preference, ids, side, pair)[1],
                    temperature=self.temperature,
                    ids=ids,
                )
                for pair, (a, b) in enumerate(combinations(range(nodes.shape[1]), 2))
            ]
        )

    def _tradeoff_weights(
        self, preference: torch.Tensor, ids: torch.Tensor, side: str, pair: int
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return the weights of difference and alignment for the nodes of a batch and a pair."""
        if self.network.tradeoff == "uniform":
            return None, None
        if self.network.tradeoff == "independent":
            free = getattr(self.network, f"{side}_tradeoff")[:, 2 * pair : 2 * pair + 2]
            weights = gather(free, ids).sigmoid()
            return weights[:, 0], weights[:, 1]
        a, b = list(combinations(range(preference.shape[1]), 2))[pair]
        return tradeoff_weights(preference[:, a], preference[:, b])


def _sum(terms: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(terms)).sum()
