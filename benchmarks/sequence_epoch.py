"""CPU seconds of an epoch of MDSRec on a million sequences, from some of its steps.

    python benchmarks/sequence_epoch.py --threads 1

Synthetic sequences by a power law, about 20 items of each user, among 100,000 items with two
modalities of 128 columns. Batches are of sequences of similar length and come in random order. The
cost of an epoch is that of the measured steps, by the number of targets in them, times the targets
of an epoch. "start" is all of the fit before the first step: relation graphs, interests, network.
The item-to-item part, which training does not use, is left out. Peak memory is that of the whole
process until the last of the steps, data included.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import environment
import memory
import numpy as np
import synthetic
import timing

from recsk import MDSRecRecommender
from recsk.nn.sequences import SequenceBatch, SequenceSampler

HERE = Path(__file__).parent


class Targets:
    """Targets of each batch that is drawn within a ``with`` block."""

    def __init__(self) -> None:
        self.found: list[int] = []
        draw = SequenceSampler.__iter__

        def counted(sampler: SequenceSampler) -> Iterator[SequenceBatch]:
            for batch in draw(sampler):
                self.found.append(len(batch.target))
                yield batch

        self._patch = mock.patch.object(SequenceSampler, "__iter__", counted)

    def __enter__(self) -> Targets:
        self._patch.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._patch.stop()


def measure(args: argparse.Namespace) -> dict[str, float]:
    """What some steps take, and what an epoch of such steps takes."""
    data = synthetic.sized(args.users, args.items, args.columns, sequential=True, seed=0)
    model = MDSRecRecommender(
        batch_size=args.batch_size,
        n_negatives=args.negatives,
        relation_weight=0.0,
        early_stopping=False,
        device="cpu",
        random_state=0,
    )
    with memory.Peak() as peak, Targets() as targets, timing.Watch(args.steps) as watch:
        model.fit(data.train, item_features=data.features)
    seconds = np.diff(watch.steps)
    # The first step ends what is called the start.
    per_target = seconds.sum() / sum(targets.found[1 : len(watch.steps)])
    n_targets = len(data.train) - len(np.unique(data.train.user))
    return {
        "start": watch.steps[0] - float(np.median(seconds)),
        "step": float(seconds.mean()),
        "targets": float(np.mean(targets.found)),
        "sequences": args.users,
        "epoch": float(per_target * n_targets),
        "peak_mib": peak.mib,
    }


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=128, help="of each of two modalities")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--negatives", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, default=HERE / "results" / "sequence_epoch.json")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    with timing.threads(args.threads):
        found = measure(args)
    arguments: dict[str, Any] = {name: str(value) for name, value in vars(args).items()}
    environment.write(
        {"environment": environment.describe(), "arguments": arguments, **found}, args.json
    )
    print(json.dumps(arguments))
    print(
        f"start {found['start']:.0f} s, a step {found['step']:.3f} s of {found['targets']:,.0f} "
        f"targets in the mean, an epoch {found['epoch'] / 60:.1f} min, all in CPU seconds; "
        f"peak memory {found['peak_mib'] / 1024:.1f} GiB"
    )


if __name__ == "__main__":
    main()
