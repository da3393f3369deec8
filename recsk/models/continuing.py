"""Fitted networks that learn on from new interactions, users and items."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recsk.contract.growth import Features
from recsk.contract.preparation import Prepared
from recsk.contract.training import warn_if_unfinished
from recsk.data.forms import check_no_target
from recsk.features.dense import Features as DenseFeatures
from recsk.models.growing import GrowingRecommender

__all__ = ["ContinuingRecommender", "users_to_train"]


class ContinuingRecommender(GrowingRecommender):
    """A network whose training goes on from the weights of the last one.

    A subclass has the steps `_build`, `_train` and `_keep`, for data that are `Prepared` with
    `growth` too.
    """

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        *,
        item_features: Mapping[str, Any] | None = None,
        sample_weight: npt.ArrayLike | str | None = None,
    ) -> Self:
        """Learn on from new interactions, users and items, in a fraction of the time of a fit.

        Before a fit it is `fit`. Afterwards graphs and item-to-item weights are made again from all
        interactions so far, and training goes on from the learned weights: a short one, on the
        users with new interactions and as many others. New users start where fold-in places them,
        new items at their content. Other threads may recommend meanwhile: they read the model as
        it was.

        Parameters
        ----------
        X : sparse matrix of shape (n_users, n_items) or Interactions
            New interactions only. Labels are matched by label, and new ones get the next
            positions. A matrix has rows and columns of all known users and items, and of new ones
            behind them. Pairs that are known already count as repeats. In a model of sequences new
            interactions come behind the known ones.
        y : None
            Ignored.
        item_features : dict of str to array-like of shape (n_items, n_columns), default=None
            Features of new items: data frames with rows of new items, matched by label, or arrays
            with rows of all items. Rows of known items replace theirs; a row of NaN, and None,
            keep them.
        sample_weight : array-like of shape (n_samples,) or "value", default=None
            Weights of the new interactions, on the scale of those of the fit.

        Returns
        -------
        estimator
            Itself. `loss_curve_` and `n_iter_` are those of this call; nothing is held out.

        Raises
        ------
        TypeError
            As `fit`.
        ValueError
            As `fit`; also if X has fewer columns or other names than the fit, ids where the model
            speaks labels, or modalities or widths differ. The model then stays as it was.

        Warns
        -----
        ConvergenceWarning
            If values that are not finite end the training early.

        Examples
        --------
        >>> from recsk import MDERecommender
        >>> from recsk.datasets import make_multimodal
        >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
        >>> model = MDERecommender(n_factors=8, max_epochs=2, random_state=0)
        >>> model = model.fit(data.interactions[:200], item_features=data.item_features)
        >>> model = model.partial_fit(data.interactions[200:])
        >>> model.interactions_.nnz == data.interactions.to_csr().nnz
        True
        """
        check_no_target(y)
        if not self.__sklearn_is_fitted__():
            return self.fit(X, item_features=item_features, sample_weight=sample_weight)
        grown = self._as_copy()
        prepared = grown._prepare_growth(X, item_features, sample_weight)
        with grown._running(prepared.interactions), grown._seeded(prepared):
            built = grown._build(prepared)
            log = grown._train(built)
            grown._keep(built, log)
        self.__dict__ = grown.__dict__  # one assignment: other threads read either state
        warn_if_unfinished(log)
        return self

    def _seeded(self, prepared: Prepared[Any]) -> AbstractContextManager[None]:
        """Seed what a training draws from torch's own state."""
        return nullcontext()

    def _can_grow(self) -> bool:
        return True

    def _keep_features(self, features: Features) -> None:
        """Keep nothing: the content of items, kept later, tells their features."""

    def _known_features(self) -> Features:
        if self._content_space is None:
            return {}
        return self._content_space.features(self._content, self._content_lengths)

    def _prepare_grown_features(
        self, features: Mapping[str, npt.NDArray[Any]]
    ) -> dict[str, DenseFeatures]:
        """Bring features into the form of the fit: encoders know its means and deviations."""
        dense = {}
        for name, rows in features.items():
            present = ~np.isnan(rows[:, 0])
            if self._standardizes():
                assert self._content_space is not None
                rows = self._content_space.standardize(name, rows).astype(np.float32)
            dense[name] = DenseFeatures(np.where(present[:, None], rows, np.float32(0)), present)
        return dense


def users_to_train(
    prepared: Prepared[Any], length: npt.NDArray[Any], replayed: int
) -> npt.NDArray[np.bool_]:
    """Choose the users that a training learns from: all in a fit, later the active and some others.

    Parameters
    ----------
    prepared : Prepared
    length : ndarray of shape (n_users,)
        Interactions of each user.
    replayed : int
        Other users for each active one: what they like must not be forgotten.
    """
    if prepared.growth is None:
        return np.asarray(length > 0)
    chosen = prepared.growth.active.copy()
    others = np.flatnonzero((length > 0) & ~chosen)
    n = min(replayed * int(chosen.sum()), len(others))
    chosen[prepared.rng.choice(others, n, replace=False)] = True
    return chosen
