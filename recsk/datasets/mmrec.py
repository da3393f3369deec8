"""Load the dataset folders of MMRec."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib.format import MAGIC_PREFIX
from sklearn.utils import Bunch

from recsk.data import Interactions
from recsk.data.checks import describe
from recsk.data.columns import MAX_IDS
from recsk.datasets.tables import check_path, find_columns, open_text, read_columns

_COLUMN_NAMES = {
    "user": ("userid", "user_id", "user"),
    "item": ("itemid", "item_id", "item"),
    "label": ("x_label",),
    "value": ("rating",),
    "timestamp": ("timestamp",),
}
_OPTIONAL = ("value", "timestamp")
_SPLITS = ("train", "valid", "test")  # in the order of the values of x_label
_MODALITY_NAMES = {"image_feat": "v", "text_feat": "t", "audio_feat": "a"}


def load_mmrec(
    folder: str | PathLike[str], *, features: Sequence[str] = ("image_feat", "text_feat")
) -> Bunch:
    r"""Load a dataset folder in the format of MMRec.

    The folder holds one file `NAME.inter` and one `.npy` array per modality, whose row *i*
    describes item *i*. `NAME.inter` is tab-separated. Its header has at least the columns
    `userID`, `itemID` and `x_label` (0 for training, 1 for validation, 2 for test). `rating` and
    `timestamp` are read where present. The header may have types, as in `userID:token`.

    Parameters
    ----------
    folder : str or path-like
        The dataset folder.
    features : sequence of str, default=("image_feat", "text_feat")
        Feature files to read, with or without `.npy`. `image_feat` becomes modality `"v"`,
        `text_feat` `"t"` and `audio_feat` `"a"`; any other file keeps its name. Pass `()` to
        read interactions only.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the attributes:

        train, valid, test : :class:`~recsk.Interactions`
            The three parts, all with `n_users` users and `n_items` items.
        item_features : dict of str to ndarray of shape (n_items, n_features), float32
            Features by modality.
        n_users, n_items : int
            The largest id plus one. If the feature arrays have more rows, `n_items` is their
            number of rows.
        name : str
            `NAME`, the name of the dataset.

    Raises
    ------
    FileNotFoundError
        If the folder, its `.inter` file or a feature file does not exist.
    TypeError
        If `folder` is not a path, or `features` is not a sequence of strings.
    ValueError
        If there are several `.inter` files and none has the name of the folder, a column is
        missing, an id is not an integer from 0 to 2147483646, `x_label` is not 0, 1 or 2, there
        is no training interaction, a file is damaged, or two feature files have the same
        modality. Also if a feature array is not two-dimensional, not numeric, too large for
        float32, or has another number of rows than there are items.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from recsk.datasets import load_mmrec
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lines = ["userID\titemID\tx_label", "0\t0\t0", "0\t1\t2", "1\t2\t0"]
    ...     _ = Path(folder, "toy.inter").write_text("\n".join(lines))
    ...     np.save(Path(folder, "text_feat.npy"), np.ones((3, 5)))
    ...     data = load_mmrec(folder, features=["text_feat"])
    >>> data.name, len(data.train), len(data.valid), len(data.test)
    ('toy', 2, 0, 1)
    >>> data.item_features["t"].shape
    (3, 5)
    """
    folder = check_path(folder, "folder")
    if not folder.is_dir():
        raise FileNotFoundError(f"folder must be an existing directory, got {str(folder)!r}.")
    if isinstance(features, str):
        raise ValueError(
            f"features must be a sequence of file names, got the string {features!r}; "
            f"for one file pass [{features!r}]."
        )
    if not isinstance(features, Sequence) or not all(isinstance(file, str) for file in features):
        raise TypeError(f"features must be a sequence of file names; got {describe(features)}")

    inter_path = _find_inter_file(folder)
    columns = _read_inter_file(inter_path)
    user = _to_ids(columns["user"], "user", inter_path)
    item = _to_ids(columns["item"], "item", inter_path)
    label = columns["label"]
    if not np.isin(label, range(len(_SPLITS))).all():
        wrong = label[~np.isin(label, range(len(_SPLITS)))][0]
        raise ValueError(
            f"{inter_path}: x_label must be 0 (training), 1 (validation) or 2 (test), "
            f"got {wrong:g}."
        )
    if not (label == 0).any():
        raise ValueError(
            f"{inter_path}: no row has x_label 0 (training), so there is nothing to train on."
        )

    item_features, n_items = _read_features(folder, features, int(item.max()) + 1, inter_path)
    n_users = int(user.max()) + 1
    parts = {}
    for number, split in enumerate(_SPLITS):
        rows = label == number
        extra = {name: columns[name][rows] for name in _OPTIONAL if name in columns}
        parts[split] = Interactions(
            user[rows], item[rows], n_users=n_users, n_items=n_items, **extra
        )
    return Bunch(
        **parts,
        item_features=item_features,
        n_users=n_users,
        n_items=n_items,
        name=inter_path.stem,
    )


def _find_inter_file(folder: Path) -> Path:
    found = sorted(folder.glob("*.inter"))
    if not found:
        names = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise FileNotFoundError(
            f"{folder} must hold a file NAME.inter with the interactions, found {names}."
        )
    if len(found) == 1:
        return found[0]
    named_like_folder = folder / f"{folder.resolve().name}.inter"
    if named_like_folder in found:
        return named_like_folder
    raise ValueError(
        f"{folder} must hold one .inter file, or one named {named_like_folder.name}, "
        f"got {', '.join(path.name for path in found)}."
    )


def _read_inter_file(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Return the columns by our names, without optional columns that the file lacks."""
    with open_text(path) as file:
        positions = find_columns(
            file.readline(), _COLUMN_NAMES, path, delimiter="\t", optional=_OPTIONAL
        )
        types = dict.fromkeys(positions, np.float64)
        columns = read_columns(file, path, positions, types, delimiter="\t", first_line=2)
    if not columns:
        raise ValueError(f"{path}: expected interactions below the header, got none.")
    return columns


def _to_ids(values: npt.NDArray[np.float64], kind: str, path: Path) -> npt.NDArray[np.int64]:
    wrong = ~(np.isfinite(values) & (values >= 0) & (values == np.floor(values)))
    if wrong.any():
        raise ValueError(
            f"{path}: {kind} ids must be integers from 0, got {values[wrong][0]:g} "
            f"in interaction {int(np.flatnonzero(wrong)[0])}."
        )
    if values.max() >= MAX_IDS:
        raise ValueError(
            f"{path}: {kind} ids must be below {MAX_IDS}, because they number the {kind}s from 0; "
            f"got {values.max():.15g} in interaction {int(values.argmax())}."
        )
    return values.astype(np.int64)


def _read_features(
    folder: Path, files: Sequence[str], min_rows: int, inter_path: Path
) -> tuple[dict[str, npt.NDArray[np.float32]], int]:
    """Return the feature arrays by modality, and the number of items.

    `min_rows` is the largest item id in the file of interactions plus one.
    """
    item_features: dict[str, npt.NDArray[np.float32]] = {}
    n_rows: dict[str, int] = {}
    for file in files:
        stem = file.removesuffix(".npy")
        path = folder / f"{stem}.npy"
        if not path.is_file():
            names = ", ".join(sorted(other.name for other in folder.glob("*.npy"))) or "none"
            raise FileNotFoundError(
                f"features names {file!r}, but there is no {path}. Feature files in this "
                f"folder: {names}; pass features=() to read interactions only."
            )
        name = _MODALITY_NAMES.get(stem, stem)
        if name in item_features:
            raise ValueError(f"features must name each modality once, got {name!r} twice: {files}.")
        array = _load_npy(path)
        if array.ndim != 2 or array.dtype.kind not in "fiu" or not array.shape[1]:
            raise ValueError(
                f"{path} must be a numeric array of shape (n_items, n_features), "
                f"got shape {array.shape} and dtype {array.dtype}."
            )
        if len(array) < min_rows:
            raise ValueError(
                f"{path} has {len(array)} rows, but {inter_path.name} has item ids up to "
                f"{min_rows - 1}: at least {min_rows} rows were expected, one per item."
            )
        with np.errstate(over="ignore"):
            vectors = array.astype(np.float32, copy=False)
        if vectors is not array and (np.isinf(vectors) & np.isfinite(array)).any():
            raise ValueError(f"{path} has numbers that are too large for float32.")
        item_features[name] = vectors
        n_rows[path.name] = len(array)
    if len(set(n_rows.values())) > 1:
        listed = ", ".join(f"{name} has {rows}" for name, rows in n_rows.items())
        raise ValueError(
            f"{folder}: all feature files must have the same number of rows, one per item; "
            f"{listed}, and {inter_path.name} has item ids up to {min_rows - 1}."
        )
    return item_features, next(iter(n_rows.values()), min_rows)


def _load_npy(path: Path) -> npt.NDArray:
    with path.open("rb") as file:
        start = file.read(len(MAGIC_PREFIX))
    if start != MAGIC_PREFIX:  # an archive, an empty file, or a pointer of Git LFS
        raise ValueError(f"{path} must be a .npy file, but it begins with {start!r}.")
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} must be a plain numeric .npy file, in full; {error}") from error
