"""A row of a table: a model tuned on validation where it has a grid, and run once for each seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import by_user
import models
import rivals
import sources
import tuning
from sklearn.utils import Bunch
from store import Store, hash_of
from tuning import Axis, Coordinates

__all__ = ["Row", "Table", "chosen_by"]


def chosen_by(data: Bunch) -> str:
    """The metric on validation by which settings are chosen."""
    return "ndcg@10" if "history" in data else "recall@20"


@dataclass(frozen=True)
class Row:
    """A model by its name, with what the options of a script change in it."""

    name: str
    changes: dict[str, Any]
    axes: dict[str, Axis]

    @property
    def grid(self) -> Mapping[str, Axis] | Sequence[dict[str, Any]] | Coordinates:
        """Axes of the parameters that are searched, or a list of settings; may be empty."""
        if self.name in models.GRIDS:
            if self.axes:
                raise SystemExit(f"{self.name} has a grid of its own: --grid is for other models")
            return models.GRIDS[self.name][2]
        own = rivals.RULES[self.name].grid if self.name in rivals.RULES else {}
        return {n: axis for n, axis in {**own, **self.axes}.items() if n not in self.changes}

    @property
    def together(self) -> tuple[tuple[str, str], ...]:
        """Pairs of parameters that are moved in the same direction as well."""
        return rivals.RULES[self.name].together if self.name in rivals.RULES else ()


class Table:
    """Runs of models on one data set, each computed once: what the store knows is not run again.

    Values of each user are written to `users`; with `need_users`, a run without its file is
    computed again.
    """

    def __init__(
        self,
        data: Bunch,
        store: Store,
        *,
        parts: Sequence[str],
        cutoffs: Sequence[int],
        users: Path | None = None,
        need_users: bool = False,
    ) -> None:
        self.data, self.store = data, store
        self.parts, self.cutoffs = list(parts), list(cutoffs)
        self.users, self.need_users = users, need_users
        self.about = sources.about(data)
        k = 10 if "history" in data else 20
        self.kept = (f"recall@{k}", f"ndcg@{k}")

    def tune(self, row: Row, seed: int) -> tuning.Found:
        """The best setting of the row's grid, at one seed."""
        metric = chosen_by(self.data)
        k = int(metric.partition("@")[2])

        def score(params: dict[str, Any]) -> float:
            params = {**params, **row.changes}

            def compute() -> dict[str, Any]:
                found = models.run(row.name, self.data, seed, params, ["valid"], [k])
                return {metric: found["valid"][metric]}

            key = {**self._key(row.name, params), "chosen by": metric}
            known = self.store.get(key, self._seed(row.name, params, seed), compute, row=row.name)
            print(f"{row.name}: {metric} {known[metric]:.4f} on validation, {params}", flush=True)
            return float(known[metric])

        return tuning.search(row.grid, score, together=row.together)

    def run(self, row: Row, params: dict[str, Any], seed: int) -> dict[str, Any]:
        """One model of one seed, measured on all parts."""
        params = {**params, **row.changes}
        seed = self._seed(row.name, params, seed)
        key = {**self._key(row.name, params), "parts": self.parts, "k": self.cutoffs}
        path = self.values_file(row.name, key, seed)

        def compute() -> dict[str, Any]:
            kept = self.kept if path else ()
            found = models.run(row.name, self.data, seed, params, self.parts, self.cutoffs, kept)
            values = found.pop("by user", None)
            if path and values:
                by_user.save(path, values)
            return found

        usable = path is None or not self.need_users or path.exists()
        found = self.store.get(key, seed, compute, row=row.name, usable=usable)
        return {**found, "params": params, "by_user": path.name if path else None}

    def runs(
        self, row: Row, seeds: Sequence[int]
    ) -> tuple[list[dict[str, Any]], tuning.Found | None]:
        """All runs of a row, and how its setting was found. One run where nothing is random."""
        found = self.tune(row, seeds[0]) if row.grid else None
        params = found.params if found else {}
        if not models.has_chance(models.make(row.name, 0, {**params, **row.changes})):
            seeds = seeds[:1]
        return [self.run(row, params, seed) for seed in seeds], found

    def values_file(self, name: str, key: dict[str, Any], seed: int) -> Path | None:
        """Where the values of each user go."""
        if self.users is None:
            return None
        mark = hash_of({**key, "seed": seed})[:8]
        return self.users / f"{self.data.name}-{models.label(name)}-seed{seed}-{mark}.npz"

    def _key(self, name: str, params: dict[str, Any]) -> dict[str, Any]:
        model = models.identity(name, params, list(self.data.features))
        return {"model": model, "data": self.about}

    def _seed(self, name: str, params: dict[str, Any], seed: int) -> int:
        """The seed, or 0 where nothing is random."""
        return seed if models.has_chance(models.make(name, 0, params)) else 0
