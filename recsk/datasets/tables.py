"""Read text files of columns in blocks with NumPy; errors name the line."""

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

from recsk.data.checks import describe

__all__ = [
    "Location",
    "check_path",
    "find_columns",
    "open_bytes",
    "open_text",
    "read_blocks",
    "read_columns",
]

Location = Path | zipfile.Path  # both have open, is_file, iterdir and /
_BLOCK_LINES = 1 << 16  # as fast as larger blocks, at a few MB per block
_KIND_NAMES = {"i": "a whole number", "f": "a number", "O": "some text"}
_DELIMITER_NAMES = {"\t": "tab", ",": "comma"}
_HEADER_CHARACTERS = 200  # how much of a header an error message shows
# First bytes of files that cannot be read, with the cure.
_UNSUPPORTED = {
    rb"PK\x03\x04": "a zip archive: unpack it first",
    rb"BZh\d1AY&SY": "packed by bzip2: unpack it, or pack it by gzip",
    rb"\xfd7zXZ\x00": "packed by xz: unpack it, or pack it by gzip",
    rb"\x28\xb5\x2f\xfd": "packed by zstd: unpack it, or pack it by gzip",
    rb"\xff\xfe|\xfe\xff": "UTF-16 text: write it as UTF-8",
}


def check_path(path: Any, name: str) -> Path:
    """Check that an argument is a path and return it; `name` is its name in error messages."""
    if not isinstance(path, str | PathLike):
        raise TypeError(f"{name} must be a path, as a string or path-like; got {describe(path)}")
    return Path(path)


@contextmanager
def open_text(path: Location) -> Iterator[TextIO]:
    """Open a file of UTF-8 text, plain or packed by gzip, whatever its name.

    Parameters
    ----------
    path : Path or zipfile.Path
        An existing file.

    Yields
    ------
    file : text file
        Without a byte order mark. Every line ends in a newline, whatever the line ends of the
        file are.

    Raises
    ------
    ValueError
        While the file is read, if it is damaged or not UTF-8.
    """
    try:
        with open_bytes(path) as binary, io.TextIOWrapper(binary, encoding="utf-8-sig") as file:
            yield file
    except UnicodeDecodeError as error:
        # The position in `error` counts from the start of a chunk, so the line is found again.
        raise ValueError(
            f"{path}, line {_find_bad_encoding(path)}: must be UTF-8 text; got byte "
            f"{error.object[error.start]:#04x}, {error.reason}"
        ) from error


def _find_bad_encoding(path: Location) -> int:
    """Return the number of the first line that is not UTF-8, from 1."""
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
    """Open a text file, plain or packed by gzip, to read bytes.

    Raises
    ------
    ValueError
        If the file is packed in another way; while it is read, if it is damaged.
    """
    try:
        with path.open("rb") as raw:
            start = raw.peek(10)[:10]  # type: ignore[attr-defined]
            for magic, what in _UNSUPPORTED.items():
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
    """Find the positions of columns by the names in the header.

    Parameters
    ----------
    header : str
        The first line of the table. Types after a colon, as in ``userID:token``, quotes and case
        are ignored.
    wanted : dict of str to tuple of str
        Our name of each column, and its possible names in the header, in lower case.
    source : object
        Name of the file in error messages.
    delimiter : str
        One character.
    optional : iterable of str
        Columns, by our name, that may be missing.

    Returns
    -------
    positions : dict of str to int
        Position of each column, by our name. Missing columns are left out.

    Raises
    ------
    ValueError
        If a column is missing and not optional.
    """
    names = [name.split(":")[0].strip().strip('"') for name in header.split(delimiter)]
    lowered = [name.lower() for name in names]
    positions = {}
    for ours, theirs in wanted.items():
        matches = [lowered.index(name) for name in theirs if name in lowered]
        if matches:
            positions[ours] = matches[0]
        elif ours not in optional:
            got = str(names)
            got = got if len(got) <= _HEADER_CHARACTERS else f"{got[:_HEADER_CHARACTERS]}..."
            if header.startswith(("{", "[")):
                got = f"a line of JSON: {got}"
            raise ValueError(
                f"{source}: the header must have a column {' or '.join(theirs)} "
                f"({_DELIMITER_NAMES[delimiter]}-separated), got {got}."
            )
    return positions


def read_blocks(
    lines: Iterable[str],
    source: Any,
    positions: Mapping[str, int],
    types: Mapping[str, Any],
    *,
    delimiter: str,
    first_line: int,
) -> Iterator[npt.NDArray[Any]]:
    """Parse the lines of a table in blocks of 65,536 lines.

    Parameters
    ----------
    lines : iterable of str
        The lines below the header. Blank lines are skipped.
    source : object
        Name of the file in error messages.
    positions : dict of str to int
        Position of each column.
    types : dict of str to dtype
        Type of each column in `positions`: integers; floats, which must be finite; or ``object``
        for text, which must not be empty and loses the white space around it.
    delimiter : str
        One character.
    first_line : int
        Line number of the first of `lines` in the file, from 1.

    Yields
    ------
    block : structured ndarray
        With a field for each name in `positions`.

    Raises
    ------
    ValueError
        If a value is missing or of the wrong kind; the message names file, line and value.
    """
    fields = {name: (position, types[name]) for name, position in positions.items()}
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
            _raise_for_first_bad_line(block, first, fields, delimiter, source)
            raise ValueError(
                f"{source}, lines {first} to {first + len(block) - 1}: {error}"
            ) from error


def read_columns(*args: Any, **kwargs: Any) -> dict[str, npt.NDArray[Any]]:
    """Read the whole columns of a table; parameters as for :func:`read_blocks`.

    Returns
    -------
    columns : dict of str to ndarray of shape (n_rows,)
        Empty if the table has no rows.
    """
    parts: dict[str, list[npt.NDArray[Any]]] = {}
    for block in read_blocks(*args, **kwargs):
        for name in block.dtype.names or ():
            parts.setdefault(name, []).append(block[name].copy())
    # `pop` frees the parts of each column in turn: half the memory of all columns at once.
    return {name: np.concatenate(parts.pop(name)) for name in list(parts)}


def _parse(
    lines: list[str], fields: Mapping[str, tuple[int, Any]], delimiter: str
) -> npt.NDArray[Any]:
    """Parse lines into a structured array; `fields` are the position and type of each column."""
    with catch_warnings():
        # NumPy 1 reads 1.5 as the integer 1 with a mere warning. As an error, the warning becomes
        # a ValueError.
        simplefilter("error", DeprecationWarning)
        table = np.loadtxt(
            lines,
            delimiter=delimiter,
            dtype=[(name, kind) for name, (_, kind) in fields.items()],
            usecols=[position for position, _ in fields.values()],
            comments=None,
            quotechar='"',
            ndmin=1,
        )
    if len(table) != len(lines):  # an opening quote takes all text up to the next quote
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


def _raise_for_first_bad_line(
    block: list[str],
    first: int,
    fields: Mapping[str, tuple[int, Any]],
    delimiter: str,
    source: Any,
) -> None:
    """Raise an error that names the first line and value of a block that cannot be parsed."""
    for number, line in enumerate(block, first):
        if line.isspace():
            continue
        for name, field in fields.items():
            try:
                _parse([line], {name: field}, delimiter)
            except ValueError:
                raise ValueError(
                    f"{source}, line {number}: {name} must be "
                    f"{_KIND_NAMES[np.dtype(field[1]).kind]}, "
                    f"got {_describe_value(line, field[0], delimiter)} in {line.rstrip()!r:.80}"
                ) from None  # the message of NumPy counts lines within the block


def _describe_value(line: str, position: int, delimiter: str) -> str:
    try:
        return repr(_parse([line], {"value": (position, object)}, delimiter)["value"].item())
    except ValueError:
        return "no value"
