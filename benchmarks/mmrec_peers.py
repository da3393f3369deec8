"""Models of MMRec on the same split and features as recsk, measured with recsk's metrics.

    git clone https://github.com/enoche/MMRec
    python benchmarks/mmrec_peers.py --mmrec MMRec --dataset sports --model FREEDOM,MGCN,DRAGON \
        --minutes 35 --json benchmarks/results/peers-sports.json

The data are written to a temporary folder in MMRec's form. Each model trains in a process of its
own, which runs a copy of the checkout, so that the checkout stays as it is. Models, sampling of
negatives, optimizer and the schedule of the learning rate are MMRec's. The epochs are counted here:
validation recall@20 chooses the best one, and training ends when it does not improve for
`--patience` epochs or when the CPU time is spent. Lists exclude the training items and no others,
as MMRec's do. `mmrec_worker.py` has the process, and lists what it replaces in MMRec.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import environment
import mmrec_worker
import numpy as np
import scipy.sparse as sp
import sources
from mmrec_worker import PATCHES
from sklearn.utils import Bunch

from recsk.metrics import map_at_k, ndcg_at_k, precision_at_k, recall_at_k

METRICS = {
    "recall": recall_at_k,
    "precision": precision_at_k,
    "map": map_at_k,
    "ndcg": ndcg_at_k,
}
CUTOFFS = (5, 10, 20)
LENGTH = 50  # of the test lists
N_USER_NEIGHBORS = 200  # as MMRec's script for the graph of users keeps

# One setting of each, all else is MMRec's default. MGCN's is that of its authors' own repository,
# DRAGON's the one that its authors name for Amazon Sports, with ten times their learning rate of
# 1e-4, which is too slow for the time given here. FREEDOM's is of the grid in MMRec.
SETTINGS: dict[str, dict[str, Any]] = {
    "FREEDOM": {"dropout": 0.9, "reg_weight": 0.0},
    "MGCN": {"cl_loss": 0.01},
    "DRAGON": {"learning_rate": 1e-3, "reg_weight": 1e-3, "aggr_mode": "add"},
}

# glibc keeps freed memory: steps of FREEDOM then take half of the time.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(10**11)}


def write_folder(data: Bunch, folder: Path, text: str, image: str) -> None:
    """MMRec's form of a data set: interactions, two modalities and the graph of users."""
    largest = max(part.indices.max() for part in (data.train, data.valid, data.test))
    if largest + 1 < data.train.shape[1]:
        raise SystemExit(f"MMRec takes {largest}, the largest id, for the last item: it is not")
    folder.mkdir(parents=True)
    rows = ["userID\titemID\tx_label"]
    for label, part in enumerate((data.train, data.valid, data.test)):
        pairs = part.tocoo()
        rows += [f"{u}\t{i}\t{label}" for u, i in zip(pairs.row, pairs.col, strict=True)]
    (folder / f"{data.name}.inter").write_text("\n".join(rows) + "\n")
    for file, modality in (("text_feat", text), ("image_feat", image)):
        np.save(folder / f"{file}.npy", filled(data.features[modality]))
    graph: Any = user_graph(data.train)
    np.save(folder / "user_graph_dict.npy", graph, allow_pickle=True)


def filled(features: np.ndarray) -> np.ndarray:
    """Items that lack the modality get the mean of the others: MMRec knows no missing rows."""
    missing = np.isnan(features).any(axis=1)
    return np.where(missing[:, None], features[~missing].mean(axis=0), features)


def user_graph(train: Any) -> dict[int, list[list]]:
    """For each user the others with most items in common, and how many these are."""
    seen = train.astype(bool).astype(np.float32)
    graph = {}
    for start in range(0, train.shape[0], 1024):
        counts = (seen[start : start + 1024] @ seen.T).tocsr()
        for row in range(counts.shape[0]):
            part = slice(counts.indptr[row], counts.indptr[row + 1])
            others, common = counts.indices[part], counts.data[part]
            kept = others != start + row
            others, common = others[kept], common[kept]
            best = np.lexsort((others, -common))[:N_USER_NEIGHBORS]
            graph[start + row] = [others[best].tolist(), common[best].tolist()]
    return graph


def job_of(
    model: str, name: str, settings: dict[str, Any], args: argparse.Namespace
) -> dict[str, Any]:
    """What `mmrec_worker.py` is to do. MMRec's own files hold all settings that are not here."""
    files = {
        "data_path": "../data/",
        "inter_file_name": f"{name}.inter",
        "text_feature_file": "text_feat.npy",
        "vision_feature_file": "image_feat.npy",
        "user_graph_dict_file": "user_graph_dict.npy",
        "USER_ID_FIELD": "userID",
        "ITEM_ID_FIELD": "itemID",
        "use_gpu": False,
        "eval_batch_size": 8192,
    }
    limits = ("minutes", "every", "patience", "epochs", "threads")
    return {
        "model": model,
        "dataset": name,
        "config": {**files, **settings},
        "length": LENGTH,
        **{key: getattr(args, key) for key in limits},
    }


def run(job: dict[str, Any], folder: Path) -> tuple[dict[str, Any], np.ndarray]:
    """Train in another process; what it says of itself, and the list of each test user."""
    (folder / "job.json").write_text(json.dumps(job))
    command = [sys.executable, str(Path(mmrec_worker.__file__).resolve()), str(folder)]
    subprocess.run(command, cwd=folder / "src", env={**os.environ, **KEEP_MEMORY}, check=True)
    return json.loads((folder / "about.json").read_text()), np.load(folder / "lists.npy")


def measure(lists: np.ndarray, truth: Any) -> dict[str, float]:
    return {
        f"{name}@{k}": float(metric(lists, truth, k))
        for name, metric in METRICS.items()
        for k in CUTOFFS
    }


def print_table(models: dict[str, Any]) -> None:
    columns = [f"{name}@{k}" for name in METRICS for k in (5, 20)]
    print(f"\n{'':<10}{'valid R@20':>12}" + "".join(f"{column:>14}" for column in columns))
    for name, row in models.items():
        values = "".join(f"{row['test'][column]:>14.4f}" for column in columns)
        print(f"{name:<10}{row['valid']['recall@20']:>12.4f}{values}  {row['ended']}")


def revision(checkout: Path) -> str | None:
    """The commit of a checkout, None if it is not of git."""
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def parse(option: str) -> tuple[str, Any]:
    name, _, value = option.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mmrec", type=Path, required=True, help="a checkout of MMRec")
    parser.add_argument("--dataset", choices=sources.DATASETS, default="sports")
    parser.add_argument("--model", default=",".join(SETTINGS), help="default: %(default)s")
    parser.add_argument("--text", help="modality that is MMRec's text; default: t, or the last")
    parser.add_argument("--image", help="modality that is its images; default: the first other")
    parser.add_argument("--minutes", type=float, default=35, help="CPU minutes for a model")
    parser.add_argument("--every", type=int, default=1, help="epochs between validations")
    parser.add_argument("--patience", type=int, default=20, help="epochs")
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=999)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="of MMRec")
    parser.add_argument("--lists", type=Path, help="a folder that keeps the test lists")
    parser.add_argument("--json", type=Path, help="what it has of other models stays")
    args = parser.parse_args(argv)

    data = sources.load(args.dataset, False)
    modalities = list(data.features)
    if len(modalities) < 2:
        raise SystemExit(f"{data.name} has no two modalities")
    text = args.text or ("t" if "t" in modalities else modalities[-1])
    image = args.image or next(m for m in modalities if m != text)
    report: dict[str, Any] = {"models": {}}
    if args.json and args.json.exists():
        report = json.loads(args.json.read_text())
    report.update(data=sources.about(data), text=text, image=image, mmrec=revision(args.mmrec))
    print(f"{args.dataset}: text {text}, image {image}; MMRec {report['mmrec']}", flush=True)
    for model in args.model.split(","):
        label = " ".join([model, *args.set])
        settings = {**SETTINGS.get(model, {}), **dict(map(parse, args.set)), "seed": args.seed}
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            shutil.copytree(args.mmrec / "src", folder / "src")
            write_folder(data, folder / "data" / data.name, text, image)
            sp.save_npz(folder / "valid.npz", data.valid)
            about, lists = run(job_of(model, data.name, settings, args), folder)
        if args.lists:
            args.lists.mkdir(parents=True, exist_ok=True)
            np.save(args.lists / f"{label}.npy", lists)
        report["models"][label] = {
            "settings": {**settings, "every": args.every, "patience": args.patience},
            "changes": [*PATCHES["all"], *PATCHES.get(model, ())],
            **about,
            "test": measure(lists, data.test),
            "environment": environment.describe(),
        }
        print_table(report["models"])
        if args.json:
            environment.write(report, args.json)


if __name__ == "__main__":
    main()
