"""Plot of a comparison of models: means or differences, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.stats import norm

from recsk.data.checks import describe
from recsk.metrics import Comparison, compare
from recsk.metrics.comparison_table import Row
from recsk.plotting.drawing import (
    COLORS,
    GREY,
    hide_spines,
    label_ticks,
    make_panels,
    normalize_keywords,
    panels_per_row,
    write_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ComparisonDisplay"]

_KINDS = ("means", "differences")


class ComparisonDisplay:
    """Forest plot of a comparison of models: a row for each model, a panel for each metric and k.

    A filled marker has a significant difference from the baseline: its Holm-corrected p is below
    one minus the confidence level. Other models have hollow markers.

    Create it with `from_comparison` or `from_estimators`. The constructor keeps its arguments as
    attributes.

    Parameters
    ----------
    comparison : Comparison
        The result of :func:`recsk.metrics.compare`.
    kind : {"differences", "means"}, default="differences"
        "differences" draws the mean differences from the baseline with their bootstrap intervals.
        "means" draws the mean of each model with its own interval, from the standard error; the
        baseline is grey. Such intervals may overlap where the paired difference is significant.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure of the plot.
    ax_ : ndarray of Axes of shape (n_panels,)
        The panels, in the order of the metrics and k.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import compare
    >>> from recsk.plotting import ComparisonDisplay
    >>> class Favourites:
    ...     def __init__(self, order):
    ...         self.order = np.array(order)
    ...
    ...     def recommend(self, user_ids, k=10, *, exclude_seen=True):
    ...         return np.tile(self.order[:k], (len(user_ids), 1)), np.zeros((len(user_ids), k))
    >>> X_test = csr_array(np.eye(3, dtype=int)[[0, 0, 0, 0, 0, 0, 1]])
    >>> models = {"first": Favourites([0, 1, 2]), "last": Favourites([2, 1, 0])}
    >>> comparison = compare(models, X_test, "recall", k=1, random_state=0)
    >>> display = ComparisonDisplay.from_comparison(comparison)
    >>> [ax.get_title() for ax in display.ax_]
    ['recall@1']
    >>> plt.close(display.figure_)
    """

    figure_: Any
    ax_: np.ndarray

    def __init__(
        self, *, comparison: Comparison, kind: Literal["differences", "means"] = "differences"
    ) -> None:
        self.comparison = comparison
        self.kind = kind

    @classmethod
    def from_comparison(
        cls,
        comparison: Comparison,
        *,
        kind: Literal["differences", "means"] = "differences",
        ax: Any = None,
        **kwargs: Any,
    ) -> ComparisonDisplay:
        """Draw a comparison.

        Parameters
        ----------
        comparison : Comparison
            The result of :func:`recsk.metrics.compare`.
        kind : {"differences", "means"}, default="differences"
            What to draw.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        ComparisonDisplay

        Raises
        ------
        TypeError
            If `comparison` is not a Comparison.
        ValueError
            If `kind` is unknown.
        """
        if not isinstance(comparison, Comparison):
            raise TypeError(
                f"comparison must be the result of recsk.metrics.compare; got "
                f"{describe(comparison)}"
            )
        return cls(comparison=comparison, kind=kind).plot(ax, **kwargs)

    @classmethod
    def from_estimators(
        cls,
        models: Mapping[str, Any],
        X_test: Any,
        metrics: Any = ("recall", "ndcg"),
        k: Any = 10,
        *,
        baseline: str | None = None,
        random_state: Any = None,
        X_train: Any = None,
        kind: Literal["differences", "means"] = "differences",
        ax: Any = None,
        **kwargs: Any,
    ) -> ComparisonDisplay:
        """Compare fitted models and draw the comparison.

        Parameters
        ----------
        models, X_test, metrics, k, baseline, random_state, X_train
            As in :func:`recsk.metrics.compare`, which has more.
        kind : {"differences", "means"}, default="differences"
            What to draw.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        ComparisonDisplay
        """
        _check_kind(kind)
        comparison = compare(
            models,
            X_test,
            metrics,
            k,
            baseline=baseline,
            random_state=random_state,
            X_train=X_train,
        )
        return cls.from_comparison(comparison, kind=kind, ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> ComparisonDisplay:
        """Draw the stored comparison.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            Where to draw: one for all panels, which share its area, or one for each panel. None
            makes a new figure.
        **kwargs
            For matplotlib's ``Axes.errorbar``.

        Returns
        -------
        ComparisonDisplay
            Itself.
        """
        _check_kind(self.kind)
        found = self.comparison
        rows = panels_per_row(len(found.columns))
        n_models = len(found.models) - (self.kind == "differences")
        size = (3.2 * rows[0] + 0.6, (0.3 * n_models + 1.2) * len(rows))
        with make_panels(ax, rows, size) as (figure, axes):
            for panel, column in zip(axes, found.columns, strict=True):
                self._draw(panel, column, kwargs)
            for panel in axes[-rows[-1] :]:
                panel.set_xlabel(
                    f"difference from {found.baseline}" if self.kind == "differences" else "mean"
                )
        self.figure_, self.ax_ = figure, axes
        return self

    def _draw(self, panel: Axes, column: tuple[str, int], kwargs: dict[str, Any]) -> None:
        """Draw the models of one metric and k from top to bottom."""
        from matplotlib.lines import Line2D

        found = self.comparison
        rows = [row for row in found.rows if (row.metric, row.k) == column]
        if self.kind == "differences":
            rows = [row for row in rows if row.model != found.baseline]
            panel.axvline(0, color=GREY, linewidth=1, zorder=0)
        given = normalize_keywords(kwargs, Line2D)
        for y, row in enumerate(rows):
            color = "0.45" if row.model == found.baseline else COLORS[0]
            style: dict[str, Any] = {"fmt": "o", "markersize": 5, "capsize": 3, "color": color}
            if row.model != found.baseline and not found.is_significant(row):
                style["markerfacecolor"] = "white"
            center, low, high = self._interval(row)
            error = np.maximum([[center - low], [high - center]], 0)  # NaN draws no bar
            panel.errorbar([center], [y], xerr=error, **{**style, **given})
        label_ticks(panel, "y", [row.model for row in rows])
        panel.set_ylim(len(rows) - 0.5, -0.5)
        panel.margins(x=0.1)
        panel.locator_params(axis="x", nbins=4)
        write_title(panel, f"{column[0]}@{column[1]}")
        hide_spines(panel)

    def _interval(self, row: Row) -> tuple[float, float, float]:
        """Return the point of a row and the ends of its interval."""
        if self.kind == "differences":
            return row.difference, row.low, row.high
        half = norm.ppf((1 + self.comparison.confidence_level) / 2) * row.standard_error
        return row.mean, row.mean - half, row.mean + half


def _check_kind(kind: Any) -> None:
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(_KINDS)}; got {kind!r}")
