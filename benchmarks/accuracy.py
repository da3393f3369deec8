"""Quality on real data: a table on stdout and a JSON file.

    python benchmarks/accuracy.py --dataset tiktok --model mde --seeds 3
    python benchmarks/accuracy.py --dataset ml100k --model mde,lightgcn,als,bpr --seeds 3
    python benchmarks/accuracy.py --dataset baby --model lightgcn --seeds 3
    python benchmarks/accuracy.py --dataset tiktok --model mde,wo_mda,wo_msa,wo_nlt --seeds 3
    python benchmarks/accuracy.py --mmrec FOLDER --model mde,paper,lightgcn --seeds 3

Every model is trained on the training part, stopped or tuned on the validation part and measured
on the test part with the training interactions masked and nothing else. `--set name=value` changes
a parameter of recsk's models; `--validation-only` leaves the test part alone, for choosing.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rivals
import torch
from realdata import NAMES, load, load_folder
from sklearn.utils import Bunch

from recsk import MDERecommender
from recsk.metrics import evaluate

LIGHTGCN = {
    "loss": "bpr",
    "similarity": "dot",
    "normalize": False,
    "user_neighbors": 0,
    "n_layers": 2,
    "batch_size": 2048,
    "n_iter_no_change": 20,
    "max_epochs": 500,
    "reg_lambda": 1e-4,
}
# Each of recsk's models: the class method that makes it, its parameters, and its modalities.
MODELS: dict[str, tuple[Callable[..., MDERecommender], dict[str, Any], bool]] = {
    "mde": (MDERecommender, {}, True),
    "paper": (MDERecommender.paper, {}, True),
    "wo_mda": (MDERecommender, {"alpha": 0.0}, True),
    "wo_msa": (MDERecommender, {"beta": 0.0}, True),
    "wo_nlt": (MDERecommender, {"tradeoff": "uniform"}, True),
    "paper_wo_mda": (MDERecommender.paper, {"alpha": 0.0}, True),
    "paper_wo_msa": (MDERecommender.paper, {"beta": 0.0}, True),
    "paper_wo_nlt": (MDERecommender.paper, {"tradeoff": "uniform"}, True),
    # The defaults but for one addition to the paper taken back, or one more made.
    "raw_features": (MDERecommender, {"standardize": False}, True),
    "mlp_encoder": (MDERecommender, {"hidden_factor": 4}, True),
    "no_id": (MDERecommender, {"id_embedding": "none"}, True),
    "gated_id": (MDERecommender, {"id_embedding": "gate"}, True),
    "user_graph": (MDERecommender, {"user_neighbors": 40}, True),
    "no_item_graph": (MDERecommender, {"item_neighbors": 0}, True),
    "bpr_loss": (MDERecommender, {"loss": "bpr"}, True),
    "bpr_dot": (MDERecommender, {"loss": "bpr", "similarity": "dot"}, True),
    "fused_only": (MDERecommender, {"modality_weight": 0.0}, True),
    "strong_losses": (MDERecommender, {"alpha": 0.1, "beta": 0.1}, True),
    "no_extra_losses": (MDERecommender, {"alpha": 0.0, "beta": 0.0}, True),
    "edge_dropout": (MDERecommender, {"edge_dropout": 0.3}, True),
    "rate_decay": (MDERecommender, {"learning_rate_decay": 0.9}, True),
    "ids": (MDERecommender, {}, False),
    "lightgcn": (MDERecommender, LIGHTGCN, False),
}
CUTOFFS = (5, 10, 20)
SHOWN = ("recall@5", "recall@10", "recall@20", "ndcg@5", "ndcg@10", "ndcg@20")


def run_recsk(
    model: str, data: Bunch, seed: int, changes: dict[str, Any], parts: list[str]
) -> dict:
    make, params, multimodal = MODELS[model]
    estimator = make(**{**params, **changes}, random_state=seed)
    start = time.perf_counter()
    estimator.fit(
        data.train,
        item_features=data.features if multimodal else None,
        eval_set=data.valid,
    )
    seconds = time.perf_counter() - start
    return {
        "seed": seed,
        "best_iter": estimator.best_iter_,
        "fit_seconds": seconds,
        "epoch_seconds": seconds / estimator.n_iter_,
        **{part: evaluate(estimator, data[part], k=CUTOFFS) for part in parts},
    }


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
    known = [*MODELS, *rivals.GRIDS]
    parser.add_argument("--model", default="mde", help=f"comma-separated, of {', '.join(known)}")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to this number less one")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--set", action="append", default=[], type=parse_change, metavar="NAME=VALUE"
    )
    parser.add_argument("--validation-only", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--json", type=Path, help="default: benchmarks/results/accuracy-DATASET.json"
    )
    args = parser.parse_args()
    models = args.model.split(",")
    if unknown := [model for model in models if model not in known]:
        parser.error(f"unknown model {unknown[0]!r}; known are {', '.join(known)}")
    torch.set_num_threads(args.threads)

    data = load(args.dataset) if args.dataset else load_folder(args.mmrec)
    parts = ["valid"] if args.validation_only else ["valid", "test"]
    changes = dict(args.set)
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    print(
        f"{data.name} ({data.split}): {data.train.shape[0]} users, {data.train.shape[1]} items, "
        f"{data.train.nnz} / {data.valid.nnz} / {data.test.nnz} interactions, "
        f"{args.threads} threads, changes {changes}"
    )
    results: dict[str, list[dict]] = {}
    for model in models:
        if model in rivals.GRIDS:
            results[model] = rivals.run(model, data, seeds, parts, CUTOFFS)
        else:
            results[model] = [run_recsk(model, data, seed, changes, parts) for seed in seeds]
        for part in parts:
            print_table({model: results[model]}, part)
    for part in parts:
        print_table(results, part)
    path = args.json or Path(__file__).parent / "results" / f"accuracy-{data.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "dataset": data.name,
        "split": data.split,
        "changes": changes,
        "threads": args.threads,
        "cpus": os.cpu_count(),
        "runs": results,
    }
    path.write_text(json.dumps(report, indent=1, default=str) + "\n")
    print(f"\nwritten: {path}")


if __name__ == "__main__":
    main()
