"""Checks of arguments that several modules make, each with one wording."""

from __future__ import annotations

from numbers import Integral
from typing import Any

__all__ = ["at_least_one"]


def at_least_one(number: Any, name: str = "k") -> int:
    """Return `number` as an int.

    Raises
    ------
    TypeError
        If it is no integer; `name` is what the message calls it.
    ValueError
        If it is below 1.
    """
    if not isinstance(number, Integral) or isinstance(number, bool):
        raise TypeError(f"{name} must be an int; got {number!r}")
    if number < 1:
        raise ValueError(f"{name} must be 1 or more; got {number}")
    return int(number)
