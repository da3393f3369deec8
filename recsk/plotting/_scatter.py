"""Points coloured by label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recsk.plotting._drawing import COLORS, GREY
from recsk.plotting._text import as_texts, is_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["scatter"]


def scatter(
    ax: Axes, points: np.ndarray, labels: np.ndarray, style: dict[str, Any]
) -> tuple[Any, list[tuple[Any, str]]]:
    """Points coloured by label.

    Of many numbers: what a colour bar is made from, the same for the same labels wherever the
    points are. Else None. And the artists and names of a legend: of many numbers, of the points
    that have none, if there are such.
    """
    missing = np.array([_is_missing(label) for label in labels], dtype=bool)
    given = _as_days(_as_numbers(labels[~missing]))
    names, first, counts = np.unique(given.astype(str), return_index=True, return_counts=True)
    if given.dtype.kind in "iuf" and len(names) > 7:
        return _scatter_numbers(ax, points, missing, given, style)
    most = np.argsort(-counts, kind="stable")
    chosen = most if len(most) <= 7 else most[:6]
    if given.dtype.kind in "iuf":
        chosen = chosen[np.argsort(given[first[chosen]])]
    shown = as_texts(given[first[chosen]] if given.dtype.kind in "iuf" else names[chosen])
    texts = np.full(len(labels), None, dtype=object)
    texts[~missing] = given.astype(str)
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
            kept = {"color": color, "label": name, "zorder": layer}
            entries.append((_draw(ax, points, members, kept | _unmapped(style)), name))
    return None, entries


def _scatter_numbers(
    ax: Axes, points: np.ndarray, missing: np.ndarray, given: np.ndarray, style: dict[str, Any]
) -> tuple[Any, list[tuple[Any, str]]]:
    from matplotlib.colors import Normalize

    entries = []
    if missing.any():
        grey = _draw(ax, points, missing, _unmapped(style) | {"color": GREY})
        entries.append((grey, "no label"))
    style = dict(style)
    if "norm" not in style:  # matplotlib's own would look at the points that can be drawn alone
        finite = given[np.isfinite(given)]
        low, high = (finite.min(), finite.max()) if len(finite) else (None, None)
        style["norm"] = Normalize(style.pop("vmin", low), style.pop("vmax", high))
    return _draw(ax, points, ~missing, {"cmap": "viridis", **style}, c=given), entries


def _draw(
    ax: Axes, points: np.ndarray, members: np.ndarray, style: dict[str, Any], **more: Any
) -> Any:
    """Draw some of the points; values of the style may be one for each of all points."""
    own: dict[str, Any] = {
        name: np.asarray(value)[members]
        if not isinstance(value, str) and np.shape(value) == members.shape
        else value
        for name, value in style.items()
    }
    x, y = points[members].T
    return ax.scatter(x, y, **{**own, **more})


def _unmapped(style: dict[str, Any]) -> dict[str, Any]:
    """The style of points whose colour is no number."""
    return {k: v for k, v in style.items() if k not in ("cmap", "norm", "vmin", "vmax")}


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)
    except TypeError:  # the NA of pandas does not tell
        return True


def _as_numbers(values: np.ndarray) -> np.ndarray:
    """Objects that are all numbers, as an array of numbers; else what came."""
    numbers = [is_number(value) for value in values]
    return np.array(values.tolist()) if values.dtype == object and all(numbers) else values


def _as_days(values: np.ndarray) -> np.ndarray:
    """Dates without a time of the day, where none has one."""
    if values.dtype.kind != "M":
        return values
    days = values.astype("datetime64[D]")
    return days if (days == values).all() else values
