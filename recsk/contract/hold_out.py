"""Interactions held out of training, to measure its progress on them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from recsk.data.sequences import Sequences

__all__ = ["hold_out", "hold_out_last"]


def hold_out(
    interactions: sp.csr_matrix, fraction: float, rng: np.random.RandomState
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Hold out a random share of the interactions; every user keeps at least one.

    Parameters
    ----------
    interactions : csr_matrix of shape (n_users, n_items)
    fraction : float
        Probability that an interaction is held out.
    rng : RandomState

    Returns
    -------
    kept, held_out : csr_matrix of shape (n_users, n_items)
        Together they are `interactions`, with the same values.
    """
    draw = rng.random_sample(interactions.nnz)
    length = np.diff(interactions.indptr)
    starts = interactions.indptr[:-1][length > 0]
    smallest = np.minimum.reduceat(draw, starts) if len(starts) else draw
    # The smallest draw of each user stays, so that no user loses everything.
    kept_anyway = draw == np.repeat(smallest, length[length > 0])
    held = (draw >= 1 - fraction) & ~kept_anyway
    return _subset(interactions, ~held), _subset(interactions, held)


def _subset(matrix: sp.csr_matrix, mask: np.ndarray) -> sp.csr_matrix:
    ends = np.concatenate([[0], np.cumsum(mask)])[matrix.indptr]
    return sp.csr_matrix((matrix.data[mask], matrix.indices[mask], ends), shape=matrix.shape)


def hold_out_last(
    sequences: Sequences,
    fraction: float,
    rng: np.random.RandomState,
    *,
    n_items: int,
    repeats: bool,
) -> tuple[Sequences, sp.csr_matrix | None]:
    """Hold out the last item of some users; the rest of their sequences stays.

    Parameters
    ----------
    sequences : Sequences
    fraction : float
        Probability that a user with more than two items is chosen.
    rng : RandomState
    n_items : int
    repeats : bool
        Whether an item that stands earlier in the sequence may be held out.

    Returns
    -------
    kept : Sequences
    held_out : csr_matrix of shape (n_users, n_items), or None if no user is chosen
    """
    indptr, items, weights = sequences
    chosen = np.diff(indptr) > 2
    if not repeats:
        chosen &= _last_item_is_new(indptr, items)
    chosen &= rng.random_sample(len(chosen)) < fraction
    if not chosen.any():
        return sequences, None
    last = indptr[1:][chosen] - 1
    entries = np.ones(len(last), np.float32), (np.flatnonzero(chosen), items[last])
    held_out = sp.csr_matrix(entries, shape=(len(chosen), n_items))
    length = np.diff(indptr) - chosen
    new_indptr = np.concatenate([[0], np.cumsum(length)])
    weights = None if weights is None else np.delete(weights, last)
    kept = Sequences(new_indptr, np.delete(items, last), weights)
    return kept, held_out


def _last_item_is_new(indptr: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Whether the last item of each history is not in the rest of it."""
    length = np.diff(indptr)
    user = np.repeat(np.arange(len(length)), length)
    last = np.zeros(len(length), dtype=items.dtype)
    last[length > 0] = items[indptr[1:][length > 0] - 1]
    return np.bincount(user, weights=items == last[user], minlength=len(length)) == 1
