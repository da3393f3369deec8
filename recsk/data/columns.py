"""Columns of interactions: allowed contents and stored types."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsk.data.checks import check_unmasked
from recsk.data.objects import read_numbers, read_times, to_datetime64

__all__ = [
    "MAX_IDS",
    "check_finite",
    "check_index",
    "check_size",
    "convert_columns",
    "convert_ids",
    "convert_timestamps",
    "convert_values",
    "read_only_view",
]

# Larger ids are hashes or other labels, not positions: no real data set has that many users or
# items.
MAX_IDS = 2**31 - 1


def convert_columns(
    user: Any, item: Any, *, timestamp: Any = None, value: Any = None
) -> dict[str, npt.NDArray[Any]]:
    """Check the columns of interactions and return them by name, without those that are None.

    Raises
    ------
    ValueError
        If the columns differ in length, or as the functions below.
    TypeError
        As the functions below.
    """
    columns = {"user": convert_ids(user, "user"), "item": convert_ids(item, "item")}
    if timestamp is not None:
        columns["timestamp"] = convert_timestamps(timestamp)
    if value is not None:
        columns["value"] = convert_values(value)
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise ValueError(f"columns must have one length; got {lengths}")
    return columns


def convert_ids(ids: Any, name: str) -> npt.NDArray[np.int64]:
    """Check ids and return them as a 1-D int64 array without negative values."""
    array = _as_1d(ids, name)
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(np.int64)  # NumPy makes the empty list a float64 array
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"{name} must hold integer ids; got dtype {array.dtype}. "
            "Interactions.from_frame turns labels into ids"
        )
    # Unsigned ids beyond int64 become negative here, so the next check rejects them too.
    ids64 = array.astype(np.int64, copy=False)
    if ids64.size and ids64.min() < 0:
        first = int(np.argmax(ids64 < 0))
        raise ValueError(f"{name}[{first}] is {array[first]}; ids must be 0 or more")
    return ids64


def convert_timestamps(times: Any) -> npt.NDArray[Any]:
    """Check timestamps and return them as a 1-D array of int64 or finite float64.

    Datetimes become nanoseconds since 1970; see `recsk.data.objects.read_times` for objects and
    text.
    """
    dtype: Any = getattr(times, "dtype", None)
    if hasattr(dtype, "tz") and hasattr(dtype, "unit"):
        # A pandas column converts its time zone at once, without an object for each row.
        times = to_datetime64(times, dtype.unit)
    array = coarse = _as_1d(times, "timestamp")
    if array.dtype.kind in "OUT":
        array, coarse = read_times(array.tolist(), "timestamp")
    if array.dtype.kind == "M":
        missing = np.isnat(array)
        if missing.any():
            raise ValueError(f"timestamp[{int(np.argmax(missing))}] is NaT; it must be a time")
        nanoseconds = array.astype("datetime64[ns]")
        # NumPy overflows without an error: 9999-12-31 would become a day in 1816.
        overflow = nanoseconds.astype("datetime64[s]") != coarse.astype("datetime64[s]")
        if overflow.any():
            first = int(np.argmax(overflow))
            raise ValueError(
                f"timestamp[{first}] is {coarse[first]}; times in nanoseconds go from 1677 to "
                "2262: replace this time or drop the interaction"
            )
        return nanoseconds.view(np.int64)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"timestamp must hold numbers or datetimes; got dtype {array.dtype}")
    if array.dtype.kind == "f":
        check_finite(array, "timestamp")
        return array.astype(np.float64, copy=False)
    if array.dtype.kind == "u" and array.max(initial=0) > np.iinfo(np.int64).max:
        first = int(np.argmax(array > np.iinfo(np.int64).max))
        raise ValueError(f"timestamp[{first}] is {array[first]}, which is beyond int64")
    return array.astype(np.int64, copy=False)


def convert_values(values: Any) -> npt.NDArray[Any]:
    """Check values and return them as a 1-D array of finite float32 or float64."""
    array = _as_1d(values, "value")
    if array.dtype.kind == "O":
        array = read_numbers(array.tolist(), "value")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"value must hold numbers; got dtype {array.dtype}")
    check_finite(array, "value")
    return array if array.dtype == np.float32 else array.astype(np.float64, copy=False)


def _as_1d(column: Any, name: str) -> npt.NDArray[Any]:
    if sparse.issparse(column):
        raise TypeError(
            f"{name} must be 1-D; got a sparse {column.format} matrix. "
            "Interactions.from_csr takes matrices"
        )
    check_unmasked(column, name)
    try:
        array = np.asarray(column)
    except ValueError as error:
        raise ValueError(f"{name} must be 1-D; got sequences of different lengths") from error
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D; got shape {array.shape}")
    return array


def check_finite(array: npt.NDArray[Any], name: str) -> None:
    """Raise a ValueError that names the first entry that is not finite."""
    finite = np.isfinite(array)
    if not finite.all():
        first = int(np.argmin(finite))
        raise ValueError(f"{name} must be finite; entry {first} is {array[first]}")


def check_size(ids: npt.NDArray[np.int64], size: int | None, name: str) -> int:
    """Return the number of users or items: `size` if all ids are below it, or the largest id + 1.

    `name` is "user" or "item".
    """
    largest = int(ids.max()) if ids.size else -1
    if largest >= MAX_IDS:
        raise ValueError(
            f"{name} holds the id {largest}; ids must be below {MAX_IDS}. If these are labels, "
            "Interactions.from_frame turns them into ids"
        )
    if size is None:
        return largest + 1
    if not isinstance(size, Integral) or isinstance(size, bool):
        raise TypeError(f"n_{name}s must be an int; got {size!r}")
    if size <= largest or size < 0:
        raise ValueError(
            f"n_{name}s={size} is too small: {name} holds the id {largest}"
            if size >= 0
            else f"n_{name}s must be 0 or more; got {size}"
        )
    if size > MAX_IDS:
        raise ValueError(f"n_{name}s must be at most {MAX_IDS}; got {size}")
    return int(size)


def check_index(index: Any) -> slice | npt.NDArray[Any]:
    """Return an index of :class:`Interactions` as a slice or a 1-D array.

    Raises
    ------
    IndexError
        If the index has several axes.
    """
    if isinstance(index, tuple) and len(index) == 2 and index[1] is Ellipsis:
        index = index[0]  # sklearn.utils indexes objects that have a shape this way
    if isinstance(index, tuple):
        raise IndexError(f"Interactions have one axis; got {len(index)} indices")
    if isinstance(index, slice):
        return index
    if isinstance(index, Integral) and not isinstance(index, bool | np.bool_):
        index = [index]
    array = np.asarray(index)
    if array.size == 0 and array.ndim == 1 and array.dtype != bool:
        array = array.astype(np.intp)  # NumPy makes the empty list a float64 array
    if array.ndim != 1:
        raise IndexError(
            "expected an int, a slice, or a 1-D array of positions or bools; got an array of "
            f"{array.ndim} axes"
        )
    return array


def read_only_view(array: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
    """Return a read-only view of an array; the original stays writeable and None stays None."""
    if array is None:
        return None
    array = array.view()
    array.flags.writeable = False
    return array
