"""Data frames among item features: their columns as numbers, their rows by label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recsk.data.labels import is_missing

__all__ = ["FeatureFrame", "is_frame", "read_feature_frame"]


class FeatureFrame(NamedTuple):
    """A data frame of item features.

    Attributes
    ----------
    keys : array-like of shape (n_rows,) or None
        What names the item of each row: a key column or the index; None where there is neither.
    from_column : bool
        Whether `keys` is a column, not the index.
    values : ndarray of shape (n_rows, n_columns), float32
        Missing entries are NaN.
    bare_index : bool
        Whether `keys` is an index of whole numbers without a name, such as left-over row numbers.
    integer_columns : dict of str to ndarray of shape (n_rows,)
        The columns of whole numbers, which may be keys that were not recognised.
    """

    keys: Any
    from_column: bool
    values: npt.NDArray[np.float32]
    bare_index: bool = False
    integer_columns: Mapping[str, npt.NDArray[np.int64]] = {}


def is_frame(features: Any) -> bool:
    """Whether it is a data frame of pandas, polars, pyarrow or the like."""
    return hasattr(features, "columns") and not isinstance(features, np.ndarray)


def read_feature_frame(frame: Any, key: Sequence[str], label: str) -> FeatureFrame:
    """Read the columns of a frame as numbers.

    Parameters
    ----------
    frame : DataFrame
        pandas, polars or pyarrow. Columns of numbers and bools, nullable or not, or one column of
        vectors.
    key : sequence of str
        Names that the column may have that names the item of each row; the first one counts.
        Without such a column the index of a pandas frame does.
    label : str
        What error messages call the frame.

    Raises
    ------
    TypeError
        If a column holds neither numbers nor vectors.
    ValueError
        If there is no column of features, or vectors differ in length.
    """
    if hasattr(frame, "collect_schema") and hasattr(frame, "collect"):
        raise TypeError(f"{label} is lazy: pass frame.collect()")
    names = list(getattr(frame, "column_names", None) or frame.columns)
    repeated = [name for i, name in enumerate(names) if name in names[:i]]
    if repeated:
        raise ValueError(f"{label} has several columns {repeated[0]!r}; rename or drop them")
    found = next((name for name in key if name in names), None)
    keys = None if found is None else _to_list(frame[found])
    columns = {name: frame[name] for name in names if name != found}
    parts = [_numbers(column, name, label) for name, column in columns.items()]
    if not parts:
        raise ValueError(f"{label} has no column of features; its columns are {names}")
    values = np.hstack(parts)
    if keys is not None:
        return FeatureFrame(keys, True, values)
    index = getattr(frame, "index", None)
    if index is None or callable(index):
        return FeatureFrame(None, False, values)
    bare = getattr(index, "name", None) is None and getattr(index.dtype, "kind", "O") in "iu"
    integers = {
        name: np.asarray(column, dtype=np.int64)
        for name, column in columns.items()
        if getattr(getattr(column, "dtype", None), "kind", "O") in "iu"
    }
    return FeatureFrame(index, False, values, bare, integers)


def _to_list(column: Any) -> list[Any]:
    for name in ("to_list", "to_pylist", "tolist"):
        if hasattr(column, name):
            return list(getattr(column, name)())
    return list(column)


def _numbers(column: Any, name: Any, label: str) -> npt.NDArray[np.float32]:
    """Return a column as (n_rows, 1), or a column of vectors as (n_rows, length)."""
    dtype = getattr(column, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        with np.errstate(over="ignore"):  # the check for infinite values finds overflows
            return np.asarray(column, dtype=np.float32).reshape(-1, 1)
    cells = _to_list(column)
    present = [cell for cell in cells if not is_missing(cell)]
    if any(isinstance(cell, list | tuple | np.ndarray) for cell in present):
        return _vectors(cells, name, label)
    if not all(isinstance(cell, bool | int | float | np.number | np.bool_) for cell in present):
        wrong = next(
            c for c in present if not isinstance(c, bool | int | float | np.number | np.bool_)
        )
        raise TypeError(
            f"{label} has the column {name!r} of {dtype or type(column).__name__}, with values "
            f"such as {wrong!r}: features must be numbers, bools or vectors. Encode it (for "
            "example by pandas.get_dummies) or drop it"
        )
    try:
        numbers = [np.nan if is_missing(cell) else float(cell) for cell in cells]
    except OverflowError as error:
        raise ValueError(f"{label} has a value in the column {name!r}: {error}") from error
    with np.errstate(over="ignore"):  # the check for infinite values finds overflows
        return np.array(numbers, dtype=np.float32).reshape(-1, 1)


def _vectors(cells: list[Any], name: Any, label: str) -> npt.NDArray[np.float32]:
    for row, cell in enumerate(cells):
        if not is_missing(cell) and not _is_vector(cell):
            raise TypeError(
                f"{label} has vectors in the column {name!r}, but {cell!r} in row {row}: every "
                "row must be a vector of numbers, or missing"
            )
    lengths = {len(cell) for cell in cells if not is_missing(cell)}
    if len(lengths) > 1:
        raise ValueError(
            f"{label} has vectors of several lengths in the column {name!r}: {sorted(lengths)[:5]}"
        )
    values = np.full((len(cells), lengths.pop()), np.nan, dtype=np.float32)
    for row, cell in enumerate(cells):
        if not is_missing(cell):
            values[row] = cell
    return values


def _is_vector(cell: Any) -> bool:
    if not isinstance(cell, list | tuple | np.ndarray):
        return False
    try:
        array = np.asarray(cell)
    except ValueError:  # rows of different lengths
        return False
    return array.ndim == 1 and (array.dtype.kind in "biuf" or not array.size)
