"""Forms of data that are refused, each with the call that is right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Number
from typing import Any

import numpy as np
import scipy.sparse as sp

from recsk.data.checks import check_unmasked, describe

__all__ = ["check_column_form", "check_form", "check_no_target", "column_names"]

# Names of the columns of logs, in lower case and without "_", "-" and spaces.
_USERS = ("user", "userid", "uid", "customer", "customerid", "visitorid", "reviewerid", "sessionid")
_ITEMS = (
    *("item", "itemid", "iid", "product", "productid", "movieid", "trackid", "artistid", "bookid"),
    *("videoid", "articleid", "asin", "parentasin", "sku"),
)


def check_form(X: Any, name: str, *, histories: bool = False) -> None:
    """Refuse what is no users x items matrix though it may look like one.

    Parameters
    ----------
    X : object
        Interactions and sparse matrices pass. Of dense data, arrays and wide tables of numbers
        pass, and further checks decide.
    name : str
        Name of `X` in error messages.
    histories : bool, default=False
        Whether `X` may also be a list of lists or tuples of ids.

    Raises
    ------
    TypeError
        If `X` is a table with one row per interaction, a dict of columns, text, or a tuple of
        columns or of data and target.
    ValueError
        If `X` is an array with masked entries.
    """
    if sp.issparse(X):
        return
    check_unmasked(X, name)
    if not (histories and isinstance(X, Mapping)):
        _check_no_log(X, name)
    if isinstance(X, list | tuple) and any(map(_holds_matrix, X)):
        raise TypeError(
            f"{name} must be Interactions or a matrix of n_users x n_items alone, without y and in "
            f"no list; got {_types(X)}: pass the matrix in it as {name}"
        )
    if histories:
        return
    if isinstance(X, tuple) or (isinstance(X, list) and any(isinstance(row, tuple) for row in X)):
        raise TypeError(
            f"{name} must be Interactions or a matrix of n_users x n_items; got {_types(X)}. "
            "From columns of ids: Interactions(user, item). From columns of labels: "
            "Interactions.from_frame({'user': user, 'item': item})"
        )
    if _holds_text(X):
        raise TypeError(
            f"{name} must be Interactions or a matrix of n_users x n_items; got text in "
            f"{describe(X)}. From columns of labels: "
            "Interactions.from_frame({'user': user, 'item': item})"
        )


def check_no_target(y: Any, call: str = "fit") -> None:
    """Refuse item features or interactions in the place of `y`, where they would be ignored.

    Parameters
    ----------
    y : object
        None, or one label per sample, which scikit-learn may pass and nobody reads.
    call : {"fit", "score"}, default="fit"
        The method, for the error message.

    Raises
    ------
    TypeError
        If `y` is anything else.
    """
    if y is None or _is_1d(y):
        return
    cures = {
        "fit": "Item features: fit(X, item_features={name: array}). Held-out interactions: "
        "fit(X, eval_set=X_val)",
        "score": "score takes held-out interactions alone: score(X_test)",
    }
    what = f"a dict with the keys {describe(list(y))}" if isinstance(y, Mapping) else describe(y)
    raise TypeError(f"y must be None: a recommender has no target; got {what}. {cures[call]}")


def check_column_form(column: Any, name: str) -> None:
    """Refuse a column of a data frame that does not have one plain value per row.

    Raises
    ------
    TypeError
        If the column is one value for all rows, or has structs, lists or arrays in its rows.
    ValueError
        If it has masked entries.
    """
    check_unmasked(column, name)
    problem = None
    if _is_nested(column):
        problem = f"dtype {getattr(column, 'dtype', getattr(column, 'type', None))}"
    elif isinstance(column, str | bytes | Number | None) or getattr(column, "shape", (0,)) == ():
        problem = f"{describe(column)} for all rows"
    elif len(getattr(column, "shape", (0,))) != 1:
        problem = f"shape {column.shape}"
    elif isinstance(column, list | tuple) or _is_object(column):
        nested = (Mapping, list, set, np.ndarray)
        cells = ((row, cell) for row, cell in enumerate(column) if isinstance(cell, nested))
        for row, cell in cells:
            problem = f"{describe(cell)} in row {row}"
            break
    if problem is not None:
        raise TypeError(
            f"column {name!r} must have one plain value per row, such as a text or a number; got "
            f"{problem}: choose one field of it, or join its fields into one text"
        )


def column_names(table: Any) -> list[Any]:
    """Return the names of the columns of a data frame, dict or structured array, else []."""
    if isinstance(table, Mapping):
        return list(table)
    if isinstance(table, np.ndarray):
        return list(table.dtype.names or [])
    if not hasattr(table, "iloc") and hasattr(table, "column_names"):
        return list(table.column_names)  # of pyarrow, whose `columns` are the columns themselves
    return list(getattr(table, "columns", []))


def _check_no_log(X: Any, name: str) -> None:
    """Refuse a table with one row per interaction, or with a column that holds no numbers."""
    if not isinstance(X, np.ndarray | Mapping) and not hasattr(X, "columns"):
        return
    names, frame = column_names(X), name
    # An index of several levels holds what identifies a row; that of a pivoted table has one.
    index = list(getattr(getattr(X, "index", None), "names", []))
    if len(index) > 1 and hasattr(X, "iloc"):
        names, frame = index + names, f"{name}.reset_index()"
    user, item = _first(names, _USERS), _first(names, _ITEMS)
    odd = item if user is None else user
    if not names:
        return
    if odd is None:
        odd = names[0] if isinstance(X, Mapping) else _not_numeric(X)
        if odd is None:
            return
    shown = ", ".join(map(repr, names[:4])) + (", ..." if len(names) > 4 else "")
    shown += "" if odd in names[:4] else f" and {odd!r}"
    raise TypeError(
        f"{name} must be Interactions or a matrix of n_users x n_items; got a table with the "
        f"columns {shown}. If a row is one interaction: "
        f"Interactions.from_frame({frame}, user={user or 'user'!r}, item={item or 'item'!r}). In "
        "a table of n_users x n_items every column is an item and holds numbers"
    )


def _not_numeric(table: Any) -> Any:
    """Return the first column of a data frame that holds no numbers, or None."""
    if isinstance(table, np.ndarray):
        return table.dtype.names[0]  # a structured array is no matrix, whatever it holds
    if hasattr(table, "iloc"):
        numeric: Iterable[bool] = (
            all(isinstance(cell, Number | None) for cell in table.iloc[:, position])
            if str(dtype) == "object"
            else getattr(dtype, "kind", "O") in "biufc"
            for position, dtype in enumerate(table.dtypes)
        )
    elif hasattr(table, "get_columns"):  # polars
        numeric = (dtype.is_numeric() or str(dtype) == "Boolean" for dtype in table.dtypes)
    else:
        numeric = (np.asarray(column).dtype.kind in "biufc" for column in table.columns)
    pairs = zip(column_names(table), numeric, strict=True)
    return next((name for name, is_numeric in pairs if not is_numeric), None)


def _first(names: list[Any], known: tuple[str, ...]) -> Any:
    """Return the first of the names that is a known one, in any spelling, or None."""
    for name in names:
        plain = str(name).lower().replace("_", "").replace("-", "").replace(" ", "")
        if plain in known:
            return name
    return None


def _holds_text(X: Any) -> bool:
    if isinstance(X, str | bytes):
        return True
    if isinstance(X, list):
        return any(
            isinstance(cell, str | bytes)
            for row in X
            for cell in (row if isinstance(row, list | np.ndarray) else [row])
        )
    if isinstance(X, np.ndarray) and X.dtype.kind == "O":
        return any(isinstance(cell, str | bytes) for cell in X.flat)
    return getattr(getattr(X, "dtype", None), "kind", "f") in "UST"


def _is_1d(y: Any) -> bool:
    if isinstance(y, Mapping) or sp.issparse(y):
        return False
    if isinstance(y, list | tuple):
        return not any(np.ndim(label) or isinstance(label, Mapping) for label in y)
    if hasattr(y, "shape"):
        return len(y.shape) == 1
    try:
        return bool(np.asarray(y).ndim == 1)
    except (TypeError, ValueError):
        return False


def _holds_matrix(part: Any) -> bool:
    """Whether `part` is a matrix, or a tuple with one, such as (X, y)."""
    if isinstance(part, tuple):
        return any(map(_holds_matrix, part))
    return isinstance(getattr(part, "shape", None), tuple) and len(part.shape) == 2


def _is_object(column: Any) -> bool:
    return str(getattr(column, "dtype", None)).lower() == "object"


def _is_nested(column: Any) -> bool:
    """Whether a column of polars, pyarrow or pandas declares structs, lists or arrays."""
    dtype: Any = getattr(column, "dtype", getattr(column, "type", None))
    if hasattr(dtype, "is_nested"):  # polars
        return bool(dtype.is_nested())
    dtype = getattr(dtype, "pyarrow_dtype", dtype)
    return bool(getattr(dtype, "num_fields", 0))


def _types(X: Any) -> str:
    """Describe a list or tuple by the types in it."""
    inner = ", ".join(type(part).__name__ for part in X[:4]) + (", ..." if len(X) > 4 else "")
    return f"a {type(X).__name__} of {inner}"
