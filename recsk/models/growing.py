"""Items that arrive after the fit of a recommender."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from recsk.data.labels import Labels
from recsk.features.alignment import align_item_features
from recsk.features.frames import is_frame
from recsk.features.item_features import check_new_item_features
from recsk.models.new_items import NewItemEstimate, NewItemModel, grow_item_to_item
from recsk.models.placing import PlacingRecommender

__all__ = ["GrowingRecommender"]


class GrowingRecommender(PlacingRecommender):
    """A recommender that takes items after its fit, which are found by their content.

    A subclass overrides `_grown` if it holds more arrays with a row for each item.
    """

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
            modality or its width is another one, an item has no modality at all, or a parameter,
            such as `new_item_share`, was set to an invalid value.
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
        kept = self.__dict__
        self = self._as_fitted()
        content, _ = self._read_new_features(item_features, None)
        vectors = self._estimate_new(content).vectors
        self._keep_made(kept)
        return vectors

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

    def _estimate_new(self, content: npt.NDArray[np.float32]) -> NewItemEstimate:
        """Return vectors of new items and the known items that are similar."""
        return self._kept_model()(content, self.n_features_in_)

    def _kept_model(self) -> NewItemModel:
        """Return the model of new items, made once."""
        kept = self._new_item_model
        if kept is None or kept.share != self.new_item_share:
            self._validate_params()  # it may have been set since the fit
            kept = self._new_item_model = self._make_new_item_model()
        return kept

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
        space.check(features)
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


def widen(matrix: sp.csr_matrix, n_columns: int) -> sp.csr_matrix:
    """Return a matrix with more columns, which are empty."""
    parts = matrix.data, matrix.indices, matrix.indptr
    wide = sp.csr_matrix(parts, shape=(matrix.shape[0], n_columns))
    wide.has_canonical_format = True
    return wide
