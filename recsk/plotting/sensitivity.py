"""Plot of a score against one or two parameters of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from recsk.contract import BaseRecommender
from recsk.data.checks import describe
from recsk.plotting.drawing import (
    COLORS,
    GREY,
    MARK_COLOR,
    choose_scale,
    hide_spines,
    label_ticks,
    make_panels,
    normalize_keywords,
    write_cell_values,
    write_title,
)
from recsk.plotting.search import (
    are_finite_numbers,
    choose_metric,
    choose_params,
    comparison_key,
    get_scorer_name,
    read_cv_results,
    select_comparable,
    sort_values,
    varied_params,
)
from recsk.plotting.text import escape_dollars, format_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SensitivityDisplay"]


class SensitivityDisplay:
    """Plot of the scores of a search by the values of one or two parameters.

    One parameter: a line shows the mean over the splits, with a band of one standard deviation.
    Values that are not all numbers become categories. A grey cross at the bottom marks a value at
    which a split failed.

    Two parameters: a heat map shows the means. Combinations that were not tried, or that failed in
    a split, stay grey. If both parameters are numbers and at most half of all combinations were
    tried, as in a randomized search, the combinations are drawn as points.

    Create it with `from_search` or `from_cv_results`. The constructor keeps its arguments as
    attributes.

    Parameters
    ----------
    params : dict of str to list
        One or two parameters and their values, in the order of the plot.
    scores : ndarray of shape (n_values, n_splits) or (n_values, n_values_2, n_splits)
        The metric by parameter value and split, NaN where it is missing.
    metric : str, default="score"
        Name of the metric.
    fixed : dict, default=None
        Values of the other parameters that vary in the search, which are the same for all drawn
        candidates.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure of the plot.
    ax_ : Axes
        The plot, without the colour bar.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.model_selection import GridSearchCV
    >>> from recsk import MDERecommender
    >>> from recsk.datasets import make_multimodal
    >>> from recsk.model_selection import RandomHoldout, make_ranking_scorer
    >>> from recsk.plotting import SensitivityDisplay
    >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
    >>> search = GridSearchCV(
    ...     MDERecommender(n_factors=8, max_epochs=1, random_state=0),
    ...     {"alpha": [0.01, 0.1]},
    ...     cv=RandomHoldout(random_state=0),
    ...     scoring=make_ranking_scorer("ndcg", k=5),
    ... )
    >>> search = search.fit(data.interactions, item_features=data.item_features)
    >>> display = SensitivityDisplay.from_search(search)
    >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
    ('alpha', 'ndcg@5')
    >>> plt.close(display.figure_)
    """

    figure_: Any
    ax_: Any

    def __init__(
        self,
        *,
        params: Mapping[str, Sequence[Any]],
        scores: np.ndarray,
        metric: str = "score",
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        self.params = params
        self.scores = scores
        self.metric = metric
        self.fixed = fixed

    @classmethod
    def from_search(
        cls,
        search: Any,
        *,
        params: str | Sequence[str] | None = None,
        metric: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> SensitivityDisplay:
        """Draw the results of a fitted search.

        Parameters
        ----------
        search : GridSearchCV or another search of scikit-learn
            A fitted search.
        params, metric, ax, **kwargs
            As in `from_cv_results`.

        Returns
        -------
        SensitivityDisplay
        """
        if isinstance(search, type | BaseRecommender) or not hasattr(search, "fit"):
            raise TypeError(
                f"search must be a fitted GridSearchCV or another search; got {describe(search)}"
            )
        check_is_fitted(search, "cv_results_")
        return cls._make(search.cv_results_, params, metric, get_scorer_name(search), ax, kwargs)

    @classmethod
    def from_cv_results(
        cls,
        cv_results: Mapping[str, Any],
        *,
        params: str | Sequence[str] | None = None,
        metric: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> SensitivityDisplay:
        """Draw the ``cv_results_`` of a search.

        Parameters
        ----------
        cv_results : dict or DataFrame
            The `cv_results_` of a search. Of successive halving, only the first iteration is
            drawn, because the candidates of later iterations have other resources.
        params : str or sequence of one or two str, default=None
            The parameters to draw, the one of the x axis first. None draws those with more than
            one value, if there are at most two. All others keep their values in the best
            candidate that has the drawn parameters. A warning is given if a better candidate
            lacks one of these.
        metric : str, default=None
            The metric to draw, if there are several. If there is only one, its name in the plot.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        SensitivityDisplay

        Raises
        ------
        TypeError
            If `cv_results` does not have the form of `cv_results_`.
        ValueError
            If it does not have a parameter or metric, `params` or `metric` is None and there is
            more than one choice, or no two candidates differ in `params` alone.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> import matplotlib.pyplot as plt
        >>> from recsk.plotting import SensitivityDisplay
        >>> results = {
        ...     "params": [{"alpha": 0.0}, {"alpha": 0.1}],
        ...     "split0_test_score": [0.30, 0.40],
        ...     "split1_test_score": [0.20, 0.40],
        ... }
        >>> display = SensitivityDisplay.from_cv_results(results, metric="recall@20")
        >>> display.scores.mean(axis=-1)
        array([0.25, 0.4 ])
        >>> plt.close(display.figure_)
        """
        return cls._make(cv_results, params, metric, None, ax, kwargs)

    @classmethod
    def _make(
        cls,
        cv_results: Any,
        params: str | Sequence[str] | None,
        metric: str | None,
        metric_name: str | None,
        ax: Any,
        kwargs: dict[str, Any],
    ) -> SensitivityDisplay:
        """Choose the metric, the parameters and the candidates to draw, and draw them."""
        candidates, splits = read_cv_results(cv_results)
        key, label = choose_metric(splits, metric, metric_name)
        scores = splits[key]
        names = choose_params(candidates, params)
        means = scores.mean(axis=1)
        drawn = select_comparable(names, candidates, means)
        best = candidates[drawn[int(np.nanargmax(means[drawn]))]]
        values = {name: sort_values(candidates[i][name] for i in drawn) for name in names}
        places = {
            name: {comparison_key(v): at for at, v in enumerate(values[name])} for name in names
        }
        grid = np.full((*map(len, values.values()), scores.shape[1]), np.nan)
        for i in drawn:
            grid[tuple(places[name][comparison_key(candidates[i][name])] for name in names)] = (
                scores[i]
            )
        differing = varied_params(candidates)
        fixed = {name: best[name] for name in best if name in differing and name not in names}
        display = cls(params=values, scores=grid, metric=label, fixed=fixed)
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> SensitivityDisplay:
        """Draw the stored scores.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs
            For matplotlib's ``Axes.errorbar`` (one parameter), ``Axes.imshow`` (a heat map) or
            ``Axes.scatter`` (points).

        Returns
        -------
        SensitivityDisplay
            Itself.
        """
        draw = self._draw_line if len(self.params) == 1 else self._draw_map
        if len(self.params) == 2 and all(map(are_finite_numbers, self.params.values())):
            tried = np.isfinite(self.scores).any(axis=-1)
            if 2 * tried.sum() <= tried.size:
                draw = self._draw_points
        with make_panels(ax, [1], (5.2, 3.8)) as (figure, axes):
            draw(axes[0], kwargs)
        self.figure_, self.ax_ = figure, axes[0]
        return self

    def _write_title(self, ax: Axes, marks: str) -> None:
        """Write the number of splits, the best values, what `marks` them, and `fixed`."""
        n_splits = self.scores.shape[-1]
        spread = " ± std" if len(self.params) == 1 else ""
        summary = f"mean{spread} of {n_splits} splits" if n_splits > 1 else "1 split"
        fixed = ", ".join(
            f"{name}={format_value(value)}" for name, value in (self.fixed or {}).items()
        )
        means = self.scores.mean(axis=-1)
        best_places = np.argwhere(means == np.nanmax(means))
        best = f"best: {len(best_places)} tied"
        if len(best_places) == 1:  # the value may have no tick
            named = zip(self.params.items(), best_places[0], strict=True)
            best = "best: " + ", ".join(f"{name}={format_value(v[at])}" for (name, v), at in named)
        write_title(ax, summary, f"{best} ({marks})", fixed)

    def _draw_line(self, ax: Axes, kwargs: dict[str, Any]) -> None:
        from matplotlib.lines import Line2D

        ((name, values),) = self.params.items()
        means, spread = self.scores.mean(axis=-1), self.scores.std(axis=-1)
        has_spread = self.scores.shape[-1] > 1
        style: dict[str, Any] = {"color": COLORS[0], "marker": "o", "markersize": 5}
        given = normalize_keywords(kwargs, Line2D)
        if "fmt" in given:  # it has a marker, or asks for none
            del style["marker"]
        failed = np.isnan(means)
        if are_finite_numbers(values):
            x = np.asarray(values, dtype=np.float64)
            line = ax.errorbar(x, means, **{**style, **given})[0]
            color = style["color"] if line is None else line.get_color()
            if has_spread:
                band: dict[str, Any] = {"color": color, "alpha": 0.2, "linewidth": 0}
                ax.fill_between(x, means - spread, means + spread, **band)
                # A band has no width at a value whose neighbours failed: draw an error bar there.
                padded = np.concatenate([[True], failed, [True]])
                alone = ~failed & padded[:-2] & padded[2:]
                bars: dict[str, Any] = {"fmt": "none", "ecolor": color, "capsize": 4}
                if alone.any():
                    ax.errorbar(x[alone], means[alone], spread[alone], **bars)
            _mark_failed(ax, x[failed])
            choose_scale(ax, x)
        else:
            x = np.arange(len(values), dtype=np.float64)
            style |= {"capsize": 4, "yerr": spread if has_spread else None}
            if "fmt" not in given:
                style["linestyle"] = "none"  # categories have no order
            ax.errorbar(x, means, **{**style, **given})
            _mark_failed(ax, x[failed])
            ax.set_xlim(-0.6, len(values) - 0.4)
            label_ticks(ax, "x", values)
        best = means == np.nanmax(means)  # all ties
        ax.plot(x[best], means[best], "D", color=MARK_COLOR, markersize=7, zorder=3)
        ax.set(xlabel=name, ylabel=escape_dollars(self.metric))
        self._write_title(ax, "diamond" + ("; split failed: cross" if failed.any() else ""))
        hide_spines(ax)

    def _draw_map(self, ax: Axes, kwargs: dict[str, Any]) -> None:
        import matplotlib
        from matplotlib.patches import Rectangle

        (x_name, x_values), (y_name, y_values) = self.params.items()
        means = self.scores.mean(axis=-1).T
        colors = matplotlib.colormaps["viridis"].with_extremes(bad=GREY)
        style = {"cmap": colors, "aspect": "auto", "origin": "lower", "interpolation": "nearest"}
        image = ax.imshow(means, **{**style, **kwargs})
        ax.figure.colorbar(image, ax=ax, label=escape_dollars(self.metric))
        label_ticks(ax, "x", x_values)
        label_ticks(ax, "y", y_values)
        ax.set(xlabel=x_name, ylabel=y_name)
        write_cell_values(ax, image, means)
        outline: dict[str, Any] = {"edgecolor": MARK_COLOR, "linewidth": 3, "clip_on": False}
        for y, x in np.argwhere(means == np.nanmax(means)):
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, zorder=3, **outline))
        self._write_title(ax, "outlined")

    def _draw_points(self, ax: Axes, kwargs: dict[str, Any]) -> None:
        from matplotlib.collections import PathCollection

        (x_name, x_values), (y_name, y_values) = self.params.items()
        means = self.scores.mean(axis=-1)
        x, y = np.meshgrid(x_values, y_values, indexing="ij")
        has_mean = np.isfinite(means)
        failed = ~has_mean & np.isfinite(self.scores).any(axis=-1)
        best = means == np.nanmax(means)
        style: dict[str, Any] = {"c": means[has_mean], "cmap": "viridis", "s": 60}
        given = normalize_keywords(kwargs, PathCollection)
        points = ax.scatter(x[has_mean], y[has_mean], **{**style, **given})
        ax.plot(x[failed], y[failed], "x", color="0.4")
        ring: dict[str, Any] = {"markersize": 13, "markeredgewidth": 2.5, "fillstyle": "none"}
        ax.plot(x[best], y[best], "o", color=MARK_COLOR, **ring)
        ax.figure.colorbar(points, ax=ax, label=escape_dollars(self.metric))
        choose_scale(ax, np.asarray(x_values, dtype=np.float64))
        choose_scale(ax, np.asarray(y_values, dtype=np.float64), "y")
        ax.set(xlabel=x_name, ylabel=y_name)
        self._write_title(ax, "ringed" + ("; split failed: cross" if failed.any() else ""))
        hide_spines(ax)


def _mark_failed(ax: Axes, x: np.ndarray) -> None:
    """Draw crosses at the bottom of the plot."""
    if len(x):
        ax.plot(x, np.full(len(x), 0.03), "x", color="0.4", transform=ax.get_xaxis_transform())
