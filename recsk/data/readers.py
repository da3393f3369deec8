"""Interactions from sparse matrices and from data frames."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from recsk.data.columns import convert_columns
from recsk.data.frames import get_column, read_ids, to_indexable
from recsk.data.sparse_input import canonical_csr

__all__ = ["InteractionReaders"]


class InteractionReaders:
    """The class methods of `recsk.Interactions` that read other forms of data."""

    # `Interactions` defines both.
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def with_labels(self, user_labels: Any = None, item_labels: Any = None) -> Any:
        """Return the same interactions with labels for their ids."""

    @classmethod
    def from_csr(cls, X: Any, *, values_as: Literal["value", "timestamp"] | None = "value") -> Self:
        """Make interactions from a users x items matrix.

        Parameters
        ----------
        X : sparse matrix or array of shape (n_users, n_items), any format
            Explicit zeros are dropped and duplicate entries summed, as in scipy. Duplicate
            timestamps are an error, because the sum of times is not a time.
        values_as : {"value", "timestamp"} or None, default="value"
            Meaning of the entries. "value": weights. "timestamp": times or ranks, larger is
            later; ranks start at 1 because zeros are dropped. None: the entries are ignored.

        Returns
        -------
        interactions : Interactions
            Ordered by user, then item.

        Raises
        ------
        TypeError
            If `X` is not sparse.
        ValueError
            If an entry is not finite, `values_as` is unknown, or a user has several timestamps
            for one item.

        Examples
        --------
        >>> from scipy.sparse import csr_array
        >>> from recsk import Interactions
        >>> Interactions.from_csr(csr_array([[0, 3, 0], [5, 0, 4]]), values_as="timestamp")
        Interactions(n_interactions=3, n_users=2, n_items=3, timestamp=int64)
        """
        if values_as not in ("value", "timestamp", None):
            raise ValueError(f"values_as must be 'value', 'timestamp' or None; got {values_as!r}")
        why_unique = "a sum of times is not a time" if values_as == "timestamp" else None
        X = canonical_csr(X, "X", why_unique=why_unique)
        n_users, n_items = X.shape
        columns = convert_columns(
            np.repeat(np.arange(n_users), np.diff(X.indptr)),
            X.indices,
            timestamp=X.data if values_as == "timestamp" else None,
            value=X.data if values_as == "value" else None,
        )
        return cls(**columns, n_users=n_users, n_items=n_items)

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        user: str = "user",
        item: str = "item",
        timestamp: str | None = None,
        value: str | None = None,
        encode: bool = True,
        user_labels: npt.ArrayLike | None = None,
        item_labels: npt.ArrayLike | None = None,
        n_users: int | None = None,
        n_items: int | None = None,
    ) -> Self:
        """Make interactions from the columns of a data frame.

        Parameters
        ----------
        frame : DataFrame or mapping
            Any object with ``frame[name]``: pandas, polars, pyarrow, a dict of arrays, a NumPy
            structured array. Or any object with ``__dataframe__``, which needs pandas.
        user, item : str, default="user" and "item"
            Names of the columns of users and items.
        timestamp, value : str, default=None
            Names of the columns of times and weights. ``None``: not read.
        encode : bool, default=True
            True: the columns hold labels of any hashable type, such as strings or integers with
            gaps. Sorted where possible, else in the order of their first appearance, they get the
            ids 0, 1, ... and are kept as ``user_labels`` and ``item_labels``. A model fitted on
            labels takes and returns labels. False: the columns hold ids.
        user_labels, item_labels : array-like of shape (n_users,) or (n_items,), default=None
            Labels to encode with, in place of those in the frame, such as those of a whole
            catalogue in the order of the rows of its features. A test frame does not need them:
            it is matched by label.
        n_users, n_items : int, default=None
            Number of users and items; only with ``encode=False``.

        Returns
        -------
        interactions : Interactions
            In the order of the rows.

        Raises
        ------
        KeyError
            If a column does not exist.
        ValueError
            If a label is missing, or not among the labels to encode with.
        TypeError
            If the labels of a column are not hashable.

        Examples
        --------
        >>> from recsk import Interactions
        >>> train = Interactions.from_frame({"user": ["ann", "bob"], "item": [40, 7]})
        >>> train.user, train.item, train.item_labels
        (array([0, 1]), array([1, 0]), array([ 7, 40]))
        >>> test = Interactions.from_frame(
        ...     {"user": ["bob"], "item": [40]},
        ...     user_labels=train.user_labels,
        ...     item_labels=train.item_labels,
        ... )
        >>> test
        Interactions(n_interactions=1, n_users=2, n_items=2)
        """
        frame = to_indexable(frame)
        users = read_ids(frame, user, "user", encode=encode, labels=user_labels, size=n_users)
        items = read_ids(frame, item, "item", encode=encode, labels=item_labels, size=n_items)
        interactions = cls(
            users.ids,
            items.ids,
            timestamp=None if timestamp is None else get_column(frame, timestamp),
            value=None if value is None else get_column(frame, value),
            n_users=users.size,
            n_items=items.size,
        )
        return interactions.with_labels(users.labels, items.labels)
