"""Should MDSRec trust its item-to-item part by user or item? A table and a JSON file.

    python benchmarks/relation_trust.py --dataset scientific ml100k --threads 1

A fit with the defaults; on validation its item-to-item part is added with `relation_weight` times
0 to 3. Users are cut into fifths by something that is known before the answer: the length of the
history, the popularity of its last item, how much the relations have to say, how sure the network
is. "in sample" gives each fifth the factor that is best for it on the same users: no rule by this
quantity can do better. "held out" chooses the factors on four fifths of the users at random and
measures the rest. Candidates weigh by a power of their popularity. The test part is not read.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import environment
import numpy as np
import realdata
import torch
from asked import Asked, K

FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
POWERS = (-0.5, -0.25, -0.1, 0.1, 0.25, 0.5)
N_GROUPS, N_FOLDS = 5, 5


def by_group(gain: np.ndarray, quantity: np.ndarray) -> dict[str, float]:
    """NDCG of the best factor of each group, on the users that chose it and on others.

    `gain` has a row for every factor and a column for every user.
    """
    edges = np.unique(np.quantile(quantity, np.arange(1, N_GROUPS) / N_GROUPS))
    group = np.digitize(quantity, edges)
    fold = np.random.default_rng(1).integers(0, N_FOLDS, len(quantity))
    in_sample = held_out = 0.0
    for g in np.unique(group):
        members = group == g
        in_sample += gain[:, members].sum(axis=1).max()
        for f in range(N_FOLDS):
            asked, others = members & (fold == f), members & (fold != f)
            best = gain[:, others].mean(axis=1).argmax() if others.any() else FACTORS.index(1.0)
            held_out += gain[best, asked].sum()
    return {"in sample": in_sample / len(group), "held out": held_out / len(group)}


def measure(name: str, seed: int, n_users: int) -> dict[str, Any]:
    """One fit, and what factors by each quantity make of it on validation."""
    data = realdata.load_sequences(name)
    asked = Asked("mdsrec", data, seed, n_users)
    own, related = asked.vectors, asked.related
    unseen = own + asked.masked
    gain = np.array([asked.ndcg(own + factor * related) for factor in FACTORS])
    count = np.maximum(np.asarray(asked.model.interactions_.sum(axis=0)).ravel(), 1)
    last = np.array([history[-1] for history in asked.histories])
    logits = 10 * (unseen - unseen.max(axis=1, keepdims=True))
    quantities = {
        "length of the history": np.diff(asked.model.interactions_[asked.users].indptr),
        "popularity of the last item": count[last],
        "sum of the relations": related.sum(axis=1),
        "largest probability": 1 / np.exp(logits).sum(axis=1),
    }
    common = count / np.average(count, weights=count)
    return {
        "users": len(asked.users),
        "one factor": dict(zip(map(str, FACTORS), gain.mean(axis=1).tolist(), strict=True)),
        "by group": {name: by_group(gain, np.asarray(x)) for name, x in quantities.items()},
        "by popularity": {
            str(p): float(asked.ndcg(own + related * common**p).mean()) for p in POWERS
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", nargs="+", default=["scientific", "ml100k"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--users", type=int, default=6000, help="at most so many are asked")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results/relation_trust.json"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found: dict[str, Any] = {}
    for name in args.dataset:
        found[name] = measure(name, args.seed, args.users)
        own = found[name]
        print(f"\n{name}: NDCG@{K} of {own['users']:,} users on validation")
        print(
            "relation_weight times "
            + ", ".join(f"{f}: {v:.4f}" for f, v in own["one factor"].items())
        )
        for quantity, values in own["by group"].items():
            cells = ", ".join(f"{how} {value:.4f}" for how, value in values.items())
            print(f"a factor for each fifth by {quantity}: {cells}")
        print(
            "popularity to the power "
            + ", ".join(f"{p}: {v:.4f}" for p, v in own["by popularity"].items())
        )
        report = {"environment": environment.describe(), "seed": args.seed, "data": found}
        environment.write(report, args.json)


if __name__ == "__main__":
    main()
