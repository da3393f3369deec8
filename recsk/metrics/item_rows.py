"""Values of items that metrics carry: one row an item, in the order of the model's ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsk.data.checks import describe
from recsk.metrics.lists import Setting

__all__ = ["rows_of_items"]


def rows_of_items(
    given: Any, setting: Setting, name: str, *, entries: bool = False
) -> tuple[Any, npt.NDArray[np.int64]]:
    """Return values of items, and the position of each item among them, -1 without one.

    A pandas frame or series is matched by its index, which holds the labels of the items where
    the model speaks labels, else their ids. Anything else has one row for each id. `entries` keeps
    the entries of a list as they are, such as tuples, in place of a matrix of them.

    Returns
    -------
    values : sparse array or ndarray
    positions : ndarray of shape (n_items,)
    """
    n_items = setting.n_items
    if sparse.issparse(given):
        values, n_rows = sparse.csr_array(given), given.shape[0]
    elif hasattr(given, "index") and hasattr(given, "reindex"):  # pandas
        return given.to_numpy(), _match_index(given.index, setting, name)
    elif hasattr(given, "columns"):
        raise TypeError(
            f"{name} must be an array, a sparse matrix or a pandas frame whose index names the "
            f"items; got {describe(given)}: call to_pandas() and set_index(...)"
        )
    else:
        values = given if isinstance(given, np.ndarray) else _to_array(given, name, entries)
        n_rows = len(values) if values.ndim else -1
    if n_rows != n_items:
        raise ValueError(
            f"{name} must have a row for each of the {n_items} items; got {describe(given)}"
        )
    return values, np.arange(n_items)


def _match_index(index: Any, setting: Setting, name: str) -> npt.NDArray[np.int64]:
    """Return the position of each item in an index, -1 where it is not."""
    if not index.is_unique:
        raise ValueError(f"the index of {name} names an item twice: {index[index.duplicated()][0]}")
    if setting.item_labels is not None:
        ids, kind = setting.item_labels.find(index), "labels"
    else:
        ids, kind = index.to_numpy(), "ids"
        if ids.dtype.kind not in "iu":
            ids = np.full(len(ids), -1)
    known = (ids >= 0) & (ids < setting.n_items)
    if not known.any():
        raise ValueError(
            f"the index of {name} has none of the {setting.n_items} {kind} of the items; it must "
            f"name the item of each row, and begins with {list(index[:3])}"
        )
    positions = np.full(setting.n_items, -1)
    positions[ids[known]] = np.flatnonzero(known)
    return positions


def _to_array(given: Any, name: str, entries: bool) -> npt.NDArray[Any]:
    """Return a list as an array: of its entries as they are, or as NumPy reads it."""
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        entries = False
    try:
        array = np.empty(len(given), dtype=object) if entries else np.asarray(given)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{name} must have rows of one length; got {describe(given)}") from error
    if entries:
        for i, entry in enumerate(given):  # NumPy would take tuples apart, and make NaN a string
            array[i] = entry
    return array
