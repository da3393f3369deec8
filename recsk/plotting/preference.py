"""Plot of the modality weights of users and items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recsk.contract import BaseRecommender
from recsk.data.checks import check_positive_int
from recsk.plotting.drawing import (
    COLORS,
    add_legend,
    hide_spines,
    make_panels,
    normalize_keywords,
    write_title,
)
from recsk.plotting.fitted import check_fitted, get_fitted_attribute, get_modality_names
from recsk.plotting.text import format_values

__all__ = ["PreferenceDisplay"]


class PreferenceDisplay:
    """Histograms of the modality weights of users and items.

    There is one panel for users, and one for items if the model has preferences of items. Each
    line is the histogram of the weights of one modality. A dotted line marks equal weights of all
    modalities.

    Create it with `from_estimator`. The constructor keeps its arguments as attributes.

    Parameters
    ----------
    user_preference : ndarray of shape (n_users, n_modalities)
        Modality weights of the users. Each row sums to 1.
    item_preference : ndarray of shape (n_items, n_modalities), default=None
        Modality weights of the items.
    modality_names : sequence of str
        Names of the modalities.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure of the plot.
    ax_ : ndarray of Axes of shape (n_panels,)
        The panels, users first.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import matplotlib.pyplot as plt
    >>> from recsk import MDERecommender
    >>> from recsk.datasets import make_multimodal
    >>> from recsk.plotting import PreferenceDisplay
    >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
    >>> model = MDERecommender(n_factors=8, max_epochs=2, random_state=0)
    >>> model = model.fit(data.interactions, item_features=data.item_features)
    >>> display = PreferenceDisplay.from_estimator(model)
    >>> [ax.get_ylabel() for ax in display.ax_]
    ['share of users', 'share of items']
    >>> plt.close(display.figure_)
    """

    figure_: Any
    ax_: np.ndarray

    def __init__(
        self,
        *,
        user_preference: np.ndarray,
        item_preference: np.ndarray | None = None,
        modality_names: Sequence[str],
    ) -> None:
        self.user_preference = user_preference
        self.item_preference = item_preference
        self.modality_names = modality_names

    @classmethod
    def from_estimator(
        cls, estimator: BaseRecommender, *, ax: Any = None, bins: int = 30, **kwargs: Any
    ) -> PreferenceDisplay:
        """Draw the modality weights of a fitted model.

        Parameters
        ----------
        estimator : recommender
            A fitted recommender.
        ax, bins, **kwargs
            As in `plot`.

        Returns
        -------
        PreferenceDisplay
        """
        check_fitted(estimator)
        display = cls(
            user_preference=get_fitted_attribute(estimator, "user_preference_"),
            item_preference=getattr(estimator, "item_preference_", None),
            modality_names=get_modality_names(estimator),
        )
        return display.plot(ax, bins=bins, **kwargs)

    def plot(self, ax: Any = None, *, bins: int = 30, **kwargs: Any) -> PreferenceDisplay:
        """Draw the stored weights.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            Where to draw: one for all panels, which share its area, or one for each panel. None
            makes a new figure.
        bins : int, default=30
            Number of bins. All histograms have the same bins.
        **kwargs
            For matplotlib's ``Axes.stairs``.

        Returns
        -------
        PreferenceDisplay
            Itself.
        """
        bins = check_positive_int(bins, "bins")
        panels = {"users": self.user_preference, "items": self.item_preference}
        groups = {name: values for name, values in panels.items() if values is not None}
        even = 1 / len(self.modality_names)
        low = min(even, *(values.min() for values in groups.values()))
        high = max(even, *(values.max() for values in groups.values()))
        # Fixed preferences have one value, and a histogram needs some width around it.
        margin = max(0.05 - (high - low) / 2, 0)
        edges = np.linspace(max(low - margin, 0), min(high + margin, 1), bins + 1)
        with make_panels(ax, [len(groups)], (3.6 * len(groups) + 1, 3.4)) as (figure, axes):
            from matplotlib.patches import StepPatch
            from matplotlib.ticker import MaxNLocator, PercentFormatter

            given = normalize_keywords(kwargs, StepPatch)
            for panel, (group, values) in zip(axes, groups.items(), strict=True):
                entries = []
                for column, name in enumerate(self.modality_names):
                    counts, _ = np.histogram(values[:, column], edges)
                    style = {
                        "color": COLORS[column % len(COLORS)],
                        "linewidth": 1.8,
                        "linestyle": ("-", "--", "-.")[column % 3],
                        "label": name,
                    }
                    line = panel.stairs(counts / len(values), edges, **{**style, **given})
                    entries.append((line, name))
                line = panel.axvline(even, color="0.4", linestyle=":", linewidth=1)
                entries.append((line, "even"))
                means = zip(format_values(self.modality_names), values.mean(axis=0), strict=True)
                text = "mean " + ", ".join(f"{name}\u00a0{mean:.2f}" for name, mean in means)
                # The means of more than 4 modalities would leave no space for the panel.
                is_short = len(self.modality_names) <= 4
                write_title(panel, f"{len(values)} {group}", *([text] if is_short else []))
                panel.set(xlabel="weight of the modality", ylabel=f"share of {group}")
                panel.xaxis.set_major_locator(MaxNLocator(4))
                panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
                hide_spines(panel)
            add_legend(axes[-1], entries)
        self.figure_, self.ax_ = figure, axes
        return self
