"""What a recommender remembers of its data, and new data behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.contract.inputs import check_some, string_columns, without_zeros
from recsk.contract.rankings import Rankings
from recsk.contract.weights import scale_weights, warn_of_other_weights, weigh_interactions
from recsk.data.growth import by_user, join, place, warn_if_unknown
from recsk.data.interactions import Interactions
from recsk.data.sequences import check_ordered
from recsk.features.alignment import align_item_features, feature_columns
from recsk.features.growth import GrownFeatures, grow_features
from recsk.features.item_features import check_item_features
from recsk.storage.state import StateReader, text_state

__all__ = ["GrowingData", "Growth"]

Features = dict[str, npt.NDArray[np.float32]]
_CALLER = 6  # stacklevel of the caller of `partial_fit`, in a function called by `_check_more`


class Growth(NamedTuple):
    """What is new in data that have grown.

    Attributes
    ----------
    active : ndarray of shape (n_users,), bool
        Which users have new interactions.
    changed : ndarray of shape (n_items,), bool
        Which items are new, or have other features than before.
    clicked : ndarray of shape (n_items,), bool
        Which items have new interactions.
    adds : bool
        Whether new interactions are added to the known ones, rather than replace them.
    """

    active: npt.NDArray[np.bool_]
    changed: npt.NDArray[np.bool_]
    clicked: npt.NDArray[np.bool_]
    adds: bool = True


class GrowingData(Rankings):
    """The data of a fit, checked, and those of `partial_fit` behind them."""

    # Whether `learn` reads features; one that does not keeps none.
    uses_features = True
    # What `interactions_` does not tell of the data: order, weights, repeats. None: it tells all.
    _log: Interactions | None = None
    _features: Features | None = None  # as they were given; None without
    # Names of their columns, of each modality that came in a frame with names.
    _feature_columns: Mapping[str, Sequence[str]] = {}

    def _check_data(
        self, X: Any, item_features: Mapping[str, Any] | None, sample_weight: Any
    ) -> tuple[Interactions, Features]:
        """Check what is learned from, and set the space of users and items."""
        interactions = self._check_interactions(X, reset=True)
        interactions = weigh_interactions(X, interactions, sample_weight)
        if self.ordered:  # here, because interactions of weight zero are out of the way
            check_ordered(interactions, "X", matrix=not isinstance(X, Interactions))
        labels = self._labels.get("item")
        given = item_features
        item_features, labels = align_item_features(given, interactions.n_items, labels)
        if labels is not None and len(labels) > interactions.n_items:  # rows of new items
            interactions = interactions.with_labels(item_labels=labels)
            self.n_features_in_ = interactions.n_items
        if labels is not None:
            self._set_labels({**self._labels, "item": labels})
        features = self._check_features(item_features, interactions.n_items)
        if self.uses_features and (columns := feature_columns(given, labels)):
            self._feature_columns = columns
        self._remember(interactions, features)
        return scale_weights(interactions), features

    def _check_features(self, item_features: Mapping[str, Any] | None, n_items: int) -> Features:
        return check_item_features(item_features, n_items)

    def _check_more(
        self,
        X: Any,
        item_features: Mapping[str, Any] | None,
        sample_weight: Any,
        *,
        adds: bool = True,
    ) -> tuple[Interactions, Features, Growth]:
        """Check new data and return them behind the known ones, if they are to be added to these.

        It sets the space of users and items: call it on a copy of the model.
        """
        known = self._known_interactions()
        with_history = np.diff(self.interactions_.indptr) > 0
        sizes = {"user": self.n_users_, "item": self.n_features_in_}
        new = self._read_more(X)
        new = weigh_interactions(X, new, sample_weight, stacklevel=_CALLER)
        if adds:
            warn_of_other_weights(known, sample_weight, _CALLER)
        if self.ordered:
            # A night may be stamped by date, or be one basket: it keeps the order of the input.
            matrix = not isinstance(X, Interactions)
            check_ordered(new, "X", ties=adds and not matrix, matrix=matrix)
        if isinstance(X, Interactions):
            new, labels = place(new, self._labels, sizes, "X")
            if adds:
                warn_if_unknown(new, self._labels, labels, "X", _CALLER)
        else:
            labels = dict(self._labels)
        # Rows of a frame may add items that have no interactions yet.
        aligned, items = align_item_features(
            item_features,
            new.n_items,
            labels.get("item"),
            partly=True,
            columns=self._feature_columns,
        )
        if items is not None:
            labels["item"] = items
            new = new.without_labels().with_labels(item_labels=items).without_labels()
        features, changed = self._grow_features(aligned, new.n_items)
        active = np.bincount(new.user, minlength=new.n_users) > 0
        clicked = np.bincount(new.item, minlength=new.n_items) > 0
        if not adds:  # known users go on from what was learned of them
            active[: len(with_history)] &= ~with_history
        interactions = join(known if adds else known[:0], new)
        self.n_users_, self.n_features_in_ = interactions.n_users, interactions.n_items
        if len(getattr(self, "feature_names_in_", ())) not in (0, interactions.n_items):
            self._first_names = self.__dict__.pop("feature_names_in_")  # new columns have no name
        self._set_labels(labels)
        self._remember(interactions, features)
        return scale_weights(interactions), features, Growth(active, changed, clicked, adds)

    def _read_more(self, X: Any) -> Interactions:
        """Return new interactions as `X` has them, without those of value zero."""
        n_items, n_users = self.n_features_in_, self.n_users_
        if isinstance(X, Interactions):
            if "item" not in self._labels and X.item_labels is None and X.n_items < n_items:
                raise ValueError(
                    f"X has {X.n_items} items, but {type(self).__name__} was fitted with "
                    f"{n_items}: pass n_items={n_items}, or more for new items"
                )
            return check_some(without_zeros(X, "X"), "X")
        if len(np.shape(X)) == 2 and np.shape(X)[1] > n_items:  # of this copy of the model
            self.n_features_in_ = np.shape(X)[1]
        new = check_some(self._from_matrix(self._read_matrix(X, False, "X"), "X"), "X")
        if self._known_names() is not None and (names := string_columns(X)) is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
            self.__dict__.pop("_first_names", None)
        if new.n_users < n_users:
            raise ValueError(
                f"X has {new.n_users} users (rows), but {type(self).__name__} was fitted with "
                f"{n_users}: a matrix has a row for each of them, then those of new users; pass "
                "Interactions for some users"
            )
        for kind, n, known in (("user", new.n_users, n_users), ("item", new.n_items, n_items)):
            if kind in self._labels and n > known:
                raise ValueError(
                    f"X has {n} {kind}s, but the model has {known} with labels: pass Interactions "
                    "with labels, such as from_frame makes"
                )
        return new

    def _remember(self, interactions: Interactions, features: Features) -> None:
        """Keep of the data what later ones are joined to."""
        for name in ("_log", "_features"):
            self.__dict__.pop(name, None)
        plain = interactions.value is None and not self.ordered
        if not plain or _has_repeats(interactions):
            self._log = by_user(interactions.without_labels())
        self._keep_features(features)

    def _keep_features(self, features: Features) -> None:
        if features and self.uses_features:
            self._features = features

    def _known_features(self) -> Features:
        """Return the features of the items, as they were given."""
        return self._features or {}

    def _grow_features(
        self, item_features: Mapping[str, Any] | None, n_items: int
    ) -> GrownFeatures:
        if not self.uses_features:  # `learn` warns of them
            features = self._check_features(item_features, n_items)
            return GrownFeatures(features, np.ones(n_items, dtype=bool))
        return grow_features(self._known_features(), item_features, n_items)

    def _known_interactions(self) -> Interactions:
        """Return the interactions of all fits, in ids; values are weights as they were given."""
        if self._log is not None:
            return self._log
        return Interactions.from_csr(self.interactions_, values_as=None)

    def get_state(self) -> dict[str, Any]:
        """Return the fitted state for `recsk.save`."""
        state = super().get_state()
        if self._log is not None:
            log = self._log
            count = np.bincount(log.user, minlength=log.n_users)
            state["log"] = {"count": count, "item": log.item.astype(np.int32)}
            if log.value is not None:
                state["log"]["weight"] = np.asarray(log.value, dtype=np.float64)
        if self._features is not None:
            state["feature_names"] = list(self._features)
            state["features"] = {
                name: {
                    "present": (~np.isnan(rows[:, 0])).astype(np.uint8),
                    "values": np.nan_to_num(rows),
                }
                for name, rows in self._features.items()
            }
        if self._feature_columns:
            names = {name: text_state(x) for name, x in self._feature_columns.items()}
            state["feature_columns"] = {"modalities": list(names), "names": names}
        return state

    def set_state(self, state: StateReader) -> None:
        """Set the state that `get_state` returned, for `recsk.load`."""
        super().set_state(state)
        log = state.part("log")
        if log.names():
            self._log = _read_log(log, self.interactions_, self.ordered)
        if state.has("feature_names"):
            self._features = {}
            for name in state.strings("feature_names"):
                part = state.part(f"features.{name}")
                rows = part.array("values", (self.n_features_in_, None)).copy()
                present = part.array("present", (self.n_features_in_,), np.uint8)
                rows[present == 0] = np.nan
                self._features[name] = rows
        columns = state.part("feature_columns")
        if columns.has("modalities"):
            self._feature_columns = {
                name: _read_names(columns.part("names"), name)
                for name in columns.strings("modalities")
            }


def _read_names(state: StateReader, modality: str) -> list[str]:
    names = state.texts(modality, None)
    if len(set(names)) < len(names):
        raise ValueError(f"the columns of {modality!r} have a name twice")
    return names


def _has_repeats(interactions: Interactions) -> bool:
    pairs = interactions.user * interactions.n_items + interactions.item
    return len(np.unique(pairs)) < len(pairs)


def _read_log(state: StateReader, seen: sp.csr_matrix, ordered: bool) -> Interactions:
    """Read what `get_state` stored of the interactions, and check that it is what users saw."""
    n_users, n_items = seen.shape
    item = state.array("item", None, np.int32).astype(np.int64)
    count = state.array("count", (n_users,), np.int64)
    n = item.size
    if item.ndim != 1 or (count < 0).any() or (count > n).any() or count.sum() != n:
        raise ValueError(f"log.count does not divide {n} interactions among {n_users} users")
    if ((item < 0) | (item >= n_items)).any():
        raise ValueError(f"log.item goes beyond the {n_items} items")
    weight = None
    if state.has("weight"):
        weight = state.array("weight", (n,), np.float64)
        if (weight <= 0).any():
            raise ValueError("log.weight must be above 0")
    user = np.repeat(np.arange(n_users), count)
    time = np.arange(n) if ordered else None
    log = Interactions(user, item, timestamp=time, value=weight, n_users=n_users, n_items=n_items)
    if state.check_values and (log.to_csr() != seen).nnz:
        raise ValueError("log and interactions_ differ")
    return log
