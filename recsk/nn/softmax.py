"""Softmax cross-entropy over many items, in blocks that stay in the cache.

The scores of all queries with all items are never in memory at once: gradients are computed
along with the loss, block by block.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import e, log2
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from recsk.nn.propagation import gather, scatter

__all__ = ["softmax_loss"]

# Scores at a time. On the CPU they are to stay in the cache from one step to the next, elsewhere
# they are only to fit into memory.
_BLOCK = {"cpu": 2**19, "cuda": 2**26}
# Rows at a time, at least: each block reads all negatives.
_ROWS = 64
_LOG2_E = log2(e)


def softmax_loss(
    query: torch.Tensor,
    positive: torch.Tensor,
    negative: torch.Tensor,
    *,
    own: torch.Tensor | None = None,
    excluded: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
    owner: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Cross-entropy of finding a query's items among items that all queries share, averaged.

    .. math:: -\frac{1}{n} \sum_i w_i \log \frac{\exp(q_{o(i)} \cdot p_i)}
              {\exp(q_{o(i)} \cdot p_i) + \sum_j \exp(q_{o(i)} \cdot n_j)}

    The inner sum goes over the items that are not excluded for the query. It is computed once for
    a query, however many items it is to find.

    Parameters
    ----------
    query : Tensor of shape (n_queries, width)
        Vectors of users, already divided by the temperature.
    positive : Tensor of shape (n, width)
        The items that they met.
    negative : Tensor of shape (n_negatives, width)
        The others.
    own : Tensor of shape (n,), int64, default=None
        Where in `negative` the item met is, which makes it no negative there; -1 for nowhere. Not
        with `owner`: then what is no negative is excluded for all that a query is to find.
    excluded : Tensor of bool of shape (n_queries, n_negatives), default=None
        Which items are no negatives of which query.
    weight : Tensor of shape (n,), default=None
        :math:`w`; None is one everywhere.
    owner : Tensor of shape (n,), int64, default=None
        :math:`o`, the query that each item belongs to. None: each has its own, in this order.

    Returns
    -------
    Tensor of shape ()
    """
    assert own is None or owner is None
    scores = ((query if owner is None else gather(query, owner)) * positive).sum(dim=1)
    loss: torch.Tensor = _SoftmaxLoss.apply(query, scores, negative, weight, own, excluded, owner)
    return loss


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
        owner: torch.Tensor | None,
    ) -> torch.Tensor:
        share = scores.new_full(scores.shape, 1 / len(scores))
        if weight is not None:
            share = weight / len(scores)
        loss, slope = torch.empty_like(scores), torch.empty_like(scores)
        query_grad, negative_grad = torch.empty_like(query), torch.zeros_like(negative)
        for rows in _blocks(query, len(negative)):
            logits = query[rows] @ negative.T
            _hide(logits, _part(own, rows), _part(excluded, rows))
            top, others = _exponentiate(logits)
            if owner is None:
                loss[rows], scale = _compare(top, others, scores[rows], share[rows])
                slope[rows] = -others * scale
            else:
                # All of them at a time: to choose those of the block would be to wait for them.
                inside = (owner >= rows.start) & (owner < rows.stop)
                place = (owner - rows.start).clamp_(0, len(top) - 1)
                value, scale = _compare(top[place], others[place], scores, share)
                scale = torch.where(inside, scale, 0)
                loss = torch.where(inside, value, loss)
                slope = torch.where(inside, -others[place] * scale, slope)
                scale = scatter(scale, place, len(top))
            # A row's factor costs less on what is as wide as a vector than on the scores.
            query_grad[rows] = (logits @ negative).mul_(scale[:, None])
            negative_grad.addmm_(logits.T, query[rows] * scale[:, None])
        ctx.save_for_backward(query_grad, slope, negative_grad, loss)
        return loss @ share

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        *grads, loss = ctx.saved_tensors
        weight_grad = loss * (grad / len(loss)) if ctx.needs_input_grad[3] else None
        return *(part * grad for part in grads), weight_grad, None, None, None


def _blocks(query: torch.Tensor, scores_per_row: int) -> Iterator[slice]:
    size = max(_BLOCK.get(query.device.type, _BLOCK["cuda"]) // scores_per_row, _ROWS)
    for start in range(0, len(query), size):
        yield slice(start, start + size)


def _part(x: torch.Tensor | None, rows: slice) -> torch.Tensor | None:
    return None if x is None else x[rows]


def _hide(logits: torch.Tensor, own: torch.Tensor | None, excluded: torch.Tensor | None) -> None:
    """Let what is no negative count nothing."""
    if own is not None:
        column = own.clamp(min=0)[:, None]
        kept = logits.gather(1, column)
        logits.scatter_(1, column, kept.masked_fill_(own[:, None] >= 0, -torch.inf))
    if excluded is not None:
        logits.masked_fill_(excluded, -torch.inf)


def _exponentiate(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn logits into their exponentials, each row less its largest one; that, and the sums."""
    top = logits.amax(dim=1).clamp_(min=torch.finfo(logits.dtype).min)  # where nothing is left
    # On the CPU powers of two take a third of the time of those of e.
    logits.sub_(top[:, None]).mul_(_LOG2_E).exp2_()
    return top, logits.sum(dim=1)


def _compare(
    top: torch.Tensor, others: torch.Tensor, positive: torch.Tensor, share: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compare scores with those of the negatives, ``others * exp(top)`` in all.

    Returns
    -------
    loss : Tensor of shape (n,)
    scale : Tensor of shape (n,)
        What makes the exponentials of the negatives the gradient by their logits.
    """
    peak = torch.maximum(top, positive)
    less = (top - peak).exp_()
    total = others * less + (positive - peak).exp_()
    return total.log() + peak - positive, share * less / total
