"""Write docs/benchmarks/studies.md, and its pictures, from the results of the studies.

    python benchmarks/studies_page.py

What the tables show is said in the pages beside it, by hand; this one holds every table with the
command that printed it, the commits of its cells and the machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import study_cells
from studies import table

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "studies"
PAGE = HERE.parent / "docs" / "benchmarks" / "studies.md"
MODELS = {"mde": "MDE", "mdsrec": "MDSRec"}
DATASETS = {
    "tiktok": "TikTok",
    "ml100k": "ML-100K",
    "scientific": "scientific",
    "sports": "Sports",
    "citeulike": "CiteULike",
    "ml1m": "ML-1M",
    "synthetic": "synthetic data",
}
# What the short names of the rows and of the modalities stand for.
NAMES = {
    "mde": """\
`mde` are our defaults and `paper` is `MDERecommender.paper()`; `wo_mda`, `wo_msa` and `wo_nlt` are
without one of the three parts (`alpha=0`, `beta=0`, `tradeoff="uniform"`), `ids` and `none`
without features. Of the trade-off, `learned` is `tradeoff="preference"`, `independent` the paper's
variant B, `uniform` the same weight for every node; `fixed, 0.25` gives everybody a preference of
.25 for the first modality (variant A). `content_knn` ranks by the cosine between an item's features
and the mean of those of the history.
""",
    "mdsrec": """\
`mdsrec` are our defaults and `paper` is `MDSRecRecommender.paper()`; `wo_mrgc` has no relations
(`relation=None`), `wo_ica` no interests (`n_interests=0`), `mean_fusion`, `softmax_fusion` and
`gumbel_fusion` have another `fusion` (where `softmax_fusion` is a row, the default was "gumbel"),
`none` has no features. `content_knn` ranks by the cosine between an item's features and the mean of
those of the history.
""",
}
LEGENDS = {
    "tiktok": "Modalities: v are pictures (visual), a is sound (acoustic).",
    "ml100k": "Modalities: v are posters (visual), t are texts.",
    "scientific": "Modalities: t are titles, d are descriptions.",
    "sports": "Modalities: t are titles, d are brands and categories.",
    "citeulike": "Modalities: t are tags, d are citations.",
    "ml1m": "Modalities: v are posters (visual), t are texts.",
}
HEAD = """\
# Studies: tables and pictures

Made by `python benchmarks/studies_page.py` from
[the results](../../benchmarks/results/studies/) that the commands below leave. What they say of the
two papers is in [MDE](mde.md) and [MDSRec](mdsrec.md), how they were made in
[the protocol](protocol.md#the-protocol). Items seen are not ranked; `--not-masked` prints the
figures of MDSRec with them ranked.
"""


def page(reports: Sequence[dict[str, Any]]) -> str:
    """The page in Markdown: a chapter for each model and data set, its studies in order."""
    text = [HEAD]
    text += [f"\n{NAMES[m]}" for m in MODELS if any(r["model"] == m for r in reports)]
    for model, dataset in ((m, d) for m in MODELS for d in DATASETS):
        own = [r for r in reports if (r["model"], r["dataset"]) == (model, dataset)]
        if own:
            text.append(f"\n## {MODELS[model]} on {DATASETS[dataset]}\n")
            if dataset in LEGENDS:
                text.append(f"\n{LEGENDS[dataset]}\n")
        text += map(section, sorted(own, key=lambda report: order(report["study"])))
    return "".join(text)


def order(study: str) -> int:
    """Where a study stands on the page."""
    return list(study_cells.STUDIES).index(study)


def picture(report: dict[str, Any]) -> str:
    """The file that `studies.py` draws."""
    return f"{report['study']}-{report['dataset']}-{report['model']}.png"


def section(report: dict[str, Any]) -> str:
    """One study: command, table, picture."""
    title = f"{report['study']}: {MODELS[report['model']]} on {DATASETS[report['dataset']]}"
    where = report["environment"]
    commits = ("commits " if len(where["commits"]) > 1 else "commit ") + ", ".join(where["commits"])
    processors = " and ".join(where["processors"])
    parts = [
        f"\n### {report['study'].capitalize().replace('-', ' ')}\n",
        f"    {report['command']}",
        f"Seeds {report['seeds'][0]} to {report['seeds'][-1]}; {commits}; PyTorch "
        f"{where['torch']} on {processors}, threads: {where['threads']}.\n",
        "\n".join(table(report["rows"])).replace(" ± ", "\u00a0±\u00a0"),
        f"![{title}, as a picture](figures/{picture(report)})",
    ]
    return "\n".join(part if part.endswith("\n") else f"{part}\n" for part in parts)


def load(folder: Path) -> list[dict[str, Any]]:
    """Whole studies of several seeds on these data; trials and parts (`--only`) are left out."""
    reports = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return [
        report
        for report in reports
        if report["only"] is None and report["dataset"] in DATASETS and len(report["seeds"]) > 1
    ]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    args = parser.parse_args(argv)
    reports = load(args.results)
    args.page.write_text(page(reports))
    figures = args.page.parent / "figures"
    figures.mkdir(exist_ok=True)
    for report in reports:
        drawn = args.results / picture(report)
        if drawn.exists():  # git keeps the one in the docs alone
            shutil.copy(drawn, figures)
    print(f"written: {args.page}, {len(reports)} studies")


if __name__ == "__main__":
    main()
