"""Names and values as text in a picture."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np

__all__ = ["as_text", "as_texts", "is_number", "plain"]

_LONGEST = 24  # characters of a value, where so many tell it from others


def plain(text: str) -> str:
    """Text that matplotlib draws as it is: between dollar signs it would see a formula."""
    return text.replace("$", r"\$")


def is_number(value: Any) -> bool:
    """Whether a value is a number; truth values are not."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def as_text(value: Any) -> str:
    """A value in a few characters."""
    if is_number(value):
        return _number(value, 4)
    text = _whole(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def as_texts(values: Iterable[Any]) -> list[str]:
    """Different values in a few characters each, in more where they would look the same."""
    values = list(values)
    if all(is_number(value) for value in values):
        for digits in range(4, 18):
            texts = [_number(value, digits) for value in values]
            if len(set(texts)) == len(values):
                break
        return texts
    whole = [_whole(value) for value in values]
    keep, half = _LONGEST - 3, (_LONGEST - 3) // 2
    cuts = [lambda text: text[:keep] + "...", lambda text: "..." + text[-keep:]]
    if len({text[:half] for text in whole}) == 1:  # as of paths, and names of models
        cuts.reverse()
    for cut in (*cuts, lambda text: f"{text[:half]}...{text[-half:]}"):
        texts = [text if len(text) <= _LONGEST else cut(text) for text in whole]
        if len(set(texts)) == len(values):
            return texts
    return whole


def _number(value: Any, digits: int) -> str:
    if isinstance(value, Integral) and abs(int(value)) < 10**9:
        return str(int(value))
    text = f"{value:.{digits}g}"
    if "e+0" in text and float(value).is_integer():  # below ten digits a whole number is clearer
        return f"{value:.0f}"
    return text


def _whole(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
