"""What could interests and a learned fusion bring to MDSRec at most? A table and a JSON file.

    python benchmarks/parts_bound.py --dataset scientific ml100k --threads 1

Everything is measured on validation, with NDCG@10; the test part is not read.

Fusion: a fit with equal weights. The part of the first modality in the scores is multiplied by 0 to
2, that of the second by the rest to 2. Users are cut into fifths by something that is known before
the answer, and each fifth gets its best factor: "in sample" on the same users, more than a learned
fusion by this quantity could reach, "held out" on others (see `relation_trust.py`).

Interests: a fit without them. Its scores give a probability to every interest (cluster of items) of
the next item. Beside it, a multinomial regression learns from the interests of the history alone
which comes next. Its logarithm is added to the scores with a weight of 0 to 1. "known" adds the
next item's true interest: what interests would be worth to somebody who knew them.

Shared information: of the 10 nearest items in one modality, the share that are among the 10 nearest
in another one.
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
from relation_trust import by_group
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize
from sklearn.utils import Bunch

from recsk.features.dense import Features
from recsk.graphs import cluster_items

FACTORS = np.linspace(0, 2, 9)  # the middle one is that of equal weights
WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
N_INTERESTS = 16
DECAYS = (0.5, 0.9, 1.0)
TEMPERATURE = 0.1  # of the softmax in training
N_EXAMPLES = 30_000


def fusion(asked: Asked) -> dict[str, Any]:
    """What a weight of the modalities for groups of users could bring."""
    width = asked.model.n_factors
    first, second = (asked.of_columns(slice(m * width, (m + 1) * width)) for m in range(2))
    rest = asked.of_columns(slice(2 * width, None)) + asked.related
    gain = np.array([asked.ndcg(f * first + (2 - f) * second + rest) for f in FACTORS])
    sure = [(part + asked.masked).max(axis=1) for part in (first, second)]
    quantities = {
        "length of the history": np.array([len(h) for h in asked.histories]),
        "largest score of the first modality": sure[0],
        "largest score of the first less that of the second": sure[0] - sure[1],
    }
    return {
        "one factor": dict(zip(map(str, FACTORS), gain.mean(axis=1).tolist(), strict=True)),
        "by group": {name: by_group(gain, values) for name, values in quantities.items()},
    }


def summaries(history: np.ndarray, n_interests: int) -> np.ndarray:
    """Shares of the interests before every position, for three speeds of forgetting."""
    one_hot = np.eye(n_interests + 1, dtype=np.float32)[history]
    found = np.zeros((len(DECAYS), len(history) + 1, n_interests + 1), dtype=np.float32)
    for place, row in enumerate(one_hot):
        for d, decay in enumerate(DECAYS):
            found[d, place + 1] = decay * found[d, place] + row
    found /= np.maximum(found.sum(axis=2, keepdims=True), 1e-9)
    return np.concatenate(list(found), axis=1)


def next_interest(cluster: np.ndarray, training: list[np.ndarray], asked: Asked) -> np.ndarray:
    """The logarithm of the probability of every interest, by the interests of the history."""
    inputs, targets = [], []
    for history in training:
        if len(history) > 1:
            inputs.append(summaries(cluster[history], N_INTERESTS)[1:-1])
            targets.append(cluster[history[1:]])
    x, y = np.concatenate(inputs), np.concatenate(targets)
    chosen = np.random.default_rng(0).permutation(len(x))[:N_EXAMPLES]
    regression = LogisticRegression(max_iter=500).fit(x[chosen], y[chosen])
    now = np.array([summaries(cluster[h], N_INTERESTS)[-1] for h in asked.histories])
    found = np.full((len(now), N_INTERESTS + 1), np.log(1e-6))
    found[:, regression.classes_] = regression.predict_log_proba(now)
    return found


def interests(asked: Asked, data: Bunch, seed: int) -> dict[str, Any]:
    """What is known of the next interest with the scores, with interests, and with both."""
    scores = asked.vectors + asked.related
    logits = (scores + asked.masked) / TEMPERATURE
    logits -= logits.max(axis=1, keepdims=True)
    share = np.exp(logits)
    share /= share.sum(axis=1, keepdims=True)
    training = data.train.sequences()
    rows = np.arange(len(asked.users))
    added, known = np.zeros_like(scores), np.zeros_like(scores)
    found: dict[str, Any] = {"modalities": {}}
    for m, values in data.features.items():
        present = np.isfinite(values).all(axis=1)
        part = Features(np.where(present[:, None], values, 0).astype(np.float32), present)
        cluster = cluster_items(part, N_INTERESTS, seed)[1]
        by_scores = share @ np.eye(N_INTERESTS + 1)[cluster]
        by_interests = next_interest(cluster, training, asked)
        truth = cluster[asked.answer]
        found["modalities"][m] = {
            "accuracy by scores": float((by_scores.argmax(axis=1) == truth).mean()),
            "accuracy by interests": float((by_interests.argmax(axis=1) == truth).mean()),
            "log loss by scores": float(-np.log(by_scores[rows, truth] + 1e-6).mean()),
            "log loss by interests": float(-by_interests[rows, truth].mean()),
        }
        added += by_interests[:, cluster] * TEMPERATURE
        known += np.where(cluster[None] == truth[:, None], 0.0, -10.0)
    gain = np.array([asked.ndcg(scores + w * added) for w in WEIGHTS])
    length = np.array([len(h) for h in asked.histories])
    longest = length >= np.quantile(length, 0.8)
    return found | {
        "added with weight": dict(zip(map(str, WEIGHTS), gain.mean(axis=1).tolist(), strict=True)),
        "of the longest fifth": dict(
            zip(map(str, WEIGHTS), gain[:, longest].mean(axis=1).tolist(), strict=True)
        ),
        "known": float(asked.ndcg(scores + known).mean()),
    }


def shared_information(features: dict[str, np.ndarray]) -> float:
    """The share of the 10 nearest items that two modalities have in common, over 2,000 items."""
    first, second = list(features.values())[:2]
    present = np.flatnonzero(np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1))
    some = np.random.default_rng(0).permutation(len(present))[:2000]
    near = []
    for values in (first, second):
        unit = normalize(values[present] - values[present].mean(axis=0))
        cosine = unit[some] @ unit.T
        cosine[np.arange(len(some)), some] = -np.inf
        near.append(np.argpartition(-cosine, 10, axis=1)[:, :10])
    return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(*near, strict=True)]))


def show(name: str, found: dict[str, Any]) -> None:
    print(f"\n{name}: {found['users']:,} users of validation, NDCG@{K}")
    part = found["fusion"]
    cells = ", ".join(f"{f}: {v:.4f}" for f, v in part["one factor"].items())
    print(f"factor of the first modality {cells}")
    for quantity, values in part["by group"].items():
        print(
            f"a factor for each fifth by {quantity}:", *(f"{h} {v:.4f}" for h, v in values.items())
        )
    part = found["interests"]
    for m, values in part["modalities"].items():
        print(f"next interest in {m}:", ", ".join(f"{h} {v:.3f}" for h, v in values.items()))
    for row in ("added with weight", "of the longest fifth"):
        print(f"interests {row}", ", ".join(f"{w}: {v:.4f}" for w, v in part[row].items()))
    print(f"interests known {part['known']:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", nargs="+", default=["scientific", "ml100k"])
    parser.add_argument("--shared", nargs="+", default=["tiktok", "ml100k", "sports", "scientific"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--users", type=int, default=6000, help="at most so many are asked")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results/parts_bound.json"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    report: dict[str, Any] = {"seed": args.seed, "data": {}, "shared": {}}
    for name in args.shared:
        load = realdata.load if name != "scientific" else realdata.load_sequences
        report["shared"][name] = shared_information(load(name).features)
        print(f"{name}: two modalities share {report['shared'][name]:.3f} of the nearest items")
    for name in args.dataset:
        data = realdata.load_sequences(name)
        equal = Asked("mean_fusion", data, args.seed, args.users)
        without = Asked("wo_ica", data, args.seed, args.users)
        found = {
            "users": len(equal.users),
            "fusion": fusion(equal),
            "interests": interests(without, data, args.seed),
        }
        report["data"][name] = found
        show(name, found)
    environment.write({"environment": environment.describe(), **report}, args.json)


if __name__ == "__main__":
    main()
