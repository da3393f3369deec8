"""Fitted networks that learn on from new interactions, users and items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from recsk.contract.growth import Features
from recsk.contract.learning import Learned
from recsk.contract.preparation import Prepared
from recsk.contract.training import warn_if_unfinished
from recsk.data.interactions import Interactions
from recsk.features.dense import Features as DenseFeatures
from recsk.features.growth import GrownFeatures
from recsk.models.growing import GrowingRecommender
from recsk.storage.state import StateReader

__all__ = ["ContinuingRecommender", "users_to_train"]


class ContinuingRecommender(GrowingRecommender):
    """A network whose training goes on from the weights of the last one.

    A subclass has the steps `_build`, `_train` and `_keep`, for data that are `Prepared` with
    `growth` too.
    """

    _architecture: ClassVar[tuple[str, ...]]  # parameters that the learned weights depend on
    _built_with: list[str]  # their values in the fit, in words

    def _learn_more(
        self, X: Any, item_features: Mapping[str, Any] | None, sample_weight: Any
    ) -> Callable[[], None]:
        self._check_architecture("partial_fit", "call fit")
        prepared = self._prepare_growth(X, item_features, sample_weight)
        with self._running(prepared.interactions), self._seeded(prepared):
            built = self._build(prepared)
            log = self._train(built)
            self._keep(built, log)
        return partial(warn_if_unfinished, log)

    def _fit_again(
        self,
        X: Any,
        item_features: Mapping[str, Any] | None,
        eval_set: Any,
        sample_weight: Any,
        checkpoint: Any,
        new_items: Any,
    ) -> Self:
        """Do as ``fit``, from the weights of the last training; others may read meanwhile."""
        self._check_architecture("fit with warm_start=True", "set warm_start=False")
        again = self._as_copy()
        prepared = again._prepare_again(
            X, item_features, eval_set, sample_weight, checkpoint, new_items
        )
        with again._running(prepared.interactions), again._seeded(prepared):
            built = again._build(prepared)
            log = again._train(built)
            again._keep(built, log)
        self.__dict__ = again.__dict__
        warn_if_unfinished(log)
        return self

    def _describe_architecture(self) -> list[str]:
        # The same for a number of NumPy and one of Python.
        values = (np.asarray(getattr(self, name)).tolist() for name in self._architecture)
        return [f"{name}={value!r}" for name, value in zip(self._architecture, values, strict=True)]

    def _check_architecture(self, call: str, cure: str) -> None:
        """Reject parameters that would make another network than the learned weights are of."""
        pairs = zip(self._describe_architecture(), self._built_with, strict=True)
        changed = [f"{now} (in the fit: {then})" for now, then in pairs if now != then]
        if changed:
            raise ValueError(
                f"{call} goes on with the network of the fit, but its parameters have changed: "
                f"{', '.join(changed)}. Set them back, or {cure}"
            )

    def _set_fitted(self, interactions: Interactions, learned: Learned) -> None:
        super()._set_fitted(interactions, learned)
        self._built_with = self._describe_architecture()

    def get_state(self) -> dict[str, Any]:
        """Return the fitted state for `recsk.save`."""
        return {**super().get_state(), "built_with": self._built_with}

    def set_state(self, state: StateReader) -> None:
        """Set the state that `get_state` returned."""
        super().set_state(state)
        self._built_with = state.strings("built_with")
        if len(self._built_with) != len(self._architecture):
            raise ValueError(f"built_with must have {len(self._architecture)} parameters")

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

    def _grow_features(
        self, item_features: Mapping[str, Any] | None, n_items: int
    ) -> GrownFeatures:
        grown = super()._grow_features(item_features, n_items)
        if item_features and self._content_space is not None:
            changed = grown.changed
            self._content_space.check({name: x[changed] for name, x in grown.features.items()})
        return grown

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
    if prepared.growth is None or not prepared.adds:
        return np.asarray(length > 0)
    chosen = prepared.growth.active.copy()
    others = np.flatnonzero((length > 0) & ~chosen)
    n = min(replayed * int(chosen.sum()), len(others))
    chosen[prepared.rng.choice(others, n, replace=False)] = True
    return chosen
