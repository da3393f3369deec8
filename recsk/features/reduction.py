"""Wide features as few columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.utils.extmath import randomized_svd

from recsk.features.dense import Features

__all__ = ["Reduced", "reduce_columns"]

_N_ITER = 2  # the last columns hold little, so they need not be exact


class Reduced(NamedTuple):
    """What `reduce_columns` returns.

    Attributes
    ----------
    features : Features
    projection : ndarray of shape (n_columns, n_reduced), float32, or None
        Its product with features gives the reduced ones, for other items too. None where features
        stay as they are.
    """

    features: Features
    projection: npt.NDArray[np.float32] | None


def reduce_columns(features: Features, n_columns: int, seed: int) -> Reduced:
    """Replace features by their first principal components, each of mean square one.

    A linear layer on them costs a step less than one on all columns, and learns as much.

    Parameters
    ----------
    features : Features
        Standardised; not changed.
    n_columns : int
        Features that have no more columns, or no more items, are returned as they are.
    seed : int
        Of the randomized decomposition.

    Returns
    -------
    Reduced
        With a new array of values of shape (n_items, n_columns). Columns beyond the rank are zero.
    """
    values, present = features
    if min(values.shape[1], present.sum()) <= n_columns:
        return Reduced(features, None)
    known = values[present]
    components, scale, directions = randomized_svd(
        known,
        n_columns,
        n_iter=_N_ITER,
        # Without it, components of a few percent of the first drown in rounding errors.
        power_iteration_normalizer="LU",
        random_state=seed,
    )
    # What is beyond the rank are rounding errors, which must not be scaled up.
    rounding = scale[0] * max(known.shape) * np.finfo(known.dtype).eps
    reduced = np.zeros((len(values), n_columns), dtype=np.float32)
    wanted = np.where(scale > rounding, np.sqrt(len(known)), 0)
    reduced[present] = components * wanted
    projection = directions.T * np.divide(wanted, scale, where=scale > 0, out=np.zeros_like(wanted))
    return Reduced(Features(reduced, present), projection.astype(np.float32))
