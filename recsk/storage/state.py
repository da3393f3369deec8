"""The fitted state of a model as a flat dict, and a reader that checks every value."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.data.checks import describe

__all__ = ["StateReader", "flatten_state", "matrix_state", "text_state", "weights_state"]

_MAX_INT = 2**63 - 1


def flatten_state(state: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts, join their names by dots, and convert NumPy scalars to Python.

    Examples
    --------
    >>> from recsk.storage.state import flatten_state
    >>> flatten_state({"a": 1, "b": {"c": 2}})
    {'a': 1, 'b.c': 2}
    """
    flat = {}
    for name, value in state.items():
        if isinstance(value, Mapping):
            flat.update(flatten_state(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value.item() if isinstance(value, np.generic) else value
    return flat


def matrix_state(matrix: sp.csr_matrix) -> dict[str, Any]:
    """Return the index arrays of a matrix of ones; its values need not be stored."""
    if not (matrix.data == 1).all():
        raise ValueError("interactions must hold ones only")
    return _index_state(matrix)


def weights_state(matrix: sp.csr_matrix) -> dict[str, Any]:
    """Return the arrays of a matrix of weights."""
    return {**_index_state(matrix), "data": matrix.data}


def _index_state(matrix: sp.csr_matrix) -> dict[str, Any]:
    """Return the index arrays, of 32 bits where these are enough: SciPy would copy others."""
    dtype = np.int32 if max(matrix.nnz, *matrix.shape) < 2**31 else np.int64
    parts = {"indptr": matrix.indptr, "indices": matrix.indices}
    return {name: part.astype(dtype, copy=False) for name, part in parts.items()}


def text_state(texts: Collection[str]) -> dict[str, Any]:
    """Return many strings, such as names of items, as two arrays."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    return {
        "lengths": lengths,
        "utf8": np.frombuffer("".join(texts).encode(), dtype=np.uint8),
    }


class StateReader:
    """Read values from an untrusted state, and check the type and range of each.

    Each method that reads a value removes it from `values`, and raises a ValueError if the value
    is missing or wrong. Sizes are compared with the arrays of the state before anything of that
    size is made, so that no result is larger than these arrays.

    Parameters
    ----------
    values : dict
        A state from `flatten_state`.
    prefix : str, default=""
        This reader sees the names that start with it, without the prefix.
    check_values : bool, default=True
        Whether to look at all values of arrays. False checks their types, shapes and lengths
        alone, for files that are trusted.

    Examples
    --------
    >>> from recsk.storage.state import StateReader
    >>> state = StateReader({"fold.n_layers": 2})
    >>> state.part("fold").integer("n_layers", 0)
    2
    >>> state.check_all_read()
    """

    def __init__(
        self, values: dict[str, Any], prefix: str = "", *, check_values: bool = True
    ) -> None:
        self._values, self._prefix, self.check_values = values, prefix, check_values

    def part(self, name: str) -> StateReader:
        """Return a reader of the values whose names start with `name` and a dot."""
        prefix = f"{self._prefix}{name}."
        return StateReader(self._values, prefix, check_values=self.check_values)

    def names(self) -> list[str]:
        """Return the names that have not been read yet, sorted; a file has them in any order."""
        start = len(self._prefix)
        return sorted(name[start:] for name in self._values if name.startswith(self._prefix))

    def has(self, name: str) -> bool:
        """Whether there is a value of this name."""
        return self._prefix + name in self._values

    def check_all_read(self) -> None:
        """Raise a ValueError if a value has not been read."""
        for name in self._values:
            raise ValueError(f"{name[:80]!r} is unknown")

    def integer(self, name: str, low: int, high: int = _MAX_INT) -> int:
        """Read an int from `low` to `high`."""
        value = self._pop(name)
        if type(value) is not int or not low <= value <= high:
            self._reject(name, f"an int from {low} to {high}", value)
        return value

    def optional_integer(self, name: str, low: int) -> int | None:
        """Read an int of at least `low`, or None."""
        if self._values.get(self._prefix + name, 0) is None:
            return self._pop(name)
        return self.integer(name, low)

    def number(self, name: str, low: float, high: float = math.inf) -> float:
        """Read a finite number from `low` to `high`."""
        value = self._pop(name)
        if type(value) not in (int, float) or not (low <= value <= high and math.isfinite(value)):
            self._reject(name, f"a finite number from {low:g} to {high:g}", value)
        return value

    def flag(self, name: str) -> bool:
        """Read a bool."""
        value = self._pop(name)
        if not isinstance(value, bool):
            self._reject(name, "true or false", value)
        return value

    def string(self, name: str) -> str:
        """Read a string."""
        value = self._pop(name)
        if not isinstance(value, str):
            self._reject(name, "a string", value)
        return value

    def choice(self, name: str, options: Collection[str]) -> str:
        """Read a string that is one of `options`."""
        value = self._pop(name)
        if not isinstance(value, str) or value not in options:
            self._reject(name, f"one of {', '.join(options)}", value)
        return value

    def strings(self, name: str) -> list[str]:
        """Read a list of different strings."""
        value = self._pop(name)
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            self._reject(name, "a list of strings", value)
        if len(set(value)) < len(value):
            self._reject(name, "a list without repeats", value)
        return value

    def array(
        self, name: str, shape: tuple[int | None, ...] | None, dtype: npt.DTypeLike = np.float32
    ) -> npt.NDArray[Any]:
        """Read a finite array.

        Parameters
        ----------
        name : str
        shape : tuple of int or None, or None
            None for an axis allows any length of 1 or more. None for all allows any shape.
        dtype : dtype, default=float32
        """
        value = self._pop(name)
        if not isinstance(value, np.ndarray) or value.dtype != dtype:
            self._reject(name, f"an array of dtype {np.dtype(dtype)}", value)
        if shape is not None and not (
            len(shape) == value.ndim
            and all(
                length == expected if expected is not None else length > 0
                for length, expected in zip(value.shape, shape, strict=True)
            )
        ):
            lengths = ", ".join("any" if length is None else str(length) for length in shape)
            self._reject(name, f"of shape ({lengths})", value)
        if self.check_values and value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ValueError(f"{self._prefix}{name} must be finite")
        return value

    def curve(self, name: str) -> list[float]:
        """Read an array of finite numbers of any length as a list."""
        value = self._values.get(self._prefix + name)
        length = value.size if isinstance(value, np.ndarray) else 0
        return self.array(name, (length,), np.float64).tolist()

    def matrix(self, name: str, shape: tuple[int, int]) -> sp.csr_matrix:
        """Read a matrix of ones from `matrix_state` and check that it is in canonical form."""
        part, name = self.part(name), self._prefix + name
        indptr, indices = part._index_array("indptr"), part._index_array("indices")
        if indptr.dtype != indices.dtype:
            raise ValueError(f"{name} has indices of dtypes {indptr.dtype} and {indices.dtype}")
        # The elements are compared and not subtracted, because a difference may overflow.
        if (
            len(indptr) != shape[0] + 1
            or indptr[0] != 0
            or indptr[-1] != len(indices)
            or (self.check_values and (indptr[1:] < indptr[:-1]).any())
        ):
            raise ValueError(
                f"{name}.indptr does not divide {len(indices)} entries among {shape[0]} rows"
            )
        if self.check_values:
            _check_indices(name, indptr, indices, shape[1])
        matrix = sp.csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=shape)
        matrix.has_canonical_format = True
        return matrix

    def weights(self, name: str, shape: tuple[int, int]) -> sp.csr_matrix:
        """Read a matrix of finite float32 weights from `weights_state`, in canonical form."""
        data = self.part(name).array("data", None)
        matrix = self.matrix(name, shape)
        if data.shape != matrix.data.shape:
            raise ValueError(
                f"{self._prefix}{name}.data has shape {data.shape}, but there are {matrix.nnz} "
                "indices"
            )
        matrix.data = data
        return matrix

    def texts(self, name: str, n: int | None) -> list[str]:
        """Read `n` strings that `text_state` wrote; None allows any number of 1 or more."""
        part, name = self.part(name), self._prefix + name
        lengths = part.array("lengths", (n,), np.int64)
        utf8 = part.array("utf8", None, np.uint8)
        try:
            text = utf8.tobytes().decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"{name}.utf8 is not UTF-8") from error
        # If no single length exceeds the text, the sum cannot overflow.
        if (lengths < 0).any() or (lengths > len(text)).any() or lengths.sum() != len(text):
            raise ValueError(f"{name}.lengths do not divide a text of {len(text)} characters")
        ends = np.cumsum(lengths).tolist()
        return [text[end - size : end] for end, size in zip(ends, lengths.tolist(), strict=True)]

    def _index_array(self, name: str) -> npt.NDArray[Any]:
        value = self._pop(name)
        if (
            not isinstance(value, np.ndarray)
            or value.dtype not in (np.int32, np.int64)
            or value.ndim != 1
        ):
            self._reject(name, "a 1-D array of int32 or int64", value)
        return value

    def _pop(self, name: str) -> Any:
        try:
            return self._values.pop(self._prefix + name)
        except KeyError:
            raise ValueError(f"{(self._prefix + name)[:80]!r} is missing") from None

    def _reject(self, name: str, expected: str, value: Any) -> NoReturn:
        raise ValueError(f"{self._prefix}{name} must be {expected}; got {describe(value)}")


def _check_indices(
    name: str, indptr: npt.NDArray[Any], indices: npt.NDArray[Any], n_columns: int
) -> None:
    """Check the columns of a matrix whose `indptr` is in order."""
    if ((indices < 0) | (indices >= n_columns)).any():
        raise ValueError(f"{name}.indices go beyond the {n_columns} columns")
    ascending = indices[1:] > indices[:-1]
    starts = indptr[1:-1]
    ascending[starts[(starts > 0) & (starts < len(indices))] - 1] = True
    if not ascending.all():
        raise ValueError(f"{name}.indices must ascend within each row")
