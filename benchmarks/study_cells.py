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
import rivals
import sources
import synthetic
from sklearn.utils import Bunch
from sources import WORLDS

from recsk.metrics import evaluate

__all__ = ["NOT_MASKED", "STUDIES", "Cell", "Study"]

NOT_MASKED = ", not masked"  # ends the name of a figure for which items seen are ranked
OURS = ("mde", "mdsrec")
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

    cells: Callable[..., list[Cell]]
    x_label: str = ""


def load(dataset: str, model: str) -> Bunch:
    """The data of a source (`sources.load`), as this kind of model needs them."""
    return sources.load(dataset, models.is_sequential(model))


@cache
def origin(dataset: str, model: str) -> dict[str, Any]:
    """What tells a user's own data from others; of ours the name of the file is enough."""
    return {"source": sources.about(load(dataset, model))} if ":" in dataset else {}


def fit(
    dataset: str, kind: str, name: str, changes: dict[str, Any], change: Change | None, seed: int
) -> dict[str, float]:
    """Fit a model of `models.py` on a data set, changed or as it is, and measure it."""
    data = load(dataset, kind)
    if change is not None:
        data = change(data, np.random.default_rng(seed))
    k = cutoff(kind)
    parts = ["valid", "test"]
    if models.is_sequential(kind):
        parts += [f"{part}{NOT_MASKED}" for part in parts]
    found = models.run(name, data, seed, changes, parts, [k])
    return {
        f"{part} {metric}@{k}": found[part][f"{metric}@{k}"]
        for part in parts
        for metric in ("recall", "ndcg")
    }


def cutoff(kind: str) -> int:
    """The length of the lists."""
    return 10 if models.is_sequential(kind) else 20


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
        about = origin(self.dataset, self.kind) | (about or {})
        key = {"model": models.identity(name, params, modalities), "data": about}
        run = partial(fit, self.dataset, self.kind, name, params, change)
        return Cell(series, x, key, run)


def ablation(dataset: str, model: str, changes: dict[str, Any]) -> list[Cell]:
    """Without one part after the other; for MDE also of the paper's own form."""
    if model not in OURS:
        raise ValueError(f"ablation is a study of mde and mdsrec alone; got --model {model}")
    _needs_features(dataset, model)
    cell = Maker(dataset, model, changes)
    if model == "mde":
        names = ["mde", "wo_mda", "wo_msa", "wo_nlt"]
        names += ["paper", "paper_wo_mda", "paper_wo_msa", "paper_wo_nlt"]
    else:
        names = ["mdsrec", "wo_mrgc", "wo_ica", "mean_fusion", "gumbel_fusion"]
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
    return [*rows, cell("none", **without_features(model))]


def sensitivity(
    dataset: str,
    model: str,
    changes: dict[str, Any],
    values: dict[str, tuple[Any, ...]] | None = None,
) -> list[Cell]:
    """One parameter at a time; of MDE alpha and beta together."""
    cell = Maker(dataset, model, changes)
    rows: list[Cell] = []
    if values is None and model not in OURS:
        raise ValueError(f"which parameters of {model}? Give --grid name=[...]")
    if values is not None:
        pass
    elif model == "mde":
        values = {
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
        }
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
    rows = []
    for series, options in (("with features", {}), ("ids alone", without_features(model))):
        for share in SHARES:
            changed = [options["change"]] if "change" in options else []
            change = partial(corrupted.several, [*changed, partial(corrupted.thin, share)])
            about = {**options.get("about", {}), "share": share}
            name = options.get("name")
            rows.append(cell(series, share, name=name, change=change, about=about))
    return rows


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
    names = {
        "mde": ["mde", "wo_mda", "wo_msa", "paper"],
        "mdsrec": ["mdsrec", "mean_fusion", "first_modality", "second_modality"],
    }.get(model, [model])
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
    names = {
        "mde": ["mde", "paper", "ids"],
        "mdsrec": ["mdsrec", "wo_mrgc", "paper_sequences"],
    }.get(model, [model])
    modalities = list(load(dataset, model).features)
    about = origin(dataset, model) | {"cold items": 0.1}
    rows = []
    for name in names:
        _check_changes(changes, models.params_of(name))
        key = {"model": models.identity(name, changes, modalities), "data": about}
        rows.append(Cell(name, None, key, partial(_cold, dataset, model, name, changes)))
    for series, name in (("content_knn", "content_knn"), ("popularity", "popular")):
        if name not in names:
            key = {"model": models.identity(name, {}, modalities), "data": about}
            rows.append(Cell(series, None, key, partial(_cold, dataset, model, name, {})))
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


_TRAINING = {"batch_size", "dropout", "learning_rate", "max_epochs", "n_iter_no_change"}


def _check_changes(changes: dict[str, Any], own: dict[str, Any]) -> None:
    """Refuse to have set what a row sets itself: it would not be what it is called.

    How long and how fast it is trained may be set, for all rows alike.
    """
    if clash := (own.keys() & changes.keys()) - _TRAINING:
        raise ValueError(f"this study sets {', '.join(sorted(clash))} itself; got it by --set")


def without_features(model: str) -> dict[str, Any]:
    """What makes a row of a model without features."""
    names = {"mde": "ids", "mdsrec": "ids_sequences"}
    if model in names:
        return {"name": names[model]}
    return {"change": corrupted.without_features, "about": {"only": None}}


def _needs_features(dataset: str, model: str) -> None:
    if models.find(model).chosen == []:
        raise ValueError(f"this study is one of features, which {model} does not use")
    if not load(dataset, model).features:
        raise ValueError(f"this study is one of features, and {dataset} has none")


def _only(model: str, needed: str, study: str) -> None:
    if model != needed:
        raise ValueError(f"{study} is a study of {needed} alone; got --model {model}")


def _correlated(
    dataset: str, model: str, value: float, data: Bunch, rng: np.random.Generator
) -> Bunch:
    seed = int(rng.integers(2**31))
    sequential = models.is_sequential(model)
    return sources.world(dataset, sequential, correlation=value, random_state=seed)


def _cold(
    dataset: str, kind: str, name: str, changes: dict[str, Any], seed: int
) -> dict[str, float]:
    data, cold = corrupted.without_items(load(dataset, kind), 0.1, np.random.default_rng(seed))
    return among_new(name, kind, data, cold, changes, seed)


def among_new(
    name: str, kind: str, data: Bunch, cold: np.ndarray, changes: dict[str, Any], seed: int
) -> dict[str, float]:
    """Fit a model and measure what it finds of new items, among all and among themselves."""
    if name in rivals.RULES:
        rng = np.random.default_rng([seed, 1])
        ranker = corrupted.fit_in_random_order(name, data, seed, changes, rng)
    else:
        ranker = models.fit(name, data, seed, changes)
    found = {}
    for where, items in (("all items", None), ("new items", cold)):
        figures = evaluate(_Among(ranker, items), data.cold, ("recall", "ndcg"), cutoff(kind))
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
    sequential = models.is_sequential(model)
    data = synthetic.sized(**size, sequential=sequential, seed=seed)
    small = synthetic.sized(100, 100, 8, sequential=sequential, seed=seed)
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
