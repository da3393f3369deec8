"""Diversity: how different the items of a list are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsk.data.checks import describe
from recsk.metrics.hits import Floats
from recsk.metrics.item_rows import rows_of_items
from recsk.metrics.lists import (
    Ids,
    ListMetric,
    ListValues,
    Setting,
    blocks_of_rows,
    list_matrix,
    measure_lists,
)

__all__ = ["Diversity", "diversity_at_k"]


class Diversity(ListMetric):
    """Diversity within a list, for `evaluate`, `compare` and `make_ranking_scorer`.

    It is defined as in :func:`~recsk.metrics.diversity_at_k`.

    Parameters
    ----------
    features : array-like or sparse matrix of shape (n_items, p), or pandas DataFrame
        One modality, a row for each item in the order of the model's ids (of ``model.items_``
        where it speaks labels). A frame is matched by its index, which holds labels or ids.
    name : str, default="diversity"
        The name in results; name one for each modality, such as ``"diversity_text"``.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import Diversity, evaluate
    >>> class Favourites:
    ...     def recommend(self, user_ids, k=10, *, exclude_seen=True):
    ...         return np.tile(np.arange(k), (len(user_ids), 1)), np.zeros((len(user_ids), k))
    >>> text = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> evaluate(Favourites(), csr_array([[0, 0, 1]]), ["recall", Diversity(text)], k=2)
    {'recall@2': 0.0, 'diversity@2': 1.0}
    """

    greater_is_better = True

    def __init__(self, features: Any, name: str = "diversity") -> None:
        self.features = features
        self.name = name

    def __repr__(self) -> str:
        """Show the name and the form of the features."""
        return f"Diversity({describe(self.features)}, name={self.name!r})"

    def bind(self, setting: Setting) -> ListValues:
        """Scale the features of all items to length one; zero without the modality."""
        given, positions = rows_of_items(self.features, setting, "features")
        vectors, has_modality = _unit_rows(given, positions)
        n_items, width = vectors.shape

        def values(ranked: Ids, users: Ids) -> Floats:
            lists = list_matrix(ranked, n_items, vectors.dtype)
            n = lists @ has_modality
            squares = np.empty(len(ranked))
            for rows in blocks_of_rows(len(ranked), width):
                sums = lists[rows] @ vectors
                sums = sums.toarray() if sparse.issparse(sums) else sums
                squares[rows] = np.einsum("ij,ij->i", sums, sums, dtype=np.float64)
            # The squared length of a sum of unit vectors is n plus the cosines of all pairs.
            pairs = n * (n - 1)
            undefined = np.full(len(ranked), np.nan)
            cosines = np.divide(squares - n, pairs, out=undefined, where=pairs > 0)
            return np.clip(1 - cosines, 0, 2)

        return values


def diversity_at_k(
    ranked: npt.ArrayLike, features: Any, k: int | None = None, *, average: bool = True
) -> float | Floats:
    """Mean of ``1 - cosine`` over all pairs of the first `k` items, in one modality.

    Items without the modality (a row with NaN, or of zeros, whose cosine is not defined) are left
    out of the pairs. A list with fewer than two other items has no diversity and is left out of
    the mean.

    Parameters
    ----------
    ranked : array-like of int, shape (n, at least k)
        Item ids, best first, padded with -1.
    features : array-like or sparse matrix of shape (n_items, p), or pandas DataFrame
        The modality; a frame is matched by its index, which holds ids.
    k : int, default=None
        Number of ranks to count. ``None`` counts all columns of `ranked`.
    average : bool, default=True
        Whether to average over the lists. False returns one value for each list, NaN for a list
        with fewer than two items with the modality.

    Returns
    -------
    float or ndarray of shape (n,)
        From 0 (all alike) to 2, and to 1 for features without negative values.

    Raises
    ------
    ValueError
        If an id or `k` is out of range, features are infinite, or no list has a value.
    TypeError
        If `ranked` does not hold integers, or `features` does not hold numbers.

    Examples
    --------
    >>> from recsk.metrics import diversity_at_k
    >>> text = [[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]
    >>> diversity_at_k([[0, 1], [0, 2]], text, average=False)
    array([1., 0.])
    """
    n_items = features.shape[0] if hasattr(features, "shape") else len(features)
    return measure_lists(Diversity(features), ranked, k, average, n_items=n_items)


def _unit_rows(given: Any, positions: Ids) -> tuple[Any, Floats]:
    """Return rows of length one by item, zero without the modality, and which have it."""
    if given.ndim != 2 or given.dtype.kind not in "biuf":
        raise TypeError(f"features must be numbers of shape (n_items, p); got {describe(given)}")
    dtype = np.result_type(given.dtype, np.float32)
    rows = given[np.maximum(positions, 0)].astype(dtype)  # a copy
    values = rows.data if sparse.issparse(rows) else rows
    if np.isinf(values).any():
        raise ValueError("features must be finite, or NaN where an item lacks the modality")
    # A largest entry of one keeps squares in the range of float32.
    largest = abs(rows).max(axis=1)
    largest = largest.toarray().ravel() if sparse.issparse(largest) else largest
    if sparse.issparse(rows):  # the maximum of a sparse row may overlook a NaN
        nan_rows = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))[np.isnan(rows.data)]
        largest[nan_rows] = np.nan
    has_modality = (positions >= 0) & (largest > 0)  # not true of NaN
    scale = np.where(has_modality, largest, 1)
    if sparse.issparse(rows):
        rows = sparse.diags_array(has_modality / scale, dtype=dtype) @ rows
        rows.data = np.nan_to_num(rows.data, copy=False)
        norms = np.sqrt(rows.multiply(rows).sum(axis=1))
        rows = sparse.diags_array(1 / np.where(norms > 0, norms, 1), dtype=dtype) @ rows
    else:
        rows /= scale[:, np.newaxis].astype(dtype)
        rows[~has_modality] = 0
        norms = np.linalg.norm(rows, axis=1)
        rows /= np.where(norms > 0, norms, 1)[:, np.newaxis].astype(dtype)
    return rows, has_modality.astype(np.float64)
