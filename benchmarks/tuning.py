"""The best setting on validation, of a grid that goes on where its best is at an edge.

Every combination of the first values of the axes is tried. Then the neighbours of the best setting
are tried, one axis at a time, until none of them is better; parameters that are good `together` are
also moved in the same direction. Where an axis has `halvings`, its steps on both sides of the best
are then halved, and so on. An axis of numbers has neighbours
beyond its ends: it goes on by the ratio of its last two values if they are positive, else by their
difference. It ends at its limits, after `STEPS` values of its own on either side, or at a value
that the model refuses with a ValueError. A search that reaches `MAX_SETTINGS` settings stops. Where
the best is at such an end all the same, `Found.at_limit` says so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

__all__ = ["MAX_SETTINGS", "STEPS", "Axis", "Coordinates", "Found", "search"]

STEPS = 6
MAX_SETTINGS = 150


@dataclass(frozen=True)
class Axis:
    """Values of a parameter: numbers in ascending order (None after them: no bound), or names.

    `start` are the values of the first combinations, all by default. `limits` are the smallest
    and the largest number that the parameter may have; names have none. `halvings` says how often
    the steps beside the best are halved.
    """

    values: tuple[Any, ...]
    start: tuple[Any, ...] = ()
    limits: tuple[float, float] = (-math.inf, math.inf)
    halvings: int = 0

    @property
    def first(self) -> tuple[Any, ...]:
        return self.start or self.values

    @property
    def numbers(self) -> list[Any]:
        return [value for value in self.values if value is not None]

    @property
    def is_numeric(self) -> bool:
        return all(isinstance(v, Real) and not isinstance(v, bool) for v in self.numbers)


@dataclass(frozen=True)
class Found:
    """The best setting, its value, and how many were tried."""

    params: dict[str, Any]
    value: float
    n_settings: int
    at_limit: list[str] = field(default_factory=list)
    tried: list[tuple[dict[str, Any], float]] = field(default_factory=list, repr=False)


@dataclass(frozen=True)
class Coordinates:
    """One axis after the other: lower values while they are better, else higher ones.

    `start` is the setting tried first, `axes` the values of each of its parameters in ascending
    order. No more than `max_settings` settings are tried.
    """

    start: Mapping[str, Any]
    axes: Mapping[str, Sequence[Any]]
    max_settings: int

    def search(self, score: Callable[[dict[str, Any]], float]) -> Found:
        """The setting with the largest score."""
        best = dict(self.start)
        tried = [(best, score(best))]
        value = tried[0][1]
        for name, values in self.axes.items():
            first = best[name]
            for step in (-1, 1):
                while 0 <= (place := values.index(best[name]) + step) < len(values):
                    if len(tried) == self.max_settings:
                        return Found(best, value, len(tried), [], tried)
                    params = {**best, name: values[place]}
                    tried.append((params, score(params)))
                    if tried[-1][1] <= value:
                        break
                    best, value = tried[-1]
                if best[name] != first:
                    break
        return Found(best, value, len(tried), [], tried)


def search(
    grid: Mapping[str, Axis] | Sequence[dict[str, Any]] | Coordinates,
    score: Callable[[dict[str, Any]], float],
    *,
    together: Sequence[tuple[str, str]] = (),
    max_settings: int = MAX_SETTINGS,
) -> Found:
    """The setting with the largest score; of a plain list of settings, one of the list.

    `together` are pairs of parameters with a ridge: the best of one is large where the other is.
    """
    if isinstance(grid, Coordinates):
        return grid.search(score)
    if not isinstance(grid, Mapping):
        tried = [(params, score(params)) for params in grid]
        params, value = max(tried, key=lambda pair: pair[1])
        return Found(params, value, len(tried), [], tried)
    together = [pair for pair in together if set(pair) <= grid.keys()]
    return _Search(grid, score, together, max_settings).run()


class _Search:
    def __init__(
        self,
        grid: Mapping[str, Axis],
        score: Callable[[dict[str, Any]], float],
        together: Sequence[tuple[str, str]],
        most: int,
    ) -> None:
        self.grid, self.score, self.together, self.most = grid, score, together, most
        self.ladders = {name: _Ladder(axis) for name, axis in grid.items()}
        self.known: dict[tuple[Any, ...], float] = {}

    def run(self) -> Found:
        for setting in itertools.product(*(axis.first for axis in self.grid.values())):
            self.known[setting] = self.score(self._params(setting))
        best = self._best()
        while True:
            for setting in self._neighbours(best):
                if setting not in self.known and len(self.known) < self.most:
                    self._try(setting, best)
            if self._best() != best:
                best = self._best()
            elif not self._refine(best):
                break
        tried = [(self._params(setting), value) for setting, value in self.known.items()]
        at_limit = self._at_limit(best)
        return Found(self._params(best), self.known[best], len(tried), at_limit, tried)

    def _params(self, setting: tuple[Any, ...]) -> dict[str, Any]:
        return dict(zip(self.grid, setting, strict=True))

    def _best(self) -> tuple[Any, ...]:
        return max(self.known, key=lambda setting: self.known[setting])

    def _try(self, setting: tuple[Any, ...], best: tuple[Any, ...]) -> None:
        """Score a neighbour of the best; a value that is refused ends its axis."""
        params, before = self._params(setting), self._params(best)
        try:
            self.known[setting] = self.score(params)
        except ValueError as error:
            changed = [name for name in params if params[name] != before[name]]
            new = [name for name in changed if params[name] not in self.grid[name].values]
            if not new:
                raise
            print(f"{new[0]} ends before {params[new[0]]}, which is refused: {error}", flush=True)
            self.ladders[new[0]].refuse(params[new[0]])

    def _neighbours(self, setting: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        params = self._params(setting)
        for name, ladder in self.ladders.items():
            for value in ladder.beside(params[name]):
                yield tuple({**params, name: value}.values())
        for pair in self.together:
            for step in (-1, 1):
                moved = {name: self.ladders[name].after(params[name], step) for name in pair}
                if None not in moved.values():
                    yield tuple({**params, **moved}.values())

    def _refine(self, best: tuple[Any, ...]) -> bool:
        """Halve the steps beside the best, where an axis has that left."""
        params = self._params(best)
        halved = [ladder.halve(params[name]) for name, ladder in self.ladders.items()]
        return any(halved)

    def _at_limit(self, best: tuple[Any, ...]) -> list[str]:
        """Parameters whose next value was not tried, but for names."""
        found = []
        for place, (name, ladder) in enumerate(self.ladders.items()):
            others = (*best[:place], *best[place + 1 :])
            tried = {s[place] for s in self.known if (*s[:place], *s[place + 1 :]) == others}
            if ladder.is_open(best[place], tried):
                found.append(name)
        return found


class _Ladder:
    """The values of an axis in order, with those that it goes on with."""

    def __init__(self, axis: Axis) -> None:
        self.axis = axis
        self.values = list(axis.values)
        self.halvings = axis.halvings
        self.refused: set[Any] = set()
        if axis.is_numeric and axis.numbers:
            self.values = sorted(set(axis.numbers))
            self._extend()
            if None in axis.values:
                self.values = [v for v in self.values if v <= max(axis.numbers)]
                self.values.append(None)

    def _extend(self) -> None:
        """Go on at both ends, upwards and downwards."""
        low, high = self.axis.limits
        for up in (True, False):
            for value in _continued(self.values if up else self.values[::-1], up=up):
                value = min(max(value, low), high)
                if value in self.values or value <= 0 < min(self.values):
                    break
                self.values = [*self.values, value] if up else [value, *self.values]

    def halve(self, value: Any) -> bool:
        """Insert values between a value and those beside it."""
        near = [other for other in self.beside(value) if None not in (other, value)]
        if not self.halvings or not self.axis.is_numeric or not near:
            return False
        self.halvings -= 1
        for other in near:
            middle = math.sqrt(value * other) if value * other > 0 else (value + other) / 2
            whole = isinstance(value, Integral) and isinstance(other, Integral)
            middle = round(middle) if whole else float(f"{middle:.6g}")
            if middle not in self.values:
                self.values.insert(max(self.values.index(value), self.values.index(other)), middle)
        return True

    def refuse(self, value: Any) -> None:
        self.refused.add(value)

    def beside(self, value: Any) -> list[Any]:
        if not self.axis.is_numeric:
            return [other for other in self.values if other != value]
        at = self.values.index(value)
        near = [self.values[place] for place in (at - 1, at + 1) if 0 <= place < len(self.values)]
        return [other for other in near if other not in self.refused]

    def after(self, value: Any, step: int) -> Any:
        """The value one step up or down, None without one."""
        place = self.values.index(value) + step
        found = self.values[place] if 0 <= place < len(self.values) else None
        return None if found in self.refused else found

    def is_open(self, value: Any, tried: set[Any]) -> bool:
        """Whether better values may lie beyond: a neighbour was not tried or there is none."""
        if not self.axis.is_numeric:
            return not set(self.values) <= tried
        at = self.values.index(value)
        beside = [at - 1] if value is None else [at - 1, at + 1]
        return any(
            not 0 <= place < len(self.values) or self.values[place] not in tried for place in beside
        )


def _continued(values: list[Any], *, up: bool) -> Iterator[Any]:
    """What follows numbers, by the ratio of the last two if all are positive, else by the step."""
    *_, before, last = [values[0], *values]
    for _ in range(STEPS):
        if min(values) > 0:
            ratio = last / before if last != before else (2.0 if up else 0.5)
            value = last * ratio
        else:
            value = last + (last - before if last != before else (1 if up else -1))
        value = round(value) if isinstance(last, Integral) else float(f"{value:.6g}")
        if value == last:
            return
        yield value
        before, last = last, value
