"""Item features: from what a user has to dense columns that a network can learn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from recsk._describe import describe

__all__ = ["Features", "check_item_features", "mean_length_one", "prepare"]


_COLUMNS = 32  # that are standardised at once


class Features(NamedTuple):
    """The features of one modality, ready for a network.

    Attributes
    ----------
    values : ndarray of shape (n_items, n_columns), float32
        Finite; zero for items without the modality.
    present : ndarray of shape (n_items,), bool
        Which items have the modality.
    """

    values: np.ndarray
    present: np.ndarray


def prepare(features: np.ndarray, *, standardize: bool) -> Features:
    """Fill the rows of missing items with zeros and, if asked, bring the columns to one scale.

    Parameters
    ----------
    features : ndarray of shape (n_items, n_columns), float32
        Checked features; rows of NaN are items without this modality.
    standardize : bool
        Subtract the mean of every column over the items that have the modality, and divide by
        its standard deviation. Embeddings from a network often share a large common direction
        that makes all cosines alike; this takes it away.

    Returns
    -------
    Features
        A new array; what came is not changed.
    """
    present = ~np.isnan(features[:, 0])
    values = np.where(present[:, None], features, np.float32(0))
    if standardize:
        n_columns = values.shape[1]
        # In float64: float32 overflows on the squares of large, still finite values. A few columns
        # at a time, so that this takes little memory beside the features.
        for columns in np.array_split(np.arange(n_columns), max(n_columns // _COLUMNS, 1)):
            some = slice(columns[0], columns[-1] + 1)
            rows = values[present, some].astype(np.float64, order="C")
            rows -= rows.mean(axis=0)
            deviation = rows.std(axis=0)
            deviation[deviation == 0] = 1  # constant: float64 sums up equal float32 values exactly
            values[present, some] = rows / deviation
    return Features(values, present)


def mean_length_one(features: Features) -> Features:
    """Bring the rows of a modality to length one on average.

    A linear layer then starts with outputs of one size, whatever the unit of the features.

    Parameters
    ----------
    features : Features

    Returns
    -------
    Features
        A new array; what came is not changed. Features of zero stay so.
    """
    values, present = features
    largest = np.abs(values).max()
    if largest == 0:
        return features
    values = values / largest  # or float32 overflows on the squares of large, finite values
    values /= np.linalg.norm(values, axis=1)[present].mean()
    return Features(values, present)


def check_item_features(
    item_features: Mapping[str, Any] | None, n_items: int
) -> dict[str, np.ndarray]:
    """Check the features of every modality and give them as dense float32 arrays.

    Parameters
    ----------
    item_features : dict of str to array-like of shape (n_items, n_columns), or None
        Dense or sparse. A row of NaN says that this item lacks this modality.
    n_items : int
        Columns of X.

    Returns
    -------
    dict of str to ndarray of shape (n_items, n_columns), float32
        In the order given, each in C order; what was such an array is passed on, not copied.

    Raises
    ------
    TypeError
        If `item_features` is no dict, or a name no string, or an array not of numbers.
    ValueError
        If a shape is wrong, a value is infinite, or a row is NaN only in part.
    """
    if item_features is None:
        return {}
    if not isinstance(item_features, Mapping):
        raise TypeError(
            "item_features must be a dict of modality name to array, such as "
            f"{{'image': features}}; got {describe(item_features)}"
        )
    return {
        _check_name(name): _check_modality(name, features, n_items)
        for name, features in item_features.items()
    }


def _check_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"item_features must have strings as names of modalities; got {name!r}")
    return name


def _check_modality(name: str, features: Any, n_items: int) -> np.ndarray:
    label = f"item_features[{name!r}]"
    try:
        if sp.issparse(features):
            features = features.toarray()
        elif isinstance(features, np.ma.MaskedArray):
            # What is masked is missing, whatever stands below the mask.
            features = np.ma.filled(features.astype(np.float32), np.nan)
        else:
            features = np.asarray(features)
    except ValueError as error:  # rows of several lengths
        raise ValueError(f"{label} must be one array, got {describe(features)}") from error
    except (TypeError, RuntimeError) as error:  # a tensor that NumPy cannot read
        raise TypeError(f"{label} cannot be read as an array: {error}") from error
    if features.dtype.kind not in "fiub":
        raise TypeError(f"{label} must be an array of numbers; got dtype {features.dtype}")
    if features.ndim != 2:
        raise ValueError(
            f"{label} must be of shape (n_items, n_columns); got shape {features.shape}"
        )
    if len(features) != n_items:
        raise ValueError(
            f"{label} has {len(features)} rows, but X has {n_items} items (columns): one row for "
            "each item, in the order of the columns of X, is expected"
        )
    if features.shape[1] == 0:
        raise ValueError(f"{label} must have at least one column; got shape {features.shape}")
    with np.errstate(over="ignore"):  # what float32 cannot hold is found just below
        features = features.astype(np.float32, order="C", copy=False)
    missing = np.isnan(features)
    whole = missing.all(axis=1)
    partly = np.flatnonzero(missing.any(axis=1) & ~whole)
    if len(partly):
        raise ValueError(
            f"{label} has NaN in part of row {partly[0]} ({len(partly)} such rows); a row is "
            "either finite or, for an item without this modality, NaN throughout"
        )
    infinite = np.flatnonzero(np.isinf(features).any(axis=1))
    if len(infinite):
        raise ValueError(
            f"{label} has an infinite value (for float32) in row {infinite[0]} "
            f"({len(infinite)} such rows)"
        )
    if whole.all():
        raise ValueError(f"{label} is NaN for every item; leave the modality out instead")
    return features
