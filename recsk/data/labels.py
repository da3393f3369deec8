"""Labels of users and items: the one class that turns labels into ids, and ids into labels."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.data.checks import describe

__all__ = [
    "Labels",
    "check_labels",
    "check_same_type",
    "is_missing",
    "list_labels",
    "to_label_array",
]

_LONG = 8  # a string this many times as long as the others makes fixed-width arrays wasteful


class Labels:
    """Distinct labels; the id of a label is its position.

    Parameters
    ----------
    values : array-like of shape (n,)
        Hashable labels, none of them missing. A list is read as objects: ``[1, "1"]`` has two
        labels.
    name : str, default="labels"
        Name of `values` in error messages.
    column : str or None, default=None
        Name of the column of a data frame that the labels come from.

    Attributes
    ----------
    values : ndarray of shape (n,)
        Read-only.
    column : str or None
        The parameter.

    Raises
    ------
    ValueError
        If `values` is not 1-D, or a label is missing (None, NaN, NaT, NA) or repeats.
    TypeError
        If it is no list, or a label is not hashable.

    Examples
    --------
    >>> from recsk.data.labels import Labels
    >>> labels = Labels(["ann", "bob"])
    >>> labels.encode(["bob", "ann", "bob"], "user_ids")
    array([1, 0, 1])
    >>> labels.decode([1, -1])
    array(['bob', None], dtype=object)
    """

    def __init__(self, values: Any, name: str = "labels", column: str | None = None) -> None:
        self.column = column
        array = to_label_array(values, name).view()
        array.flags.writeable = False
        self.values = array
        self._ids: dict[Any, int] | None = None
        self._objects: npt.NDArray[Any] | None = None
        n_distinct = len(self._lookup(name))
        if n_distinct < len(array):
            seen: set[Any] = set()
            repeated = next(x for x in array.tolist() if x in seen or seen.add(x))  # type: ignore[func-returns-value]
            raise ValueError(f"{name} repeat the label {repeated!r}")

    @classmethod
    def from_column(
        cls, values: Any, name: str, column: str | None = None
    ) -> tuple[npt.NDArray[np.int64], Labels]:
        """Encode a column by its own labels, sorted where possible, else by first appearance.

        Returns
        -------
        ids : ndarray of shape (n_rows,), int64
        labels : Labels
        """
        array = to_label_array(values, name)
        if array.dtype.kind != "O":
            known, ids = np.unique(array, return_inverse=True)
            return ids.astype(np.int64, copy=False), cls(known, name, column)
        values = array.tolist()
        try:
            distinct = list(dict.fromkeys(values))
        except TypeError as error:
            raise TypeError(f"{name} must hold hashable labels: {error}") from error
        try:
            distinct = sorted(distinct)
        except TypeError:
            pass  # labels of several types keep the order of their first appearance
        labels = cls(distinct, name, column)
        return labels.find(values), labels

    def __len__(self) -> int:
        return len(self.values)

    def __contains__(self, label: Any) -> bool:
        return isinstance(label, Hashable) and label in self._lookup()

    def __getstate__(self) -> dict[str, Any]:
        return {"values": self.values, "column": self.column, "_ids": None, "_objects": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.values.flags.writeable = False

    def find(self, labels: Any) -> npt.NDArray[np.int64]:
        """Return the ids of labels, -1 for unknown ones."""
        lookup = self._lookup()
        values = list_labels(labels)
        return np.fromiter((lookup.get(label, -1) for label in values), np.int64, len(values))

    def encode(self, labels: Any, name: str) -> npt.NDArray[np.int64]:
        """Return the ids of labels.

        Raises
        ------
        KeyError
            If a label is unknown; the first one is named.
        """
        ids = self.find(labels)
        if (ids < 0).any():
            unknown = list_labels(labels)[int(np.argmax(ids < 0))]
            raise KeyError(
                f"{name} has {unknown!r}, which is not one of the {len(self)} labels of the fit"
            )
        return ids

    def decode(self, ids: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the labels of ids as an object array, None for an id of -1."""
        if self._objects is None:
            self._objects = np.empty(len(self) + 1, dtype=object)
            self._objects[:-1] = self.values.tolist()
        return self._objects[np.asarray(ids)]

    def extend(self, labels: list[Any]) -> Labels:
        """Return these labels followed by new ones, the new ones sorted where possible."""
        try:
            labels = sorted(labels)
        except TypeError:
            pass
        return Labels(self.values.tolist() + labels, column=self.column)

    def _lookup(self, name: str = "labels") -> dict[Any, int]:
        if self._ids is None:
            try:
                self._ids = {label: i for i, label in enumerate(self.values.tolist())}
            except TypeError as error:
                raise TypeError(f"{name} must hold hashable labels: {error}") from error
        return self._ids


def check_labels(given: Any, known: Labels | None, size: int, kind: str) -> Labels | None:
    """Return the labels given for `size` users or items, or the known ones without any.

    Raises
    ------
    ValueError
        If there are fewer labels than ids.
    """
    labels = known if given is None else given
    if labels is not None and not isinstance(labels, Labels):
        labels = Labels(labels, f"{kind}_labels")
    if labels is not None and len(labels) < size:
        raise ValueError(f"{kind}_labels must label all {size} {kind}s; got {len(labels)} labels")
    return labels


def check_same_type(new: list[Any], known: Labels, what: str) -> None:
    """Reject numbers among texts and the reverse: "7" would be another user than 7.

    Parameters
    ----------
    new : list of labels
        One or more.
    known : Labels
        Those of a model.
    what : str
        Of the error message, such as "X has users with labels".

    Raises
    ------
    ValueError
        If no new label is of a type that the known ones have.
    """
    if known.values.size and not _types(new) & _types(known.values):
        raise ValueError(
            f"{what} such as {new[0]!r}, but the model knows labels such as "
            f"{known.values.tolist()[0]!r}: bring them to the same type"
        )


def _types(labels: list[Any] | npt.NDArray[Any]) -> set[type]:
    """Return the types of labels; whole and other numbers are equal where their values are."""
    if isinstance(labels, np.ndarray):  # of another type than object, one label tells
        labels = labels[: None if labels.dtype == object else 1].tolist()
    return {float if isinstance(label, int | float) else type(label) for label in labels}


def list_labels(values: Any) -> list[Any]:
    """Return labels as a list of Python objects."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "mM":
        values = _in_microseconds(values)
    return values.tolist() if hasattr(values, "tolist") else list(values)


def to_label_array(values: Any, name: str = "labels") -> npt.NDArray[Any]:
    """Convert labels to a 1-D array that keeps them exactly.

    The array has NumPy's own type for arrays of numbers and times and for lists of one type of
    numbers or of strings. Otherwise it holds the objects themselves: tuples, mixed types, and
    strings that fixed-width arrays would strip of trailing NULs or pad to one very long string.

    Raises
    ------
    ValueError
        If it is not 1-D, or a label is missing.
    TypeError
        If it is no list.
    """
    if hasattr(values, "__array__"):
        array = np.asarray(values)
    else:
        if isinstance(values, str | bytes | Mapping | set | frozenset) or not isinstance(
            values, Iterable
        ):
            raise TypeError(f"{name} must be a list of labels; got {describe(values)}")
        values = list(values)
        array = np.empty(len(values), dtype=object)
        for i, value in enumerate(values):  # or NumPy would take tuples apart
            array[i] = value.item() if isinstance(value, np.generic) else value
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D; got shape {array.shape}")
    if array.dtype.kind in "mM" and not (array != array).any():
        array = _times_to_objects(array)
    if array.dtype.kind == "O":
        missing = np.zeros(0, dtype=bool)
        if not set(map(type, array.tolist())) <= {str, int}:
            missing = np.fromiter(map(is_missing, array), bool, len(array))
    elif array.dtype.kind in "fmM":
        missing = array != array  # NaN and NaT differ from themselves
    else:
        missing = np.zeros(0, dtype=bool)
    if missing.any():
        raise ValueError(f"{name} has no label in row {int(np.argmax(missing))}")
    if array.dtype.kind in "mM":
        return _in_microseconds(array)
    return _narrow(array) if array.dtype.kind == "O" else array


def _in_microseconds(times: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return times that NumPy turns into datetimes; those in nanoseconds it turns into integers."""
    if np.datetime_data(times.dtype)[0] not in ("ns", "ps", "fs", "as"):
        return times
    coarse = times.astype(f"{times.dtype.kind}8[us]")
    if (coarse == times).all():
        return coarse
    exact = np.empty(len(times), dtype=object)
    exact[:] = list(times)
    return exact


def _narrow(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return objects of one plain type as an array of NumPy's type, if that keeps them exactly."""
    kinds = set(map(type, array.tolist()))
    if kinds == {str}:
        lengths = [len(label) for label in array]
        one_is_long = max(lengths) * len(array) > _LONG * sum(lengths) + 4096
        if not one_is_long and not any(label.endswith("\0") for label in array):
            return array.astype(str)
    elif kinds == {int} and -(2**63) <= min(array) and max(array) < 2**63:
        return array.astype(np.int64)
    elif kinds == {float}:
        return array.astype(np.float64)
    return array


def _times_to_objects(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return times as Python's, which equal those of pandas; nanoseconds stay NumPy scalars."""
    microseconds = array.astype(f"{array.dtype.kind}8[us]")
    if (microseconds == array).all():
        return microseconds.astype(object)
    objects = np.empty(len(array), dtype=object)
    for i, time in enumerate(array):
        objects[i] = time
    return objects


def is_missing(label: Any) -> bool:
    """Whether it is None, NaN, NaT or pandas.NA."""
    if label is None or type(label).__name__ in ("NAType", "NaTType"):
        return True  # pandas.NA has no truth value, not even that of a comparison with itself
    different = label != label
    return isinstance(different, bool | np.bool_) and bool(different)
