"""Seconds of an epoch in one process and in several that train together: a table and a JSON file.

    python benchmarks/parallel.py

Every process has one thread. Fits in one process and in `--processes`, which exchange by gloo on
this machine, take turns `--repeats` times, on synthetic data (`synthetic.sized`: about 20
interactions of a user, two modalities of 128 columns), with validation after each epoch. An epoch
is from its first step to the first of the next; the figures are medians over epochs and repeats.

"speed-up" compares seconds on the wall, which is what counts where each process has a core for
itself and nothing else runs. "by CPU" compares the CPU seconds of one process with the largest of
the others: it leaves out what processes wait for each other, and hardly depends on other programs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import environment
import numpy as np

HERE = Path(__file__).parent
# Users, items and parameters: batches as large as a fit in many processes has.
CASES: dict[str, tuple[int, int, dict[str, Any]]] = {
    "mde": (40_000, 20_000, {"batch_size": 65_536, "n_negatives": 8192}),
    "mde-paper": (20_000, 10_000, {"batch_size": 16_384}),
    "mdsrec": (8_000, 5_000, {}),
    "mdsrec-sampled": (20_000, 50_000, {"n_negatives": 1000}),
    "mde-small-batches": (40_000, 20_000, {}),
}


def estimator(case: str, epochs: int) -> Any:
    from recsk import MDERecommender, MDSRecRecommender

    make = MDSRecRecommender if case.startswith("mdsrec") else MDERecommender
    if case == "mde-paper":
        make = MDERecommender.paper
    shared = {"early_stopping": True, "device": "cpu", "random_state": 0, "max_epochs": epochs}
    return make(**shared, **CASES[case][2])


def work(case: str, rank: int, size: int, meeting: str, args: argparse.Namespace) -> None:
    """Fit in one of the processes, and print the seconds of its epochs."""
    import synthetic
    import torch
    import torch.distributed as dist

    from recsk.nn import training

    torch.set_num_threads(1)
    if size > 1:
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    users, items, _ = CASES[case]
    users, items = max(users // args.shrink, 50), max(items // args.shrink, 50)
    data = synthetic.sized(users, items, 128, sequential=case.startswith("mdsrec"), seed=0)
    starts: list[tuple[float, float]] = []
    run = training._run_epoch

    def watched(*parts: Any) -> Any:
        starts.append((time.perf_counter(), time.process_time()))
        return run(*parts)

    with mock.patch.object(training, "_run_epoch", watched):
        estimator(case, args.epochs + 1).fit(data.train, item_features=data.features)
    print(json.dumps({"rank": rank, "starts": starts}))


def fit(case: str, size: int, args: argparse.Namespace) -> list[np.ndarray]:
    """Seconds on the wall and of the CPU of each epoch, (n_epochs, 2), by process."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, __file__, "--case", case, "--epochs", str(args.epochs)]
        words += ["--shrink", str(args.shrink), "--processes", str(size)]
        words += ["--meeting", (Path(folder) / "meeting").as_uri(), "--rank"]
        limits = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        started = [
            subprocess.Popen(
                [*words, str(rank)],
                env={**os.environ, **limits},
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(size)
        ]
        found = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError(f"{case}: a process ended with an error")
    return [np.diff(json.loads(text.splitlines()[-1])["starts"], axis=0) for text in found]


def compare(case: str, args: argparse.Namespace) -> dict[str, Any]:
    """Medians of one process and of several, in turns."""
    fits: dict[int, list[list[np.ndarray]]] = {1: [], args.processes: []}
    for _ in range(args.repeats):
        for size, found in fits.items():
            found.append(fit(case, size, args))
    median = {
        # By process, over the epochs of all repeats.
        size: [np.median(np.concatenate(parts), axis=0) for parts in zip(*found, strict=True)]
        for size, found in fits.items()
    }
    one, several = median[1], median[args.processes]
    slowest = np.max(several, axis=0)
    return {
        "wall_one": float(one[0][0]),
        "wall_several": float(slowest[0]),
        "cpu_one": float(one[0][1]),
        "cpu_several": [float(seconds[1]) for seconds in several],
        "speed_up": float(one[0][0] / slowest[0]),
        "speed_up_by_cpu": float(one[0][1] / slowest[1]),
        "epochs": {size: [np.array(x).tolist() for x in found] for size, found in fits.items()},
    }


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--shrink", type=int, default=1, help="divides users and items")
    parser.add_argument("--json", type=Path, default=HERE / "results" / "parallel.json")
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--meeting", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    if args.rank is not None:
        work(args.case[0], args.rank, args.processes, args.meeting, args)
        return
    found = {}
    columns = ("case", "wall 1", f"wall {args.processes}", "CPU 1", f"CPU {args.processes}")
    print(("{:<16}" + "{:>10}" * 4 + "{:>12}" * 2).format(*columns, "speed-up", "by CPU"))
    for case in args.case:
        row = found[case] = compare(case, args)
        cpu = max(row["cpu_several"])
        seconds = (row["wall_one"], row["wall_several"], row["cpu_one"], cpu)
        print(
            f"{case:<16}"
            + "".join(f"{x:>10.2f}" for x in seconds)
            + "".join(f"{row[name]:>12.2f}" for name in ("speed_up", "speed_up_by_cpu")),
            flush=True,
        )
    arguments = {name: str(value) for name, value in vars(args).items()}
    report = {"environment": environment.describe(), "arguments": arguments, "cases": found}
    environment.write(report, args.json)


if __name__ == "__main__":
    main()
