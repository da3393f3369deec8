"""Blocks of the pages as Markdown: a table of values, and a table of claims.

A table has rows by key and columns by template. `$0` in a template is the key of the row, `$1` and
so on what stands behind its label; `{path}` is a value of the results below the path `at`,
`{path|format}` in a format, and `{path?}` may be missing. `page_results.py` says what a path is.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from page_results import Results, n_seeds

__all__ = ["claims", "table"]

Block = Mapping[str, Any]
SIGNIFICANT = 0.05
MINUS = "\N{MINUS SIGN}"
METRICS = {"R": "recall", "N": "ndcg"}
SHOWN = {
    "p": "{p/ndcg?|p}",
    "p of recall": "{p/recall?|p}",
    "95 %": "{low/ndcg?|+.4f} to {high/ndcg?|+.4f}",
    "95 % of recall": "{low/recall?|+.4f} to {high/recall?|+.4f}",
    "best epoch": "{best_iter?|.0f}",
}


def table(block: Block, results: Results) -> list[str]:
    """Rows of values."""
    results.merged = block.get("merge", {})
    prefix = f"{{{block['at']}/" if "at" in block else "{"
    given = block.get("columns", [])
    columns = [*_of_files(block), *((head, path.replace("{", prefix)) for head, path in given)]
    head = [block.get("head", "model"), *(header for header, _ in columns)]
    rows = []
    for key, label, others in _rows(block):
        cells = [_fill(template, [key, *others], results) for _, template in columns]
        if any(cells):
            rows.append([label, *cells])
        elif "groups" not in block:
            raise KeyError(key)
    return _markdown([head, *rows, *block.get("literal", [])])


def claims(block: Block, results: Results) -> list[str]:
    """Claims that one model is better than another, each with a verdict by one rule.

    "file: a > b" is a paired test in the file, "file/a > file/b" no test. Several have one verdict.
    Yes: p with Holm's correction under .05 and the sign of the claim. No: the same with the other
    sign. Not shown: all else.
    """
    rows = [
        [claim, *(_verdict([cell] if isinstance(cell, str) else cell, results) for cell in cells)]
        for claim, cells in block["rows"].items()
    ]
    return _markdown([["claim", *block["columns"]], *rows])


def _verdict(statements: Sequence[str], results: Results) -> str:
    """A cell: of words as they are, of statements what holds, by how much, and p."""
    if not any(" > " in statement for statement in statements):
        return "; ".join(statements)
    results.used.clear()
    found = [_tested(statement, results) for statement in statements]
    effects = ", ".join(_percent(gain) for gain, _ in found)
    few = ", one seed" * any(n_seeds(report) == 1 for report in results.used.values())
    values = [p for _, p in found if p is not None]
    if len(values) < len(found):
        return f"{effects} (not paired{few})"
    if max(values) >= SIGNIFICANT or len({gain > 0 for gain, _ in found}) > 1:
        verdict = "not shown"
    else:
        verdict = "**yes**" if found[0][0] > 0 else "no"
    return f"{verdict}: {effects} (p {', '.join(map(p_value, values))}{few})"


def _tested(statement: str, results: Results) -> tuple[float, float | None]:
    """The gain of the first model over the second in NDCG on test, in per cent, and p."""
    file, colon, pair = statement.rpartition(": ")
    names = pair.split(" > ")
    paths = [f"{file}/{name}" if colon else name for name in names]
    report = results[paths[0].partition("/")[0]]
    metric = "ndcg@10" if "last" in report["split"] else "ndcg@20"
    first, second = (results.at(f"{path}/test/{metric}") for path in paths)
    gain = 100 * (first / second - 1)
    if not colon:
        return gain, None
    (other,) = [name for name in names if name != report["comparison"][0]["rule"]]
    return gain, results.at(f"{file}/{other}/p/ndcg")


def _percent(gain: float) -> str:
    size = f"{abs(gain):.0f}" if abs(gain) >= 0.95 else _strip(f"{abs(gain):.1f}")
    return f"{'+' if gain > 0 else MINUS}{size} %" if size != ".0" else "0 %"


def p_value(p: float) -> str:
    """One digit, two where .05 is near."""
    return _strip(f"{p:.1f}" if p > 0.95 else f"{p:.2g}" if 0.035 < p < 0.065 else f"{p:.1g}")


def _of_files(block: Block) -> Iterator[tuple[str, str]]:
    """Columns of files of `accuracy.py`, each with what is to be shown of it."""
    for label, file in block.get("files", {}).items():
        for word in block["show"]:
            header = f"{label} {word}" if label and word == block["show"][0] else word
            template = SHOWN.get(word) or _of_metric(word)
            yield header, template.replace("{", f"{{{file}/$0/")


def _of_metric(word: str) -> str:
    """The template of "R@20", "valid N@20" and the like."""
    part, _, metric = word.rpartition(" ")
    letter, _, k = metric.partition("@")
    return f"{{{part or 'test'}/{METRICS[letter]}@{k}?}}"


def _rows(block: Block) -> Iterator[tuple[str, str, list[str]]]:
    """Key, label and what stands behind it; of groups of rows one row for each pair."""
    for group, name in block.get("groups", {"": ""}).items():
        for key, given in block["rows"].items():
            label, *others = [given] if isinstance(given, str) else given
            if group:
                yield f"{group}/{key}", f"{name} | {label}", others
            else:
                yield key, label, others


def _fill(template: str, words: Sequence[str], results: Results) -> str:
    """A cell; empty if it has values that may be missing, and are."""
    for i, word in reversed(list(enumerate(words))):
        template = template.replace(f"${i}", word)
    missing = []

    def value(match: re.Match[str]) -> str:
        path, optional, form = match.groups()
        try:
            return _format(results.at(path), form)
        except KeyError:
            if not optional:
                raise
            missing.append(path)
            return ""

    text = re.sub(r"\{([^{}|?]+)(\??)(?:\|([^{}]*))?\}", value, template)
    return "" if missing else text


def _format(value: Any, form: str | None) -> str:
    if isinstance(value, list):
        value = statistics.median(value)
    if isinstance(value, str):
        return value
    if form == "p":
        return p_value(value)
    if form == "s":  # seconds and the like: two digits
        return _strip(f"{value:.2g}" if abs(value) < 9.5 else f"{value:,.0f}")
    if form == "GiB":
        return _strip(f"{value / 1024:.1f}")
    return _strip(f"{value:{form or ('.4f' if isinstance(value, float) else ',')}}")


def _strip(number: str) -> str:
    return re.sub(r"^([+-]?)0\.", r"\1.", number)


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return [lines[0], "|" + "---|" * (lines[0].count("|") - 1), *lines[1:]]
