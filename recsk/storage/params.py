"""Parameters of estimators to JSON and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.data.checks import describe

__all__ = ["param_from_json", "param_to_json"]


def param_to_json(name: str, value: Any) -> Any:
    """Convert a parameter to JSON: plain values unchanged, others as a dict with their type.

    An array of the numbers 0.5 and 1 in float32 becomes ``{"float32": [0.5, 1.0]}``.

    Raises
    ------
    ValueError
        If a file cannot hold the value.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if _is_plain(value):
        return value
    if isinstance(value, np.random.RandomState):
        state = value.get_state(legacy=False)
        if isinstance(state, dict) and state["bit_generator"] == "MT19937":
            twister = state["state"]
            numbers = [twister["pos"], state["has_gauss"], state["gauss"]]
            return {"RandomState": [*twister["key"].tolist(), *numbers]}
    type_name = str(value.dtype) if isinstance(value, np.ndarray) else type(value).__name__
    if type_name in _SEQUENCES and getattr(value, "ndim", 1) == 1:
        numbers = [x.item() if isinstance(x, np.generic) else x for x in value]
        if all(map(_is_number, numbers)):
            return {type_name: numbers}
    raise ValueError(
        f"the parameter {name!r} must be None, a bool, a finite number, a string, a RandomState, "
        "or a list, tuple or 1-D array (float32, float64, int32, int64) of finite numbers; got "
        f"{describe(value)}"
    )


def param_from_json(name: str, value: Any) -> Any:
    """Convert a parameter from the JSON of `param_to_json`, or raise a ValueError."""
    if _is_plain(value):
        return value
    if isinstance(value, dict) and len(value) == 1:
        ((type_name, numbers),) = value.items()
        if isinstance(numbers, list) and all(map(_is_number, numbers)):
            if type_name in _SEQUENCES:
                return _SEQUENCES[type_name](numbers)
            if type_name == "RandomState":
                return _make_random_state(numbers)
    raise ValueError(f"the parameter {name!r} has no valid value: {describe(value)}")


def _is_plain(value: Any) -> bool:
    return value is None or type(value) in (bool, str) or _is_number(value)


def _is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _array_maker(dtype: type[np.number[Any]]) -> Callable[[list[Any]], npt.NDArray[Any]]:
    """Return a function from numbers to an array that holds them without a change."""

    def make(numbers: list[Any]) -> npt.NDArray[Any]:
        try:
            with np.errstate(over="ignore"):
                array = np.array(numbers, dtype=dtype)
        except OverflowError:
            array = np.empty(0)
        if array.tolist() != numbers:
            raise ValueError(f"an array of {dtype.__name__} cannot hold {describe(numbers)}")
        return array

    return make


_SEQUENCES: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    **{
        dtype.__name__: _array_maker(dtype)
        for dtype in (np.float32, np.float64, np.int32, np.int64)
    },
}


def _make_random_state(numbers: list[Any]) -> np.random.RandomState:
    """Make a Mersenne Twister from its state, which must be one that it can reach."""
    *key, position, has_gauss, gauss = numbers if len(numbers) > 3 else [0] * 4
    if (
        len(key) != 624
        or not all(type(word) is int and 0 <= word < 2**32 for word in key)
        # A key of zeros draws zeros only, and a loop that rejects them would never end.
        or not (any(key[1:]) or key[0] >= 2**31)
        or type(position) is not int
        or not 0 <= position <= 624
        or has_gauss not in (0, 1)
    ):
        raise ValueError("a RandomState has a state that it cannot reach")
    state = np.random.RandomState()
    state.set_state(("MT19937", np.array(key, np.uint32), position, int(has_gauss), float(gauss)))
    return state
