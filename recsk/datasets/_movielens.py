"""Reader of the MovieLens data sets, as GroupLens distributes them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
import numpy.typing as npt
from sklearn.utils import Bunch

from recsk._frames import encode_labels
from recsk.datasets._films import Line, parse_csv, parse_dat, parse_flags, read_films
from recsk.datasets._selection import Coded, Selection
from recsk.datasets._tables import Location, as_path, find_columns, open_text, read_columns

_TYPES = {"user": np.int64, "film": np.int64, "rating": np.float32, "timestamp": np.int64}
_RATING_NAMES = {
    "user": ("userid",),
    "film": ("movieid",),
    "rating": ("rating",),
    "timestamp": ("timestamp",),
}


class _Form(NamedTuple):
    """One of the three ways in which the files are written."""

    ratings: str
    films: str
    delimiter: str
    places: tuple[int, ...] | None  # of user, film, rating and timestamp; None: by a header
    parse_films: Callable[[TextIO], Iterator[Line]]


def load_movielens(
    path: str | PathLike[str], *, min_rating: float | None = None, min_count: int = 1
) -> Bunch:
    r"""Load a MovieLens data set from the files of GroupLens.

    All of them are read: ml-100k (``u.data`` and ``u.item``), ml-1m and ml-10m
    (``ratings.dat`` and ``movies.dat``), ml-20m, ml-25m, ml-32m and the ml-latest ones
    (``ratings.csv`` and ``movies.csv``). They are at https://grouplens.org/datasets/movielens,
    with the terms of their use; nothing is downloaded here.

    The catalogue is the films that have a rating which is kept. Films without one are left
    out: no test can reward that they are recommended, and published figures do not count
    them.

    Parameters
    ----------
    path : str or path-like
        The zip as it was downloaded, which is read without being extracted, or the folder
        it was extracted to.
    min_rating : float, default=None
        Keep ratings of at least this, to count as interactions only what people liked.
        ``None``: all.
    min_count : int, default=1
        Keep users and films with at least so many interactions: the largest set of
        ratings in which this holds for all of both. Counted after `min_rating`.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the attributes:

        interactions : :class:`~recsk.Interactions`
            In the order of the file, the rating as value and the time in seconds since
            1970. A film that somebody rated twice is there twice.
        user_ids : ndarray of shape (n_users,), int64
            Who user *u* is in the files, ascending.
        item_ids : ndarray of shape (n_items,), int64
            Which film item *i* is in the files, ascending.
        titles : ndarray of shape (n_items,), object
            Titles, most with the year; "" for a film that has no line in the film file.
        genres : list of str
            Names of the columns of ``item_features["genre"]``: all genres in the film
            file, in alphabetical order.
        item_features : dict of str to ndarray of shape (n_items, n_genres), float32
            ``"genre"``: 1 for every genre of a film and else 0; NaN in the rows of films
            of unknown genre. Empty if that is all of them.
        name : str
            The name of the folder or the zip, such as ``"ml-25m"``.

    Raises
    ------
    FileNotFoundError
        If there is nothing at `path`, or one of the files is not in it.
    TypeError
        If `path` is no path or `min_rating` or `min_count` no number.
    ValueError
        If a file is damaged or empty, lacks a column, or has a line that cannot be read,
        which the message names; if `path` holds several data sets; if no rating is kept; or
        if the film file has none of the films.

    See Also
    --------
    load_amazon_reviews : Reader of product reviews, with texts and images.

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
    selection = Selection(min_rating, min_count)
    path = as_path(path, "path")
    with _open_root(path) as root:
        folder, form = _find(root)
        films = read_films(folder / form.films, form.parse_films)
        ratings = _read_ratings(folder / form.ratings, form)
    user = Coded(*encode_labels(ratings.pop("user"), "user", None))
    item = Coded(*encode_labels(ratings.pop("film"), "film", None))
    kept = selection.apply(user, item, ratings["rating"], ratings["timestamp"], path)

    item_ids = kept.item_ids.tolist()
    if not films.keys() & set(item_ids):
        raise ValueError(
            f"{path}: {form.films} must be of the same data set as {form.ratings}, but it has none "
            f"of the {len(item_ids)} films with ratings, such as {item_ids[0]}."
        )
    known = [films.get(film, ("", [])) for film in item_ids]
    genres = sorted({genre for _, listed in films.values() for genre in listed})
    features = _multi_hot([listed for _, listed in known], genres)
    return Bunch(
        interactions=kept.interactions,
        user_ids=kept.user_ids.copy(),  # those of the interactions are not to be written to
        item_ids=kept.item_ids.copy(),
        titles=np.array([title for title, _ in known], dtype=object),
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


def _find(root: Location) -> tuple[Location, _Form]:
    """Folder and form of the one data set in `root` or a folder right below, as in a zip."""
    held: list[Location] = sorted(root.iterdir(), key=str)
    folders: list[Location] = [root, *(entry for entry in held if entry.is_dir())]
    found = [(at, form) for at in folders for form in _FORMS if (at / form.ratings).is_file()]
    if not found:
        names = ", ".join(entry.name for entry in held) or "nothing"
        raise FileNotFoundError(
            f"{root} must hold {', '.join(form.ratings for form in _FORMS[:-1])} or "
            f"{_FORMS[-1].ratings}, found {names}."
        )
    if len(found) > 1:
        names = ", ".join(str(at / form.ratings) for at, form in found)
        raise ValueError(f"{root} must hold one data set, found {names}.")
    folder, form = found[0]
    if not (folder / form.films).is_file():
        raise FileNotFoundError(f"{folder} must hold {form.films} beside {form.ratings}.")
    return folder, form


def _read_ratings(path: Location, form: _Form) -> dict[str, npt.NDArray]:
    with open_text(path) as file:
        if form.places is None:
            places = find_columns(file.readline(), _RATING_NAMES, path, delimiter=form.delimiter)
        else:
            places = dict(zip(_TYPES, form.places, strict=True))
        columns = read_columns(
            file,
            path,
            places,
            _TYPES,
            delimiter=form.delimiter,
            first_line=2 if form.places is None else 1,
        )
    if not columns:
        raise ValueError(f"{path} must hold ratings, got none.")
    return columns


def _multi_hot(listed: list[list[str]], genres: list[str]) -> npt.NDArray[np.float32]:
    columns = {genre: column for column, genre in enumerate(genres)}
    features = np.full((len(listed), len(genres)), np.nan, dtype=np.float32)
    for row, names in enumerate(listed):
        if names:
            features[row] = 0
            features[row, [columns[name] for name in names]] = 1
    return features


_FORMS = (
    _Form("u.data", "u.item", "\t", (0, 1, 2, 3), parse_flags),
    _Form("ratings.dat", "movies.dat", ":", (0, 2, 4, 6), parse_dat),  # "::" is two delimiters
    _Form("ratings.csv", "movies.csv", ",", None, parse_csv),
)
