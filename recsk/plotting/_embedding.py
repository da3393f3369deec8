"""Items in two dimensions, before and after training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.utils import check_random_state

from recsk._checks import at_least_one
from recsk.base import BaseRecommender
from recsk.features import check_item_features
from recsk.plotting._drawing import (
    COLORS,
    canvas,
    inches,
    keywords,
    legend_beside,
    need_matplotlib,
    strip,
    write_title,
)
from recsk.plotting._fitted import check_fitted, modality_names
from recsk.plotting._scatter import scatter
from recsk.plotting._text import plain

__all__ = ["EmbeddingDisplay"]


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
            bar; else, of more than 7 values, the 6 most frequent get a colour and all others are
            grey. None and NaN are no label, and pale.
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
            If `item_features` has other modalities than the model was fitted with or another
            number of rows, or another argument is wrong.
        """
        need_matplotlib()
        check_fitted(estimator)
        if method not in ("pca", "tsne"):
            raise ValueError(f"method must be 'pca' or 'tsne'; got {method!r}")
        n_items = estimator.n_features_in_
        features = check_item_features(item_features, n_items)
        names = modality_names(estimator)
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
        learned = estimator._directions(estimator.item_embedding_)[item_ids]
        if estimator._by_modality() or len(names) == 1:
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
            For matplotlib's ``Axes.scatter``; of one value, or one for each item drawn.

        Returns
        -------
        EmbeddingDisplay
            Itself.

        Raises
        ------
        ValueError
            If there are `labels` and colours too.
        """
        if self.labels is not None and (clash := {"c", "color"} & kwargs.keys()):
            raise ValueError(
                f"{clash.pop()} cannot be given beside labels, which are what gives an item its "
                "colour; leave one of the two out, or give cmap"
            )
        stages = [stage for stage, _ in self.points]
        rows = [stages.count(stage) for stage in dict.fromkeys(stages)]
        with canvas(ax, rows, (3.6 * max(rows) + 0.8, 3.3 * len(rows))) as (figure, axes):
            from matplotlib.collections import PathCollection

            # Many points hide each other: smaller then.
            area = math.prod(inches(axes[0]))
            size = float(np.clip(1000 * area / max(len(self.item_ids), 1), 2, 25))
            style: dict[str, Any] = {"s": size, "alpha": 0.7, "linewidth": 0}
            given = keywords(kwargs, PathCollection)
            for panel, ((stage, name), points) in zip(axes, self.points.items(), strict=True):
                if self.labels is None:
                    names = list(dict.fromkeys(name for _, name in self.points))
                    color = COLORS[names.index(name) % len(COLORS)]
                    own = {} if "c" in given else {"color": color}
                    panel.scatter(*points.T, **{**style, **own, **given})
                else:
                    scale, entries = scatter(panel, points, self.labels, {**style, **given})
                x_name, y_name = (self.axis_names or {}).get((stage, name), ("", ""))
                write_title(panel, f"{name}, {stage}")
                panel.set(xlabel=x_name, ylabel=y_name)
                panel.set_aspect("equal", adjustable="datalim")
                strip(panel)
            label_name = plain(self.label_name)
            if self.labels is not None and scale is not None:
                label = f"{label_name} (grey: none)" if entries else label_name
                figure.colorbar(scale, ax=list(axes), label=label).solids.set_alpha(1)
            elif self.labels is not None:
                marker = given.get("marker", "o")
                dots = [(_dot(artist, marker), name) for artist, name in entries]
                legend_beside(axes[rows[0] - 1], dots, title=label_name)
        self.figure_, self.ax_ = figure, axes
        return self


def _dot(points: Any, marker: Any) -> Any:
    """What these points look like in a legend, however small or pale they are."""
    from matplotlib.lines import Line2D

    inside, edge = points.get_facecolor(), points.get_edgecolor()
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=marker,
        markersize=5.5,
        markerfacecolor=inside[0, :3] if len(inside) else "none",
        markeredgecolor=(edge if len(edge) else inside)[0, :3],
    )


def _project(
    vectors: np.ndarray, method: str, rng: np.random.RandomState
) -> tuple[np.ndarray, tuple[str, str]]:
    """Two dimensions of the rows that are finite, and names for them."""
    points = np.full((len(vectors), 2), np.nan)
    present = np.isfinite(vectors).all(axis=1)
    rows = vectors[present].astype(np.float64)
    seed = rng.randint(np.iinfo(np.int32).max)
    differ = len(rows) > 0 and bool(np.ptp(rows, axis=0).any())
    points[present] = 0
    if method == "tsne" and len(rows) > 3:
        if differ:  # of equal rows it makes a crash of the process
            rows -= rows.mean(axis=0)
            rows /= np.abs(rows).max()  # or float32 overflows on the squares
            # Its perplexity must be below the number of rows.
            perplexity = min(30.0, (len(rows) - 1) / 3)
            init = "pca" if rows.shape[1] > 1 else "random"
            tsne = TSNE(perplexity=perplexity, init=init, random_state=seed)
            points[present] = tsne.fit_transform(rows.astype(np.float32))
        return points, ("t-SNE 1", "t-SNE 2")
    shares = [0.0, 0.0]
    if differ:
        pca = PCA(min(2, *rows.shape), random_state=seed).fit(rows)
        n_components = pca.n_components_
        points[np.ix_(present, range(n_components))] = pca.transform(rows)
        shares[:n_components] = pca.explained_variance_ratio_
    x_share, y_share = shares
    return points, (f"PC 1 ({x_share:.0%} var.)", f"PC 2 ({y_share:.0%} var.)")
