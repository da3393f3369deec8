"""How far a test set alone can tell two models apart: a table on stdout and a JSON file beside it.

    python benchmarks/standard_error.py --dataset ml100k --model mde

The standard error of a metric is its standard deviation over the users of the test part, divided by
the square root of their number; here of one fit of one seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import environment
import models
import numpy as np
import torch
from accuracy import parse_change
from sources import DATASETS, load

from recsk.metrics import evaluate


def run(dataset: str, model: str, changes: dict[str, Any], seed: int) -> dict[str, dict[str, Any]]:
    """Mean, standard error and number of users by metric, at 10 for sequences and else at 20."""
    sequential = models.is_sequential(model)
    data = load(dataset, sequential)
    k = 10 if sequential else 20
    fitted = models.fit(model, data, seed, changes)
    values = evaluate(fitted, data.test, ("recall", "ndcg"), k, per_user=True)
    n_users = len(values.pop("user"))
    return {
        name: {
            "mean": float(np.mean(each)),
            "error": float(np.std(each, ddof=1) / np.sqrt(n_users)),
            "users": n_users,
        }
        for name, each in values.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", choices=DATASETS, default="ml100k")
    parser.add_argument("--model", choices=[*models.MDE, *models.MDSREC], default="mde")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--set", action="append", default=[], type=parse_change, metavar="NAME=VALUE"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = run(args.dataset, args.model, dict(args.set), args.seed)
    print(f"{args.model} on {args.dataset}, test part, seed {args.seed}\n")
    print("| | mean | standard error | users |\n|---|---|---|---|")
    for name, row in found.items():
        print(f"| {name} | {row['mean']:.4f} | {row['error']:.4f} | {row['users']} |")
    report = {"changes": dict(args.set), "metrics": found, "environment": environment.describe()}
    path = args.results / f"standard_error-{args.dataset}-{args.model}.json"
    environment.write(report, path)


if __name__ == "__main__":
    main()
