"""Both ranking engines on the same problems: a table on stdout and a JSON file.

    python benchmarks/rank_engines.py --threads 1
    python benchmarks/rank_engines.py --device cuda

Random vectors of width 128, items that users have seen left out, and an item-to-item term of 100
random neighbours for each item. The engine of devices runs on `--device`; on the CPU it is there
for tests, and its time shows what they cost. Milliseconds are medians of calls in turn: CPU time if
both engines run there, else those on the wall. "same" is the share of equal ids in the lists.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import environment
import numpy as np
import scipy.sparse as sp
import timing
from synthetic import power_law

from recsk.ranking import Users, similar
from recsk.ranking.allowed import Allowed
from recsk.ranking.blocks import rank
from recsk.ranking.scores import CombinedScores


def problems(args: argparse.Namespace) -> dict[str, Any]:
    """Functions of a device, by name."""
    rng = np.random.default_rng(0)
    seen = sp.csr_array(power_law(args.users, args.items, args.per_user, rng))
    users, items = (
        rng.normal(size=(n, args.width)).astype(np.float32) for n in (args.users, args.items)
    )
    starts = np.arange(0, args.items * args.neighbors + 1, args.neighbors)
    weights = rng.random(starts[-1]).astype(np.float32), rng.integers(args.items, size=starts[-1])
    term = sp.csr_matrix((*weights, starts), shape=(args.items, args.items))
    term.sum_duplicates()
    histories = sp.csr_matrix(seen, dtype=np.float32)
    some = rng.permutation(args.items)[: args.items // 2]
    mask = rng.random((min(args.users, 1000), args.items)) < 0.5

    def ranked(n: int, candidates: Any = None, *, with_term: bool = False) -> Any:
        of = Users(users[:n], histories[:n] if with_term else None)
        scores = CombinedScores(of, items, term if with_term else None, n, args.items)
        allowed = Allowed.read(seen[:n], candidates, None, scores.shape)
        return lambda device: rank(scores, args.k, allowed, device=device)

    n_few = len(mask)
    return {
        f"{args.users} users": ranked(args.users),
        f"{args.users} users, with a term": ranked(args.users, with_term=True),
        f"{args.users} users, half of the items": ranked(args.users, some),
        f"{n_few} users, half each": ranked(n_few, mask),
        "one user": ranked(1),
        "one user, with a term": ranked(1, with_term=True),
        "similar items of 1000": lambda device: similar(
            items, np.arange(min(1000, args.items)), args.k, device=device
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=5_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--per-user", type=int, default=20, help="items per user, in the mean")
    parser.add_argument("--neighbors", type=int, default=100, help="of the item-to-item term")
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="of the engine of devices")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results/engines.json")
    args = parser.parse_args()
    report: dict[str, Any] = {
        "environment": environment.describe(),
        "arguments": {name: value for name, value in vars(args).items() if name != "json"},
    }
    clock = time.process_time if args.device == "cpu" else time.perf_counter
    print(f"{'problem':<36}{'CPU, ms':>12}{f'torch, {args.device}, ms':>20}{'ratio':>8}{'same':>8}")
    with timing.threads(args.threads):
        for name, ask in problems(args).items():
            times: dict[str | None, list[float]] = {None: [], args.device: []}
            lists = {}
            for repeat in range(args.repeats + 1):
                for device, spent in times.items():
                    start = clock()
                    lists[device] = ask(device)[0]
                    if repeat:  # the first call warms up
                        spent.append(1e3 * (clock() - start))
            cpu, torch = (float(np.median(spent)) for spent in times.values())
            same = float((lists[None] == lists[args.device]).mean())
            report[name] = {
                "cpu_ms": times[None],
                "torch_ms": times[args.device],
                "ratio": torch / cpu,
                "same": same,
            }
            print(
                f"{name:<36}{cpu:>12.1f}{torch:>20.1f}{torch / cpu:>8.2f}{same:>8.3f}", flush=True
            )
    environment.write(report, args.json)


if __name__ == "__main__":
    main()
