"""Dense features of one modality: fill missing rows and scale the values."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = [
    "Features",
    "RowScale",
    "fill_and_standardize",
    "find_extreme_rows",
    "scale_to_unit_mean_norm",
]

_BLOCK_COLUMNS = 32  # number of columns that are standardised at once
# Few rows that outweigh all others. Real embeddings have less than a tenth in a hundredth of rows;
# a few columns, such as prices, may have such values.
_EXTREME_SHARE, _FEW_ROWS, _MANY_COLUMNS, _LARGE = 0.5, 0.01, 8, 0.1


class Features(NamedTuple):
    """The features of one modality as a network uses them.

    Attributes
    ----------
    values : ndarray of shape (n_items, n_columns), float32
        Finite; zero for items without the modality.
    present : ndarray of shape (n_items,), bool
        True for items with the modality.
    """

    values: np.ndarray
    present: np.ndarray


def fill_and_standardize(features: np.ndarray, *, standardize: bool) -> Features:
    """Fill missing rows with zeros and, on request, standardise the columns.

    Parameters
    ----------
    features : ndarray of shape (n_items, n_columns), float32
        Checked features; a row of NaN is an item without this modality. Not changed.
    standardize : bool
        Subtract the mean of every column and divide by its standard deviation, both over the
        items with the modality. Embeddings from a network often share a large common direction,
        which makes all cosine similarities large and nearly equal. Standardising removes it.

    Returns
    -------
    Features
        With a new array of values.
    """
    present = ~np.isnan(features[:, 0])
    values = np.where(present[:, None], features, np.float32(0))
    if standardize:
        n_columns = values.shape[1]
        # In float64, because squares of large finite values overflow float32. Few columns at a
        # time, to need little memory beside the features.
        for columns in np.array_split(np.arange(n_columns), max(n_columns // _BLOCK_COLUMNS, 1)):
            block = slice(columns[0], columns[-1] + 1)
            rows = values[present, block].astype(np.float64, order="C")
            rows -= rows.mean(axis=0)
            deviation = rows.std(axis=0)
            # Exactly 0 for a constant column: float64 sums equal float32 values without error.
            deviation[deviation == 0] = 1
            values[present, block] = rows / deviation
    return Features(values, present)


def scale_to_unit_mean_norm(features: Features) -> Features:
    """Scale the features of a modality so that the mean norm of its rows is 1.

    The initial outputs of a linear layer then have the same size for features in any unit.

    Parameters
    ----------
    features : Features
        Not changed.

    Returns
    -------
    Features
        With a new array of values. Features that are all zero are returned as they are.
    """
    values, present = features
    largest = np.abs(values).max()
    if largest == 0:
        return features
    values = values / largest  # because squares of large finite values overflow float32
    values /= np.linalg.norm(values, axis=1)[present].mean()
    return Features(values, present)


def find_extreme_rows(features: Features) -> np.ndarray:
    """Find rows so large that they outweigh all others: codes for missing values, or broken ones.

    Parameters
    ----------
    features : Features
        Standardized or not.

    Returns
    -------
    ndarray of int64
        The fewest rows that have more than half of the sum of squares, the largest first. Empty if
        these are more than a hundredth of the rows with the modality (and more than one), if they
        are large in few columns, such as those of rare categories, or if there are few columns.
    """
    values, present = features
    squares = np.einsum("ij,ij->i", values, values, dtype=np.float64)
    order = np.argsort(-squares, kind="stable")
    sums = np.cumsum(squares[order])
    n = 1 + int(np.searchsorted(sums, _EXTREME_SHARE * sums[-1], side="right"))
    few = n <= max(_FEW_ROWS * np.count_nonzero(present), 1)
    if not few or values.shape[1] < _MANY_COLUMNS or not sums[-1] > 0 or len(order) < 1 / _FEW_ROWS:
        return order[:0]
    found = np.abs(values[order[:n]])
    wide = np.mean(found > _LARGE * found.max(axis=1, keepdims=True), axis=1)
    return order[: n if (wide > _EXTREME_SHARE).all() else 0]


class RowScale(NamedTuple):
    """How a fit scaled the rows of a modality: later rows are scaled the same way.

    Attributes
    ----------
    divisor : float
        All values are divided by it.
    longest : float
        Length of the longest row after that. Longer ones are shortened to it: encoders have seen
        none.
    """

    divisor: float
    longest: float

    @classmethod
    def between(cls, before: Features, after: Features) -> RowScale | None:
        """Measure the scale by the features before and after; None where all are zero."""
        lengths = np.linalg.norm(after.values, axis=1)
        row = int(lengths.argmax())
        longest = float(lengths[row])
        if not longest > 0:
            return None
        return cls(float(np.linalg.norm(before.values[row].astype(np.float64))) / longest, longest)

    def __call__(self, features: Features) -> Features:
        """Return scaled features, with a new array of values."""
        values = features.values / np.float32(self.divisor)
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        values *= self.longest / np.maximum(lengths, self.longest)
        return Features(values, features.present)
