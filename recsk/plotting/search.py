"""Results of a search for plots: candidates, metric, parameters and their order."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recsk.data.checks import describe
from recsk.metrics.registry import greater_is_better, metric_name
from recsk.model_selection import RankingScorer
from recsk.plotting.text import is_number

__all__ = [
    "are_finite_numbers",
    "choose_metric",
    "choose_params",
    "comparison_key",
    "get_scorer_name",
    "read_cv_results",
    "select_comparable",
    "sort_values",
    "varied_params",
]


def read_cv_results(
    cv_results: Any,
) -> tuple[list[Mapping[str, Any]], dict[str, np.ndarray]]:
    """Return the candidates and, for each metric, their scores by split, NaN where one failed.

    Of successive halving, only the first iteration is returned.
    """
    columns = list(cv_results.keys()) if hasattr(cv_results, "keys") else []
    scores: dict[str, dict[int, np.ndarray]] = {}
    for column in columns:
        if match := re.fullmatch(r"split(\d+)_test_(.+)", str(column)):
            values = np.asarray(cv_results[column], dtype=np.float64)
            values = np.where(np.isfinite(values), values, np.nan)
            scores.setdefault(match[2], {})[int(match[1])] = values
    if "params" not in columns or not scores:
        raise TypeError(
            "cv_results must be the cv_results_ of a search, with 'params' and for example "
            f"'split0_test_score'; got {describe(cv_results)}"
        )
    candidates = list(cv_results["params"])
    for candidate in candidates:
        if not isinstance(candidate, Mapping):
            raise TypeError(
                "cv_results must have dicts in 'params', which a table from a CSV file does not "
                f"have; got {describe(candidate)}"
            )
    splits = {
        metric: np.column_stack([values[split] for split in sorted(values)])
        for metric, values in scores.items()
    }
    if "iter" in columns:  # successive halving
        iteration = np.asarray(cv_results["iter"])
        is_first = iteration == iteration.min()
        candidates = [one for one, keep in zip(candidates, is_first, strict=True) if keep]
        splits = {metric: values[is_first] for metric, values in splits.items()}
    return candidates, splits


def get_scorer_name(search: Any) -> str | None:
    """Return the name of the only metric of a search, or None if it is unknown."""
    scoring = getattr(search, "scoring", None)
    if isinstance(scoring, str):
        return scoring
    if isinstance(scoring, RankingScorer):
        sign = "-" if greater_is_better(scoring.metric) is False else ""
        return f"{sign}{metric_name(scoring.metric)}@{scoring.k}"
    return None


def choose_metric(
    splits: Mapping[str, Any], metric: str | None, only_metric: str | None
) -> tuple[str, str]:
    """Return the key of a metric in the results, and its name for the plot.

    `only_metric` is the name of the metric that a search with one metric calls "score".
    """
    if metric is not None and not isinstance(metric, str):
        raise TypeError(f"metric must be a str or None; got {metric!r}")
    if list(splits) == ["score"]:
        if only_metric is None or metric in (None, only_metric, "score"):
            return "score", only_metric or metric or "score"
        known = [only_metric]
    else:
        known = sorted(splits)
        if metric in known or (metric is None and len(known) == 1):
            return metric or known[0], metric or known[0]
    raise ValueError(f"metric must be one of {known}; got {metric!r}")


def choose_params(
    candidates: Sequence[Mapping[str, Any]], params: str | Sequence[str] | None
) -> list[str]:
    """Return the names of the parameters to show: `params`, or all that vary if it is None."""
    known = sorted({name for candidate in candidates for name in candidate})
    if params is None:
        names = varied_params(candidates)
        if len(names) in (1, 2):
            return names
        raise ValueError(
            f"params must name one or two parameters, because {len(names)} parameters of the "
            f"search vary; choose from {names or known}"
        )
    names = [params] if isinstance(params, str) else list(params)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"params must be one or two names of parameters; got {params!r}")
    if len(names) not in (1, 2) or len(set(names)) < len(names):
        raise ValueError(f"params must be one or two different names; got {params!r}")
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"params has {unknown[0]!r}, but the search varied {known}")
    if not any(all(name in candidate for name in names) for candidate in candidates):
        raise ValueError(f"params {names} are never together in a candidate of the search")
    return names


def select_comparable(
    names: Sequence[str], candidates: Sequence[Mapping[str, Any]], means: np.ndarray
) -> list[int]:
    """Return the candidates that equal the best one except in these parameters.

    Only candidates that have all of the parameters are considered. A warning is given if a better
    candidate lacks one of them.

    Parameters
    ----------
    names : sequence of str
        The parameters to show.
    candidates : sequence of dict
    means : ndarray of shape (n_candidates,)
        Mean scores, NaN where a split failed.

    Returns
    -------
    selected : list of int
        Positions of the candidates.

    Raises
    ------
    ValueError
        If no candidate with the parameters has a mean score, or the best one is the only one left
        of several.
    """
    complete = [i for i, one in enumerate(candidates) if all(name in one for name in names)]
    if np.isnan(means[complete]).all():
        raise ValueError(
            f"cv_results has no candidate with {' and '.join(names)} that has a finite score in "
            "every split"
        )
    best_position = complete[int(np.nanargmax(means[complete]))]
    best = candidates[best_position]
    winner = int(np.nanargmax(means))
    if means[winner] > means[best_position]:
        warnings.warn(
            f"the best candidate of the search, {dict(candidates[winner])}, has no "
            f"{' and no '.join(name for name in names if name not in candidates[winner])} and is "
            "not drawn; the marked candidate is the best of the drawn ones",
            UserWarning,
            stacklevel=4,
        )

    def other_params(candidate: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: comparison_key(value) for name, value in candidate.items() if name not in names
        }

    selected = [i for i in complete if other_params(candidates[i]) == other_params(best)]
    if len(selected) == 1 and len(complete) > 1:
        differing = [name for name in varied_params(candidates) if name not in names]
        raise ValueError(
            f"params {list(names)} leave only the best candidate to draw, because no other has the "
            f"same value of {', '.join(differing)}; add one of these to params (the values of a "
            "randomized search never repeat)"
        )
    return selected


def varied_params(candidates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the parameters with more than one value, in order; absence counts as a value."""
    names = dict.fromkeys(name for candidate in candidates for name in candidate)
    absent = object()
    return [
        name
        for name in names
        if len({comparison_key(candidate.get(name, absent)) for candidate in candidates}) > 1
    ]


def comparison_key(value: Any) -> Any:
    """Return a hashable key of a parameter value; arrays cannot be compared with ``==``."""
    if is_number(value):
        return float(value) if value == value else "nan"  # NaN does not equal itself
    return repr(value)


def are_finite_numbers(values: Sequence[Any]) -> bool:
    """Whether all values are finite numbers."""
    return all(isinstance(comparison_key(value), float) and np.isfinite(value) for value in values)


def sort_values(values: Iterable[Any]) -> list[Any]:
    """Return the different values, sorted if all are numbers, else in order of appearance."""
    different = list({comparison_key(value): value for value in values}.values())
    return sorted(different) if are_finite_numbers(different) else different
