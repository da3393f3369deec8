"""Draw the layout of recsk from its imports: ``python docs/contributing/layout.py``.

It writes the picture ``layout.svg`` and the table of rules in ``layout.md``. A test checks that
both are up to date and that every import keeps the rules.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[1] / "recsk"

# Rows from top to bottom, with the place of each folder in its row, from 0 to 1. A folder may
# import from rows below its own, within RULES.
ROWS = [
    {"baselines": 0.1, "models": 0.3, "testing": 0.5, "plotting": 0.7, "distributed": 0.9},
    {"graphs": 0.12, "contract": 0.48, "model_selection": 0.86},
    {"features": 0.12, "nn": 0.36, "storage": 0.6, "metrics": 0.86},
    {"ranking": 0.12, "datasets": 0.36},
    {"data": 0.48},
]

# What is in each folder, and which folders it may import.
RULES: dict[str, tuple[str, set[str]]] = {
    "testing": (
        "the checks of `check_recommender`, a family of them a file; without pytest",
        {"contract", "model_selection", "metrics", "storage", "data"},
    ),
    "models": (
        "one estimator a folder: parameters, the steps of its fit, its fitted state",
        {"contract", "graphs", "features", "nn", "storage", "ranking", "data"},
    ),
    "baselines": (
        "simple rules to compare with: one estimator a file",
        {"contract", "graphs", "features", "storage", "ranking", "data"},
    ),
    "plotting": (
        "displays of fitted estimators, searches and comparisons",
        {"contract", "model_selection", "metrics", "features", "data"},
    ),
    "distributed": ("searches and lists on a cluster", {"ranking", "data"}),
    "contract": (
        "what every recommender shares: input checks, recommend, the training of networks",
        {"metrics", "features", "nn", "storage", "ranking", "data"},
    ),
    "model_selection": ("splitters and scorers", {"metrics", "data"}),
    "graphs": ("graphs and item relations, NumPy and SciPy only", {"features", "ranking"}),
    "metrics": ("one metric family a file, evaluate and compare", {"data"}),
    "features": ("item features: checks, dense columns, missing rows", {"ranking", "data"}),
    "nn": ("networks, losses, samplers, the training loop: PyTorch without scikit-learn", set()),
    "storage": ("files of fitted recommenders, without pickle", {"data"}),
    "ranking": ("top-k with exclusions, exact and approximate", {"data"}),
    "datasets": ("synthetic data and readers of files", {"data"}),
    "data": ("interactions, labels, frames, sequences, checks of arguments", set()),
}


def imports_of(path: Path) -> set[str]:
    """Return the modules of recsk that a file imports, such as ``recsk.data.checks``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
    return {name for name in found if name == "recsk" or name.startswith("recsk.")}


def folder_imports() -> dict[str, set[str]]:
    """Return which other folders the files of each folder import."""
    edges: dict[str, set[str]] = defaultdict(set)
    for path in sorted(PACKAGE.glob("*/**/*.py")):
        folder = path.relative_to(PACKAGE).parts[0]
        edges[folder] |= {(name.split(".") + [""])[1] for name in imports_of(path)} - {folder}
    return {folder: edges[folder] for folder in RULES}


def reduced(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """Leave out the arrows that follow from two or more others."""

    def reach(folder: str) -> set[str]:
        return set().union(*({other} | reach(other) for other in edges[folder]))

    return {
        folder: {
            target for target in targets if not any(target in reach(o) for o in targets - {target})
        }
        for folder, targets in edges.items()
    }


def draw() -> str:
    """Return the picture as SVG."""
    width, row_height, box_width, box_height = 900, 100, 170, 54
    place: dict[str, tuple[float, float]] = {}
    for r, row in enumerate(ROWS):
        for folder, x in row.items():
            place[folder] = (width * x, 20 + r * row_height)
    height = 20 + len(ROWS) * row_height - row_height + box_height + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" role="img" aria-label="Folders of recsk and their imports">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#5b6470"/></marker>'
        "</defs>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for folder, targets in reduced(folder_imports()).items():
        x1, y1 = place[folder]
        for target in sorted(targets):
            x2, y2 = place[target]
            # From box to box, spread a little by direction so that arrows do not share an end.
            shift = max(min((x2 - x1) * 0.12, 60), -60)
            ends = x1 + shift, y1 + box_height, x2 - shift, y2
            parts.append(
                '<path d="M{0:.0f},{1:.0f} C{0:.0f},{4:.0f} {2:.0f},{5:.0f} {2:.0f},{3:.0f}" '
                'fill="none" stroke="#5b6470" stroke-width="1.4" marker-end="url(#tip)"/>'.format(
                    *ends, ends[1] + 28, ends[3] - 28
                )
            )
    for folder, (x, y) in place.items():
        n_files = len([p for p in PACKAGE.glob(f"{folder}/**/*.py") if p.name != "__init__.py"])
        parts += [
            f'<rect x="{x - box_width / 2:.0f}" y="{y:.0f}" width="{box_width}" '
            f'height="{box_height}" rx="8" fill="#eef3f8" stroke="#2f5d8a"/>',
            f'<text x="{x:.0f}" y="{y + 23:.0f}" text-anchor="middle" font-size="17" '
            f'fill="#12263a">{escape(folder)}/</text>',
            f'<text x="{x:.0f}" y="{y + 42:.0f}" text-anchor="middle" font-size="12" '
            f'fill="#5b6470">{n_files} file{"s" if n_files > 1 else ""}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def table() -> str:
    """Return the rules as a Markdown table."""
    rows = ["| folder | what is in it | may import |", "|---|---|---|"]
    for folder in (folder for row in ROWS for folder in row):
        what, allowed = RULES[folder]
        order = [f"`{f}`" for row in ROWS for f in row if f in allowed]
        rows.append(f"| `{folder}` | {what} | {', '.join(order) or 'nothing of recsk'} |")
    return "\n".join(rows)


def page(text: str) -> str:
    """Return the page with its table of rules up to date."""
    begin, end = "<!-- rules -->", "<!-- end of rules -->"
    head, rest = text.split(begin)
    return "\n".join([head + begin, table(), end + rest.split(end)[1]])


if __name__ == "__main__":
    (HERE / "layout.svg").write_text(draw(), encoding="utf-8")
    markdown = HERE / "layout.md"
    markdown.write_text(page(markdown.read_text(encoding="utf-8")), encoding="utf-8")
