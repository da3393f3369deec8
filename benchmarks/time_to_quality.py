"""CPU seconds of a whole fit beside implicit's ALS: a table, a JSON file and a picture.

    python benchmarks/time_to_quality.py
    python benchmarks/time_to_quality.py --dataset ml100k --set learning_rate=0.003 --repeats 5
    python benchmarks/time_to_quality.py --dataset shop npz:FILE --model mde,paper,als --tune --add

A fit is the whole call: graphs, start, epochs, validation and the patience of early stopping. One
thread works, and CPU seconds are those of all threads of the process. Networks and ALS take turns
on the same data in the same process, a seed for each repeat: medians of seconds and epochs, means
of the quality on the validation part. ALS is implicit's own, without any code of recsk in the time:
`n_factors` times the number of modalities as its factors, 15 iterations. Other rules are fitted
once.

Rules have the setting that is best on validation by `results/accuracy-....json`. Where no table
knows one, they have the defaults of their class, or with `--tune` a search as in `accuracy.py`
comes first, outside of the time; the column "setting" says which.

The picture shows quality on the validation part against CPU seconds: a network after each of its
epochs, its own validation included, and at the end of the call; ALS after 1 to 30 iterations; other
rules as points. With `--add` what stands in the JSON file is not measured again: a data set or a
model that is missing there is added. A model added to others has no ratio, which takes one run.
`--dataset` takes every name of `sources.py`, and "npz:FILE" and the like.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import accuracy
import environment
import matplotlib
import models
import numpy as np
import rivals
import sources
import study_plots
import timing
from rows import Row, Table
from sklearn.utils import Bunch
from store import Store

HERE = Path(__file__).parent
RESULTS = HERE / "results"
FIGURE = HERE.parent / "docs" / "benchmarks" / "figures" / "time_to_quality.png"
DATASETS = ("tiktok", "sports", "citeulike", "ml1m", "ml100k", "shop")
POINTS = (1, 2, 4, 8, 15, 30)  # iterations of ALS in the picture
Setting = tuple[dict[str, Any], str]


def is_rule(name: str) -> bool:
    return name in rivals.RULES


def setting(name: str, data: Bunch, source: str, width: int, args: argparse.Namespace) -> Setting:
    """Parameters of a model, and where they are from."""
    given = accuracy.for_model(name, args.set)
    if not is_rule(name):
        return {"device": "cpu", **given}, "set" if given else "defaults"
    if name == "als":
        given = {"factors": width, **given}
    path = RESULTS / f"accuracy-{source}.json"
    searches = json.loads(path.read_text())["searches"] if path.exists() else {}
    if name in searches:
        return {**searches[name]["params"], **given}, "best known"
    row = Row(name, given, {})
    if args.tune and row.grid:
        store = Store(args.store or RESULTS / f"runs-{source}.jsonl")
        found = Table(data, store, parts=["valid"], cutoffs=[20]).tune(row, 0)
        return {**found.params, **given}, "tuned"
    return given, "defaults"


def fit(name: str, data: Bunch, seed: int, params: dict[str, Any]) -> dict[str, Any]:
    """One whole fit: seconds, quality, epochs, and the course of the validation."""
    with timing.Watch() as watch:
        if name == "als":
            estimator = timing.fit_als(data.train, seed=seed, **params)
        else:
            estimator = models.fit(name, data, seed, params)
        spent = watch.clock.both()
    found = {"seed": seed, **spent, **timing.quality(estimator, data)}
    if hasattr(estimator, "n_iter_"):
        found |= {"epochs": estimator.n_iter_, "best_epoch": estimator.best_iter_}
        found["metric"] = estimator.eval_metric
        found["curve"] = [[v.end, v.value] for v in watch.validations]
    return found


def course_of_als(data: Bunch, params: dict[str, Any]) -> list[dict[str, float]]:
    """CPU seconds and quality after some iterations of one fit."""
    found = []
    measured = 0.0  # what measuring took does not count

    def after(iteration: int, ranker: timing.Ranker) -> None:
        nonlocal measured
        if iteration in POINTS:
            spent = clock.cpu()
            quality = timing.quality(ranker, data)
            found.append({"iterations": iteration, "cpu_seconds": spent - measured, **quality})
            measured += clock.cpu() - spent

    clock = timing.Clock()
    timing.fit_als(data.train, **{**params, "iterations": max(POINTS)}, after=after)
    return found


def measure(source: str, names: Sequence[str], args: argparse.Namespace) -> dict[str, Any]:
    """All models on one data set."""
    data = sources.load(source, False)
    label = name_of(source)
    network = next((name for name in names if not is_rule(name)), "mde")
    changes = accuracy.for_model(network, args.set)
    width = timing.width_of(models.make(network, 0, changes), data)
    settings = {name: setting(name, data, label, width, args) for name in names}
    for name, (params, _) in settings.items():
        warm_up(name, params)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for seed in range(args.repeats):
        for name, (params, _) in settings.items():
            if seed == 0 or name == "als" or not is_rule(name):
                runs[name].append(fit(name, data, seed, params))
    found: dict[str, Any] = {
        "data": sources.about(data),
        "sizes": data.sizes,
        "environment": environment.describe(),
        "rows": {
            name: summary(runs[name])
            | dict(zip(("params", "setting"), settings[name], strict=True))
            for name in names
        },
    }
    for row in found["rows"].values():
        if "als" in found["rows"]:
            row["ratio"] = row["cpu_seconds"] / found["rows"]["als"]["cpu_seconds"]
    if "als" in settings:
        found["rows"]["als"]["course"] = course_of_als(data, settings["als"][0])
    return found


def warm_up(name: str, params: dict[str, Any]) -> None:
    """A small fit: libraries are loaded and memory is taken."""
    short = {} if is_rule(name) else {"max_epochs": 1}
    fit(name, sources.load("tiny", False), 0, {**params, **short})


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of what a fit takes, means of what it gives."""
    taken = ("cpu_seconds", "wall_seconds", "epochs")
    given = ("recall@20", "ndcg@20")
    found = {
        name: float(np.median([run[name] for run in runs])) for name in taken if name in runs[0]
    }
    found |= {name: float(np.mean([run[name] for run in runs])) for name in given}
    return {**found, "runs": runs}


def name_of(source: str) -> str:
    """The short name of a source: that of the data, or of the file."""
    return sources.load(source, False).name if ":" in source else source


def print_rows(name: str, found: dict[str, Any]) -> None:
    for model, row in found["rows"].items():
        epochs = f"{row['epochs']:.0f}" if "epochs" in row else ""
        ratio = f"{row['ratio']:.1f}" if "ratio" in row else ""
        print(
            f"{name:<12}{models.label(model):<12}{row['recall@20']:>10.4f}{row['ndcg@20']:>9.4f}"
            f"{row['cpu_seconds']:>11.2f}{ratio:>8}{epochs:>8}  {row['setting']}",
            flush=True,
        )


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", nargs="+", default=list(DATASETS), metavar="NAME")
    parser.add_argument("--model", default="mde,als,ease", help="comma-separated, see models.py")
    parser.add_argument("--repeats", type=int, default=3)
    accuracy.add_changes(parser)
    parser.add_argument("--tune", action="store_true", help="rules whose setting no table knows")
    parser.add_argument("--add", action="store_true", help="keep what is in the JSON file")
    parser.add_argument("--json", type=Path, default=RESULTS / "time_to_quality.json")
    parser.add_argument("--store", type=Path, help="known runs of --tune, as in accuracy.py")
    parser.add_argument("--figure", type=Path, default=FIGURE)
    parser.set_defaults(grid=[])
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    names = args.model.split(",")
    accuracy.check(names, args)
    report: dict[str, Any] = json.loads(args.json.read_text()) if args.json.exists() else {}
    known = [name_of(source) for source in args.dataset]
    for source, name in zip(args.dataset, known, strict=True):
        known_rows = report[name]["rows"] if args.add and name in report else {}
        missing = [model for model in names if model not in known_rows]
        if not missing:
            continue
        with timing.threads(1):
            found = measure(source, missing, args)
        if known_rows:
            for model, row in found["rows"].items():
                known_rows[model] = row | {"environment": found["environment"]}
        else:
            report[name] = found | {"changes": dict(args.set), "repeats": args.repeats}
        environment.write(report, args.json)
    columns = ("R@20", "N@20", "CPU s", "ratio", "epochs")
    print("\n{:<12}{:<12}{:>10}{:>9}{:>11}{:>8}{:>8}  setting".format("data", "model", *columns))
    for name in known:
        print_rows(name, report[name])
    study_plots.draw_courses(report, args.figure)
    print(f"written: {args.figure}")


if __name__ == "__main__":
    matplotlib.use("Agg")
    main()
