"""Features of known items, and of new ones behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recsk.features.item_features import check_item_features

__all__ = ["GrownFeatures", "grow_features"]

Floats = npt.NDArray[np.float32]
_ROUNDING = 1e-5  # of the largest value of a column: less is no change


class GrownFeatures(NamedTuple):
    """What `grow_features` returns.

    Attributes
    ----------
    features : dict of str to ndarray of shape (n_items, n_columns), float32
        New arrays.
    changed : ndarray of shape (n_items,), bool
        Which items are new, or have other features than before.
    """

    features: dict[str, Floats]
    changed: npt.NDArray[np.bool_]


def grow_features(
    known: Mapping[str, Floats], item_features: Mapping[str, Any] | None, n_items: int
) -> GrownFeatures:
    """Return features of all items: the given rows, else the known ones.

    Parameters
    ----------
    known : mapping of str to ndarray of shape (n_known, n_columns), float32
        Rows of the first items. A row of NaN is an item without the modality.
    item_features : mapping of str to array-like of shape (n_items, n_columns), or None
        A row of NaN, and a modality that is left out, keep what is known.
    n_items : int
        All items, known and new ones.

    Returns
    -------
    GrownFeatures

    Raises
    ------
    TypeError
        If an array does not hold numbers.
    ValueError
        If the modalities or their widths are others than the known ones, or a row is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.features.growth import grow_features
    >>> given = {"text": np.float32([[np.nan], [7]])}
    >>> grow_features({"text": np.float32([[1]])}, given, 2)
    GrownFeatures(features={'text': array([[1.],
           [7.]], dtype=float32)}, changed=array([False,  True]))
    """
    given = check_item_features(item_features, n_items, partly=True)
    for name, rows in given.items():
        if name not in known:
            had = f"it had {', '.join(known)}" if known else "it had none"
            raise ValueError(
                f"item_features has the modality {name!r}, which the fit did not have; {had}. "
                "Fit again to use it"
            )
        if rows.shape[1] != known[name].shape[1]:
            raise ValueError(
                f"item_features[{name!r}] has {rows.shape[1]} columns; expected "
                f"{known[name].shape[1]}, as in the fit"
            )
    n_known = max((len(rows) for rows in known.values()), default=n_items)
    changed = np.arange(n_items) >= n_known
    grown = {}
    for name, rows in known.items():
        grown[name] = np.full((n_items, rows.shape[1]), np.nan, dtype=np.float32)
        grown[name][:n_known] = rows
        if name in given:
            largest = np.nanmax(np.abs(rows), axis=0, initial=0)
            same = (np.abs(given[name][:n_known] - rows) <= _ROUNDING * largest).all(axis=1)
            other = ~np.isnan(given[name][:, 0])
            other[:n_known] &= ~same
            grown[name][other] = given[name][other]
            changed |= other
    return GrownFeatures(grown, changed)
