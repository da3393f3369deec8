"""Checks of arguments that share one wording of their error messages."""

from __future__ import annotations

import os
from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

__all__ = [
    "as_int_or_none",
    "check_excluded",
    "check_finite_vectors",
    "check_ids",
    "check_positive_int",
    "check_thread_count",
    "check_unmasked",
    "check_vectors",
    "describe",
    "shorten",
]

_MAX_INT32 = np.iinfo(np.int32).max


def describe(value: Any) -> str:
    """Describe a value in an error message: its type, and its shape or the start of its repr."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    if sp.issparse(value):
        return f"a sparse matrix of shape {value.shape}"
    if hasattr(value, "columns") and hasattr(value, "shape"):
        return f"a {type(value).__name__} of shape {tuple(value.shape)}"
    return f"{type(value).__name__} {shorten(value)}"


def shorten(value: Any) -> str:
    """Return the repr of a value, cut to 60 characters, where its type is the expected one."""
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def check_unmasked(array: Any, name: str) -> None:
    """Refuse masked entries: NumPy reads the values below a mask as if it were not there.

    Raises
    ------
    ValueError
        If `array` is a masked array with a masked entry.
    """
    if isinstance(array, np.ma.MaskedArray) and (n_masked := int(np.ma.count_masked(array))):
        cure = f"{name}.filled(0)" if array.ndim > 1 else f"{name}[~{name}.mask]"
        raise ValueError(
            f"{name} has {n_masked} masked entries, and NumPy would take the values below the "
            f"mask: fill or drop them first, as in {cure}"
        )


def check_positive_int(number: Any, name: str = "k") -> int:
    """Check that a number is a positive integer and return it as an int.

    Parameters
    ----------
    number : int
        Any integer type except bool.
    name : str, default="k"
        Name of the argument in error messages.

    Raises
    ------
    TypeError
        If `number` is not an integer.
    ValueError
        If `number` is below 1 or above 2147483647, the largest int32.
    """
    if not isinstance(number, Integral) or isinstance(number, bool):
        raise TypeError(f"{name} must be an int; got {number!r}")
    value = int(number)
    if value < 1:
        raise ValueError(f"{name} must be 1 or more; got {value}")
    if value > _MAX_INT32:
        raise ValueError(f"{name} must be at most {_MAX_INT32}; got {value}")
    return value


def as_int_or_none(number: Any) -> int | None:
    """Convert a checked integer of any type to an int; None stays None."""
    return None if number is None else int(number)


def check_ids(
    ids: Any,
    name: str,
    size: int,
    what: str = "items",
    dimensions: Iterable[int] = (1,),
    *,
    copy: bool = True,
) -> npt.NDArray[np.int64]:
    """Check ids and return them as an int64 array.

    Parameters
    ----------
    ids : array-like of int
    name : str
        Name of the argument in error messages.
    size : int
        Every id must be in ``range(size)``.
    what : str, default="items"
        Plural noun for the ids in error messages, such as "users".
    dimensions : iterable of int, default=(1,)
        Allowed numbers of axes.
    copy : bool, default=True
        Whether the result is always a new array.

    Raises
    ------
    IndexError
        If an id is out of range; the message names the first one.
    TypeError
        If the ids are not integers.
    ValueError
        If the shape is wrong.
    """
    check_unmasked(ids, name)
    try:
        array = np.asarray(ids)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{name} must be one array of integers, got {describe(ids)}") from error
    if array.size == 0 and array.ndim == 1:
        array = array.astype(np.int64)  # NumPy makes the empty list a float64 array
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got {describe(ids)}")
    if array.ndim not in dimensions:
        raise ValueError(
            f"{name} must be {' or '.join(f'{n}-D' for n in dimensions)}; got shape {array.shape}"
        )
    wide = array.astype(np.int64, copy=copy)
    # Without their sign negative numbers are large ones: one look at all ids, not two.
    if array.size and wide.view(np.uint64).max() >= size:
        first = array[(array < 0) | (array >= size)].flat[0]
        raise IndexError(f"{name} has {first}, but {what} go from 0 to {size - 1}")
    return wide


def check_thread_count(number: Any, name: str = "n_threads") -> int:
    """Check a number of threads and limit it to the number of cores.

    Parameters
    ----------
    number : int
        0 means as many threads as possible.
    name : str, default="n_threads"
        Name of the argument in error messages.

    Raises
    ------
    TypeError
        If `number` is not an integer.
    ValueError
        If `number` is negative. OpenMP would end the process.
    """
    if not isinstance(number, Integral) or isinstance(number, bool):
        raise TypeError(f"{name} must be an int; got {number!r}")
    if number < 0:
        raise ValueError(f"{name} must be 0, for as many as possible, or more; got {number}")
    # To count the cores takes as long as to score thousands of items.
    return int(number) if number <= 1 else min(int(number), os.cpu_count() or 1)


def check_finite_vectors(
    vectors: Any, name: str, dimensions: Iterable[int] = (2,)
) -> npt.NDArray[np.float32]:
    """Check vectors as `check_vectors` does, and that all values are finite in float32.

    Raises
    ------
    TypeError
        As `check_vectors`.
    ValueError
        As `check_vectors`, or if a value is not finite; the message names the first such row.
    """
    with np.errstate(over="ignore"):  # the check below finds values that overflow float32
        array = check_vectors(vectors, name, dimensions)
    # The minimum and maximum show it without a boolean array; NaN propagates to both.
    if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
        rows = np.atleast_2d(array)
        first = int(np.argmin(np.isfinite(rows).all(axis=1)))
        raise ValueError(f"{name} holds values that are not finite, the first in row {first}")
    return array


def check_excluded(
    exclude: Any, shape: tuple[int, int], name: str = "exclude"
) -> sp.csr_array | sp.csr_matrix | None:
    """Check the items to exclude for each user and return them as CSR without stored zeros.

    Parameters
    ----------
    exclude : sparse matrix or array of shape (n_queries, n_items), or None
        None is returned as it is. The input is not changed, and copied only if necessary.
    shape : tuple of int
        The expected ``(n_queries, n_items)``; each row belongs to one user vector.
    name : str, default="exclude"
        Name of the argument in error messages.

    Raises
    ------
    TypeError
        If `exclude` is not sparse.
    ValueError
        If `exclude` has another shape.
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
    matrix = exclude.tocsr()
    if not matrix.data.all():
        matrix = matrix.copy()
        matrix.eliminate_zeros()
    return matrix


def check_vectors(
    vectors: Any, name: str, dimensions: Iterable[int] = (2,)
) -> npt.NDArray[np.float32]:
    """Check vectors and return them as a contiguous float32 array.

    An array that already is contiguous and float32 is returned without a copy.

    Parameters
    ----------
    vectors : array-like of shape (n_vectors, n_columns)
    name : str
        Name of the argument in error messages.
    dimensions : iterable of int, default=(2,)
        Allowed numbers of axes; 1 allows a single vector.

    Raises
    ------
    TypeError
        If `vectors` does not hold numbers.
    ValueError
        If `vectors` has another number of axes, or rows of different lengths.
    """
    check_unmasked(vectors, name)
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
