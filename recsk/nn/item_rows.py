"""Vectors of the items that a batch needs, at the cost of these items."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

from recsk.nn.precision import full_precision, upcast
from recsk.nn.propagation import SparseOperator, gather

__all__ = ["CenterOperator", "RowOperator"]


class RowOperator:
    r"""Some rows of the product :math:`A \mathrm{diag}(w) E` of a graph and id vectors.

    They cost what these rows cost, whereas `SparseOperator` computes all rows.

    Parameters
    ----------
    graph : SparseOperator of shape (I, I), or None
        :math:`A`; None is the identity.
    weight : Tensor of shape (I, 1)
        :math:`w`.
    """

    def __init__(self, graph: SparseOperator | None, weight: torch.Tensor) -> None:
        self.columns, self.values = None, weight
        if graph is not None:
            self.columns, self.values = _pad_rows(graph.forward_matrix)
            self.values = self.values * weight[self.columns, 0]

    def __call__(self, rows: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Return the rows of the product, (len(rows), d), from the id vectors (I, d)."""
        values = self.values.index_select(0, rows)
        if self.columns is None:
            return gather(ids, rows) * values
        products: torch.Tensor = _Sums.apply(ids, self.columns.index_select(0, rows), values)
        return products


class _Sums(torch.autograd.Function):
    """Weighted sums of rows of a table, (n, d), by the rows and weights of each sum, (n, k)."""

    @staticmethod
    def forward(
        ctx: Any, table: torch.Tensor, rows: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(rows, weights)
        ctx.n_rows = len(table)
        return functional.embedding_bag(rows, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        # The gradient of a row is a weighted sum as well: of the sums that the row is in.
        rows, weights = ctx.saved_tensors
        flat, order = rows.flatten().sort(stable=True)
        count = torch.zeros(ctx.n_rows, dtype=torch.int64, device=rows.device)
        count.index_add_(0, flat, torch.ones_like(flat, dtype=torch.int64))
        table_grad = functional.embedding_bag(
            order // rows.shape[1],
            grad,
            count.cumsum(0) - count,
            per_sample_weights=weights.flatten().index_select(0, order),
            mode="sum",
        )
        return table_grad, None, None


def _pad_rows(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Columns and values of a CSR matrix, (n, largest length of a row); padded with zeros.

    Rows of one length are found without waiting for the device.
    """
    start, columns, values = matrix.crow_indices(), matrix.col_indices(), matrix.values()
    length = start.diff()
    place = torch.arange(int(length.max()), device=start.device)
    filled = place < length[:, None]
    index = torch.where(filled, start[:-1, None] + place, 0)
    return torch.where(filled, columns[index], 0), torch.where(filled, values[index], 0)


class CenterOperator:
    r"""The centers of clusters of items, from id vectors and a projection of features.

    .. math:: C (A \mathrm{diag}(w) E + X W + 1 b) = (C A \mathrm{diag}(w)) E + (C X) W + (C 1) b

    The right-hand side needs no vectors of single items. There are few clusters, so that the
    products in brackets are small dense matrices.

    Parameters
    ----------
    cluster_mean : SparseOperator of shape (n_clusters, I)
        :math:`C`.
    graph : SparseOperator of shape (I, I), or None
        :math:`A`; None is the identity.
    weight : Tensor of shape (I, 1)
        :math:`w`.
    features : Tensor of shape (I, n_columns)
        :math:`X`. Items that lack the modality are in no cluster.
    """

    def __init__(
        self,
        cluster_mean: SparseOperator,
        graph: SparseOperator | None,
        weight: torch.Tensor,
        features: torch.Tensor,
    ) -> None:
        mean = cluster_mean.forward_matrix.to_dense().T.contiguous()
        with full_precision(mean):
            of_ids = mean if graph is None else graph.adjoint_matrix @ mean
        self.of_ids = (of_ids * weight).T.contiguous()
        self.of_features = cluster_mean @ features
        self.of_ones = mean.sum(dim=0)[:, None]

    def __call__(self, ids: torch.Tensor, projection: torch.nn.Linear | None) -> torch.Tensor:
        """Return the centers, (n_clusters, d), from the id vectors of all items (I, d)."""
        centers = upcast(self.of_ids @ ids)
        if projection is None:
            return centers
        projected = functional.linear(self.of_features, projection.weight)
        return centers + projected + self.of_ones * projection.bias
