"""Item features brought into the order of the items, by label where they have labels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from recsk.data.checks import describe
from recsk.data.labels import Labels, list_labels, to_label_array
from recsk.features.frames import FeatureFrame, is_frame, read_feature_frame

__all__ = ["align_item_features"]


def align_item_features(
    item_features: Mapping[str, Any] | None,
    n_items: int,
    labels: Labels | None,
    *,
    partly: bool = False,
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
        Whether frames are expected to have rows for few of the items, and for new ones.

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
        If a frame does not name its items, names one twice, or has NaN in part of a row.

    Warns
    -----
    UserWarning
        If a frame has rows for less than half of the items of X, and rows for others.
    """
    if item_features is not None and not isinstance(item_features, Mapping):
        raise TypeError(
            "item_features must be a dict of modality name to array or data frame: pass "
            f"item_features={{'image': features}}; got {_short(item_features)}"
        )
    if item_features is None or not any(map(is_frame, item_features.values())):
        return item_features, labels
    key = (labels and labels.column) or "item"
    keys_allowed = (key, "item")
    frames = {
        name: read_feature_frame(features, keys_allowed, f"item_features[{name!r}]")
        for name, features in item_features.items()
        if is_frame(features)
    }
    known = Labels(np.arange(n_items)) if labels is None else labels
    rows: dict[str, Any] = {}
    unknown: dict[Any, None] = {}
    for name, frame in frames.items():
        label = f"item_features[{name!r}]"
        keys = _check_keys(frame, label, known, labels is not None, key, partly)
        rows[name] = keys
        if keys is not None:
            ids = known.find(keys)
            others = [x for x, i in zip(keys, ids, strict=True) if i < 0]
            unknown.update(dict.fromkeys(others))
            n_found = len(keys) - len(others)
            if others and 2 * n_found < n_items and not partly:
                warnings.warn(
                    f"item_features[{name!r}] has rows for {n_found} of the {n_items} items of X "
                    f"and for {len(others)} others, such as {others[0]!r}, which become new items: "
                    "do its rows name the items as X does?",
                    stacklevel=5,
                )
    if unknown and labels is None:
        raise ValueError(
            f"item_features has rows for the items {list(unknown)[:3]}, but X has the items 0 to "
            f"{n_items - 1}: give X labels (Interactions.from_frame), or drop these rows"
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


def _check_keys(
    frame: FeatureFrame, name: str, known: Labels, labelled: bool, key: str, partly: bool
) -> list[Any] | None:
    """Return the labels of a frame's rows, or None if its rows are in the order of the items."""
    if partly and not len(frame.values):  # a day without new items
        return []
    keys, positional = frame.keys, False
    if not frame.from_column:
        # What pandas numbers by itself says nothing about items.
        positional = keys is None or (
            type(keys).__name__ == "RangeIndex" and keys.start == 0 and keys.step == 1
        )
    if positional and not labelled:
        return None
    values = [] if keys is None else _check_labels(list_labels(keys), name)
    if values:
        _check_whole_rows(frame, values, name)
    found = known.find(values)
    if labelled and not frame.from_column and (better := _better_column(frame, known, found)):
        raise ValueError(
            f"{name} has an index of numbers without a name, and the column {better!r} names as "
            f"many items of X: pass frame.set_index({better!r}), or frame.rename_axis({key!r}) if "
            "the index is right"
        )
    if (
        (positional and (found[: len(known)] < 0).any())
        or keys is None
        or not (partly or (found >= 0).any())
    ):
        raise ValueError(
            f"{name} does not name the items of its rows: X has labels such as "
            f"{known.decode(0)!r}, and the frame has neither a column {key!r} nor an index with "
            f"them. Pass frame.set_index('...') (pandas), rename the column to {key!r}, or pass an "
            "array in the order of the items"
        )
    if positional and not np.isin(np.arange(len(known)), found).all():
        raise ValueError(
            f"{name} has a default index, which does not name all items of X; pass "
            "frame.set_index('...') with their labels"
        )
    if len(set(values)) < len(values):
        seen: set[Any] = set()
        for value in values:
            if value in seen:
                raise ValueError(f"{name} has the item {value!r} in several rows; keep one of them")
            seen.add(value)
    return values


def _check_labels(keys: list[Any], name: str) -> list[Any]:
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
