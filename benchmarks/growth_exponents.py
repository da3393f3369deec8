"""How the time of a step and of an epoch grows: exponents from four sizes each, and a JSON file.

    python benchmarks/growth_exponents.py --threads 1

Synthetic interactions by a power law, two modalities. One of users, items, interactions and columns
grows; the rest stays at `BASE`, the number of interactions too, but more users have as many each;
"sparser users" are more users who share the same number.
Times are CPU seconds: "step" is the median step, "epoch" a whole epoch without what comes before
its first step, "start" is that: checks, graphs, initial vectors. Networks have their defaults;
MDSRec compares with 1,000 negatives, as it should with many items. Every size has a process of its
own. The exponent is the slope of log time by log size, by least squares; about 0 is no growth, 1
growth in proportion.

With `--add` the sizes that stand in the JSON file are not measured again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import environment
import numpy as np
import scipy.sparse as sp
import timing
from synthetic import power_law

from recsk import Interactions, MDERecommender, MDSRecRecommender

BASE = {"users": 50_000, "items": 20_000, "interactions": 500_000, "columns": 64}
SIZES = {
    "users": (20_000, 50_000, 120_000, 300_000),
    "sparser users": (20_000, 50_000, 120_000, 300_000),
    "items": (8_000, 20_000, 50_000, 120_000),
    "interactions": (250_000, 500_000, 1_000_000, 2_000_000),
    "columns": (32, 64, 128, 256),
}
MODELS = ("mde", "mdsrec")
PARTS = ("start", "step", "epoch")
N_STEPS = 12  # where no whole epoch is asked for


def measure(model: str, size: dict[str, int]) -> dict[str, float]:
    """CPU seconds of the parts of a fit on data of this size."""
    rng = np.random.default_rng(0)
    train: Any = _matrix(size, rng)
    features = {
        m: rng.normal(size=(size["items"], size["columns"])).astype(np.float32) for m in "vt"
    }
    estimator: Any
    common = {"max_epochs": 1, "early_stopping": False, "device": "cpu", "random_state": 0}
    if model == "mde":
        estimator = MDERecommender(**common)
    else:
        estimator = MDSRecRecommender(n_negatives=1000, **common)
        user, item = train.nonzero()
        when = rng.permutation(len(user))
        shape = {"n_users": size["users"], "n_items": size["items"]}
        train = Interactions(user, item, timestamp=when, **shape)
    of_users = size["interactions"] * BASE["users"] == BASE["interactions"] * size["users"]
    whole = size == BASE or (size["interactions"] != BASE["interactions"] and not of_users)
    with timing.Watch(None if whole else N_STEPS) as watch:
        estimator.fit(train, item_features=features)
    step = float(np.median(np.diff(watch.steps)))
    found = {"start": watch.steps[0] - step, "step": step, "steps": len(watch.steps)}
    if whole:
        found["epoch"] = watch.steps[-1] - found["start"]
    return {**found, "interactions": int(train.nnz if model == "mde" else len(train))}


def size_of(axis: str, value: int) -> dict[str, int]:
    """A size of the axis. More users have as many interactions each, sparser users fewer."""
    size = {**BASE, axis.removeprefix("sparser "): value}
    if axis == "users":
        size["interactions"] = value * BASE["interactions"] // BASE["users"]
    return size


def _matrix(size: dict[str, int], rng: np.random.Generator) -> sp.csr_matrix:
    """At least as many interactions as asked for, cut to their number."""
    per_user = max(1, round(1.3 * size["interactions"] / size["users"]))
    found = power_law(size["users"], size["items"], per_user, rng).tocoo()
    kept = np.sort(rng.permutation(found.nnz)[: size["interactions"]])
    values = np.ones(len(kept), np.float32)
    return sp.csr_matrix((values, (found.row[kept], found.col[kept])), found.shape)


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of log seconds by log size."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(seconds, 1e-6)), 1)[0])


def add_exponents(report: dict[str, Any]) -> None:
    """Write the exponents of all parts that have four sizes into the report."""
    for model, axes in report["models"].items():
        for axis, rows in axes.items():
            of_axis = report.setdefault("exponents", {}).setdefault(model, {}).setdefault(axis, {})
            for part in PARTS:
                have = [row for row in rows if part in row]
                if len(have) == len(SIZES[axis]):
                    key = "interactions" if axis == "interactions" else "size"
                    sizes, seconds = [row[key] for row in have], [row[part] for row in have]
                    of_axis[part] = {"value": exponent(sizes, seconds), "seconds": seconds}


def show(report: dict[str, Any]) -> None:
    print(f"\n{'':<24}{'part':<8}{'four sizes, CPU seconds':<44}{'exponent':>9}")
    for model, axes in report["exponents"].items():
        for axis, parts in axes.items():
            for part, found in parts.items():
                cells = "".join(f"{s:>11.3f}" for s in found["seconds"])
                print(f"{model + ' by ' + axis:<24}{part:<8}{cells}{found['value']:>9.2f}")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=",".join(MODELS), help="comma-separated")
    parser.add_argument("--axis", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--shrink", type=int, default=1, help="divides sizes, to try it out")
    parser.add_argument("--add", action="store_true", help="keep the sizes of the JSON file")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure", help="(what the script calls itself with)")
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results/growth_exponents.json"
    )
    args = parser.parse_args(argv)
    if args.measure:
        model, size = json.loads(args.measure)
        with timing.threads(args.threads):
            print(json.dumps(measure(model, size)))
        return
    kept = args.add and args.json.exists()
    report: dict[str, Any] = json.loads(args.json.read_text()) if kept else {"models": {}}
    for model in args.model.split(","):
        for axis in args.axis:
            rows = report["models"].setdefault(model, {}).setdefault(axis, [])
            for value in SIZES[axis]:
                if any(row["size"] == value for row in rows):
                    continue
                size = size_of(axis, value)
                size = {n: v if n == "columns" else v // args.shrink for n, v in size.items()}
                words = ["--measure", json.dumps([model, size]), "--threads", str(args.threads)]
                found = timing.in_own_process(__file__, words, args.threads)
                rows.append({"size": value, **found})
                print(f"{model} {size}: {found}", file=sys.stderr, flush=True)
                report["environment"] = environment.describe()
                add_exponents(report)
                environment.write(report, args.json)
    add_exponents(report)
    show(report)


if __name__ == "__main__":
    main()
