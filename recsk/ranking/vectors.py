"""Scale vectors to length one."""

from __future__ import annotations

import numpy as np

__all__ = ["unit_rows"]


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Scale every row of an array to length one; rows of zeros stay zero."""
    # Scale the largest entry to one first: squares of very large or small values overflow or
    # underflow in float32.
    peak = np.abs(rows).max(axis=1, keepdims=True)
    rows = rows / np.where(peak > 0, peak, np.float32(1))
    return rows / np.where(peak > 0, np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1))
