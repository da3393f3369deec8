"""How many new items could be found if known ones lose no more than so much? A table and JSON.

    python benchmarks/new_item_places.py --dataset citeulike --part test --seeds 3

Models and data are those of `new_items.py`. The scores are fixed, and only the places that new
items get in the lists of 20 change: the same number for everybody; by one scale for the scores of
new items, as `new_item_share` does; or by one shift after each user's mean score of the best 20
new items is taken away in part. The table has the recall of new items for a loss of known ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import environment
import numpy as np
import torch
from new_items import K, _with_content, split
from sklearn.utils import Bunch

from recsk import MDERecommender
from recsk.ranking.users import combine_scores

LOSSES = (0.03, 0.04, 0.05, 0.06, 0.08)
N_USERS = 2500
SCALES, SHIFTS = np.linspace(0.7, 1.5, 80), np.linspace(-0.6, 0.6, 160)
PARTS = (0.5, 1.0)  # of the user's level
Floats = np.ndarray


class Best:
    """The best items of one kind for each user: their scores, and the recall of the first n."""

    def __init__(self, scores: Floats, relevant: np.ndarray) -> None:
        best = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        self.scores = np.take_along_axis(scores, best, axis=1)
        hits = np.take_along_axis(relevant, best, axis=1).cumsum(axis=1)
        total = relevant.sum(axis=1)
        self.asked = total > 0
        recall = hits / np.maximum(total, 1)[:, None]
        self.recall = np.hstack([np.zeros((len(scores), 1)), recall])

    def mean(self, n: np.ndarray) -> float:
        """Mean recall over the users who have something to find, if each gets n places."""
        return float(self.recall[np.arange(len(n)), n][self.asked].mean())


def with_new_items(data: Bunch, seed: int) -> MDERecommender:
    """A model of the known items, to which the new ones are added."""
    n_known = data.train.shape[1]
    known = {m: rows[:n_known] for m, rows in data.features.items()}
    later = _with_content({m: rows[n_known:] for m, rows in data.features.items()}, known)
    model = MDERecommender(random_state=seed).fit(data.train, item_features=known)
    model.add_items(later)
    return model


def measure(name: str, part: str, seed: int) -> dict[str, Any]:
    """Recall of new items by the loss of known ones, for each way to give places."""
    data = split(name, part, seed)
    n_known, model = data.train.shape[1], with_new_items(data, seed)
    users = data.users
    if len(users) > N_USERS:
        users = np.sort(np.random.default_rng(0).choice(users, N_USERS, replace=False))
    scores = combine_scores(
        model._stored_users(users), model.item_embedding_, getattr(model, "item_to_item_", None)
    )
    scores[model.interactions_[users].toarray() > 0] = -np.inf
    relevant = data.relevant[users].toarray() > 0
    old = Best(scores[:, :n_known], relevant[:, :n_known])
    new = Best(scores[:, n_known:], relevant[:, n_known:])
    whole = old.mean(np.full(len(users), K))

    def point(n: np.ndarray) -> tuple[float, float]:
        return 1 - old.mean(K - n) / whole, new.mean(n)

    def at_losses(change: Callable[[float], Floats], steps: Floats) -> list[float]:
        points = sorted(point(_places(old.scores, change(step))) for step in steps)
        return np.interp(LOSSES, *np.transpose(points)).tolist()

    level = new.scores.mean(axis=1, keepdims=True)
    level -= level.mean()
    return {
        "new among new": new.mean(np.full(len(users), K)),
        "same places": {str(n): point(np.full(len(users), n)) for n in range(1, 6)},
        "at a loss": {
            "one scale": at_losses(lambda scale: scale * new.scores, SCALES),
            **{
                f"{p:g} of the user's level": at_losses(
                    lambda shift, p=p: new.scores - p * level + shift, SHIFTS
                )
                for p in PARTS
            },
        },
    }


def _places(known: Floats, new: Floats) -> np.ndarray:
    """How many of the best K of both are new."""
    order = np.argsort(-np.hstack([known, new]), axis=1, kind="stable")[:, :K]
    return (order >= known.shape[1]).sum(axis=1)


def means(runs: Sequence[Any]) -> Any:
    """The means over seeds of all numbers."""
    if isinstance(runs[0], dict):
        return {name: means([run[name] for run in runs]) for name in runs[0]}
    return np.mean(runs, axis=0).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="citeulike")
    parser.add_argument("--part", choices=("valid", "test"), default="valid")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results/new_item_places.json"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    runs = [measure(args.dataset, args.part, seed) for seed in range(args.seeds)]
    found = means(runs)
    print(f"{args.dataset}, {args.part}: means over {args.seeds} seeds, recall@{K}")
    print(f"new among new {found['new among new']:.4f}")
    for n, (loss, recall) in found["same places"].items():
        print(f"{n} new items for everybody: new {recall:.4f}, known lose {100 * loss:.1f} %")
    print(f"{'known lose at most':<26}" + "".join(f"{f'{100 * x:.0f} %':>9}" for x in LOSSES))
    for way, values in found["at a loss"].items():
        print(f"{way:<26}" + "".join(f"{x:>9.4f}" for x in values))
    report = {"dataset": args.dataset, "part": args.part, "environment": environment.describe()}
    environment.write(report | {"losses": LOSSES, "means": found, "by seed": runs}, args.json)


if __name__ == "__main__":
    main()
