"""Softmax cross-entropy over many items, computed in blocks that fit into the cache.

The scores of all queries and all items are never in memory at once. Gradients are computed along
with the loss, block by block.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import e, log2
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from recsk.nn.precision import full_precision, product_dtype
from recsk.nn.propagation import gather, scatter_sum

__all__ = ["softmax_loss"]

# Scores of a block. On the CPU they stay in the cache from one operation to the next; on other
# devices they only have to fit into memory.
_BLOCK_SCORES = {"cpu": 2**19, "cuda": 2**26}
# Fewest rows of a block: each block reads all negatives.
_MIN_BLOCK_ROWS = 64
_LOG2_E = log2(e)


def softmax_loss(
    query: torch.Tensor,
    positive: torch.Tensor,
    negative: torch.Tensor,
    *,
    positive_index: torch.Tensor | None = None,
    excluded: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
    query_index: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Mean cross-entropy of each positive against negatives that all queries share.

    .. math:: -\frac{1}{n} \sum_i w_i \log \frac{\exp(q_{o(i)} \cdot p_i)}
              {\exp(q_{o(i)} \cdot p_i) + \sum_j \exp(q_{o(i)} \cdot n_j)}

    The inner sum goes over the negatives that are not excluded for the query. It is computed once
    per query, however many positives the query has.

    Parameters
    ----------
    query : Tensor of shape (n_queries, width)
        Vectors of users, already divided by the temperature.
    positive : Tensor of shape (n, width)
        Vectors of the items that the users interacted with.
    negative : Tensor of shape (n_negatives, width)
        Vectors of the negatives.
    positive_index : Tensor of shape (n,), int64, default=None
        Position of each positive in `negative`, where it does not count as a negative; -1 if it
        is not there. Cannot be combined with `query_index`; use `excluded` then, which holds for
        all positives of a query.
    excluded : Tensor of bool of shape (n_queries, n_negatives), default=None
        True where an item does not count as a negative of the query.
    weight : Tensor of shape (n,), default=None
        :math:`w`; None is one everywhere.
    query_index : Tensor of shape (n,), int64, default=None
        :math:`o`, the query of each positive. None: positive i belongs to query i.

    Returns
    -------
    Tensor of shape ()
    """
    assert positive_index is None or query_index is None
    queries = query if query_index is None else gather(query, query_index)
    scores = (queries * positive).sum(dim=1)
    dtype = product_dtype(query)
    with full_precision(query):
        loss: torch.Tensor = _SoftmaxLoss.apply(
            query, scores, negative, weight, positive_index, excluded, query_index, dtype
        )
    return loss


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        scores: torch.Tensor,
        negative: torch.Tensor,
        weight: torch.Tensor | None,
        positive_index: torch.Tensor | None,
        excluded: torch.Tensor | None,
        query_index: torch.Tensor | None,
        dtype: torch.dtype,
    ) -> torch.Tensor:
        # Matrices are multiplied in `dtype`; what is summed, and every sum, has the one of query.
        left, right, by_column = query.to(dtype), negative.to(dtype), negative
        if dtype != query.dtype:  # on the CPU, PyTorch's bfloat16 reads along rows far faster
            by_column = right.T.contiguous().T
        factor = scores.new_full(scores.shape, 1 / len(scores))  # of each loss in the mean
        if weight is not None:
            factor = weight / len(scores)
        loss, score_grad = torch.empty_like(scores), torch.empty_like(scores)
        query_grad, negative_grad = torch.empty_like(query), torch.zeros_like(negative)
        for rows in _split_rows(query, len(negative)):
            logits = (left[rows] @ right.T).to(query.dtype)
            _exclude(logits, _select(positive_index, rows), _select(excluded, rows))
            top, total = _exponentiate(logits)
            if query_index is None:
                loss[rows], scale = _loss_and_scale(top, total, scores[rows], factor[rows])
                score_grad[rows] = -total * scale
            else:
                # For all positives: selecting those of the block would wait for the device.
                inside = (query_index >= rows.start) & (query_index < rows.stop)
                row = (query_index - rows.start).clamp_(0, len(top) - 1)
                value, scale = _loss_and_scale(top[row], total[row], scores, factor)
                scale = torch.where(inside, scale, 0)
                loss = torch.where(inside, value, loss)
                score_grad = torch.where(inside, -total[row] * scale, score_grad)
                scale = scatter_sum(scale, row, len(top))
            # Scaling vectors costs less than scaling the rows of scores.
            exponentials = logits.to(dtype)
            products = (exponentials @ by_column).to(query.dtype)
            query_grad[rows] = products.mul_(scale[:, None])
            _add_product(negative_grad, exponentials.T, query[rows] * scale[:, None])
        ctx.save_for_backward(query_grad, score_grad, negative_grad, loss)
        return loss @ factor

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        *grads, loss = ctx.saved_tensors
        weight_grad = loss * (grad / len(loss)) if ctx.needs_input_grad[3] else None
        return *(part * grad for part in grads), weight_grad, None, None, None, None


def _split_rows(query: torch.Tensor, scores_per_row: int) -> Iterator[slice]:
    block_scores = _BLOCK_SCORES.get(query.device.type, _BLOCK_SCORES["cuda"])
    size = max(block_scores // scores_per_row, _MIN_BLOCK_ROWS)
    for start in range(0, len(query), size):
        yield slice(start, start + size)


def _select(x: torch.Tensor | None, rows: slice) -> torch.Tensor | None:
    return None if x is None else x[rows]


def _add_product(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    """Add the product of two matrices, computed in the dtype of the left one, in place."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right.to(left.dtype)


def _exclude(
    logits: torch.Tensor, positive_index: torch.Tensor | None, excluded: torch.Tensor | None
) -> None:
    """Set the logits of items that are not negatives to minus infinity, in place."""
    if positive_index is not None:
        column = positive_index.clamp(min=0)[:, None]
        values = logits.gather(1, column)
        values.masked_fill_(positive_index[:, None] >= 0, -torch.inf)
        logits.scatter_(1, column, values)
    if excluded is not None:
        logits.masked_fill_(excluded, -torch.inf)


def _exponentiate(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Replace logits by ``exp(logits - top)``, in place.

    Returns
    -------
    top : Tensor of shape (n_rows,)
        Largest logit of each row.
    total : Tensor of shape (n_rows,)
        Sum of each row's exponentials.
    """
    # Clamped for rows without any negative.
    top = logits.amax(dim=1).clamp_(min=torch.finfo(logits.dtype).min)
    # On the CPU, exp2 takes a third of the time of exp.
    logits.sub_(top[:, None]).mul_(_LOG2_E).exp2_()
    return top, logits.sum(dim=1)


def _loss_and_scale(
    top: torch.Tensor, total: torch.Tensor, positive: torch.Tensor, factor: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compare scores of positives with negatives whose exponentials sum to ``total * exp(top)``.

    Returns
    -------
    loss : Tensor of shape (n,)
    scale : Tensor of shape (n,)
        The exponentials of the negatives times `scale` are the gradient by their logits.
    """
    peak = torch.maximum(top, positive)
    rescale = (top - peak).exp_()
    denominator = total * rescale + (positive - peak).exp_()
    return denominator.log() + peak - positive, factor * rescale / denominator
