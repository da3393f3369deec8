"""Axes, titles, ticks and colours that the displays share."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from recsk.data.checks import describe
from recsk.plotting.text import escape_dollars, format_values

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "add_legend",
    "check_matplotlib",
    "choose_scale",
    "hide_spines",
    "label_ticks",
    "make_panels",
    "normalize_keywords",
    "panels_per_row",
    "size_in_inches",
    "write_cell_values",
    "write_title",
]

# The colours of Okabe and Ito, which differ for every type of colour vision. Their yellow is left
# out because it is too pale on white.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
MARK_COLOR = "#D55E00"
GREY = "0.75"
_SLANTED: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}


def check_matplotlib() -> None:
    """Raise an ImportError with the command to install matplotlib, if it is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "recsk.plotting needs matplotlib, which is not installed: pip install matplotlib"
        ) from error


@contextmanager
def make_panels(
    ax: Any, rows: Sequence[int], size: tuple[float, float]
) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield a figure and its panels; a new figure is closed if drawing raises an error.

    Parameters
    ----------
    ax : Axes, array of Axes or None
        One for all panels, which share its area, or one for each panel. None makes a new figure.
    rows : sequence of int
        Number of panels in each row.
    size : tuple of float
        Width and height of a new figure in inches.
    """
    check_matplotlib()
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpec

    n_panels = sum(rows)
    if ax is not None and not isinstance(ax, Axes):
        axes = np.asarray(ax, dtype=object).ravel()
        if not all(isinstance(one, Axes) for one in axes):
            raise TypeError(f"ax must be matplotlib Axes, or an array of them; got {describe(ax)}")
        if len(axes) != n_panels:
            raise ValueError(
                f"ax must be one Axes or {n_panels}, one for each panel; got {len(axes)}"
            )
        yield axes[0].figure, axes
        return
    if ax is not None and n_panels == 1:
        yield ax.figure, np.array([ax], dtype=object)
        return
    new_figure: Any = None
    figure: Any
    grid: Any
    columns = math.lcm(*rows)  # so that rows of any length fill the width
    if ax is None:
        new_figure = figure = plt.figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(len(rows), columns)
    else:
        figure = ax.figure
        ax.set_axis_off()
        # A layout engine finds the gaps itself, and would add these to its own.
        gaps = {} if figure.get_layout_engine() else _gaps(ax, len(rows), columns)
        if (spec := ax.get_subplotspec()) is not None:
            grid = spec.subgridspec(len(rows), columns, **gaps)
        else:  # placed by hand
            box = ax.get_position()
            edges = {"left": box.x0, "right": box.x1, "bottom": box.y0, "top": box.y1}
            grid = GridSpec(len(rows), columns, figure, **gaps, **edges)
    try:
        panels = [
            figure.add_subplot(grid[row, at * columns // n : (at + 1) * columns // n])
            for row, n in enumerate(rows)
            for at in range(n)
        ]
        yield figure, np.array(panels, dtype=object)
    except BaseException:
        if new_figure is not None:
            plt.close(new_figure)
        raise


def _gaps(ax: Axes, n_rows: int, n_columns: int) -> dict[str, float]:
    """Compute the gaps for ticks, names and titles, as a share of a panel's size."""
    gaps = {}
    for name, n, length, inches_between in (
        ("wspace", n_columns, size_in_inches(ax)[0], 0.85),
        ("hspace", n_rows, size_in_inches(ax)[1], 0.75),
    ):
        between = min(inches_between, 0.6 * length / n)  # leaves some space for the panels
        gaps[name] = between / ((length - (n - 1) * between) / n)
    return gaps


def panels_per_row(n_panels: int) -> list[int]:
    """Return the number of panels in each row: at most three, and four as two by two."""
    width = 2 if n_panels == 4 else min(n_panels, 3)
    return [width] * (n_panels // width) + [n_panels % width] * (n_panels % width > 0)


def hide_spines(ax: Axes) -> None:
    """Hide the top and the right spine."""
    ax.spines[["top", "right"]].set_visible(False)


def write_title(ax: Axes, *lines: str) -> None:
    """Write a title of several lines, each wrapped to the width of the Axes."""
    width = max(int(size_in_inches(ax)[0] / 0.085), 12)  # characters
    wrapped = [
        part for line in lines for part in textwrap.wrap(line, width, break_long_words=False)
    ]
    ax.set_title(escape_dollars("\n".join(wrapped)), fontsize="medium")


def normalize_keywords(given: dict[str, Any], artist: type) -> dict[str, Any]:
    """Replace short names of keyword arguments by long ones, so that they override defaults."""
    from matplotlib.cbook import normalize_kwargs

    if isinstance(given.get("c"), str):  # an array would be the colours of single points
        given = {**given, "color": given["c"]}
        del given["c"]
    return normalize_kwargs(given, artist)


def add_legend(ax: Axes, entries: Sequence[tuple[Any, str]], **kwargs: Any) -> Any:
    """Add a legend of artists and names, beside the Axes if the layout can make space for it."""
    style: dict[str, Any] = {"loc": "best"}
    if ax.figure.get_layout_engine() is not None:
        style = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False}
    handles, names = zip(*entries, strict=True)
    texts = map(escape_dollars, format_values(names))
    return ax.legend(handles, list(texts), **style, fontsize="small", **kwargs)


def choose_scale(ax: Axes, values: np.ndarray, which: Literal["x", "y"] = "x") -> None:
    """Use a log axis for values that span decades, and place ticks at the values.

    `values` must ascend.
    """
    from matplotlib.ticker import NullLocator

    axis = ax.xaxis if which == "x" else ax.yaxis
    rescale = ax.set_xscale if which == "x" else ax.set_yscale
    positive = values[values > 0]
    logarithmic = (
        len(positive) > 1
        and positive[-1] >= 10 * positive[0]
        and values[0] >= 0
        and _asymmetry(np.log(positive)) <= _asymmetry(positive)
    )
    if logarithmic and values[0] == 0:
        rescale("symlog", linthresh=positive[0])
    elif logarithmic:
        rescale("log")
    if len(values) <= 10:
        names = format_values(values)
        # This also updates the limits, on which the positions depend.
        corner = (ax.get_xlim()[0], ax.get_ylim()[0])
        at = "xy".index(which)
        points = [(v, corner[1]) if which == "x" else (corner[0], v) for v in values]
        positions = [ax.transData.transform(point)[at] / ax.figure.dpi for point in points]
        rotation: dict[str, Any] = {}
        kept = list(range(len(values)))
        if which == "y" or _overlap(positions, names):
            rotation = _SLANTED if which == "x" else {}
            kept = _select_spaced(positions, 0.2)
        axis.set_ticks([values[i] for i in kept], [names[i] for i in kept], **rotation)
        axis.set_minor_locator(NullLocator())


def _overlap(positions: Sequence[float], names: Sequence[str]) -> bool:
    """Whether names that are centred at these positions in inches are too close to each other."""
    halves = [0.05 * len(name) for name in names]
    starts = [position - half for position, half in zip(positions, halves, strict=True)]
    ends = [position + half for position, half in zip(positions, halves, strict=True)]
    return any(end > start for end, start in zip(ends, starts[1:], strict=False))


def _select_spaced(positions: Sequence[float], gap: float) -> list[int]:
    """Select indices of ascending positions with at least this gap, including the last one."""
    kept = [len(positions) - 1]
    for i in reversed(range(len(positions) - 1)):
        if positions[kept[-1]] - positions[i] >= gap:
            kept.append(i)
    return kept[::-1]


def _asymmetry(values: np.ndarray) -> float:
    """Distance of the median of ascending values from the middle of their range, as a share."""
    return float(abs((np.median(values) - values[0]) / (values[-1] - values[0]) - 0.5))


def size_in_inches(ax: Axes) -> tuple[float, float]:
    """Return the approximate width and height; the layout is final only after drawing."""
    box = ax.get_window_extent()
    return box.width / ax.figure.dpi, box.height / ax.figure.dpi


def label_ticks(ax: Axes, which: Literal["x", "y"], values: Sequence[Any]) -> None:
    """Name ticks by values, slanted if the names would overlap, and fewer if there are many."""
    length = size_in_inches(ax)["xy".index(which)]
    step = math.ceil(len(values) * 0.2 / length)  # 0.2 inches for a line of text
    names = format_values(values)[::step]
    width = 0.09 * max(map(len, names))  # inches of the longest name
    is_slanted = which == "x" and width > 0.85 * length / len(names)
    ticks = range(0, len(values), step)
    set_ticks = ax.set_xticks if which == "x" else ax.set_yticks
    set_ticks(ticks, [escape_dollars(name) for name in names], **(_SLANTED if is_slanted else {}))


def write_cell_values(ax: Axes, image: Any, means: np.ndarray) -> None:
    """Write the numbers into the cells of a heat map, if they fit."""
    width, height = size_in_inches(ax)
    # Enough digits to show a fiftieth of the range.
    span = np.nanmax(means) - np.nanmin(means) or abs(np.nanmax(means)) or 1
    digits = max(int(np.ceil(-np.log10(span / 50))), 0)
    form = f".{digits}f" if digits <= 6 else ".3g"
    texts = {place: f"{mean:{form}}" for place, mean in np.ndenumerate(means) if np.isfinite(mean)}
    longest = max(map(len, texts.values()))
    # In points. A character is about 0.6 times the font size wide, and the colour bar takes a part
    # of the width.
    size = min(
        72 * 0.7 * width / means.shape[1] / (0.6 * longest), 72 * 0.6 * height / means.shape[0], 10
    )
    if size < 5:
        return
    for (y, x), text in texts.items():
        opacity = 1.0 if image.get_alpha() is None else np.asarray(image.get_alpha()).min()
        color_of_cell = np.array(image.cmap(image.norm(means[y, x]))[:3])
        red, green, blue = opacity * color_of_cell + (1 - opacity)  # on white
        is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        color = "white" if is_dark else "black"
        ax.text(x, y, text, color=color, fontsize=size, ha="center", va="center")
