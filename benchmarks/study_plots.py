"""Pictures of studies: dots by name, lines by place, or panels by parameter or data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from recsk.plotting import SensitivityDisplay
from recsk.plotting.drawing import COLORS, add_legend, choose_scale, hide_spines, panels_per_row

__all__ = ["draw", "draw_courses"]

Rows = list[dict[str, Any]]


def draw(title: str, rows: Rows, x_label: str, path: Path) -> None:
    """Draw recall on the test part, of parameters that on validation; or the first figure."""
    names = list(rows[0]["mean"])
    name = next((name for name in names if name.startswith("test")), names[0])
    places = [row["x"] for row in rows]
    if all(isinstance(x, dict) for x in places):
        figure = _panels(rows, names[0])  # parameters are chosen by the validation part
    elif all(isinstance(x, int | float) for x in places):
        figure = _lines(rows, name, x_label)
    else:  # new items: among all items and among themselves, which are two questions
        figure = _dots(rows, [name, name.replace("all items", "new items")])
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _by_series(rows: Rows) -> dict[str, Rows]:
    names = dict.fromkeys(row["series"] for row in rows)
    return {name: [row for row in rows if row["series"] == name] for name in names}


def _lines(rows: Rows, name: str, x_label: str) -> Any:
    figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for at, (series, own) in enumerate(_by_series(rows).items()):
        ax.errorbar(
            [row["x"] for row in own],
            [row["mean"][name] for row in own],
            [row["std"][name] for row in own],
            color=COLORS[at % len(COLORS)],
            marker="os^vD<>"[at % 7],
            linestyle=("-", "--", ":")[at // len(COLORS) % 3],
            capsize=3,
            label=series,
        )
    choose_scale(ax, np.unique([row["x"] for row in rows]).astype(float))
    if ax.get_xscale() == "log":
        ax.set_yscale("log")
    ax.set(xlabel=x_label, ylabel=f"{name}, mean ± std over seeds")
    add_legend(ax, list(zip(*ax.get_legend_handles_labels(), strict=True)))
    hide_spines(ax)
    return figure


def _dots(rows: Rows, names: list[str]) -> Any:
    names = list(dict.fromkeys(names))
    size = (8 if len(names) == 1 else 11, 1.6 + 0.32 * len(rows))
    figure, axes = plt.subplots(
        1, len(names), figsize=size, layout="constrained", sharey=True, squeeze=False
    )
    place = np.arange(len(rows))
    end = " " if len(names) == 1 else "\n"  # two labels stand beside each other
    for ax, name in zip(axes[0], names, strict=True):
        mean, spread = ([row[part][name] for row in rows] for part in ("mean", "std"))
        ax.errorbar(mean, place, xerr=spread, fmt="o", color=COLORS[0], capsize=3)
        ax.axvline(mean[0], color="0.6", linestyle="--", linewidth=1, zorder=0)
        ax.set_xlabel(f"{name}, mean ± std over seeds{end}(dashed: the first row)")
        hide_spines(ax)
    axes[0, 0].set_yticks(place, [row["label"] for row in rows])
    axes[0, 0].invert_yaxis()
    return figure


def _panels(rows: Rows, name: str) -> Any:
    groups = _by_series(rows)
    widths = panels_per_row(len(groups))
    size = (4.8 * widths[0], 4.2 * len(widths))
    figure, axes = plt.subplots(
        len(widths), widths[0], figsize=size, layout="constrained", squeeze=False
    )
    for ax in axes.flat[len(groups) :]:
        ax.set_axis_off()
    for ax, own in zip(axes.flat, groups.values(), strict=False):
        params = {key: sorted({row["x"][key] for row in own}) for key in own[0]["x"]}
        scores = np.empty((*map(len, params.values()), len(own[0]["runs"])))
        for row in own:
            at = tuple(values.index(row["x"][key]) for key, values in params.items())
            scores[at] = [run[name] for run in row["runs"]]
        SensitivityDisplay(params=params, scores=scores, metric=name).plot(ax=ax)
        ax.set_title(f"mean of {scores.shape[-1]} seeds, the best marked", fontsize="medium")
    return figure


def draw_courses(found: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw NDCG on the validation part against CPU seconds, a panel for each data set."""
    widths = panels_per_row(len(found))
    size = (4.2 * widths[0], 3.4 * len(widths) + 0.5)
    figure, axes = plt.subplots(
        len(widths), widths[0], figsize=size, layout="constrained", squeeze=False
    )
    for ax in axes.flat[len(found) :]:
        ax.set_axis_off()
    models = list(dict.fromkeys(name for own in found.values() for name in own["rows"]))
    handles: dict[str, Any] = {}
    for ax, (name, own) in zip(axes.flat, found.items(), strict=False):
        for model, row in own["rows"].items():
            at = models.index(model)
            style = {"color": COLORS[at % len(COLORS)], "marker": "os^vD<>"[at % 7]}
            _course(ax, row, style)
            handles.setdefault(model, plt.Line2D([], [], **style))
        ax.set_xscale("log")
        ax.set_title(name, fontsize="medium")
        ax.set(xlabel="CPU seconds, one thread", ylabel="NDCG@20, validation")
        hide_spines(ax)
    beneath = {"loc": "outside lower center", "ncols": len(handles)}
    title = "large marks: the whole fit"
    figure.legend(handles.values(), handles, title=title, fontsize="small", **beneath)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _course(ax: Any, row: dict[str, Any], style: dict[str, Any]) -> None:
    """A line where a model has one, and a large mark for the whole fit."""
    run = row["runs"][0]
    if "course" in row:
        steps = [(point["cpu_seconds"], point["ndcg@20"]) for point in row["course"]]
    else:
        steps = run.get("curve", []) if run.get("metric") == "ndcg@20" else []
    if steps:
        ax.plot(*zip(*steps, strict=True), color=style["color"], marker=".", linewidth=1)
    ax.plot(row["cpu_seconds"], row["ndcg@20"], markersize=9, markeredgecolor="white", **style)
