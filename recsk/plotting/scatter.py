"""Scatter plots of points coloured by label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recsk.plotting.drawing import COLORS, GREY
from recsk.plotting.text import format_values, is_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["scatter_by_label"]


def scatter_by_label(
    ax: Axes, points: np.ndarray, labels: np.ndarray, style: dict[str, Any]
) -> tuple[Any, list[tuple[Any, str]]]:
    """Draw points coloured by label.

    More than 7 different numbers are drawn with a colour scale, other labels with one colour each.

    Parameters
    ----------
    ax : Axes
    points : ndarray of shape (n_points, 2)
    labels : ndarray of shape (n_points,)
        None and NaN mean that a point has no label.
    style : dict
        For ``Axes.scatter``.

    Returns
    -------
    scale : artist or None
        For a colour bar, which depends on the labels but not on the points. None without a
        colour scale.
    entries : list of (artist, str)
        The artists and names of a legend. With a colour scale these are only the points without
        labels, if there are any.
    """
    missing = np.array([_is_missing(label) for label in labels], dtype=bool)
    present = _as_days(_as_numbers(labels[~missing]))
    names, first, counts = np.unique(present.astype(str), return_index=True, return_counts=True)
    if present.dtype.kind in "iuf" and len(names) > 7:
        return _scatter_numbers(ax, points, missing, present, style)
    by_frequency = np.argsort(-counts, kind="stable")
    chosen = by_frequency if len(by_frequency) <= 7 else by_frequency[:6]
    if present.dtype.kind in "iuf":
        chosen = chosen[np.argsort(present[first[chosen]])]
    shown = format_values(present[first[chosen]] if present.dtype.kind in "iuf" else names[chosen])
    texts = np.full(len(labels), None, dtype=object)
    texts[~missing] = present.astype(str)
    groups = [
        (text, texts == name, color, 2)
        for text, name, color in zip(shown, names[chosen], COLORS, strict=False)
    ]
    rest = ~missing & ~np.isin(texts, names[chosen])
    groups.append((f"{len(names) - len(chosen)} others", rest, "0.5", 1))
    groups.append(("no label", missing, "0.8", 1))
    entries = []
    for name, members, color, layer in groups:
        if members.any():
            group_style = {"color": color, "label": name, "zorder": layer}
            group_style |= _without_color_scale(style)
            entries.append((_draw(ax, points, members, group_style), name))
    return None, entries


def _scatter_numbers(
    ax: Axes, points: np.ndarray, missing: np.ndarray, numbers: np.ndarray, style: dict[str, Any]
) -> tuple[Any, list[tuple[Any, str]]]:
    from matplotlib.colors import Normalize

    entries = []
    if missing.any():
        grey = _draw(ax, points, missing, _without_color_scale(style) | {"color": GREY})
        entries.append((grey, "no label"))
    style = dict(style)
    # The default norm of matplotlib ignores the labels of points that cannot be drawn, so that the
    # panels would differ.
    if "norm" not in style:
        finite = numbers[np.isfinite(numbers)]
        low, high = (finite.min(), finite.max()) if len(finite) else (None, None)
        style["norm"] = Normalize(style.pop("vmin", low), style.pop("vmax", high))
    return _draw(ax, points, ~missing, {"cmap": "viridis", **style}, c=numbers), entries


def _draw(
    ax: Axes, points: np.ndarray, members: np.ndarray, style: dict[str, Any], **more: Any
) -> Any:
    """Draw some of the points; a style value may be an array with one value for every point."""
    member_style: dict[str, Any] = {
        name: np.asarray(value)[members]
        if not isinstance(value, str) and np.shape(value) == members.shape
        else value
        for name, value in style.items()
    }
    x, y = points[members].T
    return ax.scatter(x, y, **{**member_style, **more})


def _without_color_scale(style: dict[str, Any]) -> dict[str, Any]:
    """Return the style without the options of a colour scale."""
    return {k: v for k, v in style.items() if k not in ("cmap", "norm", "vmin", "vmax")}


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)
    except TypeError:  # the NA of pandas is not a bool
        return True


def _as_numbers(values: np.ndarray) -> np.ndarray:
    """Convert an object array that holds only numbers; return others unchanged."""
    is_numeric = [is_number(value) for value in values]
    return np.array(values.tolist()) if values.dtype == object and all(is_numeric) else values


def _as_days(values: np.ndarray) -> np.ndarray:
    """Convert times to days if all are at midnight; return others unchanged."""
    if values.dtype.kind != "M":
        return values
    days = values.astype("datetime64[D]")
    return days if (days == values).all() else values
