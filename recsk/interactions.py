"""What users did, and when: the data that every estimator and splitter of recsk takes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from numbers import Integral
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsk._columns import as_ids, as_times, as_values, read_only, space
from recsk._frames import column, encode_labels, readable
from recsk._matrices import canonical_csr

__all__ = ["Interactions", "interaction_matrix"]

_COLUMNS = ("user", "item", "timestamp", "value")


class Interactions:
    """Interactions of users with items, one sample each.

    A users x items matrix is the wrong thing to cross-validate: scikit-learn would split its
    rows, that is users, and a model cannot be asked about a user it has never met. Here one
    sample is one interaction. Every subset stays in the same space of ``n_users`` users and
    ``n_items`` items, so that the folds of a split fit one model.

    The arrays are read-only and are views of what was passed in where its type allows:
    nothing is copied without need, and memory maps stay memory maps.

    Parameters
    ----------
    user : array-like of shape (n_interactions,)
        Integer ids of the users, ``0 <= user < n_users``.
    item : array-like of shape (n_interactions,)
        Integer ids of the items, ``0 <= item < n_items``.
    timestamp : array-like of shape (n_interactions,), default=None
        When it happened; any finite numbers, larger is later. ``datetime64`` becomes int64
        nanoseconds since 1970.
    value : array-like of shape (n_interactions,), default=None
        A finite weight of each interaction, such as a rating or a count. float32 is kept,
        every other type becomes float64.
    n_users, n_items : int, default=None
        Size of the space. ``None``: the largest id plus one.

    Attributes
    ----------
    user, item : ndarray of shape (n_interactions,), int64
        The ids.
    timestamp : ndarray of shape (n_interactions,), int64 or float64, or None
        The times.
    value : ndarray of shape (n_interactions,), float32 or float64, or None
        The weights.
    n_users, n_items : int
        Size of the space.
    shape : tuple of int
        ``(n_interactions, n_items)``: samples and features in scikit-learn's sense.
    user_labels, item_labels : ndarray of shape (n_users,) or (n_items,), or None
        What each id was called in the data frame it came from; see :meth:`from_frame`.

    Raises
    ------
    ValueError
        If an id is negative or not below ``n_users`` or ``n_items``, if a timestamp or value
        is not finite, or if the lengths differ.
    TypeError
        If ids are not integers or other columns not numbers.

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
    user_labels: npt.NDArray[Any] | None
    item_labels: npt.NDArray[Any] | None

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
        columns = {"user": as_ids(user, "user"), "item": as_ids(item, "item")}
        if timestamp is not None:
            columns["timestamp"] = as_times(timestamp)
        if value is not None:
            columns["value"] = as_values(value)
        if len({len(column) for column in columns.values()}) > 1:
            lengths = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
            raise ValueError(f"columns must have one length; got {lengths}")
        self._set(
            columns,
            n_users=space(columns["user"], n_users, "user"),
            n_items=space(columns["item"], n_items, "item"),
        )

    def _set(
        self,
        columns: dict[str, npt.NDArray[Any]],
        *,
        n_users: int,
        n_items: int,
        user_labels: npt.NDArray[Any] | None = None,
        item_labels: npt.NDArray[Any] | None = None,
    ) -> Interactions:
        for name in _COLUMNS:
            setattr(self, name, read_only(columns.get(name)))
        self.n_users, self.n_items = n_users, n_items
        self.user_labels, self.item_labels = read_only(user_labels), read_only(item_labels)
        return self

    @property
    def shape(self) -> tuple[int, int]:
        """Samples and features: ``(n_interactions, n_items)``."""
        return len(self.user), self.n_items

    def __len__(self) -> int:
        return len(self.user)

    def __sizeof__(self) -> int:
        # A cluster sends what is large to its workers once, and asks for the size by this.
        arrays = [value for value in vars(self).values() if isinstance(value, np.ndarray)]
        return super().__sizeof__() + sum(array.nbytes for array in arrays)

    def __repr__(self) -> str:
        parts = [f"n_interactions={len(self)}", f"n_users={self.n_users}"]
        parts.append(f"n_items={self.n_items}")
        for name in ("timestamp", "value"):
            if (column := getattr(self, name)) is not None:
                parts.append(f"{name}={column.dtype}")
        return f"Interactions({', '.join(parts)})"

    def __getitem__(self, index: Any) -> Interactions:
        """Take some of the interactions, in the same space of users and items.

        Parameters
        ----------
        index : int, slice, array-like of int or of bool, or (index, Ellipsis)
            A mask has one entry for each interaction. One integer gives `Interactions` of
            length 1, as a row of a sparse matrix is a matrix.

        Returns
        -------
        subset : Interactions
            Same ``n_users``, ``n_items`` and labels.

        Raises
        ------
        IndexError
            If an index is out of range, is not an integer, or a mask has another length.
        """
        if isinstance(index, tuple) and len(index) == 2 and index[1] is Ellipsis:
            index = index[0]  # how sklearn.utils indexes whatever has a shape
        if isinstance(index, tuple):
            raise IndexError(f"Interactions have one axis; got {len(index)} indices")
        if isinstance(index, Integral) and not isinstance(index, bool | np.bool_):
            index = [index]
        if not isinstance(index, slice):
            index = np.asarray(index)
            if index.size == 0 and index.ndim == 1 and index.dtype != bool:
                index = index.astype(np.intp)  # the empty list arrives as float64
            if index.ndim != 1:
                raise IndexError(
                    "expected an int, a slice, or a 1-D array of positions or bools; got an "
                    f"array of {index.ndim} axes"
                )
        columns = {
            name: column[index] for name in _COLUMNS if (column := getattr(self, name)) is not None
        }
        return object.__new__(type(self))._set(
            columns,
            n_users=self.n_users,
            n_items=self.n_items,
            user_labels=self.user_labels,
            item_labels=self.item_labels,
        )

    def __iter__(self) -> Iterator[Interactions]:
        return (self[position] for position in range(len(self)))

    def __array__(self, *args: Any, **kwargs: Any) -> npt.NDArray[Any]:
        # Without this NumPy would walk through the samples and build something meaningless.
        raise TypeError("Interactions are no array; use .to_csr() for the users x items matrix")

    def __setstate__(self, state: dict[str, Any]) -> None:
        # An unpickled array is writeable, whatever it was before.
        self.__dict__.update(
            {k: read_only(v) if isinstance(v, np.ndarray) else v for k, v in state.items()}
        )

    @classmethod
    def from_csr(
        cls, X: Any, *, values_as: Literal["value", "timestamp"] | None = "value"
    ) -> Interactions:
        """Interactions from a users x items matrix.

        Parameters
        ----------
        X : sparse matrix or array of shape (n_users, n_items), any format
            Explicit zeros are dropped and duplicate entries summed, as everywhere in scipy;
            but no sum of times is a time.
        values_as : {"value", "timestamp"} or None, default="value"
            What the entries are: weights; times or ranks, larger is later (since zeros are
            dropped, ranks start at 1); or nothing worth keeping.

        Returns
        -------
        interactions : Interactions
            Ordered by user, then item.

        Raises
        ------
        TypeError
            If `X` is not sparse.
        ValueError
            If an entry is not finite, `values_as` is unknown, or there are several times in one
            place.

        Examples
        --------
        >>> from scipy.sparse import csr_array
        >>> from recsk import Interactions
        >>> Interactions.from_csr(csr_array([[0, 3, 0], [5, 0, 4]]), values_as="timestamp")
        Interactions(n_interactions=3, n_users=2, n_items=3, timestamp=int64)
        """
        if values_as not in ("value", "timestamp", None):
            raise ValueError(f"values_as must be 'value', 'timestamp' or None; got {values_as!r}")
        times = values_as == "timestamp"
        X = canonical_csr(X, "X", one_each="a sum of times is no time" if times else None)
        n_users, n_items = X.shape
        columns = {
            "user": np.repeat(np.arange(n_users, dtype=np.int64), np.diff(X.indptr)),
            "item": X.indices.astype(np.int64),
        }
        if values_as is not None:
            convert = as_values if values_as == "value" else as_times
            columns[values_as] = convert(X.data)
        return object.__new__(cls)._set(columns, n_users=n_users, n_items=n_items)

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
    ) -> Interactions:
        """Interactions from the columns of a data frame.

        Parameters
        ----------
        frame : DataFrame or mapping
            Anything whose columns are ``frame[name]``: pandas, polars, pyarrow, a dict of
            arrays, a NumPy structured array; or anything with ``__dataframe__``, for which
            pandas must be installed.
        user, item : str, default="user" and "item"
            Names of the columns that say who and what.
        timestamp, value : str, default=None
            Names of the columns with the times and the weights, if they are wanted.
        encode : bool, default=True
            True: users and items are called anything that can be sorted, such as strings
            or integers with gaps; their labels, sorted, become the ids 0, 1, ... and are kept
            as ``user_labels`` and ``item_labels``. Ids without gaps from 0 stay what they are.
            False: the columns hold the ids themselves.
        user_labels, item_labels : array-like of shape (n_users,) or (n_items,), default=None
            Labels to encode with in place of those that occur: those of the training data,
            for a test frame to fit the same model, or a whole catalogue, in the order of
            the rows of its features.
        n_users, n_items : int, default=None
            Size of the space when ``encode=False``; else the labels say it.

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
            If the labels of a column cannot be sorted.

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
        frame = readable(frame)
        sides: dict[str, dict[str, Any]] = {}
        for side, name, labels, size in (
            ("user", user, user_labels, n_users),
            ("item", item, item_labels, n_items),
        ):
            ids = column(frame, name)
            if encode or labels is not None:
                if size is not None:
                    raise ValueError(
                        f"n_{side}s={size} needs encode=False and no {side}_labels: the labels "
                        "say the size"
                    )
                ids, labels = encode_labels(np.asarray(ids), name, labels)
                size = len(labels)
            sides[side] = {"ids": ids, "labels": labels, "size": size}
        out = cls(
            sides["user"]["ids"],
            sides["item"]["ids"],
            timestamp=None if timestamp is None else column(frame, timestamp),
            value=None if value is None else column(frame, value),
            n_users=sides["user"]["size"],
            n_items=sides["item"]["size"],
        )
        out.user_labels = read_only(sides["user"]["labels"])
        out.item_labels = read_only(sides["item"]["labels"])
        return out

    def to_csr(self, *, binary: bool = True) -> sparse.csr_matrix:
        """Users x items matrix.

        Parameters
        ----------
        binary : bool, default=True
            True: 1 wherever there was an interaction. False: the sum of the values of an
            interaction that repeats, or their number if there are no values.

        Returns
        -------
        X : csr_matrix of shape (n_users, n_items), float32
            Sorted, without duplicates or explicit zeros; float64 if the values are and
            `binary` is False. It is a ``csr_matrix`` because implicit takes no ``csr_array``.
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
        """Items of every user in the order of time.

        Parameters
        ----------
        packed : bool, default=False
            Return two flat arrays in place of one array for each user.

        Returns
        -------
        sequences : list of n_users int64 arrays, or (indptr, items)
            Oldest first; what happened at the same time keeps the order of the input, what
            repeats is kept, and users without interactions have an empty array. Packed,
            user ``u`` has ``items[indptr[u]:indptr[u + 1]]``.

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


def interaction_matrix(X: Any, name: str = "X") -> sparse.csr_array:
    """Who interacted with what, from anything sparse.

    Parameters
    ----------
    X : Interactions, or sparse matrix or array of shape (n_users, n_items)
        An entry or value of 0 is no interaction. Left unchanged.
    name : str, default="X"
        What error messages call it.

    Returns
    -------
    matrix : csr_array of shape (n_users, n_items), float32
        All entries are 1; sorted, without duplicates or explicit zeros; shares no memory
        with `X`.

    Raises
    ------
    TypeError
        If `X` is neither, or does not hold numbers.
    ValueError
        If an entry is negative or not finite.

    Examples
    --------
    >>> from scipy.sparse import coo_array
    >>> from recsk.interactions import interaction_matrix
    >>> interaction_matrix(coo_array([[0, 3], [5, 0]])).toarray()
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    if isinstance(X, Interactions):
        X = X.to_csr(binary=X.value is None)
    X = canonical_csr(X, name)
    if X.dtype.kind in "if" and X.nnz and (low := X.data.min()) < 0:
        raise ValueError(
            f"Negative values in data: {name} holds {low:g}; entries of an interaction matrix must "
            "not be negative"
        )
    ones = np.ones(X.nnz, dtype=np.float32)
    return sparse.csr_array((ones, X.indices, X.indptr), shape=X.shape)
