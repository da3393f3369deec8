"""Write docs/benchmarks/rules.md from the results of `accuracy.py --compare`.

    python benchmarks/rules_page.py

One table for each data set: networks and simple rules on the test part, what a fit takes, how many
settings were tried on validation, and the paired test beside the rule that is best on validation.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from models import label
from page_results import command, default_name

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks" / "rules.md"
TITLES = {
    "tiktok": "TikTok",
    "sports": "Sports",
    "citeulike": "CiteULike",
    "ml1m": "ML-1M",
    "ml100k": "ML-100K",
    "baby": "Baby",
    "scientific": "Scientific",
}
HEAD = """\
# Beside simple rules

Made by `python benchmarks/rules_page.py` from
[the results](../../benchmarks/results/) that the commands below leave.

Each table has networks and the [simple rules](../guide/baselines.md) on one data set. Every rule
has the setting that is best on validation; "settings" counts what was tried, and the search goes
on past the end of an axis until the best is inside, within limits that each table names where they
were reached ([the protocol](protocol.md#the-protocol)). Rules know what the networks know: the
training part. Seconds are those of one fit on one thread of a shared machine. "Difference" is that
from the rule that is best on validation, with a 95 % interval by bootstrap over users; p is that
of a paired sign-flip test, with Holm's correction over all rows of the comparison. **Bold**
differences are significant at 5 %.
"""


def load(folder: Path) -> list[dict[str, Any]]:
    """Reports with a comparison on the test part, random splits first."""
    reports = [json.loads(path.read_text()) for path in sorted(folder.glob("accuracy-*.json"))]
    reports = [r for r in reports if r.get("comparison") and r["dataset"] in TITLES]
    return sorted(reports, key=lambda r: (is_sequential(r), list(TITLES).index(r["dataset"])))


def is_sequential(report: dict[str, Any]) -> bool:
    """Whether the data are sequences."""
    return "last" in report["split"]


def table(report: dict[str, Any]) -> list[str]:
    """The lines of a table in Markdown."""
    k = 10 if is_sequential(report) else 20
    metrics = f"recall@{k}", f"ndcg@{k}"
    compared = {(row["model"], row["metric"]): row for row in report["comparison"]}
    rule = report["comparison"][0]["rule"]
    lines = [
        f"| model | R@{k} | N@{k} | difference in N@{k} | p | settings | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    found = {
        name: [np.mean([run["test"][m] for run in runs]) for m in metrics]
        for name, runs in report["runs"].items()
    }
    for name, runs in sorted(report["runs"].items(), key=lambda item: -found[item[0]][1]):
        cells = [f"{value:.4f}".lstrip("0") for value in found[name]]
        if name == rule:
            cells += ["(the best rule)", ""]
        else:
            row = compared[name, metrics[1]]
            difference = f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
            if row["p_holm"] < 0.05:
                difference = f"**{difference}**"
            cells += [difference, f"{row['p_holm']:.3g}"]
        seconds = np.median([run["fit_seconds"] for run in runs])
        cells += [
            str(runs[0]["n_settings"]),
            f"{seconds:.2g}" if seconds < 9.5 else f"{seconds:.0f}",
        ]
        lines.append(f"| {label(name)} | " + " | ".join(cells) + " |")
    return lines


def ends(report: dict[str, Any]) -> str:
    """What the search could not bring inside."""
    found = {name: search["at_limit"] for name, search in report.get("searches", {}).items()}
    named = [f"`{axis}` of {label(name)}" for name, axes in found.items() for axis in axes]
    return f" Best at the end of an axis: {', '.join(named)}." if named else ""


def page(reports: Sequence[dict[str, Any]]) -> str:
    """The page in Markdown."""
    parts = [HEAD]
    for report in reports:
        where = report["environment"]
        kind = " as sequences" if is_sequential(report) else ""
        parts += [
            f"\n## {TITLES[report['dataset']]}{kind}\n\n",
            f"    {command(default_name(report), report)}\n\n",
            f"Commits {', '.join(where['commits'])}; {' and '.join(where['processors'])}.",
            f"{ends(report)}\n\n",
            "\n".join(table(report)) + "\n",
        ]
    return "".join(parts)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--page", type=Path, default=PAGE)
    args = parser.parse_args(argv)
    args.page.write_text(page(load(args.results)))
    print(f"written: {args.page}")


if __name__ == "__main__":
    main()
