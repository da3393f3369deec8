"""Softmax cross-entropy over many items, in blocks that stay in the cache."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

__all__ = ["softmax_loss"]

# Scores at a time. On the CPU they are to stay in the cache from one step to the next, on CUDA
# they are only to fit into memory.
_BLOCK = {"cpu": 2**19, "cuda": 2**27}


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

    The sum goes over the items that are not excluded for the query. The whole of the scores is
    never in memory: the gradient is computed along with the loss, block by block.

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
    return _SoftmaxLoss.apply(query, positive, negative, own, excluded, weight)


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        positive: torch.Tensor,
        negative: torch.Tensor,
        own: torch.Tensor | None,
        excluded: torch.Tensor | None,
        weight: torch.Tensor | None,
    ) -> torch.Tensor:
        n = len(query)
        scores = (query * positive).sum(dim=1)
        loss, slope = torch.empty_like(scores), torch.empty_like(scores)
        query_grad, negative_grad = torch.empty_like(query), torch.zeros_like(negative)
        size = max(_BLOCK[query.device.type] // max(len(negative), 1), 1)
        for start in range(0, n, size):
            rows = slice(start, start + size)
            logits = query[rows] @ negative.T
            if own is not None:
                _forget(logits, own[rows])
            if excluded is not None:
                logits.masked_fill_(excluded[rows], -torch.inf)
            top = torch.maximum(logits.amax(dim=1), scores[rows])
            found = (scores[rows] - top).exp_()
            logits.sub_(top[:, None]).exp_()
            others = logits.sum(dim=1)
            total = others + found
            loss[rows] = total.log() + top - scores[rows]
            scale = 1 / (n * total) if weight is None else weight[rows] / (n * total)
            # A row's factor costs less on what is as wide as a vector than on the scores.
            query_grad[rows] = (logits @ negative).mul_(scale[:, None])
            negative_grad.addmm_(logits.T, query[rows] * scale[:, None])
            slope[rows] = -others * scale
        query_grad.addcmul_(slope[:, None], positive)
        ctx.save_for_backward(query, query_grad, negative_grad, slope, loss)
        return loss.mean() if weight is None else (loss * weight).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, query_grad, negative_grad, slope, loss = ctx.saved_tensors
        return (
            query_grad * grad,
            query * (slope * grad)[:, None],
            negative_grad * grad,
            None,
            None,
            loss * (grad / len(loss)) if ctx.needs_input_grad[5] else None,
        )


def _forget(logits: torch.Tensor, own: torch.Tensor) -> None:
    """Put minus infinity at one column of every row, but where the column is -1."""
    column = own.clamp(min=0)[:, None]
    kept = logits.gather(1, column)
    logits.scatter_(1, column, kept.masked_fill_(own[:, None] >= 0, -torch.inf))
