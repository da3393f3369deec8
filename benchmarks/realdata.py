"""The data sets of the benchmarks, each split as its published figures are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.utils import Bunch

from recsk import Interactions
from recsk.datasets import load_mmrec
from recsk.model_selection import InteractionKFold

__all__ = ["NAMES", "load"]

NAMES = ("tiktok", "ml100k", "baby")


def load(name: str) -> Bunch:
    """Give train, valid and test matrices, the features by modality and a word on the split."""
    folder = Path(os.environ.get("RECSK_DATA", Path(__file__).parents[2] / "shared" / "data"))
    path = folder / f"{name}.npz"
    if not path.exists():
        raise SystemExit(f"{path} is absent: set RECSK_DATA to the folder that holds {name}.npz")
    with np.load(path, allow_pickle=False) as data:
        arrays = dict(data)
    return _random_split(arrays) if name == "ml100k" else _given_split(name, arrays)


def load_folder(folder: str) -> Bunch:
    """The same from a folder in MMRec's own form."""
    data = load_mmrec(folder)
    parts = {part: data[part].to_csr() for part in ("train", "valid", "test")}
    return Bunch(name=data.name, split="x_label", features=data.item_features, **parts)


def _given_split(name: str, arrays: dict[str, np.ndarray]) -> Bunch:
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
    features = {m: arrays[m].astype(np.float32) for m in ("v", "a", "t") if m in arrays}
    return Bunch(
        name=name, split="published", features=features, train=train, valid=valid, test=test
    )


def _random_split(arrays: dict[str, np.ndarray]) -> Bunch:
    """Per-user random 8:1:1, seed 0."""
    X = Interactions(arrays["user"], arrays["item"])
    folds = [test for _, test in InteractionKFold(n_splits=10, random_state=0).split(X)]
    valid, test = X[folds[1]].to_csr(), X[folds[0]].to_csr()
    train = X[np.concatenate(folds[2:])].to_csr()
    features = {m: arrays[m].astype(np.float32) for m in ("v", "t")}
    return Bunch(
        name="ml100k",
        split="per-user random 8:1:1, seed 0",
        features=features,
        train=train,
        valid=valid,
        test=test,
    )
