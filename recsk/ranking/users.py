"""What the scores of users are made of: vectors, and weights of the items in their histories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.ranking.products import inner_products

__all__ = ["Users", "combine_scores"]


@dataclass(frozen=True)
class Users:
    """Users as a recommender scores them.

    Attributes
    ----------
    vectors : ndarray of shape (n, width), float32, or None
        Their inner products with the vectors of items are one part of the scores.
    weights : csr_matrix of shape (n, n_items), float32, or None
        Weights of the items in the history of each user. Their products with the item-to-item
        matrix are the other part.
    unrelated : csr_matrix of shape (n, n_items), or None
        Nonzeros are the items that get nothing from the item-to-item matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.ranking import Users
    >>> Users(vectors=np.eye(3, dtype=np.float32))[1:].vectors
    array([[0., 1., 0.],
           [0., 0., 1.]], dtype=float32)
    """

    vectors: npt.NDArray[np.float32] | None = None
    weights: sp.csr_matrix | None = None
    unrelated: sp.csr_matrix | None = None

    def __getitem__(self, rows: Any) -> Users:
        """Return some of the users."""
        parts = (self.vectors, self.weights, self.unrelated)
        return Users(*(None if x is None else x[rows] for x in parts))

    def followed_by(self, others: Users) -> Users:
        """Return these users and others, which have the same vectors and weights."""
        vectors = weights = None
        if self.vectors is not None and others.vectors is not None:
            vectors = np.vstack([self.vectors, others.vectors])
        if self.weights is not None and others.weights is not None:
            weights = sp.csr_matrix(sp.vstack([self.weights, others.weights], format="csr"))
        return Users(vectors, weights)


def combine_scores(
    users: Users,
    item_vectors: npt.NDArray[np.float32] | None,
    item_to_item: Any,
    chosen: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.float32]:
    r"""Compute the scores of all items for some users.

    .. math:: s_{ui} = \langle x_u, x_i \rangle + \sum_j h_{uj} B_{ji}

    Parameters
    ----------
    users : Users
        :math:`x_u` and :math:`h_u`.
    item_vectors : ndarray of shape (n_items, width), float32, or None
        :math:`x_i`.
    item_to_item : csr_matrix or ndarray of shape (n_items, n_items), float32, or None
        :math:`B`: the row is the item of the history, the column the candidate.
    chosen : ndarray of int of shape (n_items,), default=None
        Rows of `item_vectors`, if these are of more items than are scored.

    Returns
    -------
    ndarray of shape (n, n_items), float32
        A new array.

    Raises
    ------
    ValueError
        If neither part is complete.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_matrix
    >>> from recsk.ranking import Users, combine_scores
    >>> users = Users(np.float32([[2.0]]), csr_matrix(np.float32([[1, 0]])))
    >>> combine_scores(users, np.float32([[1.0], [3.0]]), csr_matrix(np.float32([[0, 5], [0, 0]])))
    array([[ 2., 11.]], dtype=float32)
    """
    scores = None
    if item_vectors is not None and users.vectors is not None:
        scores = inner_products(users.vectors, item_vectors, chosen)
    if item_to_item is not None and users.weights is not None:
        term = users.weights @ item_to_item
        term = term.toarray() if sp.issparse(term) else np.asarray(term)
        if users.unrelated is not None:
            row = np.repeat(np.arange(len(term)), np.diff(users.unrelated.indptr))
            term[row, users.unrelated.indices] = 0
        # Most of a dense sum is zero, but adding the nonzeros alone takes three times as long.
        scores = term if scores is None else np.add(scores, term, out=scores)
    if scores is None:
        raise ValueError("a score needs vectors of users and items, or weights and item_to_item")
    return np.asarray(scores, dtype=np.float32)
