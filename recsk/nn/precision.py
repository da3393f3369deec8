"""Matrix products in bfloat16 and everything else in float32, by torch's autocast.

Autocast computes the products of a training step in bfloat16: linear layers, attention, and the
blocks of scores (`recsk.nn.softmax`). What a sum or a norm reads is brought back to float32, sparse
products stay in float32, and so do weights, gradients of weights and the state of the optimiser.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, TypeVar

import torch

__all__ = ["at_precision", "full_precision", "product_dtype", "upcast"]

B = TypeVar("B")
_Terms = dict[str, torch.Tensor]


def at_precision(
    loss_terms: Callable[[B], _Terms],
    precision: Literal["float32", "bfloat16"],
    device: torch.device,
) -> Callable[[B], _Terms]:
    """Let a function of a batch compute its matrix products at a precision.

    Parameters
    ----------
    loss_terms : callable
        The forward of a training step. Its gradients are computed as the forward was.
    precision : {"float32", "bfloat16"}
    device : torch.device
        The device of the network.

    Returns
    -------
    callable
        The same function for "float32".
    """
    if precision == "float32":
        return loss_terms

    def compute(batch: B) -> _Terms:
        # Without the cache, which threads share: another fit would change the order of sums.
        with torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False):
            terms = loss_terms(batch)
        return {name: upcast(term) for name, term in terms.items()}

    return compute


def full_precision(x: torch.Tensor) -> AbstractContextManager[object]:
    """Switch autocast off for a ``with`` block that computes on the device of a tensor."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def product_dtype(x: torch.Tensor) -> torch.dtype:
    """Return the dtype in which autocast, if it is on, multiplies matrices like this one."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def upcast(x: torch.Tensor) -> torch.Tensor:
    """Return bfloat16 as float32, and other dtypes as they are."""
    return x.float() if x.dtype == torch.bfloat16 else x
