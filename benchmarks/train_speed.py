"""Seconds per epoch of MDE, and to a given quality: a table on stdout and a JSON file.

    python benchmarks/train_speed.py --threads 1

TikTok with its features at the default setting, and Baby with random features of 4,096 and 384
columns, which say nothing about quality. An epoch's time is that of a fit of several epochs less
that of a fit of one, so that neither graphs nor the final vectors count; the median of repeats.
The time to a quality is that of a whole fit which stops as soon as validation has it. `--profile`
tells where the time of a step goes, by timers around functions; what one calls counts for both.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import environment
import numpy as np
import torch
from realdata import load
from sklearn.utils import Bunch

from recsk import MDERecommender
from recsk.nn import lazy_adam, mde, mde_nodes, mde_objective, training

QUALITY = {"tiktok": 0.11}  # validation recall@20, a little below what a fit ends at


def seconds(data: Bunch, epochs: int, **params: Any) -> float:
    estimator = MDERecommender(max_epochs=epochs, early_stopping=False, random_state=0, **params)
    start = time.perf_counter()
    estimator.fit(data.train, item_features=data.features)
    return time.perf_counter() - start


def seconds_to(data: Bunch, quality: float, **params: Any) -> tuple[float, int]:
    """Seconds of a fit that is as long as it takes to get there, and its epochs."""
    estimator = MDERecommender(random_state=0, **params)
    estimator.fit(data.train, item_features=data.features, eval_set=data.valid)
    reached = np.flatnonzero(np.array(estimator.validation_curve_) >= quality)
    if not len(reached):
        return float("nan"), 0
    estimator.set_params(max_epochs=int(reached[0]) + 1)
    start = time.perf_counter()
    estimator.fit(data.train, item_features=data.features, eval_set=data.valid)
    return time.perf_counter() - start, estimator.n_iter_


TIMED = {
    "step": (training, "_run_epoch"),
    "objective": (mde_objective.MDEObjective, "__call__"),
    "nodes": (mde_nodes.CachedGraph, "__call__"),
    "whole graph": (mde_nodes.CachedGraph, "_compute_constants"),
    "initial items": (mde.MDENetwork, "initial_items"),
    "mean of layers": (mde, "mean_of_layers"),
    "ranking loss": (mde_objective.MDEObjective, "_ranking_terms"),
    "alignment": (mde_objective.MDEObjective, "_alignment_loss"),
    "difference": (mde_objective.MDEObjective, "_difference_loss"),
    "backward": (torch.Tensor, "backward"),
    "optimizer": (lazy_adam.LazyAdam, "step"),
    "moving average": (training._MovingAverage, "update"),
}


def profile(data: Bunch, epochs: int, **params: Any) -> dict[str, float]:
    """Milliseconds of the parts of a step."""
    spent = dict.fromkeys(TIMED, 0.0)
    n_steps, depth = 0, []

    def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal n_steps
            n_steps += name == "optimizer"
            start = time.perf_counter()
            depth.append(name)
            result = work(*args, **kwargs)
            depth.pop()
            if "step" in depth or name == "step":  # validation and the end of a fit are no steps
                spent[name] += time.perf_counter() - start
            return result

        return wrapper

    with ExitStack() as patches:
        for name, (owner, function) in TIMED.items():
            wrapper = timed(name, getattr(owner, function))
            patches.enter_context(mock.patch.object(owner, function, wrapper))
        seconds(data, epochs, **params)
    return {name: 1e3 * total / n_steps for name, total in spent.items()}


def load_data(name: str) -> Bunch:
    data = load(name)
    if name == "baby":
        rng = np.random.default_rng(0)
        shapes = {"v": 4096, "t": 384}
        n_items = data.train.shape[1]
        data.features = {
            m: rng.normal(size=(n_items, p)).astype(np.float32) for m, p in shapes.items()
        }
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", nargs="+", choices=["tiktok", "baby"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3, help="epochs between the two fits")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results/train_speed.json"
    )
    args = parser.parse_args()
    if args.profile and args.device != "cpu":
        parser.error("--profile is for the CPU: elsewhere it would time how long launches take")
    torch.set_num_threads(args.threads)
    report: dict[str, Any] = {"environment": environment.describe(), "device": args.device}
    header = ("data", "s / epoch", "min", "max", "s to quality", "epochs")
    print(("{:<10}" + "{:>14}" * 5).format(*header))
    for name in args.dataset or ["tiktok", "baby"]:
        data = load_data(name)
        params = {"device": args.device}
        seconds(data, 1, **params)  # libraries are loaded and memory is taken
        found = [
            (seconds(data, 1 + args.epochs, **params) - seconds(data, 1, **params)) / args.epochs
            for _ in range(args.repeats)
        ]
        row: dict[str, Any] = {"epoch": found, "median": float(np.median(found))}
        if name in QUALITY:
            row["to_quality"], row["epochs"] = seconds_to(data, QUALITY[name], **params)
            row["quality"] = QUALITY[name]
        if args.profile:
            row["profile"] = profile(data, args.epochs, **params)
        report[name] = row
        to, epochs = row.get("to_quality", float("nan")), row.get("epochs", 0)
        print(
            f"{name:<10}{row['median']:>14.2f}{min(found):>14.2f}{max(found):>14.2f}"
            f"{to:>14.1f}{epochs:>14}",
            flush=True,
        )
        for part, spent in row.get("profile", {}).items():
            print(f"    {part:<20}{spent:>8.1f} ms / step")
    environment.write(report, args.json)


if __name__ == "__main__":
    main()
