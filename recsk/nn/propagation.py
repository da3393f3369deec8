"""Sparse propagation on fixed graphs, with gradients."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from recsk.nn.precision import full_precision

__all__ = ["SparseOperator", "gather", "mean_of_layers", "scatter_sum"]


class SparseOperator:
    """A constant sparse matrix A whose product ``A @ X`` with a dense tensor has a gradient.

    The gradient by X is ``A.T @ G``, where G is the gradient by the product. A symmetric matrix is
    its own transpose. Otherwise the transpose is stored once, so that no step computes it.

    Parameters
    ----------
    matrix : scipy sparse array of shape (n, m)
    device : torch.device
        Device of the stored matrix.
    symmetric : bool, default=False
        Whether ``matrix`` equals its transpose.
    """

    def __init__(
        self, matrix: sp.csr_array, device: torch.device, *, symmetric: bool = False
    ) -> None:
        self.shape = matrix.shape
        self.forward_matrix = _to_torch(sp.csr_array(matrix), device)
        self.adjoint_matrix = (
            self.forward_matrix if symmetric else _to_torch(sp.csr_array(matrix.T), device)
        )

    def __matmul__(self, dense: torch.Tensor) -> torch.Tensor:
        return _Product.apply(dense, self.forward_matrix, self.adjoint_matrix)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, dense: torch.Tensor, forward_matrix: torch.Tensor, adjoint_matrix: torch.Tensor
    ) -> torch.Tensor:
        ctx.adjoint_matrix = adjoint_matrix
        with full_precision(dense):  # torch has no sparse products in bfloat16 on every device
            return forward_matrix @ dense

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return ctx.adjoint_matrix @ grad.contiguous(), None, None


def _writeable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    # torch warns about read-only arrays, such as memory maps; nothing here writes to them.
    return array if array.flags.writeable else array.copy()


def _to_torch(matrix: sp.csr_array, device: torch.device) -> torch.Tensor:
    # 32-bit indices halve the memory traffic, and the CPU and CUDA kernels use them directly.
    wide = max(matrix.nnz, *matrix.shape) > np.iinfo(np.int32).max
    index = torch.int64 if wide else torch.int32
    with warnings.catch_warnings():
        # torch warns once per process that its CSR layout is in beta; users cannot change that.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        tensor = torch.sparse_csr_tensor(
            torch.as_tensor(_writeable(matrix.indptr), dtype=index),
            torch.as_tensor(_writeable(matrix.indices), dtype=index),
            torch.as_tensor(_writeable(matrix.data), dtype=torch.float32),
            size=matrix.shape,
            check_invariants=False,
        )
    return tensor.to(device)


def mean_of_layers(graph: SparseOperator, nodes: torch.Tensor, n_layers: int) -> torch.Tensor:
    r"""Average the nodes after 0 to ``n_layers`` propagation steps.

    .. math:: \frac{1}{L + 1} \sum_{l=0}^{L} \hat A^l X

    Parameters
    ----------
    graph : SparseOperator of shape (n, n)
        :math:`\hat A`.
    nodes : Tensor of shape (n, width)
        :math:`X`, all modalities side by side.
    n_layers : int
        :math:`L`; 0 returns the nodes unchanged.
    """
    averaged: torch.Tensor = _MeanOfLayers.apply(
        nodes, graph.forward_matrix, graph.adjoint_matrix, n_layers
    )
    return averaged


class _MeanOfLayers(torch.autograd.Function):
    """Horner's form, X + A (X + A (X + ...)), with one pass over the nodes for each step."""

    @staticmethod
    def forward(
        ctx: Any,
        nodes: torch.Tensor,
        forward_matrix: torch.Tensor,
        adjoint_matrix: torch.Tensor,
        n_layers: int,
    ) -> torch.Tensor:
        ctx.adjoint_matrix, ctx.n_layers = adjoint_matrix, n_layers
        with full_precision(nodes):
            return _mean_of_powers(forward_matrix, nodes, n_layers)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        nodes_grad = _mean_of_powers(ctx.adjoint_matrix, grad.contiguous(), ctx.n_layers)
        return nodes_grad, None, None, None


def _mean_of_powers(matrix: torch.Tensor, nodes: torch.Tensor, n_layers: int) -> torch.Tensor:
    total = nodes
    for _ in range(n_layers):
        total = torch.addmm(nodes, matrix, total)
    return total / (n_layers + 1) if total is nodes else total.mul_(1 / (n_layers + 1))


def gather(table: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Select rows of a table. Unlike plain indexing, its gradient is deterministic on CUDA."""
    rows = torch.nn.functional.embedding(ids, table.flatten(1))
    return rows.view(len(ids), *table.shape[1:])


def scatter_sum(values: torch.Tensor, ids: torch.Tensor, n: int) -> torch.Tensor:
    """Sum values (m,) or rows (m, width) by id, to n of them; deterministic on CUDA."""
    rows = values[:, None] if values.ndim == 1 else values
    total = torch.ops.aten.embedding_dense_backward(rows, ids, n, -1, False)
    return total[:, 0] if values.ndim == 1 else total
