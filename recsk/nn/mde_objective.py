"""The objective of MDE: ranking losses, difference and alignment (arXiv 2502.18481)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

import torch

from recsk.nn.losses import (
    alignment_loss,
    bpr_loss,
    difference_loss,
    squared_norm,
    tradeoff_weights,
)
from recsk.nn.mde import MDENetwork
from recsk.nn.mde_nodes import BatchNodes
from recsk.nn.propagation import gather
from recsk.nn.sampling import Batch
from recsk.nn.softmax import softmax_loss

__all__ = ["MDEObjective"]


class _Side(NamedTuple):
    """Users or items that difference and alignment compare."""

    nodes: torch.Tensor
    preference: torch.Tensor
    ids: torch.Tensor
    tradeoff: torch.Tensor | None


@dataclass
class MDEObjective:
    r"""The terms of MDE's loss for one batch (Eq. 9-11).

    .. math:: L = L_{rank}(fused) + w \sum_m L_{rank}(m) + \alpha L_{MDA} + \beta L_{MSA}
              + \lambda \|\Theta\|^2

    Parameters
    ----------
    network : MDENetwork
    nodes : callable
        Computes the nodes of a batch: `WholeGraph` or `CachedGraph`.
    ranking : {"bpr", "softmax"}
        :math:`L_{rank}`; softmax ranks the positive among negatives that the batch shares.
    score_temperature : float
        Divides the scores in the softmax.
    score_scale : float
        Multiplies the scores in BPR. Those of vectors of length one are bounded: without a factor
        BPR never leaves its linear part.
    modality_weight : float
        :math:`w`; 1 in the paper.
    alpha, beta, reg_lambda : float
    temperature : float
        Temperature of the alignment loss.
    max_alignment : int
        Largest number of interactions of a batch whose users and items the difference and
        alignment losses compare.
    """

    network: MDENetwork
    nodes: Callable[[Batch], BatchNodes]
    ranking: Literal["bpr", "softmax"]
    score_temperature: float
    score_scale: float
    modality_weight: float
    alpha: float
    beta: float
    reg_lambda: float
    temperature: float
    max_alignment: int

    def __call__(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Compute the weighted terms of the loss, by name; gradients are those of their sum."""
        network, of_batch = self.network, self.nodes(batch)
        terms = self._ranking_terms(of_batch, batch)
        if network.n_modalities > 1 and (self.alpha or self.beta):
            sides = self._sides(of_batch, batch)
            if self.alpha:
                terms["difference"] = self.alpha * _sum([self._difference_loss(s) for s in sides])
            if self.beta:
                terms["alignment"] = self.beta * _sum([self._alignment_loss(s) for s in sides])
        if self.reg_lambda:
            squares = squared_norm(*of_batch.learned, n=len(batch.user))
            terms["regularization"] = self.reg_lambda * squares
        return terms

    def get_state(self) -> float:
        """Return what a fit may change from epoch to epoch."""
        return self.score_temperature

    def set_state(self, state: float) -> None:
        """Continue from a state."""
        self.score_temperature = state

    def _ranking_terms(self, of_batch: BatchNodes, batch: Batch) -> dict[str, torch.Tensor]:
        """Compute the ranking losses of the fused scores and of the scores per modality."""
        network = self.network
        modality_weight = self.modality_weight if network.n_modalities > 1 else 0.0
        users, *items = zip(of_batch.vectors, of_batch.preferences, strict=True)
        vectors = [network.fuse(*users), *(network.fuse_items(*pair) for pair in items)]
        fused = of_batch.select(vectors)
        terms = {"ranking": self._ranking_loss(fused, batch)}
        if modality_weight:
            parts = [network.to_score_space(part).unbind(1) for part in of_batch.vectors]
            losses = [
                self._ranking_loss(of_batch.select(of_modality), batch)
                for of_modality in zip(*parts, strict=True)
            ]
            terms["modality_ranking"] = modality_weight * _sum(losses)
        return terms

    def _ranking_loss(self, vectors: Sequence[torch.Tensor], batch: Batch) -> torch.Tensor:
        user, positive, negative = vectors
        if self.ranking == "bpr":
            user = user * self.score_scale
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

    def _sides(self, of_batch: BatchNodes, batch: Batch) -> list[_Side]:
        """Select the users and the items that difference and alignment compare."""
        # Users of a batch are in random order, but the interactions of one may be together.
        step = max(len(batch.user) // self.max_alignment, 1)
        sample = torch.arange(0, len(batch.user), step, device=batch.user.device)
        sample = sample[: self.max_alignment]
        rows = [sample, sample]
        if batch.seen is not None:
            rows[0] = batch.seen.user_index[sample]
        if of_batch.items is not None:
            rows[1] = of_batch.items[0][sample]
        tradeoffs = [gather(free, sample) for free in of_batch.tradeoffs] or (None, None)
        return [
            _Side(gather(nodes, row), gather(preference, row), ids[sample], free)
            for nodes, preference, row, ids, free in zip(
                of_batch.vectors[:2],
                of_batch.preferences[:2],
                rows,
                (batch.user, batch.positive),
                tradeoffs,
                strict=True,
            )
        ]

    def _difference_loss(self, side: _Side) -> torch.Tensor:
        parts = side.nodes.unbind(1)
        return _sum(
            [
                difference_loss(parts[a], parts[b], self._weights(side, pair)[0])
                for pair, (a, b) in enumerate(combinations(range(len(parts)), 2))
            ]
        )

    def _alignment_loss(self, side: _Side) -> torch.Tensor:
        parts = side.nodes.unbind(1)
        return _sum(
            [
                alignment_loss(
                    parts[a],
                    parts[b],
                    self._weights(side, pair)[1],
                    temperature=self.temperature,
                    ids=side.ids,
                )
                for pair, (a, b) in enumerate(combinations(range(len(parts)), 2))
            ]
        )

    def _weights(self, side: _Side, pair: int) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return the weights of difference and alignment for a pair of modalities."""
        if self.network.tradeoff == "uniform":
            return None, None
        if side.tradeoff is not None:
            weights = side.tradeoff[:, 2 * pair : 2 * pair + 2].sigmoid()
            return weights[:, 0], weights[:, 1]
        a, b = list(combinations(range(side.preference.shape[1]), 2))[pair]
        return tradeoff_weights(side.preference[:, a], side.preference[:, b])


def _sum(terms: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(terms)).sum()
