"""Write the tables of the pages from the JSON files in results/.

    python benchmarks/pages.py
    python benchmarks/pages.py --check

A table stands in a page between two comments. The first says in TOML what it has:

    <!-- table
    files = {TikTok = "parts-tiktok", ML-100K = "parts-ml100k"}
    show = ["R@20", "N@20", "p"]
    [rows]
    mde = "the defaults"
    wo_mda = "without MDA"
    -->
    ...
    <!-- end -->

and what is between them is written by this script: the table, the command of each file, and a link
to it with its seeds and commits. With `--check` nothing is written, and a page that differs is an
error. docs/contributing/figures.md has all keys; `page_tables.py` makes the tables.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import page_tables
from page_results import Results, command, commits, n_seeds

ROOT = Path(__file__).resolve().parent.parent
START = "<!-- (table|claims)\n"
END = "<!-- end -->"
BLOCK = re.compile(rf"{START}(.*?)\n-->\n(?:(?!{START}).)*?{END}", re.DOTALL)
MAKERS = {"table": page_tables.table, "claims": page_tables.claims}


def pages() -> list[Path]:
    """The pages that may have blocks."""
    docs = ROOT / "docs"
    return [ROOT / "README.md", docs / "index.md", *sorted(docs.glob("benchmarks/*.md"))]


def rewrite(text: str, folder: Path, results: Results) -> str:
    """A page in a folder with all its blocks made anew."""

    def made(match: re.Match[str]) -> str:
        kind, source = match.group(1, 2)
        try:
            block = tomllib.loads(source)
            results.used.clear()
            lines = MAKERS[kind](block, results)
        except (KeyError, tomllib.TOMLDecodeError) as error:
            raise SystemExit(f"{error} in the block\n{source}") from error
        if kind == "table" and block.get("source", True):
            lines += ["", *origin(block, folder, results)]
        return "\n".join([f"<!-- {kind}", source, "-->", "", *lines, "", END])

    if len(re.findall(START, text)) != len(BLOCK.findall(text)):
        raise SystemExit(f"a page in {folder} has a block without {END}")
    return BLOCK.sub(made, text)


def origin(block: Mapping[str, Any], folder: Path, results: Results) -> list[str]:
    """The commands of a table, and its files with what they were measured by."""
    given = block.get("command", [])
    found = [given] if isinstance(given, str) else list(given)
    links = []
    for name, report in results.used.items():
        found += [line] if (line := command(name, report)) and not given else []
        path = Path(os.path.relpath(results.folder / f"{name}.json", folder)).as_posix()
        seeds = {0: "", 1: "one seed, "}.get(n_seeds(report), f"{n_seeds(report)} seeds, ")
        known = commits(report)
        links.append(f"[{name}]({path}): {seeds}commit{'s' * (len(known) > 1)} {', '.join(known)}")
    return [*(f"    {line}" for line in found), *[""] * bool(found), f"{'; '.join(links)}."]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if a page differs")
    args = parser.parse_args(argv)
    results, differ = Results(), []
    for page in pages():
        old = page.read_text(encoding="utf-8")
        new = rewrite(old, page.parent, results)
        if new == old:
            continue
        name = page.relative_to(ROOT).as_posix()
        differ.append(name)
        if args.check:
            lines = old.splitlines(), new.splitlines()
            print(*difflib.unified_diff(*lines, name, n=0, lineterm=""), sep="\n")
        else:
            page.write_text(new, encoding="utf-8")
            print(f"written: {name}")
    if args.check and differ:
        names = ", ".join(differ)
        raise SystemExit(f"{names} differ from results/: run python benchmarks/pages.py")


if __name__ == "__main__":
    main()
