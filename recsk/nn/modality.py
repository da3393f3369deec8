"""Item features as tensors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

__all__ = ["Modality"]


class Modality(NamedTuple):
    """Item features of one modality.

    Attributes
    ----------
    features : Tensor of shape (n_items, n_columns)
        Finite; the rows of items that lack the modality are ignored.
    present : Tensor of shape (n_items, 1)
        One if an item has the modality, zero if not.
    """

    features: torch.Tensor
    present: torch.Tensor

    @classmethod
    def from_arrays(cls, values: np.ndarray, present: np.ndarray, device: torch.device) -> Modality:
        """Copy arrays of shape (n_items, n_columns) and (n_items,) to a device."""
        return cls(
            torch.as_tensor(values, device=device),
            torch.as_tensor(present[:, None], dtype=torch.float32, device=device),
        )
