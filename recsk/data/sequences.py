"""Ordered interaction histories of all users, packed into two arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.data.interactions import Interactions
from recsk.data.weights import scale_to_unit_mean, weight_matrix

__all__ = ["Sequences", "check_ordered"]


class Sequences(NamedTuple):
    """Ordered items of all users; user u has the items ``items[indptr[u]:indptr[u + 1]]``.

    Attributes
    ----------
    indptr : ndarray of shape (n_users + 1,), int64
    items : ndarray of shape (n_interactions,), int64
        Oldest first.
    weights : ndarray of shape (n_interactions,), float32, or None
        Weight of each interaction; None where all are equal.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.data.sequences import Sequences
    >>> sequences = Sequences(np.array([0, 2, 3]), np.array([4, 1, 0]))
    >>> sequences.select(np.array([1]))
    Sequences(indptr=array([0, 1]), items=array([0]), weights=None)
    >>> sequences.to_csr(n_items=5).toarray()
    array([[0., 1., 0., 0., 1.],
           [1., 0., 0., 0., 0.]], dtype=float32)
    """

    indptr: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32] | None = None

    @classmethod
    def from_interactions(cls, interactions: Interactions) -> Sequences:
        """Order interactions by user and time; their values are the weights."""
        indptr, items = interactions.sequences(packed=True)
        if interactions.value is None:
            return cls(indptr, items)
        assert interactions.timestamp is not None
        order = np.lexsort((interactions.timestamp, interactions.user))
        return cls(indptr, items, interactions.value[order])

    def select(self, users: npt.NDArray[np.int64]) -> Sequences:
        """Return the sequences of the given users, in the order of `users`."""
        lengths = np.diff(self.indptr)[users]
        new_indptr = np.concatenate([[0], np.cumsum(lengths)])
        shift = np.repeat(self.indptr[users] - new_indptr[:-1], lengths)
        chosen = shift + np.arange(new_indptr[-1])
        weights = None if self.weights is None else self.weights[chosen]
        return Sequences(new_indptr, self.items[chosen], weights)

    def to_csr(self, n_items: int, *, binary: bool = True) -> sp.csr_matrix:
        """Return the users x items matrix, float32.

        Parameters
        ----------
        n_items : int
        binary : bool, default=True
            True: all entries are 1. False: an entry is the largest weight of the pair, relative
            to the mean of all entries; 1 without weights.
        """
        shape = (len(self.indptr) - 1, n_items)
        if not binary and self.weights is not None:
            user = np.repeat(np.arange(shape[0]), np.diff(self.indptr))
            return scale_to_unit_mean(weight_matrix(user, self.items, self.weights, shape))
        ones = np.ones(len(self.items), np.float32)
        matrix = sp.csr_matrix((ones, self.items, self.indptr), shape=shape)
        matrix.sum_duplicates()
        matrix.data.fill(1)
        return matrix


def check_ordered(
    interactions: Interactions, name: str, *, ties: bool = False, matrix: bool = False
) -> Interactions:
    """Check that interactions have an order in time and return them.

    Parameters
    ----------
    interactions : Interactions
    name : str
        Name of the argument in error messages.
    ties : bool, default=False
        Whether all interactions of every user may have the same time.
    matrix : bool, default=False
        Whether the times are the values of a matrix, for error messages.

    Returns
    -------
    interactions : Interactions
        The input.

    Raises
    ------
    ValueError
        If there are no timestamps. Without `ties` also if no user has two different times.
    """
    time = interactions.timestamp
    if time is None:
        cure = (
            f"if they already are in order: Interactions({name}.user, {name}.item, "
            f"timestamp=np.arange(len({name})), n_users={name}.n_users, n_items={name}.n_items)"
        )
        if interactions.user_labels is not None or interactions.item_labels is not None:
            cure = (
                "name the column of their times, as in "
                "Interactions.from_frame(frame, timestamp='time')"
            )
        raise ValueError(
            f"{name} has no timestamps, and the order of the interactions matters here; {cure}"
        )
    if ties:
        return interactions
    by_user = np.argsort(interactions.user, kind="stable")
    user, time = interactions.user[by_user], time[by_user]
    same_user = user[1:] == user[:-1]
    if same_user.any() and not (same_user & (time[1:] != time[:-1])).any():
        if matrix:
            raise ValueError(
                f"{name} has the same value for all interactions of each user ({time[0]:g} for "
                f"user {user[0]}), and the order of the interactions matters here: the values of "
                "a matrix must be times or ranks, larger is later. "
                "From columns in order: Interactions(user, item, timestamp=np.arange(len(user)))"
            )
        raise ValueError(
            f"{name} has the same time for all interactions of each user, and their order matters "
            "here: pass times that are finer, or if they already are in order, their ranks: "
            "timestamp=np.arange(len(user)), of a data frame the name of a column of them"
        )
    return interactions
