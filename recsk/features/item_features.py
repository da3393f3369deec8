"""Check the item features passed to ``fit``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from recsk.data.checks import describe
from recsk.data.labels import Labels

__all__ = ["check_item_features", "check_new_item_features"]


def check_item_features(
    item_features: Mapping[str, Any] | None, n_items: int, *, partly: bool = False
) -> dict[str, np.ndarray]:
    """Check the features of every modality and return them as dense float32 arrays.

    Parameters
    ----------
    item_features : dict of str to array-like of shape (n_items, n_columns), or None
        Dense or sparse. A row of NaN means that the item lacks this modality.
    n_items : int
        Number of columns of X.
    partly : bool, default=False
        Whether a modality may have no row at all, as where only new items have rows.

    Returns
    -------
    dict of str to ndarray of shape (n_items, n_columns), float32
        In the given order, all in C order. An array that already has this form is not copied.

    Raises
    ------
    TypeError
        If `item_features` is not a dict, a name is not a string, or an array does not hold
        numbers.
    ValueError
        If a shape is wrong, a value is infinite, or only part of a row is NaN.
    """
    if item_features is None:
        return {}
    _check_mapping(item_features)
    checked = {
        _check_name(name): _check_modality(name, features, n_items)
        for name, features in item_features.items()
    }
    for name, features in checked.items():
        if np.isnan(features[:, 0]).all() and not partly:
            raise ValueError(
                f"item_features[{name!r}] is NaN for every item; leave the modality out instead"
            )
    return checked


def check_new_item_features(
    item_features: Any, n_columns: Mapping[str, int], labels: Labels | None = None
) -> dict[str, Any]:
    """Check the features of items that arrive after the fit.

    Parameters
    ----------
    item_features : dict of str to array-like of shape (n, n_columns)
        A row of NaN is an item without the modality; a modality may be left out.
    n_columns : mapping of str to int
        Columns of each modality of the fit.
    labels : Labels or None, default=None
        Labels of the items, for error messages.

    Returns
    -------
    dict of str to ndarray of shape (n, n_columns), float32

    Raises
    ------
    TypeError
        If `item_features` is not a dict, or an array does not hold numbers.
    ValueError
        If a modality or a shape is wrong, a value is infinite, only part of a row is NaN, or an
        item has no modality.
    """
    _check_mapping(item_features)
    if not item_features:
        raise ValueError(
            f"item_features must have one modality or more of {', '.join(n_columns)}; got none"
        )
    checked: dict[str, Any] = {}
    for name, features in item_features.items():
        if name not in n_columns:
            raise ValueError(
                f"item_features has the modality {name!r}, which the fit did not have; it had "
                f"{', '.join(n_columns)}"
            )
        rows = _check_modality(name, features, None)
        if rows.shape[1] != n_columns[name]:
            raise ValueError(
                f"item_features[{name!r}] has {rows.shape[1]} columns; expected "
                f"{n_columns[name]}, as in the fit"
            )
        checked[name] = rows
    sizes = {name: len(rows) for name, rows in checked.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"item_features must have one row for each new item; rows are {sizes}")
    nothing = np.all([np.isnan(rows[:, 0]) for rows in checked.values()], axis=0)
    if nothing.any():
        row = int(np.argmax(nothing))
        item = f"the item in row {row}"
        if labels is not None and row < len(labels):
            item = repr(labels.decode(row))
        raise ValueError(
            f"item_features has nothing of {item} ({int(nothing.sum())} such items): an item "
            "without any modality cannot be placed; leave it out"
        )
    return checked


def _check_mapping(item_features: Any) -> None:
    if not isinstance(item_features, Mapping):
        raise TypeError(
            "item_features must be a dict of modality name to array, such as "
            f"{{'image': features}}; got {describe(item_features)}"
        )


def _check_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"item_features must have strings as names of modalities; got {name!r}")
    return name


def _check_modality(name: str, features: Any, n_items: int | None) -> np.ndarray:
    label = f"item_features[{name!r}]"
    try:
        if sp.issparse(features):
            features = features.toarray()
        elif isinstance(features, np.ma.MaskedArray):
            # Masked values are missing, whatever value is below the mask.
            features = np.ma.filled(features.astype(np.float32), np.nan)
        else:
            features = np.asarray(features)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{label} must be one array, got {describe(features)}") from error
    except (TypeError, RuntimeError) as error:  # a tensor that NumPy cannot read
        raise TypeError(f"{label} cannot be read as an array: {error}") from error
    if features.dtype.kind not in "fiub":
        raise TypeError(f"{label} must be an array of numbers; got dtype {features.dtype}")
    if features.ndim != 2:
        raise ValueError(
            f"{label} must be of shape (n_items, n_columns); got shape {features.shape}"
        )
    if n_items is not None and len(features) != n_items:
        raise ValueError(
            f"{label} has {len(features)} rows, but X has {n_items} items (columns): pass one row "
            "per item, in the order of the columns of X"
        )
    if features.shape[1] == 0:
        raise ValueError(f"{label} must have at least one column; got shape {features.shape}")
    with np.errstate(over="ignore"):  # the check for infinite values below finds overflows
        features = features.astype(np.float32, order="C", copy=False)
    is_nan = np.isnan(features)
    missing = is_nan.all(axis=1)
    partly = np.flatnonzero(is_nan.any(axis=1) & ~missing)
    if len(partly):
        raise ValueError(
            f"{label} has NaN in part of row {partly[0]} ({len(partly)} such rows); a row must be "
            "finite or, for an item without this modality, all NaN"
        )
    infinite = np.flatnonzero(np.isinf(features).any(axis=1))
    if len(infinite):
        raise ValueError(
            f"{label} has an infinite value (for float32) in row {infinite[0]} "
            f"({len(infinite)} such rows)"
        )
    return features
