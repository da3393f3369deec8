"""Columns of data frames, whoever made them, and labels turned into ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def readable(frame: Any) -> Any:
    """Return a frame that knows ``frame[name]``, reading one that only interchanges."""
    if hasattr(frame, "__getitem__") or not hasattr(frame, "__dataframe__"):
        return frame
    try:
        from pandas.api.interchange import from_dataframe
    except ImportError as error:
        raise ImportError(
            f"reading a {type(frame).__name__} by the interchange protocol needs pandas"
        ) from error
    return from_dataframe(frame)


def column(frame: Any, name: str) -> Any:
    """Return a column as something that ``np.asarray`` takes.

    The column itself where it can be had, since only it knows of its time zone.
    """
    try:
        found = frame[name]
    except (KeyError, ValueError, IndexError) as error:
        raise KeyError(f"the frame has no column {name!r}; it has {_names(frame)}") from error
    except TypeError as error:
        raise TypeError(
            f"frame must be a data frame or a dict of columns; got {type(frame).__name__}"
        ) from error
    if not hasattr(found, "__array__") and hasattr(found, "to_numpy"):
        return found.to_numpy()
    return found


def _names(frame: Any) -> list[Any]:
    if isinstance(frame, dict):
        return list(frame)
    if (dtype := getattr(frame, "dtype", None)) is not None:
        return list(dtype.names or [])
    # pyarrow's `columns` are the columns themselves
    return list(getattr(frame, "column_names", getattr(frame, "columns", [])))


def encode_labels(
    labels: npt.NDArray[Any], name: str, known: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Return the position of each label among `known`, or else among their own, sorted.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        The column `name` of a frame.
    name : str
        What error messages call it.
    known : array-like of shape (n_known,) or None
        Labels to encode with, without repeats.

    Returns
    -------
    codes : ndarray of shape (n,), int64
        ``known[codes]`` is `labels`.
    known : ndarray of shape (n_known,)
        The labels encoded with.
    """
    if labels.dtype.kind == "O":
        missing = np.fromiter(map(_is_missing, labels), bool, len(labels))
    elif labels.dtype.kind in "fM":
        missing = labels != labels  # NaN and NaT differ from themselves
    else:
        missing = np.zeros(0, dtype=bool)
    if missing.any():
        raise ValueError(f"column {name!r} has no label in row {int(np.argmax(missing))}")
    if known is None and labels.dtype.kind != "O":
        known, codes = np.unique(labels, return_inverse=True)
        return codes.astype(np.int64, copy=False), known
    # Hashing: several times faster than to sort objects, and an int finds its equal float.
    values = labels.tolist()
    if known is None:
        try:
            ordered = sorted(set(values))
        except TypeError as error:
            raise TypeError(f"labels of column {name!r} cannot be sorted: {error}") from error
        known = label_array(ordered)
    else:
        known = np.asarray(known)
        if known.ndim != 1:
            raise ValueError(f"labels for column {name!r} must be 1-D; got shape {known.shape}")
        ordered = known.tolist()
    lookup = {label: code for code, label in enumerate(ordered)}
    if len(lookup) < len(ordered):
        raise ValueError(f"the labels given for column {name!r} repeat")
    codes = np.fromiter((lookup.get(label, -1) for label in values), np.int64, len(values))
    if (unknown := codes < 0).any():
        row = int(np.argmax(unknown))
        raise ValueError(
            f"column {name!r} holds {values[row]!r} in row {row}, which is not among the labels "
            "given; drop such rows first"
        )
    return codes, known


def label_array(labels: list[Any]) -> npt.NDArray[Any]:
    """Labels as an array, of objects where NumPy's strings would not hold them as they are."""
    if labels and all(isinstance(label, str) for label in labels):
        length = [len(label) for label in labels]
        one_long = max(length) * len(labels) > 8 * sum(length) + 4096  # makes all others as long
        if one_long or any(label.endswith("\0") for label in labels):  # NumPy takes NULs off
            return np.array(labels, dtype=object)
    return np.asarray(labels)


def _is_missing(label: Any) -> bool:
    # pandas.NA has no truth value, also when compared with itself.
    return label is None or type(label).__name__ in ("NAType", "NaTType") or bool(label != label)
