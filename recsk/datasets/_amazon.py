"""Reader of the Amazon Reviews 2023 files of the McAuley Lab."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import zip_longest
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import Bunch

from recsk._describe import describe
from recsk._frames import label_array
from recsk.datasets._selection import Coded, Selection
from recsk.datasets._tables import as_path, find_columns, open_text, read_blocks

_NAMES = {
    "user": ("user_id",),
    "item": ("parent_asin",),
    "rating": ("rating",),
    "timestamp": ("timestamp",),
}
_TYPES = {"user": object, "item": object, "rating": np.float32, "timestamp": np.int64}


def load_amazon_reviews(
    ratings: str | PathLike[str] | Sequence[str | PathLike[str]],
    metadata: str | PathLike[str] | None = None,
    *,
    min_rating: float | None = None,
    min_count: int = 1,
) -> Bunch:
    r"""Load a category of Amazon Reviews 2023: interactions, and texts of the products.

    The files are at https://amazon-reviews-2023.github.io: "rating only" ones of a category
    (``NAME.csv``, 0-core or 5-core), its splits (``NAME.train.csv``, ``NAME.valid.csv``,
    ``NAME.test.csv``, with or without a history, which is not read), and what is known of
    its products (``meta_NAME.jsonl``). Any of them may be packed by gzip. Nothing is
    downloaded here.

    No feature arrays are made: turn the texts, or the images behind the URLs, into vectors
    with whatever encoder you trust. Row *i* of the encoded array describes item *i*, so it
    goes into ``item_features`` as it is.

    Parameters
    ----------
    ratings : path, or sequence of paths
        A file with the columns ``user_id``, ``parent_asin``, ``rating`` and ``timestamp``,
        or several, such as the parts of a split, to be read into one space of users and
        items.
    metadata : path, default=None
        The file of products. It is read line by line, and only what belongs to items with
        interactions is kept in memory. ``None``: no texts.
    min_rating : float, default=None
        Keep ratings of at least this, to count as interactions only what people liked.
        ``None``: all.
    min_count : int, default=1
        Keep users and items with at least so many interactions: the largest set of
        ratings in which this holds for all of both, also called the k-core. Counted after
        `min_rating`, and over all files. The 0-core files have no such limit of their own.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the attributes:

        interactions : :class:`~recsk.Interactions`
            In the order of the files, the rating as value and the time in milliseconds
            since 1970. A pair of user and item that is there twice stays so.
        part : ndarray of shape (n_interactions,), int64
            Which of the files each interaction is from, 0 for the first. Of a split in
            three, ``interactions[part == 0]`` is what to train on.
        user_ids, item_ids : ndarray of shape (n_users,) or (n_items,), str or object
            Who user *u* and what item *i* is in the files, in alphabetical order.
        titles : ndarray of shape (n_items,), object
            Titles by item. This and what follows is "" where the metadata say nothing,
            and missing without `metadata`.
        descriptions : ndarray of shape (n_items,), object
            The bullet points of a product page and then its description, in lines, since
            many products have only one of the two.
        image_urls : ndarray of shape (n_items,), object
            The main image, or else the first, of those that have a large version; if none
            has, of those that have one of high resolution.
        name : str
            The name of the category, from that of the first file.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    TypeError
        If a path is no path, or `min_rating` or `min_count` no number.
    ValueError
        If a file is damaged or empty, lacks a column, or has a line that cannot be read,
        which the message names; if no rating is kept; or if `metadata` is no file of
        products or knows none of the items.

    See Also
    --------
    load_movielens : Reader of film ratings, with genres.
    recsk.model_selection.PredefinedInteractionSplit : Tune on a split that is given.

    Examples
    --------
    Weighted word counts in a few columns stand in for a sentence encoder here:

    >>> import json, tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from sklearn.decomposition import TruncatedSVD
    >>> from sklearn.feature_extraction.text import TfidfVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> from recsk.datasets import load_amazon_reviews
    >>> lines = ["user_id,parent_asin,rating,timestamp", "AE2,B07,5.0,1588687728923"]
    >>> lines += ["AE2,B01,3.0,1588687730000", "AF9,B07,4.0,1590000000000"]
    >>> product = {"parent_asin": "B07", "title": "Oak shelf", "features": ["Solid oak"]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ratings, metadata = Path(folder, "Home.csv"), Path(folder, "meta_Home.jsonl")
    ...     _ = ratings.write_text("\n".join(lines))
    ...     _ = metadata.write_text(json.dumps(product))
    ...     data = load_amazon_reviews(ratings, metadata)
    >>> data.interactions
    Interactions(n_interactions=3, n_users=2, n_items=2, timestamp=int64, value=float32)
    >>> data.item_ids.tolist(), data.titles.tolist()
    (['B01', 'B07'], ['', 'Oak shelf'])
    >>> texts = data.titles + "\n" + data.descriptions
    >>> encoder = make_pipeline(TfidfVectorizer(), TruncatedSVD(2, random_state=0))
    >>> encoded = encoder.fit_transform(texts)
    >>> encoded[data.titles == ""] = np.nan  # items that lack this modality
    >>> item_features = {"text": encoded}
    >>> encoded.shape
    (2, 2)
    """
    selection = Selection(min_rating, min_count)
    if isinstance(ratings, str | PathLike):
        paths = [_existing(ratings, "ratings")]
    elif isinstance(ratings, Sequence):
        paths = [_existing(path, f"ratings[{place}]") for place, path in enumerate(ratings)]
    else:
        raise TypeError(f"ratings must be a path or a sequence of paths; got {describe(ratings)}")
    if not paths:
        raise ValueError("ratings must be one path or more, got none.")
    texts = None if metadata is None else _existing(metadata, "metadata")

    user, item, columns = _read_ratings(paths)
    source = ", ".join(map(str, paths))
    kept = selection.apply(user, item, columns["rating"], columns["timestamp"], source)
    return Bunch(
        interactions=kept.interactions,
        part=columns["part"][kept.rows],
        user_ids=kept.user_ids.copy(),  # those of the interactions are not to be written to
        item_ids=kept.item_ids.copy(),
        **({} if texts is None else _read_texts(texts, kept.item_ids.tolist())),
        name=paths[0].name.split(".")[0],
    )


def _existing(path: Any, name: str) -> Path:
    path = as_path(path, name)
    if not path.is_file():
        raise FileNotFoundError(f"{name} must be an existing file, got {str(path)!r}.")
    return path


def _read_ratings(paths: list[Path]) -> tuple[Coded, Coded, dict[str, npt.NDArray[Any]]]:
    """Users and items, and the columns rating, timestamp and part."""
    # Strings are turned into numbers block by block: all of them would not fit into memory.
    known: dict[str, dict[str, int]] = {"user": {}, "item": {}}
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in [*_TYPES, "part"]}
    for part, path in enumerate(paths):
        before = len(columns["part"])
        with open_text(path) as file:
            places = find_columns(file.readline(), _NAMES, path, delimiter=",")
            for block in read_blocks(file, path, places, _TYPES, delimiter=",", first_line=2):
                for name, codes in known.items():
                    labels = block[name].tolist()
                    coded = [codes.setdefault(label, len(codes)) for label in labels]
                    columns[name].append(np.array(coded, dtype=np.int64))
                for name in ("rating", "timestamp"):
                    columns[name].append(block[name].copy())
                columns["part"].append(np.full(len(block), part))
        if len(columns["part"]) == before:
            raise ValueError(f"{path}: expected ratings below the header, got none.")
    whole = {name: np.concatenate(columns.pop(name)) for name in list(columns)}
    user, item = (_ascending(whole.pop(name), list(known[name])) for name in ("user", "item"))
    return user, item, whole


def _ascending(codes: npt.NDArray[np.int64], labels: list[str]) -> Coded:
    order = sorted(range(len(labels)), key=labels.__getitem__)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return Coded(place[codes], label_array([labels[code] for code in order]))


def _read_texts(path: Path, items: list[str]) -> dict[str, npt.NDArray[np.object_]]:
    """Title, description and image of each item."""
    rows = {item: row for row, item in enumerate(items)}
    found = {
        name: np.full(len(items), "", dtype=object)
        for name in ("titles", "descriptions", "image_urls")
    }
    any_known = False
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if line.isspace():
                continue
            product = _parse_product(line, f"{path}, line {number}")
            row = rows.get(product["parent_asin"])
            if row is None:
                continue
            any_known = True
            parts = [_text(product.get("features")), _text(product.get("description"))]
            told = {
                "titles": _text(product.get("title")),
                "descriptions": "\n".join(filter(None, parts)),
                "image_urls": _image_url(product.get("images")),
            }
            for name, text in told.items():
                if text:  # a second line of a product may say less than the first
                    found[name][row] = text
    if not any_known:
        raise ValueError(
            f"metadata must be of the category of ratings, but {path} has none of the "
            f"{len(items)} items, such as {items[0]!r}."
        )
    return found


def _parse_product(line: str, source: str) -> dict[str, Any]:
    try:
        product = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source}: expected a JSON object; {error}") from error
    if not isinstance(product, dict) or not isinstance(product.get("parent_asin"), str):
        raise ValueError(
            f"{source}: expected a JSON object with a string parent_asin, got {line[:60]!r}"
        )
    if "user_id" in product:  # reviews have titles too, and they would pass for those of items
        raise ValueError(f"{source}: expected a product, got a review; metadata is meta_NAME.jsonl")
    return product


def _text(value: Any) -> str:
    """Lines of text from a string or a list of strings; whatever else there is says nothing."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return "\n".join(filter(None, map(_text, value)))
    return ""


def _image_url(images: Any) -> str:
    if isinstance(images, dict):  # a list for each key, as where Hugging Face wrote the file
        columns = {key: value for key, value in images.items() if isinstance(value, list)}
        rows = zip_longest(*columns.values())
        images = [dict(zip(columns, row, strict=True)) for row in rows]
    if not isinstance(images, list):
        return ""
    images = [image for image in images if isinstance(image, dict)]
    images.sort(key=lambda image: image.get("variant") != "MAIN")  # stable: else the first
    urls = (_text(image.get(size)) for size in ("large", "hi_res") for image in images)
    return next(filter(None, urls), "")
