"""Vectors of length one."""

from __future__ import annotations

from typing import Any

import torch

from recsk.nn.precision import upcast

__all__ = ["unit_vectors"]

_SMALLEST = 1e-12


def unit_vectors(x: torch.Tensor) -> torch.Tensor:
    """Scale the vectors of the last axis to length one; zeros stay.

    As `torch.nn.functional.normalize`, in a third of the passes over the data.
    """
    scaled: torch.Tensor = _UnitVectors.apply(upcast(x))
    return scaled


class _UnitVectors(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_(min=_SMALLEST)
        scale = length.reciprocal_()
        scaled = x * scale
        ctx.save_for_backward(scaled, scale)
        return scaled

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        scaled, scale = ctx.saved_tensors
        # The part along the vector would change its length.
        along = torch.linalg.vecdot(scaled, grad)[..., None]
        return torch.addcmul(grad, scaled, along, value=-1).mul_(scale)
