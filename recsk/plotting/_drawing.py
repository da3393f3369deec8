"""Axes, titles, ticks and colours that the displays share."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from recsk._describe import describe
from recsk.plotting._text import as_texts, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "COLORS",
    "GREY",
    "MARK",
    "canvas",
    "inches",
    "keywords",
    "legend_beside",
    "name_ticks",
    "need_matplotlib",
    "rows_of",
    "set_scale",
    "strip",
    "write_cells",
    "write_title",
]

# Okabe and Ito's colours, told apart with any colour vision, without the yellow: too pale on white.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
MARK = "#D55E00"
GREY = "0.75"
_ASLANT: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}


def need_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "recsk.plotting needs matplotlib, which is not installed: pip install matplotlib"
        ) from error


@contextmanager
def canvas(
    ax: Any, rows: Sequence[int], size: tuple[float, float]
) -> Iterator[tuple[Any, np.ndarray]]:
    """Figure and panels, this many in each row; a figure of our own is closed on an error."""
    need_matplotlib()
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpec

    n_panels = sum(rows)
    if ax is not None and not isinstance(ax, Axes):
        axes = np.asarray(ax, dtype=object).ravel()
        if not all(isinstance(one, Axes) for one in axes):
            raise TypeError(f"ax must be matplotlib Axes, or an array of them; got {describe(ax)}")
        if len(axes) != n_panels:
            raise ValueError(f"ax must be one Axes or {n_panels}, one per panel; got {len(axes)}")
        yield axes[0].figure, axes
        return
    if ax is not None and n_panels == 1:
        yield ax.figure, np.array([ax], dtype=object)
        return
    own: Any = None
    figure: Any
    grid: Any
    columns = math.lcm(*rows)  # so that rows of any length fill the width
    if ax is None:
        own = figure = plt.figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(len(rows), columns)
    else:
        figure = ax.figure
        ax.set_axis_off()
        # A layout engine finds the gaps by itself, and would add these to its own.
        gaps = {} if figure.get_layout_engine() else _gaps(ax, len(rows), columns)
        if (whole := ax.get_subplotspec()) is not None:
            grid = whole.subgridspec(len(rows), columns, **gaps)
        else:  # placed by hand
            box = ax.get_position()
            place = {"left": box.x0, "right": box.x1, "bottom": box.y0, "top": box.y1}
            grid = GridSpec(len(rows), columns, figure, **gaps, **place)
    try:
        panels = [
            figure.add_subplot(grid[row, at * columns // n : (at + 1) * columns // n])
            for row, n in enumerate(rows)
            for at in range(n)
        ]
        yield figure, np.array(panels, dtype=object)
    except BaseException:
        if own is not None:
            plt.close(own)
        raise


def _gaps(ax: Axes, n_rows: int, n_columns: int) -> dict[str, float]:
    """Room between panels for ticks, names and titles, as a share of a panel's size."""
    found = {}
    for name, n, length, inches_between in (
        ("wspace", n_columns, inches(ax)[0], 0.85),
        ("hspace", n_rows, inches(ax)[1], 0.75),
    ):
        between = min(inches_between, 0.6 * length / n)  # something must be left to draw on
        found[name] = between / ((length - (n - 1) * between) / n)
    return found


def rows_of(n_panels: int) -> list[int]:
    """Three panels in a row at most, four as two by two."""
    width = 2 if n_panels == 4 else min(n_panels, 3)
    return [width] * (n_panels // width) + [n_panels % width] * (n_panels % width > 0)


def strip(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)


def write_title(ax: Axes, *lines: str) -> None:
    width = max(int(inches(ax)[0] / 0.085), 12)  # characters
    wrapped = [
        part for line in lines for part in textwrap.wrap(line, width, break_long_words=False)
    ]
    ax.set_title(plain("\n".join(wrapped)), fontsize="medium")


def keywords(given: dict[str, Any], artist: type) -> dict[str, Any]:
    """A user's keyword arguments by their long names, so that they take the place of ours."""
    from matplotlib.cbook import normalize_kwargs

    if isinstance(given.get("c"), str):  # colours of single points are something else
        given = {**given, "color": given["c"]}
        del given["c"]
    return normalize_kwargs(given, artist)


def legend_beside(ax: Axes, entries: Sequence[tuple[Any, str]], **kwargs: Any) -> Any:
    """A legend of artists and names that covers no data, if the layout can make room for it."""
    style: dict[str, Any] = {"loc": "best"}
    if ax.figure.get_layout_engine() is not None:
        style = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False}
    handles, names = zip(*entries, strict=True)
    texts = map(plain, as_texts(names))
    return ax.legend(handles, list(texts), **style, fontsize="small", **kwargs)


def set_scale(ax: Axes, values: np.ndarray, which: Literal["x", "y"] = "x") -> None:
    """Take a log axis for values that span decades, and show ticks at the values themselves.

    The values ascend.
    """
    from matplotlib.ticker import NullLocator

    axis = ax.xaxis if which == "x" else ax.yaxis
    rescale = ax.set_xscale if which == "x" else ax.set_yscale
    positive = values[values > 0]
    logarithmic = (
        len(positive) > 1
        and positive[-1] >= 10 * positive[0]
        and values[0] >= 0
        and _lopsided(np.log(positive)) <= _lopsided(positive)
    )
    if logarithmic and values[0] == 0:
        rescale("symlog", linthresh=positive[0])
    elif logarithmic:
        rescale("log")
    if len(values) <= 10:
        names = as_texts(values)
        # Which brings the limits up to date, and with them the places.
        corner = (ax.get_xlim()[0], ax.get_ylim()[0])
        at = "xy".index(which)
        points = [(v, corner[1]) if which == "x" else (corner[0], v) for v in values]
        places = [ax.transData.transform(point)[at] / ax.figure.dpi for point in points]
        turn: dict[str, Any] = {}
        kept = list(range(len(values)))
        if which == "y" or _meet(places, names):
            turn = _ASLANT if which == "x" else {}
            kept = _apart(places, 0.2)
        axis.set_ticks([values[i] for i in kept], [names[i] for i in kept], **turn)
        axis.set_minor_locator(NullLocator())


def _meet(places: Sequence[float], names: Sequence[str]) -> bool:
    """Whether names centred at these places, in inches, come too near to each other."""
    halves = [0.05 * len(name) for name in names]
    starts = [place - half for place, half in zip(places, halves, strict=True)]
    ends = [place + half for place, half in zip(places, halves, strict=True)]
    return any(end > start for end, start in zip(ends, starts[1:], strict=False))


def _apart(places: Sequence[float], gap: float) -> list[int]:
    """Indices of ascending places, the last among them, no two of them nearer than this."""
    kept = [len(places) - 1]
    for i in reversed(range(len(places) - 1)):
        if places[kept[-1]] - places[i] >= gap:
            kept.append(i)
    return kept[::-1]


def _lopsided(values: np.ndarray) -> float:
    """How far the median of ascending values is from the middle of an axis that they span."""
    return float(abs((np.median(values) - values[0]) / (values[-1] - values[0]) - 0.5))


def inches(ax: Axes) -> tuple[float, float]:
    """About how large the Axes are; the layout is not known before the figure is drawn."""
    box = ax.get_window_extent()
    return box.width / ax.figure.dpi, box.height / ax.figure.dpi


def name_ticks(ax: Axes, which: Literal["x", "y"], values: Sequence[Any]) -> None:
    """Values as names of ticks, aslant where they would meet, thinned out where they are many."""
    length = inches(ax)["xy".index(which)]
    step = math.ceil(len(values) * 0.2 / length)  # 0.2 inches for a line of text
    names = as_texts(values)[::step]
    width = 0.09 * max(map(len, names))  # inches of the longest name
    aslant = which == "x" and width > 0.85 * length / len(names)
    ticks = range(0, len(values), step)
    set_ticks = ax.set_xticks if which == "x" else ax.set_yticks
    set_ticks(ticks, [plain(name) for name in names], **(_ASLANT if aslant else {}))


def write_cells(ax: Axes, image: Any, means: np.ndarray) -> None:
    """Write the numbers into a heat map, if they fit."""
    width, height = inches(ax)
    # Digits enough to tell a fiftieth of the range.
    span = np.nanmax(means) - np.nanmin(means) or abs(np.nanmax(means)) or 1
    digits = max(int(np.ceil(-np.log10(span / 50))), 0)
    form = f".{digits}f" if digits <= 6 else ".3g"
    texts = {place: f"{mean:{form}}" for place, mean in np.ndenumerate(means) if np.isfinite(mean)}
    longest = max(map(len, texts.values()))
    # In points; a character is about 0.6 of the size wide, the colour bar takes its part.
    size = min(
        72 * 0.7 * width / means.shape[1] / (0.6 * longest), 72 * 0.6 * height / means.shape[0], 10
    )
    if size < 5:
        return
    for (y, x), text in texts.items():
        opaque = 1.0 if image.get_alpha() is None else np.asarray(image.get_alpha()).min()
        shown = np.array(image.cmap(image.norm(means[y, x]))[:3])
        red, green, blue = opaque * shown + (1 - opaque)  # on white
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        color = "white" if dark else "black"
        ax.text(x, y, text, color=color, fontsize=size, ha="center", va="center")
