"""The JSON files of results/ as the tables of the pages read them: a value by its path.

    parts-tiktok/wo_mda/test/ndcg@20
    large/middle/models/mde/cpu_seconds

The first part of a path is a file. A file of `accuracy.py` is read by model: the means over seeds
of each part ("test/recall@20", their deviation "test ±/recall@20"), the medians "best_iter" and
"fit_seconds", "n_settings", and of the paired test "difference", "low", "high", "p" (Holm) and
"p alone", each of "ndcg" and "recall".
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Results", "command", "commits", "default_name", "n_seeds"]

RESULTS = Path(__file__).parent / "results"
TESTED = {"difference": "difference", "low": "low", "high": "high", "p": "p_holm", "p alone": "p"}


class Results:
    """Files by name, read once; `used` has the names that were asked for since it was cleared."""

    def __init__(self, folder: Path = RESULTS) -> None:
        self.folder = folder
        self.used: dict[str, Any] = {}
        self._read: dict[str, Any] = {}
        self.merged: Mapping[str, Sequence[str]] = {}

    def __getitem__(self, name: str) -> Any:
        """A whole file, or the mean of several."""
        if name in self.merged:
            return merge([self[part] for part in self.merged[name]])
        if name not in self._read:
            path = self.folder / f"{name}.json"
            if not path.exists():
                raise SystemExit(f"a block names {name}, and there is no {path}")
            report = json.loads(path.read_text())
            self._read[name] = report | by_model(report) if "runs" in report else report
        self.used[name] = self._read[name]
        return self._read[name]

    def at(self, path: str) -> Any:
        """The value of a path; KeyError with the path where there is none."""
        name, *keys = path.split("/")
        found = self[name]
        for key in keys:
            try:
                found = found[int(key)] if isinstance(found, list) else found[key]
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise KeyError(path) from error
        return found


def by_model(report: Mapping[str, Any]) -> dict[str, Any]:
    """What a report of `accuracy.py` has of each model."""
    found: dict[str, Any] = {}
    for name, runs in report["runs"].items():
        row = found[name] = {"n_settings": runs[0]["n_settings"]}
        for part, values in runs[0].items():
            if isinstance(values, Mapping) and part != "params":
                each = {metric: [run[part][metric] for run in runs] for metric in values}
                row[part] = {metric: statistics.fmean(v) for metric, v in each.items()}
                row[f"{part} ±"] = {metric: spread(v) for metric, v in each.items()}
        for number in ("best_iter", "fit_seconds"):
            if number in runs[0]:
                row[number] = statistics.median(run[number] for run in runs)
    for test in report.get("comparison") or ():
        metric = test["metric"].partition("@")[0]
        for name, key in TESTED.items():
            found[test["model"]].setdefault(name, {})[metric] = test[key]
    return found


def merge(reports: Sequence[Any]) -> Any:
    """The mean of each number of several files; "... std" is the deviation among them."""
    first = reports[0]
    if not isinstance(first, Mapping):
        numeric = isinstance(first, int | float) and not isinstance(first, bool)
        return statistics.fmean(reports) if numeric else first
    found = {key: merge([report[key] for report in reports]) for key in first}
    for key in first:
        if f"{key} std" in first:
            found[f"{key} std"] = spread([report[key] for report in reports])
    return found


def spread(values: Sequence[float]) -> float:
    """The standard deviation over seeds."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def n_seeds(report: Mapping[str, Any]) -> int:
    """Of the rows that depend on chance; 0 where the file is not of `accuracy.py`."""
    return max((len(runs) for runs in report.get("runs", {}).values()), default=0)


def commits(report: Mapping[str, Any]) -> list[str]:
    """All commits that a file names."""

    def named(value: Any) -> Iterator[str]:
        if isinstance(value, Mapping):
            own = value.get("commits") or [value.get("commit")]
            yield from (str(commit) for commit in own if commit)
            for part in value.values():
                yield from named(part)

    return sorted(set(named(report)))


def default_name(report: Mapping[str, Any]) -> str:
    """The file that `accuracy.py` writes if it is given no other."""
    return f"accuracy-{_dataset(report)}{'-sequences' * _in_order(report)}"


def command(name: str, report: Mapping[str, Any]) -> str | None:
    """The command that wrote a file of `accuracy.py`."""
    if "runs" not in report:
        return None
    words = ["python benchmarks/accuracy.py --dataset", _dataset(report)]
    words += ["--sequences"] * _in_order(report)
    words += ["--model", ",".join(report["runs"])]
    words += ["--validation-only"] * ("test" not in next(iter(report["runs"].values()))[0])
    words += ["--seeds", str(n_seeds(report)), "--threads 1"]
    words += [f"--set {key}={value}" for key, value in report["changes"].items()]
    if tests := report.get("comparison"):
        # A rule is the one that is best on validation, which the script finds itself.
        rule = tests[0]["rule"]
        words += ["--compare"] if rule in report["searches"] else ["--compare", rule]
    if name != default_name(report):
        words.append(f"--json benchmarks/results/{name}.json")
    return " ".join(words)


def _dataset(report: Mapping[str, Any]) -> str:
    return {"synthetic": "shop"}.get(report["dataset"], report["dataset"])


def _in_order(report: Mapping[str, Any]) -> bool:
    return "last" in report["split"]
