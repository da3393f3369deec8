"""What the metrics of the listed items share: their base class, and sums over lists."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsk.data.checks import check_ids
from recsk.data.labels import Labels
from recsk.data.matrices import interaction_matrix
from recsk.metrics.hits import Floats, check_ranked

__all__ = [
    "ListMetric",
    "Setting",
    "blocks_of_rows",
    "count_users",
    "list_matrix",
    "mean_of_items",
    "mean_of_values",
    "measure_lists",
]

Ids = npt.NDArray[np.int64]
ListValues = Callable[[Ids, Ids], Floats]  # ranked (n, k), users (n,) -> values (n,)

_BLOCK_ENTRIES = 2**22  # of a dense block: 32 MiB in float64


@dataclass(frozen=True)
class Setting:
    """What metrics may read beside the ranked lists.

    Attributes
    ----------
    n_items : int
        Size of the catalogue.
    train : csr_array of shape (n_users, n_items) or None
        The training interactions, binary.
    item_labels : Labels or None
        Those of the model, in the order of the ids.
    model : str
        What error messages call the model.
    """

    n_items: int
    train: sparse.csr_array | None = None
    item_labels: Labels | None = None
    model: str = "the model"


class ListMetric(ABC):
    """A metric of the items of each list, held-out items aside.

    Attributes
    ----------
    name : str
        Its name in results, such as ``"novelty"`` in ``"novelty@10"``.
    greater_is_better : bool or None
        None: neither direction is better.
    """

    name: str
    greater_is_better: bool | None

    @abstractmethod
    def bind(self, setting: Setting) -> ListValues:
        """Return a function of ranked ids (n, k), -1 as padding, and users (n,).

        It returns a value for each list, NaN where the metric is not defined.
        """

    def get_train(self, setting: Setting) -> sparse.csr_array:
        """Return the training interactions, or raise a TypeError that says how to pass them."""
        if setting.train is None:
            raise TypeError(
                f"{self.name} needs the training interactions, but {setting.model} has no "
                "interactions_: pass X_train"
            )
        return setting.train


def measure_lists(
    metric: ListMetric,
    ranked: Any,
    k: int | None,
    average: bool,
    *,
    train: Any = None,
    n_items: int = 0,
    users: Any = None,
    by_row: bool = False,
) -> float | Floats:
    """Compute a metric for every list, or its mean over the lists where it is defined.

    Parameters
    ----------
    metric : ListMetric
    ranked, k, average
        As in the public functions.
    train : Interactions or sparse, default=None
        The training interactions.
    n_items : int, default=0
        Size of the catalogue, where `train` is None.
    users : array-like of int, default=None
        The row of `train` of each list; None: row i for list i.
    by_row : bool, default=False
        Whether the metric reads the rows of `train`.
    """
    matrix = None if train is None else interaction_matrix(train, "train")
    n_items = n_items if matrix is None else matrix.shape[1]
    ids = check_ranked(ranked, n_items, k)
    rows = np.arange(len(ids))
    if by_row and matrix is not None:
        if users is not None:
            rows = check_ids(users, "users", matrix.shape[0], "rows of train")
        n_rows = matrix.shape[0] if users is None else len(rows)
        if n_rows != len(ids):
            raise ValueError(
                f"ranked has {len(ids)} lists for {n_rows} "
                f"{'rows of train: pass users, the row of each list' if users is None else 'users'}"
            )
    values = metric.bind(Setting(n_items, matrix))(ids, rows)
    if not average:
        return values
    if np.isnan(values).all():
        raise ValueError(f"{metric.name} is not defined for any of the {len(ids)} lists of ranked")
    return mean_of_values(values)


def mean_of_values(values: Floats) -> float:
    """Return the mean of the values that are not NaN; NaN if there are none."""
    defined = ~np.isnan(values)
    if not defined.any():
        return float("nan")
    return float(np.mean(values if defined.all() else values[defined]))


def count_users(train: sparse.csr_array) -> tuple[Floats, int]:
    """Return the number of users of each item, and the number of users with a history."""
    counts = np.bincount(train.indices, minlength=train.shape[1])
    return counts.astype(np.float64), int(np.count_nonzero(np.diff(train.indptr)))


def mean_of_items(values: Floats, ranked: Ids) -> Floats:
    """Average values of items over each list; NaN for an empty list."""
    listed = ranked >= 0
    sums = np.where(listed, values[ranked], 0).sum(axis=1)
    n_listed = listed.sum(axis=1)
    return np.divide(sums, n_listed, out=np.full(len(ranked), np.nan), where=n_listed > 0)


def list_matrix(ranked: Ids, n_items: int, dtype: Any = np.float64) -> sparse.csr_array:
    """Return the binary matrix of shape (n, n_items) of the listed items."""
    listed = ranked >= 0
    indptr = np.concatenate([[0], np.cumsum(listed.sum(axis=1))])
    items = ranked[listed]
    ones = np.ones(len(items), dtype=dtype)
    return sparse.csr_array((ones, items, indptr), shape=(len(ranked), n_items))


def blocks_of_rows(n_rows: int, width: int) -> list[slice]:
    """Cut rows into blocks whose dense form has a bounded size."""
    step = max(_BLOCK_ENTRIES // max(width, 1), 1)
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]
