"""Plot of the loss terms and the validation metric by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recsk.contract import BaseRecommender
from recsk.plotting.drawing import (
    COLORS,
    MARK_COLOR,
    hide_spines,
    make_panels,
    normalize_keywords,
    panels_per_row,
    write_title,
)
from recsk.plotting.fitted import check_fitted, get_fitted_attribute

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LossCurveDisplay"]


class LossCurveDisplay:
    """Plot of each loss term and the validation metric by epoch.

    Each term has its own panel, because terms differ by orders of magnitude and some are negative.
    The last panel is the validation metric, if there is one. A dashed line marks the kept epoch,
    whose weights the model has.

    Create it with `from_estimator`. The constructor keeps its arguments as attributes.

    Parameters
    ----------
    loss_curve : dict of str to sequence of float
        Mean of each loss term by epoch, multiplied by its weight.
    validation_curve : sequence of float, default=()
        Validation metric by epoch.
    best_iter : int, default=0
        The kept epoch, counted from 1. 0 marks none.
    eval_metric : str, default="metric"
        Name of the validation metric.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure of the plot.
    ax_ : ndarray of Axes of shape (n_panels,)
        The panels: the terms in the order of `loss_curve`, then the validation metric.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import matplotlib.pyplot as plt
    >>> from recsk import MDERecommender
    >>> from recsk.datasets import make_multimodal
    >>> from recsk.plotting import LossCurveDisplay
    >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
    >>> model = MDERecommender(n_factors=8, max_epochs=2, early_stopping=True, random_state=0)
    >>> model = model.fit(data.interactions, item_features=data.item_features)
    >>> display = LossCurveDisplay.from_estimator(model)
    >>> len(display.ax_), display.ax_[-1].get_ylabel()
    (5, 'ndcg@20')
    >>> plt.close(display.figure_)
    """

    figure_: Any
    ax_: np.ndarray

    def __init__(
        self,
        *,
        loss_curve: Mapping[str, Sequence[float]],
        validation_curve: Sequence[float] = (),
        best_iter: int = 0,
        eval_metric: str = "metric",
    ) -> None:
        self.loss_curve = loss_curve
        self.validation_curve = validation_curve
        self.best_iter = best_iter
        self.eval_metric = eval_metric

    @classmethod
    def from_estimator(
        cls, estimator: BaseRecommender, *, ax: Any = None, **kwargs: Any
    ) -> LossCurveDisplay:
        """Draw the loss curves of a fitted model.

        Parameters
        ----------
        estimator : recommender
            A fitted recommender.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        LossCurveDisplay
        """
        check_fitted(estimator)
        curve = get_fitted_attribute(estimator, "loss_curve_")
        if not curve:
            raise ValueError(
                "estimator has an empty loss_curve_, because its fit ended before the first epoch"
            )
        display = cls(
            loss_curve=curve,
            validation_curve=estimator.validation_curve_,
            best_iter=estimator.best_iter_,
            eval_metric=estimator.eval_metric,
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> LossCurveDisplay:
        """Draw the stored curves.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            Where to draw: one for all panels, which share its area, or one for each panel. None
            makes a new figure.
        **kwargs
            For matplotlib's ``Axes.plot``.

        Returns
        -------
        LossCurveDisplay
            Itself.
        """
        n_terms = len(self.loss_curve)
        n_panels = n_terms + bool(len(self.validation_curve))
        rows = panels_per_row(n_panels)
        with make_panels(ax, rows, (3.2 * rows[0], 2.6 * len(rows))) as (figure, axes):
            for panel, (name, values) in zip(axes, self.loss_curve.items(), strict=False):
                self._draw(panel, values, COLORS[0], kwargs)
                write_title(panel, name.replace("_", " "))
            if n_panels > n_terms:
                self._draw(axes[-1], self.validation_curve, COLORS[2], kwargs)
                write_title(axes[-1], "validation")
                axes[-1].set_ylabel(self.eval_metric)
            row_starts = np.cumsum([0, *rows[:-1]])
            for panel in axes[row_starts[row_starts < n_terms]]:
                panel.set_ylabel("mean loss")
            for panel in axes[-rows[-1] :]:
                panel.set_xlabel(f"epoch (kept: {self.best_iter})" if self.best_iter else "epoch")
        self.figure_, self.ax_ = figure, axes
        return self

    def _draw(
        self, panel: Axes, values: Sequence[float], color: str, kwargs: dict[str, Any]
    ) -> None:
        """Draw one curve and the line that marks the kept epoch."""
        from matplotlib.lines import Line2D
        from matplotlib.ticker import MaxNLocator

        epochs = np.arange(1, len(values) + 1)
        style: dict[str, Any] = {"color": color, "marker": ".", "markersize": 4, "linewidth": 1.5}
        if len(values) == 1:  # a single point, in front of the line that marks its epoch
            style |= {"marker": "o", "markersize": 7, "zorder": 3}
        panel.plot(epochs, values, **{**style, **normalize_keywords(kwargs, Line2D)})
        if self.best_iter:
            label = f"kept: epoch {self.best_iter}"
            panel.axvline(
                self.best_iter, color=MARK_COLOR, linestyle="--", linewidth=1, label=label
            )
        if len(values) > 1:
            panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        else:  # the locator would show fractions
            panel.set_xticks([1])
        panel.ticklabel_format(axis="y", scilimits=(-3, 4))
        hide_spines(panel)
