"""Values of each user: measured, kept in files, compared in pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from recsk.metrics import evaluate

__all__ = ["Values", "compare", "load", "measure", "save"]

BATCH = 8192
N_DRAWS = 10_000

# The ids of the users ("user"), and by the name of a metric a value for each of them.
Values = dict[str, np.ndarray]


def measure(
    asked: Any,
    truth: sp.csr_matrix,
    cutoffs: Sequence[int],
    *,
    exclude_seen: bool,
    kept: Sequence[str] = (),
) -> tuple[dict[str, float], Values]:
    """The means over users, and the values of each user by the metrics that are kept."""
    found = evaluate(asked, truth, k=cutoffs, exclude_seen=exclude_seen)
    if not kept:
        return found, {}
    users = np.flatnonzero(np.diff(truth.indptr))
    values: Values = {"user": users, **{metric: np.empty(len(users)) for metric in kept}}
    for start in range(0, len(users), BATCH):
        part = slice(start, start + BATCH)
        ids, _ = asked.recommend(users[part], k=max(cutoffs), exclude_seen=exclude_seen)
        wanted = truth[users[part]].toarray() > 0
        hits = np.take_along_axis(wanted, np.maximum(ids, 0), axis=1) & (ids >= 0)
        for metric in kept:
            values[metric][part] = _values(metric, hits, wanted.sum(axis=1))
    return found, values


def _values(metric: str, hits: np.ndarray, n_held_out: np.ndarray) -> np.ndarray:
    kind, _, k = metric.partition("@")
    hits = hits[:, : int(k)]
    if kind == "recall":
        return hits.sum(axis=1) / n_held_out
    gain = 1 / np.log2(np.arange(2, hits.shape[1] + 2))
    ideal = np.cumsum(gain)[np.minimum(n_held_out, len(gain)) - 1]
    return hits @ gain / ideal


def save(path: Path, users: Mapping[str, Values]) -> None:
    """Write values of several parts to one file, "test/ndcg@20" and so on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"{part}/{name}": array for part, v in users.items() for name, array in v.items()}
    np.savez_compressed(path, **arrays)


def load(path: Path, part: str) -> Values:
    """What `save` wrote of one part."""
    with np.load(path, allow_pickle=False) as arrays:
        return {
            name.partition("/")[2]: arrays[name] for name in arrays if name.startswith(f"{part}/")
        }


def compare(values: np.ndarray, reference: np.ndarray, seed: int = 0) -> dict[str, float]:
    """The paired difference over users of two models, its interval and its p.

    The interval is the paired bootstrap's (2.5 to 97.5 %), p that of the two-sided test which
    flips the signs of the differences.
    """
    differences = np.asarray(values, dtype=np.float64) - reference
    n, mean = len(differences), float(differences.mean())
    rng = np.random.default_rng(seed)
    flipped, resampled = np.empty(N_DRAWS), np.empty(N_DRAWS)
    step = max(1, 2_000_000 // n)
    for start in range(0, N_DRAWS, step):
        size = min(step, N_DRAWS - start)
        signs = rng.integers(0, 2, (size, n), dtype=np.int8) * 2 - 1
        flipped[start : start + size] = signs @ differences / n
        drawn = rng.integers(0, n, (size, n), dtype=np.int32)
        resampled[start : start + size] = differences[drawn].mean(axis=1)
    extreme = np.abs(flipped) >= abs(mean) - 1e-12
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {
        "difference": mean,
        "low": float(low),
        "high": float(high),
        "p": float((1 + extreme.sum()) / (1 + N_DRAWS)),
    }
