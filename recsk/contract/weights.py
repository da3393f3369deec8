"""The argument ``sample_weight`` of ``fit``, checked and attached to the interactions."""

from __future__ import annotations

import warnings
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.data.checks import describe
from recsk.data.interactions import Interactions

__all__ = ["scale_weights", "warn_of_other_weights", "weigh_interactions"]

_SMALLEST = np.finfo(np.float32).tiny


def weigh_interactions(
    X: Any, interactions: Interactions, sample_weight: Any, *, stacklevel: int = 5
) -> Interactions:
    """Return the interactions to learn from, with their weights as values, as they were given.

    Parameters
    ----------
    X : Interactions, matrix or array
        What the user passed to ``fit``.
    interactions : Interactions
        `X` after its checks: those of its interactions whose value or entry is not zero.
    sample_weight : array-like, "value" or None
        What the user passed to ``fit``.
    stacklevel : int, default=5
        Of the warning.

    Returns
    -------
    Interactions
        Without those of weight zero. The values are None where all weights are one.

    Raises
    ------
    TypeError
        If `sample_weight` does not hold numbers.
    ValueError
        If it has another shape, a weight is negative or not finite, or no interaction has a
        weight above zero.

    Warns
    -----
    UserWarning
        If `sample_weight` is None and the values of `X` differ.
    """
    by_row = not isinstance(X, Interactions)
    value = None if by_row else interactions.value
    if sample_weight is None:
        if value is not None and value.min() < value.max():
            warnings.warn(
                f"X has values from {value.min():g} to {value.max():g}, and fit does not use them: "
                'pass sample_weight="value" to weigh the interactions by them, or X.with_value('
                "None) if they are no weights",
                stacklevel=stacklevel,
            )
        return interactions.with_value(None)
    if isinstance(sample_weight, str):
        if sample_weight != "value":
            raise ValueError(
                f"sample_weight must be 'value' or an array of numbers; got {sample_weight!r}"
            )
        if value is None:
            has, cure = "has none", "X.with_value(weights)"
            if by_row:
                has, cure = "is a matrix", "Interactions.from_csr(X)"
            raise ValueError(
                f"sample_weight='value' needs Interactions with values, but X {has}: pass {cure} "
                "as X, or the weights themselves"
            )
        weight = value.astype(np.float64)
    else:
        weight = _check_weights(sample_weight)
        _check_length(len(weight), X, interactions)
        if by_row:
            weight = weight[interactions.user]
        elif len(interactions) < len(X):  # zeros among the values
            weight = weight[X.value > 0]
    positive = weight > 0
    if not positive.any():
        raise ValueError(
            f"sample_weight is zero for all {len(weight)} interactions of X; at least one must "
            "have a weight above zero"
        )
    if not positive.all():
        interactions, weight = interactions[positive], weight[positive]
    return interactions.with_value(None if (weight == 1).all() else weight)


def warn_of_other_weights(known: Interactions, sample_weight: Any, stacklevel: int) -> None:
    """Warn if new interactions come without weights, and known ones have some.

    Parameters
    ----------
    known : Interactions
        Values are weights, None where all are one.
    sample_weight : array-like, "value" or None
        Of the new interactions; ones on purpose are no None.
    stacklevel : int
    """
    if sample_weight is None and known.value is not None:
        low, high = known.value.min(), known.value.max()
        warnings.warn(
            f"X has no sample_weight, so that its interactions have weight 1, but those of the fit "
            f"have weights from {low:g} to {high:g}: pass sample_weight on that scale to "
            "partial_fit, ones if 1 is meant",
            stacklevel=stacklevel,
        )


def scale_weights(interactions: Interactions) -> Interactions:
    """Return interactions with weights in (0, 1], relative to the largest.

    They are None where all weights are equal.
    """
    weight = interactions.value
    if weight is None or weight.min() == weight.max():
        return interactions.with_value(None)
    # Relative to the largest, no sum overflows; and no weight above zero becomes zero in float32.
    relative = np.maximum(weight / weight.max(), _SMALLEST).astype(np.float32)
    return interactions.with_value(relative)


def _check_weights(sample_weight: Any) -> npt.NDArray[np.float64]:
    """Return weights as a 1-D array of finite numbers that are not negative."""
    if isinstance(sample_weight, np.ma.MaskedArray) and np.ma.is_masked(sample_weight):
        raise ValueError("sample_weight has masked entries; fill them, with 0 to leave them out")
    try:
        array = np.asarray(sample_weight)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"sample_weight must be 1-D; got {describe(sample_weight)}") from error
    if array.dtype.kind == "O" and array.ndim == 1:
        array = _objects_to_floats(array)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"sample_weight must hold numbers; got {describe(sample_weight)}")
    if array.ndim != 1:
        raise ValueError(f"sample_weight must be 1-D; got {describe(sample_weight)}")
    weight = array.astype(np.float64)
    wrong = ~(np.isfinite(weight) & (weight >= 0))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(
            f"sample_weight[{first}] is {weight[first]:g}; weights must be finite and not negative"
        )
    return weight


def _objects_to_floats(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert objects, as of a pandas column with missing values; text stays as it is."""
    missing = np.array([x is None or type(x).__name__ == "NAType" for x in array], dtype=bool)
    if not all(isinstance(x, Real) for x in array[~missing]):
        return array
    numbers = np.full(len(array), np.nan)
    numbers[~missing] = array[~missing].astype(np.float64)
    return numbers


def _check_length(n_weights: int, X: Any, interactions: Interactions) -> None:
    """Reject weights that are not one for each sample of `X`."""
    if isinstance(X, Interactions):
        n_samples, what, cure = len(X), "interactions", ""
        if n_weights == X.n_users:
            cure = "; to weigh users: sample_weight[X.user]"
    else:
        n_samples, what = interactions.n_users, "users (rows)"
        cure = "; to weigh single interactions: Interactions.from_csr(X)"
    if n_weights != n_samples:
        raise ValueError(
            f"sample_weight has {n_weights} entries, but X has {n_samples} {what}: one weight for "
            f"each is expected{cure}"
        )
