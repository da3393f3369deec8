"""Text files of columns, read in blocks by NumPy, with errors that name the line."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count, islice
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast
from warnings import catch_warnings, simplefilter

import numpy as np
import numpy.typing as npt

from recsk._describe import describe

__all__ = [
    "Location",
    "as_path",
    "find_columns",
    "open_bytes",
    "open_text",
    "read_blocks",
    "read_columns",
]

Location = Path | zipfile.Path  # both have what is needed here: open, is_file, iterdir, /

_BLOCK_LINES = 1 << 16  # NumPy parses as fast as with more, and a block stays at a few MB
_KINDS = {"i": "a whole number", "f": "a number", "O": "some text"}
_DELIMITERS = {"\t": "tab", ",": "comma"}
_SHOWN = 200  # characters of a header in an error
# What files begin with that are not read here, and what they are.
_OTHERS = {
    rb"PK\x03\x04": "a zip archive: unpack it first",
    rb"BZh\d1AY&SY": "packed by bzip2: unpack it, or pack it by gzip",
    rb"\xfd7zXZ\x00": "packed by xz: unpack it, or pack it by gzip",
    rb"\x28\xb5\x2f\xfd": "packed by zstd: unpack it, or pack it by gzip",
    rb"\xff\xfe|\xfe\xff": "UTF-16 text: write it as UTF-8",
}


def as_path(path: Any, name: str) -> Path:
    """Return a path, or raise a TypeError that calls it `name`."""
    if not isinstance(path, str | PathLike):
        raise TypeError(f"{name} must be a path, as a string or path-like; got {describe(path)}")
    return Path(path)


@contextmanager
def open_text(path: Location) -> Iterator[TextIO]:
    """Open UTF-8 text, packed by gzip or not, whatever its name says.

    Parameters
    ----------
    path : Path or zipfile.Path
        An existing file.

    Yields
    ------
    file : text file
        A byte order mark is skipped, and lines end in a newline however they did before.

    Raises
    ------
    ValueError
        If, while the file is read, it proves to be damaged or not UTF-8.
    """
    try:
        with open_bytes(path) as binary, io.TextIOWrapper(binary, encoding="utf-8-sig") as file:
            yield file
    except UnicodeDecodeError as error:
        # It counts the bytes from wherever the decoder began to read.
        raise ValueError(
            f"{path}, line {_not_utf8(path)}: must be UTF-8 text; got byte "
            f"{error.object[error.start]:#04x}, {error.reason}"
        ) from error


def _not_utf8(path: Location) -> int:
    """Number of the first line that is not UTF-8."""
    number = 1
    with open_bytes(path) as file:
        for line in file:
            try:
                line.decode()
            except UnicodeDecodeError:
                break
            number += 1
    return number


@contextmanager
def open_bytes(path: Location) -> Iterator[BinaryIO]:
    """Open a file of text, packed by gzip or not, to read bytes.

    A ValueError says if it is packed otherwise, or, while it is read, proves damaged.
    """
    try:
        with path.open("rb") as raw:
            start = raw.peek(10)[:10]  # type: ignore[attr-defined]
            for magic, what in _OTHERS.items():
                if re.match(magic, start):
                    raise ValueError(f"{path} must be text, plain or packed by gzip, but is {what}")
            packed = start[:2] == b"\x1f\x8b"
            with gzip.open(raw) if packed else raw as binary:
                yield cast(BinaryIO, binary)
    except (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged or was not downloaded in full: {error}") from error


def find_columns(
    header: str,
    wanted: Mapping[str, tuple[str, ...]],
    source: Any,
    *,
    delimiter: str,
    optional: Iterable[str] = (),
) -> dict[str, int]:
    """Find the columns of a table by the names in its first line.

    Parameters
    ----------
    header : str
        The line. Types after a colon, as in ``userID:token``, quotes and case are ignored.
    wanted : dict of str to tuple of str
        Our name of each column, and what it may be called there, in lower case.
    source : object
        What messages call the file.
    delimiter : str
        One character.
    optional : iterable of str
        Columns, by our name, that may be missing.

    Returns
    -------
    places : dict of str to int
        Where each column is, by our name; without those that are missing.

    Raises
    ------
    ValueError
        If a column is missing and not optional.
    """
    names = [name.split(":")[0].strip().strip('"') for name in header.split(delimiter)]
    lowered = [name.lower() for name in names]
    places = {}
    for ours, theirs in wanted.items():
        matches = [lowered.index(name) for name in theirs if name in lowered]
        if matches:
            places[ours] = matches[0]
        elif ours not in optional:
            got = str(names)
            got = got if len(got) <= _SHOWN else f"{got[:_SHOWN]}..."
            if header.startswith(("{", "[")):
                got = f"a line of JSON: {got}"
            raise ValueError(
                f"{source}: the header must have a column {' or '.join(theirs)} "
                f"({_DELIMITERS[delimiter]}-separated), got {got}."
            )
    return places


def read_blocks(
    lines: Iterable[str],
    source: Any,
    places: Mapping[str, int],
    types: Mapping[str, Any],
    *,
    delimiter: str,
    first_line: int,
) -> Iterator[npt.NDArray[Any]]:
    """Parse the lines of a table, some ten thousand at a time.

    Parameters
    ----------
    lines : iterable of str
        What follows the header. Blank lines are skipped.
    source : object
        What messages call the file.
    places : dict of str to int
        Which column holds what.
    types : dict of str to dtype
        Of each name in `places`: integers; floats, which must be finite; or ``object`` for
        text, which must not be empty and is taken without white space around it.
    delimiter : str
        One character.
    first_line : int
        Number of the first of the lines in the file, from 1.

    Yields
    ------
    block : structured ndarray
        A field for each name in `places`.

    Raises
    ------
    ValueError
        If a value is missing or of the wrong kind; file, line and value are named.
    """
    fields = {name: (place, types[name]) for name, place in places.items()}
    lines = iter(lines)
    for first in count(first_line, _BLOCK_LINES):
        block = list(islice(lines, _BLOCK_LINES))
        if not block:
            return
        filled = [line for line in block if not line.isspace()]
        if not filled:
            continue
        try:
            yield _parse(filled, fields, delimiter)
        except ValueError as error:
            _refuse(block, first, fields, delimiter, source)
            raise ValueError(
                f"{source}, lines {first} to {first + len(block) - 1}: {error}"
            ) from error


def read_columns(*args: Any, **kwargs: Any) -> dict[str, npt.NDArray[Any]]:
    """Whole columns of the table that :func:`read_blocks` reads; they may be empty."""
    parts: dict[str, list[npt.NDArray[Any]]] = {}
    for block in read_blocks(*args, **kwargs):
        for name in block.dtype.names or ():
            parts.setdefault(name, []).append(block[name].copy())
    # One column after another gives its parts free: half the memory of all at once.
    return {name: np.concatenate(parts.pop(name)) for name in list(parts)}


def _parse(
    lines: list[str], fields: Mapping[str, tuple[int, Any]], delimiter: str
) -> npt.NDArray[Any]:
    with catch_warnings():
        # NumPy 1 only warns that it reads 1.5 as the integer 1; told so, it raises ValueError.
        simplefilter("error", DeprecationWarning)
        table = np.loadtxt(
            lines,
            delimiter=delimiter,
            dtype=[(name, kind) for name, (_, kind) in fields.items()],
            usecols=[place for place, _ in fields.values()],
            comments=None,
            quotechar='"',
            ndmin=1,
        )
    if len(table) != len(lines):  # an opening quote takes all up to the next one
        raise ValueError("a quote is opened that is not closed in its line")
    for name in fields:
        column = table[name]
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            raise ValueError(f"{name} is not finite")
        if column.dtype.kind == "O":
            column[:] = [text.strip() for text in column.tolist()]
            if "" in column.tolist():
                raise ValueError(f"{name} is empty")
    return table


def _refuse(
    block: list[str],
    first: int,
    fields: Mapping[str, tuple[int, Any]],
    delimiter: str,
    source: Any,
) -> None:
    """Name the first line and value of a block that cannot be parsed."""
    for number, line in enumerate(block, first):
        if line.isspace():
            continue
        for name, field in fields.items():
            try:
                _parse([line], {name: field}, delimiter)
            except ValueError:
                raise ValueError(
                    f"{source}, line {number}: {name} must be {_KINDS[np.dtype(field[1]).kind]}, "
                    f"got {_value(line, field[0], delimiter)} in {line.rstrip()!r:.80}"
                ) from None  # what NumPy says counts lines from elsewhere


def _value(line: str, place: int, delimiter: str) -> str:
    try:
        return repr(_parse([line], {"value": (place, object)}, delimiter)["value"].item())
    except ValueError:
        return "no value"
