"""What could amplified differences (MDA) bring to the paper's form of MDE at most? Table and JSON.

    python benchmarks/difference_bound.py --dataset tiktok ml100k scientific --threads 1

Everything is measured on validation, with NDCG@20; the test part is not read. Users are cut into
fifths by something that is known before the answer, and each fifth gets its best of several
choices: "in sample" on the same users, more than any rule by this quantity could reach; "held out"
chooses on four fifths of the users at random and measures the rest (see `relation_trust.py`).

Trained: fits with an alpha of 0 to 1. MDA weighs each node by the difference of its preferences;
here each fifth of the users may have the fit that is best for it.

Given: the fit without MDA. A score is the sum of a product of two nodes in each modality. It is
also the sum of two other products: of what the modalities of a node share (their sum), and of
where they differ (their difference). The second one is multiplied by 0 to 3.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import environment
import models
import numpy as np
import realdata
import torch
from relation_trust import by_group

from recsk.metrics import ndcg_at_k
from recsk.ranking import top_k

K = 20
ALPHAS = (0.0, 0.03, 0.1, 0.3, 1.0)
FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
SETTINGS = {"n_iter_no_change": 10, "max_epochs": 60}


def ndcg(model: Any, asked: Any, users: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """NDCG of each user whose vector is given."""
    seen = model.interactions_[users]
    ids, _ = top_k(vectors[users], model.item_embedding_, K, exclude=seen)
    return np.asarray(ndcg_at_k(ids, asked, K, average=False))


def amplified(model: Any, factor: float) -> np.ndarray:
    """Vectors of users with which the product of the differences counts `factor` times.

    With a and b the parts of a vector, a a' + b b' is half of the product of the sums and half of
    that of the differences.
    """
    a, b = np.hsplit(model.user_embedding_, 2)
    shared, different = (a + b) / 2, factor * (a - b) / 2
    return np.hstack([shared + different, shared - different])


def quantities(model: Any, users: np.ndarray) -> dict[str, np.ndarray]:
    """What may tell for whom differences count."""
    preference = model.user_preference_[users]
    a, b = np.hsplit(model.user_embedding_[users], 2)
    cosine = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return {
        "difference of the preferences": np.abs(preference[:, 0] - preference[:, 1]),
        "preference for the first": preference[:, 0],
        "cosine of the modalities": cosine,
        "length of the history": np.diff(model.interactions_[users].indptr),
    }


def measure(name: str, seed: int) -> dict[str, Any]:
    """All figures of one data set."""
    data = realdata.load(name)
    users = np.flatnonzero(np.diff(data.valid.indptr) * np.diff(data.train.indptr))
    asked = data.valid[users]
    gain, without = [], None
    for alpha in ALPHAS:
        model = models.fit("paper", data, seed, SETTINGS | {"alpha": alpha})
        without = model if without is None else without
        gain.append(ndcg(model, asked, users, model.user_embedding_))
        print(f"{name}: alpha {alpha:g}, NDCG@{K} {gain[-1].mean():.4f}", flush=True)
    trained = np.array(gain)
    given = np.array([ndcg(without, asked, users, amplified(without, f)) for f in FACTORS])
    by = quantities(without, users)

    def rows(gain: np.ndarray, choices: tuple[float, ...]) -> dict[str, Any]:
        return {
            "one for all": dict(zip(map(str, choices), gain.mean(axis=1).tolist(), strict=True)),
            "by group": {quantity: by_group(gain, values) for quantity, values in by.items()},
        }

    return {"users": len(users), "trained": rows(trained, ALPHAS), "given": rows(given, FACTORS)}


def show(name: str, found: dict[str, Any]) -> None:
    """The figures of one data set, in lines."""
    print(f"\n{name}: {found['users']:,} users of validation, NDCG@{K}")
    for part, what in (("trained", "alpha"), ("given", "factor of the differences")):
        cells = ", ".join(f"{f}: {v:.4f}" for f, v in found[part]["one for all"].items())
        print(f"{what} {cells}")
        for quantity, values in found[part]["by group"].items():
            cells = ", ".join(f"{how} {value:.4f}" for how, value in values.items())
            print(f"  for each fifth by {quantity}: {cells}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", nargs="+", default=["tiktok", "ml100k", "scientific"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results/difference_bound.json"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    report: dict[str, Any] = {
        "environment": environment.describe(),
        "seed": args.seed,
        "settings": SETTINGS,
        "data": {},
    }
    for name in args.dataset:
        report["data"][name] = measure(name, args.seed)
        show(name, report["data"][name])
        environment.write(report, args.json)


if __name__ == "__main__":
    main()
