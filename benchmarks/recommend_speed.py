"""Users per second of top-k recommendation beside implicit's: a table on stdout and a JSON file.

    python benchmarks/recommend_speed.py
    python benchmarks/recommend_speed.py --candidates --items 50000 --users 1000 --threads 1

100,000 users and 100,000 items of width 128 with random vectors, every user having seen items of
a power law, which are masked: the same vectors in an estimator of recsk and in a model of
implicit, asked in turn for 20 items each, on 1 and on 2 threads. "with term" adds an item-to-item
term, 100 random neighbours for each item, to the vectors; implicit has no such model.
BLAS has one thread, as implicit
advises. Extra memory is the peak of a call less what the process held before it. Latency is that
of one user at a time. On one thread, seconds are CPU time, so that other work on the machine does
not count; on several they pass on the wall.

With ``--candidates``, the price of ``items=``: half, a tenth and 100 items, one set for all users
or one for each (a boolean mask, "csr" as a sparse matrix), for 1, 10, 100 and all users in a call.
CPU time of the calls in turn, medians, as ratios to the whole catalogue.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import environment
import memory
import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from synthetic import power_law

from recsk import Interactions, MDERecommender
from recsk.contract import Learned

Recommend = Callable[..., tuple[np.ndarray, np.ndarray]]


def models(args: argparse.Namespace) -> dict[str, Recommend]:
    """The same vectors and interactions on both sides."""
    rng = np.random.default_rng(0)
    seen = power_law(args.users, args.items, args.per_user, rng)
    users, items = (
        rng.normal(size=(n, args.width)).astype(np.float32) for n in (args.users, args.items)
    )
    estimator = MDERecommender()
    estimator.n_features_in_ = args.items
    estimator._set_fitted(Interactions.from_csr(seen), Learned(items, users))
    with_term = MDERecommender()
    with_term.n_features_in_ = args.items
    starts = np.arange(0, args.items * args.neighbors + 1, args.neighbors)
    neighbors = rng.integers(args.items, size=starts[-1])
    weights = rng.random(starts[-1]).astype(np.float32), neighbors, starts
    term = sp.csr_matrix(weights, shape=(args.items, args.items))
    with_term._set_fitted(Interactions.from_csr(seen), Learned(items, users, term))
    rival = AlternatingLeastSquares(factors=args.width)
    rival.user_factors, rival.item_factors = users, items

    def recommend(ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        return rival.recommend(ids, seen[ids], N=k, filter_already_liked_items=True)

    return {
        "recsk": estimator.recommend,
        "with term": with_term.recommend,
        "implicit": recommend,
    }


def measure(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """All figures on as many threads as this process may use."""
    recommend = models(args)
    clock = time.process_time if os.environ["OMP_NUM_THREADS"] == "1" else time.perf_counter
    everybody = np.arange(args.users)
    lists, found = {}, {}
    for name, ask in recommend.items():
        ask(everybody[:1000], args.k)  # libraries are loaded
        before = memory.now()
        with memory.Peak() as peak:
            ask(everybody, args.k)
        lists[name] = np.sort(ask(everybody[:1000], args.k)[0], axis=1)
        found[name] = {"extra_mib": peak.mib - before, "seconds": [], "latency_ms": []}
    same = (lists["recsk"] == lists["implicit"]).all(axis=1).mean()
    for _ in range(args.repeats):
        for name, ask in recommend.items():
            start = clock()
            ask(everybody, args.k)
            found[name]["seconds"].append(clock() - start)
    ids = np.random.default_rng(1).choice(args.users, args.calls)
    for user in ids:
        for name, ask in recommend.items():
            start = clock()
            ask(user, args.k)
            found[name]["latency_ms"].append(1e3 * (clock() - start))
    for row in found.values():
        row["same_lists"] = float(same)
        row["users_per_second"] = args.users / float(np.median(row["seconds"]))
        row["ratio"] = float(np.median(found["implicit"]["seconds"]) / np.median(row["seconds"]))
        latency = row.pop("latency_ms")
        row["median_ms"], row["p99_ms"] = np.percentile(latency, [50, 99]).tolist()
    return found


def measure_candidates(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """CPU milliseconds of calls with `items=`, and their ratios to a call without."""
    recommend = models(args)
    del recommend["implicit"]
    rng = np.random.default_rng(2)
    found: dict[str, dict[str, Any]] = {}
    for n in sorted({1, 10, 100, args.users}):
        if n > args.users:
            continue
        users = rng.permutation(args.users)[:n]
        asked: dict[str, Any] = {"whole": None}
        for name, size in (("half", args.items // 2), ("tenth", args.items // 10), ("100", 100)):
            mask = rng.random((n, args.items)) < size / args.items
            asked[name] = rng.permutation(args.items)[:size]
            asked[f"{name}, each"] = mask
            asked[f"{name}, each, csr"] = sp.csr_array(mask)
        for model, ask in recommend.items():
            times: dict[str, list[float]] = {name: [] for name in asked}
            for repeat in range(args.repeats + 1):
                for name, items in asked.items():
                    start = time.process_time()
                    ask(users, args.k, items=items)
                    if repeat:  # the first call warms up
                        times[name].append(1e3 * (time.process_time() - start))
            medians = {name: float(np.median(values)) for name, values in times.items()}
            ratios = {name: value / medians["whole"] for name, value in medians.items()}
            found[f"{model}, {n} users"] = {"cpu_ms": times, "median_ms": medians, "ratio": ratios}
    return found


def print_candidates(found: dict[str, dict[str, Any]], threads: int) -> None:
    """The ratios as a table."""
    names = list(next(iter(found.values()))["ratio"])[1:]
    print(f"{f'{threads} threads':<22}{'whole, ms':>12}" + "".join(f"{x:>18}" for x in names))
    for name, row in found.items():
        ratios = "".join(f"{row['ratio'][x]:>18.2f}" for x in names)
        print(f"{name:<22}{row['median_ms']['whole']:>12.2f}{ratios}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--per-user", type=int, default=20, help="items per user, in the mean")
    parser.add_argument("--neighbors", type=int, default=100, help="of the item-to-item term")
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--calls", type=int, default=1000, help="of one user, for the latency")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--measure", action="store_true", help="(what the script calls itself with)"
    )
    parser.add_argument("--candidates", action="store_true", help="measure `items=` instead")
    parser.add_argument("--json", type=Path, help="where to write, under results/ by default")
    args = parser.parse_args()
    if args.json is None:
        name = "candidates" if args.candidates else "speed"
        args.json = Path(__file__).parent / f"results/recommend_{name}.json"
    if args.measure:
        print(json.dumps((measure_candidates if args.candidates else measure)(args)))
        return
    report: dict[str, Any] = {
        "environment": environment.describe(),
        "arguments": {name: value for name, value in vars(args).items() if name != "json"},
    }
    columns = ("model", "threads", "users / s", "ratio", "extra MiB", "median ms", "p99 ms", "same")
    if not args.candidates:
        print(("{:<10}" + "{:>12}" * 7).format(*columns))
    for threads in args.threads:
        # A process of its own: how many threads there are is settled when libraries are loaded.
        limits = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "--measure", *sys.argv[1:]]
        done = subprocess.run(
            command, env={**os.environ, **limits}, stdout=subprocess.PIPE, text=True, check=True
        )
        found = report[f"{threads} threads"] = json.loads(done.stdout)
        if args.candidates:
            print_candidates(found, threads)
            continue
        for name, row in found.items():
            print(
                f"{name:<10}{threads:>12}{row['users_per_second']:>12.0f}{row['ratio']:>12.2f}"
                f"{row['extra_mib']:>12.0f}{row['median_ms']:>12.2f}{row['p99_ms']:>12.2f}"
                f"{row['same_lists']:>12.3f}",
                flush=True,
            )
    environment.write(report, args.json)


if __name__ == "__main__":
    main()
