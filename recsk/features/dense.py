"""Dense features of one modality: fill missing rows and scale the values."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Features", "RowScale", "fill_and_standardize", "scale_to_unit_mean_norm"]

_BLOCK_COLUMNS = 32  # number of columns that are standardised at once


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
