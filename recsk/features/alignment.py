"""Item features brought into the order of the items, by label where they have labels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recsk.data.checks import describe
from recsk.data.labels import Labels, check_same_type, list_labels, to_label_array
from recsk.features.frames import FeatureFrame, is_frame, read_feature_frame, string_names

__all__ = [
    "align_item_features",
    "check_dict",
    "check_row_labels",
    "feature_columns",
    "is_default_index",
    "item_columns",
]

_NO_NAMES: Mapping[str, Sequence[str]] = {}


def align_item_features(
    item_features: Mapping[str, Any] | None,
    n_items: int,
    labels: Labels | None,
    *,
    partly: bool = False,
    columns: Mapping[str, Sequence[str]] = _NO_NAMES,
    first: int = 0,
    closed: bool = False,
) -> tuple[Mapping[str, Any] | None, Labels | None]:
    """Return features with one row for each item, in the order of the items.

    Arrays stay as they are: row i belongs to item i. The rows of a data frame are matched by label:
    by the column that has the name of the item column of X or is called "item", else by the index
    of a pandas frame. Their order does not matter. An item without a row lacks the modality. A row
    whose label is not among `labels` is a new item.

    Parameters
    ----------
    item_features : dict of str to array-like or DataFrame, or None
    n_items : int
        Columns of X.
    labels : Labels or None
        Labels of the items; None if X has ids. A frame is then matched by an index of ids.
    partly : bool, default=False
        Whether frames are expected to have rows for few of the items, and for new ones. An empty
        frame is then left out.
    columns : mapping of str to sequence of str
        Names of the columns of the fit, of each modality whose frame had names. Columns of later
        frames are matched by name.
    first : int, default=0
        Id of the first item, where there are no labels.
    closed : bool, default=False
        Whether rows of other items are an error, as where the user gives labels of new items.

    Returns
    -------
    item_features : dict of str to array-like, or None
    labels : Labels or None
        Followed by those of new items.

    Raises
    ------
    TypeError
        If `item_features` is no dict.
    ValueError
        If a frame does not name its items, names one twice, has NaN in part of a row or an infinite
        value, or has other columns than `columns`.

    Warns
    -----
    UserWarning
        If a frame has rows for less than half of the items of X, and rows for others.
    """
    check_dict(item_features)
    if item_features is None or not any(map(is_frame, item_features.values())):
        return item_features, labels
    keys_allowed = item_columns(labels)
    if partly:  # a day without new items
        item_features = {
            name: features
            for name, features in item_features.items()
            if not is_frame(features) or _n_rows(features)
        }
    frames = {
        name: read_feature_frame(
            features, keys_allowed, f"item_features[{name!r}]", columns.get(name)
        )
        for name, features in item_features.items()
        if is_frame(features)
    }
    known = Labels(np.arange(first, first + n_items)) if labels is None else labels
    rows: dict[str, Any] = {}
    unknown: dict[Any, None] = {}
    may_differ = partly and not (closed and labels is not None)
    of = "X"  # what has the items, in error messages
    if closed:
        of = "the new items" if labels is None else "labels"
    elif partly and labels is not None:
        of = "the model"
    for name, frame in frames.items():
        label = f"item_features[{name!r}]"
        keys = _check_keys(frame, label, known, labels is not None, keys_allowed[0], may_differ, of)
        rows[name] = keys
        if keys is not None:
            ids = known.find(keys)
            others = [x for x, i in zip(keys, ids, strict=True) if i < 0]
            unknown.update(dict.fromkeys(others))
            n_found = len(keys) - len(others)
            if others and closed and labels is not None:
                raise ValueError(
                    f"{label} has a row of {others[0]!r} ({len(others)} such rows), which is not "
                    f"in {of}: leave it out, or add it to {of}"
                )
            if others and partly and labels is not None:
                check_same_type(others, known, f"{label} has items with labels")
            if others and 2 * n_found < n_items and not partly:
                warnings.warn(
                    f"item_features[{name!r}] has rows for {n_found} of the {n_items} items of X "
                    f"and for {len(others)} others, such as {others[0]!r}, which become new items: "
                    "do its rows name the items as X does?",
                    stacklevel=5,
                )
    if unknown and labels is None:
        has, cure = "has", "give X labels (Interactions.from_frame), or drop these rows"
        if closed:
            has, cure = "are", "pass frame.reset_index(drop=True), in the order of the new items"
        raise ValueError(
            f"item_features has rows for the items {list(unknown)[:3]}, but {of} {has} the items "
            f"{first} to {first + n_items - 1}: {cure}"
        )
    if unknown:
        known = known.extend(list(unknown))
    aligned = {}
    for name, features in item_features.items():
        if name not in frames or rows[name] is None:
            values = frames[name].values if name in frames else features
            aligned[name] = _pad(values, n_items, len(known)) if unknown else values
            continue
        aligned[name] = np.full((len(known), frames[name].values.shape[1]), np.nan, np.float32)
        aligned[name][known.find(rows[name])] = frames[name].values
    return aligned, None if labels is None else known


def check_dict(item_features: Any) -> None:
    """Raise a TypeError unless it is a dict, or None."""
    if item_features is not None and not isinstance(item_features, Mapping):
        raise TypeError(
            "item_features must be a dict of modality name to array or data frame: pass "
            f"item_features={{'image': features}}; got {_short(item_features)}"
        )


def item_columns(labels: Labels | None) -> tuple[str, str]:
    """Return the names that a column may have that names the items; the first one counts."""
    return (None if labels is None else labels.column) or "item", "item"


def feature_columns(
    item_features: Mapping[str, Any] | None, labels: Labels | None
) -> dict[str, list[str]]:
    """Return the names of the columns of each frame whose columns all have strings as names.

    Parameters
    ----------
    item_features : dict of str to array-like or DataFrame, or None
        Checked by `align_item_features`.
    labels : Labels or None
        Labels of the items.
    """
    keys_allowed = item_columns(labels)
    found = {
        name: string_names(features, keys_allowed)
        for name, features in (item_features or {}).items()
        if is_frame(features)
    }
    return {name: names for name, names in found.items() if names is not None}


def is_default_index(keys: Any) -> bool:
    """Whether pandas numbered the rows by itself, which says nothing about items."""
    return keys is None or (
        type(keys).__name__ == "RangeIndex" and keys.start == 0 and keys.step == 1
    )


def _check_keys(
    frame: FeatureFrame,
    name: str,
    known: Labels,
    labelled: bool,
    key: str,
    partly: bool,
    of: str,
) -> list[Any] | None:
    """Return the labels of a frame's rows, or None if its rows are in the order of the items."""
    keys = frame.keys
    positional = frame.column is None and is_default_index(keys)
    if positional and not labelled:
        return None
    values = [] if keys is None else check_row_labels(list_labels(keys), name)
    if values:
        _check_whole_rows(frame, values, name)
    found = known.find(values)
    if labelled and frame.column is None and (better := _better_column(frame, known, found)):
        raise ValueError(
            f"{name} has an index of numbers without a name, and the column {better!r} names as "
            f"many items of {of}: pass frame.set_index({better!r}), or "
            f"frame.rename_axis({key!r}) if the index is right"
        )
    if (
        (positional and (found[: len(known)] < 0).any())
        or keys is None
        or not (partly or (found >= 0).any())
    ):
        such = f"{of} has {f'items such as {_show(known.decode(0))}' if len(known) else 'no items'}"
        if frame.column is not None and not values:
            raise ValueError(f"{name} has no rows; {such}")
        if frame.column is not None:
            raise ValueError(
                f"{name} does not name the items of its rows: the column {frame.column!r} has "
                f"values such as {_show(values[0])}, none of which is an item of {of}; {such}. "
                "Bring both to the same type and spelling"
            )
        index = "" if positional or not values else f" (it has values such as {_show(values[0])})"
        raise ValueError(
            f"{name} does not name the items of its rows: {such}, and the frame has neither a "
            f"column {key!r} nor an index with them{index}. Pass frame.set_index('...') (pandas), "
            f"rename the column to {key!r}, or pass an array in the order of the items"
        )
    if positional and not np.isin(np.arange(len(known)), found).all():
        raise ValueError(
            f"{name} has a default index, which does not name all items of {of}; pass "
            "frame.set_index('...') with their labels"
        )
    if len(set(values)) < len(values):
        seen: set[Any] = set()
        for value in values:
            if value in seen:
                raise ValueError(f"{name} has the item {value!r} in several rows; keep one of them")
            seen.add(value)
    return values


def _show(label: Any) -> str:
    return f"{label!r} ({type(label).__name__})"


def _n_rows(frame: Any) -> int:
    """Count the rows; a lazy frame, which is refused later, has some."""
    return len(frame) if hasattr(frame, "__len__") else 1


def check_row_labels(keys: list[Any], name: str) -> list[Any]:
    """Return the labels of a frame's rows; none of them is missing or a list."""
    try:
        set(keys)
        to_label_array(keys)
    except TypeError as error:
        raise ValueError(f"{name} must name items by hashable labels: {error}") from error
    except ValueError as error:
        raise ValueError(
            f"{name} must name the item of every row, but it {str(error).removeprefix('labels ')}: "
            "drop the rows without an item"
        ) from error
    return keys


def _pad(values: Any, n_items: int, n_total: int) -> Any:
    """Return an array with rows of NaN for new items; what is wrong is left to the checks."""
    try:
        array = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
    except (TypeError, ValueError, RuntimeError):
        return values
    if array.ndim != 2 or len(array) != n_items or array.dtype.kind not in "fiub":
        return values
    padded = np.full((n_total, array.shape[1]), np.nan, dtype=np.float32)
    padded[:n_items] = array
    return padded


def _short(value: Any) -> str:
    if is_frame(value):
        return f"a data frame of shape {getattr(value, 'shape', '?')}"
    return describe(value)


def _better_column(frame: FeatureFrame, known: Labels, found: np.ndarray) -> str | None:
    """Return a column of whole numbers that names as many items as an index of bare numbers.

    A frame that was sorted or filtered keeps its row numbers as index, and these may be labels too.
    """
    if not frame.bare_index:
        return None
    n_found = len(np.unique(found[found >= 0]))
    for name, column in frame.integer_columns.items():
        ids = known.find(column)
        if len(np.unique(column)) == len(column) and (ids >= 0).sum() >= n_found:
            return name
    return None


def _check_whole_rows(frame: FeatureFrame, keys: list[Any], name: str) -> None:
    missing = np.isnan(frame.values)
    partly = np.flatnonzero(missing.any(axis=1) & ~missing.all(axis=1))
    if len(partly):
        raise ValueError(
            f"{name} has NaN in part of the row of {keys[partly[0]]!r} ({len(partly)} such rows); "
            "a row is either finite or, for an item without this modality, NaN throughout"
        )
    infinite = np.flatnonzero(np.isinf(frame.values).any(axis=1))
    if len(infinite):
        raise ValueError(
            f"{name} has an infinite value (for float32) in the row of {keys[infinite[0]]!r} "
            f"({len(infinite)} such rows)"
        )
