"""What a check expects, and the words of its error where something else came."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from scipy import sparse

from recsk.data.interactions import Interactions

__all__ = [
    "expect",
    "expect_close",
    "expect_equal",
    "expect_error",
    "expect_identical",
    "expect_same",
]

_RTOL, _ATOL = 1e-5, 1e-6  # rounding of float32


def expect(holds: Any, message: str) -> None:
    """Raise an AssertionError with this message unless `holds`, also under ``python -O``."""
    if not holds:
        raise AssertionError(message)


def expect_equal(got: Any, expected: Any, what: str) -> None:
    """Expect equal arrays or numbers."""
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape == expected.shape:
        _expect_all(got == expected, got, expected, what)
    else:
        raise AssertionError(f"{what}: got {short(got)}, expected {short(expected)}")


def expect_close(got: Any, expected: Any, what: str) -> None:
    """Expect numbers that are equal up to rounding."""
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape == expected.shape:
        _expect_all(is_close(got, expected), got, expected, what)
    else:
        raise AssertionError(f"{what}: got {short(got)}, expected {short(expected)}")


def expect_same(got: Any, expected: Any, what: str) -> None:
    """Expect the same items with the same scores, up to rounding of the scores."""
    for part, found, wanted in zip(("ids", "scores"), got, expected, strict=True):
        found, wanted = np.asarray(found), np.asarray(wanted)
        if found.shape != wanted.shape:
            raise AssertionError(
                f"{what}: got {part} of shape {found.shape}, expected shape {wanted.shape}"
            )
        equal = found == wanted if part == "ids" else is_close(found, wanted)
        if not equal.all():
            row = _first_row(equal)
            where = f" in row {row[0]}" if row else ""
            raise AssertionError(
                f"{what}: got {part} {short(found[row])}{where}, expected {short(wanted[row])}"
                + (_scores_of(got, expected, row) if part == "ids" else "")
            )


def is_close(got: Any, expected: Any) -> Any:
    """Return which numbers are equal, up to the rounding of float32 in sums of these sizes."""
    largest = np.abs(expected, where=np.isfinite(expected), out=np.zeros(np.shape(expected)))
    atol = _ATOL * max(1.0, largest.max(initial=0))
    return np.isclose(got, expected, rtol=_RTOL, atol=atol, equal_nan=True)


def expect_identical(got: Any, expected: Any, what: str, *, but: Iterable[str] = ()) -> None:
    """Expect the same fitted model, to the last bit of everything that it holds.

    `but` names attributes that may differ.
    """
    expect(got is not expected, f"{what}: both are one object")
    one, other = ({n: x for n, x in vars(m).items() if n not in but} for m in (got, expected))
    different = sorted(one.keys() ^ other.keys())
    expect(not different, f"{what}: only one of the two models has {', '.join(different)}")
    for name in one:
        expect(
            _plain(one[name]) == _plain(other[name]),
            f"{what}: {name} differs; got {short(one[name])}, expected {short(other[name])}",
        )


def expect_error(
    call: Callable[[], Any],
    errors: type[Exception] | tuple[type[Exception], ...],
    words: str | Iterable[str],
    asked: str,
) -> None:
    """Expect an error of one of these types whose message has all the words."""
    errors = errors if isinstance(errors, tuple) else (errors,)
    words = [words] if isinstance(words, str) else list(words)
    types = " or ".join(error.__name__ for error in errors)
    wanted = f"{asked} must raise {types}" + (f" that names {', '.join(words)}" if words else "")
    try:
        answer = call()
    except errors as error:
        for word in words:
            pattern = rf"\b{word}\b" if word.isidentifier() else re.escape(word)
            expect(re.search(pattern, str(error)), f"{wanted}; its message is: {error}")
    except Exception as error:
        raise AssertionError(f"{wanted}; got {type(error).__name__}: {error}") from error
    else:
        raise AssertionError(f"{wanted}; got the answer {short(answer)}")


def _expect_all(equal: Any, got: np.ndarray, expected: np.ndarray, what: str) -> None:
    if not np.all(equal):
        row = _first_row(equal)
        where = f" in row {row[0]}" if row else ""
        raise AssertionError(
            f"{what}: got {short(got[row])}{where}, expected {short(expected[row])}"
        )


def _first_row(equal: Any) -> tuple[int, ...]:
    """Return the index of the first row with a difference; () for less than 2 axes."""
    return tuple(np.argwhere(~equal)[0][:-1].tolist()) if np.ndim(equal) > 1 else ()


def _plain(x: Any) -> Any:
    """Arrays and objects as text and bytes, which are equal where their contents are."""
    if sparse.issparse(x):
        csr = x.tocsr()
        return [x.format, x.shape, *map(_plain, (csr.indptr, csr.indices, csr.data))]
    if isinstance(x, np.ndarray) and x.dtype == object:
        return [x.shape, _plain(x.ravel().tolist())]
    if isinstance(x, Interactions):
        return [type(x).__name__, _plain(vars(x))]
    if hasattr(x, "__array__"):  # of NumPy, or a tensor
        x = np.asarray(x)
        return [x.dtype.str, x.shape, x.tobytes()]
    if isinstance(x, dict):
        return [[str(key), _plain(value)] for key, value in x.items()]
    if isinstance(x, list | tuple):
        return [_plain(value) for value in x]
    if hasattr(x, "__dict__") and not isinstance(x, type):
        # What a pickle holds: without what is looked up once and kept.
        return [type(x).__name__, _plain(x.__getstate__())]
    text = repr(x)
    return type(x).__name__ if " at 0x" in text else text  # an address means nothing


def _scores_of(got: Any, expected: Any, row: tuple[Any, ...]) -> str:
    return f", with the scores {short(got[1][row])} and {short(expected[1][row])}"


def short(x: Any) -> str:
    """Return a value as text that an error message can hold."""
    if isinstance(x, tuple):
        return f"({', '.join(map(short, x))})"
    if not isinstance(x, np.ndarray):
        text = repr(x.item() if isinstance(x, np.generic) else x)
    elif x.size > 200:
        text = f"an array of {x.dtype} and shape {x.shape}"
    else:
        text = np.array2string(x, precision=6, threshold=40, separator=", ").replace("\n", "")
    return text if len(text) <= 300 else f"{text[:300]}..."
