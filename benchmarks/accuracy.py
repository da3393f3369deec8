"""Quality on real data: a table on stdout and a JSON file.

    python benchmarks/accuracy.py --dataset tiktok --model mde --seeds 3
    python benchmarks/accuracy.py --dataset ml100k --model mde_tuned,lightgcn_tuned,als,bpr
    python benchmarks/accuracy.py --dataset baby --model lightgcn --seeds 3
    python benchmarks/accuracy.py --dataset tiktok --model mde,wo_mda,wo_msa,wo_nlt --seeds 3
    python benchmarks/accuracy.py --dataset scientific --model mdsrec,sasrec --seeds 3
    python benchmarks/accuracy.py --mmrec FOLDER --model mde,paper,lightgcn --seeds 3

Every model is trained on the training part, stopped or tuned on the validation part and measured
on the test part. Models of sequences predict everybody's last item (test) and the one before it
(validation) from all that came earlier; the others get the data set's own random split. Items of
the history are masked and no others; models of sequences are measured without the mask as well.
`--set name=value` changes a parameter of recsk's models; `--validation-only` leaves the test part
alone, for choosing.
"""

from __future__ import annotations

import argparse
import ast
import json
from pathlib import Path
from typing import Any

import environment
import models
import numpy as np
import rivals
import torch
from realdata import NAMES, load, load_folder, load_sequences

CUTOFFS = (5, 10, 20)
SHOWN = ("recall@5", "recall@10", "recall@20", "ndcg@5", "ndcg@10", "ndcg@20")


def summary(runs: list[dict], part: str) -> dict[str, tuple[float, float]]:
    values = {name: [run[part][name] for run in runs] for name in runs[0][part]}
    return {
        name: (float(np.mean(v)), float(np.std(v, ddof=1)) if len(v) > 1 else 0.0)
        for name, v in values.items()
    }


def print_table(results: dict[str, list[dict]], part: str) -> None:
    print(f"\n{part}: mean +- standard deviation over seeds")
    print(f"{'model':<16}" + "".join(f"{name:>17}" for name in SHOWN) + "   epoch  s/epoch")
    for model, runs in results.items():
        found = summary(runs, part)
        cells = "".join(f"{f'{m:.4f} +- {s:.4f}':>17}" for m, s in (found[name] for name in SHOWN))
        epochs = np.mean([run.get("best_iter", np.nan) for run in runs])
        seconds = np.mean([run.get("epoch_seconds", np.nan) for run in runs])
        print(f"{model:<16}{cells}   {epochs:5.0f}  {seconds:7.2f}", flush=True)


def parse_change(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not name=value")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--dataset", choices=NAMES)
    source.add_argument("--mmrec", metavar="FOLDER", help="a data set in MMRec's own form")
    known = [*models.MDE, *models.GRIDS, *models.MDSREC, *rivals.GRIDS]
    parser.add_argument("--model", default="mde", help=f"comma-separated, of {', '.join(known)}")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to this number less one")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--set", action="append", default=[], type=parse_change, metavar="NAME=VALUE"
    )
    parser.add_argument("--validation-only", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/accuracy-....json")
    args = parser.parse_args()
    names = args.model.split(",")
    if unknown := [name for name in names if name not in known]:
        parser.error(f"unknown model {unknown[0]!r}; known are {', '.join(known)}")
    sequential = [name not in rivals.GRIDS and models.is_sequential(name) for name in names]
    if any(sequential) != all(sequential):
        parser.error("models of sequences and others have different splits: run them apart")
    torch.set_num_threads(args.threads)

    if sequential[0]:
        if not args.dataset:
            parser.error("models of sequences need the order: a --dataset that has timestamps")
        data = load_sequences(args.dataset)
        parts = ["valid", "valid, not masked", "test", "test, not masked"]
    else:
        data = load(args.dataset) if args.dataset else load_folder(args.mmrec)
        parts = ["valid", "test"]
    if args.validation_only:
        parts = [part for part in parts if part.startswith("valid")]
    changes = dict(args.set)
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    print(
        f"{data.name} ({data.split}): {data.valid.shape[0]} users, {data.valid.shape[1]} items, "
        f"{' / '.join(str(data.sizes[part]) for part in ('train', 'valid', 'test'))} interactions, "
        f"{args.threads} threads, changes {changes}"
    )
    results: dict[str, list[dict]] = {}
    for name in names:
        if name in rivals.GRIDS:
            results[name] = rivals.run(name, data, seeds, parts, CUTOFFS)
        else:
            model, best = name, {}
            if name in models.GRIDS:
                model, best = models.tune(name, data, seeds[0], changes)
                print(f"{name}: chosen {best}")
            results[name] = []
            for seed in seeds:
                run = models.run(model, data, seed, {**best, **changes}, parts, CUTOFFS)
                results[name].append({**run, "params": best})
                found = results[name][-1]["valid"]
                line = ", ".join(f"{metric} {found[metric]:.4f}" for metric in SHOWN)
                print(f"{name}, seed {seed}, valid: {line}", flush=True)
        for part in parts:
            print_table({name: results[name]}, part)
    for part in parts:
        print_table(results, part)
    kind = "-sequences" if sequential[0] else ""
    path = args.json or Path(__file__).parent / "results" / f"accuracy-{data.name}{kind}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "dataset": data.name,
        "split": data.split,
        "changes": changes,
        "environment": environment.describe(),
        "runs": results,
    }
    path.write_text(json.dumps(report, indent=1, default=str) + "\n")
    print(f"\nwritten: {path}")


if __name__ == "__main__":
    main()
