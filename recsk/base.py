"""The contract that every recommender of recsk keeps, written once."""

from __future__ import annotations

import re
from abc import ABCMeta, abstractmethod
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_array
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from recsk._checks import at_least_one, ids_below
from recsk._describe import describe
from recsk._labels import Labels, labels_of, refuse_other_labels, refuse_rows_of_others
from recsk._state import StateReader, matrix_state, text_state
from recsk.ann import ItemIndex
from recsk.interactions import Interactions, interaction_matrix
from recsk.metrics import evaluate
from recsk.ranking import similar, top_k, top_k_with_met

__all__ = ["BaseRecommender"]

# What scikit-learn's checks may pass on as it is. Other formats and types have no duplicates or
# are widened to float64 first, so that no sum of duplicates overflows.
_FORMATS = ["csr", "csc", "coo", "bsr", "dia"]
_DTYPES = [np.float64, np.float32, np.int64, np.int32]

IdsAndScores = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


class BaseRecommender(BaseEstimator, metaclass=ABCMeta):
    """Everything that recommenders share once they have a vector for every user and item.

    A subclass writes ``fit``, which must end with `_set_fitted`, and `_fold_in`, which turns the
    histories of people unknown to the model into user vectors. What else it keeps it adds to
    `_get_state` and `_set_state`, by which `recsk.save` and `recsk.load` store it.

    Examples
    --------
    A singular value decomposition, with all that recommenders have beside ``fit``:

    >>> from sklearn.decomposition import TruncatedSVD
    >>> from recsk.base import BaseRecommender
    >>> from recsk.datasets import make_multimodal
    >>> class Decomposition(BaseRecommender):
    ...     def fit(self, X, y=None):
    ...         interactions = self._check_interactions(X, reset=True)
    ...         self.svd_ = TruncatedSVD(8, random_state=0)
    ...         users = self.svd_.fit_transform(interactions.to_csr())
    ...         self._set_fitted(interactions, users, self.svd_.components_.T)
    ...         return self
    ...
    ...     def _fold_in(self, histories):
    ...         return self.svd_.transform(histories.to_csr())
    >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
    >>> model = Decomposition().fit(data.interactions)
    >>> ids, scores = model.recommend(user_items=[[3, 14, 15]], k=5)
    >>> ids.shape
    (1, 5)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "score_k": [Interval(Integral, 1, None, closed="left")],
    }

    # ------------------------------------------------------------------ what a subclass provides

    @abstractmethod
    def _fold_in(self, histories: Interactions) -> np.ndarray:
        """Vectors of shape (histories.n_users, width) for users who are not in training."""

    def _scores_without_seen(self) -> bool:
        """Whether items of the history are no answer where quality is measured."""
        return True

    def _set_fitted(
        self,
        interactions: Interactions,
        user_embedding: np.ndarray,
        item_embedding: np.ndarray,
    ) -> None:
        """Keep what recommending needs, as CPU arrays so that any machine can load them."""
        self.n_users_ = interactions.n_users
        self.interactions_ = interactions.to_csr()
        count = np.bincount(interactions.item, minlength=interactions.n_items)
        self.item_popularity_ = (count / count.max()).astype(np.float32)
        self.user_embedding_ = np.array(user_embedding, dtype=np.float32, order="C")
        self.user_embedding_[np.diff(self.interactions_.indptr) == 0] = 0
        self.item_embedding_ = np.ascontiguousarray(item_embedding, dtype=np.float32)

    def _get_state(self) -> dict[str, Any]:
        """What `fit` has set, for `recsk.save`: numbers, strings, lists of them, arrays, dicts."""
        state: dict[str, Any] = {
            "n_users_": self.n_users_,
            "n_features_in_": self.n_features_in_,
            "interactions_": matrix_state(self.interactions_),
            "user_embedding_": self.user_embedding_,
            "item_embedding_": self.item_embedding_,
            "item_popularity_": self.item_popularity_,
        }
        if hasattr(self, "feature_names_in_"):
            state["feature_names_in_"] = text_state(self.feature_names_in_)
        return state

    def _set_state(self, state: StateReader) -> None:
        """Set what `_get_state` gave, for `recsk.load`; nothing is taken on trust."""
        self.n_users_ = state.integer("n_users_", 1)
        self.n_features_in_ = state.integer("n_features_in_", 1)
        self._labels: Labels = {}  # a file does not have them
        self.interactions_ = state.matrix("interactions_", (self.n_users_, self.n_features_in_))
        self.user_embedding_ = state.array("user_embedding_", (self.n_users_, None))
        width = self.user_embedding_.shape[1]
        self.item_embedding_ = state.array("item_embedding_", (self.n_features_in_, width))
        self.item_popularity_ = state.array("item_popularity_", (self.n_features_in_,))
        if state.part("feature_names_in_").names():
            names = state.texts("feature_names_in_", self.n_features_in_)
            self.feature_names_in_ = np.array(names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        # Validation sets n_features_in_ and the like before training has even begun.
        return hasattr(self, "item_embedding_")

    # ------------------------------------------------------------------------------ what it gives

    def recommend(
        self,
        user_ids: npt.ArrayLike | None = None,
        k: int = 10,
        *,
        user_items: Any = None,
        exclude_seen: bool = True,
        items: npt.ArrayLike | None = None,
        filter_items: npt.ArrayLike | None = None,
    ) -> IdsAndScores:
        """Recommend the items with the highest scores.

        Parameters
        ----------
        user_ids : int or array-like of int of shape (n,), default=None
            Users known from training. None, without `user_items`, is every user in order.
        k : int, default=10
            Items per user. More than the catalogue is allowed; the rest is padding.
        user_items : sparse matrix of shape (n, n_items), Interactions or list of lists, \
                default=None
            In place of `user_ids`: the histories of people who were not in training (lists of
            item ids, oldest first). They are folded in without retraining. An empty history,
            like a user without one in training, gets the most popular items.
        exclude_seen : bool, default=True
            Leave out what the user met in training, or in the history given here.
        items : array-like of int, default=None
            Only these items may be recommended.
        filter_items : array-like of int, default=None
            These items may not be recommended.

        Returns
        -------
        ids : ndarray of shape (n, k), int64
            Items, best first; -1 where fewer than `k` are allowed. A scalar user gives (k,).
        scores : ndarray of shape (n, k), float32
            Their scores; -inf beside an id of -1. Without a history they are popularities.

        Raises
        ------
        IndexError
            If a user or an item is negative or unknown; the first one is named.
        TypeError
            If ids are not integers, or `user_items` is none of the forms above.
        ValueError
            If `k` is below 1, a shape is wrong, or `user_ids` and `user_items` are both given.
        """
        check_is_fitted(self)
        k = at_least_one(k)
        if not isinstance(exclude_seen, bool | np.bool_):
            raise TypeError(f"exclude_seen must be a bool, got {exclude_seen!r}")
        items = None if items is None else self._check_items(items, "items")
        filter_items = (
            None if filter_items is None else self._check_items(filter_items, "filter_items")
        )
        vectors, seen, scalar = self._asked_for(user_ids, user_items)
        chosen: dict[str, Any] = {
            "items": items,
            "filter_items": filter_items,
            "check_finite": False,
        }

        def rank(users: np.ndarray, catalogue: np.ndarray, exclude: Any = None) -> IdsAndScores:
            return top_k(users, catalogue, k, exclude=exclude, **chosen)

        if exclude_seen:
            ids, scores = rank(vectors, self.item_embedding_, exclude=seen)
        else:
            ids, scores = top_k_with_met(
                vectors,
                self.item_embedding_,
                k,
                met=seen,
                met_width=self._met_width(),
                **chosen,
            )
        empty = np.diff(seen.indptr) == 0
        if empty.any():
            ids[empty], scores[empty] = rank(*self._popular())
        return (ids[0], scores[0]) if scalar else (ids, scores)

    def user_vectors(
        self, user_ids: npt.ArrayLike | None = None, *, user_items: Any = None
    ) -> npt.NDArray[np.float32]:
        """Give the vectors whose inner products with `item_embedding_` are the scores.

        A model may score what a user has met by other means, as `MDSRecRecommender` does: the
        products are then the scores of the other items.

        Parameters
        ----------
        user_ids : int or array-like of int of shape (n,), default=None
            Users known from training. None, without `user_items`, is every user in order.
        user_items : sparse matrix of shape (n, n_items), Interactions or list of lists, \
                default=None
            In place of `user_ids`: histories, as in `recommend`.

        Returns
        -------
        ndarray of shape (n, width), float32
            Zero for people without a history, who have no scores; `recommend` gives them what is
            popular. A scalar user gives (width,).

        Raises
        ------
        IndexError, TypeError, ValueError
            As `recommend`.
        """
        check_is_fitted(self)
        vectors, _, scalar = self._asked_for(user_ids, user_items)
        return vectors[0] if scalar else vectors

    def to_ann(
        self,
        index: str = "faiss",
        *,
        n_links: int = 32,
        search_width: int = 128,
        build_width: int = 200,
    ) -> ItemIndex:
        """Export the items for serving, with an index that need not score them all.

        Parameters
        ----------
        index : {"faiss"}, default="faiss"
            The library that searches; faiss comes with ``pip install faiss-cpu``.
        n_links : int, default=32
            Links of each item in the index, from 2 to 1024. More find more and cost memory and
            time.
        search_width : int, default=128
            Items that a search keeps at hand. More find more and cost time.
        build_width : int, default=200
            Items at hand while the links of one are chosen. More find more where items lie in
            groups, and cost time to build.

        Returns
        -------
        ItemIndex
            ``ann.query(model.user_vectors([0, 1]), k=10, exclude=model.interactions_[[0, 1]])``
            is nearly ``model.recommend([0, 1], k=10)``.

        Raises
        ------
        ImportError
            If faiss is not installed.
        TypeError, ValueError
            If `index` is another, or a number is no integer or out of its range.
        """
        check_is_fitted(self)
        if not isinstance(index, str) or index != "faiss":
            raise ValueError(f"index must be 'faiss', the only one so far; got {index!r}")
        return ItemIndex(
            self.item_embedding_,
            self.item_popularity_,
            n_links=n_links,
            search_width=search_width,
            build_width=build_width,
        )

    def score(self, X: Any, y: Any = None) -> float:
        """NDCG at `score_k` on held-out interactions.

        Parameters
        ----------
        X : sparse matrix of shape (n_users, n_items) or Interactions
            Held-out interactions of the users of training.
        y : None
            Ignored.

        Returns
        -------
        float
            Mean over the users with held-out items. Training interactions are never
            recommended (a model of sequences with ``repeats=True`` may), so that a perfect
            model scores 1 only where `X` repeats none of them.
        """
        check_is_fitted(self)
        held_out = self._check_interactions(X, reset=False).to_csr()
        held_out.resize((self.n_users_, self.n_features_in_))  # ids may end before the last user
        name = f"ndcg@{self.score_k}"
        measured = evaluate(
            self, held_out, "ndcg", self.score_k, exclude_seen=self._scores_without_seen()
        )
        return measured[name]

    def rank_items(self, user_ids: npt.ArrayLike, items: npt.ArrayLike) -> IdsAndScores:
        """Order given items for each user, whether seen before or not.

        Parameters
        ----------
        user_ids : int or array-like of int of shape (n,)
            Users known from training.
        items : array-like of int of shape (n_candidates,)
            The items to order, the same for every user; repeats count once.

        Returns
        -------
        ids : ndarray of shape (n, n_candidates), int64
            The items, best first. A scalar user gives (n_candidates,).
        scores : ndarray of shape (n, n_candidates), float32
        """
        check_is_fitted(self)
        candidates = np.unique(self._check_items(items, "items"))
        if not candidates.size:
            raise ValueError("items must name at least one item; got none")
        return self.recommend(user_ids, len(candidates), items=candidates, exclude_seen=False)

    def similar_items(self, item_ids: npt.ArrayLike, k: int = 10) -> IdsAndScores:
        """Find the items nearest to given items by the cosine of their vectors.

        Parameters
        ----------
        item_ids : int or array-like of int of shape (n,)
        k : int, default=10

        Returns
        -------
        ids : ndarray of shape (n, k), int64
            Nearest first, never the item itself; -1 as padding. A scalar item gives (k,).
        scores : ndarray of shape (n, k), float32
        """
        check_is_fitted(self)
        queries = self._check_items(item_ids, "item_ids", (0, 1))
        vectors = self._directions(self.item_embedding_)
        ids, scores = similar(vectors, queries.reshape(-1), at_least_one(k))
        return (ids[0], scores[0]) if queries.ndim == 0 else (ids, scores)

    def similar_users(self, user_ids: npt.ArrayLike, k: int = 10) -> IdsAndScores:
        """Find the users nearest to given users by the cosine of their vectors.

        Parameters
        ----------
        user_ids : int or array-like of int of shape (n,)
        k : int, default=10

        Returns
        -------
        ids : ndarray of shape (n, k), int64
            Nearest first, never the user themselves; -1 as padding. A scalar user gives (k,).
        scores : ndarray of shape (n, k), float32
        """
        check_is_fitted(self)
        users, scalar = self._check_users(user_ids)
        ids, scores = similar(self._directions(self.user_embedding_), users, at_least_one(k))
        return (ids[0], scores[0]) if scalar else (ids, scores)

    def _directions(self, vectors: np.ndarray) -> np.ndarray:
        """Those columns of the vectors that tell what is alike."""
        return vectors

    def _by_modality(self) -> bool:
        """Whether `_directions` are one part for each modality, side by side."""
        return False

    def _met_width(self) -> int:
        """How many columns of the vectors, from the first, count for an item already met."""
        return self.item_embedding_.shape[1]

    def _popular(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of one user and of the items whose products are the popularities."""
        return np.ones((1, 1), dtype=np.float32), self.item_popularity_[:, None]

    # ------------------------------------------------------------------------------------- checks

    def _check_interactions(self, X: Any, *, reset: bool, name: str = "X") -> Interactions:
        """Whatever `X` is, as interactions in the space of the model."""
        if reset:
            # A fit that fails must not leave half of an older model behind.
            self.__dict__.pop("item_embedding_", None)
            self._labels = labels_of(X) if isinstance(X, Interactions) else {}
        if isinstance(X, Interactions):
            if reset:
                self.n_features_in_ = X.n_items
                # A model fitted on a data frame before must not keep its column names.
                self.__dict__.pop("feature_names_in_", None)
            interactions = _without_zeros(X, name)
        else:
            checks: dict[str, Any] = {"accept_sparse": _FORMATS, "dtype": _DTYPES}
            try:
                if name == "X":
                    matrix = validate_data(self, X, reset=reset, **checks)
                else:  # scikit-learn would speak of X when it counts the columns
                    matrix = check_array(X, input_name=name, **checks)
            except (TypeError, ValueError) as error:
                if re.search(rf"\b{name}\b", str(error)):
                    raise
                raise type(error)(f"{name}: {error}") from error
            matrix = matrix if sp.issparse(matrix) else sp.csr_array(matrix)
            interactions = self._from_matrix(matrix, name)
        if not reset:
            if interactions.n_items != self.n_features_in_:
                raise ValueError(
                    f"{name} has {interactions.n_items} items (columns), but "
                    f"{type(self).__name__} was fitted with {self.n_features_in_}; {name} is "
                    "n_users x n_items"
                )
            if interactions.n_users > self.n_users_:
                raise ValueError(
                    f"{name} has {interactions.n_users} users (rows), but "
                    f"{type(self).__name__} was fitted with {self.n_users_}; {name} is n_users x "
                    "n_items"
                )
            if isinstance(X, Interactions):
                refuse_other_labels(X, getattr(self, "_labels", {}), name)
            elif name == "X":
                refuse_rows_of_others(interactions.n_users, self.n_users_, name)
        if not len(interactions):
            raise ValueError(
                f"{name} has no interactions: {interactions.n_users} users x "
                f"{interactions.n_items} items and not one entry that is not zero"
            )
        return interactions

    def _from_matrix(self, matrix: Any, name: str) -> Interactions:
        """Read a sparse matrix; a model of sequences takes its values for the order."""
        return Interactions.from_csr(interaction_matrix(matrix, name), values_as=None)

    def _asked_for(
        self, user_ids: npt.ArrayLike | None, user_items: Any
    ) -> tuple[np.ndarray, sp.csr_matrix, bool]:
        """Vectors of known users or of histories, what they met, and if it is one user alone."""
        if user_items is None:
            users, scalar = self._check_users(user_ids)
            return self.user_embedding_[users], self.interactions_[users], scalar
        if user_ids is not None:
            raise ValueError(
                "user_ids names users known from training and user_items brings the histories "
                "of others: give one of them, not both"
            )
        histories = self._check_histories(user_items)
        seen = histories.to_csr()
        if not histories.n_users:
            return self.user_embedding_[:0], seen, False
        vectors = self._fold_in(histories)
        vectors[np.diff(seen.indptr) == 0] = 0
        return vectors, seen, False

    def _check_users(self, user_ids: npt.ArrayLike | None) -> tuple[np.ndarray, bool]:
        if user_ids is None:
            return np.arange(self.n_users_), False
        users = ids_below(user_ids, "user_ids", self.n_users_, "users", (0, 1))
        return users.reshape(-1), users.ndim == 0

    def _check_items(
        self,
        items: npt.ArrayLike,
        name: str,
        dimensions: Iterable[int] = (1,),
    ) -> np.ndarray:
        return ids_below(items, name, self.n_features_in_, "items", dimensions)

    def _check_histories(self, user_items: Any) -> Interactions:
        """Histories of users unknown to the model, in the item space of the model."""
        n_items = self.n_features_in_
        if isinstance(user_items, Interactions) or sp.issparse(user_items):
            if len(user_items.shape) != 2:
                raise ValueError(
                    "user_items must have 2 axes, n x n_items, also for one user, such as X[[0]]; "
                    f"got {describe(user_items)}"
                )
            if user_items.shape[1] != n_items:
                raise ValueError(
                    f"user_items has {user_items.shape[1]} items (columns), but "
                    f"{type(self).__name__} was fitted with {n_items}"
                )
            if isinstance(user_items, Interactions):
                known = getattr(self, "_labels", {})
                refuse_other_labels(user_items, known, "user_items", ["item"])
                return _without_zeros(user_items, "user_items")
            return self._from_matrix(user_items, "user_items")
        if not isinstance(user_items, list | tuple) or any(
            not isinstance(history, Sequence | np.ndarray) or isinstance(history, str)
            for history in user_items
        ):
            raise TypeError(
                "user_items must be a sparse matrix of shape (n, n_items), Interactions, or a "
                f"list with one list of item ids per user, such as [[3, 17]]; got "
                f"{describe(user_items)}"
            )
        histories = [
            ids_below(history, f"user_items[{row}]", n_items, "items", (1,))
            for row, history in enumerate(user_items)
        ]
        lengths = [len(history) for history in histories]
        flat = np.concatenate(histories) if histories else np.empty(0, dtype=np.int64)
        return Interactions(
            np.repeat(np.arange(len(histories)), lengths),
            flat,
            timestamp=np.arange(len(flat)),
            n_users=len(histories),
            n_items=n_items,
        )

    def __sklearn_tags__(self) -> Tags:
        """Say what X may be: sparse, and never negative."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.target_tags.required = False
        return tags


def _without_zeros(interactions: Interactions, name: str) -> Interactions:
    """Leave out what has the value 0: as in a matrix, it is no interaction."""
    value = interactions.value
    if value is None or value.min(initial=1) > 0:
        return interactions
    if (low := value.min()) < 0:
        raise ValueError(f"{name} holds {low:g}; values of interactions must not be negative")
    return interactions[value > 0]
