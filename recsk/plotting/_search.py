"""The results of a search, read for a picture: metric, parameters and their order."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recsk._describe import describe
from recsk.model_selection import RankingScorer
from recsk.plotting._text import is_number

__all__ = [
    "are_numbers",
    "choose_metric",
    "choose_params",
    "order_key",
    "ordered",
    "read_cv_results",
    "same_but_for",
    "scorer_name",
    "varied",
]


def read_cv_results(
    cv_results: Any,
) -> tuple[list[Mapping[str, Any]], dict[str, np.ndarray]]:
    """Candidates, and the scores of their splits by metric, NaN where there is none."""
    columns = list(cv_results.keys()) if hasattr(cv_results, "keys") else []
    found: dict[str, dict[int, np.ndarray]] = {}
    for column in columns:
        if match := re.fullmatch(r"split(\d+)_test_(.+)", str(column)):
            values = np.asarray(cv_results[column], dtype=np.float64)
            values = np.where(np.isfinite(values), values, np.nan)
            found.setdefault(match[2], {})[int(match[1])] = values
    if "params" not in columns or not found:
        raise TypeError(
            "cv_results must be the cv_results_ of a search, with 'params' and "
            f"'split0_test_score' or the like; got {describe(cv_results)}"
        )
    candidates = list(cv_results["params"])
    for candidate in candidates:
        if not isinstance(candidate, Mapping):
            raise TypeError(
                "cv_results must have dicts in 'params', which a table that was written to CSV "
                f"has lost; got {describe(candidate)}"
            )
    splits = {
        metric: np.column_stack([values[split] for split in sorted(values)])
        for metric, values in found.items()
    }
    if "iter" in columns:  # successive halving
        first = np.asarray(cv_results["iter"])
        first = first == first.min()
        candidates = [one for one, kept in zip(candidates, first, strict=True) if kept]
        splits = {metric: values[first] for metric, values in splits.items()}
    return candidates, splits


def scorer_name(search: Any) -> str | None:
    """What the one metric of a search is called, where that can be told."""
    scoring = getattr(search, "scoring", None)
    if isinstance(scoring, str):
        return scoring
    if isinstance(scoring, RankingScorer):
        return f"{scoring.metric}@{scoring.k}"
    return None


def choose_metric(
    splits: Mapping[str, Any], metric: str | None, only: str | None
) -> tuple[str, str]:
    """Key of the metric, and what to call it; `only` is the name of the metric called score."""
    if metric is not None and not isinstance(metric, str):
        raise TypeError(f"metric must be a str or None; got {metric!r}")
    if list(splits) == ["score"]:  # what a search calls its only metric
        if only is None or metric in (None, only, "score"):
            return "score", only or metric or "score"
        known = [only]
    else:
        known = sorted(splits)
        if metric in known or (metric is None and len(known) == 1):
            return metric or known[0], metric or known[0]
    raise ValueError(f"metric must be one of {known}; got {metric!r}")


def choose_params(
    candidates: Sequence[Mapping[str, Any]], params: str | Sequence[str] | None
) -> list[str]:
    known = sorted({name for candidate in candidates for name in candidate})
    if params is None:
        names = varied(candidates)
        if len(names) in (1, 2):
            return names
        raise ValueError(
            f"params must name one or two parameters, as {len(names)} of the search have several "
            f"values; choose from {names or known}"
        )
    names = [params] if isinstance(params, str) else list(params)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"params must be one or two names of parameters; got {params!r}")
    if len(names) not in (1, 2) or len(set(names)) < len(names):
        raise ValueError(f"params must be one or two different names; got {params!r}")
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"params has {unknown[0]!r}, but the search varied {known}")
    if not any(all(name in candidate for name in names) for candidate in candidates):
        raise ValueError(f"params {names} were never varied together in the search")
    return names


def same_but_for(
    names: Sequence[str], candidates: Sequence[Mapping[str, Any]], means: np.ndarray
) -> list[int]:
    """Which candidates have these parameters, and all others as the best of those that do.

    A warning says if a better one has not, a ValueError if no other has the same.
    """
    having = [i for i, one in enumerate(candidates) if all(name in one for name in names)]
    if np.isnan(means[having]).all():
        raise ValueError(
            f"cv_results has no candidate with {' and '.join(names)} whose scores are numbers in "
            "all splits"
        )
    place = having[int(np.nanargmax(means[having]))]
    best = candidates[place]
    winner = int(np.nanargmax(means))
    if means[winner] > means[place]:
        warnings.warn(
            f"the best candidate of the search, {dict(candidates[winner])}, has no "
            f"{' and no '.join(name for name in names if name not in candidates[winner])} and is "
            "not drawn: what is marked is the best of those that are",
            UserWarning,
            stacklevel=4,
        )

    def others(candidate: Mapping[str, Any]) -> dict[str, Any]:
        return {name: order_key(value) for name, value in candidate.items() if name not in names}

    alike = [i for i in having if others(candidates[i]) == others(best)]
    if len(alike) == 1 and len(having) > 1:
        differing = [name for name in varied(candidates) if name not in names]
        raise ValueError(
            f"params {list(names)} leave the best candidate alone to draw, as no other has the "
            f"same value of {', '.join(differing)}: give one of these in params too, as the values "
            "of a randomized search never repeat"
        )
    return alike


def varied(candidates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Parameters with more than one value, in order; to be absent is a value."""
    names = dict.fromkeys(name for candidate in candidates for name in candidate)
    absent = object()
    return [
        name
        for name in names
        if len({order_key(candidate.get(name, absent)) for candidate in candidates}) > 1
    ]


def order_key(value: Any) -> Any:
    """Something to compare a parameter's value by; arrays have no single truth."""
    if is_number(value):
        return float(value) if value == value else "nan"  # that equals nothing, nor itself
    return repr(value)


def are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(order_key(value), float) and np.isfinite(value) for value in values)


def ordered(values: Iterable[Any]) -> list[Any]:
    """Different values: numbers by size, else as they came."""
    different = list({order_key(value): value for value in values}.values())
    return sorted(different) if are_numbers(different) else different
