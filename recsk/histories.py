"""Ordered histories, packed: that of user u is ``items[indptr[u]:indptr[u + 1]]``."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from recsk.interactions import Interactions

__all__ = ["hold_out_last", "in_order", "matrix_of", "rows_of"]

Histories = tuple[np.ndarray, np.ndarray]


def in_order(interactions: Interactions, name: str, *, ties: bool = False) -> Interactions:
    """Refuse interactions that do not tell in which order they came.

    Parameters
    ----------
    interactions : Interactions
    name : str
        What error messages call it.
    ties : bool, default=False
        Whether all that a user met may be at one time.

    Returns
    -------
    interactions : Interactions
        The same.

    Raises
    ------
    ValueError
        If there are no timestamps, or, without `ties`, one for all that each user met.
    """
    time = interactions.timestamp
    if time is None:
        raise ValueError(
            f"{name} has no timestamps, and the order of the interactions matters here; if they "
            f"already are in order: Interactions({name}.user, {name}.item, "
            f"timestamp=np.arange(len({name})), n_users={name}.n_users, n_items={name}.n_items)"
        )
    if ties:
        return interactions
    by_user = np.argsort(interactions.user, kind="stable")
    user, time = interactions.user[by_user], time[by_user]
    same_user = user[1:] == user[:-1]
    if same_user.any() and not (same_user & (time[1:] != time[:-1])).any():
        raise ValueError(
            f"{name} has the same value in all that any one user met ({time[0]:g} for user "
            f"{user[0]}), and the order of the interactions matters here: the values of a matrix "
            "must be times or ranks, larger is later. "
            "From columns in order: Interactions(user, item, timestamp=np.arange(len(user)))"
        )
    return interactions


def matrix_of(indptr: np.ndarray, items: np.ndarray, shape: tuple[int, int]) -> sp.csr_matrix:
    """Who met what, one per pair.

    Parameters
    ----------
    indptr : ndarray of shape (n_users + 1,)
    items : ndarray of shape (n_interactions,)
    shape : tuple of int
        n_users, n_items.

    Returns
    -------
    csr_matrix of shape (n_users, n_items), float32
    """
    matrix = sp.csr_matrix((np.ones(len(items), np.float32), items, indptr), shape=shape)
    matrix.sum_duplicates()
    matrix.data.fill(1)
    return matrix


def rows_of(indptr: np.ndarray, items: np.ndarray, users: np.ndarray) -> Histories:
    """The histories of some users only, packed in their turn.

    Parameters
    ----------
    indptr : ndarray of shape (n_users + 1,)
    items : ndarray of shape (n_interactions,)
    users : ndarray of int of shape (n,)

    Returns
    -------
    indptr : ndarray of shape (n + 1,)
    items : ndarray
    """
    length = np.diff(indptr)[users]
    ends = np.concatenate([[0], np.cumsum(length)])
    index = np.repeat(indptr[users] - ends[:-1], length) + np.arange(ends[-1])
    return ends, items[index]


def hold_out_last(
    indptr: np.ndarray,
    items: np.ndarray,
    fraction: float,
    rng: np.random.RandomState,
    *,
    n_items: int,
    repeats: bool,
) -> tuple[Histories, sp.csr_matrix | None]:
    """Set the last items of some users aside, whose rest can still be learned from.

    Parameters
    ----------
    indptr : ndarray of shape (n_users + 1,)
    items : ndarray of shape (n_interactions,)
    fraction : float
        Chance of a user with more than two items.
    rng : RandomState
    n_items : int
    repeats : bool
        Whether an item that the user met before may be held out.

    Returns
    -------
    histories : tuple of (indptr, items)
        Without what is held out.
    held_out : csr_matrix of shape (n_users, n_items), or None if it is nobody's turn
    """
    chosen = np.diff(indptr) > 2
    if not repeats:
        chosen &= _ends_with_news(indptr, items)
    chosen &= rng.random_sample(len(chosen)) < fraction
    if not chosen.any():
        return (indptr, items), None
    last = indptr[1:][chosen] - 1
    found = np.ones(len(last), np.float32), (np.flatnonzero(chosen), items[last])
    held_out = sp.csr_matrix(found, shape=(len(chosen), n_items))
    kept = np.diff(indptr) - chosen
    return (np.concatenate([[0], np.cumsum(kept)]), np.delete(items, last)), held_out


def _ends_with_news(indptr: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Whether the last item of each history is not in the rest of it."""
    length = np.diff(indptr)
    user = np.repeat(np.arange(len(length)), length)
    last = np.zeros(len(length), dtype=items.dtype)
    last[length > 0] = items[indptr[1:][length > 0] - 1]
    return np.bincount(user, weights=items == last[user], minlength=len(length)) == 1
