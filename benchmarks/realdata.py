"""The data sets of the benchmarks, each split as its published figures are.

`load` and `load_sequences` return a Bunch with

- `name` and `split`: words for the table;
- `train`: what models are fitted on. A matrix of users x items; of sequences an `Interactions`
  with timestamps;
- `valid` and `test`: matrices of users x items;
- `features`: a dict of modality to array with one row for each item; a row of NaN is missing;
- `sizes`: the number of interactions of "train", "valid" and "test";
- `history`, of sequences alone: for "valid" and "test" a list with the items of each user before
  that part, oldest first.

A file of arrays has `train_user`, `train_item` and the same of `val` and `test`: a given split. Or
it has `user` and `item`, which are split at random, and perhaps `timestamp`, by which sequences are
ordered. Both may be there. Every two-dimensional array of floats is a modality.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import Bunch

from recsk import Interactions
from recsk.datasets import load_mmrec
from recsk.model_selection import InteractionKFold, LeaveLastOut

__all__ = [
    "NAMES",
    "from_arrays",
    "load",
    "load_file",
    "load_folder",
    "load_sequences",
    "sequences_from_arrays",
    "split_at_random",
    "split_last",
]

NAMES = ("tiktok", "ml100k", "baby", "scientific", "sports", "citeulike", "ml1m")
# How the given splits were made.
SPLITS = {
    "citeulike": "per-user random 8:1:1, given",
    "ml1m": "random, given",
}
MODALITIES = ("v", "a", "t", "d")  # in this order, before others


def load(name: str) -> Bunch:
    """A data set by its name, with a given split or a random one."""
    return from_arrays(name, _arrays(name), SPLITS.get(name, "published"))


def load_sequences(name: str) -> Bunch:
    """The same in order, leave-last-out."""
    return sequences_from_arrays(name, _arrays(name))


def load_file(path: str | Path, *, sequential: bool) -> Bunch:
    """The same from any file of arrays."""
    path = Path(path)
    arrays = _read(path, f"there is no file {path}")
    if sequential:
        return sequences_from_arrays(path.stem, arrays)
    return from_arrays(path.stem, arrays, "given")


def from_arrays(name: str, arrays: dict[str, np.ndarray], split: str) -> Bunch:
    """Train, valid and test matrices: as given if they are, else per-user random 8:1:1."""
    if "train_user" in arrays:
        return _given_split(name, arrays, split)
    _require(name, arrays, "user", "item")
    features = _features(arrays)
    X = Interactions(arrays["user"], arrays["item"], n_items=_n_items(name, features))
    return split_at_random(name, X, features)


def sequences_from_arrays(name: str, arrays: dict[str, np.ndarray]) -> Bunch:
    """Leave-last-out: train in order, valid and test matrices, and the history before each."""
    if "timestamp" not in arrays:
        raise SystemExit(f"{name} has no timestamps, and so no sequences")
    _require(name, arrays, "user", "item")
    features = _features(arrays)
    X = Interactions(
        arrays["user"],
        arrays["item"],
        timestamp=arrays["timestamp"],
        n_items=_n_items(name, features),
    )
    return split_last(name, X, features)


def split_last(name: str, X: Interactions, features: dict[str, np.ndarray]) -> Bunch:
    """Everybody's last interaction is test, the one before it validation, repeats as well."""
    cv = LeaveLastOut(repeats=True)
    before_last, last = (X[part] for part in next(cv.split(X)))
    train, valid = (before_last[part] for part in next(cv.split(before_last)))
    return Bunch(
        name=name,
        split="leave-last-out",
        features=features,
        train=train,
        valid=valid.to_csr(),
        test=last.to_csr(),
        sizes={"train": len(train), "valid": len(valid), "test": len(last)},
        history={"valid": train.sequences(), "test": before_last.sequences()},
    )


def _arrays(name: str) -> dict[str, np.ndarray]:
    folder = Path(os.environ.get("RECSK_DATA", Path(__file__).parents[2] / "shared" / "data"))
    path = folder / f"{name}.npz"
    return _read(path, f"{path} is absent: set RECSK_DATA to the folder that holds {name}.npz")


def _read(path: Path, absent: str) -> dict[str, np.ndarray]:
    if not path.exists():
        raise SystemExit(absent)
    with np.load(path, allow_pickle=False) as data:
        return dict(data)


def _require(name: str, arrays: dict[str, np.ndarray], *keys: str) -> None:
    if missing := [key for key in keys if key not in arrays]:
        raise SystemExit(f"{name} has no array {missing[0]!r}; it has {', '.join(arrays)}")


def _features(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    found = [m for m, values in arrays.items() if values.ndim == 2 and values.dtype.kind == "f"]
    found.sort(key=lambda m: MODALITIES.index(m) if m in MODALITIES else len(MODALITIES))
    return {m: arrays[m].astype(np.float32) for m in found}


def _n_items(name: str, features: dict[str, np.ndarray]) -> int | None:
    """The number of rows of all features, None without any."""
    rows = {m: len(values) for m, values in features.items()}
    if len(set(rows.values())) > 1:
        raise SystemExit(f"{name}: all modalities need one row for each item; rows are {rows}")
    return next(iter(rows.values()), None)


def load_folder(folder: str) -> Bunch:
    """The same from a folder in MMRec's own form."""
    data = load_mmrec(folder)
    parts = {part: data[part].to_csr() for part in ("train", "valid", "test")}
    return _bunch(data.name, "x_label", data.item_features, **parts)


def _bunch(name: str, split: str, features: dict[str, np.ndarray], **parts: Any) -> Bunch:
    sizes = {part: matrix.nnz for part, matrix in parts.items()}
    return Bunch(name=name, split=split, features=features, sizes=sizes, **parts)


def _given_split(name: str, arrays: dict[str, np.ndarray], split: str) -> Bunch:
    parts = ("train", "val", "test")
    _require(name, arrays, *(f"{part}_{axis}" for part in parts for axis in ("user", "item")))
    features = _features(arrays)
    n_users, n_items = (
        1 + max(int(arrays[f"{part}_{axis}"].max(initial=0)) for part in parts)
        for axis in ("user", "item")
    )
    shape = (n_users, _n_items(name, features) or n_items)
    if n_items > shape[1]:
        raise SystemExit(f"{name} has item {n_items - 1}, but features of {shape[1]} items")
    train, valid, test = (
        sp.csr_matrix(
            (
                np.ones(len(arrays[f"{part}_user"]), np.float32),
                (arrays[f"{part}_user"], arrays[f"{part}_item"]),
            ),
            shape=shape,
        )
        for part in parts
    )
    return _bunch(name, split, features, train=train, valid=valid, test=test)


def split_at_random(name: str, X: Interactions, features: dict[str, np.ndarray]) -> Bunch:
    """Per-user random 8:1:1, seed 0."""
    folds = [test for _, test in InteractionKFold(n_splits=10, random_state=0).split(X)]
    valid, test = X[folds[1]].to_csr(), X[folds[0]].to_csr()
    train = X[np.concatenate(folds[2:])].to_csr()
    split = "per-user random 8:1:1, seed 0"
    return _bunch(name, split, features, train=train, valid=valid, test=test)
