"""How near folded-in users come to trained ones: a table on stdout and a JSON file.

    python benchmarks/fold_in.py --dataset tiktok ml100k

Two questions. Known users folded in from their own training histories: how much of their list of
20 do they get back? People who were kept out of training altogether: what recall do they get by
fold-in, beside what the same people get from a model that was trained on them?
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import environment
import numpy as np
import scipy.sparse as sp
import torch
from realdata import NAMES, load

from recsk import MDERecommender
from recsk.metrics import recall_at_k

K = 20


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Share of the items that two lists have in common, averaged over users."""
    return float(
        np.mean([len(np.intersect1d(*pair)) / K for pair in zip(first, second, strict=True)])
    )


def fit(data: Any, train: sp.csr_matrix, seed: int) -> MDERecommender:
    estimator = MDERecommender(random_state=seed)
    return estimator.fit(train, item_features=data.features, eval_set=data.valid)


def run(name: str, seed: int) -> dict[str, float]:
    data = load(name)
    everyone = np.diff(data.train.indptr) > 0
    full = fit(data, data.train, seed)
    own, _ = full.recommend(np.flatnonzero(everyone), K)
    folded, _ = full.recommend(user_items=data.train[everyone], k=K)

    # A tenth of the users, as strangers: their rows of training are empty.
    strangers = np.random.default_rng(seed).random(data.train.shape[0]) < 0.1
    strangers &= everyone & (np.diff(data.test.indptr) > 0)
    known = sp.diags_array((~strangers).astype(np.float32))
    partial = fit(data, sp.csr_matrix(known @ data.train), seed)
    new, _ = partial.recommend(user_items=data.train[strangers], k=K)
    trained, _ = full.recommend(np.flatnonzero(strangers), K)
    return {
        "overlap@20 of known users": overlap(own, folded),
        "strangers": int(strangers.sum()),
        "recall@20 of strangers, folded in": float(recall_at_k(new, data.test[strangers])),
        "recall@20 of the same, trained on": float(recall_at_k(trained, data.test[strangers])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", nargs="+", choices=NAMES[:2], default=NAMES[:2])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results/fold_in.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    report: dict[str, Any] = {"environment": environment.describe()}
    for name in args.dataset:
        report[name] = run(name, args.seed)
        print(name)
        for label, value in report[name].items():
            print(f"  {label:<50}{value:>10.4f}", flush=True)
    environment.write(report, args.json)


if __name__ == "__main__":
    main()
