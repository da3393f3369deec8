"""From the ratings of a file to interactions: which are kept, and what ids they get."""

from __future__ import annotations

from math import isfinite
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recsk._checks import at_least_one
from recsk._columns import read_only
from recsk.interactions import Interactions

__all__ = ["Coded", "Kept", "Selection"]


class Coded(NamedTuple):
    """A column of labels.

    Attributes
    ----------
    codes : ndarray of shape (n,), int64
        Positions in `labels`.
    labels : ndarray of shape (n_labels,)
        Ascending and without repeats.
    """

    codes: npt.NDArray[np.int64]
    labels: npt.NDArray[Any]

    def take(self, rows: npt.NDArray[np.int64]) -> Coded:
        """Some of the rows, and of the labels those that they hold."""
        codes = self.codes[rows]
        held = np.bincount(codes, minlength=len(self.labels)) > 0
        return Coded((np.cumsum(held) - 1)[codes], self.labels[held])


class Kept(NamedTuple):
    """What is left of the ratings of a file.

    Attributes
    ----------
    interactions : Interactions
        In the order of the file; they know the labels below.
    user_ids, item_ids : ndarray of shape (n_users,) or (n_items,)
        Labels of the users and items that are left, ascending.
    rows : ndarray of shape (n_interactions,), int64
        Which of the ratings they are.
    """

    interactions: Interactions
    user_ids: npt.NDArray[Any]
    item_ids: npt.NDArray[Any]
    rows: npt.NDArray[np.int64]


class Selection:
    """Which ratings become interactions.

    Parameters
    ----------
    min_rating : float or None
        The lowest rating that is kept.
    min_count : int
        How many interactions every user and every item must have among those kept.

    Raises
    ------
    TypeError
        If one is not such a number.
    ValueError
        If `min_rating` is not finite or `min_count` below 1.
    """

    def __init__(self, min_rating: Any, min_count: Any) -> None:
        if min_rating is not None:
            if not isinstance(min_rating, Real) or isinstance(min_rating, bool):
                raise TypeError(f"min_rating must be a number or None; got {min_rating!r}")
            if not isfinite(min_rating):
                raise ValueError(f"min_rating must be finite; got {min_rating!r}")
        self.min_rating = min_rating
        self.min_count = at_least_one(min_count, "min_count")

    def apply(
        self,
        user: Coded,
        item: Coded,
        rating: npt.NDArray[np.float32],
        timestamp: npt.NDArray[np.int64],
        source: Any,
    ) -> Kept:
        """Make interactions of the ratings that are kept.

        Parameters
        ----------
        user, item : Coded
            Of n ratings.
        rating, timestamp : ndarray of shape (n,)
        source : object
            What messages call the file.

        Returns
        -------
        Kept

        Raises
        ------
        ValueError
            If none is kept.
        """
        rows = np.arange(len(rating))
        if self.min_rating is not None:
            rows = np.flatnonzero(rating >= self.min_rating)
        # Without users of too few interactions an item may have too few, and so on.
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
        )
        interactions.user_labels = read_only(user.labels)
        interactions.item_labels = read_only(item.labels)
        return Kept(interactions, user.labels, item.labels, rows)
