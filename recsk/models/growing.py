"""Items that arrive after the fit of a recommender."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from recsk.data.labels import Labels, check_same_type
from recsk.features.alignment import item_columns
from recsk.features.arrivals import labels_of_frames, read_new_features
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
        item_features : dict of str to array-like of shape (n, n_columns) or DataFrame
            Features of the new items by modality, with the columns of the fit. An item with a row
            of NaN lacks the modality; a modality may be left out. Rows of frames that name their
            items are matched by label, in the order in which these appear.

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
        known = self._labels.get("item")
        named = None if known is None else labels_of_frames(item_features, known)
        content, _ = self._read_new_features(item_features, named)
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
            of NaN lacks the modality; a modality may be left out. Columns of a frame are matched by
            name, its rows by label.
        labels : array-like of shape (n,), default=None
            Labels of the new items: required if the model speaks labels. None takes those that the
            frames have, in a column with the name of the item column of X or "item", or as index.

        Returns
        -------
        ndarray of shape (n,)
            Ids of the new items, which follow those of the fit, or their labels.

        Raises
        ------
        ValueError
            As `item_vectors`; also if labels are missing, repeat, exist already or are of another
            type than those of the model. Nothing is added then.
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
        given = self._check_new_labels(labels, item_features)
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
        if n and "feature_names_in_" in grown:  # new columns have no name
            grown["_first_names"] = grown.pop("feature_names_in_")
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
        features = read_new_features(
            item_features, labels, self.n_features_in_, space.n_columns, self._feature_columns
        )
        space.check(features)
        return space.vectors(features), space.lengths(features)

    def _check_new_labels(self, labels: Any, item_features: Any) -> Labels | None:
        """Return the labels of new items, those of the frames unless they are given."""
        if "item" not in self._labels:
            if labels is not None:
                raise ValueError(
                    "labels must be None: this model speaks ids, and new items get the next ones"
                )
            return None
        known, name = self._labels["item"], "labels"
        if labels is not None:
            given = Labels(labels, "labels", known.column)
        elif (named := labels_of_frames(item_features, known)) is not None:
            given, name = named, "item_features"
        else:
            raise ValueError(
                f"labels must label the new items, as the model has labels such as "
                f"{known.decode(0)!r}: pass add_items(item_features, labels=[...]), or frames with "
                f"a column {item_columns(known)[0]!r} or an index that names the items"
            )
        for label in given.values.tolist():
            if label in known:
                raise ValueError(
                    f"{name} has {label!r}, which the model has already: leave it out, or pass its "
                    "features to partial_fit(X, item_features=...)"
                )
        if len(given):
            check_same_type(given.values.tolist(), known, f"{name} has items")
        return given


def widen(matrix: sp.csr_matrix, n_columns: int) -> sp.csr_matrix:
    """Return a matrix with more columns, which are empty."""
    parts = matrix.data, matrix.indices, matrix.indptr
    wide = sp.csr_matrix(parts, shape=(matrix.shape[0], n_columns))
    wide.has_canonical_format = True
    return wide
