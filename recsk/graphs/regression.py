"""Item-to-item weights by regression: each item on the items that occur with it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.linalg.lapack import sposv

from recsk.graphs.neighbors import top_k_products

__all__ = ["neighbor_regression"]

_ITEMS_AT_ONCE = 128  # whose systems are solved together
_WITH_RARE_AT_ONCE = 16  # the same in catalogues with rare items: 16 and their neighbours are few
_MAX_DENSE_ITEMS = 20_000  # the most popular ones, whose co-occurrences take 1.6 GB


def neighbor_regression(
    matrix: sp.csr_array | sp.csr_matrix,
    n_neighbors: int,
    regularization: float,
    *,
    items: npt.NDArray[np.int64] | None = None,
    block_size: int = 1024,
) -> sp.csr_array:
    r"""Predict the interactions with each item from those with the items that occur with it.

    .. math:: \min_{B_{\cdot i}} \big\| X_{\cdot i} - X_{N_i} B_{N_i i} \big\|^2
              + \lambda \|B_{\cdot i}\|^2, \qquad
              B_{N_i i} = (X_{N_i}^T X_{N_i} + \lambda I)^{-1} X_{N_i}^T X_{\cdot i}

    :math:`N_i` are the `n_neighbors` items whose columns of :math:`X` have the largest cosine with
    that of item i, where a user with n interactions weighs :math:`n^{-1/2}`. With all items as
    neighbours, it is EASE [1]_. With a few, the cost grows with the number of items and not with
    its cube.

    Parameters
    ----------
    matrix : sparse array of shape (n_users, n_items)
        :math:`X`: one, or a weight, where a user interacted with an item.
    n_neighbors : int
        Size of :math:`N_i`.
    regularization : float
        :math:`\lambda`, above 0.
    items : ndarray of int, default=None
        The items to predict, in ascending order; columns of others are empty. None means all.
    block_size : int, default=1024
        Items whose neighbours are searched at once, as a sparse block. Blocks are smaller if so
        many items have too many co-occurrences.

    Returns
    -------
    csr_array of shape (n_items, n_items), float32
        :math:`B`. A row is an item of the history, a column a candidate. The diagonal is empty.

    References
    ----------
    .. [1] Steck, H. (2019). "Embarrassingly Shallow Autoencoders for Sparse Data." WWW.
       https://arxiv.org/abs/1905.03375
    .. [2] Ning, X., & Karypis, G. (2011). "SLIM: Sparse Linear Methods for Top-N Recommender
       Systems." ICDM. It selects the neighbours too ("fsSLIM").

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from recsk.graphs import neighbor_regression
    >>> matrix = sp.csr_array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    >>> neighbor_regression(matrix, n_neighbors=1, regularization=1.0).toarray().round(2)
    array([[0.  , 0.67, 0.  ],
           [0.5 , 0.  , 0.5 ],
           [0.  , 0.  , 0.  ]], dtype=float32)
    """
    matrix = sp.csr_array(matrix, dtype=np.float32)
    by_item = sp.csr_array(matrix.T)
    unit = _unit_items(matrix)
    predicted = np.arange(matrix.shape[1]) if items is None else items
    neighbors = top_k_products(
        unit if items is None else unit[predicted],
        unit,
        n_neighbors,
        max_degree=None,
        block_size=block_size,
        itself=predicted,
    )
    sizes = np.diff(neighbors.indptr)
    weights = np.empty(neighbors.nnz, dtype=np.float32)
    co_occurrences = _CoOccurrences(by_item, matrix)
    # Items with equally many neighbours are solved together: nothing is padded but the last few.
    order, at_once = np.argsort(sizes, kind="stable"), _ITEMS_AT_ONCE
    if co_occurrences.n_rare:
        order = np.lexsort((_leaders(neighbors, np.diff(by_item.indptr)), sizes))
        at_once = _WITH_RARE_AT_ONCE
    for rows in _blocks(order[np.searchsorted(sizes[order], 1) :], at_once):
        columns, inside = _pad(neighbors, rows)
        products = co_occurrences(np.hstack([columns, predicted[rows, None]]))
        weights[_places(neighbors, rows)] = _solve(products, inside, regularization)[inside]
    indptr = np.zeros(matrix.shape[1] + 1, dtype=neighbors.indptr.dtype)  # half of 64 bits
    indptr[predicted + 1] = sizes
    np.cumsum(indptr, out=indptr)
    n_items = matrix.shape[1]
    by_candidate = sp.csr_array((weights, neighbors.indices, indptr), shape=(n_items, n_items))
    by_candidate.eliminate_zeros()  # weights that cancel
    return sp.csr_array(by_candidate.T)


def _unit_items(matrix: sp.csr_array) -> sp.csr_array:
    """Return the interactions of each item, (n_items, n_users), scaled to length one.

    Before that, those of users with long histories are scaled down: they say less.
    """
    total = np.asarray(matrix.sum(axis=1)).ravel()
    of_users = np.where(total > 0, total, 1) ** -0.25
    by_item = sp.csr_array((sp.diags_array(of_users.astype(np.float32)) @ matrix).T)
    squares = np.asarray(by_item.multiply(by_item).sum(axis=1)).ravel()
    of_items = np.where(squares > 0, squares, 1) ** -0.5
    return sp.csr_array(sp.diags_array(of_items.astype(np.float32)) @ by_item)


def _leaders(neighbors: sp.csr_array, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the place by popularity of the most popular neighbour of each item.

    Items with the same one have many neighbours in common: solved together, they share products.
    """
    place = np.empty(len(counts), dtype=np.int64)
    place[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    leaders = np.full(neighbors.shape[0], -1, dtype=np.int64)
    some = np.flatnonzero(np.diff(neighbors.indptr))
    if len(some):
        of_neighbors = place[neighbors.indices]
        leaders[some] = np.maximum.reduceat(of_neighbors, neighbors.indptr[some])
    return leaders


def _blocks(items: npt.NDArray[np.int64], size: int) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _places(graph: sp.csr_array, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return where the entries of some rows are, row by row."""
    sizes = np.diff(graph.indptr)[rows]
    first = np.cumsum(sizes) - sizes
    return np.arange(sizes.sum()) + np.repeat(graph.indptr[rows] - first, sizes)


def _pad(
    graph: sp.csr_array, rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the columns of rows, as many for each as the longest has, and which are entries."""
    sizes = np.diff(graph.indptr)[rows]
    inside = np.arange(sizes.max()) < sizes[:, None]
    columns = np.zeros(inside.shape, dtype=np.int64)
    columns[inside] = graph.indices[_places(graph, rows)]
    return columns, inside


class _CoOccurrences:
    """Products of the columns of a matrix, for small sets of items.

    Those of the most popular items with each other are kept as an array. Rare items have few: for
    these they are summed over histories anew.

    Parameters
    ----------
    by_item : csr_array of shape (n_items, n_users)
    matrix : csr_array of shape (n_users, n_items)
        The same by user.
    """

    def __init__(self, by_item: sp.csr_array, matrix: sp.csr_array) -> None:
        self.by_item = by_item
        popular = np.argsort(-np.diff(by_item.indptr), kind="stable")[:_MAX_DENSE_ITEMS]
        popular.sort()
        self.n_rare = by_item.shape[0] - len(popular)
        self.place = np.full(by_item.shape[0], -1, dtype=np.int64)
        self.place[popular] = np.arange(len(popular))
        self.kept = (by_item[popular] @ (matrix[:, popular] if self.n_rare else matrix)).toarray()

    def __call__(self, sets: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the products of the items of each set with each other.

        Parameters
        ----------
        sets : ndarray of shape (n, m)
            The more items they share, the faster it is.

        Returns
        -------
        ndarray of shape (n, m, m), float32
        """
        kept, place = self.kept, self.place[sets]
        if place.min() < 0:
            items, at = np.unique(sets, return_inverse=True)
            popular = self.place[items] >= 0
            order = np.argsort(~popular, kind="stable")  # rows of rare ones are one piece
            kept = self._among(items[order], int(popular.sum()))
            place = np.argsort(order)[at].reshape(sets.shape)
        products: npt.NDArray[np.float32] = np.take(
            kept, place[:, :, None] * len(kept) + place[:, None, :]
        )
        return products

    def _among(self, items: npt.NDArray[np.int64], n_popular: int) -> npt.NDArray[np.float32]:
        """Return the products of some items, the popular ones first, with each other, (n, n)."""
        place = self.place[items[:n_popular]]
        products = np.empty((len(items), len(items)), dtype=np.float32)
        products[:n_popular, :n_popular] = self.kept[np.ix_(place, place)]
        histories = sp.csr_array(self.by_item[items].T)
        (self.by_item[items[n_popular:]] @ histories).toarray(out=products[n_popular:])
        products[:n_popular, n_popular:] = products[n_popular:, :n_popular].T
        return products


def _solve(
    products: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_], regularization: float
) -> npt.NDArray[np.float32]:
    """Solve the systems of some items; the last row and column of `products` are of the item."""
    gram = products[:, :-1, :-1] * (inside[:, :, None] & inside[:, None, :])
    target = products[:, :-1, -1] * inside
    diagonal = np.arange(gram.shape[1])
    gram[:, diagonal, diagonal] += regularization
    weights = np.empty_like(target)
    for n in range(len(gram)):  # Cholesky one by one is faster than `np.linalg.solve` of all
        _, weights[n], failed = sposv(gram[n], target[n])
        if failed:  # by rounding, where the penalty is tiny beside the counts
            weights[n] = np.linalg.lstsq(gram[n], target[n], rcond=None)[0]
    return weights
