"""Points coloured by label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recsk.plotting._drawing import COLORS, GREY
from recsk.plotting._text import is_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["scatter"]


def scatter(
    ax: Axes, points: np.ndarray, labels: np.ndarray, style: dict[str, Any]
) -> tuple[Any, list[tuple[Any, str]]]:
    """Points coloured by label.

    Of many numbers: what a colour bar is made from, the same for the same labels wherever the
    points are. Else None, and the artists and names of a legend.
    """
    missing = np.array([_is_missing(label) for label in labels], dtype=bool)
    given = _as_numbers(labels[~missing])
    names, counts = np.unique(given.astype(str), return_counts=True)
    if given.dtype.kind in "iuf" and len(names) > 7:
        return _scatter_numbers(ax, points, missing, given, style), []
    chosen = names[np.argsort(-counts, kind="stable")]
    if len(chosen) > 7:
        chosen = chosen[:6]
    texts = np.full(len(labels), None, dtype=object)
    texts[~missing] = given.astype(str)
    groups = [(name, texts == name, color, 2) for name, color in zip(chosen, COLORS, strict=False)]
    rest = ~missing & ~np.isin(texts, chosen)
    groups.append((f"{len(names) - len(chosen)} others", rest, "0.5", 1))
    groups.append(("no label", missing, "0.8", 1))
    entries = []
    for name, members, color, layer in groups:
        if members.any():
            kept = {"color": color, "label": name, "zorder": layer}
            entries.append((ax.scatter(*points[members].T, **{**kept, **style}), name))
    return None, entries


def _scatter_numbers(
    ax: Axes, points: np.ndarray, missing: np.ndarray, given: np.ndarray, style: dict[str, Any]
) -> Any:
    from matplotlib.colors import Normalize

    if missing.any():
        unmapped = {k: v for k, v in style.items() if k not in ("cmap", "norm", "vmin", "vmax")}
        ax.scatter(*points[missing].T, **{**unmapped, "color": GREY})
    style = dict(style)
    if "norm" not in style:  # matplotlib's own would look at the points that can be drawn alone
        finite = given[np.isfinite(given)]
        low, high = (finite.min(), finite.max()) if len(finite) else (None, None)
        style["norm"] = Normalize(style.pop("vmin", low), style.pop("vmax", high))
    return ax.scatter(*points[~missing].T, **{"c": given, "cmap": "viridis", **style})


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)
    except TypeError:  # the NA of pandas does not tell
        return True


def _as_numbers(values: np.ndarray) -> np.ndarray:
    """Objects that are all numbers, as an array of numbers; else what came."""
    numbers = [is_number(value) for value in values]
    return np.array(values.tolist()) if values.dtype == object and all(numbers) else values
