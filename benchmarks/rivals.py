"""The rivals, tuned on validation data as users of theirs would."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from sklearn.model_selection import ParameterGrid
from sklearn.utils import Bunch

from recsk.metrics import evaluate
from recsk.ranking import top_k

__all__ = ["GRIDS", "run"]

# Wide enough that the best setting is at no edge that one would think of crossing.
GRIDS: dict[str, tuple[Callable[..., Any], list[dict[str, Any]]]] = {
    "als": (
        AlternatingLeastSquares,
        list(
            ParameterGrid(
                {
                    "factors": [16, 32, 64, 128],
                    "regularization": [0.1, 1.0, 10.0],
                    "alpha": [1.0, 5.0, 20.0],
                    "iterations": [20],
                }
            )
        ),
    ),
    "bpr": (
        BayesianPersonalizedRanking,
        list(
            ParameterGrid(
                {
                    "factors": [16, 32, 64],
                    "learning_rate": [0.01, 0.03],
                    "regularization": [0.001, 0.01, 0.1],
                    "iterations": [100, 300],
                }
            )
        ),
    ),
    "popularity": (None, [{}]),
}


class _Ranker:
    """A rival's vectors behind recsk's exact ranking, so that all are masked alike."""

    def __init__(self, users: np.ndarray, items: np.ndarray, seen: sp.csr_matrix) -> None:
        self.users, self.items, self.seen = users, items, seen

    def recommend(self, user_ids: np.ndarray, k: int, **_: Any) -> Any:
        return top_k(self.users[user_ids], self.items, k, exclude=self.seen[user_ids])


def _fit(name: str, params: dict[str, Any], train: sp.csr_matrix, seed: int) -> _Ranker:
    make = GRIDS[name][0]
    if make is None:
        popularity = np.asarray(train.sum(axis=0), dtype=np.float32).reshape(-1, 1)
        return _Ranker(np.ones((train.shape[0], 1), np.float32), popularity, train)
    model = make(**params, random_state=seed, num_threads=1)
    model.fit(train, show_progress=False)
    return _Ranker(np.asarray(model.user_factors), np.asarray(model.item_factors), train)


def run(
    name: str, data: Bunch, seeds: Iterable[int], parts: Sequence[str], cutoffs: Sequence[int]
) -> list[dict]:
    """Choose a setting by validation recall@20 at the first seed, then run every seed with it."""
    seeds = list(seeds)
    tried = []
    for params in GRIDS[name][1]:
        ranker = _fit(name, params, data.train, seeds[0])
        tried.append((evaluate(ranker, data.valid, "recall", 20)["recall@20"], params))
    value, best = max(tried, key=lambda pair: pair[0])
    print(f"{name}: best of {len(tried)} settings on validation ({value:.4f}): {best}")
    runs = []
    for seed in seeds:
        start = time.perf_counter()
        ranker = _fit(name, best, data.train, seed)
        runs.append(
            {
                "seed": seed,
                "params": best,
                "n_settings": len(tried),
                "fit_seconds": time.perf_counter() - start,
                **{part: evaluate(ranker, data[part], k=cutoffs) for part in parts},
            }
        )
    return runs
