"""The base class of every recommender."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from recsk.contract.inputs import InputChecks
from recsk.data.checks import check_positive_int
from recsk.data.interactions import Interactions
from recsk.metrics.evaluation import evaluate
from recsk.ranking.approximate import ItemIndex
from recsk.ranking.exact import similar, top_k
from recsk.ranking.seen import top_k_with_seen
from recsk.ranking.threads import one_thread_in_forks

__all__ = ["BaseRecommender"]

IdsAndScores = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


class BaseRecommender(InputChecks, metaclass=ABCMeta):
    """What all recommenders share: recommendations from a vector for every user and item.

    A subclass defines ``fit``, which must end with `_set_fitted`, and `_fold_in`, which computes
    user vectors from the histories of new users. It adds further fitted attributes to `_get_state`
    and `_set_state`, so that `recsk.save` and `recsk.load` store them.

    Examples
    --------
    A recommender made of a singular value decomposition:

    >>> from sklearn.decomposition import TruncatedSVD
    >>> from recsk.contract import BaseRecommender
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

    @abstractmethod
    def _fold_in(self, histories: Interactions) -> np.ndarray:
        """Compute vectors of shape (histories.n_users, width) for new users."""

    def _score_excludes_seen(self) -> bool:
        """Whether seen items are left out of the rankings that `score` measures."""
        return True

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
            Users of the fit. None, without `user_items`, means all users in order.
        k : int, default=10
            Items per user. It may exceed the number of items; the rest is padding.
        user_items : sparse matrix of shape (n, n_items), Interactions or list of lists, \
                default=None
            In place of `user_ids`: histories of new users (lists of item ids, oldest first). They
            are folded in without retraining. An empty history, like a user of the fit without
            interactions, gets the most popular items.
        exclude_seen : bool, default=True
            Leave out the items of the user's history.
        items : array-like of int, default=None
            Only these items may be recommended.
        filter_items : array-like of int, default=None
            These items may not be recommended.

        Returns
        -------
        ids : ndarray of shape (n, k), int64
            Items, best first; -1 where fewer than `k` are allowed. A scalar user gives (k,).
        scores : ndarray of shape (n, k), float32
            Their scores; -inf beside an id of -1. Popularities for users without a history.

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
        k = check_positive_int(k)
        if not isinstance(exclude_seen, bool | np.bool_):
            raise TypeError(f"exclude_seen must be a bool, got {exclude_seen!r}")
        items = None if items is None else self._check_items(items, "items")
        filter_items = (
            None if filter_items is None else self._check_items(filter_items, "filter_items")
        )
        vectors, seen, scalar = self._resolve_users(user_ids, user_items)
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
            ids, scores = top_k_with_seen(
                vectors,
                self.item_embedding_,
                k,
                seen=seen,
                seen_width=self._seen_width(),
                **chosen,
            )
        empty = np.diff(seen.indptr) == 0
        if empty.any():
            ids[empty], scores[empty] = rank(*self._popularity_vectors())
        return (ids[0], scores[0]) if scalar else (ids, scores)

    def user_vectors(
        self, user_ids: npt.ArrayLike | None = None, *, user_items: Any = None
    ) -> npt.NDArray[np.float32]:
        """Compute the vectors whose inner products with `item_embedding_` are the scores.

        For a model that scores seen items differently, such as `MDSRecRecommender`, the products
        are the scores of unseen items.

        Parameters
        ----------
        user_ids : int or array-like of int of shape (n,), default=None
            Users of the fit. None, without `user_items`, means all users in order.
        user_items : sparse matrix of shape (n, n_items), Interactions or list of lists, \
                default=None
            In place of `user_ids`: histories of new users, as in `recommend`.

        Returns
        -------
        ndarray of shape (n, width), float32
            Zero for users without a history; `recommend` gives them the most popular items. A
            scalar user gives (width,).

        Raises
        ------
        IndexError, TypeError, ValueError
            As `recommend`.
        """
        check_is_fitted(self)
        vectors, _, scalar = self._resolve_users(user_ids, user_items)
        return vectors[0] if scalar else vectors

    def to_ann(
        self,
        index: str = "faiss",
        *,
        n_links: int = 32,
        search_width: int = 128,
        build_width: int = 200,
    ) -> ItemIndex:
        """Export the items to an approximate index, which serves without scoring all of them.

        Parameters
        ----------
        index : {"faiss"}, default="faiss"
            Library of the index; ``pip install faiss-cpu`` installs faiss.
        n_links : int, default=32
            Links of each item in the index, from 2 to 1024. More links raise recall, memory and
            time.
        search_width : int, default=128
            Candidates that a search keeps. More candidates raise recall and time.
        build_width : int, default=200
            Candidates for the links of an item while the index is built. More candidates raise
            the recall for items in clusters, and the time to build.

        Returns
        -------
        ItemIndex
            ``ann.query(model.user_vectors([0, 1]), k=10, exclude=model.interactions_[[0, 1]])``
            approximates ``model.recommend([0, 1], k=10)``.

        Raises
        ------
        ImportError
            If faiss is not installed.
        TypeError, ValueError
            If `index` is unknown, or a number is no integer or out of range.
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
        """Compute the NDCG at `score_k` on held-out interactions.

        Parameters
        ----------
        X : sparse matrix of shape (n_users, n_items) or Interactions
            Held-out interactions of users of the fit.
        y : None
            Ignored.

        Returns
        -------
        float
            Mean over the users with held-out items. Interactions of the fit are left out of the
            rankings, except by a sequence model with ``repeats=True``: a perfect model scores 1
            only if `X` repeats none of them.
        """
        check_is_fitted(self)
        held_out = self._check_interactions(X, reset=False).to_csr()
        held_out.resize((self.n_users_, self.n_features_in_))  # the last users may have none
        name = f"ndcg@{self.score_k}"
        measured = evaluate(
            self, held_out, "ndcg", self.score_k, exclude_seen=self._score_excludes_seen()
        )
        return measured[name]

    def rank_items(self, user_ids: npt.ArrayLike, items: npt.ArrayLike) -> IdsAndScores:
        """Rank given items for each user, seen or not.

        Parameters
        ----------
        user_ids : int or array-like of int of shape (n,)
            Users of the fit.
        items : array-like of int of shape (n_candidates,)
            Items to rank, the same for every user; repeats count once.

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
        """Find the items most similar to given items, by the cosine of their vectors.

        Parameters
        ----------
        item_ids : int or array-like of int of shape (n,)
        k : int, default=10

        Returns
        -------
        ids : ndarray of shape (n, k), int64
            Most similar first, without the item itself; -1 as padding. A scalar gives (k,).
        scores : ndarray of shape (n, k), float32
        """
        check_is_fitted(self)
        queries = self._check_items(item_ids, "item_ids", (0, 1))
        vectors = self._similarity_vectors(self.item_embedding_)
        ids, scores = similar(vectors, queries.reshape(-1), check_positive_int(k))
        return (ids[0], scores[0]) if queries.ndim == 0 else (ids, scores)

    def similar_users(self, user_ids: npt.ArrayLike, k: int = 10) -> IdsAndScores:
        """Find the users most similar to given users, by the cosine of their vectors.

        Parameters
        ----------
        user_ids : int or array-like of int of shape (n,)
        k : int, default=10

        Returns
        -------
        ids : ndarray of shape (n, k), int64
            Most similar first, without the user; -1 as padding. A scalar gives (k,).
        scores : ndarray of shape (n, k), float32
        """
        check_is_fitted(self)
        users, scalar = self._check_users(user_ids)
        ids, scores = similar(
            self._similarity_vectors(self.user_embedding_), users, check_positive_int(k)
        )
        return (ids[0], scores[0]) if scalar else (ids, scores)

    def _similarity_vectors(self, vectors: np.ndarray) -> np.ndarray:
        """Return the columns of the vectors that similarity compares."""
        return vectors

    def _has_modality_parts(self) -> bool:
        """Whether `_similarity_vectors` consist of one part for each modality, side by side."""
        return False

    def _seen_width(self) -> int:
        """Return how many of the first columns count for seen items."""
        return self.item_embedding_.shape[1]

    def _popularity_vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return vectors of one user and of the items whose products are the popularities."""
        return np.ones((1, 1), dtype=np.float32), self.item_popularity_[:, None]

    def _resolve_users(
        self, user_ids: npt.ArrayLike | None, user_items: Any
    ) -> tuple[np.ndarray, sp.csr_matrix, bool]:
        """Return the vectors of users, their seen items, and whether it is one scalar user."""
        if user_items is None:
            users, scalar = self._check_users(user_ids)
            return self.user_embedding_[users], self.interactions_[users], scalar
        if user_ids is not None:
            raise ValueError(
                "user_ids names users of the fit and user_items brings the histories of new users: "
                "give one of them, not both"
            )
        histories = self._check_histories(user_items)
        seen = histories.to_csr()
        if not histories.n_users:
            return self.user_embedding_[:0], seen, False
        with one_thread_in_forks():
            vectors = self._fold_in(histories)
        vectors[np.diff(seen.indptr) == 0] = 0
        return vectors, seen, False
