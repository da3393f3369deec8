"""Checks of arguments that several modules make, each with one wording."""

from __future__ import annotations

import os
from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk._describe import describe

__all__ = [
    "at_least_one",
    "finite_vectors",
    "float_vectors",
    "ids_below",
    "int_or_none",
    "nonzeros",
    "thread_count",
]

_LARGEST = np.iinfo(np.int32).max


def at_least_one(number: Any, name: str = "k") -> int:
    """Return `number` as an int.

    Raises
    ------
    TypeError
        If it is no integer; `name` is what the message calls it.
    ValueError
        If it is below 1, or beyond all that could be meant.
    """
    if not isinstance(number, Integral) or isinstance(number, bool):
        raise TypeError(f"{name} must be an int; got {number!r}")
    value = int(number)
    if value < 1:
        raise ValueError(f"{name} must be 1 or more; got {value}")
    if value > _LARGEST:
        raise ValueError(f"{name} must be at most {_LARGEST}; got {value}")
    return value


def int_or_none(number: Any) -> int | None:
    """Return an integer of any type, which was checked, as an int."""
    return None if number is None else int(number)


def ids_below(
    ids: Any, name: str, size: int, what: str = "items", dimensions: Iterable[int] = (1,)
) -> npt.NDArray[np.int64]:
    """Return ids as an int64 array.

    Parameters
    ----------
    ids : array-like of int
    name : str
        What messages call it.
    size : int
        Every id must be in ``range(size)``.
    what : str, default="items"
        What the ids are of.
    dimensions : iterable of int, default=(1,)
        How many axes it may have.

    Raises
    ------
    IndexError
        If an id is not in the range; the first one is named.
    TypeError
        If they are not integers.
    ValueError
        If the shape is wrong.
    """
    try:
        array = np.asarray(ids)
    except ValueError as error:  # rows of several lengths
        raise ValueError(f"{name} must be one array of integers, got {describe(ids)}") from error
    if array.size == 0 and array.ndim == 1:
        array = array.astype(np.int64)  # the empty list arrives as float64
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got {describe(ids)}")
    if array.ndim not in dimensions:
        raise ValueError(
            f"{name} must be {' or '.join(f'{n}-D' for n in dimensions)}; got shape {array.shape}"
        )
    wrong = (array < 0) | (array >= size)
    if wrong.any():
        raise IndexError(f"{name} has {array[wrong].flat[0]}, but {what} go from 0 to {size - 1}")
    return array.astype(np.int64)


def thread_count(number: Any, name: str = "n_threads") -> int:
    """Return how many threads there are to be, 0 for as many as possible; no more than cores.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If it is below 0: OpenMP would end the process.
    """
    if not isinstance(number, Integral) or isinstance(number, bool):
        raise TypeError(f"{name} must be an int; got {number!r}")
    if number < 0:
        raise ValueError(f"{name} must be 0, for as many as possible, or more; got {number}")
    return min(int(number), os.cpu_count() or 1)


def finite_vectors(
    vectors: Any, name: str, dimensions: Iterable[int] = (2,)
) -> npt.NDArray[np.float32]:
    """Return what `float_vectors` does, of numbers that are finite in float32.

    Raises
    ------
    TypeError, ValueError
        As `float_vectors`; also if a value is not finite: the first such row is named.
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold is found just below
        array = float_vectors(vectors, name, dimensions)
    # Extremes tell it without an array of bools; NaN is one of them.
    if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
        rows = np.atleast_2d(array)
        first = int(np.argmin(np.isfinite(rows).all(axis=1)))
        raise ValueError(f"{name} holds values that are not finite, the first in row {first}")
    return array


def nonzeros(
    exclude: Any, shape: tuple[int, int], name: str = "exclude"
) -> sp.csr_array | sp.csr_matrix | None:
    """Return what is to be left out in CSR form and without stored zeros; None stays None.

    Parameters
    ----------
    exclude : sparse matrix or array, or None
        Not changed; copied only where it has to be.
    shape : tuple of int
        Of the vectors that ask, and of items.
    name : str, default="exclude"
        What messages call it.

    Raises
    ------
    TypeError
        If it is not sparse.
    ValueError
        If it has another shape.
    """
    if exclude is None:
        return None
    if not sp.issparse(exclude):
        raise TypeError(f"{name} must be a sparse matrix; got {type(exclude).__name__}")
    if exclude.shape != shape:
        raise ValueError(
            f"{name} must have shape {shape}, a row for each user vector and a column for each "
            f"item; got {exclude.shape}"
        )
    found = exclude.tocsr()
    if not found.data.all():
        found = found.copy()
        found.eliminate_zeros()
    return found


def float_vectors(
    vectors: Any, name: str, dimensions: Iterable[int] = (2,)
) -> npt.NDArray[np.float32]:
    """Return vectors as a contiguous float32 array, which is `vectors` itself where it is one.

    Parameters
    ----------
    vectors : array-like of shape (n, width)
    name : str
        What messages call it.
    dimensions : iterable of int, default=(2,)
        How many axes it may have; 1 is one vector alone.

    Raises
    ------
    TypeError
        If it does not hold numbers.
    ValueError
        If it has another number of axes, or its rows have more than one width.
    """
    try:
        array = np.asarray(vectors)
    except ValueError as error:
        raise ValueError(f"{name} must have rows of one width; got {describe(vectors)}") from error
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers; got {describe(vectors)}")
    if array.ndim not in dimensions:
        axes = " or ".join(map(str, dimensions))
        raise ValueError(f"{name} must have {axes} axes, one row each; got shape {array.shape}")
    return np.ascontiguousarray(array, dtype=np.float32)
