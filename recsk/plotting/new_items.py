"""Recall of new items against that of known ones."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.data.checks import describe
from recsk.metrics import evaluate
from recsk.plotting.drawing import (
    COLORS,
    hide_spines,
    make_panels,
    normalize_keywords,
    write_title,
)

__all__ = ["NewItemDisplay"]


class NewItemDisplay:
    """What new items gain, and known items lose, as new items are recommended more often.

    Each point is one value of `new_item_share`. Make one with `from_estimator`.

    Parameters
    ----------
    shares : sequence of float
        Values of `new_item_share`.
    known, new : sequence of float
        Recall of known and of new items, where all compete, for each share.
    metric : str, default="recall"
        For the axes.

    Attributes
    ----------
    figure_ : Figure
    ax_ : Axes

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import matplotlib.pyplot as plt
    >>> from recsk.plotting import NewItemDisplay
    >>> display = NewItemDisplay([0, 1, 2], [0.36, 0.34, 0.33], [0.0, 0.17, 0.23], "recall@20")
    >>> display.plot().ax_.get_xlabel()
    'known items: recall@20'
    >>> plt.close(display.figure_)
    """

    figure_: Any
    ax_: Any

    def __init__(
        self,
        shares: Sequence[float],
        known: Sequence[float],
        new: Sequence[float],
        metric: str = "recall",
    ) -> None:
        self.shares = shares
        self.known = known
        self.new = new
        self.metric = metric

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        item_features: Mapping[str, Any],
        X_test: Any,
        *,
        labels: npt.ArrayLike | None = None,
        shares: Sequence[float] = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0),
        k: int = 20,
        ax: Any = None,
        **kwargs: Any,
    ) -> NewItemDisplay:
        """Add the same new items with each share, and draw the recall of new and known items.

        Parameters
        ----------
        estimator : MDERecommender or MDSRecRecommender
            Fitted on the known items; it stays as it is.
        item_features : dict of str to array-like of shape (n_new, n_columns)
            Of the new items, as in `add_items`.
        X_test : sparse matrix of shape (n_users, n_items + n_new)
            Held-out interactions with known items, and those with new ones, which are last.
        labels : array-like of shape (n_new,), default=None
            Labels of the new items, as in `add_items`.
        shares : sequence of float, default=(0, 0.5, 1, 1.5, 2, 3)
            Values of `new_item_share` to compare.
        k : int, default=20
            Length of the lists.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        NewItemDisplay

        Raises
        ------
        TypeError
            If the estimator has no `add_items`, or `X_test` is no sparse matrix.
        ValueError
            If `X_test` has not one column for each known and new item.
        """
        if not hasattr(estimator, "add_items"):
            raise TypeError(
                f"estimator must be a fitted recommender with add_items; got {describe(estimator)}"
            )
        if not sp.issparse(X_test):
            raise TypeError(f"X_test must be a sparse matrix; got {describe(X_test)}")
        known: list[float] = []
        new: list[float] = []
        for share in shares:
            grown = copy.copy(estimator).set_params(new_item_share=share)
            grown.add_items(item_features, labels)
            is_new = np.arange(grown.n_features_in_) >= estimator.n_features_in_
            if X_test.shape[1] != len(is_new):
                raise ValueError(
                    f"X_test must have {len(is_new)} columns, one for each known and new item; got "
                    f"{X_test.shape[1]}"
                )
            for recalls, chosen in ((known, ~is_new), (new, is_new)):
                part = sp.csr_array(X_test @ sp.diags_array(chosen.astype(np.float32)))
                part.eliminate_zeros()
                recalls.append(float(evaluate(grown, part, "recall", k)[f"recall@{k}"]))
        return cls(list(shares), known, new, f"recall@{k}").plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> NewItemDisplay:
        """Draw the stored values.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs
            For matplotlib's ``Axes.plot``.

        Returns
        -------
        NewItemDisplay
            Itself.
        """
        with make_panels(ax, [1], (4.2, 3.4)) as (figure, axes):
            from matplotlib.lines import Line2D

            (panel,) = axes
            style: dict[str, Any] = {"marker": "o", "markersize": 5, "color": COLORS[0]}
            style |= normalize_keywords(kwargs, Line2D)
            panel.plot(self.known, self.new, **style)
            for share, known, new in zip(self.shares, self.known, self.new, strict=True):
                panel.annotate(
                    f"{share:g}", (known, new), (4, 4), textcoords="offset points", fontsize="small"
                )
            panel.set_xlabel(f"known items: {self.metric}")
            panel.set_ylabel(f"new items: {self.metric}")
            panel.margins(0.12)
            write_title(panel, "new_item_share")
            hide_spines(panel)
        self.figure_, self.ax_ = figure, panel
        return self
