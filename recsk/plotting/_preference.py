"""How much users and items listen to each modality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recsk._checks import at_least_one
from recsk.base import BaseRecommender
from recsk.plotting._drawing import COLORS, canvas, keywords, legend_beside, strip, write_title
from recsk.plotting._fitted import attribute, check_fitted, modality_names
from recsk.plotting._text import as_texts

__all__ = ["PreferenceDisplay"]


class PreferenceDisplay:
    """How much users, and items, listen to each modality.

    One panel for users and, where the model has preferences of items, one for items. A line is
    the histogram of the weights of one modality; a dotted line marks even weights.

    Use `from_estimator` to make one. Constructor arguments are kept as attributes.

    Parameters
    ----------
    user_preference : ndarray of shape (n_users, n_modalities)
        Weights of the modalities; rows sum to 1.
    item_preference : ndarray of shape (n_items, n_modalities), default=None
        The same for items.
    modality_names : sequence of str
        Names of the columns.

    Attributes
    ----------
    figure_ : matplotlib Figure
        What was drawn on.
    ax_ : ndarray of Axes of shape (n_panels,)
        Users first.

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
        """Draw the preferences of a fitted model.

        Parameters
        ----------
        estimator : recommender
            Fitted.
        ax, bins, **kwargs
            As in `plot`.

        Returns
        -------
        PreferenceDisplay
        """
        check_fitted(estimator)
        users = attribute(estimator, "user_preference_")
        display = cls(
            user_preference=users,
            item_preference=getattr(estimator, "item_preference_", None),
            modality_names=modality_names(estimator),
        )
        return display.plot(ax, bins=bins, **kwargs)

    def plot(self, ax: Any = None, *, bins: int = 30, **kwargs: Any) -> PreferenceDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            Where to: one for all panels, which share its place, or one for each. None makes a
            new figure.
        bins : int, default=30
            Bars of a histogram; all have the same edges.
        **kwargs
            For matplotlib's ``Axes.stairs``.

        Returns
        -------
        PreferenceDisplay
            Itself.
        """
        bins = at_least_one(bins, "bins")
        panels = {"users": self.user_preference, "items": self.item_preference}
        groups = {name: values for name, values in panels.items() if values is not None}
        even = 1 / len(self.modality_names)
        low = min(even, *(values.min() for values in groups.values()))
        high = max(even, *(values.max() for values in groups.values()))
        # Fixed preferences are one value: a histogram needs some width around it.
        margin = max(0.05 - (high - low) / 2, 0)
        edges = np.linspace(max(low - margin, 0), min(high + margin, 1), bins + 1)
        with canvas(ax, [len(groups)], (3.6 * len(groups) + 1, 3.4)) as (figure, axes):
            from matplotlib.patches import StepPatch
            from matplotlib.ticker import MaxNLocator, PercentFormatter

            given = keywords(kwargs, StepPatch)
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
                means = zip(as_texts(self.modality_names), values.mean(axis=0), strict=True)
                text = "mean " + ", ".join(f"{name}\u00a0{mean:.2f}" for name, mean in means)
                few = len(self.modality_names) <= 4  # else the title takes the panel's place
                write_title(panel, f"{len(values)} {group}", *([text] if few else []))
                panel.set(xlabel="weight of the modality", ylabel=f"share of {group}")
                panel.xaxis.set_major_locator(MaxNLocator(4))
                panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
                strip(panel)
            legend_beside(axes[-1], entries)
        self.figure_, self.ax_ = figure, axes
        return self
