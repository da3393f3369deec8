"""Labels of users and items in files: strings, integers, or any plain values as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from recsk.data.labels import Labels
from recsk.storage.state import StateReader, text_state

__all__ = ["labels_state", "read_labels"]

_MAX_DIGITS = 20  # of an integer in a file


def labels_state(labels: Labels, name: str) -> dict[str, Any]:
    """Return labels as arrays and a name of their form, and the name of their column, if any.

    Raises
    ------
    ValueError
        If a label is not a str, int, finite float, bool or a tuple of these; it is named.
    """
    column = {"column": labels.column} if isinstance(labels.column, str) else {}
    return {**_values_state(labels.values, name), **column}


def _values_state(values: npt.NDArray[Any], name: str) -> dict[str, Any]:
    if values.dtype.kind == "U":
        return {"form": "text", "text": text_state(values.tolist())}
    if values.dtype == np.int64:
        return {"form": "integers", "integers": values}
    texts = [json.dumps(_check_plain(label, name), allow_nan=False) for label in values.tolist()]
    return {"form": "json", "text": text_state(texts)}


def read_labels(state: StateReader, sizes: Mapping[str, int]) -> dict[str, Labels]:
    """Read what `labels_state` returned, for each kind that the state has.

    Parameters
    ----------
    state : StateReader
        With a part for each kind that has labels.
    sizes : dict of str to int
        Number of labels of each kind.
    """
    found = {}
    for kind, size in sizes.items():
        part = state.part(kind)
        if not part.names():
            continue
        form = part.choice("form", ("text", "integers", "json"))
        if form == "integers":
            values: Any = part.array("integers", (size,), np.int64)
        else:
            values = part.texts("text", size)
            if form == "json":
                values = [_from_json(text) for text in values]
        column = part.string("column") if part.has("column") else None
        try:
            found[kind] = Labels(values, f"labels.{kind}", column)
        except TypeError as error:
            raise ValueError(str(error)) from error
    return found


def _check_plain(label: Any, name: str) -> Any:
    if isinstance(label, tuple):
        return [_check_plain(part, name) for part in label]
    if type(label) in (str, int, bool) or (type(label) is float and np.isfinite(label)):
        return label
    raise ValueError(
        f"{name} has the label {label!r} of type {type(label).__name__}; a file can hold labels "
        "that are str, int, finite float, bool or tuples of these. Turn them into str before the "
        "fit, or use joblib"
    )


def _from_json(text: str) -> Any:
    label = json.loads(text, parse_constant=_reject_constant, parse_int=_parse_int)
    return _as_tuple(label)


def _as_tuple(label: Any) -> Any:
    if isinstance(label, list):
        return tuple(_as_tuple(part) for part in label)
    if type(label) not in (str, int, float, bool):
        raise ValueError(f"a label must be plain; got {type(label).__name__}")
    return label


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"a label must not be {constant}")


def _parse_int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a label must not be an integer of more than {_MAX_DIGITS} digits")
    return int(digits)
