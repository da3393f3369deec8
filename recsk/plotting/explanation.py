"""Plot of why items are recommended to a user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recsk.contract import BaseRecommender, Explanation
from recsk.data.checks import check_positive_int, describe
from recsk.data.labels import is_missing
from recsk.plotting.drawing import (
    COLORS,
    GREY,
    hide_spines,
    label_ticks,
    make_panels,
    normalize_keywords,
    write_title,
)
from recsk.plotting.fitted import check_explanation, check_fitted
from recsk.plotting.text import format_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ExplanationDisplay"]


class ExplanationDisplay:
    """Bars of the parts of a score, and of the items of the history that it is due to.

    Each row is one item. On the left are the parts, which add up to the score in the title. On the
    right are the items of the history with the largest effects: how much lower the score is
    without each of them. Rows have the same scale.

    Create it with `from_estimator`. The constructor keeps its arguments as attributes.

    Parameters
    ----------
    explanation : Explanation
        Of one user, for one item or more.
    item_names : mapping, default=None
        Names by the labels or ids of items, such as titles. Others are shown as they are.
    n_history : int, default=5
        Items of the history for each item.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure of the plot.
    ax_ : ndarray of Axes of shape (2 * n_items,)
        For each item the panel of the parts and that of the history. Without a history,
        there are panels of parts alone.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import matplotlib.pyplot as plt
    >>> from recsk import MDERecommender
    >>> from recsk.datasets import make_multimodal
    >>> from recsk.plotting import ExplanationDisplay
    >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
    >>> model = MDERecommender(n_factors=8, max_epochs=2, random_state=0)
    >>> model = model.fit(data.interactions, item_features=data.item_features)
    >>> display = ExplanationDisplay.from_estimator(model, 3, k=2)
    >>> len(display.ax_)
    4
    >>> plt.close(display.figure_)
    """

    figure_: Any
    ax_: np.ndarray

    def __init__(
        self,
        explanation: Explanation,
        *,
        item_names: Mapping[Any, Any] | None = None,
        n_history: int = 5,
    ) -> None:
        self.explanation = explanation
        self.item_names = item_names
        self.n_history = n_history

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseRecommender,
        user_id: Any = None,
        items: Any = None,
        *,
        k: int = 3,
        user_items: Any = None,
        item_names: Mapping[Any, Any] | None = None,
        n_history: int = 5,
        ax: Any = None,
        **kwargs: Any,
    ) -> ExplanationDisplay:
        """Explain items to a user of the fit, or to a new one.

        Parameters
        ----------
        estimator : recommender
            A fitted recommender.
        user_id : label or int, default=None
            A user of the fit.
        items : label, int or array-like of shape (n_items,), default=None
            None: the `k` best ones.
        k : int, default=3
            Number of recommended items.
        user_items : list of one list, or a form that `recommend` takes, default=None
            The history of a new user, in place of `user_id`.
        item_names, n_history
            As in the constructor.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        ExplanationDisplay

        Raises
        ------
        TypeError
            If `estimator` is no recommender, or `item_names` is no mapping.
        ValueError
            If there is not exactly one user, or nothing to explain.
        """
        check_fitted(estimator)
        if (user_id is None) == (user_items is None):
            raise ValueError("pass one user: user_id, or the history of a new one as user_items")
        if items is None:
            items, _ = estimator.recommend(user_id, k, user_items=user_items)
        explanation = estimator.explain(user_id, items, user_items=user_items)
        display = cls(explanation, item_names=item_names, n_history=n_history)
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> ExplanationDisplay:
        """Draw the stored explanation.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            Where to draw: one for all panels, which share its area, or one for each panel. None
            makes a new figure.
        **kwargs
            For matplotlib's ``Axes.barh``.

        Returns
        -------
        ExplanationDisplay
            Itself.
        """
        check_explanation(self.explanation)
        why = self.explanation
        n_history = check_positive_int(self.n_history, "n_history")
        names = {} if self.item_names is None else self.item_names
        if not isinstance(names, Mapping):
            raise TypeError(
                f"item_names must be a mapping of items to names, such as a dict; got "
                f"{describe(names)}"
            )
        if len(why.users) != 1:
            raise ValueError(f"explanation must be of one user; got {len(why.users)}")
        shown = np.flatnonzero(~np.isnan(why.scores[0]))
        if not len(shown):
            raise ValueError("explanation has no item")
        parts = list(why.parts)
        with_history = bool(why.history) and len(why.history[0]) > 0
        n_bars = max(len(parts), min(n_history, len(why.history[0])) if with_history else 0)
        size = (9.0 if with_history else 5.0, (0.27 * n_bars + 0.95) * len(shown))
        with make_panels(ax, [1 + with_history] * len(shown), size) as (figure, axes):
            from matplotlib.patches import Rectangle

            given = normalize_keywords(kwargs, Rectangle)
            rows = axes.reshape(len(shown), -1)
            for panels, m in zip(rows, shown, strict=True):
                values = np.array([part[0, m] for part in why.parts.values()])
                _draw_bars(panels[0], parts, values, given)
                name = _name(names, why.items[0, m])
                name = name if isinstance(name, str) else format_value(name)
                write_title(panels[0], f"{name}: score {why.scores[0, m]:.3g}")
                if not with_history:
                    continue
                effects = why.effects[0][:, m]
                most = np.argsort(-np.abs(effects), kind="stable")[:n_history]
                history = [_name(names, why.history[0][row]) for row in most]
                _draw_bars(panels[1], history, effects[most], given)
                write_title(panels[1], "due to the history")
            for column in rows.T:  # one scale, so that bars of different items compare
                limits = [panel.get_xlim() for panel in column]
                for panel in column:
                    panel.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))
            rows[-1, 0].set_xlabel("parts of the score")
            if with_history:
                rows[-1, 1].set_xlabel("score without the item is lower by")
        self.figure_, self.ax_ = figure, axes
        return self


def _draw_bars(panel: Axes, names: list[Any], values: np.ndarray, given: dict[str, Any]) -> None:
    """Draw horizontal bars from top to bottom; those below zero in another colour."""
    colors = [COLORS[0] if value >= 0 else COLORS[3] for value in values]
    style: dict[str, Any] = {"color": colors, "height": 0.7}
    panel.barh(np.arange(len(values)), values, **{**style, **given})
    panel.axvline(0, color=GREY, linewidth=1, zorder=0)
    label_ticks(panel, "y", names)
    panel.set_ylim(len(values) - 0.5, -0.5)
    panel.margins(x=0.08)
    panel.locator_params(axis="x", nbins=5)
    hide_spines(panel)


def _name(names: Mapping[Any, Any], item: Any) -> Any:
    item = item.item() if isinstance(item, np.generic) else item
    name = names.get(item)
    return item if is_missing(name) else name
