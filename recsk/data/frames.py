"""Columns of data frames from any library."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from recsk.data.forms import check_column_form, column_names
from recsk.data.labels import Labels, to_label_array

__all__ = ["IdColumn", "get_column", "read_ids", "to_indexable"]


class IdColumn(NamedTuple):
    """The users or the items of a data frame.

    Attributes
    ----------
    ids : array-like of shape (n_rows,)
        Positions in `labels`, or the unchecked column where `labels` is None.
    labels : Labels or None
        The label of each id.
    size : int or None
        Number of users or items; None means the largest id plus one.
    """

    ids: Any
    labels: Labels | None
    size: int | None


def read_ids(
    frame: Any,
    name: str,
    kind: Literal["user", "item"],
    *,
    encode: bool,
    labels: Any,
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
        Labels to encode with. None: those of the column, sorted where possible, else in the order
        of their first appearance.
    size : int or None
        Number of users or items; allowed only if the column holds ids.

    Raises
    ------
    ValueError
        If `size` is given for a column of labels, or a label is missing or unknown.
    """
    column = get_column(frame, name)
    if not encode and labels is None:
        return IdColumn(column, None, size)
    if size is not None:
        raise ValueError(
            f"n_{kind}s={size} needs encode=False and no {kind}_labels: the number of labels "
            f"determines n_{kind}s"
        )
    if labels is None:
        ids, found = Labels.from_column(column, f"column {name!r}", name)
        return IdColumn(ids, found, len(found))
    known = labels if isinstance(labels, Labels) else Labels(labels, f"{kind}_labels", name)
    array = to_label_array(column, f"column {name!r}")
    ids = known.find(array)
    if (ids < 0).any():
        row = int(np.argmax(ids < 0))
        raise ValueError(
            f"column {name!r} holds {array.tolist()[row]!r} in row {row}, which is not among the "
            f"{kind}_labels given; drop such rows first"
        )
    return IdColumn(ids, known, len(known))


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
