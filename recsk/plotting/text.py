"""Names and values as text in a plot."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np

__all__ = ["escape_dollars", "format_value", "format_values", "is_number"]

_MAX_LENGTH = 24  # characters of a value, unless different values would look the same


def escape_dollars(text: str) -> str:
    """Escape dollar signs: matplotlib draws text between two of them as a formula."""
    return text.replace("$", r"\$")


def is_number(value: Any) -> bool:
    """Whether a value is a number; a bool is not."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def format_value(value: Any) -> str:
    """Format a value in at most 24 characters."""
    if is_number(value):
        return _format_number(value, 4)
    text = _full_text(value)
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 3] + "..."


def format_values(values: Iterable[Any]) -> list[str]:
    """Format different values in at most 24 characters each, or in more if they look the same."""
    values = list(values)
    if all(is_number(value) for value in values):
        for digits in range(4, 18):
            texts = [_format_number(value, digits) for value in values]
            if len(set(texts)) == len(values):
                break
        return texts
    full = [_full_text(value) for value in values]
    keep, half = _MAX_LENGTH - 3, (_MAX_LENGTH - 3) // 2
    cuts = [lambda text: text[:keep] + "...", lambda text: "..." + text[-keep:]]
    if len({text[:half] for text in full}) == 1:  # such as paths and names of models
        cuts.reverse()
    for cut in (*cuts, lambda text: f"{text[:half]}...{text[-half:]}"):
        texts = [text if len(text) <= _MAX_LENGTH else cut(text) for text in full]
        if len(set(texts)) == len(values):
            return texts
    return full


def _format_number(value: Any, digits: int) -> str:
    """Format a number with this many significant digits."""
    if isinstance(value, Integral) and abs(int(value)) < 10**9:
        return str(int(value))
    text = f"{value:.{digits}g}"
    # With up to ten digits, an exponent is harder to read than the whole number.
    if "e+0" in text and float(value).is_integer():
        return f"{value:.0f}"
    return text


def _full_text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
