"""Approximate top-k beside the exact one: a table on stdout and a JSON file.

    python benchmarks/ann_speed.py --threads 1

A model fitted for an epoch or two on synthetic interactions and features of as many items as
asked for, so that the vectors are such as training leaves them; one user at a time and 1,000 at
a time, without the items they have seen. Recall is the share of the exact 20 that the index finds.
On one thread, seconds are CPU time, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import environment
import numpy as np
import torch

from recsk import MDERecommender
from recsk.datasets import make_multimodal
from recsk.ranking import top_k


def median_seconds(
    call: Callable[[], Any], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    found = []
    for _ in range(repeats):
        start = clock()
        call()
        found.append(clock() - start)
    return float(np.median(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--search-width", type=int, nargs="+", default=[32, 128, 512])
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results/ann.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    clock = time.process_time if args.threads == 1 else time.perf_counter
    seconds = partial(median_seconds, clock=clock)
    import faiss

    faiss.omp_set_num_threads(args.threads)
    report: dict[str, Any] = {
        "environment": environment.describe(),
        "arguments": vars(args) | {"json": str(args.json)},
        "rows": [],
    }
    columns = ("items", "search width", "build s", "recall@20", "batch x", "single x", "single ms")
    print(("{:>14}" * len(columns)).format(*columns))
    for n_items in args.items:
        data = make_multimodal(args.users, n_items, random_state=0)
        params = {"max_epochs": args.epochs, "early_stopping": False, "random_state": 0}
        model = MDERecommender(cooccurrence_weight=0, **params)  # vectors alone
        model.fit(data.interactions.to_csr(), item_features=data.item_features)
        start = clock()
        ann = model.to_ann()
        build = clock() - start
        users = np.random.default_rng(0).choice(args.users, 1000, replace=False)
        vectors, seen = model.user_vectors(users), model.interactions_[users]
        rank = partial(top_k, item_vectors=model.item_embedding_, k=args.k)
        exact = rank(vectors, exclude=seen)[0]
        batch = seconds(partial(rank, vectors, exclude=seen), args.repeats)
        one_exact = partial(rank, vectors[:1], exclude=seen[[0]])
        single = seconds(one_exact, 20 * args.repeats)
        for width in args.search_width:
            ann.search_width = width
            ids = ann.query(vectors, args.k, exclude=seen)[0]
            recall = np.mean(
                [len(set(a) & set(b)) / args.k for a, b in zip(ids, exact, strict=True)]
            )
            ask = partial(ann.query, k=args.k)
            own_batch = seconds(partial(ask, vectors, exclude=seen), args.repeats)
            one = partial(ask, vectors[0], exclude=seen[[0]])
            own_single = seconds(one, 20 * args.repeats)
            row = {
                "items": n_items,
                "search_width": width,
                "build_seconds": build,
                "recall": float(recall),
                "batch_speed_up": batch / own_batch,
                "single_speed_up": single / own_single,
                "single_ms": 1e3 * own_single,
            }
            report["rows"].append(row)
            print(
                f"{n_items:>14}{width:>14}{build:>14.1f}{recall:>14.3f}{batch / own_batch:>14.1f}"
                f"{single / own_single:>14.1f}{1e3 * own_single:>14.2f}",
                flush=True,
            )
    environment.write(report, args.json)


if __name__ == "__main__":
    main()
