"""Select ratings by their value and count, and turn them into interactions."""

from __future__ import annotations

from math import isfinite
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recsk.data import Interactions
from recsk.data.checks import check_positive_int

__all__ = ["EncodedColumn", "RatingFilter", "SelectedInteractions"]


class EncodedColumn(NamedTuple):
    """A column of labels, encoded as positions in an array of labels.

    Attributes
    ----------
    codes : ndarray of shape (n_rows,), int64
        Positions in `labels`.
    labels : ndarray of shape (n_labels,)
        In ascending order, without repeats.
    """

    codes: npt.NDArray[np.int64]
    labels: npt.NDArray[Any]

    def take(self, rows: npt.NDArray[np.int64]) -> EncodedColumn:
        """Select rows, and drop the labels that no selected row has."""
        codes = self.codes[rows]
        used = np.bincount(codes, minlength=len(self.labels)) > 0
        return EncodedColumn((np.cumsum(used) - 1)[codes], self.labels[used])


class SelectedInteractions(NamedTuple):
    """The selected ratings of a file as interactions.

    Attributes
    ----------
    interactions : Interactions
        In the order of the file, with the labels below.
    user_ids, item_ids : ndarray of shape (n_users,) or (n_items,)
        Labels of the users and items with interactions, in ascending order.
    rows : ndarray of shape (n_interactions,), int64
        Positions of the selected ratings in the file.
    """

    interactions: Interactions
    user_ids: npt.NDArray[Any]
    item_ids: npt.NDArray[Any]
    rows: npt.NDArray[np.int64]


class RatingFilter:
    """Select the ratings that count as interactions.

    Parameters
    ----------
    min_rating : float or None
        The lowest rating to keep. None: keep all.
    min_count : int
        The smallest number of kept interactions of every user and every item.

    Raises
    ------
    TypeError
        If `min_rating` is neither a number nor None, or `min_count` is not an integer.
    ValueError
        If `min_rating` is not finite or `min_count` is below 1.
    """

    def __init__(self, min_rating: Any, min_count: Any) -> None:
        if min_rating is not None:
            if not isinstance(min_rating, Real) or isinstance(min_rating, bool):
                raise TypeError(f"min_rating must be a number or None; got {min_rating!r}")
            if not isfinite(min_rating):
                raise ValueError(f"min_rating must be finite; got {min_rating!r}")
        self.min_rating = min_rating
        self.min_count = check_positive_int(min_count, "min_count")

    def apply(
        self,
        user: EncodedColumn,
        item: EncodedColumn,
        rating: npt.NDArray[np.float32],
        timestamp: npt.NDArray[np.int64],
        source: Any,
    ) -> SelectedInteractions:
        """Select ratings and turn them into interactions.

        Parameters
        ----------
        user, item : EncodedColumn
            Users and items of the ratings.
        rating, timestamp : ndarray of shape (n_ratings,)
        source : object
            Name of the file in error messages.

        Returns
        -------
        SelectedInteractions

        Raises
        ------
        ValueError
            If no rating is selected.
        """
        rows = np.arange(len(rating))
        if self.min_rating is not None:
            rows = np.flatnonzero(rating >= self.min_rating)
        # Dropping users can leave an item with too few users, and the reverse: repeat until
        # nothing changes.
        before = len(rows) + 1 if self.min_count > 1 else len(rows)
        while len(rows) < before:
            before = len(rows)
            for codes in (user.codes, item.codes):
                rows = rows[(np.bincount(codes[rows]) >= self.min_count)[codes[rows]]]
        if not len(rows):
            raise ValueError(
                f"min_rating={self.min_rating!r} and min_count={self.min_count} leave none of "
                f"the {len(rating)} interactions of {source}"
            )
        user, item = user.take(rows), item.take(rows)
        interactions = Interactions(
            user.codes,
            item.codes,
            timestamp=timestamp[rows],
            value=rating[rows],
            n_users=len(user.labels),
            n_items=len(item.labels),
        ).with_labels(user.labels, item.labels)
        return SelectedInteractions(interactions, user.labels, item.labels, rows)
