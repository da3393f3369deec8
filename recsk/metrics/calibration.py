"""Calibration: whether lists have the categories of the history in its proportions."""

from __future__ import annotations

from numbers import Real
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import rel_entr

from recsk.data.checks import describe
from recsk.data.labels import is_missing
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

__all__ = ["Calibration", "calibration_at_k"]


class Calibration(ListMetric):
    """Divergence of a list's categories from the history's, for `evaluate` and `compare`.

    It is defined as in :func:`~recsk.metrics.calibration_at_k`. Lower is better.

    Parameters
    ----------
    categories : array-like of shape (n_items,) or (n_items, n_categories), or of pandas
        The categories of each item, in the order of the model's ids (of ``model.items_`` where it
        speaks labels), in a form of `calibration_at_k`. A series or frame is matched by its index,
        which holds labels or ids.
    divergence : {"kl", "js"}, default="kl"
        Kullback-Leibler or Jensen-Shannon.
    smoothing : float, default=0.01
        Share of the history in the list.
    name : str, default="calibration"
        The name in results.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import Calibration, evaluate
    >>> class Favourites:
    ...     def recommend(self, user_ids, k=10, *, exclude_seen=True):
    ...         return np.tile(np.arange(k), (len(user_ids), 1)), np.zeros((len(user_ids), k))
    >>> genres = Calibration(["pop", "jazz", "jazz", "pop"])
    >>> X_train, X_test = csr_array([[0, 0, 1, 1]]), csr_array([[0, 1, 0, 0]])
    >>> evaluate(Favourites(), X_test, ["recall", genres], k=2, X_train=X_train)
    {'recall@2': 1.0, 'calibration@2': 0.0}
    """

    greater_is_better = False

    def __init__(
        self,
        categories: Any,
        divergence: Literal["kl", "js"] = "kl",
        smoothing: float = 0.01,
        name: str = "calibration",
    ) -> None:
        self.categories = categories
        self.divergence = divergence
        self.smoothing = smoothing
        self.name = name

    def __repr__(self) -> str:
        """Show the parameters and the form of the categories."""
        return (
            f"Calibration({describe(self.categories)}, divergence={self.divergence!r}, "
            f"smoothing={self.smoothing}, name={self.name!r})"
        )

    def bind(self, setting: Setting) -> ListValues:
        """Compute the distribution over the categories of every item."""
        self._check_parameters()
        train = self.get_train(setting)
        given, positions = rows_of_items(self.categories, setting, "categories", entries=True)
        shares = _category_shares(given)
        shares = sparse.diags_array((positions >= 0) * 1.0) @ shares[np.maximum(positions, 0)]
        shares = shares.tocsr()
        n_items, n_categories = shares.shape

        def values(ranked: Ids, users: Ids) -> Floats:
            result = np.empty(len(ranked))
            for rows in blocks_of_rows(len(ranked), n_categories):
                history = _distribution(train[users[rows]] @ shares)
                listed = _distribution(list_matrix(ranked[rows], n_items) @ shares)
                result[rows] = self._diverge(history, listed)
            return result

        return values

    def _check_parameters(self) -> None:
        if self.divergence not in ("kl", "js"):
            raise ValueError(f'divergence must be "kl" or "js"; got {self.divergence!r}')
        share = self.smoothing
        is_valid = isinstance(share, Real) and 0 <= share < 1
        if not is_valid or (share == 0 and self.divergence == "kl"):
            raise ValueError(
                f"smoothing must be above 0 and below 1, or 0 with divergence='js'; got "
                f"{self.smoothing!r}"
            )

    def _diverge(self, history: Floats, listed: Floats) -> Floats:
        """Return the divergence of rows, NaN where one of them is."""
        smooth = (1 - self.smoothing) * listed + self.smoothing * history
        if self.divergence == "kl":
            return np.maximum(rel_entr(history, smooth).sum(axis=1), 0)
        middle = (history + smooth) / 2
        both = rel_entr(history, middle) + rel_entr(smooth, middle)
        return np.maximum(both.sum(axis=1) / 2, 0)


def calibration_at_k(
    ranked: npt.ArrayLike,
    train: Any,
    categories: Any,
    k: int | None = None,
    *,
    users: npt.ArrayLike | None = None,
    divergence: Literal["kl", "js"] = "kl",
    smoothing: float = 0.01,
    average: bool = True,
) -> float | Floats:
    r"""Divergence of the categories of the first `k` items from those of the user's history.

    As in [1]_, with :math:`p(g|i)` the share of category g in item i,

    .. math::
        p(g|u) = \frac{1}{|H_u|} \sum_{i \in H_u} p(g|i), \qquad
        q(g|u) = \frac{1}{|L_u|} \sum_{i \in L_u} p(g|i), \qquad
        \tilde q = (1 - \alpha) q + \alpha p

    over the history :math:`H_u` and the list :math:`L_u`, all items with the same weight, and
    :math:`\alpha` the `smoothing`. The result is :math:`\mathrm{KL}(p \| \tilde q)`, or the
    Jensen-Shannon divergence :math:`(\mathrm{KL}(p \| m) + \mathrm{KL}(\tilde q \| m)) / 2` with
    :math:`m = (p + \tilde q) / 2`, both in nats. Items without a category are left out of the
    history and of the list. A user whose history or list has no item left has no value and is left
    out of the mean.

    Parameters
    ----------
    ranked : array-like of int, shape (n, at least k)
        Item ids, best first, padded with -1.
    train : Interactions, or sparse matrix or array of shape (n_users, n_items)
        The training interactions, which are the histories.
    categories : array-like of shape (n_items,), or matrix of shape (n_items, n_categories)
        For each item one category, or a tuple, list or set of categories with equal shares; None,
        NaN or an empty tuple where it has none. An array of two axes, a sparse matrix or a frame
        holds weights of at least 0, which are scaled to a sum of one for each item.
    k : int, default=None
        Number of ranks to count. ``None`` counts all columns of `ranked`.
    users : array-like of int, shape (n,), default=None
        The row of `train` that each list belongs to. ``None``: list i belongs to row i.
    divergence : {"kl", "js"}, default="kl"
        Kullback-Leibler or Jensen-Shannon.
    smoothing : float, default=0.01
        Above 0, so that a category without an item in the list has a finite divergence; the
        Jensen-Shannon divergence allows 0.
    average : bool, default=True
        Whether to average over the lists. False returns one value for each list, NaN where it is
        not defined.

    Returns
    -------
    float or ndarray of shape (n,)
        0 for the proportions of the history, lower is better.

    Raises
    ------
    ValueError
        If an id, `k` or a parameter is out of range, the numbers of lists and users differ, or no
        list has a value.
    TypeError
        If `ranked` does not hold integers or `train` is not sparse.
    IndexError
        If one of `users` is out of range.

    References
    ----------
    .. [1] H. Steck. "Calibrated Recommendations." RecSys 2018.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import calibration_at_k
    >>> train = csr_array([[1, 1, 0, 0]])  # one item of pop, one of jazz
    >>> genres = ["pop", "jazz", "jazz", "pop"]
    >>> calibration_at_k([[2, 3]], train, genres)
    0.0
    >>> calibration_at_k([[2, 1]], train, genres, divergence="js", smoothing=0)
    0.2157...
    """
    metric = Calibration(categories, divergence, smoothing)
    return measure_lists(metric, ranked, k, average, train=train, users=users, by_row=True)


def _distribution(sums: Any) -> Floats:
    """Scale the rows of a sparse matrix to a sum of one, dense; NaN for an empty row."""
    dense = sums.toarray().astype(np.float64)
    totals = dense.sum(axis=1, keepdims=True)
    return np.divide(dense, totals, out=np.full_like(dense, np.nan), where=totals > 0)


def _category_shares(given: Any) -> sparse.csr_array:
    """Return the share of each category in each row, zero where a row has none."""
    if given.ndim == 2 and given.dtype.kind in "biuf":
        weights = sparse.csr_array(given, dtype=np.float64)  # a copy where the type differs
        weights = weights.copy() if weights is given else weights
        weights.data = np.nan_to_num(weights.data, nan=0.0, posinf=-1.0, neginf=-1.0)
        if weights.nnz and weights.data.min() < 0:
            raise ValueError("categories must hold weights that are finite and at least 0")
    elif given.ndim == 2 or sparse.issparse(given):
        raise TypeError(
            f"categories of 2 axes must hold numbers; got {describe(given)}: pass one column, or a "
            "list of tuples"
        )
    else:
        weights = _encode(given)
    totals = weights.sum(axis=1)
    return (sparse.diags_array(1 / np.where(totals > 0, totals, 1)) @ weights).tocsr()


def _encode(given: Any) -> sparse.csr_array:
    """Return the binary matrix of the categories that each row names."""
    codes: dict[Any, int] = {}
    row, column = [], []
    for i, entry in enumerate(given.tolist()):
        several = entry if isinstance(entry, list | tuple | set | frozenset) else [entry]
        try:
            named = dict.fromkeys(one for one in several if not is_missing(one))
        except TypeError as error:
            raise TypeError(f"categories must be hashable; item {i} has {entry!r}") from error
        row += [i] * len(named)
        column += [codes.setdefault(one, len(codes)) for one in named]
    ones = np.ones(len(row))
    return sparse.csr_array((ones, (row, column)), shape=(len(given), max(len(codes), 1)))
