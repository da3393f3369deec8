"""The HTML of a report: text is escaped, styles are inside, there are no scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from recsk.plotting.drawing import COLORS

__all__ = ["Item", "Recommended", "UserSection", "make_page"]


class Item(NamedTuple):
    """An item as a reader sees it."""

    name: str
    picture: str | None  # for an `img` element


class Recommended(NamedTuple):
    """A recommended item, its score, the parts of it, and what of the history counts most."""

    item: Item
    score: float
    parts: list[tuple[str, float]]
    reason: tuple[Item, float] | None


class UserSection(NamedTuple):
    """What the page shows of one user."""

    name: str
    history: list[Item] | None  # None: not looked at
    n_history: int  # of which `history` may be some
    recommended: list[Recommended]


def make_page(heading: str, facts: Sequence[str], sections: Sequence[UserSection]) -> str:
    """Return one page of HTML.

    Parameters
    ----------
    heading : str
    facts : sequence of str
        Lines below it.
    sections : sequence of UserSection

    Returns
    -------
    str
    """
    colors = _choose_colors(
        name for one in sections for item in one.recommended for name, _ in item.parts
    )
    legend = "".join(
        f'<li><span class="key" style="{style}"></span>{escape(name)}</li>'
        for name, style in colors.items()
    )
    body = "".join(_section(one, colors) for one in sections)
    return _PAGE.format(
        title=escape(heading),
        style=_STYLE,
        facts="".join(f"<p>{escape(fact)}</p>" for fact in facts),
        legend=f'<ul class="legend" aria-label="parts of a score">{legend}</ul>' if legend else "",
        body=body or "<p>No users.</p>",
        kind="pictures" if "<img " in body else "words",
    )


def _section(user: UserSection, colors: dict[str, str]) -> str:
    items = user.history or []
    more = user.n_history - len(items)
    history = "".join(f"<li>{_item(item)}</li>" for item in items)
    if history:
        history = f'<ul class="history">{history}</ul>'
    elif user.history is None:
        history = "<p>Not looked at.</p>"
    else:
        history = "<p>None: the most popular items.</p>"
    if more:
        history += f'<p class="more">and {more} more</p>'
    low, high = _range(user.recommended)
    largest = max([abs(one.score) for one in user.recommended], default=1.0)
    digits = int(np.clip(2 - np.floor(np.log10(largest or 1.0)), 0, 6))
    rows = "".join(_recommended(one, colors, low, high, digits) for one in user.recommended)
    recommended = f'<ol class="recommended">{rows}</ol>' if rows else "<p>Nothing to recommend.</p>"
    return (
        f"<section><h2>{escape(user.name)}</h2>"
        f'<div class="columns"><div class="past"><h3>History</h3>{history}</div>'
        f'<div class="next"><h3>Recommendations</h3>{recommended}</div></div></section>'
    )


def _recommended(
    one: Recommended, colors: dict[str, str], low: float, high: float, digits: int
) -> str:
    text = ", ".join(f"{name} {value:+.3g}" for name, value in one.parts)
    ends = {True: 0.0, False: 0.0}  # where the next part above and below zero begins
    bars = ""
    for name, value in one.parts:
        if not value:
            continue
        start = ends[value >= 0]
        ends[value >= 0] += value
        left = 100 * (min(start, start + value) - low) / (high - low)
        width = 100 * abs(value) / (high - low)
        bars += (
            f'<span class="part" style="left:{left:.2f}%;width:{width:.2f}%;{colors[name]}" '
            f'title="{escape(f"{name} {value:+.3g}")}"></span>'
        )
    zero = f'<span class="zero" style="left:{100 * -low / (high - low):.2f}%"></span>'
    because = ""
    if one.reason is not None:
        item, effect = one.reason
        because = (
            f'<p class="because">most because of <b>{escape(item.name)}</b> '
            f'<span class="effect">{effect:+.3g}</span></p>'
        )
    return (
        f'<li><div class="head">{_item(one.item)}'
        f'<span class="score">{one.score:.{digits}f}</span></div>'
        f'<div class="bar" role="img" aria-label="{escape(text)}">{bars}{zero}</div>{because}</li>'
    )


def _item(item: Item) -> str:
    picture = '<span class="picture"></span>'
    if item.picture is not None:
        picture = (
            f'<img class="picture" src="{escape(item.picture)}" alt="" loading="lazy" '
            'referrerpolicy="no-referrer">'
        )
    return f'<span class="item">{picture}<span class="name">{escape(item.name)}</span></span>'


def _range(items: Sequence[Recommended]) -> tuple[float, float]:
    """Return the ends of the bars of a user, so that they compare."""
    low = min([sum(v for _, v in one.parts if v < 0) for one in items], default=0.0)
    high = max([sum(v for _, v in one.parts if v > 0) for one in items], default=0.0)
    return (low, high) if high > low else (0.0, 1.0)


def _choose_colors(names: Iterable[str]) -> dict[str, str]:
    """Return a style for each part: one colour for a modality, paler for what is learned."""
    styles: dict[str, str] = {}
    hues: dict[str, str] = {}
    for name in dict.fromkeys(names):
        hue = hues.setdefault(name.rsplit(": ", 1)[0], COLORS[len(hues) % len(COLORS)])
        faint = ";opacity:.5" if name.endswith(": learned") else ""
        styles[name] = f"background:{hue}{faint}"
    return styles


# Nothing runs in this page, whatever a name holds.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
style-src 'unsafe-inline'; img-src data: http: https:">
<title>{title}</title>
<style>{style}</style>
</head>
<body class="{kind}">
<header><h1>{title}</h1>{facts}{legend}</header>
<main>{body}</main>
</body>
</html>
"""

_STYLE = """
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; color: #1b1b1b; background: #fff;
  font: 16px/1.4 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif }
h1 { font-size: 1.5rem; margin: 0 0 .3rem }
h2 { font-size: 1.2rem; margin: 0 0 .5rem; overflow-wrap: anywhere }
h3 { font-size: .85rem; margin: 0 0 .5rem; color: #5a5a5a; font-weight: 600 }
p { margin: .2rem 0 }
header p { color: #5a5a5a }
ul, ol { list-style: none; margin: 0; padding: 0 }
section { border-top: 1px solid #ddd; padding: 1.2rem 0 }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1rem; margin: .6rem 0 1rem; font-size: .85rem }
.key { display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; border-radius: 2px;
  vertical-align: -1px }
.columns { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 2fr); gap: 2rem }
.history li { margin-bottom: .35rem; font-size: .9rem }
.more { color: #5a5a5a; font-size: .85rem }
.item { display: flex; align-items: center; gap: .5rem; min-width: 0 }
.name { overflow-wrap: anywhere }
.picture { flex: none; width: 2.5rem; height: 2.5rem; object-fit: cover; border-radius: 4px }
span.picture { background: #f1f1f1 }
.words .picture { display: none }
.recommended li { margin-bottom: .9rem }
.head { display: flex; justify-content: space-between; align-items: center; gap: .8rem }
.head .name { font-weight: 600 }
.score { font-variant-numeric: tabular-nums; color: #333 }
.bar { position: relative; height: .8rem; margin: .25rem 0; background: #f1f1f1;
  border-radius: 2px }
.part { position: absolute; top: 0; bottom: 0 }
.zero { position: absolute; top: -2px; bottom: -2px; border-left: 1px solid #333 }
.because { color: #5a5a5a; font-size: .85rem; overflow-wrap: anywhere }
.because b { color: #333; font-weight: 600 }
@media (max-width: 40rem) {
  body { padding: .7rem }
  .columns { grid-template-columns: minmax(0, 1fr); gap: 1rem }
  .history { display: flex; flex-wrap: wrap; gap: .3rem }
  .history li { margin: 0; padding: .15rem .5rem; background: #f1f1f1; border-radius: 1rem;
    max-width: 100% }
  .history .picture { width: 1.6rem; height: 1.6rem; border-radius: 50% }
}
"""
