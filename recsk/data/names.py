"""Users and items that a call names: labels where the fit had labels, else ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.data.checks import check_ids, describe
from recsk.data.labels import Labels, list_labels

__all__ = ["check_names", "check_no_mask"]

_BOOL = (bool, np.bool_)


def check_names(
    given: Any, name: str, labels: Labels | None, size: int, kind: str, dimensions: tuple[int, ...]
) -> npt.NDArray[np.int64]:
    """Return the ids of users or items that a call names, 0-D for a scalar.

    Parameters
    ----------
    given : label, array-like of labels, int or array-like of int
    name : str
        Name of the argument.
    labels : Labels or None
        Those of the fit; None if it had ids.
    size : int
        Number of users or items.
    kind : str
        "users" or "items", for messages.
    dimensions : tuple of int
        Which numbers of axes are allowed; 0 allows a scalar.

    Raises
    ------
    KeyError
        If a label is unknown; the first one is named.
    IndexError
        If an id is negative or not below `size`; the first one is named.
    TypeError, ValueError
        If it is neither, or has another number of axes.
    """
    check_no_mask(given, name, labels, kind)
    if labels is None:
        return check_ids(given, name, size, kind, dimensions)
    if _is_label(given, labels):
        if 0 not in dimensions:
            raise ValueError(f"{name} must be a list of labels of {kind}; got {describe(given)}")
        values = list_labels(np.reshape(given, 1)) if hasattr(given, "dtype") else [given]
        try:
            return _encode(values, labels, name).reshape(())
        except TypeError as error:
            raise TypeError(f"{name} must be a label; got {describe(given)}: {error}") from error
    if getattr(given, "ndim", 1) != 1:
        raise ValueError(f"{name} must be 1-D; got {describe(given)}")
    try:
        if isinstance(given, Mapping | set | frozenset):
            raise TypeError("its order says nothing")
        return _encode(list_labels(given), labels, name)
    except TypeError as error:  # not iterable, or a label that is not hashable
        raise TypeError(
            f"{name} must be a list of labels of {kind}; got {describe(given)}: {error}"
        ) from error


def check_no_mask(
    given: Any, name: str, labels: Labels | None, kind: str, *, of_rows: bool = False
) -> None:
    """Raise a TypeError if it is a 1-D boolean mask, and not labels that are bools.

    `of_rows`: whether a mask with a row for each user is allowed, and can be the cure.
    """
    dtype = getattr(given, "dtype", None)
    if isinstance(given, list):
        is_mask = bool(given) and all(isinstance(value, _BOOL) for value in given)
    else:
        is_mask = getattr(dtype, "kind", "") == "b" or str(dtype).lower() in ("bool", "boolean")
        is_mask = is_mask and len(np.shape(given)) == 1 and len(given) > 0
    if not is_mask:
        return
    if labels is None:
        what, cure = "integers", "np.flatnonzero(mask)"
    elif any(isinstance(label, _BOOL) for label in labels.values.tolist()):
        return
    else:
        what, cure = f"a list of labels of {kind}", f"model.{kind}_[mask]"
    if of_rows:
        cure += ", or a mask of 2 axes with a row for each user"
    raise TypeError(
        f"{name} must be {what}; got a mask, {len(given)} entries of dtype bool: pass {cure}"
    )


def _encode(values: list[Any], labels: Labels, name: str) -> npt.NDArray[np.int64]:
    """Return the ids of labels. True is no label 1, though it equals it: a mask is no list."""
    ids = labels.encode(values, name)
    for value, i in zip(values, ids.tolist(), strict=True):
        if isinstance(value, _BOOL) and not isinstance(labels.values[i], _BOOL):
            raise TypeError(f"{value} is not one of the labels of the fit")
    return ids


def _is_label(given: Any, labels: Labels) -> bool:
    """Whether it is one label and not a collection of them."""
    if isinstance(given, str | bytes) or getattr(given, "ndim", 1) == 0:
        return True
    if not hasattr(given, "__iter__"):
        return True
    try:
        return isinstance(given, tuple | frozenset) and given in labels
    except TypeError:  # a tuple of lists
        return False
