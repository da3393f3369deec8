"""Graphs between users: by items in common, by walks and by similar histories."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from recsk.graphs.neighbors import (
    normalize_rows,
    top_k_of_transposed,
    top_k_products,
    transpose_rare,
)

__all__ = ["HistoryIndex", "similar_histories", "user_cooccurrence_graph", "user_walk_graph"]


def user_cooccurrence_graph(
    interactions: sp.csr_array,
    n_neighbors: int,
    *,
    others: sp.csr_array | None = None,
    max_degree: int | None = 1000,
    block_size: int = 4096,
) -> sp.csr_array:
    r"""Link every user to the users with the most items in common (MDE, Eq. 4).

    .. math:: c_{uv} = \sum_i \sqrt{r_{ui} r_{vi}}

    is the number of common items where all weights r are one.

    Parameters
    ----------
    interactions : csr_array of shape (n_users, n_items)
        One, or a weight, where a user interacted with an item.
    n_neighbors : int
        Links per user, to the users with the highest counts. Ties go to the lower id.
    others : csr_array of shape (n_others, n_items), default=None
        Histories of the users to link to. None links the users among each other, and a user is
        never their own neighbour.
    max_degree : int or None, default=1000
        Items with more users than this are not counted: they show little about which users are
        similar, and an item with :math:`g` users costs :math:`g^2` operations. None counts all.
    block_size : int, default=4096
        Users whose counts are held at once, as a sparse block. Blocks are smaller if so many
        users have too many counts.

    Returns
    -------
    csr_array of shape (n_users, n_others), float32
        Rows sum to one (softmax over the counts of the kept neighbours) or are empty.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from recsk.graphs import user_cooccurrence_graph
    >>> interactions = sp.csr_array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> user_cooccurrence_graph(interactions, n_neighbors=1).toarray()
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    counts = top_k_products(
        sp.csr_array(interactions, dtype=np.float32).sqrt(),
        None if others is None else sp.csr_array(others, dtype=np.float32).sqrt(),
        n_neighbors,
        max_degree=max_degree,
        block_size=block_size,
    )
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    if len(rows):
        # Subtract the largest count of each row, so that the exponential does not overflow.
        starts = counts.indptr[:-1][np.diff(counts.indptr) > 0]
        peaks = np.maximum.reduceat(counts.data, starts)
        counts.data -= np.repeat(peaks, np.diff(np.append(starts, counts.nnz)))
        counts.data = np.exp(counts.data)
        counts.data /= np.bincount(rows, weights=counts.data)[rows].astype(np.float32)
    return counts


def user_walk_graph(
    interactions: sp.csr_array,
    n_neighbors: int,
    *,
    others: sp.csr_array | None = None,
    max_degree: int | None = 1000,
    block_size: int = 4096,
) -> sp.csr_array:
    r"""Link every user to the users that a walk over a common item reaches most often.

    .. math:: w_{uv} = \sum_i \frac{r_{ui}}{\sum_j r_{uj}} \frac{r_{vi}}{\sum_w r_{wi}}

    is the probability that a random item of u and then a random user of this item give v. So rare
    items in common count more than popular ones, and users with few links are linked weakly.

    Parameters
    ----------
    interactions : csr_array of shape (n_users, n_items)
        One, or a weight, where a user interacted with an item.
    n_neighbors, others, max_degree, block_size
        As in `user_cooccurrence_graph`.

    Returns
    -------
    csr_array of shape (n_users, n_others), float32
        Rows sum to one at most.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from recsk.graphs import user_walk_graph
    >>> interactions = sp.csr_array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> user_walk_graph(interactions, n_neighbors=1).toarray()
    array([[0.  , 0.25],
           [0.25, 0.  ]], dtype=float32)
    """
    target = interactions if others is None else others
    return top_k_products(
        _scale_rows(interactions),
        sp.csr_array(_scale_rows(sp.csr_array(target.T)).T),
        n_neighbors,
        max_degree=max_degree,
        block_size=block_size,
        ignore_diagonal=others is None,
    )


def _scale_rows(matrix: sp.csr_array) -> sp.csr_array:
    """Divide every row by its sum; empty rows stay empty."""
    total = np.asarray(matrix.sum(axis=1, dtype=np.float64)).ravel()
    scale = sp.diags_array((1 / np.where(total > 0, total, 1)).astype(np.float32))
    return sp.csr_array(scale @ matrix, dtype=np.float32)


class HistoryIndex:
    """Histories by item: those most similar to a few others are found without reading all.

    Parameters
    ----------
    others : csr_array of shape (n_others, n_items)
        Histories of the users to link to.
    max_degree : int or None, default=1000
        As in `user_cooccurrence_graph`.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from recsk.graphs.users import HistoryIndex
    >>> index = HistoryIndex(sp.csr_array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]))
    >>> index.similar(sp.csr_array([[1.0, 1.0, 0.0]]), n_neighbors=1).toarray().round(2)
    array([[1., 0.]], dtype=float32)
    """

    def __init__(self, others: sp.csr_array, max_degree: int | None = 1000) -> None:
        self._by_item = transpose_rare(normalize_rows(others), max_degree)

    def similar(
        self, histories: sp.csr_array, n_neighbors: int, block_size: int = 4096
    ) -> sp.csr_array:
        """Link histories to the most similar others, as `similar_histories`."""
        return top_k_of_transposed(
            normalize_rows(histories), self._by_item, n_neighbors, block_size
        )


def similar_histories(
    histories: sp.csr_array,
    others: sp.csr_array,
    n_neighbors: int,
    *,
    max_degree: int | None = 1000,
    block_size: int = 4096,
) -> sp.csr_array:
    """Link every history to the most similar histories of other users by cosine.

    Parameters
    ----------
    histories : csr_array of shape (n, n_items)
        One where a user interacted with an item.
    others : csr_array of shape (n_others, n_items)
        Histories of the users to link to.
    n_neighbors, max_degree, block_size : int
        As in `user_cooccurrence_graph`.

    Returns
    -------
    csr_array of shape (n, n_others), float32
        Cosines in (0, 1].

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from recsk.graphs import similar_histories
    >>> others = sp.csr_array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> similar_histories(sp.csr_array([[1.0, 1.0, 0.0]]), others, n_neighbors=2).toarray().round(2)
    array([[1. , 0.5]], dtype=float32)
    """
    return HistoryIndex(others, max_degree).similar(histories, n_neighbors, block_size)
