"""Load the Amazon Reviews 2023 files of the McAuley Lab."""

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

from recsk.data.checks import describe
from recsk.data.labels import to_label_array
from recsk.datasets.selection import EncodedColumn, RatingFilter
from recsk.datasets.tables import check_path, find_columns, open_text, read_blocks

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
    r"""Load a category of Amazon Reviews 2023: interactions and product texts.

    Download the files from https://amazon-reviews-2023.github.io; this function downloads
    nothing. It reads the "rating only" file of a category (``NAME.csv``, 0-core or 5-core), the
    files of a split (``NAME.train.csv``, ``NAME.valid.csv``, ``NAME.test.csv``) and the product
    metadata (``meta_NAME.jsonl``). All may be packed by gzip. A history column of a split is not
    read.

    The function makes no feature arrays. Encode the texts, or the images behind the URLs, with
    an encoder of your choice. Row *i* of the encoded array describes item *i*, so that you can
    pass it in ``item_features`` unchanged.

    Parameters
    ----------
    ratings : path, or sequence of paths
        A file with the columns ``user_id``, ``parent_asin``, ``rating`` and ``timestamp``.
        Several files, such as the parts of a split, share their users and items.
    metadata : path, default=None
        The product metadata. The file is read line by line, and only the lines of items with
        interactions are kept in memory. ``None``: no texts.
    min_rating : float, default=None
        Keep ratings of at least this value, so that only items that users liked count as
        interactions. ``None``: keep all.
    min_count : int, default=1
        Keep users and items with at least this many interactions: the largest set of ratings in
        which this holds for every user and every item, also called the k-core. Counted after
        `min_rating`, and over all files. The 0-core files are not limited in this way.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the attributes:

        interactions : :class:`~recsk.Interactions`
            In the order of the files, with the rating as value and the time in milliseconds
            since 1970. Repeated pairs of user and item are kept. ``fit`` uses the ratings by
            ``sample_weight="value"``; ``interactions.with_value(None)`` leaves them out.
        part : ndarray of shape (n_interactions,), int64
            Position in `ratings` of the file of each interaction. For a split in three files,
            ``interactions[part == 0]`` is the training set.
        user_ids, item_ids : ndarray of shape (n_users,) or (n_items,), str or object
            Id in the files of each user and item, in alphabetical order.
        titles : ndarray of shape (n_items,), object
            Titles by item. This array and the next two hold "" where the metadata have no entry.
            Without `metadata` they are absent.
        descriptions : ndarray of shape (n_items,), object
            The bullet points of the product page and then its description, one per line. Many
            products have only one of the two.
        image_urls : ndarray of shape (n_items,), object
            The main image, or else the first, among the images in size "large". If there are
            none, the same among the images in high resolution.
        name : str
            The name of the category, from the name of the first file.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    TypeError
        If a path is not a path, or `min_rating` or `min_count` is not a number.
    ValueError
        If a file is damaged or empty, lacks a column, or has a line that cannot be read (the
        message names the line); if no rating is kept; or if `metadata` does not hold products or
        has none of the items.

    See Also
    --------
    load_movielens : Load film ratings with genres.
    recsk.model_selection.PredefinedInteractionSplit : Tune on a given split.

    Examples
    --------
    TF-IDF reduced to a few columns takes the place of a sentence encoder here:

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
    >>> encoded[data.titles == ""] = np.nan  # items without this modality
    >>> item_features = {"text": encoded}
    >>> encoded.shape
    (2, 2)
    """
    rating_filter = RatingFilter(min_rating, min_count)
    if isinstance(ratings, str | PathLike):
        paths = [_check_file(ratings, "ratings")]
    elif isinstance(ratings, Sequence):
        paths = [_check_file(path, f"ratings[{number}]") for number, path in enumerate(ratings)]
    else:
        raise TypeError(f"ratings must be a path or a sequence of paths; got {describe(ratings)}")
    if not paths:
        raise ValueError("ratings must be one path or more, got none.")
    metadata_path = None if metadata is None else _check_file(metadata, "metadata")

    user, item, columns = _read_ratings(paths)
    source = ", ".join(map(str, paths))
    selected = rating_filter.apply(user, item, columns["rating"], columns["timestamp"], source)
    item_ids = selected.item_ids
    return Bunch(
        interactions=selected.interactions,
        part=columns["part"][selected.rows],
        # Copies, so that writing to them does not change the labels of the interactions.
        user_ids=selected.user_ids.copy(),
        item_ids=item_ids.copy(),
        **({} if metadata_path is None else _read_texts(metadata_path, item_ids.tolist())),
        name=paths[0].name.split(".")[0],
    )


def _check_file(path: Any, name: str) -> Path:
    path = check_path(path, name)
    if not path.is_file():
        raise FileNotFoundError(f"{name} must be an existing file, got {str(path)!r}.")
    return path


def _read_ratings(
    paths: list[Path],
) -> tuple[EncodedColumn, EncodedColumn, dict[str, npt.NDArray[Any]]]:
    """Return users, items, and the columns rating, timestamp and part."""
    # Labels are encoded block by block, because all strings would not fit into memory.
    codes_by_label: dict[str, dict[str, int]] = {"user": {}, "item": {}}
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in [*_TYPES, "part"]}
    for part, path in enumerate(paths):
        before = len(columns["part"])
        with open_text(path) as file:
            positions = find_columns(file.readline(), _NAMES, path, delimiter=",")
            for block in read_blocks(file, path, positions, _TYPES, delimiter=",", first_line=2):
                for name, known in codes_by_label.items():
                    labels = block[name].tolist()
                    codes = [known.setdefault(label, len(known)) for label in labels]
                    columns[name].append(np.array(codes, dtype=np.int64))
                for name in ("rating", "timestamp"):
                    columns[name].append(block[name].copy())
                columns["part"].append(np.full(len(block), part))
        if len(columns["part"]) == before:
            raise ValueError(f"{path}: expected ratings below the header, got none.")
    whole = {name: np.concatenate(columns.pop(name)) for name in list(columns)}
    user, item = (
        _sort_labels(whole.pop(name), list(codes_by_label[name])) for name in ("user", "item")
    )
    return user, item, whole


def _sort_labels(codes: npt.NDArray[np.int64], labels: list[str]) -> EncodedColumn:
    """Sort labels in order of first appearance, and renumber their codes."""
    order = sorted(range(len(labels)), key=labels.__getitem__)
    new_codes = np.empty(len(order), dtype=np.int64)
    new_codes[order] = np.arange(len(order))
    return EncodedColumn(new_codes[codes], to_label_array([labels[code] for code in order]))


def _read_texts(path: Path, items: list[str]) -> dict[str, npt.NDArray[np.object_]]:
    """Return the title, description and image URL of each item."""
    rows = {item: row for row, item in enumerate(items)}
    texts = {
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
            parts = [_join_lines(product.get("features")), _join_lines(product.get("description"))]
            product_texts = {
                "titles": _join_lines(product.get("title")),
                "descriptions": "\n".join(filter(None, parts)),
                "image_urls": _image_url(product.get("images")),
            }
            for name, text in product_texts.items():
                if text:  # a second line of a product may lack texts that the first has
                    texts[name][row] = text
    if not any_known:
        raise ValueError(
            f"metadata must be of the category of ratings, but {path} has none of the "
            f"{len(items)} items, such as {items[0]!r}."
        )
    return texts


def _parse_product(line: str, source: str) -> dict[str, Any]:
    try:
        product = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source}: expected a JSON object; {error}") from error
    if not isinstance(product, dict) or not isinstance(product.get("parent_asin"), str):
        raise ValueError(
            f"{source}: expected a JSON object with a string parent_asin, got {line[:60]!r}"
        )
    if "user_id" in product:  # a review has a title too, but not that of the product
        raise ValueError(f"{source}: expected a product, got a review; metadata is meta_NAME.jsonl")
    return product


def _join_lines(value: Any) -> str:
    """Return the lines of a string or a list of strings; any other value gives ""."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return "\n".join(filter(None, map(_join_lines, value)))
    return ""


def _image_url(images: Any) -> str:
    """Return the URL of the main image or else the first, preferably in size "large"."""
    if isinstance(images, dict):  # a list for each key, as Hugging Face writes the file
        columns = {key: value for key, value in images.items() if isinstance(value, list)}
        rows = zip_longest(*columns.values())
        images = [dict(zip(columns, row, strict=True)) for row in rows]
    if not isinstance(images, list):
        return ""
    images = [image for image in images if isinstance(image, dict)]
    images.sort(key=lambda image: image.get("variant") != "MAIN")  # stable: then in order
    urls = (_join_lines(image.get(size)) for size in ("large", "hi_res") for image in images)
    return next(filter(None, urls), "")
