"""The class Interactions: user-item interactions, one sample each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsk.data.columns import check_index, check_size, convert_columns, read_only_view
from recsk.data.labels import Labels, check_labels
from recsk.data.readers import InteractionReaders
from recsk.data.repeats import RepeatsMixin

__all__ = ["Interactions"]

_COLUMNS = ("user", "item", "timestamp", "value")


class Interactions(InteractionReaders, RepeatsMixin):
    """Interactions of users with items, one sample each.

    Use this class for cross-validation. scikit-learn splits a users x items matrix by its rows,
    that is by users, and a model cannot recommend to a user without training data. Here one
    sample is one interaction. Every subset keeps ``n_users`` and ``n_items``, so that the same
    model fits all folds of a split.

    The arrays are read-only. They are views of the input where its type allows: data are copied
    only if necessary, and memory maps stay memory maps.

    Parameters
    ----------
    user : array-like of shape (n_interactions,)
        Integer ids of the users, ``0 <= user < n_users``.
    item : array-like of shape (n_interactions,)
        Integer ids of the items, ``0 <= item < n_items``.
    timestamp : array-like of shape (n_interactions,), default=None
        Time of each interaction: any finite numbers, larger is later. Datetimes become int64
        nanoseconds since 1970, in UTC. Text of integers or of ISO dates is read too.
    value : array-like of shape (n_interactions,), default=None
        A finite weight of each interaction, such as a rating or a count. float32 is kept; every
        other type becomes float64.
    n_users, n_items : int, default=None
        Number of users and items. ``None``: the largest id plus one.

    Attributes
    ----------
    user, item : ndarray of shape (n_interactions,), int64
        The ids.
    timestamp : ndarray of shape (n_interactions,), int64 or float64, or None
        The times.
    value : ndarray of shape (n_interactions,), float32 or float64, or None
        The weights.
    n_users, n_items : int
        Number of users and items.
    shape : tuple of int
        ``(n_interactions, n_items)``: samples and features in scikit-learn's sense.
    user_labels, item_labels : ndarray of shape (n_users,) or (n_items,), or None
        The label of each id in the data frame; see :meth:`from_frame`.

    Raises
    ------
    ValueError
        If an id is negative or not below ``n_users`` or ``n_items``, a timestamp or value is not
        finite, or the columns differ in length.
    TypeError
        If the ids are not integers or another column does not hold numbers.

    Examples
    --------
    >>> from recsk import Interactions
    >>> X = Interactions([0, 0, 1], [2, 0, 1], timestamp=[20, 10, 30])
    >>> X
    Interactions(n_interactions=3, n_users=2, n_items=3, timestamp=int64)
    >>> X.sequences()
    [array([0, 2]), array([1])]
    >>> X[[0, 2]].to_csr().toarray()
    array([[0., 0., 1.],
           [0., 1., 0.]], dtype=float32)
    """

    user: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]
    timestamp: npt.NDArray[Any] | None
    value: npt.NDArray[Any] | None
    n_users: int
    n_items: int
    _user_labels: Labels | None
    _item_labels: Labels | None

    def __init__(
        self,
        user: npt.ArrayLike,
        item: npt.ArrayLike,
        *,
        timestamp: npt.ArrayLike | None = None,
        value: npt.ArrayLike | None = None,
        n_users: int | None = None,
        n_items: int | None = None,
    ) -> None:
        columns = convert_columns(user, item, timestamp=timestamp, value=value)
        self._set(
            columns,
            n_users=check_size(columns["user"], n_users, "user"),
            n_items=check_size(columns["item"], n_items, "item"),
        )

    def _set(
        self,
        columns: dict[str, npt.NDArray[Any]],
        *,
        n_users: int,
        n_items: int,
        user_labels: Labels | None = None,
        item_labels: Labels | None = None,
    ) -> Interactions:
        """Store checked columns without further checks."""
        for name in _COLUMNS:
            setattr(self, name, read_only_view(columns.get(name)))
        self.n_users, self.n_items = n_users, n_items
        self._user_labels, self._item_labels = user_labels, item_labels
        return self

    @property
    def user_labels(self) -> npt.NDArray[Any] | None:
        """The label of each user id, or None."""
        return None if self._user_labels is None else self._user_labels.values

    @property
    def item_labels(self) -> npt.NDArray[Any] | None:
        """The label of each item id, or None."""
        return None if self._item_labels is None else self._item_labels.values

    @property
    def shape(self) -> tuple[int, int]:
        """Samples and features: ``(n_interactions, n_items)``."""
        return len(self.user), self.n_items

    def __len__(self) -> int:
        return len(self.user)

    def __sizeof__(self) -> int:
        # A cluster asks for this size to decide what to send to its workers only once.
        arrays = [value for value in vars(self).values() if isinstance(value, np.ndarray)]
        arrays += [x for x in (self.user_labels, self.item_labels) if x is not None]
        return super().__sizeof__() + sum(array.nbytes for array in arrays)

    def __repr__(self) -> str:
        parts = [f"n_interactions={len(self)}", f"n_users={self.n_users}"]
        parts.append(f"n_items={self.n_items}")
        for name in ("timestamp", "value"):
            if (column := getattr(self, name)) is not None:
                parts.append(f"{name}={column.dtype}")
        return f"Interactions({', '.join(parts)})"

    def __getitem__(self, index: Any) -> Interactions:
        """Select interactions; the numbers of users and items stay the same.

        Parameters
        ----------
        index : int, slice, array-like of int or of bool, or (index, Ellipsis)
            A mask has one entry per interaction. An integer gives `Interactions` of length 1, as
            a row of a sparse matrix is a matrix.

        Returns
        -------
        subset : Interactions
            With the same ``n_users``, ``n_items`` and labels.

        Raises
        ------
        IndexError
            If an index is out of range or not an integer, or a mask has another length.
        """
        index = check_index(index)
        columns = {
            name: column[index] for name in _COLUMNS if (column := getattr(self, name)) is not None
        }
        return object.__new__(type(self))._set(
            columns,
            n_users=self.n_users,
            n_items=self.n_items,
            user_labels=self._user_labels,
            item_labels=self._item_labels,
        )

    def with_value(self, value: npt.ArrayLike | None) -> Interactions:
        """Return the same interactions with other values; None leaves the values out.

        Examples
        --------
        >>> from recsk import Interactions
        >>> X = Interactions([0, 1], [2, 0], value=[4.5, 3.0])
        >>> X.with_value(None)
        Interactions(n_interactions=2, n_users=2, n_items=3)
        """
        columns = convert_columns(self.user, self.item, timestamp=self.timestamp, value=value)
        return object.__new__(type(self))._set(
            columns,
            n_users=self.n_users,
            n_items=self.n_items,
            user_labels=self._user_labels,
            item_labels=self._item_labels,
        )

    def __iter__(self) -> Iterator[Interactions]:
        return (self[position] for position in range(len(self)))

    def __array__(self, *args: Any, **kwargs: Any) -> npt.NDArray[Any]:
        # Without this method NumPy would iterate over the samples and build a meaningless array.
        raise TypeError("Interactions are no array; use .to_csr() for the users x items matrix")

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Arrays are writeable after unpickling, even if they were read-only before.
        self.__dict__.update(
            {k: read_only_view(v) if isinstance(v, np.ndarray) else v for k, v in state.items()}
        )

    def with_labels(self, user_labels: Any = None, item_labels: Any = None) -> Interactions:
        """Return the same interactions with labels for their ids.

        Parameters
        ----------
        user_labels, item_labels : array-like of shape (n_users,) or (n_items,), default=None
            Label of each id. More labels than ids add users or items. None keeps ids as they are.

        Raises
        ------
        ValueError
            If there are fewer labels than ids, or a label is missing or repeats.
        """
        users = check_labels(user_labels, self._user_labels, self.n_users, "user")
        items = check_labels(item_labels, self._item_labels, self.n_items, "item")
        return object.__new__(type(self))._set(
            {name: getattr(self, name) for name in _COLUMNS},
            n_users=self.n_users if users is None else len(users),
            n_items=self.n_items if items is None else len(items),
            user_labels=users,
            item_labels=items,
        )

    def without_labels(self) -> Interactions:
        """Return the same interactions with ids only; a model fitted on them speaks ids."""
        columns = {name: getattr(self, name) for name in _COLUMNS}
        other = object.__new__(type(self))
        return other._set(columns, n_users=self.n_users, n_items=self.n_items)

    def to_csr(self, *, binary: bool = True) -> sparse.csr_matrix:
        """Return the users x items matrix.

        Parameters
        ----------
        binary : bool, default=True
            True: all entries are 1. False: an entry is the sum of the values of all interactions
            of this user with this item, or their number if there are no values.

        Returns
        -------
        X : csr_matrix of shape (n_users, n_items), float32
            Sorted, without duplicates or explicit zeros. float64 if the values are float64 and
            `binary` is False. A ``csr_matrix``, because implicit does not accept a ``csr_array``.
        """
        weigh = not binary and self.value is not None
        data = self.value if weigh else np.ones(len(self), dtype=np.float32)
        X = sparse.csr_matrix((data, (self.user, self.item)), shape=(self.n_users, self.n_items))
        X.sum_duplicates()
        if binary:
            X.data.fill(1)
        elif weigh:
            X.eliminate_zeros()
        return X

    @overload
    def sequences(self, *, packed: Literal[False] = ...) -> list[npt.NDArray[np.int64]]: ...
    @overload
    def sequences(
        self, *, packed: Literal[True]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...
    def sequences(self, *, packed: bool = False) -> Any:
        """Return the items of every user, ordered in time.

        Parameters
        ----------
        packed : bool, default=False
            Return two flat arrays in place of one array per user.

        Returns
        -------
        sequences : list of n_users int64 arrays, or (indptr, items)
            Oldest first. Interactions at the same time keep the order of the input, repeats are
            kept, and a user without interactions has an empty array. If packed, user ``u`` has
            the items ``items[indptr[u]:indptr[u + 1]]``.

        Raises
        ------
        ValueError
            If there are no timestamps.
        """
        if self.timestamp is None:
            raise ValueError(
                "sequences() needs timestamps; if the interactions already are in order, pass "
                "timestamp=np.arange(n_interactions)"
            )
        items = self.item[np.lexsort((self.timestamp, self.user))]
        indptr = np.zeros(self.n_users + 1, dtype=np.int64)
        np.cumsum(np.bincount(self.user, minlength=self.n_users), out=indptr[1:])
        if packed:
            return indptr, items
        return [items[lo:hi] for lo, hi in pairwise(indptr)]
