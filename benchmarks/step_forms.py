"""CPU seconds of a fit whose steps are computed in other forms: bfloat16, or compiled by torch.

    python benchmarks/step_forms.py --dataset scientific --model mdsrec
    python benchmarks/step_forms.py --dataset tiktok --model mde --forms float32,bfloat16

Each form is one fit of the same number of epochs, without early stopping, the forms in turn in one
process. "compiled" is the forward of the step through `torch.compile`, whose time to compile
counts: caches of earlier runs are off, and what its child processes take is added. The last epochs
show what a step takes once everything is compiled.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

os.environ |= {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}

import environment
import models
import numpy as np
import timing
import torch
from sources import DATASETS, load

from recsk.nn import precision, training

HERE = Path(__file__).parent
LAST = 2  # epochs whose mean is the time of an epoch
FORMS = ("float32", "bfloat16", "compiled")


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


@contextmanager
def compiled() -> Iterator[None]:
    """Let every fit compile the forward of its step."""

    def compile_terms(terms: Callable[[Any], Any], *_: object) -> Callable[[Any], Any]:
        return torch.compile(lambda batch: terms(batch))

    with mock.patch.object(precision, "at_precision", compile_terms):
        yield


@contextmanager
def timed_epochs() -> Iterator[list[float]]:
    """CPU seconds of the steps of each epoch."""
    found: list[float] = []
    run_epoch = training._run_epoch

    def timed(*args: Any) -> Any:
        start = cpu_seconds()
        means = run_epoch(*args)
        found.append(cpu_seconds() - start)
        return means

    with mock.patch.object(training, "_run_epoch", timed):
        yield found


def measure(form: str, args: argparse.Namespace, data: Any) -> dict[str, Any]:
    """One fit: CPU seconds of all of it and of an epoch, and the last value of each loss."""
    changes = {"max_epochs": args.epochs, "early_stopping": False, "device": "cpu"}
    if form == "bfloat16":
        changes["precision"] = form
    start = cpu_seconds()
    with timed_epochs() as epochs:
        if form == "compiled":
            with compiled():
                fitted = models.fit(args.model, data, 0, changes)
        else:
            fitted = models.fit(args.model, data, 0, changes)
    losses = getattr(fitted, "estimator", fitted).loss_curve_
    return {
        "fit": cpu_seconds() - start,
        "first epoch": epochs[0],
        "epoch": float(np.mean(epochs[-LAST:])),
        "losses": {name: curve[-1] for name, curve in losses.items()},
    }


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", choices=DATASETS, default="scientific")
    parser.add_argument("--model", choices=[*models.MDE, *models.MDSREC], default="mdsrec")
    parser.add_argument("--forms", default=",".join(FORMS))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/step_forms-....json")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    forms = args.forms.split(",")
    if unknown := set(forms) - set(FORMS):
        raise SystemExit(f"--forms: {', '.join(sorted(unknown))} is none of {', '.join(FORMS)}")
    data = load(args.dataset, models.is_sequential(args.model))
    found = {}
    print("| form | fit, CPU s | first epoch | epoch |\n|---|---|---|---|")
    with timing.threads(args.threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler has many
        for form in forms:
            found[form] = row = measure(form, args, data)
            cells = (f"{row[name]:.1f}" for name in ("fit", "first epoch", "epoch"))
            print(f"| {form} | {' | '.join(cells)} |", flush=True)
    path = args.json or HERE / "results" / f"step_forms-{args.dataset}-{args.model}.json"
    report = {"environment": environment.describe(), "epochs": args.epochs, "forms": found}
    environment.write(report, path)


if __name__ == "__main__":
    main()
