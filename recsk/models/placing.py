"""Items of a fit that content places: those without interactions, and with few."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.contract.growth import Growth
from recsk.contract.learning import Learned
from recsk.contract.training import TrainedRecommender
from recsk.data.interactions import Interactions
from recsk.features.content_space import ContentSpace
from recsk.models.content_regression import (
    directions_to_regress_on,
    scale_rows,
    similar_by_content,
)
from recsk.models.new_items import NewItemModel, extend_item_to_item, mix_vectors
from recsk.storage.state import StateReader

__all__ = ["PlacingRecommender"]

_N_USERS = 500  # a sample of users, whose lists calibrate new items
_MAX_SCORES = 2**25  # of these users, for the memory
# An item with fewer interactions is rare: item-to-item weights are filled in by its content.
_RARE, _RARE_OF_MEAN = 5, 0.5


class PlacingRecommender(TrainedRecommender):
    """A recommender that predicts items from their content where little else is known of them.

    A subclass calls `_keep_content` in its `_keep` and, after `_set_fitted`, `_place_new_items`.
    """

    _made_when_needed = ("_new_item_model", "_content_basis")
    _content_space: ContentSpace | None = None  # None without features
    _content: npt.NDArray[np.float32]  # of all items
    _content_lengths: npt.NDArray[np.float32]  # with it, what the features were
    # Items without interactions in the fit, those it was told of and later ones, until they have as
    # many as others.
    _young: npt.NDArray[np.bool_]
    new_item_share: float | None  # a parameter
    # Directions of the content that are regressed on, by the items of the fit: None if all are, or
    # before the first use.
    _content_basis: npt.NDArray[np.float32] | None = None
    _n_trained: int  # items of the last training: later ones are behind them
    _new_item_model: NewItemModel | None = None  # made when it is needed

    def _predicted_width(self) -> int:
        """Columns of a vector that content predicts; new items have the mean of the others."""
        return int(self.item_embedding_.shape[1])

    def _check_new_items(
        self,
        new_items: Any,
        interactions: Interactions,
        features: Mapping[str, npt.NDArray[np.float32]],
        *,
        again: bool = False,
    ) -> npt.NDArray[np.int64] | None:
        """Return ids of the items that have just arrived, None without any.

        `again`: for a fit with warm_start, where those of the last fit stay new.
        """
        if new_items is None:
            return None
        items = np.unique(self._check_items(new_items, "new_items"))
        if not len(items):
            return None
        if not features:
            raise ValueError("new_items are placed by their content: give item_features too")
        if self.new_item_share is None:
            raise ValueError(
                "new_items are not placed with new_item_share=None: set it to 1.0, or leave "
                "new_items out"
            )
        described = ~np.all([np.isnan(rows[:, 0]) for rows in features.values()], axis=0)
        older = described & (np.bincount(interactions.item, minlength=len(described)) > 0)
        older[items] = False
        if again and "_young" in self.__dict__:
            older[: len(self._young)] &= ~self._young
            older[len(self._young) :] = False
        if not older.any():
            raise ValueError(
                "new_items leaves no other item that has interactions and features, from which the "
                "places of new ones are learned: leave some out"
            )
        if lacking := int((~described[items]).sum()):
            warnings.warn(
                f"{lacking} of the {len(items)} new_items have no features, and are placed as if "
                "they were no new ones",
                stacklevel=4,
            )
        return items

    def _keep_content(
        self,
        features: Mapping[str, npt.NDArray[np.float32]],
        growth: Growth | None = None,
        new_items: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """Keep what new items are compared with; of a fit without features, nothing.

        With `growth`, items whose features have not changed keep their content. `new_items` are
        young, whatever they were.
        """
        space = self._content_space if growth is not None else None
        known, lengths = (self._content, self._content_lengths) if space else (None, None)
        if space:
            self._choose_basis()  # by what is known so far, whether somebody needed it or not
        for name in ("_new_item_model", "_content_space", "_content", "_content_lengths"):
            self.__dict__.pop(name, None)
        if growth is None:
            self.__dict__.pop("_young", None)
        if not features:
            self.__dict__.pop("_content_basis", None)
            return
        if new_items is not None:
            young = np.zeros(len(next(iter(features.values()))), dtype=bool)
            young[new_items] = True
            if "_young" in self.__dict__:  # a fit with warm_start
                n = len(self._young)
                young[:n] |= self._young
                young[n:] = True
            self._young = young
        self._content_space = space or ContentSpace.from_features(features)
        if known is None or lengths is None or growth is None:
            self.__dict__.pop("_content_basis", None)
            self._content = self._content_space.vectors(features)
            self._content_lengths = self._content_space.lengths(features)
            return
        changed = growth.changed
        some = {name: rows[changed] for name, rows in features.items()}
        self._content = _with_rows(known, changed, self._content_space.vectors(some))
        self._content_lengths = _with_rows(lengths, changed, self._content_space.lengths(some))

    def _features_of(self, items: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float32]]:
        if self._content_space is None:
            return {}
        return self._content_space.features(self._content[items], self._content_lengths[items])

    def _set_fitted(self, interactions: Interactions, learned: Learned) -> None:
        super()._set_fitted(interactions, learned)
        if self._content_space is None:
            return
        self._n_trained = self.n_features_in_
        count = self._n_interactions()
        if "_young" not in self.__dict__:  # a fit
            self._young = count == 0
            return
        n_later = self.n_features_in_ - len(self._young)
        self._young = np.append(self._young, np.ones(n_later, dtype=bool))
        self._young |= count == 0  # a fit with warm_start forgets interactions
        if not (self._learned_items() & ~self._young).any():
            self._young &= count == 0  # there is nothing else to learn from
        self._young &= self._newness() > 0

    def _learned_items(self) -> npt.NDArray[np.bool_]:
        """Which items have content and interactions."""
        return self._content.any(axis=1) & (self._n_interactions() > 0)

    def _mean_count(self) -> float:
        """Interactions that an item has on average which was there all the time."""
        learned = self._learned_items() & ~self._young
        return float(self._n_interactions()[learned].mean()) if learned.any() else 1.0

    def _newness(self) -> npt.NDArray[np.float32]:
        """How new each item is: 1 without interactions, 0 from as many as items have on average.

        Few interactions of an item that was there all the time are evidence that it is unpopular;
        those of an item that has just arrived are not. The root, because the first ones say little.
        """
        left = np.maximum(1 - self._n_interactions() / self._mean_count(), 0)
        return np.where(self._young, np.sqrt(left), 0).astype(np.float32)

    def _rarity(self) -> npt.NDArray[np.float32]:
        """How little is known of each item that was there all the time, from 1 to 0."""
        enough = min(_RARE, _RARE_OF_MEAN * self._mean_count())
        part = np.maximum(1 - self._n_interactions() / enough, 0)
        return np.where(self._young, 0, part).astype(np.float32)

    def _place_new_items(self) -> None:
        """Give items what their content predicts, the less the more is learned of them.

        New items get a vector, item-to-item weights and the place of new items, rare ones of the
        fit item-to-item weights alone: that they are rare is known.
        """
        if self._content_space is None or not self._learned_items().any():
            return
        self._fill_in_rare_items()  # first: those of new items are means of theirs
        newness = self._newness() * self._content.any(axis=1)
        new = np.flatnonzero(newness)
        if not len(new):
            return
        estimate, part = self._make_new_item_model()(self._content[new], len(newness)), newness[new]
        self.item_embedding_[new] = mix_vectors(
            self.item_embedding_[new], estimate.vectors, part, self._predicted_width()
        )
        self._extend_item_to_item(estimate.similar, new, np.float32(estimate.scale) * part)

    def _fill_in_rare_items(self) -> None:
        """Add to the item-to-item weights of rare items those of similar ones."""
        rarity, known = self._rarity(), np.flatnonzero(self._learned_items() & ~self._young)
        rare = known[rarity[known] > 0]
        if not len(rare) or not hasattr(self, "item_to_item_"):
            return
        itself = np.searchsorted(known, rare)
        weights = similar_by_content(self._content[rare], self._content[known], itself)
        parts = weights.data, known[weights.indices], weights.indptr
        similar = sp.csr_matrix(parts, shape=(len(rare), len(rarity)), dtype=np.float32)
        self._extend_item_to_item(scale_rows(similar), rare, rarity[rare])

    def _is_filled_in(self) -> npt.NDArray[np.bool_]:
        """Which items have item-to-item weights with a part that content gave."""
        if self._content_space is None:
            return np.zeros(self.interactions_.shape[1], dtype=bool)
        return (self._rarity() > 0) | (self._newness() > 0)

    def _extend_item_to_item(
        self,
        similar: sp.csr_matrix,
        items: npt.NDArray[np.int64],
        part: npt.NDArray[np.float32],
    ) -> None:
        if hasattr(self, "item_to_item_"):
            self.item_to_item_ = extend_item_to_item(self.item_to_item_, similar, items, part)

    def _n_interactions(self) -> npt.NDArray[np.int64]:
        """Count the interactions of each item, those of the last training."""
        return np.bincount(self.interactions_.indices, minlength=self.interactions_.shape[1])

    def _choose_basis(self) -> None:
        """Choose the directions of a content of many columns, once for a fit."""
        known = self._learned_items() & ~self._young
        if self._content_basis is None and known.any():
            basis = directions_to_regress_on(self._content[known])
            if basis is not None:
                self._content_basis = basis

    def _make_new_item_model(self) -> NewItemModel:
        self._choose_basis()
        n_users = np.clip(_MAX_SCORES // self._n_trained, 1, _N_USERS)
        with_history = np.flatnonzero(np.diff(self.interactions_.indptr))
        some = np.unique(np.linspace(0, len(with_history) - 1, n_users).astype(np.int64))
        sample = with_history[some]
        return NewItemModel(
            self._content,
            self.item_embedding_,
            self._predicted_width(),
            np.where(self._young, 0, self._n_interactions()),
            getattr(self, "item_to_item_", None),
            self._stored_users(sample),
            self.interactions_[sample],
            self.new_item_share,
            self._content_basis,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is made again when it is needed."""
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_new_item_model", None)
        return state

    def get_state(self) -> dict[str, Any]:
        """Return the fitted state for `recsk.save`."""
        state = super().get_state()
        space = self._content_space
        if space is not None:
            names, clicked = self.modality_names_, self._young & (self._n_interactions() > 0)
            state["content"] = {
                "vectors": self._content,
                **({} if self._content_basis is None else {"basis": self._content_basis}),
                "lengths": np.nan_to_num(self._content_lengths, nan=-1),
                **({"young": np.flatnonzero(clicked)} if clicked.any() else {}),
                **({"n_trained": self._n_trained} if self._n_trained < len(clicked) else {}),
                "widths": np.array([space.n_columns[name] for name in names], dtype=np.int64),
                "means": np.concatenate([space.means[name] for name in names]),
                "deviations": np.concatenate([space.deviations[name] for name in names]),
            }
        return state

    def set_state(self, state: StateReader) -> None:
        """Set the state that `get_state` returned."""
        super().set_state(state)
        content = state.part("content")
        if not content.names():
            return
        names = self.modality_names_
        self._content = content.array("vectors", (self.n_features_in_, None))
        if content.has("basis"):
            self._content_basis = content.array("basis", (self._content.shape[1], None))
        lengths = content.array("lengths", (self.n_features_in_, len(names)))
        self._content_lengths = np.where(lengths < 0, np.float32(np.nan), lengths)
        n_items = self._n_trained = self.n_features_in_
        if content.has("n_trained"):
            self._n_trained = content.integer("n_trained", 1, n_items)
        self._young = self._n_interactions() == 0
        if content.has("young"):
            young, learned = content.array("young", None, np.int64), self._learned_items()
            if young.ndim != 1 or not np.isin(young, np.flatnonzero(~self._young)).all():
                raise ValueError("content.young must be items with interactions")
            self._young[young] = True
            if not (learned & ~self._young).any():
                raise ValueError("content.young leaves no item to learn from")
        width = self._content.shape[1]
        widths = content.array("widths", (len(names),), np.int64)
        if (widths < 1).any() or (widths > width).any() or widths.sum() != width:
            raise ValueError(f"content.widths do not divide {width} columns")
        means = content.array("means", (width,))
        deviations = content.array("deviations", (width,))
        if (deviations <= 0).any():
            raise ValueError("content.deviations must be above 0")
        cuts = np.cumsum(widths)[:-1]
        self._content_space = ContentSpace(
            dict(zip(names, np.split(means, cuts), strict=True)),
            dict(zip(names, np.split(deviations, cuts), strict=True)),
        )


def _with_rows(
    known: npt.NDArray[np.float32], changed: npt.NDArray[np.bool_], rows: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return known rows, as many as there are flags, with the changed ones replaced."""
    grown = np.empty((len(changed), known.shape[1]), dtype=np.float32)
    grown[: len(known)] = known
    grown[changed] = rows
    return grown
