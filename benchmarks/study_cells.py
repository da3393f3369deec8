"""The cells of every study: which model, on which version of the data."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import corrupted
import environment
import memory
import models
import numpy as np
import realdata
import synthetic
from sklearn.utils import Bunch

from recsk.metrics import evaluate

__all__ = ["DATASETS", "NOT_MASKED", "STUDIES", "Cell", "Study"]

# A tiny world is for trying a study out.
WORLDS = {"synthetic": (2000, 4000), "tiny": (120, 80)}
DATASETS = (*WORLDS, *realdata.NAMES)
NOT_MASKED = ", not masked"  # ends the name of a figure for which items seen are ranked
SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
Change = Callable[[Bunch, np.random.Generator], Bunch]


@dataclass(frozen=True)
class Cell:
    """One row of a table and one point of a picture.

    Its place `x` in the picture is a number, the values of one or two parameters, or None.
    """

    series: str
    x: float | dict[str, Any] | None
    key: dict[str, Any]  # all that the result depends on, but for the seed
    run: Callable[[int], dict[str, float]] = field(compare=False)

    @property
    def label(self) -> str:
        if isinstance(self.x, dict):
            return ", ".join(f"{name}={value}" for name, value in self.x.items())
        return self.series if self.x is None else f"{self.series}, {self.x}"


@dataclass(frozen=True)
class Study:
    """How a study makes its cells, and what its x axis is."""

    cells: Callable[[str, str, dict[str, Any]], list[Cell]]
    x_label: str = ""


@cache
def load(dataset: str, model: str) -> Bunch:
    """A data set as this kind of model needs it."""
    if dataset in WORLDS:
        return _world(dataset, model)
    return realdata.load_sequences(dataset) if model == "mdsrec" else realdata.load(dataset)


def fit(
    dataset: str, kind: str, name: str, changes: dict[str, Any], change: Change | None, seed: int
) -> dict[str, float]:
    """Fit a model of `models.py` on a data set, changed or as it is, and measure it."""
    data = load(dataset, kind)
    if change is not None:
        data = change(data, np.random.default_rng(seed))
    k = 10 if kind == "mdsrec" else 20
    parts = ["valid", "test"]
    if kind == "mdsrec":
        parts += [f"{part}{NOT_MASKED}" for part in parts]
    found = models.run(name, data, seed, changes, parts, [k])
    return {
        f"{part} {metric}@{k}": found[part][f"{metric}@{k}"]
        for part in parts
        for metric in ("recall", "ndcg")
    }


class Maker:
    """Cells of one data set and kind of model."""

    def __init__(self, dataset: str, kind: str, changes: dict[str, Any]) -> None:
        self.dataset, self.kind, self.changes = dataset, kind, changes

    def __call__(
        self,
        series: str,
        x: Any = None,
        *,
        name: str | None = None,
        params: dict[str, Any] | None = None,
        change: Change | None = None,
        about: dict[str, Any] | None = None,
    ) -> Cell:
        name = name or self.kind
        _check_changes(self.changes, models.params_of(name) | (params or {}))
        params = {**self.changes, **(params or {})}
        modalities = list(load(self.dataset, self.kind).features)
        key = {"model": models.identity(name, params, modalities), "data": about or {}}
        run = partial(fit, self.dataset, self.kind, name, params, change)
        return Cell(series, x, key, run)


def ablation(dataset: str, model: str, changes: dict[str, Any]) -> list[Cell]:
    """Without one part after the other; for MDE also of the paper's own form."""
    _needs_features(dataset, model)
    cell = Maker(dataset, model, changes)
    if model == "mde":
        names = ["mde", "wo_mda", "wo_msa", "wo_nlt"]
        names += ["paper", "paper_wo_mda", "paper_wo_msa", "paper_wo_nlt"]
    else:
        names = ["mdsrec", "wo_mrgc", "wo_ica", "mean_fusion", "softmax_fusion"]
        names += ["paper_sequences", "paper_wo_mrgc", "paper_wo_ica", "paper_mean_fusion"]
    return [cell(name, name=name) for name in names]


def tradeoff(dataset: str, model: str, changes: dict[str, Any]) -> list[Cell]:
    """Learned preferences, fixed ones (variant A) and independent weights (variant B)."""
    _only(model, "mde", "tradeoff")
    n_modalities = len(load(dataset, model).features)
    if n_modalities != 2:
        raise ValueError(f"the trade-off is between two modalities; {dataset} has {n_modalities}")
    cell = Maker(dataset, model, changes)
    rows = []
    for name in ("mde", "paper"):
        rows.append(cell(f"{name}, learned", name=name))
        rows.append(cell(f"{name}, independent", name=name, params={"tradeoff": "independent"}))
        rows.append(cell(f"{name}, uniform", name=name, params={"tradeoff": "uniform"}))
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            fixed = {"preference": [share, 1 - share]}
            rows.append(cell(f"{name}, fixed", share, name=name, params=fixed))
    return rows


def single_modality(dataset: str, model: str, changes: dict[str, Any]) -> list[Cell]:
    """All modalities, each alone, none."""
    _needs_features(dataset, model)
    cell = Maker(dataset, model, changes)
    names = list(load(dataset, model).features)
    rows = [cell("all")]
    for kept in names:
        rows.append(cell(kept, change=partial(corrupted.only, kept), about={"only": kept}))
    return [*rows, cell("none", name="ids" if model == "mde" else "ids_sequences")]


def sensitivity(dataset: str, model: str, changes: dict[str, Any]) -> list[Cell]:
    """One parameter at a time; alpha and beta together."""
    cell = Maker(dataset, model, changes)
    if model == "mde":
        values: dict[str, tuple[Any, ...]] = {
            "temperature": (0.05, 0.1, 0.2, 0.5, 1.0),
            "item_neighbors": (0, 5, 10, 20, 40),
            "n_layers": (0, 1, 2, 3),
        }
        weights = (0.0, 0.01, 0.1, 1.0)
        grid = [{"alpha": a, "beta": b} for a, b in itertools.product(weights, weights)]
        rows = [cell("alpha and beta", both, params=both) for both in grid]
    else:
        values = {
            "n_neighbors": (5, 10, 20, 40),
            "n_interests": (4, 8, 16, 32, 64),
            "tau": (0.1, 0.5, 1.0, 2.0, 5.0),
        }
        rows = []
    rows += [
        cell(name, {name: value}, params={name: value})
        for name, tried in values.items()
        for value in tried
    ]
    return rows


def sparsity(dataset: str, model: str, changes: dict[str, Any]) -> list[Cell]:
    """Fewer interactions to learn from, with and without features."""
    _needs_features(dataset, model)
    cell = Maker(dataset, model, changes)
    return [
        cell(
            series, share, name=name, change=partial(corrupted.thin, share), about={"share": share}
        )
        for series, name in (
            ("with features", model),
            ("ids alone", "ids" if model == "mde" else "ids_sequences"),
        )
        for share in SHARES
    ]


def noise(dataset: str, model: str, changes: dict[str, Any]) -> list[Cell]:
    """One modality of a share of the items replaced by noise, shuffled, or missing."""
    _needs_features(dataset, model)
    cell = Maker(dataset, model, changes)
    rows = []
    for modality in load(dataset, model).features:
        for kind in corrupted.KINDS:
            for share in (0.0, 0.3, 0.6, 0.9):
                about = {"modality": modality, "kind": kind, "share": share} if share else {}
                change = partial(corrupted.corrupt, modality, kind, share) if share else None
                rows.append(cell(f"{modality} {kind}", share, change=change, about=about))
    return rows


def correlation(dataset: str, model: str, changes: dict[str, Any]) -> list[Cell]:
    """How much two modalities say the same, in worlds that are made so."""
    if dataset not in WORLDS:
        raise ValueError("how far modalities correlate is known of --dataset synthetic alone")
    cell = Maker(dataset, model, changes)
    names = (
        ["mde", "wo_mda", "wo_msa", "paper"]
        if model == "mde"
        else ["mdsrec", "mean_fusion", "first_modality", "second_modality"]
    )
    return [
        cell(
            name,
            value,
            name=name,
            change=partial(_correlated, dataset, model, value),
            about={"correlation": value},
        )
        for name in names
        for value in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]


def cold_items(dataset: str, model: str, changes: dict[str, Any]) -> list[Cell]:
    """A tenth of the items held out whole: what they are found by."""
    _needs_features(dataset, model)
    names = ["mde", "paper", "ids"] if model == "mde" else ["mdsrec", "wo_mrgc", "paper_sequences"]
    modalities = list(load(dataset, model).features)
    about = {"cold items": 0.1}
    rows = []
    for name in names:
        _check_changes(changes, models.params_of(name))
        key = {"model": models.identity(name, changes, modalities), "data": about}
        rows.append(Cell(name, None, key, partial(_cold, dataset, model, name, changes)))
    for name in ("content_knn", "popularity"):
        key = {"model": name, "data": about}
        rows.append(Cell(name, None, key, partial(_cold, dataset, model, name, {})))
    return rows


def complexity(dataset: str, model: str, changes: dict[str, Any]) -> list[Cell]:
    """Time and memory by users, items and width of the features, one at a time."""
    if dataset not in WORLDS:
        raise ValueError("sizes are those of --dataset synthetic")
    unit = 10_000 if dataset == "synthetic" else 100
    base = {"users": unit, "items": unit, "columns": 128}
    tried = {
        "users": (unit, 3 * unit, 10 * unit),
        "items": (unit, 3 * unit, 10 * unit),
        "columns": (128, 512, 2_048),
    }
    _check_changes(changes, {"early_stopping": False})
    rows = []
    for name, values in tried.items():
        for value in values:
            size = {**base, name: value}
            run = partial(_cost, model, changes, size)
            machine = environment.describe()
            del machine["commit"]
            length = {"max_epochs": None, "early_stopping": False}
            made = models.identity(model, {**changes, **length}, ["v", "t"])
            key = {"model": made, "data": {"size": size}, "machine": machine}
            rows.append(Cell(f"by {name}", value, key, run))
    return rows


def _check_changes(changes: dict[str, Any], own: dict[str, Any]) -> None:
    """Refuse to have set what a row sets itself: it would not be what it is called."""
    if clash := own.keys() & changes.keys():
        raise ValueError(f"this study sets {', '.join(sorted(clash))} itself; got it by --set")


def _needs_features(dataset: str, model: str) -> None:
    if not load(dataset, model).features:
        raise ValueError(f"this study is one of features, and {dataset} has none")


def _only(model: str, needed: str, study: str) -> None:
    if model != needed:
        raise ValueError(f"{study} is a study of {needed} alone; got --model {model}")


def _world(dataset: str, model: str, **params: Any) -> Bunch:
    n_users, n_items = WORLDS[dataset]
    return synthetic.world(sequential=model == "mdsrec", n_users=n_users, n_items=n_items, **params)


def _correlated(
    dataset: str, model: str, value: float, data: Bunch, rng: np.random.Generator
) -> Bunch:
    return _world(dataset, model, correlation=value, random_state=int(rng.integers(2**31)))


def _cold(
    dataset: str, kind: str, name: str, changes: dict[str, Any], seed: int
) -> dict[str, float]:
    data, cold = corrupted.without_items(load(dataset, kind), 0.1, np.random.default_rng(seed))
    rng = np.random.default_rng([seed, 1])
    if name == "content_knn":
        ranker: Any = corrupted.ContentKNN(data, rng)
    elif name == "popularity":
        ranker = corrupted.Popularity(data, rng)
    else:
        ranker = models.fit(name, data, seed, changes)
    k = 10 if kind == "mdsrec" else 20
    found = {}
    for where, items in (("all items", None), ("new items", cold)):
        figures = evaluate(_Among(ranker, items), data.cold, ("recall", "ndcg"), k)
        found |= {f"{where}: {metric}": value for metric, value in figures.items()}
    return found


class _Among:
    """A model whose candidates are some items alone."""

    def __init__(self, ranker: Any, items: np.ndarray | None) -> None:
        self.ranker, self.items = ranker, items

    def recommend(self, user_ids: np.ndarray, k: int, *, exclude_seen: bool) -> Any:
        return self.ranker.recommend(user_ids, k=k, items=self.items, exclude_seen=exclude_seen)


def _cost(model: str, changes: dict[str, Any], size: dict[str, int], seed: int) -> dict[str, float]:
    """Seconds of an epoch, those of all around it, and the peak of memory."""
    data = synthetic.sized(**size, sequential=model == "mdsrec", seed=seed)
    small = synthetic.sized(100, 100, 8, sequential=model == "mdsrec", seed=seed)
    warm_up = models.make(model, seed, {**changes, "max_epochs": 1, "early_stopping": False})
    warm_up.fit(small.train, item_features=small.features)  # libraries are loaded
    seconds = {}
    for epochs in (1, 3):
        length = {"max_epochs": epochs, "early_stopping": False}
        estimator = models.make(model, seed, {**changes, **length})
        start = time.perf_counter()
        with memory.Peak() as peak:
            estimator.fit(data.train, item_features=data.features)
        seconds[epochs] = time.perf_counter() - start
    epoch = (seconds[3] - seconds[1]) / 2
    return {"s / epoch": epoch, "s around": seconds[1] - epoch, "peak MiB": peak.mib}


STUDIES = {
    "ablation": Study(ablation),
    "tradeoff": Study(tradeoff),
    "single-modality": Study(single_modality),
    "sensitivity": Study(sensitivity),
    "sparsity": Study(sparsity, "share of the training interactions"),
    "noise": Study(noise, "share of the items"),
    "correlation": Study(correlation, "correlation of the two modalities"),
    "cold-items": Study(cold_items),
    "complexity": Study(complexity, "size"),
}
