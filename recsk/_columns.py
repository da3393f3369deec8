"""Columns of interactions: what they may hold, and in which types they are kept."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = [
    "MOST_IDS",
    "as_ids",
    "as_times",
    "as_values",
    "read_only",
    "refuse_non_finite",
    "space",
]

# More users or items than this have not been seen, but hashes taken for ids have.
MOST_IDS = 2**31 - 1


def as_ids(ids: Any, name: str) -> npt.NDArray[np.int64]:
    """1-D int64 ids, none of them negative."""
    array = _as_1d(ids, name)
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(np.int64)  # the empty list
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"{name} must hold integer ids; got dtype {array.dtype}. "
            "Interactions.from_frame turns labels into ids"
        )
    # Unsigned ids that int64 cannot hold turn negative here, and are refused all the same.
    ids64 = array.astype(np.int64, copy=False)
    if ids64.size and ids64.min() < 0:
        first = int(np.argmax(ids64 < 0))
        raise ValueError(f"{name}[{first}] is {array[first]}; ids must be 0 or more")
    return ids64


def as_times(times: Any) -> npt.NDArray[Any]:
    """1-D finite numbers; of datetimes the nanoseconds since 1970."""
    array = rough = _as_1d(times, "timestamp")
    if array.dtype.kind == "O":
        try:  # from the original: a pandas column with a time zone knows how, its objects do not
            array, rough = _from_objects(times, "ns"), _from_objects(times, "us")
        except (TypeError, ValueError) as error:
            raise TypeError("timestamp must hold numbers or datetimes; got dtype object") from error
    if array.dtype.kind == "M":
        missing = np.isnat(array)
        if missing.any():
            raise ValueError(f"timestamp[{int(np.argmax(missing))}] is NaT; it must be a time")
        nanoseconds = array.astype("datetime64[ns]")
        # NumPy does not tell when they run over: 9999-12-31 would become a day in 1816.
        wrong = nanoseconds.astype("datetime64[s]") != rough.astype("datetime64[s]")
        if wrong.any():
            first = int(np.argmax(wrong))
            raise ValueError(
                f"timestamp[{first}] is {rough[first]}; times in nanoseconds go from 1677 to 2262: "
                "replace it, or leave the interaction out"
            )
        return nanoseconds.view(np.int64)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"timestamp must hold numbers or datetimes; got dtype {array.dtype}")
    if array.dtype.kind == "f":
        refuse_non_finite(array, "timestamp")
        return array.astype(np.float64, copy=False)
    if array.dtype.kind == "u" and array.max(initial=0) > np.iinfo(np.int64).max:
        first = int(np.argmax(array > np.iinfo(np.int64).max))
        raise ValueError(f"timestamp[{first}] is {array[first]}, which is beyond int64")
    return array.astype(np.int64, copy=False)


def _from_objects(times: Any, unit: str) -> npt.NDArray[Any]:
    """Datetimes of Python, with or without a time zone, in UTC."""
    with warnings.catch_warnings():
        # They become UTC, which is what is wanted; NumPy says that it has no zones.
        warnings.filterwarnings("ignore", "no explicit representation of timezones")
        return np.asarray(times, dtype=f"datetime64[{unit}]")


def as_values(values: Any) -> npt.NDArray[Any]:
    """1-D finite numbers, float32 or float64."""
    array = _as_1d(values, "value")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"value must hold numbers; got dtype {array.dtype}")
    refuse_non_finite(array, "value")
    return array if array.dtype == np.float32 else array.astype(np.float64, copy=False)


def _as_1d(column: Any, name: str) -> npt.NDArray[Any]:
    if sparse.issparse(column):
        raise TypeError(
            f"{name} must be 1-D; got a sparse {column.format} matrix. "
            "Interactions.from_csr takes matrices"
        )
    try:
        array = np.asarray(column)
    except ValueError as error:
        raise ValueError(f"{name} must be 1-D; got sequences of several lengths") from error
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D; got shape {array.shape}")
    return array


def refuse_non_finite(array: npt.NDArray[Any], name: str) -> None:
    """Name the first entry that is not finite."""
    finite = np.isfinite(array)
    if not finite.all():
        first = int(np.argmin(finite))
        raise ValueError(f"{name} must be finite; entry {first} is {array[first]}")


def space(ids: npt.NDArray[np.int64], size: int | None, name: str) -> int:
    """Check or infer the number of users or items; the ids must fit in."""
    top = int(ids.max()) if ids.size else -1
    if top >= MOST_IDS:
        raise ValueError(
            f"{name} holds the id {top}; ids must be below {MOST_IDS}. Interactions.from_frame "
            "turns labels, such as these may be, into ids"
        )
    if size is None:
        return top + 1
    if not isinstance(size, Integral) or isinstance(size, bool):
        raise TypeError(f"n_{name}s must be an int; got {size!r}")
    if size <= top or size < 0:
        raise ValueError(
            f"n_{name}s={size} is too small: {name} holds the id {top}"
            if size >= 0
            else f"n_{name}s must be 0 or more; got {size}"
        )
    if size > MOST_IDS:
        raise ValueError(f"n_{name}s must be at most {MOST_IDS}; got {size}")
    return int(size)


def read_only(array: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
    """Return a view that cannot be written through; the original stays writeable."""
    if array is None:
        return None
    array = array.view()
    array.flags.writeable = False
    return array
