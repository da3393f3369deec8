"""Time and memory against the number of users: a table, a plot and a JSON file.

    python benchmarks/scale.py --threads 1

Synthetic interactions by a power law, about 20 of every user, among 100,000 items with features of
128 and 64 columns: the graphs of both estimators, the item-to-item weights of MDE, the baseline
item kNN, a fit of one epoch (graphs and final vectors included), top 20 for 10,000 users. Every
size has a process of its own. Peak memory is that of the whole process in the stage, data included.
MDE takes 20 steps an epoch at every size; MDSRec compares with 1,000 negatives, 1,024 sequences a
step. With `--add` the sizes that stand in the JSON file are not measured again. `--only` names the
stages to measure, of those that need no fit: the rest is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import environment
import memory
import numpy as np
import scipy.sparse as sp
import timing
import torch
from synthetic import power_law

from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.baselines import ItemKNNRecommender
from recsk.graphs import item_similarity_graph, user_cooccurrence_graph, window_cooccurrence_graph
from recsk.models.mde.item_to_item import item_to_item_weights

WIDTHS = {"image": 128, "text": 64}
GRAPHS = ("item graphs", "user graph", "item-to-item weights", "item kNN", "items nearby")
T = TypeVar("T")


class Stages:
    """Seconds and peak memory of one stage after the other."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, float]] = {}

    def graphs(self, work: dict[str, Callable[[], Any]], only: list[str]) -> None:
        """The stages of `work` that are asked for; all with an empty list."""
        for name, build in work.items():
            if not only or name in only:
                self(name, build)

    def __call__(self, name: str, work: Callable[[], T]) -> T:
        clock = timing.Clock()
        with memory.Peak() as peak:
            result = work()
        spent = clock.both()
        self.found[name] = {
            "seconds": spent["wall_seconds"],
            "cpu_seconds": spent["cpu_seconds"],
            "peak_mib": peak.mib,
        }
        print(f"{name}: {self.found[name]}", file=sys.stderr, flush=True)
        return result


def fit_mde(matrix: sp.csr_matrix, features: dict[str, np.ndarray], device: str) -> MDERecommender:
    model = MDERecommender(
        max_epochs=1,
        early_stopping=False,
        batch_size=max(matrix.nnz // 20, 1024),
        device=device,
        random_state=0,
    )
    return model.fit(matrix, item_features=features)


def fit_mdsrec(X: Interactions, features: dict[str, np.ndarray], device: str) -> MDSRecRecommender:
    model = MDSRecRecommender(
        max_epochs=1,
        early_stopping=False,
        batch_size=1024,
        n_negatives=1000,
        device=device,
        random_state=0,
    )
    return model.fit(X, item_features=features)


def measure(n_users: int, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """All stages at one size."""
    stages = Stages()
    rng = np.random.default_rng(0)
    matrix = stages("data", lambda: power_law(n_users, args.items, args.per_user, rng))
    features = {
        name: rng.normal(size=(args.items, width)).astype(np.float32)
        for name, width in WIDTHS.items()
    }
    graphs: dict[str, Callable[[], Any]] = {
        "item graphs": lambda: [item_similarity_graph(x, 10) for x in features.values()],
        "user graph": lambda: user_cooccurrence_graph(matrix, 10),
        "item-to-item weights": lambda: item_to_item_weights(matrix, 1.0),
        "item kNN": lambda: ItemKNNRecommender().fit(matrix),
    }
    stages.graphs(graphs, args.only)
    # Whatever order: of a row of the matrix it is that of the ids.
    user = np.repeat(np.arange(n_users), np.diff(matrix.indptr))
    item = matrix.indices[np.lexsort((rng.random(matrix.nnz), user))]
    X = Interactions(
        user, item, timestamp=np.arange(len(user)), n_users=n_users, n_items=args.items
    )
    nearby = partial(window_cooccurrence_graph, matrix.indptr, item, args.items, 10)
    stages.graphs({"items nearby": nearby}, args.only)
    if args.only:
        return stages.found
    asked = rng.choice(n_users, min(10_000, n_users), replace=False)
    mde = stages("mde, one epoch", lambda: fit_mde(matrix, features, args.device))
    stages("mde, recommend", partial(mde.recommend, asked, 20))
    del mde
    mdsrec = stages("mdsrec, one epoch", lambda: fit_mdsrec(X, features, args.device))
    histories = [item[matrix.indptr[u] : matrix.indptr[u + 1]].tolist() for u in asked]
    stages("mdsrec, recommend", partial(mdsrec.recommend, user_items=histories, k=20))
    return stages.found


def exponent(sizes: list[int], values: list[float]) -> float:
    """Slope of the line through the larger half of the sizes, both axes in logarithms."""
    half = slice(-max(len(sizes) // 2 + 1, 2), None)
    return float(np.polyfit(np.log(sizes[half]), np.log(values[half]), 1)[0])


def plot(found: dict[int, dict[str, dict[str, float]]], path: Path) -> None:
    """Draw seconds and memory of every stage against users."""
    import matplotlib.pyplot as plt

    sizes = list(found)
    figure, axes = plt.subplots(1, 2, figsize=(11, 6), layout="constrained")
    styles = ["-o", "-s", "-^", "--o", "--s", "--^", ":o", ":s", ":^"]
    for ax, key, label in zip(
        axes, ("seconds", "peak_mib"), ("seconds", "peak memory (MiB)"), strict=True
    ):
        for style, stage in zip(styles, found[sizes[0]], strict=False):
            values = [found[size][stage][key] for size in sizes]
            ax.loglog(sizes, values, style, label=f"{stage} ({exponent(sizes, values):.2f})")
        ax.set(xlabel="users", ylabel=label)
        ax.grid(which="major", alpha=0.3)
        beneath = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14)}
        ax.legend(title="exponent in brackets", fontsize="small", ncols=2, **beneath)
    figure.savefig(path, dpi=120)
    print(f"written: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--users", type=int, nargs="+", default=[10_000, 30_000, 100_000, 300_000, 1_000_000]
    )
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--per-user", type=int, default=20, help="items per user, in the mean")
    parser.add_argument(
        "--only", nargs="+", default=[], choices=GRAPHS, help="no fits, these alone"
    )
    parser.add_argument("--add", action="store_true", help="keep the sizes of the JSON file")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--measure", type=int, help="(what the script calls itself with)")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results/scale.json")
    args = parser.parse_args()
    if args.measure:
        torch.set_num_threads(args.threads)
        print(json.dumps(measure(args.measure, args)))
        return
    report: dict[str, Any] = {"arguments": vars(args) | {"json": str(args.json)}, "sizes": {}}
    if args.add and args.json.exists():
        report["sizes"] = json.loads(args.json.read_text())["sizes"]
    sizes = sorted({*args.users, *map(int, report["sizes"])})
    for size in sizes:
        if str(size) in report["sizes"]:
            continue
        words = [*sys.argv[1:], "--measure", str(size)]
        report["sizes"][str(size)] = {
            "environment": environment.describe() | {"threads": args.threads},
            "stages": timing.in_own_process(__file__, words, args.threads),
        }
        environment.write(report, args.json)
    found = {size: report["sizes"][str(size)]["stages"] for size in sizes}
    print(f"\n{'stage':<20}" + "".join(f"{size:>16,}" for size in sizes) + "    exponents")
    for stage in found[sizes[0]]:
        cells = [found[size][stage] for size in sizes]
        row = "".join(f"{c['seconds']:>8.1f}s{c['peak_mib'] / 1024:>6.2f}G" for c in cells)
        slopes = ""
        if len(sizes) > 1:
            slopes = " / ".join(
                f"{exponent(sizes, [c[key] for c in cells]):.2f}" for key in ("seconds", "peak_mib")
            )
        print(f"{stage:<20}{row}    {slopes}")
    if len(sizes) > 1:
        plot(found, args.json.with_suffix(".png"))


if __name__ == "__main__":
    main()
