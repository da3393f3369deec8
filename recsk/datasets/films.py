"""Read the titles and genres of the films of MovieLens from its three file formats."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import NamedTuple, TextIO

from recsk.datasets.tables import Location, find_columns, open_bytes

__all__ = ["FilmLine", "parse_csv", "parse_dat", "parse_flags", "read_films"]

_NAMES = {"film": ("movieid",), "title": ("title",), "genres": ("genres",)}
# In the order of the flags in u.item.
_FLAG_GENRES = (
    "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|Fantasy|"
    "Film-Noir|Horror|Musical|Mystery|Romance|Sci-Fi|Thriller|War|Western"
).split("|")
_NO_GENRE = ("", "unknown", "(no genres listed)")


class FilmLine(NamedTuple):
    """One film as written in a file; `number` is the number of its line, from 1."""

    number: int
    film: str
    title: str
    genres: list[str]


def read_films(
    path: Location, parse: Callable[[TextIO], Iterator[FilmLine]]
) -> dict[int, tuple[str, list[str]]]:
    """Read the titles and genres of films.

    Parameters
    ----------
    path : Path or zipfile.Path
        Encoded in UTF-8, or in Latin-1 as the older files are; plain or packed by gzip.
    parse : callable
        The function for the format of the file: `parse_flags`, `parse_dat` or `parse_csv`.

    Returns
    -------
    films : dict of int to tuple of (str, list of str)
        Title and genres by the id of the film. The list is empty if the genres are unknown.

    Raises
    ------
    ValueError
        If there is no film, or a line cannot be read; the message names file and line.
    """
    with open_bytes(path) as file:
        content = file.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:  # accented letters in Latin-1 are hardly ever valid UTF-8
        text = content.decode("latin-1")
    films = {}
    try:
        for number, film, title, genres in parse(io.StringIO(text, newline=None)):
            if not film.strip().isdecimal():
                raise ValueError(
                    f"line {number}: the id of a film must be a whole number, got {film!r}"
                )
            films[int(film)] = (title.strip(), [name for name in genres if name not in _NO_GENRE])
    except ValueError as error:
        raise ValueError(f"{path}, {error}") from error
    if not films:
        raise ValueError(f"{path} must hold films, got none.")
    return films


def parse_flags(file: TextIO) -> Iterator[FilmLine]:
    """Parse lines ``id|title|release|video release|url`` followed by a flag for each genre."""
    for number, line in enumerate(file, 1):
        if line.isspace():
            continue
        fields = line.rstrip("\n").split("|")
        if len(fields) != 5 + len(_FLAG_GENRES):
            raise ValueError(
                f"line {number}: expected {5 + len(_FLAG_GENRES)} values separated by '|', "
                f"got {len(fields)}"
            )
        flags = zip(_FLAG_GENRES, fields[5:], strict=True)
        genres = [genre for genre, flag in flags if flag == "1"]
        yield FilmLine(number, fields[0], fields[1], genres)


def parse_dat(file: TextIO) -> Iterator[FilmLine]:
    """Parse lines ``id::title::genres``."""
    for number, line in enumerate(file, 1):
        if line.isspace():
            continue
        fields = line.rstrip("\n").split("::")
        if len(fields) < 3:
            raise ValueError(f"line {number}: expected id::title::genres, got {line.rstrip()!r}")
        yield FilmLine(number, fields[0], "::".join(fields[1:-1]), fields[-1].split("|"))


def parse_csv(file: TextIO) -> Iterator[FilmLine]:
    """Parse lines ``id,title,genres`` below a header; titles with commas are in quotes."""
    header = file.readline()
    positions = find_columns(header, _NAMES, "line 1", delimiter=",")
    width = header.count(",") + 1
    # Strict, or an unclosed quote would take all films below it into one title.
    rows = csv.reader(file, strict=True)
    while True:
        begin = rows.line_num + 2  # line number in the file: after the header, from 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise ValueError(f"line {begin}: {error}") from error
        if row is None:
            return
        number = rows.line_num + 1
        if not row:
            continue
        if len(row) != width:  # too many values come from a comma in a title without quotes
            raise ValueError(f"line {number}: expected {width} values, got {len(row)}: {row}")
        film, title, genres = (row[positions[name]] for name in _NAMES)
        yield FilmLine(number, film, title, genres.split("|"))
