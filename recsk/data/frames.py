"""Columns of data frames from any library, and labels encoded as ids."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from recsk.data.forms import check_column_form, column_names

__all__ = ["IdColumn", "encode_labels", "get_column", "read_ids", "to_indexable", "to_label_array"]


class IdColumn(NamedTuple):
    """The users or the items of a data frame.

    Attributes
    ----------
    ids : array-like of shape (n_rows,)
        Positions in `labels`, or the unchecked column where `labels` is None.
    labels : ndarray of shape (n_labels,) or None
        The label of each id.
    size : int or None
        Number of users or items; None means the largest id plus one.
    """

    ids: Any
    labels: npt.NDArray[Any] | None
    size: int | None


def read_ids(
    frame: Any,
    name: str,
    kind: Literal["user", "item"],
    *,
    encode: bool,
    labels: npt.ArrayLike | None,
    size: int | None,
) -> IdColumn:
    """Read the users or the items of a data frame and encode their labels as ids.

    Parameters
    ----------
    frame : DataFrame or mapping
        Its columns are ``frame[name]``.
    name : str
        Name of the column.
    kind : {"user", "item"}
        Which of the two; error messages name the parameters of this kind.
    encode : bool
        Whether the column holds labels. If False and `labels` is None, it holds ids.
    labels : array-like of shape (n_labels,) or None
        Labels to encode with; None means the sorted labels of the column.
    size : int or None
        Number of users or items; allowed only if the column holds ids.

    Raises
    ------
    ValueError
        If `size` is given for a column of labels, or a label is missing or unknown.
    """
    ids = get_column(frame, name)
    if not encode and labels is None:
        return IdColumn(ids, None, size)
    if size is not None:
        raise ValueError(
            f"n_{kind}s={size} needs encode=False and no {kind}_labels: the number of labels "
            f"determines n_{kind}s"
        )
    codes, known = encode_labels(np.asarray(ids), name, labels)
    return IdColumn(codes, known, len(known))


def to_indexable(frame: Any) -> Any:
    """Return a frame with ``frame[name]``; convert one that only has ``__dataframe__``.

    Raises
    ------
    ImportError
        If the conversion needs pandas and pandas is not installed.
    """
    if hasattr(frame, "__getitem__") or not hasattr(frame, "__dataframe__"):
        return frame
    try:
        from pandas.api.interchange import from_dataframe
    except ImportError as error:
        raise ImportError(
            f"reading a {type(frame).__name__} by the interchange protocol needs pandas"
        ) from error
    return from_dataframe(frame)


def get_column(frame: Any, name: str) -> Any:
    """Return a column of a frame as an object that ``np.asarray`` accepts.

    This is the column object itself where possible, because only that knows its time zone.

    Raises
    ------
    KeyError
        If the column does not exist.
    ValueError
        If several columns have this name.
    TypeError
        If `frame` has no columns, or the column holds structs, lists or arrays.
    """
    names = column_names(frame)
    if names and name not in names:  # libraries raise errors of their own for it
        raise KeyError(f"the frame has no column {name!r}; it has {names}")
    if (n_same := names.count(name)) > 1:
        raise ValueError(f"the frame has {n_same} columns {name!r}: rename or drop all but one")
    try:
        found = frame[name]
    except (KeyError, ValueError, IndexError) as error:
        raise KeyError(f"the frame has no column {name!r}; it has {names}") from error
    except TypeError as error:
        raise TypeError(
            f"frame must be a data frame or a dict of columns; got {type(frame).__name__}"
        ) from error
    check_column_form(found, name)
    if not hasattr(found, "__array__") and hasattr(found, "to_numpy"):
        return found.to_numpy()
    return found


def encode_labels(
    labels: npt.NDArray[Any], name: str, known: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Encode labels as their positions in the array of known labels.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,)
        A column of a data frame.
    name : str
        Name of the column in error messages.
    known : array-like of shape (n_known,) or None
        Labels to encode with, without repeats. None means the sorted distinct `labels`.

    Returns
    -------
    codes : ndarray of shape (n_rows,), int64
        ``known[codes]`` equals `labels`.
    known : ndarray of shape (n_known,)
        The labels used to encode.

    Raises
    ------
    ValueError
        If a label is missing or not among `known`, or `known` repeats a label or is not 1-D.
    TypeError
        If `known` is None and the labels cannot be sorted.
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
    # Hashing is several times faster than sorting objects, and an int matches the equal float.
    values = labels.tolist()
    if known is None:
        try:
            ordered = sorted(set(values))
        except TypeError as error:
            raise TypeError(f"labels of column {name!r} cannot be sorted: {error}") from error
        known = to_label_array(ordered)
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


def to_label_array(labels: list[Any]) -> npt.NDArray[Any]:
    """Convert labels to an array that keeps them exactly and takes little memory.

    This is an object array where NumPy's fixed-width strings would strip trailing NULs, or would
    make all strings as long as one very long label.
    """
    if labels and all(isinstance(label, str) for label in labels):
        lengths = [len(label) for label in labels]
        one_is_long = max(lengths) * len(labels) > 8 * sum(lengths) + 4096
        if one_is_long or any(label.endswith("\0") for label in labels):
            return np.array(labels, dtype=object)
    return np.asarray(labels)


def _is_missing(label: Any) -> bool:
    # pandas.NA has no truth value, not even that of a comparison with itself.
    return label is None or type(label).__name__ in ("NAType", "NaTType") or bool(label != label)
