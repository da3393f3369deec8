"""Softmax cross-entropy over many items, in blocks that stay in the cache.

The scores of all queries with all items are never in memory at once: gradients are computed
along with the loss, block by block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.function import once_differentiable

__all__ = ["joint_softmax_loss", "softmax_loss"]

# Scores at a time. On the CPU they are to stay in the cache from one step to the next, elsewhere
# they are only to fit into memory.
_BLOCK = {"cpu": 2**19, "cuda": 2**26}
# Rows at a time, at least: each block reads all negatives.
_ROWS = 64


def softmax_loss(
    query: torch.Tensor,
    positive: torch.Tensor,
    negative: torch.Tensor,
    *,
    own: torch.Tensor | None = None,
    excluded: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Cross-entropy of finding each query's item among items that all queries share, averaged.

    .. math:: -\frac{1}{n} \sum_i w_i \log \frac{\exp(q_i \cdot p_i)}
              {\exp(q_i \cdot p_i) + \sum_j \exp(q_i \cdot n_j)}

    The inner sum goes over the items that are not excluded for the query.

    Parameters
    ----------
    query : Tensor of shape (n, width)
        Vectors of users, already divided by the temperature.
    positive : Tensor of shape (n, width)
        The item that each of them met.
    negative : Tensor of shape (n_negatives, width)
        The others.
    own : Tensor of shape (n,), int64, default=None
        Where in `negative` the item met is, which makes it no negative there; -1 for nowhere.
    excluded : Tensor of bool of shape (n, n_negatives), default=None
        Which items are no negatives of which query.
    weight : Tensor of shape (n,), default=None
        :math:`w`; None is one everywhere.

    Returns
    -------
    Tensor of shape ()
    """
    scores = (query * positive).sum(dim=1)
    loss: torch.Tensor = _SoftmaxLoss.apply(query, scores, negative, weight, own, excluded)
    return loss


def joint_softmax_loss(
    query: torch.Tensor,
    positive: torch.Tensor,
    negative: torch.Tensor,
    query_share: torch.Tensor,
    positive_share: torch.Tensor,
    negative_share: torch.Tensor,
    *,
    modality_weight: float,
    own: torch.Tensor | None = None,
    excluded: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Losses of the scores in every modality and of a weighted sum of these, computed together.

    .. math:: L\Big(\sum_m a_m b_m s_m\Big) + \omega \sum_m L(s_m)

    where :math:`L` is `softmax_loss`, :math:`s_m` the inner products of the vectors in modality
    m, and :math:`a` and :math:`b` the shares of modalities in queries and items: that is what
    the inner product of vectors is that are joined side by side.

    Parameters
    ----------
    query : Tensor of shape (n, M, width)
        Vectors of users in every modality, already divided by the temperature.
    positive : Tensor of shape (n, M, width)
    negative : Tensor of shape (n_negatives, M, width)
    query_share : Tensor of shape (n, M)
        :math:`a`.
    positive_share : Tensor of shape (n, M)
        :math:`b` of the items met.
    negative_share : Tensor of shape (n_negatives, M)
        :math:`b` of the others.
    modality_weight : float
        :math:`\omega`.
    own, excluded, weight : Tensor, default=None
        As in `softmax_loss`.

    Returns
    -------
    fused, modalities : Tensor of shape ()
        The two terms. The gradient of their sum is right, that of each is not: the second one has
        none, and the first one has that of both.
    """
    single = (query * positive).sum(dim=2)
    fused = (query_share * positive_share * single).sum(dim=1)
    joined, modalities = _JointLoss.apply(
        query,
        negative,
        query_share,
        negative_share,
        single,
        fused,
        weight,
        modality_weight,
        own,
        excluded,
    )
    return joined, modalities


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        scores: torch.Tensor,
        negative: torch.Tensor,
        weight: torch.Tensor | None,
        own: torch.Tensor | None,
        excluded: torch.Tensor | None,
    ) -> torch.Tensor:
        share = _shares(scores, weight)
        loss, slope = torch.empty_like(scores), torch.empty_like(scores)
        query_grad, negative_grad = torch.empty_like(query), torch.zeros_like(negative)
        for rows in _blocks(query, len(negative)):
            logits = query[rows] @ negative.T
            loss[rows], others, scale = _exponentiate(
                logits, scores[rows], share[rows], _part(own, rows), _part(excluded, rows)
            )
            # A row's factor costs less on what is as wide as a vector than on the scores.
            query_grad[rows] = (logits @ negative).mul_(scale[:, None])
            negative_grad.addmm_(logits.T, query[rows] * scale[:, None])
            slope[rows] = -others * scale
        ctx.save_for_backward(query_grad, slope, negative_grad, loss)
        return loss @ share

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        *grads, loss = ctx.saved_tensors
        weight_grad = loss * (grad / len(loss)) if ctx.needs_input_grad[3] else None
        return *(part * grad for part in grads), weight_grad, None, None


class _JointLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        negative: torch.Tensor,
        query_share: torch.Tensor,
        negative_share: torch.Tensor,
        single: torch.Tensor,
        fused: torch.Tensor,
        weight: torch.Tensor | None,
        modality_weight: float,
        own: torch.Tensor | None,
        excluded: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        n_modalities = query.shape[1]
        share = _shares(fused, weight)
        loss, single_loss = torch.empty_like(fused), torch.zeros_like(fused)
        inputs = (query, negative, query_share, negative_share, single, fused)
        grads = [torch.zeros_like(x) for x in inputs]
        query_grad, negative_grad, query_share_grad, negative_share_grad = grads[:4]
        single_slope, fused_slope = grads[4:]
        b = negative_share.T.contiguous()
        for rows in _blocks(query, len(negative)):
            hidden = _part(own, rows), _part(excluded, rows)
            q, a = query[rows], query_share[rows]
            scores = [q[:, m] @ negative[:, m].T for m in range(n_modalities)]
            joint = (scores[0] * b[0]).mul_(a[:, :1])
            for m in range(1, n_modalities):
                joint += (scores[m] * b[m]).mul_(a[:, m, None])
            loss[rows], others, scale = _exponentiate(joint, fused[rows], share[rows], *hidden)
            joint.mul_(scale[:, None])
            fused_slope[rows] = -others * scale
            for m in range(n_modalities):
                # By the shares of this modality, then by its scores, here and there.
                by_share = joint * scores[m]
                query_share_grad[rows, m] = by_share @ b[m]
                negative_share_grad[:, m] += a[:, m] @ by_share
                torch.mul(joint, b[m], out=by_share).mul_(a[:, m, None])
                value, others, scale = _exponentiate(
                    scores[m], single[rows, m], share[rows], *hidden
                )
                single_loss[rows] += modality_weight * value
                scale *= modality_weight
                single_slope[rows, m] = -others * scale
                by_share += scores[m].mul_(scale[:, None])
                query_grad[rows, m] = by_share @ negative[:, m]
                negative_grad[:, m] += by_share.T @ q[:, m]
        modalities = single_loss @ share
        ctx.mark_non_differentiable(modalities)
        ctx.save_for_backward(*grads, loss + single_loss)
        return loss @ share, modalities

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor, _: Any) -> tuple[torch.Tensor | None, ...]:
        *grads, loss = ctx.saved_tensors
        weight_grad = loss * (grad / len(loss)) if ctx.needs_input_grad[6] else None
        return *(part * grad for part in grads), weight_grad, None, None, None


def _shares(scores: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    """What each row counts in the mean."""
    n = len(scores)
    return scores.new_full((n,), 1 / n) if weight is None else weight / n


def _blocks(query: torch.Tensor, n_negatives: int) -> Iterator[slice]:
    size = max(_BLOCK.get(query.device.type, _BLOCK["cuda"]) // n_negatives, _ROWS)
    for start in range(0, len(query), size):
        yield slice(start, start + size)


def _part(x: torch.Tensor | None, rows: slice) -> torch.Tensor | None:
    return None if x is None else x[rows]


def _exponentiate(
    logits: torch.Tensor,
    positive: torch.Tensor,
    share: torch.Tensor,
    own: torch.Tensor | None,
    excluded: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Turn logits into their exponentials, each row in a scale of its own.

    Returns
    -------
    loss : Tensor of shape (n,)
    others : Tensor of shape (n,)
        Sums of the exponentials.
    scale : Tensor of shape (n,)
        What makes the exponentials the gradient by the logits.
    """
    if own is not None:
        column = own.clamp(min=0)[:, None]
        kept = logits.gather(1, column)
        logits.scatter_(1, column, kept.masked_fill_(own[:, None] >= 0, -torch.inf))
    if excluded is not None:
        logits.masked_fill_(excluded, -torch.inf)
    top = torch.maximum(logits.amax(dim=1), positive)
    logits.sub_(top[:, None]).exp_()
    others = logits.sum(dim=1)
    total = others + (positive - top).exp_()
    return total.log() + top - positive, others, share / total
