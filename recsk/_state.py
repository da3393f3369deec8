"""The fitted state of a model as a flat dict, and the checks by which it is read back."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk._describe import describe

__all__ = ["StateReader", "flatten", "matrix_state", "text_state"]

_MAX_INT = 2**63 - 1


def flatten(state: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Write a dict of dicts as one, with dots between the names, and NumPy scalars as Python's.

    Examples
    --------
    >>> from recsk._state import flatten
    >>> flatten({"a": 1, "b": {"c": 2}})
    {'a': 1, 'b.c': 2}
    """
    flat = {}
    for name, value in state.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value.item() if isinstance(value, np.generic) else value
    return flat


def matrix_state(matrix: sp.csr_matrix) -> dict[str, Any]:
    """Give the arrays of a matrix of ones, whose values need no place."""
    if not (matrix.data == 1).all():
        raise ValueError("interactions must hold ones only")
    return {"indptr": matrix.indptr, "indices": matrix.indices}


def text_state(texts: Collection[str]) -> dict[str, Any]:
    """Give many strings, such as names of items, as two arrays."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    return {
        "lengths": lengths,
        "utf8": np.frombuffer("".join(texts).encode(), dtype=np.uint8),
    }


class StateReader:
    """Take values out of a state that nobody vouches for, each by what it has to be.

    Nothing is larger than the arrays that came: whatever a size says is compared with them
    before anything is made of that size.

    Parameters
    ----------
    values : dict
        As `flatten` gives it. What is taken is removed.
    prefix : str, default=""
        Of the names that this reader sees.

    Examples
    --------
    >>> from recsk._state import StateReader
    >>> state = StateReader({"fold.n_layers": 2})
    >>> state.part("fold").integer("n_layers", 0)
    2
    >>> state.finish()
    """

    def __init__(self, values: dict[str, Any], prefix: str = "") -> None:
        self._values, self._prefix = values, prefix

    def part(self, name: str) -> StateReader:
        """Read what is stored under a name."""
        return StateReader(self._values, f"{self._prefix}{name}.")

    def names(self) -> list[str]:
        """What has not been taken yet."""
        start = len(self._prefix)
        return [name[start:] for name in self._values if name.startswith(self._prefix)]

    def finish(self) -> None:
        """Refuse what nobody took."""
        for name in self._values:
            raise ValueError(f"{name[:80]!r} is not known")

    def integer(self, name: str, low: int, high: int = _MAX_INT) -> int:
        """An int from `low` to `high`."""
        value = self._take(name)
        if type(value) is not int or not low <= value <= high:
            self._refuse(name, f"an int from {low} to {high}", value)
        return value

    def optional_integer(self, name: str, low: int) -> int | None:
        """An int from `low` on, or None."""
        if self._values.get(self._prefix + name, 0) is None:
            return self._take(name)
        return self.integer(name, low)

    def number(self, name: str, low: float, high: float = math.inf) -> float:
        """A finite number from `low` to `high`."""
        value = self._take(name)
        if type(value) not in (int, float) or not (low <= value <= high and math.isfinite(value)):
            self._refuse(name, f"a finite number from {low:g} to {high:g}", value)
        return value

    def flag(self, name: str) -> bool:
        """True or False."""
        value = self._take(name)
        if not isinstance(value, bool):
            self._refuse(name, "true or false", value)
        return value

    def choice(self, name: str, options: Collection[str]) -> str:
        """One of `options`."""
        value = self._take(name)
        if not isinstance(value, str) or value not in options:
            self._refuse(name, f"one of {', '.join(options)}", value)
        return value

    def strings(self, name: str) -> list[str]:
        """A list of different strings."""
        value = self._take(name)
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            self._refuse(name, "a list of strings", value)
        if len(set(value)) < len(value):
            self._refuse(name, "a list without repeats", value)
        return value

    def array(
        self, name: str, shape: tuple[int | None, ...] | None, dtype: npt.DTypeLike = np.float32
    ) -> npt.NDArray[Any]:
        """A finite array.

        Parameters
        ----------
        name : str
        shape : tuple of int or None, or None
            None for an axis is any length from 1 on; None in all is any shape.
        dtype : dtype, default=float32
        """
        value = self._take(name)
        if not isinstance(value, np.ndarray) or value.dtype != dtype:
            self._refuse(name, f"an array of dtype {np.dtype(dtype)}", value)
        if shape is not None and not (
            len(shape) == value.ndim
            and all(
                have == want if want is not None else have > 0
                for have, want in zip(value.shape, shape, strict=True)
            )
        ):
            wanted = ", ".join("any" if want is None else str(want) for want in shape)
            self._refuse(name, f"of shape ({wanted})", value)
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ValueError(f"{self._prefix}{name} must be finite")
        return value

    def curve(self, name: str) -> list[float]:
        """Finite numbers, as many as there are."""
        value = self._values.get(self._prefix + name)
        length = value.size if isinstance(value, np.ndarray) else 0
        return self.array(name, (length,), np.float64).tolist()

    def matrix(self, name: str, shape: tuple[int, int]) -> sp.csr_matrix:
        """A matrix of ones in canonical form: within its bounds, sorted, nothing twice."""
        part, name = self.part(name), self._prefix + name
        indptr, indices = part._integers("indptr"), part._integers("indices")
        if indptr.dtype != indices.dtype:
            raise ValueError(f"{name} has indices of dtypes {indptr.dtype} and {indices.dtype}")
        # Compared, not subtracted: a difference may overflow.
        if (
            len(indptr) != shape[0] + 1
            or indptr[0] != 0
            or indptr[-1] != len(indices)
            or (indptr[1:] < indptr[:-1]).any()
        ):
            raise ValueError(
                f"{name}.indptr does not divide {len(indices)} entries among {shape[0]} rows"
            )
        if ((indices < 0) | (indices >= shape[1])).any():
            raise ValueError(f"{name}.indices go beyond the {shape[1]} columns")
        ascending = indices[1:] > indices[:-1]
        starts = indptr[1:-1]
        ascending[starts[(starts > 0) & (starts < len(indices))] - 1] = True
        if not ascending.all():
            raise ValueError(f"{name}.indices must ascend within each row")
        matrix = sp.csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=shape)
        matrix.has_canonical_format = True
        return matrix

    def texts(self, name: str, n: int) -> list[str]:
        """Give `n` strings that `text_state` wrote."""
        part, name = self.part(name), self._prefix + name
        lengths = part.array("lengths", (n,), np.int64)
        utf8 = part.array("utf8", None, np.uint8)
        try:
            text = utf8.tobytes().decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"{name}.utf8 is not UTF-8") from error
        # No single length beyond the text: then their sum cannot overflow.
        if (lengths < 0).any() or (lengths > len(text)).any() or lengths.sum() != len(text):
            raise ValueError(f"{name}.lengths do not divide a text of {len(text)} characters")
        ends = np.cumsum(lengths).tolist()
        return [text[end - size : end] for end, size in zip(ends, lengths.tolist(), strict=True)]

    def _integers(self, name: str) -> npt.NDArray[Any]:
        value = self._take(name)
        if (
            not isinstance(value, np.ndarray)
            or value.dtype not in (np.int32, np.int64)
            or value.ndim != 1
        ):
            self._refuse(name, "a 1-D array of int32 or int64", value)
        return value

    def _take(self, name: str) -> Any:
        try:
            return self._values.pop(self._prefix + name)
        except KeyError:
            raise ValueError(f"{(self._prefix + name)[:80]!r} is missing") from None

    def _refuse(self, name: str, expected: str, value: Any) -> NoReturn:
        raise ValueError(f"{self._prefix}{name} must be {expected}; got {describe(value)}")
