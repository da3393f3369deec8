"""Seconds per epoch and sequences per second of MDSRec: a table on stdout and a JSON file.

    python benchmarks/sequence_speed.py --threads 1
    python benchmarks/sequence_speed.py --threads 1 --recbole rival/bin/python

SASRec in its original form (`sasrec`), MDSRec without features and with them, all of the same
width, blocks, heads and length and otherwise at their defaults, in turn; with the Python of an
environment that has RecBole (see `recbole_sasrec.py`) also the epochs of its SASRec on as many
threads. recsk reads a sequence once and learns at each of its positions; RecBole learns every
prefix as a sample of its own, in batches of 2,048. An epoch's time is that of a fit of several
epochs less that of a fit of one; medians of repeats. Inference is top 10 for 100,000 histories
given as lists, drawn from those of the data set, items seen left out. On one thread of the CPU,
seconds of recsk are CPU time, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import environment
import models
import numpy as np
import torch
from realdata import load_sequences
from sklearn.utils import Bunch

from recsk import MDSRecRecommender

MODELS = ("sasrec", "ids_sequences", "mdsrec")


def clock() -> float:
    """Seconds: of the process where one thread works on the CPU, else on the wall."""
    alone = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    return time.process_time() if alone else time.perf_counter()


def make(name: str, epochs: int, device: str) -> MDSRecRecommender:
    length = {"max_epochs": epochs, "early_stopping": False}
    return models.make(name, 0, {**length, "device": device})


def fit(name: str, data: Bunch, epochs: int, device: str) -> tuple[MDSRecRecommender, float]:
    features = data.features if name == "mdsrec" else None
    model = make(name, epochs, device)
    start = clock()
    model.fit(data.train, item_features=features)
    return model, clock() - start


def recbole_epochs(python: Path, dataset: str, args: argparse.Namespace) -> list[float]:
    """Seconds of the epochs of RecBole's SASRec, but for the first."""
    script = Path(__file__).with_name("recbole_sasrec.py")
    done = subprocess.run(
        [
            *(str(python), str(script), "--dataset", dataset, "--threads", str(args.threads)),
            *("--epochs", str(args.recbole_epochs + 1), "--max-length", "50"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.findall(r"epoch \d+ training.*?time: ([\d.]+)s", done.stdout + done.stderr)
    return [float(seconds) for seconds in found][1:]


def inference(model: MDSRecRecommender, data: Bunch, n: int, repeats: int) -> float:
    """Sequences per second."""
    own = [part.tolist() for part in data.train.sequences()]
    chosen = np.random.default_rng(0).integers(len(own), size=n)
    histories = [own[i] for i in chosen]
    seconds = []
    for _ in range(repeats):
        start = clock()
        model.recommend(user_items=histories, k=10)
        seconds.append(clock() - start)
    return n / float(np.median(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = ("scientific", "ml100k")
    parser.add_argument("--dataset", nargs="+", choices=known, default=known)
    parser.add_argument("--recbole", type=Path, help="Python of an environment that has RecBole")
    parser.add_argument("--recbole-epochs", type=int, default=5, help="measured, after a first one")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2, help="epochs between the two fits")
    parser.add_argument("--sequences", type=int, default=100_000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results/sequence_speed.json"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    report: dict[str, Any] = {
        "environment": environment.describe(),
        "arguments": {name: str(value) for name, value in vars(args).items()},
    }
    columns = ("data", "model", "s / epoch", "min", "max", *(f"to {name}" for name in MODELS[:2]))
    print(("{:<12}{:<16}" + "{:>18}" * 6).format(*columns, "sequences / s"))
    for dataset in args.dataset:
        data = load_sequences(dataset)
        seconds: dict[str, list[float]] = {name: [] for name in MODELS}
        for _ in range(args.repeats):
            for name in MODELS:
                several = fit(name, data, 1 + args.epochs, args.device)[1]
                one = fit(name, data, 1, args.device)[1]
                seconds[name].append((several - one) / args.epochs)
        if args.recbole:
            seconds["recbole_sasrec"] = recbole_epochs(args.recbole, dataset, args)
        report[dataset] = {}
        for name, found in seconds.items():
            row = {"epoch": found, "median": float(np.median(found))}
            if name in MODELS:
                model = fit(name, data, 1, args.device)[0]
                row["sequences_per_second"] = inference(model, data, args.sequences, args.repeats)
            report[dataset][name] = row
            print(
                f"{dataset:<12}{name:<16}"
                + "".join(f"{value:>18.2f}" for value in (row["median"], min(found), max(found)))
                + "".join(f"{row['median'] / np.median(seconds[m]):>18.2f}" for m in MODELS[:2])
                + f"{row.get('sequences_per_second', float('nan')):>18.0f}",
                flush=True,
            )
    environment.write(report, args.json)


if __name__ == "__main__":
    main()
