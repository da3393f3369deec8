"""What the two papers claim and leave open, one study each: a table, a JSON file and a picture.

    python benchmarks/studies.py ablation --dataset tiktok --seeds 3 --threads 1
    python benchmarks/studies.py sensitivity --dataset scientific --seeds 3 --threads 1
    python benchmarks/studies.py ablation --dataset ml100k --model mdsrec \
        --set learning_rate=0.002 --set dropout=0.4 --set n_iter_no_change=10
    python benchmarks/studies.py sensitivity --npz FILE --model mypackage.rec:MyRecommender \
        --grid n_neighbors=[20,50,100]

Data are those of `sources.py`. Models are `mde`, `mdsrec`, a rule of `rivals.py` or the import path
of any estimator; a study that needs switches of ours (`ablation`, `tradeoff`) refuses the last two,
and `sensitivity` has their `--grid`. `--rules` adds rows of all rules that fit the data, tuned on
validation as in `accuracy.py`, of which the label says the number of settings.

A study is a list of cells, each of them one fit of one seed. Every cell is written to a file as
soon as it is known, and one that stands there is not computed again, whichever study asks: a study
that was interrupted goes on, with more seeds it computes those alone, and several processes may
share the work, each with rows (`--only`) or a `--first-seed` of its own. A cell is known by all
parameters of its model, so that other defaults are other cells; when the code itself has changed,
`--fresh` computes all again. Figures of MDE are recall@20 and NDCG@20, those of MDSRec at 10, items
seen not ranked (`--not-masked` shows those with items seen ranked as well); training stops by
validation and nothing is chosen by the test part.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import environment
import matplotlib
import models
import numpy as np
import sources
import study_cells
import study_plots
import study_rules
import torch
from accuracy import parse_axis, parse_change
from store import Store
from study_cells import Cell


def _known(cell: Cell, store: Store, seed: int) -> dict[str, float]:
    """What a cell gives, run if it is not known yet."""

    def compute() -> dict[str, float]:
        return {name: float(value) for name, value in cell.run(seed).items()}

    return store.get(cell.key, seed, compute, row=cell.label)


def summarize(cells: Iterable[Cell], store: Store, seeds: range) -> Iterator[dict[str, Any]]:
    """Mean and standard deviation over seeds of one cell after the other."""
    for cell in cells:
        runs = [_known(cell, store, seed) for seed in seeds]
        values = {name: np.array([run[name] for run in runs]) for name in runs[0]}
        yield {
            "series": cell.series,
            "x": cell.x,
            "label": cell.label,
            "runs": runs,
            "mean": {name: float(v.mean()) for name, v in values.items()},
            "std": {
                name: float(v.std(ddof=1)) if len(v) > 1 else 0.0 for name, v in values.items()
            },
        }


def table(rows: Sequence[dict[str, Any]], *, masked: bool = True) -> Iterator[str]:
    """Lines of a table in Markdown, as it stands in the docs."""
    shown = [name for name in rows[0]["mean"] if masked == (study_cells.NOT_MASKED not in name)]
    shown = [name for name in shown if name != study_rules.SETTINGS]
    yield "| " + " | ".join(["", *shown]) + " |"
    yield "|" + "---|" * (1 + len(shown))
    for row in rows:
        cells = [write(row["mean"][name], row["std"][name]) for name in shown]
        label, tried = row["label"], row["mean"].get(study_rules.SETTINGS)
        if tried is not None:
            label += f" ({tried:.0f} settings)"
        yield "| " + " | ".join([label, *cells]) + " |"


def write(mean: float, spread: float) -> str:
    """Four digits below one, as many as tell something above."""
    if not np.isfinite(mean):
        return "-"
    digits = 4 if abs(mean) < 1 else max(0, 2 - int(np.log10(abs(mean))))
    texts = [f"{value:.{digits}f}" for value in (mean, spread)]
    return " ± ".join(text.removeprefix("0") if digits == 4 else text for text in texts)


def command(args: argparse.Namespace) -> str:
    """What to type for this study, folders left out."""
    words = ["python", "benchmarks/studies.py", args.study]
    words += sources.words_of(args)
    if args.model:
        words += ["--model", args.model]
    for name, value in args.set:
        words += ["--set", f"{name}={value}"]
    for name, axis in args.grid:
        words += ["--grid", f"{name}={list(axis.values)}"]
    if args.rules:
        words.append("--rules")
    if args.first_seed:
        words += ["--first-seed", str(args.first_seed)]
    return shlex.join([*words, "--seeds", str(args.seeds), "--threads", str(args.threads)])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=sorted(study_cells.STUDIES))
    sources.add_arguments(parser, default="synthetic")
    parser.add_argument("--model", help="mde, mdsrec, a rule or package.module:Class")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to this number less one")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--set", action="append", default=[], type=parse_change, metavar="NAME=VALUE"
    )
    parser.add_argument(
        "--grid",
        action="append",
        default=[],
        type=parse_axis,
        metavar="NAME=[VALUE, ...]",
        help="parameters of the study of sensitivity, in place of its own",
    )
    parser.add_argument("--rules", action="store_true", help="rows of the tuned rules as well")
    parser.add_argument("--only", help="rows of this name alone, such as 'wo_ica'")
    parser.add_argument(
        "--not-masked", action="store_true", help="show figures with items seen ranked as well"
    )
    parser.add_argument("--fresh", action="store_true", help="compute again what is known")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results/studies")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    source = sources.source_of(args)
    model = args.model or ("mdsrec" if source == "scientific" else "mde")
    changes = dict(args.set)
    study = study_cells.STUDIES[args.study]
    sequential = models.is_sequential(model)
    dataset = sources.load(source, sequential).name if ":" in source else source
    short = models.label(model)
    try:
        if args.grid and args.study != "sensitivity":
            raise ValueError(f"--grid is for the study of sensitivity; got it for {args.study}")
        given = {name: axis.values for name, axis in args.grid}
        cells = study.cells(source, model, changes, **({"values": given} if given else {}))
        path = args.results / f"cells-{dataset}-{short}.jsonl"
        store = Store(path, fresh=args.fresh)
        if args.rules:
            cells += study_rules.cells(args.study, source, model, store)
    except ValueError as error:
        parser.error(str(error))
    name = f"{args.study}-{dataset}-{short}"
    if args.only:
        cells = [cell for cell in cells if cell.series == args.only]
        name += f"-{args.only}".replace(" ", "_")
    if args.not_masked and (not sequential or args.study in ("cold-items", "complexity")):
        parser.error(f"{args.study} of {model} has no figures with items seen ranked as well")
    if not cells:
        parser.error(f"{args.study} has no rows of this kind on {dataset}")
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    print(
        f"{args.study}: {short} on {dataset}, seeds {list(seeds)}, changes {changes}, "
        f"{len(cells)} rows, {args.threads} threads\n"
    )
    rows: list[dict[str, Any]] = []
    for row in summarize(cells, store, seeds):  # each one printed as soon as it is known
        rows.append(row)
        lines = list(table(rows, masked=not args.not_masked))
        print("\n".join(lines if len(rows) == 1 else lines[-1:]), flush=True)
    print(f"\ncommits of the cells: {', '.join(sorted(store.commits))}")
    title = f"{args.study}: {short} on {dataset}"
    picture = args.results / f"{name}.png"
    study_plots.draw(title, rows, study.x_label, picture)
    print(f"written: {picture}")
    about = {"study": args.study, "dataset": dataset, "model": model}
    about |= {"only": args.only, "command": command(args)}
    report = {**about, "changes": changes, "seeds": list(seeds), "rows": rows}
    report["environment"] = environment.describe() | {
        "commits": sorted(store.commits),
        "processors": sorted(store.processors),
    }
    environment.write(report, args.results / f"{name}.json")


if __name__ == "__main__":
    matplotlib.use("Agg")
    main()
