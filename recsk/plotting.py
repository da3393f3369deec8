"""Pictures of what a model has learned, in the form of scikit-learn's displays.

Each display has a class method that computes and draws, keeps the numbers it drew, and draws
them again with ``plot``. They need matplotlib: ``pip install recsk[plot]``.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from recsk._checks import at_least_one
from recsk._describe import describe
from recsk.base import BaseRecommender
from recsk.features import check_item_features
from recsk.model_selection import RankingScorer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EmbeddingDisplay", "LossCurveDisplay", "PreferenceDisplay", "SensitivityDisplay"]

# Okabe and Ito's colours, told apart with any colour vision, without the yellow: too pale on white.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
_MARK = "#D55E00"
_GREY = "0.75"


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
        _check_fitted(estimator)
        users = _attribute(estimator, "user_preference_")
        display = cls(
            user_preference=users,
            item_preference=getattr(estimator, "item_preference_", None),
            modality_names=_modality_names(estimator),
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
        with _canvas(ax, [len(groups)], (3.6 * len(groups) + 1, 3.4)) as (figure, axes):
            from matplotlib.ticker import MaxNLocator, PercentFormatter

            for panel, (group, values) in zip(axes, groups.items(), strict=True):
                for column, name in enumerate(self.modality_names):
                    counts, _ = np.histogram(values[:, column], edges)
                    style = {
                        "color": _COLORS[column % len(_COLORS)],
                        "linewidth": 1.8,
                        "linestyle": ("-", "--", "-.")[column % 3],
                        "label": name,
                    }
                    panel.stairs(counts / len(values), edges, **{**style, **kwargs})
                panel.axvline(even, color="0.4", linestyle=":", linewidth=1, label="even")
                means = zip(self.modality_names, values.mean(axis=0), strict=True)
                text = "mean " + ", ".join(f"{name}\u00a0{mean:.2f}" for name, mean in means)
                _title(panel, f"{len(values)} {group}", text)
                panel.set(xlabel="weight of the modality", ylabel=f"share of {group}")
                panel.xaxis.set_major_locator(MaxNLocator(4))
                panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
                _strip(panel)
            _legend_beside(axes[-1])
        self.figure_, self.ax_ = figure, axes
        return self


class LossCurveDisplay:
    """Every term of the loss and the validation metric by epoch, and which epoch was kept.

    The terms differ in size by orders of magnitude, and some are negative, so each has a panel
    of its own. The last panel is the validation metric, if there was one. A dashed line marks
    the epoch whose weights the model has.

    Use `from_estimator` to make one. Constructor arguments are kept as attributes.

    Parameters
    ----------
    loss_curve : dict of str to sequence of float
        Mean of every term of the loss, with its weight, by epoch.
    validation_curve : sequence of float, default=()
        The validation metric by epoch.
    best_iter : int, default=0
        Epoch that was kept, counted from 1; 0 marks none.
    eval_metric : str, default="metric"
        Name of the validation metric.

    Attributes
    ----------
    figure_ : matplotlib Figure
        What was drawn on.
    ax_ : ndarray of Axes of shape (n_panels,)
        The terms in the order of `loss_curve`, then the validation metric.

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
    (6, 'recall@20')
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
        """Draw the training of a fitted model.

        Parameters
        ----------
        estimator : recommender
            Fitted.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        LossCurveDisplay
        """
        _check_fitted(estimator)
        curve = _attribute(estimator, "loss_curve_")
        if not curve:
            raise ValueError(
                "estimator has an empty loss_curve_: its fit ended before the first epoch"
            )
        display = cls(
            loss_curve=curve,
            validation_curve=estimator.validation_curve_,
            best_iter=estimator.best_iter_,
            eval_metric=estimator.eval_metric,
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> LossCurveDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            Where to: one for all panels, which share its place, or one for each. None makes a
            new figure.
        **kwargs
            For matplotlib's ``Axes.plot``.

        Returns
        -------
        LossCurveDisplay
            Itself.
        """
        from_training = len(self.loss_curve)
        n_panels = from_training + bool(len(self.validation_curve))
        rows = _rows_of(n_panels)
        with _canvas(ax, rows, (3.2 * rows[0], 2.6 * len(rows))) as (figure, axes):
            for panel, (name, values) in zip(axes, self.loss_curve.items(), strict=False):
                self._draw(panel, values, _COLORS[0], kwargs)
                _title(panel, name.replace("_", " "))
            if n_panels > from_training:
                self._draw(axes[-1], self.validation_curve, _COLORS[2], kwargs)
                _title(axes[-1], "validation")
                axes[-1].set_ylabel(self.eval_metric)
            first = np.cumsum([0, *rows[:-1]])
            for place in first[first < from_training]:
                axes[place].set_ylabel("mean loss")
            for panel in axes[-rows[-1] :]:
                panel.set_xlabel(f"epoch (kept: {self.best_iter})" if self.best_iter else "epoch")
        self.figure_, self.ax_ = figure, axes
        return self

    def _draw(
        self, panel: Axes, values: Sequence[float], color: str, kwargs: dict[str, Any]
    ) -> None:
        from matplotlib.ticker import MaxNLocator

        epochs = np.arange(1, len(values) + 1)
        style = {"color": color, "marker": ".", "markersize": 4, "linewidth": 1.5}
        panel.plot(epochs, values, **{**style, **kwargs})
        if self.best_iter:
            label = f"kept: epoch {self.best_iter}"
            panel.axvline(self.best_iter, color=_MARK, linestyle="--", linewidth=1, label=label)
        panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        panel.ticklabel_format(axis="y", scilimits=(-3, 4))
        _strip(panel)


class SensitivityDisplay:
    """The score of a search by the values of one parameter, or of two.

    One parameter is drawn as the mean over the splits with a band of one standard deviation;
    values that are not all numbers become categories. Two parameters are drawn as a heat map of
    the means; combinations that were not tried, or failed, stay grey.

    Use `from_search` or `from_cv_results` to make one. Constructor arguments are kept as
    attributes.

    Parameters
    ----------
    params : dict of str to list
        One or two parameters and the values that they took, in the order in which to draw them.
    scores : ndarray of shape (n_values, n_splits) or (n_values, n_values_2, n_splits)
        The metric by value of the parameters and by split; NaN where there is none.
    metric : str, default="score"
        Name of the metric.
    fixed : dict, default=None
        Values of the other parameters that the search varied, the same for all that is drawn.

    Attributes
    ----------
    figure_ : matplotlib Figure
        What was drawn on.
    ax_ : Axes
        The picture, without the colour bar.

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
        search : GridSearchCV or the like
            Fitted.
        params, metric, ax, **kwargs
            As in `from_cv_results`.

        Returns
        -------
        SensitivityDisplay
        """
        if isinstance(search, type) or not hasattr(search, "fit"):
            raise TypeError(
                f"search must be a fitted GridSearchCV or the like; got {describe(search)}"
            )
        check_is_fitted(search, "cv_results_")
        return cls._make(search.cv_results_, params, metric, _scorer_name(search), ax, kwargs)

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
        """Draw the results of a search.

        Parameters
        ----------
        cv_results : dict or DataFrame
            The `cv_results_` of a search. Of successive halving, only the first iteration is
            drawn: the candidates of later ones had other resources.
        params : str or sequence of one or two str, default=None
            The parameters to draw, that of the x axis first. None takes those with more than one
            value, if they are two at most. All others are held at their values in the candidate
            with the best mean.
        metric : str, default=None
            Which metric, if there are several. If there is one, what to call it.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        SensitivityDisplay

        Raises
        ------
        TypeError
            If `cv_results` has not the form of `cv_results_`.
        ValueError
            If a parameter or metric is not in it, or there are too many to choose from.

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
        candidates, splits = _read_cv_results(cv_results)
        key, label = _choose_metric(splits, metric, metric_name)
        scores = splits[key]
        names = _choose_params(candidates, params)
        drawn = [i for i, one in enumerate(candidates) if all(name in one for name in names)]
        means = scores[drawn].mean(axis=1)
        if np.isnan(means).all():
            raise ValueError(f"cv_results has no score that is a number for metric {label!r}")
        best = candidates[drawn[int(np.nanargmax(means))]]

        def others(candidate: Mapping[str, Any]) -> dict[str, Any]:
            return {name: _key(value) for name, value in candidate.items() if name not in names}

        drawn = [i for i in drawn if others(candidates[i]) == others(best)]
        values = {name: _ordered(candidates[i][name] for i in drawn) for name in names}
        places = {name: {_key(v): at for at, v in enumerate(values[name])} for name in names}
        grid = np.full((*map(len, values.values()), scores.shape[1]), np.nan)
        for i in drawn:
            grid[tuple(places[name][_key(candidates[i][name])] for name in names)] = scores[i]
        varied = _varied(candidates)
        fixed = {name: best[name] for name in best if name in varied and name not in names}
        display = cls(params=values, scores=grid, metric=label, fixed=fixed)
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> SensitivityDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, default=None
            Where to. None makes a new figure.
        **kwargs
            For matplotlib's ``Axes.errorbar`` (one parameter) or ``Axes.imshow`` (two).

        Returns
        -------
        SensitivityDisplay
            Itself.
        """
        draw = self._draw_line if len(self.params) == 1 else self._draw_map
        with _canvas(ax, [1], (5.2, 3.8)) as (figure, axes):
            draw(axes[0], kwargs)
        self.figure_, self.ax_ = figure, axes[0]
        return self

    def _title(self, ax: Axes, best: str) -> None:
        n_splits = self.scores.shape[-1]
        spread = " ± std" if len(self.params) == 1 else ""
        what = f"mean{spread} of {n_splits} splits" if n_splits > 1 else "1 split"
        fixed = ", ".join(f"{name}={_text(value)}" for name, value in (self.fixed or {}).items())
        _title(ax, what, best, fixed)

    def _draw_line(self, ax: Axes, kwargs: dict[str, Any]) -> None:
        ((name, values),) = self.params.items()
        means, spread = self.scores.mean(axis=-1), self.scores.std(axis=-1)
        several = self.scores.shape[-1] > 1
        style: dict[str, Any] = {"color": _COLORS[0], "marker": "o", "markersize": 5}
        if _are_numbers(values):
            x = np.asarray(values, dtype=np.float64)
            if several:
                band: dict[str, Any] = {"color": _COLORS[0], "alpha": 0.2, "linewidth": 0}
                ax.fill_between(x, means - spread, means + spread, **band)
            ax.errorbar(x, means, **{**style, **kwargs})
            _scale(ax, x)
        else:
            x = np.arange(len(values), dtype=np.float64)
            style |= {"linestyle": "none", "capsize": 4}  # categories have no order: no line
            ax.errorbar(x, means, spread if several else None, **{**style, **kwargs})
            ax.set_xlim(-0.6, len(values) - 0.4)
            _name_ticks(ax, "x", values)
        best = means == np.nanmax(means)  # all of them, if there are several
        ax.plot(x[best], means[best], "D", color=_MARK, markersize=7, zorder=3)
        ax.set(xlabel=name, ylabel=self.metric)
        self._title(ax, "best: diamond")
        _strip(ax)

    def _draw_map(self, ax: Axes, kwargs: dict[str, Any]) -> None:
        import matplotlib
        from matplotlib.patches import Rectangle

        (x_name, x_values), (y_name, y_values) = self.params.items()
        means = self.scores.mean(axis=-1).T
        colors = matplotlib.colormaps["viridis"].with_extremes(bad=_GREY)
        style = {"cmap": colors, "aspect": "auto", "origin": "lower", "interpolation": "nearest"}
        image = ax.imshow(means, **{**style, **kwargs})
        ax.figure.colorbar(image, ax=ax, label=self.metric)
        _name_ticks(ax, "x", x_values)
        _name_ticks(ax, "y", y_values)
        ax.set(xlabel=x_name, ylabel=y_name)
        _write_cells(ax, image, means)
        outline: dict[str, Any] = {"edgecolor": _MARK, "linewidth": 3, "clip_on": False}
        for y, x in np.argwhere(means == np.nanmax(means)):
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, zorder=3, **outline))
        self._title(ax, "best: outlined")


class EmbeddingDisplay:
    """Items in two dimensions, modality by modality, before training and after.

    Above the features as they were given, below the vectors that the model learned: split by
    modality where these lie side by side, else all in one. Each panel has a projection of its
    own. An item that lacks a modality is missing from the panel of its features.

    Use `from_estimator` to make one. Constructor arguments are kept as attributes.

    Parameters
    ----------
    points : dict of (str, str) to ndarray of shape (n_items_drawn, 2)
        Places of the items by stage ("before" or "after") and modality, in the order in which
        to draw them; NaN where an item is missing.
    item_ids : ndarray of shape (n_items_drawn,)
        Which items these are.
    labels : ndarray of shape (n_items_drawn,), default=None
        What gives an item its colour.
    label_name : str, default="label"
        Name of the legend or the colour bar.
    axis_names : dict of (str, str) to tuple of str, default=None
        Names of the two axes by stage and modality.

    Attributes
    ----------
    figure_ : matplotlib Figure
        What was drawn on.
    ax_ : ndarray of Axes of shape (n_panels,)
        In the order of `points`.

    Notes
    -----
    With ``MDERecommender(fusion="concat")`` the learned part of a modality is weighted by the
    item's preference, as it is in scores.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import matplotlib.pyplot as plt
    >>> from recsk import MDERecommender
    >>> from recsk.datasets import make_multimodal
    >>> from recsk.plotting import EmbeddingDisplay
    >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
    >>> model = MDERecommender(n_factors=8, max_epochs=2, random_state=0)
    >>> model = model.fit(data.interactions, item_features=data.item_features)
    >>> display = EmbeddingDisplay.from_estimator(model, data.item_features, random_state=0)
    >>> list(display.points)
    [('before', 'v'), ('before', 't'), ('after', 'v'), ('after', 't')]
    >>> plt.close(display.figure_)
    """

    figure_: Any
    ax_: np.ndarray

    def __init__(
        self,
        *,
        points: Mapping[tuple[str, str], np.ndarray],
        item_ids: np.ndarray,
        labels: np.ndarray | None = None,
        label_name: str = "label",
        axis_names: Mapping[tuple[str, str], tuple[str, str]] | None = None,
    ) -> None:
        self.points = points
        self.item_ids = item_ids
        self.labels = labels
        self.label_name = label_name
        self.axis_names = axis_names

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseRecommender,
        item_features: Mapping[str, Any] | None = None,
        *,
        labels: npt.ArrayLike | None = None,
        label_name: str = "label",
        method: Literal["pca", "tsne"] = "pca",
        max_items: int | None = 2000,
        random_state: int | np.random.RandomState | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> EmbeddingDisplay:
        """Project the items of a fitted model and draw them.

        Parameters
        ----------
        estimator : recommender
            Fitted.
        item_features : dict of str to array-like of shape (n_items, n_columns), default=None
            What the model was fitted with, for the panels before training. None leaves them out.
        labels : array-like of shape (n_items,), default=None
            What gives an item its colour. Numbers of more than 7 different values get a colour
            bar; else the 6 most frequent values get a colour and all others are grey. None and
            NaN are no label.
        label_name : str, default="label"
            Name of the legend or the colour bar.
        method : {"pca", "tsne"}, default="pca"
            scikit-learn's PCA, whose axes tell the share of the variance that they show, or its
            t-SNE: slower, shows neighbourhoods but not distances.
        max_items : int or None, default=2000
            Of more items than this a random sample is drawn, the same in all panels. None draws
            all.
        random_state : int, RandomState or None, default=None
            Determines the sample and the projection.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        EmbeddingDisplay

        Raises
        ------
        TypeError, ValueError
            If `item_features` is not what the model was fitted with (as far as names and shapes
            tell), or another argument is wrong.
        """
        _need_matplotlib()
        _check_fitted(estimator)
        if method not in ("pca", "tsne"):
            raise ValueError(f"method must be 'pca' or 'tsne'; got {method!r}")
        n_items = estimator.n_features_in_
        features = check_item_features(item_features, n_items)
        names = _modality_names(estimator)
        if features and set(features) != set(estimator.modality_names_):
            raise ValueError(
                f"item_features has {sorted(features)}, but {type(estimator).__name__} was fitted "
                f"with {sorted(estimator.modality_names_)}"
            )
        if labels is not None:
            labels = np.asarray(labels)
            if labels.shape != (n_items,):
                raise ValueError(
                    f"labels must be of shape (n_items,), here ({n_items},); got shape "
                    f"{labels.shape}"
                )
        rng = check_random_state(random_state)
        item_ids = np.arange(n_items)
        if max_items is not None and n_items > at_least_one(max_items, "max_items"):
            item_ids = np.sort(rng.choice(n_items, max_items, replace=False))

        vectors = {("before", name): features[name][item_ids] for name in names if features}
        learned = estimator._similarity_vectors()[item_ids]
        if learned.shape[1] == len(names) * estimator.n_factors:
            parts = np.split(learned, len(names), axis=1)
            vectors |= {("after", name): part for name, part in zip(names, parts, strict=True)}
        else:
            vectors["after", "all modalities"] = learned
        found = {panel: _project(values, method, rng) for panel, values in vectors.items()}
        display = cls(
            points={panel: points for panel, (points, _) in found.items()},
            item_ids=item_ids,
            labels=None if labels is None else labels[item_ids],
            label_name=label_name,
            axis_names={panel: axes for panel, (_, axes) in found.items()},
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> EmbeddingDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            Where to: one for all panels, which share its place, or one for each. None makes a
            new figure.
        **kwargs
            For matplotlib's ``Axes.scatter``.

        Returns
        -------
        EmbeddingDisplay
            Itself.
        """
        stages = [stage for stage, _ in self.points]
        rows = [stages.count(stage) for stage in dict.fromkeys(stages)]
        with _canvas(ax, rows, (3.6 * max(rows) + 0.8, 3.3 * len(rows))) as (figure, axes):
            # Many points hide each other: smaller then.
            area = math.prod(_inches(axes[0]))
            size = float(np.clip(1000 * area / max(len(self.item_ids), 1), 2, 25))
            style: dict[str, Any] = {"s": size, "alpha": 0.7, "linewidths": 0}
            for panel, ((stage, name), points) in zip(axes, self.points.items(), strict=True):
                if self.labels is None:
                    names = list(dict.fromkeys(name for _, name in self.points))
                    color = _COLORS[names.index(name) % len(_COLORS)]
                    panel.scatter(*points.T, **{**style, "color": color, **kwargs})
                else:
                    scale = _scatter(panel, points, self.labels, {**style, **kwargs})
                x_name, y_name = (self.axis_names or {}).get((stage, name), ("", ""))
                _title(panel, f"{name}, {stage}")
                panel.set(xlabel=x_name, ylabel=y_name)
                panel.set_aspect("equal", adjustable="datalim")
                _strip(panel)
            if self.labels is not None and scale is not None:
                figure.colorbar(scale, ax=list(axes), label=self.label_name).solids.set_alpha(1)
            elif self.labels is not None:
                legend = _legend_beside(axes[rows[0] - 1], title=self.label_name)
                for handle in legend.legend_handles:
                    handle.set(sizes=[30], alpha=1)
        self.figure_, self.ax_ = figure, axes
        return self


# ----------------------------------------------------------------------------------- estimators


def _check_fitted(estimator: Any) -> None:
    if not isinstance(estimator, BaseRecommender):
        raise TypeError(f"estimator must be a recommender of recsk; got {describe(estimator)}")
    check_is_fitted(estimator)


def _attribute(estimator: BaseRecommender, name: str) -> Any:
    if not hasattr(estimator, name):
        raise TypeError(f"estimator must have {name}; {type(estimator).__name__} has none")
    return getattr(estimator, name)


def _modality_names(estimator: BaseRecommender) -> list[str]:
    return _attribute(estimator, "modality_names_") or ["id"]  # without features


def _project(
    vectors: np.ndarray, method: str, rng: np.random.RandomState
) -> tuple[np.ndarray, tuple[str, str]]:
    """Two dimensions of the rows that are finite, and names for them."""
    points = np.full((len(vectors), 2), np.nan)
    present = np.isfinite(vectors).all(axis=1)
    rows = vectors[present].astype(np.float64)
    seed = rng.randint(np.iinfo(np.int32).max)
    if method == "tsne" and len(rows) > 3:
        # Its perplexity must be below the number of rows.
        perplexity = min(30.0, (len(rows) - 1) / 3)
        init = "pca" if rows.shape[1] > 1 else "random"
        tsne = TSNE(perplexity=perplexity, init=init, random_state=seed)
        points[present] = tsne.fit_transform(rows.astype(np.float32))
        return points, ("t-SNE 1", "t-SNE 2")
    points[present] = 0
    shares = [0.0, 0.0]
    if len(rows) and np.ptp(rows, axis=0).any():
        pca = PCA(min(2, *rows.shape), random_state=seed).fit(rows)
        n_components = pca.n_components_
        points[np.ix_(present, range(n_components))] = pca.transform(rows)
        shares[:n_components] = pca.explained_variance_ratio_
    x_share, y_share = shares
    return points, (f"PC 1 ({x_share:.0%} var.)", f"PC 2 ({y_share:.0%} var.)")


# ------------------------------------------------------------------------------- search results


def _read_cv_results(
    cv_results: Any,
) -> tuple[list[Mapping[str, Any]], dict[str, np.ndarray]]:
    """Candidates, and the scores of their splits by metric."""
    columns = list(cv_results.keys()) if hasattr(cv_results, "keys") else []
    found: dict[str, dict[int, np.ndarray]] = {}
    for column in columns:
        if match := re.fullmatch(r"split(\d+)_test_(.+)", str(column)):
            values = np.asarray(cv_results[column], dtype=np.float64)
            found.setdefault(match[2], {})[int(match[1])] = values
    if "params" not in columns or not found:
        raise TypeError(
            "cv_results must be the cv_results_ of a search, with 'params' and "
            f"'split0_test_score' or the like; got {describe(cv_results)}"
        )
    candidates = list(cv_results["params"])
    splits = {
        metric: np.column_stack([values[split] for split in sorted(values)])
        for metric, values in found.items()
    }
    if "iter" in columns:  # successive halving
        first = np.asarray(cv_results["iter"])
        first = first == first.min()
        candidates = [one for one, kept in zip(candidates, first, strict=True) if kept]
        splits = {metric: values[first] for metric, values in splits.items()}
    return candidates, splits


def _scorer_name(search: Any) -> str | None:
    """What the one metric of a search is called, where that can be told."""
    scoring = getattr(search, "scoring", None)
    if isinstance(scoring, str):
        return scoring
    if isinstance(scoring, RankingScorer):
        return f"{scoring.metric}@{scoring.k}"
    return None


def _choose_metric(
    splits: Mapping[str, Any], metric: str | None, only: str | None
) -> tuple[str, str]:
    """Key of the metric, and what to call it; `only` is the name of the metric called score."""
    if metric is not None and not isinstance(metric, str):
        raise TypeError(f"metric must be a str or None; got {metric!r}")
    if list(splits) == ["score"]:  # what a search calls its only metric
        if only is None or metric in (None, only, "score"):
            return "score", only or metric or "score"
        known = [only]
    else:
        known = sorted(splits)
        if metric in known or (metric is None and len(known) == 1):
            return metric or known[0], metric or known[0]
    raise ValueError(f"metric must be one of {known}; got {metric!r}")


def _choose_params(
    candidates: Sequence[Mapping[str, Any]], params: str | Sequence[str] | None
) -> list[str]:
    known = sorted({name for candidate in candidates for name in candidate})
    if params is None:
        names = _varied(candidates)
        if len(names) in (1, 2):
            return names
        raise ValueError(
            f"params must name one or two parameters, as {len(names)} of the search have several "
            f"values; choose from {names or known}"
        )
    names = [params] if isinstance(params, str) else list(params)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"params must be one or two names of parameters; got {params!r}")
    if len(names) not in (1, 2) or len(set(names)) < len(names):
        raise ValueError(f"params must be one or two different names; got {params!r}")
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"params has {unknown[0]!r}, but the search varied {known}")
    if not any(all(name in candidate for name in names) for candidate in candidates):
        raise ValueError(f"params {names} were never varied together in the search")
    return names


def _varied(candidates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Parameters with more than one value, in order; to be absent is a value."""
    names = dict.fromkeys(name for candidate in candidates for name in candidate)
    absent = object()
    return [
        name
        for name in names
        if len({_key(candidate.get(name, absent)) for candidate in candidates}) > 1
    ]


def _key(value: Any) -> Any:
    """Something to compare a parameter's value by; arrays have no single truth."""
    if isinstance(value, Real) and not isinstance(value, bool | np.bool_):
        return float(value)
    return repr(value)


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(_key(value), float) and np.isfinite(value) for value in values)


def _ordered(values: Iterable[Any]) -> list[Any]:
    """Different values: numbers by size, else as they came."""
    different = list({_key(value): value for value in values}.values())
    return sorted(different) if _are_numbers(different) else different


def _text(value: Any) -> str:
    if isinstance(value, Real) and not isinstance(value, bool | np.bool_):
        return f"{value:.4g}"
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 24 else text[:21] + "..."


# -------------------------------------------------------------------------------------- drawing


def _need_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "recsk.plotting needs matplotlib, which is not installed: pip install recsk[plot]"
        ) from error


@contextmanager
def _canvas(
    ax: Any, rows: Sequence[int], size: tuple[float, float]
) -> Iterator[tuple[Any, np.ndarray]]:
    """Figure and panels, this many in each row; a figure of our own is closed on an error."""
    _need_matplotlib()
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpec

    n_panels = sum(rows)
    if ax is not None and not isinstance(ax, Axes):
        axes = np.asarray(ax, dtype=object).ravel()
        if not all(isinstance(one, Axes) for one in axes):
            raise TypeError(f"ax must be matplotlib Axes, or an array of them; got {describe(ax)}")
        if len(axes) != n_panels:
            raise ValueError(f"ax must be one Axes or {n_panels}, one per panel; got {len(axes)}")
        yield axes[0].figure, axes
        return
    if ax is not None and n_panels == 1:
        yield ax.figure, np.array([ax], dtype=object)
        return
    own: Any = None
    figure: Any
    grid: Any
    columns = math.lcm(*rows)  # so that rows of any length fill the width
    if ax is None:
        own = figure = plt.figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(len(rows), columns)
    else:
        figure = ax.figure
        ax.set_axis_off()
        # A layout engine finds the gaps by itself, and would add these to its own.
        gaps = {} if figure.get_layout_engine() else {"wspace": 0.5, "hspace": 0.7}
        if (whole := ax.get_subplotspec()) is not None:
            grid = whole.subgridspec(len(rows), columns, **gaps)
        else:  # placed by hand
            box = ax.get_position()
            place = {"left": box.x0, "right": box.x1, "bottom": box.y0, "top": box.y1}
            grid = GridSpec(len(rows), columns, figure, **gaps, **place)
    try:
        panels = [
            figure.add_subplot(grid[row, at * columns // n : (at + 1) * columns // n])
            for row, n in enumerate(rows)
            for at in range(n)
        ]
        yield figure, np.array(panels, dtype=object)
    except BaseException:
        if own is not None:
            plt.close(own)
        raise


def _rows_of(n_panels: int) -> list[int]:
    """Three panels in a row at most, four as two by two."""
    width = 2 if n_panels == 4 else min(n_panels, 3)
    return [width] * (n_panels // width) + [n_panels % width] * (n_panels % width > 0)


def _strip(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)


def _title(ax: Axes, *lines: str) -> None:
    width = max(int(_inches(ax)[0] / 0.085), 12)  # characters
    wrapped = [
        part for line in lines for part in textwrap.wrap(line, width, break_long_words=False)
    ]
    ax.set_title("\n".join(wrapped), fontsize="medium")


def _legend_beside(ax: Axes, **kwargs: Any) -> Any:
    """A legend that covers no data."""
    beside: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False}
    return ax.legend(**beside, fontsize="small", **kwargs)


def _scale(ax: Axes, values: np.ndarray) -> None:
    """Take a log axis for values that span decades, and show ticks at the values themselves."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    positive = values[values > 0]
    logarithmic = (
        len(positive) > 1
        and positive[-1] >= 10 * positive[0]
        and values[0] >= 0
        and _unevenness(np.log(positive)) <= _unevenness(positive)
    )
    if logarithmic and values[0] == 0:
        ax.set_xscale("symlog", linthresh=positive[0])
    elif logarithmic:
        ax.set_xscale("log")
    if len(values) <= 10:
        ax.xaxis.set_major_locator(FixedLocator(list(values)))
        ax.xaxis.set_major_formatter(FixedFormatter([_text(value) for value in values]))
        ax.xaxis.set_minor_locator(NullLocator())


def _unevenness(values: np.ndarray) -> float:
    steps = np.diff(values)
    return float(steps.std() / steps.mean())


def _inches(ax: Axes) -> tuple[float, float]:
    """About how large the Axes are; the layout is not known before the figure is drawn."""
    box = ax.get_window_extent()
    return box.width / ax.figure.dpi, box.height / ax.figure.dpi


def _name_ticks(ax: Axes, which: Literal["x", "y"], values: Sequence[Any]) -> None:
    """Values as names of ticks, aslant where they would meet, thinned out where they are many."""
    length = _inches(ax)["xy".index(which)]
    step = math.ceil(len(values) * 0.2 / length)  # 0.2 inches for a line of text
    names = [_text(value) for value in values][::step]
    width = 0.09 * max(map(len, names))  # inches of the longest name
    aslant = which == "x" and width > 0.85 * length / len(names)
    turn: dict[str, Any] = {}
    if aslant:
        turn = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    ticks = range(0, len(values), step)
    (ax.set_xticks if which == "x" else ax.set_yticks)(ticks, names, **turn)


def _write_cells(ax: Axes, image: Any, means: np.ndarray) -> None:
    """Write the numbers into a heat map, if they fit."""
    width, height = _inches(ax)
    # Digits enough to tell a fiftieth of the range.
    span = np.nanmax(means) - np.nanmin(means) or abs(np.nanmax(means)) or 1
    digits = int(np.clip(np.ceil(-np.log10(span / 50)), 0, 6))
    texts = {
        place: f"{mean:.{digits}f}" for place, mean in np.ndenumerate(means) if np.isfinite(mean)
    }
    longest = max(map(len, texts.values()))
    # In points; a character is about 0.6 of the size wide, the colour bar takes its part.
    size = min(
        72 * 0.7 * width / means.shape[1] / (0.6 * longest), 72 * 0.6 * height / means.shape[0], 10
    )
    if size < 5:
        return
    for (y, x), text in texts.items():
        red, green, blue, _ = image.cmap(image.norm(means[y, x]))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        color = "white" if dark else "black"
        ax.text(x, y, text, color=color, fontsize=size, ha="center", va="center")


def _scatter(ax: Axes, points: np.ndarray, labels: np.ndarray, style: dict[str, Any]) -> Any:
    """Points coloured by label; what a colour bar is made from, None if a legend tells more."""
    missing = np.array([label is None or label != label for label in labels], dtype=bool)
    given = labels[~missing]
    names, counts = np.unique(given.astype(str), return_counts=True)
    if given.dtype.kind in "iuf" and len(names) > 7:
        ax.scatter(*points[missing].T, **{**style, "color": _GREY})
        return ax.scatter(*points[~missing].T, **{"c": given, "cmap": "viridis", **style})
    chosen = names[np.argsort(-counts, kind="stable")]
    if len(chosen) > 7:
        chosen = chosen[:6]
    texts = np.full(len(labels), None, dtype=object)
    texts[~missing] = given.astype(str)
    groups = [(name, texts == name, color, 2) for name, color in zip(chosen, _COLORS, strict=False)]
    rest = ~missing & ~np.isin(texts, chosen)
    groups.append((f"{len(names) - len(chosen)} others", rest, "0.5", 1))
    groups.append(("no label", missing, "0.8", 1))
    for name, members, color, layer in groups:
        if members.any():
            kept = {"color": color, "label": name, "zorder": layer}
            ax.scatter(*points[members].T, **{**kept, **style})
    return None
