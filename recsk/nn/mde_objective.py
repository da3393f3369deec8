"""The objective of MDE: ranking losses, difference and alignment (arXiv 2502.18481)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

import torch

from recsk.nn.batches import Batch
from recsk.nn.losses import (
    alignment_loss,
    bpr_loss,
    difference_loss,
    squared_norm,
    tradeoff_weights,
)
from recsk.nn.mde import MDENetwork
from recsk.nn.mde_nodes import BatchNodes
from recsk.nn.parallel import Processes
from recsk.nn.propagation import gather
from recsk.nn.softmax import softmax_loss

__all__ = ["MDEObjective"]


class _Side(NamedTuple):
    """Users or items that difference and alignment compare."""

    nodes: torch.Tensor
    preference: torch.Tensor
    ids: torch.Tensor
    tradeoff: torch.Tensor | None
    rows: slice = slice(None)  # of which this process takes the mean
    fraction: float = 1.0  # that they are


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
        if batch.share is not None:
            for name, term in terms.items():
                if name not in ("difference", "alignment"):  # they have their own shares
                    terms[name] = batch.share.fraction * term
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
        whole = batch if batch.share is None else batch.share
        # Users of a batch are in random order, but the interactions of one may be together.
        step = max(len(whole.user) // self.max_alignment, 1)
        sample = torch.arange(0, len(whole.user), step, device=batch.user.device)
        of_step = sample = sample[: self.max_alignment]
        if batch.share is not None:
            place, sample = _find(sample, batch.share.own)
        rows = [sample, sample]
        if batch.seen is not None:
            rows[0] = batch.seen.user_index[sample]
        if of_batch.items is not None:
            rows[1] = of_batch.items[0][sample]
        tradeoffs = [gather(free, sample) for free in of_batch.tradeoffs] or (None, None)
        sides = [
            _Side(gather(nodes, row), gather(preference, row), ids[of_step], free)
            for nodes, preference, row, ids, free in zip(
                of_batch.vectors[:2],
                of_batch.preferences[:2],
                rows,
                (whole.user, whole.positive),
                tradeoffs,
                strict=True,
            )
        ]
        if batch.share is None:
            return sides
        return _join(sides, place, len(of_step), batch.share.processes)

    def _difference_loss(self, side: _Side) -> torch.Tensor:
        parts, rows = side.nodes.unbind(1), side.rows
        return side.fraction * _sum(
            [
                difference_loss(parts[a][rows], parts[b][rows], self._weights(side, pair)[0])
                for pair, (a, b) in enumerate(combinations(range(len(parts)), 2))
            ]
        )

    def _alignment_loss(self, side: _Side) -> torch.Tensor:
        parts = side.nodes.unbind(1)
        return side.fraction * _sum(
            [
                alignment_loss(
                    parts[a],
                    parts[b],
                    self._weights(side, pair)[1],
                    temperature=self.temperature,
                    ids=side.ids,
                    rows=side.rows,
                )
                for pair, (a, b) in enumerate(combinations(range(len(parts)), 2))
            ]
        )

    def _weights(self, side: _Side, pair: int) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return the weights of difference and alignment for a pair of modalities."""
        if self.network.tradeoff == "uniform":
            return None, None
        if side.tradeoff is not None:
            weights = side.tradeoff[side.rows, 2 * pair : 2 * pair + 2].sigmoid()
            return weights[:, 0], weights[:, 1]
        a, b = list(combinations(range(side.preference.shape[1]), 2))[pair]
        preference = side.preference[side.rows]
        return tradeoff_weights(preference[:, a], preference[:, b])


def _find(items: torch.Tensor, among: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Find which items are among others, both ascending: positions in either of those that are."""
    if not len(among):
        return among, among
    position = torch.searchsorted(among, items).clamp_(max=len(among) - 1)
    found = (among[position] == items).nonzero()[:, 0]
    return found, position[found]


def _join(sides: Sequence[_Side], place: torch.Tensor, n: int, processes: Processes) -> list[_Side]:
    """Join the nodes of all processes, in one exchange, and take a share of the n anchors each."""
    parts = [
        part.flatten(1)
        for side in sides
        for part in (side.nodes, side.preference, side.tradeoff)
        if part is not None
    ]
    joined = processes.join_rows(torch.cat(parts, dim=1), place, n)
    remaining = iter(joined.split([part.shape[1] for part in parts], dim=1))
    rows = processes.slice_of(n)
    fraction = (rows.stop - rows.start) / n
    if not fraction:
        rows = slice(0, 1)
    return [
        _Side(
            next(remaining).unflatten(1, side.nodes.shape[1:]),
            next(remaining),
            side.ids,
            None if side.tradeoff is None else next(remaining),
            rows,
            fraction,
        )
        for side in sides
    ]


def _sum(terms: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(terms)).sum()
