"""Time by part, memory and quality on large synthetic data: a table and a JSON file.

    python benchmarks/large.py --size middle
    python benchmarks/large.py --size large --model mde --steps 20
    python benchmarks/large.py --size large --model als --set als:iterations=5

"middle" has 100,000 users, 50,000 items and 3 million interactions, "large" a million users,
100,000 items and 20 million, both two modalities of 128 columns (`synthetic.topical`). The data are
made once, and kept in `benchmarks/output/` in the form that `accuracy.py --npz` reads too. Each
model has a process of its own. A network is fitted with the validation part, at most `--epochs`
epochs; with `--steps` it is left after so many steps, for their time alone. Implicit's ALS has as
many factors as the vectors of MDE have columns; other models are names of `models.py`. Models of
sequences see the histories in random order, which has nothing to learn from but the items.

Parts are in CPU seconds. "start" is all before the first step: checks, graphs, initial vectors.
"step" is the median, for ALS that of an iteration. "epoch" is the median without its validation,
which is "valid". "end" is what comes after the last validation. Peak memory is that of the whole
process while it fits, data included. Quality is on the validation part, 10,000 users with one or
two items each.

With `--figure`, a plot of the quality after each epoch, or iteration of ALS, against CPU seconds.

The JSON file keeps what it has of other sizes and models. With `--add` the models that it has are
not fitted again. The parameters of ALS were the best of a dozen on "middle".
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import accuracy
import environment
import matplotlib.pyplot as plt
import memory
import models
import numpy as np
import rivals
import scipy.sparse as sp
import sources
import synthetic
import timing
from sklearn.utils import Bunch
from study_plots import COLORS

from recsk import Interactions

HERE = Path(__file__).parent
# Users, items, interactions; a tiny one is for trying the script out.
SIZES = {
    "tiny": (400, 200, 6_000),
    "middle": (100_000, 50_000, 3_000_000),
    "large": (1_000_000, 100_000, 20_000_000),
}
ALS = {"regularization": 30.0, "alpha": 30.0}
METRIC = "recall@20"  # of all models of the curves


def generate(size: str, path: Path) -> dict[str, float]:
    """Write a file of the data, and return what that takes."""
    clock = timing.Clock()
    with memory.Peak() as peak:
        arrays = synthetic.topical(*SIZES[size])
        found = clock.both()
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **arrays)
    return {**found, "peak_mib": peak.mib}


def parts(watch: timing.Watch, spent: float) -> dict[str, float]:
    """Seconds of the parts of a fit."""
    found = steps(watch.steps)
    if validations := watch.validations:
        # Epochs are between the end of one validation and the start of the next.
        before = [found.get("start", 0.0), *(v.end for v in validations[:-1])]
        pairs = zip(before, validations, strict=True)
        found["epoch"] = float(np.median([v.start - end for end, v in pairs]))
        found["validation"] = float(np.median([v.end - v.start for v in validations]))
        found["end"] = spent - validations[-1].end
    return found


def steps(ends: list[float]) -> dict[str, float]:
    """What is before the first step, the median step and the number, by the ends of all steps."""
    if not ends:
        return {}
    step = float(np.median(np.diff(ends))) if len(ends) > 1 else 0.0
    return {"start": max(ends[0] - step, 0.0), "step": step, "steps": len(ends)}


def fit(name: str, data: Bunch, args: argparse.Namespace) -> dict[str, Any]:
    """One fit: what it takes and what it gives."""
    changes = accuracy.for_model(name, args.set)
    if name not in rivals.RULES:
        common = {"device": "cpu", "max_epochs": args.epochs, "eval_metric": METRIC}
        changes = {**common, **changes}
    estimator: Any = None  # it stays None if the fit is left
    with memory.Peak() as peak:
        if name == "als":
            found, estimator = fit_als(data, changes, args)
        else:
            with timing.Watch(args.steps) as watch:
                estimator = models.fit(name, data, 0, changes)
            found = watch.clock.both()
            found["parts"] = parts(watch, found["cpu_seconds"])
            found["curve"] = [[v.end, v.value] for v in watch.validations]
    found["peak_mib"] = peak.mib
    if estimator is not None:
        found |= timing.quality(estimator, data)
        if hasattr(estimator, "n_iter_"):
            found |= {"epochs": estimator.n_iter_, "best_epoch": estimator.best_iter_}
    return found


def fit_als(
    data: Bunch, changes: dict[str, Any], args: argparse.Namespace
) -> tuple[dict[str, Any], timing.Ranker]:
    width = timing.width_of(models.make("mde", 0, accuracy.for_model("mde", args.set)), data)
    curve: list[list[float]] = []
    measured = {"cpu_seconds": 0.0, "wall_seconds": 0.0}  # what measuring took does not count

    def after(_: int, ranker: timing.Ranker) -> None:
        start = clock.both()
        value = timing.quality(ranker, data)[METRIC]
        curve.append([start["cpu_seconds"] - measured["cpu_seconds"], value])
        for kind, seconds in clock.both().items():
            measured[kind] += seconds - start[kind]

    clock = timing.Clock()
    params = {"factors": width, **ALS, **changes}
    ranker = timing.fit_als(data.train, **params, n_threads=args.threads, after=after)
    spent = {kind: seconds - measured[kind] for kind, seconds in clock.both().items()}
    return {**spent, "parts": steps([seconds for seconds, _ in curve]), "curve": curve}, ranker


def in_some_order(train: sp.csr_matrix) -> Interactions:
    """Histories in random order, for models of sequences: users choose by topics in any order."""
    coo = train.tocoo()
    when = np.random.default_rng(0).permutation(train.nnz)
    n_users, n_items = train.shape
    return Interactions(coo.row, coo.col, timestamp=when, n_users=n_users, n_items=n_items)


def measure(name: str, path: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One model, in this process."""
    data = sources.load(f"npz:{path}", False)
    if models.is_sequential(name):
        data.train = in_some_order(data.train)
    with timing.threads(args.threads):
        found = fit(name, data, args)
    about = {"threads": args.threads, "epochs": args.epochs, "steps": args.steps}
    return {**found, "changes": accuracy.for_model(name, args.set), "limits": about}


def draw(rows: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw quality against time: a line by epochs or iterations, a large mark for the whole fit."""
    figure, ax = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
    for (name, row), color in zip(rows.items(), COLORS, strict=False):
        if row.get("curve"):
            ax.plot(*zip(*row["curve"], strict=True), color=color, marker=".", linewidth=1)
        style = {"color": color, "markersize": 9, "markeredgecolor": "white", "linestyle": "none"}
        ax.plot(row["cpu_seconds"], row[METRIC], marker="o", label=models.label(name), **style)
    ax.set_xscale("log")
    ax.set(xlabel="CPU seconds, one thread", ylabel=f"{METRIC}, validation")
    ax.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def print_row(name: str, row: dict[str, Any]) -> None:
    own = row["parts"]
    cells = [
        f"{own[part]:>9.2f}" if part in own else " " * 9
        for part in ("start", "step", "epoch", "validation", "end")
    ]
    count = row.get("epochs") or own.get("steps") or ""
    quality = "".join(
        f"{row[metric]:>8.4f}" if metric in row else " " * 8 for metric in ("recall@20", "ndcg@20")
    )
    print(
        f"{models.label(name):<12}{''.join(cells)}{count:>7}{row['cpu_seconds']:>10.1f}"
        f"{row['wall_seconds']:>10.1f}{row['peak_mib'] / 1024:>7.2f}{quality}",
        flush=True,
    )


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="middle")
    parser.add_argument("--model", default="popular,als,mde", help="comma-separated")
    parser.add_argument("--epochs", type=int, default=5, help="of a network, at most")
    parser.add_argument("--steps", type=int, help="leave networks after so many steps")
    accuracy.add_changes(parser)
    parser.add_argument("--add", action="store_true", help="keep the models of the JSON file")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, help="default: benchmarks/output/large-....npz")
    parser.add_argument("--measure", help="(what the script calls itself with)")
    parser.add_argument("--json", type=Path, default=HERE / "results" / "large.json")
    parser.add_argument("--figure", type=Path, help="of quality against time, all models")
    parser.set_defaults(grid=[])
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    path = args.data or HERE / "output" / f"large-{args.size}.npz"
    if args.measure:
        print(json.dumps(measure(args.measure, path, args)))
        return
    names = args.model.split(",")
    accuracy.check(names, args)
    report: dict[str, Any] = json.loads(args.json.read_text()) if args.json.exists() else {}
    own = report.setdefault(args.size, {"models": {}})
    if not path.exists():
        own["generate"] = generate(args.size, path)
        print("generate: {cpu_seconds:.1f} s, {peak_mib:.0f} MiB".format(**own["generate"]))
    for name in names:
        if not args.add or name not in own["models"]:
            words = [*(sys.argv[1:] if argv is None else argv), "--measure", name]
            found = timing.in_own_process(__file__, words, args.threads)
            own["models"][name] = {**found, "environment": environment.describe()}
            environment.write(report, args.json)
    heads = "".join(f"{name:>9}" for name in ("start", "step", "epoch", "valid", "end"))
    ends = f"{'count':>7}{'CPU s':>10}{'wall s':>10}{'GiB':>7}{'R@20':>8}{'N@20':>8}"
    print(f"\n{args.size:<12}{heads}{ends}")
    for name in names:
        print_row(name, own["models"][name])
    if args.figure:
        draw({name: row for name, row in own["models"].items() if METRIC in row}, args.figure)


if __name__ == "__main__":
    main()
