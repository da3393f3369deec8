"""Vectors of items predicted from their content, by what was learned of other items."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils.extmath import randomized_svd

from recsk.ranking.exact import top_k
from recsk.ranking.vectors import unit_rows

__all__ = ["ContentRegression", "directions_to_regress_on", "scale_rows", "similar_by_content"]

Floats = npt.NDArray[np.float32]
# Chosen on validation of CiteULike, ML-100K and TikTok.
_N_SIMILAR, _SIMILAR_POWER = 20, 4
_SHRINKAGE = 0.2  # of the mean residual of similar items; a cosine of 1 has weight 1
_RIDGES = 10.0 ** np.arange(-3.0, 2.0, 0.5)
_MAX_COLUMNS, _N_ROWS = 512, 4096  # of the regression; rows that choose the columns


class ContentRegression:
    r"""Predicts vectors of length one from content.

    A ridge regression of vectors on content gives what content says everywhere, and the residuals
    of the 20 most similar items, weighted by the fourth power of the cosine :math:`c`, what it
    says nearby:

    .. math:: \hat x(f) = W f + \frac{\sum_j w_j c_j^4 r_j}{0.2 + \sum_j w_j c_j^4}

    The residual :math:`r_j` is that of a regression without item j, and :math:`w_j` its
    reliability. The penalty is the one whose predictions of left-out items are best.

    Parameters
    ----------
    content : ndarray of shape (n, n_columns), float32
        Vectors of length one.
    vectors : ndarray of shape (n, width), float32
        Of length one, of the same items.
    reliability : ndarray of shape (n,)
        Weight of each item.
    left_out : ndarray of shape (n_left_out,), int64
        A sample of the items, which choose the penalty.
    basis : ndarray of shape (n_columns, n_directions), float32, default=None
        Directions of the content to regress on. None chooses them, if there are many columns.

    Attributes
    ----------
    predicted : ndarray of shape (n_left_out, width), float32
        What the other items predict of the left-out ones.
    similar : csr_matrix of shape (n_left_out, n), float32
        Weights of the items that are most similar to the left-out ones; rows sum to one.
    """

    def __init__(
        self,
        content: Floats,
        vectors: Floats,
        reliability: npt.NDArray[np.float64],
        left_out: npt.NDArray[np.int64],
        basis: Floats | None = None,
    ) -> None:
        self.content = content
        self.basis = directions_to_regress_on(content) if basis is None else basis
        self.reliability = reliability.astype(np.float32)
        self.residuals = self._fit(vectors, left_out)
        self.similar, correction = self._similar(content[left_out], left_out)
        linear = vectors[left_out] - self.residuals[left_out]
        self.predicted = np.asarray(unit_rows(linear + correction), dtype=np.float32)

    def leave_out(self, rows: npt.NDArray[np.int64], vectors: Floats) -> Floats:
        """Predict some of the items from all others.

        Parameters
        ----------
        rows : ndarray of shape (m,), int64
        vectors : ndarray of shape (m, width), float32
            Of these items.
        """
        _, correction = self._similar(self.content[rows], rows)
        linear = vectors - self.residuals[rows]
        return np.asarray(unit_rows(linear + correction), dtype=np.float32)

    def _fit(self, vectors: Floats, left_out: npt.NDArray[np.int64]) -> Floats:
        """Fit the ridge regression; return the residual of each item from all others."""
        inputs, weights = self._inputs(self.content), self.reliability
        weighted = inputs * weights[:, None]
        gram = (weighted.T @ inputs).astype(np.float64)
        scale = np.trace(gram) / len(gram)
        values, basis = np.linalg.eigh(gram)
        rotated = inputs @ basis.astype(np.float32)
        targets = basis.T @ (weighted.T @ vectors).astype(np.float64)

        def residuals(ridge: float, rows: Any) -> tuple[Floats, Floats]:
            inverse = (1 / (np.maximum(values, 0) + ridge * scale)).astype(np.float32)
            coefficients = (inverse[:, None] * targets).astype(np.float32)
            # Leaving an item out, in closed form.
            leverage = weights[rows] * (rotated[rows] ** 2 @ inverse)
            error = vectors[rows] - rotated[rows] @ coefficients
            return error / np.maximum(1 - leverage, 1e-6)[:, None], coefficients

        def fit(ridge: float) -> float:
            truth = vectors[left_out]
            predicted = unit_rows(truth - residuals(ridge, left_out)[0])
            return float(weights[left_out] @ np.sum(predicted * truth, axis=1))

        self.ridge = float(max(_RIDGES, key=fit))
        errors, coefficients = residuals(self.ridge, slice(None))
        self.coefficients = basis.astype(np.float32) @ coefficients
        return errors

    def _inputs(self, content: Floats) -> Floats:
        columns = content if self.basis is None else content @ self.basis
        return np.hstack([columns, np.ones((len(content), 1), np.float32)])

    def _similar(
        self, content: Floats, itself: npt.NDArray[np.int64] | None = None
    ) -> tuple[sp.csr_matrix, Floats]:
        """Weigh the most similar items of each item, but for itself; their shrunken residual."""
        matrix = similar_by_content(content, self.content, itself)
        trusted = matrix @ sp.diags_array(self.reliability)
        trust = _row_sums(trusted) + np.float32(_SHRINKAGE)
        correction = np.asarray(trusted @ self.residuals / trust[:, None], dtype=np.float32)
        return scale_rows(matrix), correction

    def __call__(self, content: Floats) -> tuple[Floats, sp.csr_matrix]:
        """Predict vectors of new items, and weigh the items that are most similar."""
        similar, correction = self._similar(content)
        predicted = self._inputs(content) @ self.coefficients + correction
        return np.asarray(unit_rows(predicted), dtype=np.float32), similar


def similar_by_content(
    content: Floats, others: Floats, itself: npt.NDArray[np.int64] | None = None
) -> sp.csr_matrix:
    """Weigh the 20 most similar of other items by the fourth power of the cosine.

    Parameters
    ----------
    content : ndarray of shape (n, n_columns), float32
        Vectors of length one.
    others : ndarray of shape (n_others, n_columns), float32
    itself : ndarray of shape (n,), int64, default=None
        Where each item is among the others, if it is: it has no weight there.

    Returns
    -------
    csr_matrix of shape (n, n_others), float32
    """
    n, exclude = len(content), None
    if itself is not None:
        ones = np.ones(n, np.float32)
        exclude = sp.csr_matrix((ones, itself, np.arange(n + 1)), shape=(n, len(others)))
    n_similar = min(_N_SIMILAR, len(others))
    ids, cosines = top_k(content, others, n_similar, exclude=exclude)
    weights = np.where(ids >= 0, np.maximum(cosines, 0), 0) ** _SIMILAR_POWER
    # -1 where there are fewer items: of weight 0.
    entries = weights.ravel(), (np.repeat(np.arange(n), n_similar), np.maximum(ids, 0).ravel())
    matrix = sp.csr_matrix(entries, shape=(n, len(others)), dtype=np.float32)
    matrix.eliminate_zeros()
    return matrix


def scale_rows(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Scale rows to sum to one, but for empty ones."""
    scale = 1 / np.maximum(_row_sums(matrix), np.finfo(np.float32).tiny)
    return sp.csr_matrix(sp.diags_array(scale) @ matrix)


def _row_sums(matrix: sp.csr_matrix) -> Floats:
    return np.asarray(matrix.sum(axis=1), dtype=np.float32).ravel()


def directions_to_regress_on(content: Floats) -> Floats | None:
    """Return directions of the content for the regression, whose cost is the cube of their number.

    None where there are few columns: all count.
    """
    if content.shape[1] <= _MAX_COLUMNS:
        return None
    rows = content[:: -(-len(content) // _N_ROWS)]
    n_columns = min(_MAX_COLUMNS, len(rows))
    _, _, directions = randomized_svd(rows, n_columns, n_iter=2, random_state=0)
    return np.asarray(directions.T, dtype=np.float32)
