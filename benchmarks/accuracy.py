"""Quality on real data: a table on stdout and a JSON file.

    python benchmarks/accuracy.py --dataset tiktok --model mde,rules --seeds 3 --compare
    python benchmarks/accuracy.py --dataset ml100k --model mde_tuned,lightgcn_tuned,als,bpr
    python benchmarks/accuracy.py --dataset tiktok --model mde,wo_mda,wo_msa,wo_nlt --seeds 3
    python benchmarks/accuracy.py --dataset scientific --model mdsrec,sasrec,rules --seeds 3
    python benchmarks/accuracy.py --mmrec FOLDER --model mde,paper,lightgcn --seeds 3
    python benchmarks/accuracy.py --npz FILE --model mde,ease,mypackage.rec:MyRecommender \
        --set n_factors=32 --grid mypackage.rec:MyRecommender:alpha=[0.1,1.0]

Every model is trained on the training part, stopped or tuned on the validation part and measured
on the test part. Items of the history are masked and no others. If a model needs the order, or with
`--sequences`, everybody's last item is the test part and the one before it the validation part;
models are then asked by the history up to that item, and measured without the mask as well. All
other runs are on the data set's own split or a random one. `sources.py` says which data there are.

Models are names of `models.py`, rules of `rivals.py` (`rules`: all that fit the data), or the
import path of any estimator. Rules know what the networks know (see `rivals.py`). They are tuned by
recall@20, of sequences NDCG@10, on validation at the first seed; a search whose best is at an edge
of the grid goes on (see `tuning.py`), and the table says how many settings were tried.
`--set name=value` changes a parameter of all models but the rules, `--set model:name=value` that of
one model; `--grid name=[...]` in the same way searches a parameter. `--validation-only` leaves the
test part alone, for choosing.

A run that is known (the same class, parameters, data and seed) is not run again, unless `--fresh`.
Values of each user go to the folder `--users`, and `--compare` sets every model beside the rule
that is best on validation: paired differences by user, means over seeds.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import by_user
import environment
import models
import numpy as np
import rivals
import sources
import torch
from rows import Row, Table, chosen_by
from store import Store
from tuning import Axis

CUTOFFS = (5, 10, 20)
SHOWN = ("recall@5", "recall@10", "recall@20", "ndcg@5", "ndcg@10", "ndcg@20")
HERE = Path(__file__).parent
Runs = dict[str, list[dict[str, Any]]]
Change = tuple[str, Any]


def summary(runs: list[dict], part: str) -> dict[str, tuple[float, float]]:
    values = {name: [run[part][name] for run in runs] for name in runs[0][part]}
    return {
        name: (float(np.mean(v)), float(np.std(v, ddof=1)) if len(v) > 1 else 0.0)
        for name, v in values.items()
    }


def print_table(results: Runs, part: str) -> None:
    print(f"\n{part}: mean +- standard deviation over seeds")
    head = "   epoch  s/epoch     s/fit  settings"
    print(f"{'model':<21}" + "".join(f"{name:>17}" for name in SHOWN) + head)
    for model, runs in results.items():
        found = summary(runs, part)
        cells = "".join(f"{f'{m:.4f} +- {s:.4f}':>17}" for m, s in (found[name] for name in SHOWN))
        epochs, of_epoch, of_fit = (
            np.mean([run.get(name, np.nan) for run in runs])
            for name in ("best_iter", "epoch_seconds", "fit_seconds")
        )
        end = f"   {epochs:5.0f}  {of_epoch:7.2f}  {of_fit:8.2f}  {runs[0]['n_settings']:8}"
        print(f"{models.label(model):<21}{cells}{end}", flush=True)


def best_rule(results: Runs, metric: str) -> str | None:
    """The rule that is best on validation."""
    rules = [name for name in results if name in rivals.RULES]
    return max(rules, key=lambda name: summary(results[name], "valid")[metric][0], default=None)


def compare(results: Runs, table: Table, part: str, against: str = "") -> list[dict[str, Any]]:
    """Every model beside one of them, by the values of each user.

    Without a name it is the rule that is best on validation.
    """
    rule = against or best_rule(results, chosen_by(table.data))
    if rule not in results or table.users is None:
        raise SystemExit("--compare needs a rule, or the model that it names, among --model")

    def mean(name: str, metric: str) -> np.ndarray:
        found = [by_user.load(table.users / run["by_user"], part) for run in results[name]]
        return np.mean([values[metric] for values in found], axis=0)

    pairs = [(metric, name) for metric in table.kept for name in results if name != rule]
    values = [mean(name, metric) for metric, name in pairs]
    tests = by_user.compare(values, [mean(rule, metric) for metric, _ in pairs]) if pairs else []
    rows = []
    which = "" if against else ", the rule that is best on validation"
    print(f"\n{part}: paired differences from {rule}{which}")
    head = f"{'mean':>8}{'difference':>12}{'95 %':>20}{'p':>9}{'p (Holm)':>10}"
    print(f"{'model':<21}{'metric':<12}{head}")
    for (metric, name), own, test in zip(pairs, values, tests, strict=True):
        row = {"model": name, "rule": rule, "part": part, "metric": metric}
        row |= {"mean": float(own.mean()), **test}
        rows.append(row)
        interval = f"{row['low']:+.4f} to {row['high']:+.4f}"
        print(
            f"{models.label(name):<21}{metric:<12}{row['mean']:>8.4f}{row['difference']:>+12.4f}"
            f"{interval:>20}{row['p']:>9.4f}{row['p_holm']:>10.4f}",
            flush=True,
        )
    return rows


def parse_change(text: str) -> Change:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not name=value")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def parse_axis(text: str) -> tuple[str, Axis]:
    name, values = parse_change(text)
    if not isinstance(values, list | tuple) or not values:
        raise argparse.ArgumentTypeError(f"{text!r} is not name=[value, ...]")
    axis = Axis(tuple(values))
    if axis.is_numeric and axis.numbers:
        axis = Axis(axis.values, limits=(min(0, *axis.numbers), float("inf")))
    return name, axis


def for_model(name: str, given: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """What options change in a model: those of its own, and those of all but the rules."""
    general = {n: value for n, value in given if ":" not in n and name not in rivals.RULES}
    own = {n.rpartition(":")[2]: value for n, value in given if n.rpartition(":")[0] == name}
    return general | own


def expand(text: str, source: str, in_order: bool) -> tuple[list[str], bool]:
    """Names of models with `rules` written out, and whether the data are sequences."""
    names = text.split(",")
    sequential = in_order or any(models.is_sequential(name) for name in names if name != "rules")
    if "rules" in names:
        features = bool(sources.load(source, sequential).features)
        at = names.index("rules")
        rules = rivals.rules_for(sequential=sequential, features=features)
        names[at : at + 1] = [name for name in rules if name not in names]
    return names, sequential


def add_changes(
    parser: argparse.ArgumentParser,
    option: str = "--set",
    kind: Callable[[str], tuple[str, Any]] = parse_change,
) -> None:
    """Add an option that names parameters of all models or of one; it may be given again."""
    parser.add_argument(
        option, action="append", default=[], type=kind, metavar="[MODEL:]NAME=VALUE"
    )


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sources.add_arguments(parser)
    parser.add_argument(
        "--model",
        default="mde,rules",
        help=f"comma-separated: package.module:Class, rules, {', '.join(models.known())}",
    )
    parser.add_argument("--sequences", action="store_true", help="leave-last-out for any model")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to this number less one")
    parser.add_argument("--first-seed", type=int, default=0)
    add_changes(parser)
    add_changes(parser, "--grid", parse_axis)
    parser.add_argument("--validation-only", action="store_true")
    parser.add_argument(
        "--compare",
        nargs="?",
        const="",
        metavar="MODEL",
        help="paired tests beside a model, by default the rule that is best on validation",
    )
    parser.add_argument("--users", type=Path, help="default: benchmarks/output/users")
    parser.add_argument("--fresh", action="store_true", help="run again what is known")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/accuracy-....json")
    parser.add_argument(
        "--store", type=Path, help="known runs; default: benchmarks/results/runs-....jsonl"
    )
    return parser.parse_args(argv)


def check(names: Sequence[str], args: argparse.Namespace) -> None:
    """Refuse options of models that are not there, and of parameters that no model has."""
    for option, given in (("--set", args.set), ("--grid", args.grid)):
        for change, _ in given:
            owner = change.rpartition(":")[0]
            if owner and owner not in names:
                raise SystemExit(f"{option} {change}: {owner} is not among --model {args.model}")
            if not owner and all(name in rivals.RULES for name in names):
                raise SystemExit(
                    f"{option} {change} is not for rules; write {option} {names[0]}:{change}=..."
                )


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    torch.set_num_threads(args.threads)
    source = sources.source_of(args)
    names, sequential = expand(args.model, source, args.sequences)
    check(names, args)
    data = sources.load(source, sequential)
    if not data.features and (lacking := [n for n in names if _is_of_features(n)]):
        raise SystemExit(f"{lacking[0]} needs features, and {data.name} has none")
    parts = ["valid", "test"]
    if sequential:
        parts = ["valid", "valid, not masked", "test", "test, not masked"]
    if args.validation_only:
        parts = [part for part in parts if part.startswith("valid")]
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    print(
        f"{data.name} ({data.split}): {data.valid.shape[0]} users, {data.valid.shape[1]} items, "
        f"{' / '.join(str(data.sizes[part]) for part in ('train', 'valid', 'test'))} interactions, "
        f"{args.threads} threads, changes {dict(args.set)}"
    )
    kind = "-sequences" if sequential else ""
    results_folder = HERE / "results"
    store = Store(args.store or results_folder / f"runs-{data.name}{kind}.jsonl", fresh=args.fresh)
    table = Table(
        data,
        store,
        parts=parts,
        cutoffs=CUTOFFS,
        users=args.users or HERE / "output" / "users",
        need_users=args.compare is not None or args.users is not None,
    )
    results: Runs = {}
    searches: dict[str, Any] = {}
    for name in names:
        row = Row(name, for_model(name, args.set), for_model(name, args.grid))
        runs, found = table.runs(row, seeds)
        n_settings = found.n_settings if found else 1
        results[name] = [{**run, "n_settings": n_settings} for run in runs]
        if found:
            end = f"; at the end of its axis: {', '.join(found.at_limit)}" if found.at_limit else ""
            print(f"{name}: best of {n_settings} settings ({found.value:.4f}): {found.params}{end}")
            searches[name] = vars(found)
        for part in parts:
            print_table({name: results[name]}, part)
    for part in parts:
        print_table(results, part)
    report = {
        "dataset": data.name,
        "split": data.split,
        "changes": dict(args.set),
        "chosen_by": f"valid {chosen_by(data)}",
        "environment": environment.describe()
        | {"commits": sorted(store.commits), "processors": sorted(store.processors)},
        "runs": results,
        "searches": searches,
    }
    if args.compare is not None:
        part = "valid" if args.validation_only else "test"
        report["comparison"] = compare(results, table, part, args.compare)
    path = args.json or results_folder / f"accuracy-{data.name}{kind}.json"
    print()
    environment.write(report, path)


def _is_of_features(name: str) -> bool:
    return name in rivals.RULES and rivals.RULES[name].features


if __name__ == "__main__":
    main()
