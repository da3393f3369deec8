"""Scores of content by modality, for the rules whose vectors are content."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

__all__ = ["split_by_modality"]

Floats = npt.NDArray[np.float32]


def split_by_modality(
    features: Mapping[str, Floats], users: Floats, items: Floats
) -> dict[str, Floats]:
    """Split inner products of content vectors by the modality of their columns.

    Parameters
    ----------
    features : dict of str to ndarray of shape (n_items, n_columns)
        Those that `content_vectors` put side by side.
    users, items : ndarray of shape (n_pairs, sum of the columns), float32

    Returns
    -------
    dict of str to ndarray of shape (n_pairs,), float32
    """
    parts, start = {}, 0
    for name, values in features.items():
        some = slice(start, start + values.shape[1])
        parts[f"{name}: content"] = np.einsum("ij,ij->i", users[:, some], items[:, some])
        start = some.stop
    return parts
