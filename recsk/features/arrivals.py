"""Features of items that arrive after the fit, one row for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.data.labels import Labels, list_labels
from recsk.features.alignment import (
    align_item_features,
    check_dict,
    check_row_labels,
    is_default_index,
    item_columns,
)
from recsk.features.frames import check_eager, find_keys, is_bare_index, is_frame
from recsk.features.item_features import check_new_item_features

__all__ = ["labels_of_frames", "read_new_features"]

Features = dict[str, npt.NDArray[np.float32]]


def labels_of_frames(item_features: Any, known: Labels) -> Labels | None:
    """Return the labels of new items that the frames name, in the order of their appearance.

    Parameters
    ----------
    item_features : dict of str to array-like or DataFrame
        Frames name items by the item column of the fit, by a column "item", or by an index. Numbers
        in an index without a name are no labels: they may be left from another frame. An empty
        frame has no items.
    known : Labels
        Those of the model.

    Returns
    -------
    Labels or None
        None if no modality names its items: rows are then in one order.

    Raises
    ------
    TypeError
        If `item_features` is no dict.
    ValueError
        If some modalities name their items and others do not.
    """
    check_dict(item_features)
    columns = item_columns(known)
    labels: dict[Any, None] = {}
    named, unnamed, empty = [], [], False
    for name, features in (item_features or {}).items():
        if not is_frame(features):
            unnamed.append(name)
            continue
        label = f"item_features[{name!r}]"
        check_eager(features, label)
        keys, column = find_keys(features, columns)
        if not len(features):
            empty = True
            continue
        if column is None and (keys is None or is_bare_index(keys)):
            unnamed.append(name)
            continue
        named.append(name)
        labels.update(dict.fromkeys(check_row_labels(list_labels(keys), label)))
    if not named:
        return Labels([]) if empty and not unnamed else None
    if unnamed:
        raise ValueError(
            f"item_features[{named[0]!r}] names the items of its rows, but "
            f"item_features[{unnamed[0]!r}] does not: pass frames with a column {columns[0]!r} or "
            "an index that names the items for all modalities, or arrays in one order"
        )
    return Labels(list(labels), "the rows of item_features", known.column)


def read_new_features(
    item_features: Any,
    labels: Labels | None,
    first: int,
    n_columns: Mapping[str, int],
    names: Mapping[str, Sequence[str]],
) -> Features:
    """Check features of new items and return them with one row for each, in one order.

    Parameters
    ----------
    item_features : dict of str to array-like or DataFrame
        Frames have the rows of `labels` in any order; arrays are in their order.
    labels : Labels or None
        Labels of the new items. Without any, the rows of a frame are in order, or its index has
        the ids `first`, `first` + 1, ... of new items.
    first : int
        Id of the first new item.
    n_columns : mapping of str to int
        Columns of each modality of the fit.
    names : mapping of str to sequence of str
        Their names, where they have any.

    Raises
    ------
    TypeError, ValueError
        As `align_item_features` and `check_new_item_features`; also if a frame has rows of items
        that are not among `labels`.
    """
    check_dict(item_features)
    if item_features is None or not any(map(is_frame, item_features.values())):
        return check_new_item_features(item_features, n_columns, labels)
    if labels is None:
        n, first = _count_ids(item_features, first)
    else:
        n = len(labels)
    aligned, _ = align_item_features(
        item_features, n, labels, partly=True, columns=names, first=first, closed=True
    )
    if not aligned:  # all frames are empty
        aligned = {
            name: np.full((n, n_columns.get(name, 1)), np.nan, np.float32) for name in item_features
        }
    return check_new_item_features(aligned, n_columns, labels)


def _count_ids(item_features: Mapping[str, Any], first: int) -> tuple[int, int]:
    """Return the number of new items, and the id of the first as frames count: `first`, or 0."""
    n, ids = 0, set()
    for name, features in item_features.items():
        if not is_frame(features):
            continue
        label = f"item_features[{name!r}]"
        check_eager(features, label)
        keys, column = find_keys(features, ("item",))
        n = max(n, len(features))
        if column is not None or not is_default_index(keys):
            ids.update(check_row_labels(list_labels(keys), label))
    numbered = bool(ids) and all(isinstance(i, int) and i >= first for i in ids)
    return max(n, len(ids)), first if numbered else 0
