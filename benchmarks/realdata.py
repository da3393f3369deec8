"""The data sets of the benchmarks, each split as its published figures are."""

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

__all__ = ["NAMES", "load", "load_folder", "load_sequences", "split_at_random", "split_last"]

NAMES = ("tiktok", "ml100k", "baby", "scientific")


def load(name: str) -> Bunch:
    """Give train, valid and test matrices, the features by modality and a word on the split."""
    arrays = _arrays(name)
    if name != "ml100k":
        return _given_split(name, arrays)
    X = Interactions(arrays["user"], arrays["item"])
    return split_at_random(name, X, _features(arrays))


def load_sequences(name: str) -> Bunch:
    """Leave-last-out: train in order, valid and test matrices, and the history before each."""
    arrays = _arrays(name)
    if "timestamp" not in arrays:
        raise SystemExit(f"{name} has no timestamps, and so no sequences")
    features = _features(arrays)
    X = Interactions(
        arrays["user"],
        arrays["item"],
        timestamp=arrays["timestamp"],
        n_items=len(next(iter(features.values()))),
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
    if not path.exists():
        raise SystemExit(f"{path} is absent: set RECSK_DATA to the folder that holds {name}.npz")
    with np.load(path, allow_pickle=False) as data:
        return dict(data)


def _features(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {m: arrays[m].astype(np.float32) for m in ("v", "a", "t", "d") if m in arrays}


def load_folder(folder: str) -> Bunch:
    """The same from a folder in MMRec's own form."""
    data = load_mmrec(folder)
    parts = {part: data[part].to_csr() for part in ("train", "valid", "test")}
    return _bunch(data.name, "x_label", data.item_features, **parts)


def _bunch(name: str, split: str, features: dict[str, np.ndarray], **parts: Any) -> Bunch:
    sizes = {part: matrix.nnz for part, matrix in parts.items()}
    return Bunch(name=name, split=split, features=features, sizes=sizes, **parts)


def _given_split(name: str, arrays: dict[str, np.ndarray]) -> Bunch:
    if "train_user" not in arrays:
        raise SystemExit(f"{name} holds sequences alone: choose a model of sequences")
    parts = ("train", "val", "test")
    shape = tuple(1 + max(arrays[f"{p}_{axis}"].max() for p in parts) for axis in ("user", "item"))
    if "v" in arrays:
        shape = (shape[0], len(arrays["v"]))
    train, valid, test = (
        sp.csr_matrix(
            (
                np.ones(len(arrays[f"{p}_user"]), np.float32),
                (arrays[f"{p}_user"], arrays[f"{p}_item"]),
            ),
            shape=shape,
        )
        for p in parts
    )
    return _bunch(name, "published", _features(arrays), train=train, valid=valid, test=test)


def split_at_random(name: str, X: Interactions, features: dict[str, np.ndarray]) -> Bunch:
    """Per-user random 8:1:1, seed 0."""
    folds = [test for _, test in InteractionKFold(n_splits=10, random_state=0).split(X)]
    valid, test = X[folds[1]].to_csr(), X[folds[0]].to_csr()
    train = X[np.concatenate(folds[2:])].to_csr()
    split = "per-user random 8:1:1, seed 0"
    return _bunch(name, split, features, train=train, valid=valid, test=test)
