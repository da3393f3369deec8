"""The terms of the objectives, as functions of tensors."""

from __future__ import annotations

import torch
from torch.nn import functional

from recsk.nn.softmax import softmax_loss
from recsk.nn.unit import unit_vectors

__all__ = ["alignment_loss", "bpr_loss", "difference_loss", "squared_norm", "tradeoff_weights"]

_ALL = slice(None)


def bpr_loss(
    positive: torch.Tensor, negative: torch.Tensor, weight: torch.Tensor | None = None
) -> torch.Tensor:
    r"""Mean of Bayesian personalised ranking, :math:`-\log \sigma(s^+ - s^-)` (MDE, Eq. 9).

    Parameters
    ----------
    positive, negative : Tensor of shape (n,)
        Scores of the positive and of the negative items.
    weight : Tensor of shape (n,), default=None
        Weight of each interaction; None is one everywhere.
    """
    return _weighted_mean(functional.softplus(negative - positive), weight)


def tradeoff_weights(
    first: torch.Tensor, second: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Compute each node's weights of difference and alignment from its preferences (MDE, Eq. 8).

    .. math:: w_d = |w_v - w_t|, \qquad w_s = 1 - w_d

    Parameters
    ----------
    first, second : Tensor of shape (n_nodes,)
        Preferences for the two modalities of a pair.

    Returns
    -------
    difference_weight, alignment_weight : Tensor of shape (n_nodes,)
    """
    difference = (first - second).abs()
    return difference, 1 - difference


def difference_loss(
    first: torch.Tensor, second: torch.Tensor, weight: torch.Tensor | None = None
) -> torch.Tensor:
    r"""Reward differences between the two modalities of a node (MDA; MDE, Eq. 6).

    .. math:: -\frac{1}{n} \sum_i \sum_d W_d \odot
              \left| \frac{X_v}{\|X_v\|} - \frac{X_t}{\|X_t\|} \right|

    Parameters
    ----------
    first, second : Tensor of shape (n_nodes, n_factors)
        The nodes in two modalities.
    weight : Tensor of shape (n_nodes,), default=None
        :math:`w_d` of each node; None is one everywhere.
    """
    distance = (unit_vectors(first) - unit_vectors(second)).abs().sum(dim=1)
    return -_weighted_mean(distance, weight)


def alignment_loss(
    first: torch.Tensor,
    second: torch.Tensor,
    weight: torch.Tensor | None = None,
    *,
    temperature: float,
    ids: torch.Tensor | None = None,
    rows: slice = _ALL,
) -> torch.Tensor:
    r"""Pull a node's two modalities together, away from other nodes (MSA; MDE, Eq. 7).

    .. math:: \frac{1}{n} \sum_i -w_s \log
              \frac{\exp(\cos(x^v_i, x^t_i) / \tau)}{\sum_j \exp(\cos(x^v_i, x^t_j) / \tau)}

    Parameters
    ----------
    first, second : Tensor of shape (n_nodes, n_factors)
        The nodes of a batch in two modalities.
    weight : Tensor of shape (n_nodes,), default=None
        :math:`w_s` of each node; None is one everywhere.
    temperature : float
        :math:`\tau`.
    ids : Tensor of shape (n_nodes,), default=None
        The node of each row. Rows of the same node are not negatives of each other. None means
        that all rows are different nodes.
    rows : slice, default=slice(None)
        With `ids`: the i of the mean, which `weight` is of; j goes over all nodes.
    """
    anchors = unit_vectors(first[rows]) / temperature
    targets = unit_vectors(second)
    if ids is not None:
        same = ids[rows, None] == ids[None, :]
        return softmax_loss(anchors, targets[rows], targets, excluded=same, weight=weight)
    diagonal = torch.arange(len(targets), device=targets.device)
    return softmax_loss(anchors, targets, targets, positive_index=diagonal, weight=weight)


def squared_norm(*tensors: torch.Tensor, n: int | None = None) -> torch.Tensor:
    r"""Half the sum of squares, per row of the first tensor (:math:`\lambda`'s term, Eq. 11).

    `n` is in place of the number of rows.
    """
    total = torch.stack([tensor.square().sum() for tensor in tensors]).sum()
    return total / (2 * (len(tensors[0]) if n is None else n))


def _weighted_mean(values: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    return values.mean() if weight is None else (weight * values).mean()
