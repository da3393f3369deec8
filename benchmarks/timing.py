"""Seconds of a fit and of its parts, and implicit's ALS as the one to compare with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import by_user
import numpy as np
import scipy.sparse as sp
import torch
from implicit.cpu.als import AlternatingLeastSquares
from sklearn.utils import Bunch
from threadpoolctl import threadpool_limits

from recsk.contract.validation import Validation
from recsk.nn.lazy_adam import LazyAdam

__all__ = [
    "ITERATIONS",
    "Clock",
    "Enough",
    "Ranker",
    "Validated",
    "Watch",
    "fit_als",
    "in_own_process",
    "quality",
    "threads",
    "width_of",
]

ITERATIONS = 15  # implicit's own default


@contextmanager
def threads(n: int) -> Iterator[None]:
    """As many threads of torch, BLAS and OpenMP."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        with threadpool_limits(n):
            yield
    finally:
        torch.set_num_threads(before)


def in_own_process(script: str, words: Sequence[str], n_threads: int) -> Any:
    """What a script prints as JSON, called with these words and so many threads.

    How many threads there are is settled when libraries are loaded.
    """
    limits = {"OMP_NUM_THREADS": str(n_threads), "OPENBLAS_NUM_THREADS": str(n_threads)}
    done = subprocess.run(
        [sys.executable, script, *words],
        env={**os.environ, **limits},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


class Clock:
    """CPU seconds of all threads of the process, and seconds on the wall, since it was made."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def cpu(self) -> float:
        return time.process_time() - self._cpu

    def both(self) -> dict[str, float]:
        return {"cpu_seconds": self.cpu(), "wall_seconds": time.perf_counter() - self._wall}


class Validated(NamedTuple):
    """A validation of a fit: CPU seconds when it began and when it ended, and its value."""

    start: float
    end: float
    value: float


class Enough(Exception):
    """A fit has taken as many steps as are watched."""


class Watch:
    """When a fit within a ``with`` block takes its steps and validates, in CPU seconds.

    `steps` are the ends of the steps of networks of recsk. With `max_steps` the fit is left by
    `Enough` after so many of them, which the block swallows.
    """

    def __init__(self, max_steps: int | None = None) -> None:
        self.max_steps = max_steps
        self.steps: list[float] = []
        self.validations: list[Validated] = []

    def __enter__(self) -> Watch:
        validate = Validation.__call__

        def watched(*args: Any, **options: Any) -> float:
            start = self.clock.cpu()
            value = validate(*args, **options)
            self.validations.append(Validated(start, self.clock.cpu(), value))
            return value

        step = LazyAdam.step

        def stepped(optimizer: LazyAdam) -> None:
            step(optimizer)
            self._after_step()

        self._patches = [
            mock.patch.object(Validation, "__call__", watched),
            mock.patch.object(LazyAdam, "step", stepped),
        ]
        for patch in self._patches:
            patch.start()
        self.clock = Clock()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> bool:
        for patch in self._patches:
            patch.stop()
        return kind is Enough

    def _after_step(self) -> None:
        self.steps.append(self.clock.cpu())
        if len(self.steps) == self.max_steps:
            raise Enough


class Ranker:
    """A model of implicit as the metrics ask it."""

    def __init__(self, model: Any, seen: sp.csr_matrix) -> None:
        self.model, self.seen = model, seen

    def recommend(self, user_ids: np.ndarray, k: int, *, exclude_seen: bool = True) -> Any:
        seen = self.seen[user_ids]
        return self.model.recommend(user_ids, seen, N=k, filter_already_liked_items=exclude_seen)


def fit_als(
    train: sp.csr_matrix,
    *,
    factors: int,
    iterations: int = ITERATIONS,
    seed: int = 0,
    n_threads: int = 1,
    after: Callable[[int, Ranker], None] | None = None,
    **params: Any,
) -> Ranker:
    """Fit implicit's own ALS; `after` is called with the number of each iteration, from 1."""
    model = AlternatingLeastSquares(
        factors=factors,
        iterations=iterations,
        num_threads=n_threads,
        random_state=seed,
        **params,
    )
    ranker = Ranker(model, train)

    def callback(iteration: int, *_: object) -> None:
        if after is not None:
            after(iteration + 1, ranker)

    model.fit(train, show_progress=False, callback=callback)
    return ranker


def width_of(estimator: Any, data: Bunch) -> int:
    """Factors of ALS that make vectors as wide as a network's: its own for each modality."""
    return max(len(data.features), 1) * int(estimator.n_factors)


def quality(asked: Any, data: Bunch) -> dict[str, float]:
    """Recall@20 and NDCG@20 on the validation part."""
    means, _ = by_user.measure(asked, data.valid, [20], exclude_seen=True)
    return {name: means[name] for name in ("recall@20", "ndcg@20")}
