"""Values of each user: measured, kept in files, compared in pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from recsk.metrics import evaluate
from recsk.metrics.resampling import holm, paired_tests

__all__ = ["Values", "compare", "load", "measure", "save"]

METRICS = ("recall", "ndcg", "precision", "map")
N_RESAMPLES = 10_000

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
    values = evaluate(asked, truth, METRICS, k=cutoffs, exclude_seen=exclude_seen, per_user=True)
    means = {name: float(np.mean(v)) for name, v in values.items() if name != "user"}
    return means, {name: values[name] for name in ("user", *kept)} if kept else {}


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


def compare(
    values: Sequence[np.ndarray], references: Sequence[np.ndarray]
) -> list[dict[str, float]]:
    """Paired differences over users of several pairs of models, as `recsk.metrics.compare` has.

    "low" and "high" are the interval of the paired bootstrap (95 %), "p" that of the sign-flip
    test of the mean, "p_holm" the same with Holm's correction over all pairs.
    """
    differences = np.stack(values, axis=1) - np.stack(references, axis=1)
    tests = paired_tests(differences, N_RESAMPLES, "sign-flip", 0.95, seed=0)
    columns = {
        "difference": differences.mean(axis=0),
        **tests._asdict(),
        "p_holm": holm(tests.p),
    }
    return [
        {name: float(column[pair]) for name, column in columns.items()}
        for pair in range(differences.shape[1])
    ]
