"""The data of a benchmark, whichever option names them.

`--dataset NAME` is one of `realdata.NAMES`, or a synthetic world; `--mmrec FOLDER` a folder in
MMRec's own form; `--npz FILE` a file of arrays with the keys that `realdata.py` describes;
`--loader package.module:function` a function of yours. It is called without arguments and returns
what `realdata.load` returns, or a dict with the same keys: `train`, `valid` and `test`, all else
is optional. Where `history` is given the data are sequences, and `train` is an `Interactions` with
timestamps; `history` may be left out if `train` is one: "valid" comes after `train`, "test" after
both. The folder of the call is searched for the module as well.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import realdata
import scipy.sparse as sp
import synthetic
from sklearn.utils import Bunch

from recsk import Interactions

__all__ = [
    "DATASETS",
    "WORLDS",
    "about",
    "add_arguments",
    "import_object",
    "load",
    "source_of",
    "words_of",
    "world",
]

# A shop has few items and dense data, some 64,000 clicks; a tiny world is for trying a script out.
WORLDS: dict[str, dict[str, Any]] = {
    "synthetic": {"n_users": 2000, "n_items": 4000},
    "shop": {"n_users": 5000, "n_items": 2000, "interactions_per_user": 12.8},
    "tiny": {"n_users": 120, "n_items": 80},
}
DATASETS = (*WORLDS, *realdata.NAMES)
_KINDS = ("mmrec", "npz", "loader")


def add_arguments(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """The options that name data; one is required if there is no default."""
    group = parser.add_mutually_exclusive_group(required=default is None)
    group.add_argument("--dataset", choices=DATASETS, default=default)
    group.add_argument("--mmrec", metavar="FOLDER", help="a data set in MMRec's own form")
    group.add_argument("--npz", metavar="FILE", help="arrays, as benchmarks/realdata.py says")
    group.add_argument(
        "--loader", metavar="MODULE:FUNCTION", help="a function, as benchmarks/sources.py says"
    )


def source_of(args: argparse.Namespace) -> str:
    """The data that options name, in one word: "tiktok", "npz:some/file.npz"."""
    for kind in _KINDS:
        if getattr(args, kind):
            return f"{kind}:{getattr(args, kind)}"
    return str(args.dataset)


def words_of(args: argparse.Namespace) -> list[str]:
    """The same as options of a command, folders left out."""
    kind, _, place = source_of(args).partition(":")
    if kind not in _KINDS:
        return ["--dataset", kind]
    return [f"--{kind}", place if kind == "loader" else Path(place).name]


@cache
def load(source: str, sequential: bool) -> Bunch:
    """The data of a source as `realdata.load` returns them, or as `load_sequences` does."""
    kind, _, place = source.partition(":")
    if kind == "npz":
        return realdata.load_file(place, sequential=sequential)
    if kind == "loader":
        return _of_loader(place, sequential)
    if kind == "mmrec":
        if sequential:
            raise SystemExit("a folder of MMRec has a split of its own, which is no sequences")
        return realdata.load_folder(place)
    if kind in WORLDS:
        return world(kind, sequential)
    return realdata.load_sequences(kind) if sequential else realdata.load(kind)


def world(name: str, sequential: bool, **params: Any) -> Bunch:
    """A synthetic world."""
    return synthetic.world(sequential=sequential, **{**WORLDS[name], **params})


def about(data: Bunch) -> dict[str, Any]:
    """What tells data from others: name, split and a digest of all their arrays."""
    digest = hashlib.sha256()
    for part in (data.train, data.valid, data.test):
        if isinstance(part, Interactions):
            arrays = [part.user, part.item, part.timestamp]
        else:
            arrays = [part.indptr, part.indices, part.data]
        for array in arrays:
            digest.update(np.ascontiguousarray(array))
    for name, values in data.features.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(values))
    shape = [int(n) for n in data.test.shape]
    return {
        "name": data.name,
        "split": data.split,
        "shape": shape,
        "digest": digest.hexdigest()[:16],
    }


def import_object(path: str) -> Any:
    """What `package.module:name` names."""
    module, _, name = path.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SystemExit(f"cannot import {path!r} as package.module:name: {error}") from error


def _of_loader(path: str, sequential: bool) -> Bunch:
    found = import_object(path)()
    if not isinstance(found, Mapping):
        raise SystemExit(f"{path} must return a dict or Bunch; it returned {type(found).__name__}")
    if missing := {"train", "valid", "test"} - found.keys():
        raise SystemExit(f"{path} returned no {', '.join(sorted(missing))}")
    in_order = isinstance(found["train"], Interactions) and found["train"].timestamp is not None
    if sequential and not in_order:
        raise SystemExit(
            f"{path} returned no sequences: train must be an Interactions with timestamps"
        )
    parts = {part: _matrix(found[part]) for part in ("valid", "test")}
    train = found["train"] if sequential else _matrix(found["train"])
    shapes = {"train": tuple(found["train"].shape), **{p: m.shape for p, m in parts.items()}}
    if isinstance(found["train"], Interactions):
        shapes["train"] = (found["train"].n_users, found["train"].n_items)
    if len(set(shapes.values())) > 1:
        raise SystemExit(f"{path}: all parts need the same users and items; shapes are {shapes}")
    data = Bunch(
        name=str(found.get("name") or path.replace(":", "-")),
        split=str(found.get("split") or "given"),
        features=dict(found.get("features") or {}),
        train=train,
        **parts,
    )
    n_train = len(train) if sequential else train.nnz
    data.sizes = {"train": n_train, **{p: m.nnz for p, m in parts.items()}}
    if sequential:
        data.history = found.get("history") or _histories(train, parts["valid"])
    return data


def _matrix(part: Any) -> sp.csr_matrix:
    return part.to_csr() if isinstance(part, Interactions) else sp.csr_matrix(part)


def _histories(train: Interactions, valid: sp.csr_matrix) -> dict[str, list[np.ndarray]]:
    before = train.sequences()
    after = np.split(valid.indices, valid.indptr[1:-1])
    return {
        "valid": before,
        "test": [np.concatenate(pair) for pair in zip(before, after, strict=True)],
    }
