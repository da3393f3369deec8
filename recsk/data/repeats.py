"""Repeats: pairs of a user and an item that occur several times among interactions."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

__all__ = ["RepeatsMixin", "find_pairs", "name_deduplicate"]

Indices = npt.NDArray[np.intp]
Keep = Literal["first", "last", "sum", "max"]


class RepeatsMixin:
    """The method of `recsk.Interactions` that keeps one interaction of each pair."""

    user: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]
    timestamp: npt.NDArray[Any] | None
    value: npt.NDArray[Any] | None
    n_items: int

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError

    def deduplicate(self, keep: Keep = "first") -> Self:
        """Keep one interaction of each pair of a user and an item.

        Parameters
        ----------
        keep : {"first", "last", "sum", "max"}, default="first"
            "first" and "last": the interaction with the earliest or latest time, and at equal
            times or without timestamps the first or last in position. "sum": as "last", and its
            value is the sum of the values of the pair, or their number if there are no values.
            "max": the interaction with the largest value, with its own time; of equal values, as
            "first". So a purchase is kept and not the view before it.

        Returns
        -------
        distinct : Interactions
            In the order of the input, with the same ``n_users``, ``n_items`` and labels.

        Raises
        ------
        ValueError
            If `keep` is none of these, "max" finds no values, or a sum exceeds the type of the
            values.

        Examples
        --------
        >>> from recsk import Interactions
        >>> X = Interactions([0, 0, 0], [7, 4, 7], timestamp=[30, 20, 10])
        >>> X.deduplicate("first").timestamp, X.deduplicate("last").timestamp
        (array([20, 10]), array([30, 20]))
        >>> X.deduplicate("sum").value
        array([2., 1.])
        >>> X.with_value([1, 3, 10]).deduplicate("max").value
        array([ 3., 10.])
        """
        if not isinstance(keep, str) or keep not in ("first", "last", "sum", "max"):
            raise ValueError(f"keep must be 'first', 'last', 'sum' or 'max'; got {keep!r}")
        _, pair = find_pairs(self)
        # Sorts are stable: interactions at the same time keep the order of the input.
        keys = [pair] if self.timestamp is None else [self.timestamp, pair]
        if keep == "max":
            if self.value is None:
                raise ValueError(
                    "keep='max' needs values, but the interactions have none: set them by "
                    "X.with_value(values) or value= of from_frame, or use 'first' or 'last'"
                )
            keys.insert(-1, -self.value)
        by_pair = np.lexsort(keys)
        ends = np.cumsum(np.bincount(pair))
        starts = np.append(0, ends)[:-1]
        kept = np.sort(by_pair[starts if keep in ("first", "max") else ends - 1])
        distinct: Self = self[kept]
        if keep == "sum":
            total = self._sum_values(pair)[pair[kept]]
            total.flags.writeable = False
            distinct.value = total
        return distinct

    def _sum_values(self, pair: Indices) -> npt.NDArray[Any]:
        """Return the sum of the values of each pair, or the number of its interactions."""
        total = np.bincount(pair, weights=self.value)
        if self.value is None:
            return total.astype(np.float64)
        with np.errstate(over="ignore"):  # the error below says more
            total = total.astype(self.value.dtype)
        if not (finite := np.isfinite(total)).all():
            example = int(np.argmax(pair == np.argmin(finite)))
            raise ValueError(
                f"the values of user {self.user[example]} and item {self.item[example]} sum to "
                f"{total[pair[example]]}, beyond {total.dtype}: scale the values down"
            )
        return total


def name_deduplicate(value: npt.NDArray[Any] | None) -> str:
    """Return the code that a message advises for repeats among interactions with these values.

    The first interaction may be a view, and a later one the purchase. Where the values of a pair
    are equal, both codes keep the same one.
    """
    return "X.deduplicate()" if value is None else 'X.deduplicate("max")'


def find_pairs(X: RepeatsMixin) -> tuple[Indices, Indices]:
    """Find the different pairs of a user and an item, in the order of their first interaction.

    Parameters
    ----------
    X : Interactions

    Returns
    -------
    first : ndarray of shape (n_pairs,)
        Position of the first interaction of each pair, ascending.
    pair : ndarray of shape (n_interactions,)
        The pair of each interaction: a position in `first`. Without repeats both arrays are
        0, 1, 2, ...

    Examples
    --------
    >>> from recsk import Interactions
    >>> from recsk.data.repeats import find_pairs
    >>> find_pairs(Interactions([1, 0, 1], [2, 0, 2]))
    (array([0, 1]), array([0, 1, 0]))
    """
    key = X.user * X.n_items + X.item  # below 2**62, as both numbers are below 2**31
    _, first, pair = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[pair]
