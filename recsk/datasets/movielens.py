"""Load the MovieLens data sets from the files of GroupLens."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import numpy.typing as npt
from sklearn.utils import Bunch

from recsk.data.labels import Labels
from recsk.datasets.films import FilmLine, parse_csv, parse_dat, parse_flags, read_films
from recsk.datasets.selection import EncodedColumn, RatingFilter
from recsk.datasets.tables import Location, check_path, find_columns, open_text, read_columns

_TYPES = {"user": np.int64, "film": np.int64, "rating": np.float32, "timestamp": np.int64}
_RATING_NAMES = {
    "user": ("userid",),
    "film": ("movieid",),
    "rating": ("rating",),
    "timestamp": ("timestamp",),
}


class _Format(NamedTuple):
    """One of the three file formats: names of the files, and how to parse them."""

    ratings: str
    films: str
    delimiter: str
    positions: tuple[int, ...] | None  # of user, film, rating and timestamp; None: see the header
    parse_films: Callable[[TextIO], Iterator[FilmLine]]


def load_movielens(
    path: str | PathLike[str], *, min_rating: float | None = None, min_count: int = 1
) -> Bunch:
    r"""Load a MovieLens data set from the files of GroupLens.

    This function reads ml-100k (``u.data`` and ``u.item``), ml-1m and ml-10m (``ratings.dat``
    and ``movies.dat``), and ml-20m, ml-25m, ml-32m and the ml-latest ones (``ratings.csv`` and
    ``movies.csv``). Download them, and read their terms of use, at
    https://grouplens.org/datasets/movielens; this function downloads nothing.

    The items are the films with at least one kept rating. Other films are left out: a test
    cannot reward their recommendation, and published figures do not count them.

    Parameters
    ----------
    path : str or path-like
        The downloaded zip file, which is read without extracting it, or the extracted folder.
    min_rating : float, default=None
        Keep ratings of at least this value, so that only films that users liked count as
        interactions. ``None``: keep all.
    min_count : int, default=1
        Keep users and films with at least this many interactions: the largest set of ratings in
        which this holds for every user and every film. Counted after `min_rating`.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the attributes:

        interactions : :class:`~recsk.Interactions`
            In the order of the file, with the rating as value and the time in seconds since
            1970. Repeated ratings of a film by the same user are kept. ``fit`` uses the ratings
            by ``sample_weight="value"``; ``interactions.with_value(None)`` leaves them out.
        user_ids : ndarray of shape (n_users,), int64
            Id in the files of each user, in ascending order.
        item_ids : ndarray of shape (n_items,), int64
            Id in the files of each film, in ascending order.
        titles : ndarray of shape (n_items,), object
            Titles, most with the year; "" for a film that is not in the film file.
        genres : list of str
            Names of the columns of ``item_features["genre"]``: all genres in the film file, in
            alphabetical order.
        item_features : dict of str to ndarray of shape (n_items, n_genres), float32
            ``"genre"``: 1 for every genre of a film, otherwise 0. A film without known genres
            has a row of NaN. The dict is empty if no film has known genres.
        name : str
            The name of the folder or the zip, such as ``"ml-25m"``.

    Raises
    ------
    FileNotFoundError
        If `path` does not exist, or one of the files is not in it.
    TypeError
        If `path` is not a path, or `min_rating` or `min_count` is not a number.
    ValueError
        If a file is damaged or empty, lacks a column, or has a line that cannot be read (the
        message names the line); if `path` holds several data sets; if no rating is kept; or if
        the film file has none of the films.

    See Also
    --------
    load_amazon_reviews : Load product reviews with texts and image URLs.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from recsk.datasets import load_movielens
    >>> ratings = "userId,movieId,rating,timestamp\n7,50,4.0,1000\n7,3,1.5,1010\n9,50,5.0,990\n"
    >>> films = 'movieId,title,genres\n3,"Kid, The (1921)",Comedy|Drama\n50,Alien (1979),Horror\n'
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "ratings.csv").write_text(ratings)
    ...     _ = Path(folder, "movies.csv").write_text(films)
    ...     data = load_movielens(folder)
    ...     liked = load_movielens(folder, min_rating=4)
    >>> data.interactions
    Interactions(n_interactions=3, n_users=2, n_items=2, timestamp=int64, value=float32)
    >>> data.titles[data.interactions.item].tolist()
    ['Alien (1979)', 'Kid, The (1921)', 'Alien (1979)']
    >>> data.genres
    ['Comedy', 'Drama', 'Horror']
    >>> data.item_features["genre"]
    array([[1., 1., 0.],
           [0., 0., 1.]], dtype=float32)
    >>> liked.interactions.n_items, liked.item_ids
    (1, array([50]))
    """
    rating_filter = RatingFilter(min_rating, min_count)
    path = check_path(path, "path")
    with _open_root(path) as root:
        folder, file_format = _find_data_set(root)
        films = read_films(folder / file_format.films, file_format.parse_films)
        ratings = _read_ratings(folder / file_format.ratings, file_format)
    user = _encode(ratings.pop("user"), "user")
    item = _encode(ratings.pop("film"), "film")
    selected = rating_filter.apply(user, item, ratings["rating"], ratings["timestamp"], path)

    item_ids = selected.item_ids.tolist()
    if not films.keys() & set(item_ids):
        raise ValueError(
            f"{path}: {file_format.films} must be of the same data set as {file_format.ratings}, "
            f"but it has none of the {len(item_ids)} films with ratings, such as {item_ids[0]}."
        )
    titles_and_genres = [films.get(film, ("", [])) for film in item_ids]
    genres = sorted({genre for _, film_genres in films.values() for genre in film_genres})
    features = _multi_hot([film_genres for _, film_genres in titles_and_genres], genres)
    return Bunch(
        interactions=selected.interactions,
        # Copies, so that writing to them does not change the labels of the interactions.
        user_ids=selected.user_ids.copy(),
        item_ids=selected.item_ids.copy(),
        titles=np.array([title for title, _ in titles_and_genres], dtype=object),
        genres=genres,
        item_features={} if np.isnan(features).all() else {"genre": features},
        name=path.stem if path.is_file() else path.resolve().name,
    )


@contextmanager
def _open_root(path: Path) -> Iterator[Location]:
    if path.is_dir():
        yield path
    elif path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                yield zipfile.Path(archive)
        except zipfile.BadZipFile as error:
            raise ValueError(
                f"path must be a folder or a whole zip file, got {str(path)!r}: {error}"
            ) from error
    else:
        raise FileNotFoundError(f"path must be an existing folder or zip, got {str(path)!r}.")


def _find_data_set(root: Location) -> tuple[Location, _Format]:
    """Find the one data set in `root` or, as in a zip, in a folder of it."""
    entries: list[Location] = sorted(root.iterdir(), key=str)
    folders: list[Location] = [root, *(entry for entry in entries if entry.is_dir())]
    found = [
        (folder, file_format)
        for folder in folders
        for file_format in _FORMATS
        if (folder / file_format.ratings).is_file()
    ]
    if not found:
        expected = [file_format.ratings for file_format in _FORMATS]
        names = ", ".join(entry.name for entry in entries) or "nothing"
        raise FileNotFoundError(
            f"{root} must hold {', '.join(expected[:-1])} or {expected[-1]}, found {names}."
        )
    if len(found) > 1:
        names = ", ".join(str(folder / file_format.ratings) for folder, file_format in found)
        raise ValueError(f"{root} must hold one data set, found {names}.")
    folder, file_format = found[0]
    if not (folder / file_format.films).is_file():
        raise FileNotFoundError(
            f"{folder} must hold {file_format.films} beside {file_format.ratings}."
        )
    return folder, file_format


def _read_ratings(path: Location, file_format: _Format) -> dict[str, npt.NDArray]:
    delimiter = file_format.delimiter
    with open_text(path) as file:
        if file_format.positions is None:
            first_line = 2  # below the header
            positions = find_columns(file.readline(), _RATING_NAMES, path, delimiter=delimiter)
        else:
            first_line = 1
            positions = dict(zip(_TYPES, file_format.positions, strict=True))
        columns = read_columns(
            file, path, positions, _TYPES, delimiter=delimiter, first_line=first_line
        )
    if not columns:
        raise ValueError(f"{path} must hold ratings, got none.")
    return columns


def _multi_hot(film_genres: list[list[str]], genres: list[str]) -> npt.NDArray[np.float32]:
    """Encode the genres of each film as 0 and 1; a film without genres gets a row of NaN."""
    columns = {genre: column for column, genre in enumerate(genres)}
    features = np.full((len(film_genres), len(genres)), np.nan, dtype=np.float32)
    for row, names in enumerate(film_genres):
        if names:
            features[row] = 0
            features[row, [columns[name] for name in names]] = 1
    return features


_FORMATS = (
    _Format("u.data", "u.item", "\t", (0, 1, 2, 3), parse_flags),
    _Format("ratings.dat", "movies.dat", ":", (0, 2, 4, 6), parse_dat),  # "::" is two delimiters
    _Format("ratings.csv", "movies.csv", ",", None, parse_csv),
)


def _encode(column: npt.NDArray[Any], name: str) -> EncodedColumn:
    codes, labels = Labels.from_column(column, name)
    return EncodedColumn(codes, labels.values)
