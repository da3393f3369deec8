"""The rules as rows of a study: each is tuned on validation, on the same data as the models."""

from __future__ import annotations

from functools import partial
from typing import Any

import corrupted
import models
import numpy as np
import rivals
from rows import Row, Table
from sklearn.utils import Bunch
from store import Store
from study_cells import NOT_MASKED, SHARES, Cell, Change, among_new, cutoff, load, origin

__all__ = ["SETTINGS", "cells"]

SETTINGS = "settings"  # how many were tried


def cells(study: str, dataset: str, kind: str, store: Store) -> list[Cell]:
    """A row for each rule that fits the data; of sparsity a series."""
    data = load(dataset, kind)
    names = rivals.rules_for(sequential="history" in data, features=bool(data.features))
    made = partial(_cell, dataset, kind, store)
    if study in ("ablation", "tradeoff", "single-modality"):
        return [made(name, None, None, {}) for name in names]
    if study == "sparsity":
        return [
            made(name, share, partial(corrupted.thin, share), {"share": share})
            for name in names
            for share in SHARES
        ]
    if study == "cold-items":
        return [made(name, None, _without_items, {"cold items": 0.1}) for name in names]
    raise ValueError(f"{study} has no rows of rules; leave out --rules")


def _cell(
    dataset: str,
    kind: str,
    store: Store,
    name: str,
    x: float | None,
    change: Change | None,
    about: dict[str, Any],
) -> Cell:
    rule = rivals.RULES[name]
    modalities = list(load(dataset, kind).features)
    identity = {"model": models.identity(name, {}, modalities), "tuned over": repr(rule.grid)}
    key = {**identity, "data": origin(dataset, kind) | about}
    return Cell(f"tuned {name}", x, key, partial(_run, dataset, kind, store, name, change))


def _run(
    dataset: str, kind: str, store: Store, name: str, change: Change | None, seed: int
) -> dict[str, float]:
    data = load(dataset, kind)
    if change is not None:
        data = change(data, np.random.default_rng(seed))
    parts, k = ["valid", "test"], cutoff(kind)
    if "history" in data:
        parts += [f"{part}{NOT_MASKED}" for part in parts]
    table, row = Table(data, store, parts=parts, cutoffs=[k]), Row(name, {}, {})
    best = table.tune(row, seed) if row.grid else None
    params, n_settings = (best.params, best.n_settings) if best else ({}, 1)
    if "cold" in data:
        values = among_new(name, kind, data, data.cold_items, params, seed)
    else:
        found = table.run(row, params, seed)
        values = {
            f"{part} {metric}@{k}": found[part][f"{metric}@{k}"]
            for part in parts
            for metric in ("recall", "ndcg")
        }
    return {**values, SETTINGS: float(n_settings)}


def _without_items(data: Bunch, rng: np.random.Generator) -> Bunch:
    kept, cold = corrupted.without_items(data, 0.1, rng)
    kept.cold_items = cold
    return kept
