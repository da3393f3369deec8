"""Two models on the users of several data sets together: paired differences of the means.

    python benchmarks/pooled.py benchmarks/results/accuracy-scientific-sequences.json \
        benchmarks/results/accuracy-sports-sequences.json --model mdsrec --against sequential_rules

The files are those that `accuracy.py` writes, the values of each user those that it keeps in
`--users`. A user's value is its mean over the seeds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import by_user
import numpy as np

HERE = Path(__file__).parent


def values_of(report: dict[str, Any], model: str, metric: str, users: Path) -> np.ndarray:
    """A value for each user of the test part, the mean over seeds."""
    if model not in report["runs"]:
        raise SystemExit(f"{report['dataset']} has no runs of {model}: {', '.join(report['runs'])}")
    found = [by_user.load(users / run["by_user"], "test") for run in report["runs"][model]]
    if metric not in found[0]:
        raise SystemExit(f"{report['dataset']} keeps no {metric} of each user")
    return np.mean([values[metric] for values in found], axis=0)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, help="written by accuracy.py")
    parser.add_argument("--model", required=True)
    parser.add_argument("--against", required=True)
    parser.add_argument("--metrics", default="recall@10,ndcg@10")
    parser.add_argument("--users", type=Path, default=HERE / "output" / "users")
    args = parser.parse_args(argv)
    reports = [json.loads(path.read_text()) for path in args.files]
    metrics = args.metrics.split(",")

    def pooled(model: str) -> list[np.ndarray]:
        return [
            np.concatenate([values_of(report, model, metric, args.users) for report in reports])
            for metric in metrics
        ]

    own, other = pooled(args.model), pooled(args.against)
    print(f"{' + '.join(report['dataset'] for report in reports)}: {len(own[0])} users, test")
    print(f"{'metric':<12}{args.model:>18}{args.against:>18}{'difference':>12}{'95 %':>20}{'p':>9}")
    for metric, mine, theirs, test in zip(
        metrics, own, other, by_user.compare(own, other), strict=True
    ):
        interval = f"{test['low']:+.4f} to {test['high']:+.4f}"
        print(
            f"{metric:<12}{mine.mean():>18.4f}{theirs.mean():>18.4f}{test['difference']:>+12.4f}"
            f"{interval:>20}{test['p']:>9.4f}"
        )


if __name__ == "__main__":
    main()
