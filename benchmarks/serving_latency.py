"""Latency of one user at a time, and of loading: a table on stdout and a JSON file.

    python benchmarks/serving_latency.py

Both networks are fitted for one epoch on a power law of 5,000 users and 50,000 items with two kinds
of features, 128 columns of vectors, and saved. A process on one thread, which never imports
PyTorch, loads them as a server does. It is asked for the 10 best items of one user: of the whole
catalogue, of half of it (ids, or a mask of shape (1, n_items)), without a tenth of it, and, of MDE,
for new users by their histories of 20 items. Each question is asked 1,000 times, all in turn. "CPU"
is the time of the thread, "wall" what passes meanwhile: on a machine that is not quiet other
processes are in it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import environment
import numpy as np

MODELS = "MDERecommender", "MDSRecRecommender"


def fit(args: argparse.Namespace, folder: Path) -> None:
    """Save a fitted model of each class."""
    from synthetic import sized

    import recsk

    data = sized(args.users, args.items, 32, sequential=True, seed=0)
    for name in MODELS:
        est = getattr(recsk, name)(max_epochs=1, early_stopping=False, random_state=0)
        recsk.save(est.fit(data.train, item_features=data.features), folder / name)


def ask(args: argparse.Namespace) -> dict[str, Any]:
    """Load the models of a folder and ask them, without torch."""
    import recsk

    found: dict[str, Any] = {}
    for name in MODELS:
        path = args.ask / name
        loading: dict[str, list[tuple[float, float]]] = {"mapped": [], "checked": []}
        for _ in range(args.loads):
            for how, times in loading.items():
                times.append(timed(recsk.load, path, mmap=how == "mapped"))
        model = recsk.load(path, mmap=True)
        found[name] = {
            "mib": path.stat().st_size / 2**20,
            "load_ms": {how: np.median(times, axis=0).tolist() for how, times in loading.items()},
            "questions": latencies(args, model),
        }
    assert "torch" not in sys.modules
    return found


def latencies(args: argparse.Namespace, model: Any) -> dict[str, dict[str, float]]:
    """Percentiles of the time of each question, in milliseconds."""
    rng = np.random.default_rng(0)
    n_items = model.n_features_in_
    half = np.sort(rng.permutation(n_items)[: n_items // 2])
    mask = np.zeros((1, n_items), dtype=bool)
    mask[0, half] = True
    options: dict[str, dict[str, Any]] = {
        "whole catalogue": {},
        "items= half": {"items": half},
        "items= half, a mask": {"items": mask},
        "filter_items= a tenth": {"filter_items": half[::5]},
    }
    times: dict[str, list[tuple[float, float]]] = {}
    for user in rng.choice(model.n_users_, args.calls + args.warm_up):
        for name, keywords in options.items():
            one = [user] if "mask" in name else user
            times.setdefault(name, []).append(timed(model.recommend, one, **keywords))
        if hasattr(model, "_fold"):
            history = rng.integers(n_items, size=20).tolist()
            took = timed(model.recommend, user_items=[history])
            times.setdefault("a new user", []).append(took)
    found = {}
    for name, pairs in times.items():
        cpu, wall = np.array(pairs[args.warm_up :]).T
        found[name] = {
            f"{kind}_p{p}": float(np.percentile(values, p))
            for kind, values in (("cpu", cpu), ("wall", wall))
            for p in (50, 99)
        }
    return found


def timed(call: Any, *arguments: Any, **options: Any) -> tuple[float, float]:
    """Milliseconds of the thread and on the wall."""
    wall, cpu = time.perf_counter(), time.thread_time()
    call(*arguments, **options)
    return 1e3 * (time.thread_time() - cpu), 1e3 * (time.perf_counter() - wall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=5_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--warm-up", type=int, default=20)
    parser.add_argument("--loads", type=int, default=15)
    parser.add_argument("--ask", type=Path, help="(what the script calls itself with)")
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results/serving_latency.json"
    )
    args = parser.parse_args()
    if args.ask is not None:
        print(json.dumps(ask(args)))
        return
    with tempfile.TemporaryDirectory() as folder:
        fit(args, Path(folder))
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, __file__, *sys.argv[1:], "--ask", folder]
        done = subprocess.run(
            command, env={**os.environ, **one_thread}, stdout=subprocess.PIPE, check=True
        )
    found = json.loads(done.stdout)
    line = "{:<20}{:<24}" + "{:>12}" * 4
    print(line.format("ms", "", "CPU p50", "CPU p99", "wall p50", "wall p99"))
    for name, row in found.items():
        print(f"{name}, {row['mib']:.0f} MiB")
        for how, (cpu, wall) in row["load_ms"].items():
            print(line.format("", f"load, {how}", f"{cpu:.1f}", "", f"{wall:.1f}", ""))
        for question, numbers in row["questions"].items():
            print(line.format("", question, *(f"{x:.2f}" for x in numbers.values())))
    arguments = {name: value for name, value in vars(args).items() if name not in ("json", "ask")}
    environment.write(
        {"environment": environment.describe(), "arguments": arguments, "models": found}, args.json
    )


if __name__ == "__main__":
    main()
