"""Times and numbers from columns of Python objects or text."""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["read_numbers", "read_times", "to_datetime64"]

_INTEGER = re.compile(r"\s*[+-]?\d{1,30}\s*")
# NumPy reads more than that as a date, such as "now" and the number of a year.
_ISO_DATE = re.compile(r"\d{4}-\d{2}(-\d{2}([T ]\d{2}.*)?)?")
_ZONE = re.compile(r"(Z|[+-]\d{2}(:?\d{2})?)$")
_MIN, _MAX = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def read_times(values: Sequence[Any], name: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Read numbers, datetimes, or text of one of them.

    Parameters
    ----------
    values : sequence of shape (n,)
        All of one kind: numbers (Decimal too), datetimes and dates of Python, NumPy or pandas,
        text of integers, or text of dates in ISO 8601. Times with a time zone become UTC; times
        without one count as UTC, so that the two do not go together.
    name : str
        Name of the column in error messages.

    Returns
    -------
    times : ndarray of shape (n,), int64, float64 or datetime64[ns]
    coarse : ndarray of shape (n,)
        The same in microseconds, which nanoseconds may overflow.

    Raises
    ------
    TypeError
        If a value is neither a number nor a time, or of another kind than the first one.
    ValueError
        If a value is missing, beyond int64, or only some times have a time zone.
    """
    kinds = [_kind(value) for value in values]
    _check_none_missing(values, kinds, name)
    odd = next((i for i, kind in enumerate(kinds) if kind in (None, "text")), None)
    if odd is not None:
        raise TypeError(
            f"{name} must hold numbers or datetimes; got dtype object with {values[odd]!r} in row "
            f"{odd}. pandas.to_datetime({name}) reads dates, {name}.astype(float) numbers"
        )
    for row, kind in enumerate(kinds):
        if kind != kinds[0]:
            raise _mixed(values, kinds, row, name)
    if not kinds or kinds[0] == "number":
        numbers = _to_numbers(values, name)
        return numbers, numbers
    if kinds[0] == "integer text":
        numbers = _to_numbers([int(value) for value in values], name)
        return numbers, numbers
    times = [_plain_time(value) for value in values]
    try:
        return to_datetime64(times, "ns"), to_datetime64(times, "us")
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must hold numbers or datetimes: {error}") from error


def read_numbers(values: Sequence[Any], name: str) -> npt.NDArray[Any]:
    """Read numbers as int64 if all of them are integers, otherwise as float64.

    Raises
    ------
    TypeError
        If a value is no number.
    ValueError
        If a value is missing, or an integer is beyond int64.
    """
    kinds = [_kind(value) for value in values]
    _check_none_missing(values, kinds, name)
    for row, kind in enumerate(kinds):
        if kind != "number":
            raise TypeError(
                f"{name} must hold numbers; got dtype object with {values[row]!r} in row {row}"
            )
    return _to_numbers(values, name)


def to_datetime64(times: Any, unit: str) -> npt.NDArray[Any]:
    """Convert datetimes, with or without a time zone, to datetime64 in UTC."""
    with warnings.catch_warnings():
        # NumPy warns that it has no time zones. It converts to UTC, as intended.
        warnings.filterwarnings("ignore", "no explicit representation of timezones")
        return np.asarray(times, dtype=f"datetime64[{unit}]")


def _to_numbers(values: Sequence[Any], name: str) -> npt.NDArray[Any]:
    """Convert numbers to int64 or float64."""
    integral = all(
        type(value) is int  # the fast way for most
        or isinstance(value, Integral)
        or (isinstance(value, Decimal) and value == value.to_integral_value())
        for value in values
    )
    if not integral:
        try:
            return np.array([float(value) for value in values], dtype=np.float64)
        except OverflowError as error:
            raise ValueError(f"{name} must be finite: {error}") from error
    integers = [int(value) for value in values]
    for row, integer in enumerate(integers):
        if not _MIN <= integer <= _MAX:
            raise ValueError(f"{name}[{row}] is {integer}, which is beyond int64")
    return np.array(integers, dtype=np.int64)


def _kind(value: Any) -> str | None:
    """Return what a value is; None if it is neither a number, a time nor text."""
    if type(value) is int:  # the fast way for most
        return "number"
    if isinstance(value, str):
        return _text_kind(value)
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return "missing"
    if isinstance(value, bool | np.bool_ | np.timedelta64):
        return None
    if isinstance(value, Decimal):
        return "number" if value.is_finite() else "missing"
    if isinstance(value, Real):
        return "missing" if value != value else "number"
    if isinstance(value, np.datetime64):
        return "missing" if np.isnat(value) else "time"
    if isinstance(value, datetime.datetime):
        return "time" if value.tzinfo is None else "time with a time zone"
    return "time" if isinstance(value, datetime.date) else None


def _text_kind(text: str) -> str:
    if _INTEGER.fullmatch(text):
        return "integer text"
    if not _ISO_DATE.fullmatch(text):
        return "text"
    with_zone = _ZONE.search(text, 10)
    return "date text with a time zone" if with_zone else "date text"


def _check_none_missing(values: Sequence[Any], kinds: list[str | None], name: str) -> None:
    if "missing" in kinds:
        first = kinds.index("missing")
        raise ValueError(
            f"{name}[{first}] is {values[first]!r}, a missing value: replace it or drop the "
            "interaction"
        )


def _mixed(values: Sequence[Any], kinds: list[str | None], row: int, name: str) -> Exception:
    kind, other = str(kinds[0]), str(kinds[row])
    what = f"{name}[0] is {values[0]!r}, but {name}[{row}] is {values[row]!r}"
    zones = " with a time zone"
    if kind.removesuffix(zones) == other.removesuffix(zones):
        return ValueError(
            f"{what}: some have a time zone and some do not; pandas.to_datetime({name}, utc=True) "
            "takes those without one as UTC"
        )
    return TypeError(f"{name} must hold numbers or datetimes, all of one kind; {what}")


def _plain_time(value: Any) -> Any:
    """Return a time that NumPy converts exactly."""
    # A Timestamp of pandas has nanoseconds, which NumPy would cut off.
    return value.to_datetime64() if hasattr(value, "to_datetime64") else value
