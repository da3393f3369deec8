"""Data frames among item features: their columns as numbers, their rows by label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recsk.data.labels import is_missing

__all__ = [
    "FeatureFrame",
    "check_eager",
    "find_keys",
    "is_bare_index",
    "is_frame",
    "read_feature_frame",
    "string_names",
]

_SHOWN = 3  # names of columns in an error message


class FeatureFrame(NamedTuple):
    """A data frame of item features.

    Attributes
    ----------
    keys : array-like of shape (n_rows,) or None
        What names the item of each row: a key column or the index; None where there is neither.
    column : str or None
        Name of the column that `keys` is; None if it is the index.
    values : ndarray of shape (n_rows, n_columns), float32
        Missing entries are NaN.
    bare_index : bool
        Whether `keys` is an index of whole numbers without a name, such as left-over row numbers.
    integer_columns : dict of str to ndarray of shape (n_rows,)
        The columns of whole numbers, which may be keys that were not recognised.
    """

    keys: Any
    column: str | None
    values: npt.NDArray[np.float32]
    bare_index: bool = False
    integer_columns: Mapping[str, npt.NDArray[np.int64]] = {}


def is_frame(features: Any) -> bool:
    """Whether it is a data frame of pandas, polars, pyarrow or the like."""
    return hasattr(features, "columns") and not isinstance(features, np.ndarray)


def check_eager(frame: Any, label: str) -> None:
    """Raise a TypeError if a frame has not been computed yet."""
    if hasattr(frame, "collect_schema") and hasattr(frame, "collect"):
        raise TypeError(f"{label} is lazy: pass frame.collect()")


def find_keys(frame: Any, key: Sequence[str]) -> tuple[Any, str | None]:
    """Return what names the item of each row, and the name of its column, None for the index.

    `key` are the names that the column may have. A frame of polars without one has no keys: None.
    """
    names = _names(frame)
    found = next((name for name in key if name in names), None)
    if found is not None:
        return _to_list(frame[found]), found
    index = getattr(frame, "index", None)
    return None if callable(index) else index, None


def string_names(frame: Any, key: Sequence[str]) -> list[str] | None:
    """Return the names of the columns of features, None unless all are strings."""
    names = _names(frame)
    found = next((name for name in key if name in names), None)
    names = [name for name in names if name != found]
    return names if all(isinstance(name, str) for name in names) else None


def read_feature_frame(
    frame: Any, key: Sequence[str], label: str, columns: Sequence[str] | None = None
) -> FeatureFrame:
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
    columns : sequence of str or None, default=None
        Names of the columns of the fit. Columns are put into this order by name, if all names are
        strings. None keeps the order.

    Raises
    ------
    TypeError
        If a column holds neither numbers nor vectors.
    ValueError
        If there is no column of features, names are other than `columns`, or vectors differ in
        length.
    """
    check_eager(frame, label)
    names = _names(frame)
    repeated = [name for i, name in enumerate(names) if name in names[:i]]
    if repeated:
        raise ValueError(f"{label} has several columns {repeated[0]!r}; rename or drop them")
    keys, found = find_keys(frame, key)
    cure = "" if found else f". A column that names the items must be called {key[0]!r}"
    ordered = [name for name in names if name != found]
    if not ordered:
        raise ValueError(f"{label} has no column of features; its columns are {names}")
    if columns is not None and all(isinstance(name, str) for name in ordered):
        _check_names(ordered, columns, label, cure)
        ordered = list(columns)
    parts = [_numbers(frame[name], name, label, cure) for name in ordered]
    values = np.hstack(parts)
    if found or keys is None:
        return FeatureFrame(keys, found, values)
    integers = {
        name: np.asarray(frame[name], dtype=np.int64)
        for name in ordered
        if getattr(getattr(frame[name], "dtype", None), "kind", "O") in "iu"
    }
    return FeatureFrame(keys, None, values, is_bare_index(keys), integers)


def is_bare_index(index: Any) -> bool:
    """Whether an index of pandas has whole numbers and no name."""
    return getattr(index, "name", None) is None and getattr(index.dtype, "kind", "O") in "iu"


def _names(frame: Any) -> list[Any]:
    return list(getattr(frame, "column_names", None) or frame.columns)


def _check_names(names: list[str], columns: Sequence[str], label: str, cure: str) -> None:
    """Raise a ValueError unless these are the columns of the fit, in any order."""
    given, known = set(names), set(columns)
    missing = [name for name in columns if name not in given]
    unknown = [name for name in names if name not in known]
    if not missing and not unknown:
        return
    parts = [
        f"{', '.join(map(repr, some[:_SHOWN]))}{', ...' * (len(some) > _SHOWN)} "
        f"{'is' if len(some) == 1 else 'are'} {what}"
        for some, what in ((missing, "missing"), (unknown, "unknown"))
        if some
    ]
    raise ValueError(
        f"{label} must have the columns of the fit, in any order: {' and '.join(parts)}. Rename "
        "them. Of one-hot columns, pass frame.reindex(columns=[...], fill_value=0) with those of "
        "the fit. An array has no names, and its columns are in the order of the fit"
        f"{cure if len(unknown) > len(missing) else ''}"
    )


def _to_list(column: Any) -> list[Any]:
    for name in ("to_list", "to_pylist", "tolist"):
        if hasattr(column, name):
            return list(getattr(column, name)())
    return list(column)


def _numbers(column: Any, name: Any, label: str, cure: str) -> npt.NDArray[np.float32]:
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
            f"example by pandas.get_dummies) or drop it{cure}"
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
