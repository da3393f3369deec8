"""Users and items that a call names: labels where the fit had labels, else ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.data.checks import check_ids, describe
from recsk.data.labels import Labels

__all__ = ["check_names"]


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
    if labels is None:
        return check_ids(given, name, size, kind, dimensions)
    if _is_label(given, labels):
        if 0 not in dimensions:
            raise ValueError(f"{name} must be a list of labels of {kind}; got {describe(given)}")
        given = given.item() if isinstance(given, np.generic | np.ndarray) else given
        return labels.encode([given], name).reshape(())
    if getattr(given, "ndim", 1) != 1:
        raise ValueError(f"{name} must be 1-D; got {describe(given)}")
    values = given.tolist() if hasattr(given, "tolist") else list(given)
    if labels.values.dtype.kind in "iuf" and any(isinstance(x, bool | np.bool_) for x in values):
        raise TypeError(f"{name} must be labels of {kind}, not a mask; got {describe(given)}")
    return labels.encode(values, name)


def _is_label(given: Any, labels: Labels) -> bool:
    """Whether it is one label and not a collection of them."""
    if isinstance(given, str | bytes) or getattr(given, "ndim", 1) == 0:
        return True
    if not hasattr(given, "__iter__"):
        return True
    return isinstance(given, tuple) and given in labels
