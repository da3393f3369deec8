"""New items of a fitted recommender: those of the fit without interactions, and later ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from recsk.contract.growth import Growth
from recsk.contract.learning import Learned
from recsk.contract.training import TrainedRecommender
from recsk.data.interactions import Interactions
from recsk.data.labels import Labels
from recsk.features.alignment import align_item_features
from recsk.features.content_space import ContentSpace
from recsk.features.frames import is_frame
from recsk.features.item_features import check_new_item_features
from recsk.models.new_items import (
    NewItemEstimate,
    NewItemModel,
    extend_item_to_item,
    grow_item_to_item,
    mix_vectors,
)
from recsk.storage.state import StateReader

__all__ = ["GrowingRecommender"]

_N_USERS = 500  # a sample of users, whose lists calibrate new items
_MAX_SCORES = 2**25  # of these users, for the memory


class GrowingRecommender(TrainedRecommender):
    """A recommender whose items without interactions are found by their content.

    A subclass calls `_keep_content` in its `_keep` and, after `_set_fitted`, `_place_new_items`.
    It overrides `_grown` if it holds more arrays with a row for each item.
    """

    _content_space: ContentSpace | None = None  # None without features
    _content: npt.NDArray[np.float32]  # of all items
    _content_lengths: npt.NDArray[np.float32]  # with it, what the features were
    # Items without interactions in the fit and later ones, until they have as many as others.
    _young: npt.NDArray[np.bool_]
    new_item_share: float | None  # a parameter
    # Directions of the content that are regressed on: None if all are, or before the first use.
    _content_basis: npt.NDArray[np.float32] | None = None
    _new_item_model: NewItemModel | None = None  # made when it is needed

    def item_vectors(self, item_features: Mapping[str, Any]) -> npt.NDArray[np.float32]:
        """Compute vectors of items that training never saw, from their content.

        Parameters
        ----------
        item_features : dict of str to array-like of shape (n, n_columns)
            Features of the new items by modality, with the columns of the fit. An item with a row
            of NaN lacks the modality; a modality may be left out.

        Returns
        -------
        ndarray of shape (n, width), float32
            Their inner products with `user_embedding_` are the first part of the scores.

        Raises
        ------
        ValueError
            If the model was fitted without `item_features`, or with the same for all items, a
            modality or its width is another one, or an item has no modality at all.
        TypeError
            If `item_features` is no dict, or an array does not hold numbers.

        Examples
        --------
        >>> from recsk import MDERecommender
        >>> from recsk.datasets import make_multimodal
        >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
        >>> model = MDERecommender(n_factors=8, max_epochs=2, random_state=0)
        >>> model = model.fit(data.interactions, item_features=data.item_features)
        >>> new = {name: values[:2] for name, values in data.item_features.items()}
        >>> model.item_vectors(new).shape == (2, model.item_embedding_.shape[1])
        True
        """
        check_is_fitted(self)
        content, _ = self._read_new_features(item_features, None)
        return self._estimate_new(content).vectors

    def add_items(
        self, item_features: Mapping[str, Any], labels: npt.ArrayLike | None = None
    ) -> npt.NDArray[Any]:
        """Add items that arrive after the fit, to be found by their content without a new fit.

        Parameters
        ----------
        item_features : dict of str to array-like of shape (n, n_columns) or DataFrame
            Features of the new items by modality, with the columns of the fit. An item with a row
            of NaN lacks the modality; a modality may be left out.
        labels : array-like of shape (n,), default=None
            Labels of the new items: required if the model speaks labels.

        Returns
        -------
        ndarray of shape (n,)
            Ids of the new items, which follow those of the fit, or their labels.

        Raises
        ------
        ValueError
            As `item_vectors`; also if labels are missing, repeat, or exist already. Nothing is
            added then.
        TypeError
            As `item_vectors`.

        Examples
        --------
        >>> from recsk import MDERecommender
        >>> from recsk.datasets import make_multimodal
        >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
        >>> model = MDERecommender(n_factors=8, max_epochs=2, random_state=0)
        >>> model = model.fit(data.interactions, item_features=data.item_features)
        >>> model.add_items({name: values[:2] for name, values in data.item_features.items()})
        array([30, 31])
        >>> model.recommend([0], k=2, items=[30, 31])[0].shape
        (1, 2)
        """
        check_is_fitted(self)
        given = self._check_new_labels(labels)
        content, lengths = self._read_new_features(item_features, given)
        if given is not None and len(given) != len(content):
            raise ValueError(
                f"labels must have one label for each new item; got {len(given)} labels and "
                f"{len(content)} rows of item_features"
            )
        n_before, n = self.n_features_in_, len(content)
        attributes = self._grown(self._estimate_new(content), content)
        attributes["_content_lengths"] = np.vstack([self._content_lengths, lengths])
        if given is not None:
            known = self._labels["item"]
            values = known.values.tolist() + given.values.tolist()
            together = Labels(values, column=known.column)
            attributes |= {"_labels": {**self._labels, "item": together}}
            attributes |= {"items_": together.values}
        grown = {**self.__dict__, **attributes}
        grown.pop("feature_names_in_", None)  # new columns have no name
        # One assignment: another thread reads all of the new state or all of the old one.
        self.__dict__ = grown
        return np.arange(n_before, n_before + n) if given is None else given.values

    def _grown(self, estimate: NewItemEstimate, content: npt.NDArray[np.float32]) -> dict[str, Any]:
        """Return the fitted attributes with new items."""
        n, n_items = len(content), self.n_features_in_ + len(content)
        attributes: dict[str, Any] = {
            "n_features_in_": n_items,
            "item_embedding_": np.vstack([self.item_embedding_, estimate.vectors]),
            "item_popularity_": np.append(self.item_popularity_, np.zeros(n, np.float32)),
            "interactions_": widen(self.interactions_, n_items),
            "_content": np.vstack([self._content, content]),
            "_young": np.append(self._young, np.ones(n, dtype=bool)),
        }
        if hasattr(self, "item_to_item_"):
            attributes["item_to_item_"] = grow_item_to_item(self.item_to_item_, estimate)
        if hasattr(self, "history_weights_"):
            attributes["history_weights_"] = widen(self.history_weights_, n_items)
        return attributes

    def _predicted_width(self) -> int:
        """Columns of a vector that content predicts; new items have the mean of the others."""
        return int(self.item_embedding_.shape[1])

    def _keep_content(
        self, features: Mapping[str, npt.NDArray[np.float32]], growth: Growth | None = None
    ) -> None:
        """Keep what new items are compared with; of a fit without features, nothing.

        With `growth`, items whose features have not changed keep their content.
        """
        space = self._content_space if growth is not None else None
        known, lengths = (self._content, self._content_lengths) if space else (None, None)
        for name in ("_new_item_model", "_content_space", "_content", "_content_lengths"):
            self.__dict__.pop(name, None)
        if growth is None:
            self.__dict__.pop("_young", None)
        if not features:
            self.__dict__.pop("_content_basis", None)
            return
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

    def _set_fitted(self, interactions: Interactions, learned: Learned) -> None:
        super()._set_fitted(interactions, learned)
        if self._content_space is None:
            return
        count = self._n_interactions()
        if "_young" not in self.__dict__:  # a fit
            self._young = count == 0
            return
        n_later = self.n_features_in_ - len(self._young)
        self._young = np.append(self._young, np.ones(n_later, dtype=bool))
        if not (self._learned_items() & ~self._young).any():
            self._young &= count == 0  # there is nothing else to learn from
        self._young &= self._newness() > 0

    def _learned_items(self) -> npt.NDArray[np.bool_]:
        """Which items have content and interactions."""
        return self._content.any(axis=1) & (self._n_interactions() > 0)

    def _newness(self) -> npt.NDArray[np.float32]:
        """How new each item is: 1 without interactions, 0 from as many as items have on average.

        Few interactions of an item that was there all the time are evidence that it is unpopular;
        those of an item that has just arrived are not.
        """
        count, learned = self._n_interactions(), self._learned_items() & ~self._young
        mean = count[learned].mean() if learned.any() else 1.0
        newness = np.where(self._young, np.maximum(1 - count / mean, 0), 0)
        return newness.astype(np.float32)

    def _place_new_items(self) -> None:
        """Give new items the vectors that their content predicts, the less the more is learned."""
        if self._content_space is None:
            return
        part = self._newness()
        new = np.flatnonzero(self._content.any(axis=1) & (part > 0))
        if not len(new) or not self._learned_items().any():
            return
        estimate, part = self._make_new_item_model()(self._content[new], len(part)), part[new]
        self.item_embedding_[new] = mix_vectors(
            self.item_embedding_[new], estimate.vectors, part, self._predicted_width()
        )
        if hasattr(self, "item_to_item_"):
            self.item_to_item_ = extend_item_to_item(self.item_to_item_, estimate, new, part)

    def _estimate_new(self, content: npt.NDArray[np.float32]) -> NewItemEstimate:
        """Return vectors of new items and the known items that are similar."""
        kept = self._new_item_model
        if kept is None or kept.share != self.new_item_share:
            kept = self._new_item_model = self._make_new_item_model()
        return kept(content, self.n_features_in_)

    def _n_interactions(self) -> npt.NDArray[np.int64]:
        """Count the interactions of each item."""
        return np.bincount(self.interactions_.indices, minlength=self.n_features_in_)

    def _make_new_item_model(self) -> NewItemModel:
        n_users = np.clip(_MAX_SCORES // self.n_features_in_, 1, _N_USERS)
        with_history = np.flatnonzero(np.diff(self.interactions_.indptr))
        some = np.unique(np.linspace(0, len(with_history) - 1, n_users).astype(np.int64))
        sample = with_history[some]
        model = NewItemModel(
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
        if model.regression.basis is not None:
            self._content_basis = model.regression.basis
        return model

    def _read_new_features(
        self, item_features: Any, labels: Labels | None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Check features of new items and return their content and its lengths."""
        space = self._content_space
        if space is None:
            raise ValueError(
                f"this {type(self).__name__} knows no content of items, so that it cannot place "
                "new ones: fit it with item_features"
            )
        if not self._learned_items().any():
            raise ValueError(
                f"this {type(self).__name__} cannot place new items: no item of the fit has both "
                "interactions and features that differ from those of other items"
            )
        n = None if labels is None else len(labels)
        if isinstance(item_features, Mapping) and any(map(is_frame, item_features.values())):
            if n is None:
                n = max(len(x) for x in item_features.values() if is_frame(x))
            item_features, _ = align_item_features(item_features, n, labels)
        features = check_new_item_features(item_features, space.n_columns)
        return space.vectors(features), space.lengths(features)

    def _check_new_labels(self, labels: Any) -> Labels | None:
        if "item" not in self._labels:
            if labels is not None:
                raise ValueError(
                    "labels must be None: this model speaks ids, and new items get the next ones"
                )
            return None
        known = self._labels["item"]
        if labels is None:
            raise ValueError(
                f"labels must label the new items, as the model has labels such as "
                f"{known.decode(0)!r}: pass add_items(item_features, labels=[...])"
            )
        given = Labels(labels, "labels")
        for label in given.values.tolist():
            if label in known:
                raise ValueError(f"labels has {label!r}, which the model has already")
        return given

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


def widen(matrix: sp.csr_matrix, n_columns: int) -> sp.csr_matrix:
    """Return a matrix with more columns, which are empty."""
    parts = matrix.data, matrix.indices, matrix.indptr
    wide = sp.csr_matrix(parts, shape=(matrix.shape[0], n_columns))
    wide.has_canonical_format = True
    return wide


def _with_rows(
    known: npt.NDArray[np.float32], changed: npt.NDArray[np.bool_], rows: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return known rows, as many as there are flags, with the changed ones replaced."""
    grown = np.empty((len(changed), known.shape[1]), dtype=np.float32)
    grown[: len(known)] = known
    grown[changed] = rows
    return grown
