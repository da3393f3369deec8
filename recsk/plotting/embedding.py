"""Plot of items in two dimensions, before and after training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.utils import check_random_state

from recsk.contract import BaseRecommender
from recsk.contract.running import one_thread_in_forks
from recsk.data.checks import check_positive_int
from recsk.features import check_item_features
from recsk.features.alignment import align_item_features
from recsk.plotting.drawing import (
    COLORS,
    add_legend,
    check_matplotlib,
    hide_spines,
    make_panels,
    normalize_keywords,
    size_in_inches,
    write_title,
)
from recsk.plotting.fitted import check_fitted, get_modality_names
from recsk.plotting.scatter import scatter_by_label
from recsk.plotting.text import escape_dollars

__all__ = ["EmbeddingDisplay"]


class EmbeddingDisplay:
    """Projections of items to two dimensions, before and after training.

    The upper panels show the features of each modality. The lower panels show the vectors that
    the model learned: one panel for each modality if the vectors are a concatenation of the
    modalities, else one panel for all. Each panel has its own projection. An item without a
    modality is missing from the panel of its features.

    Create it with `from_estimator`. The constructor keeps its arguments as attributes.

    Parameters
    ----------
    points : dict of (str, str) to ndarray of shape (n_items_drawn, 2)
        Coordinates of the items by stage ("before" or "after") and modality, in the order of the
        panels. NaN where an item is missing.
    item_ids : ndarray of shape (n_items_drawn,)
        The ids of the drawn items; their labels if the model was fitted on labels.
    labels : ndarray of shape (n_items_drawn,), default=None
        Labels of the items, which determine their colours.
    label_name : str, default="label"
        Title of the legend or the colour bar.
    axis_names : dict of (str, str) to tuple of str, default=None
        Names of the two axes by stage and modality.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure of the plot.
    ax_ : ndarray of Axes of shape (n_panels,)
        The panels, in the order of `points`.

    Notes
    -----
    With ``MDERecommender(fusion="concat")`` the learned part of each modality is weighted by the
    item's preference, as in the scores.

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
            A fitted recommender.
        item_features : dict of str to array-like of shape (n_items, n_columns), default=None
            The features that the model was fitted with, for the panels before training. None
            leaves these panels out.
        labels : array-like of shape (n_items,), default=None
            Labels that determine the colours of the items. A pandas Series is matched by the
            labels of the items in its index, where the model was fitted on labels. More than 7
            different numbers get a colour bar. Of more than 7 other values, the 6 most frequent
            get a colour and all others are grey. None and NaN mean no label and are drawn pale.
        label_name : str, default="label"
            Title of the legend or the colour bar.
        method : {"pca", "tsne"}, default="pca"
            PCA of scikit-learn, with the share of the variance on each axis, or its t-SNE, which
            is slower and shows neighbourhoods but not distances.
        max_items : int or None, default=2000
            If there are more items, draw a random sample of this size, the same in all panels.
            None draws all.
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
            If `item_features` has other modalities or another number of rows than in training,
            or another argument is wrong.
        """
        check_matplotlib()
        check_fitted(estimator)
        if method not in ("pca", "tsne"):
            raise ValueError(f"method must be 'pca' or 'tsne'; got {method!r}")
        n_items = estimator.n_features_in_
        fit_labels = estimator._labels.get("item")
        columns = getattr(estimator, "_feature_columns", {})
        item_features, _ = align_item_features(item_features, n_items, fit_labels, columns=columns)
        features = check_item_features(item_features, n_items)
        names = get_modality_names(estimator)
        if features and set(features) != set(estimator.modality_names_):
            raise ValueError(
                f"item_features has {sorted(features)}, but {type(estimator).__name__} was fitted "
                f"with {sorted(estimator.modality_names_)}"
            )
        if labels is not None:
            if fit_labels is not None and hasattr(labels, "reindex"):  # a pandas Series by label
                labels = labels.reindex(fit_labels.values)
            labels = np.asarray(labels)
            if labels.shape != (n_items,):
                raise ValueError(
                    f"labels must have the shape (n_items,), here ({n_items},); got shape "
                    f"{labels.shape}"
                )
        rng = check_random_state(random_state)
        item_ids = np.arange(n_items)
        if max_items is not None and n_items > check_positive_int(max_items, "max_items"):
            item_ids = np.sort(rng.choice(n_items, max_items, replace=False))

        vectors = {("before", name): features[name][item_ids] for name in names if features}
        learned = estimator._similarity_vectors(estimator.item_embedding_)[item_ids]
        if estimator._has_modality_parts() or len(names) == 1:
            parts = np.split(learned, len(names), axis=1)
            vectors |= {("after", name): part for name, part in zip(names, parts, strict=True)}
        else:
            vectors["after", "all modalities"] = learned
        projections = {panel: _project(values, method, rng) for panel, values in vectors.items()}
        display = cls(
            points={panel: points for panel, (points, _) in projections.items()},
            item_ids=estimator._name_items(item_ids),
            labels=None if labels is None else labels[item_ids],
            label_name=label_name,
            axis_names={panel: axes for panel, (_, axes) in projections.items()},
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> EmbeddingDisplay:
        """Draw the stored points.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            Where to draw: one for all panels, which share its area, or one for each panel. None
            makes a new figure.
        **kwargs
            For matplotlib's ``Axes.scatter``: one value each, or one for every drawn item.

        Returns
        -------
        EmbeddingDisplay
            Itself.

        Raises
        ------
        ValueError
            If both `labels` and colours are given.
        """
        if self.labels is not None and (clash := {"c", "color"} & kwargs.keys()):
            raise ValueError(
                f"{clash.pop()} cannot be combined with labels, which determine the colours of the "
                "items; leave one of the two out, or pass cmap"
            )
        stages = [stage for stage, _ in self.points]
        rows = [stages.count(stage) for stage in dict.fromkeys(stages)]
        with make_panels(ax, rows, (3.6 * max(rows) + 0.8, 3.3 * len(rows))) as (figure, axes):
            from matplotlib.collections import PathCollection

            # Many points hide each other, so they are smaller.
            area = math.prod(size_in_inches(axes[0]))
            size = float(np.clip(1000 * area / max(len(self.item_ids), 1), 2, 25))
            style: dict[str, Any] = {"s": size, "alpha": 0.7, "linewidth": 0}
            given = normalize_keywords(kwargs, PathCollection)
            for panel, ((stage, name), points) in zip(axes, self.points.items(), strict=True):
                if self.labels is None:
                    names = list(dict.fromkeys(name for _, name in self.points))
                    color = COLORS[names.index(name) % len(COLORS)]
                    own = {} if "c" in given else {"color": color}
                    panel.scatter(*points.T, **{**style, **own, **given})
                else:
                    scale, entries = scatter_by_label(
                        panel, points, self.labels, {**style, **given}
                    )
                x_name, y_name = (self.axis_names or {}).get((stage, name), ("", ""))
                write_title(panel, f"{name}, {stage}")
                panel.set(xlabel=x_name, ylabel=y_name)
                panel.set_aspect("equal", adjustable="datalim")
                hide_spines(panel)
            label_name = escape_dollars(self.label_name)
            if self.labels is not None and scale is not None:
                label = f"{label_name} (grey: no label)" if entries else label_name
                figure.colorbar(scale, ax=list(axes), label=label).solids.set_alpha(1)
            elif self.labels is not None:
                marker = given.get("marker", "o")
                dots = [(_legend_marker(artist, marker), name) for artist, name in entries]
                add_legend(axes[rows[0] - 1], dots, title=label_name)
        self.figure_, self.ax_ = figure, axes
        return self


def _legend_marker(points: Any, marker: Any) -> Any:
    """Make a marker like these points for a legend, with full size and opacity."""
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


@one_thread_in_forks()
def _project(
    vectors: np.ndarray, method: str, rng: np.random.RandomState
) -> tuple[np.ndarray, tuple[str, str]]:
    """Project the finite rows to two dimensions, and return the points and the axis names."""
    points = np.full((len(vectors), 2), np.nan)
    present = np.isfinite(vectors).all(axis=1)
    rows = vectors[present].astype(np.float64)
    seed = rng.randint(np.iinfo(np.int32).max)
    rows_differ = len(rows) > 0 and bool(np.ptp(rows, axis=0).any())
    points[present] = 0
    if method == "tsne" and len(rows) > 3:
        if rows_differ:  # equal rows would crash the process
            rows -= rows.mean(axis=0)
            rows /= np.abs(rows).max()  # otherwise the squares overflow float32
            # The perplexity must be below the number of rows.
            perplexity = min(30.0, (len(rows) - 1) / 3)
            init = "pca" if rows.shape[1] > 1 else "random"
            tsne = TSNE(perplexity=perplexity, init=init, random_state=seed)
            points[present] = tsne.fit_transform(rows.astype(np.float32))
        return points, ("t-SNE 1", "t-SNE 2")
    shares = [0.0, 0.0]
    if rows_differ:
        pca = PCA(min(2, *rows.shape), random_state=seed).fit(rows)
        n_components = pca.n_components_
        points[np.ix_(present, range(n_components))] = pca.transform(rows)
        shares[:n_components] = pca.explained_variance_ratio_
    x_share, y_share = shares
    return points, (f"PC 1 ({x_share:.0%} var.)", f"PC 2 ({y_share:.0%} var.)")
