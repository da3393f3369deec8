"""The base class of every recommender."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from recsk.contract.answers import ranking_frame
from recsk.contract.rankings import Rankings
from recsk.data.checks import check_positive_int
from recsk.data.forms import check_no_target
from recsk.data.interactions import Interactions
from recsk.metrics.evaluation import evaluate
from recsk.ranking.approximate import ItemIndex
from recsk.ranking.exact import similar

__all__ = ["BaseRecommender"]

Ranked = tuple[npt.NDArray[Any], npt.NDArray[np.float32]]  # ids or labels, and scores


class BaseRecommender(Rankings):
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

    def recommend(
        self,
        user_ids: Any = None,
        k: int = 10,
        *,
        user_items: Any = None,
        exclude_seen: bool = True,
        items: Any = None,
        filter_items: Any = None,
        as_frame: bool = False,
    ) -> Any:
        """Recommend the items with the highest scores.

        A model fitted on labels takes and returns labels; otherwise users and items are ids.

        Parameters
        ----------
        user_ids : label, int or array-like of shape (n,), default=None
            Users of the fit. None, without `user_items`, means all users in order.
        k : int, default=10
            Items per user. It may exceed the number of items; the rest is padding.
        user_items : sparse matrix of shape (n, n_items), Interactions, list of lists, or mapping \
                of label to list, default=None
            Histories of new users (lists of items, oldest first). They are folded in without
            retraining. An empty history, like a user of the fit without interactions, gets the
            most popular items. `Interactions` and matrices have a row for every user of their
            space. Beside `user_ids`, these rows follow those of the known users.
        exclude_seen : bool, default=True
            Leave out the items of the user's history.
        items : array-like of labels or int, default=None
            Only these items may be recommended.
        filter_items : array-like of labels or int, default=None
            These items may not be recommended.
        as_frame : bool, default=False
            Return a long pandas frame with the columns user, item, rank (from 1) and score,
            without padding. New users have the keys of the mapping, the labels of the
            `Interactions`, or their position in `user_items`.

        Returns
        -------
        items : ndarray of shape (n, k), int64 or object
            Best first. Where fewer than `k` are allowed, ids end in -1 and labels in None. A
            scalar user gives (k,).
        scores : ndarray of shape (n, k), float32
            Their scores; -inf for padding. Popularities for users without a history.

        Raises
        ------
        IndexError
            If the id of a user or an item is negative or unknown; the first one is named.
        KeyError
            If the label of a user or an item is unknown; the first one is named.
        TypeError
            If ids are not integers, or `user_items` is none of the forms above.
        ValueError
            If `k` is below 1 or a shape is wrong.
        """
        check_is_fitted(self)
        for name, value in (("exclude_seen", exclude_seen), ("as_frame", as_frame)):
            if not isinstance(value, bool | np.bool_):
                raise TypeError(f"{name} must be a bool, got {value!r}")
        k = check_positive_int(k)
        items = None if items is None else self._check_items(items, "items")
        filter_items = (
            None if filter_items is None else self._check_items(filter_items, "filter_items")
        )
        query = self._resolve_users(user_ids, user_items)
        ids, scores = self._rank(query.vectors, query.seen, k, exclude_seen, items, filter_items)
        if as_frame:
            return ranking_frame(query.names, self._name_items(ids), scores)
        named = self._name_items(ids)
        return (named[0], scores[0]) if query.scalar else (named, scores)

    def user_vectors(
        self, user_ids: Any = None, *, user_items: Any = None
    ) -> npt.NDArray[np.float32]:
        """Compute the vectors whose inner products with `item_embedding_` are the scores.

        For a model that scores seen items differently, such as `MDSRecRecommender`, the products
        are the scores of unseen items.

        Parameters
        ----------
        user_ids : label, int or array-like of shape (n,), default=None
            Users of the fit. None, without `user_items`, means all users in order.
        user_items : sparse matrix of shape (n, n_items), Interactions, list of lists or mapping, \
                default=None
            Histories of new users, as in `recommend`.

        Returns
        -------
        ndarray of shape (n, width), float32
            Zero for users without a history; `recommend` gives them the most popular items. A
            scalar user gives (width,).

        Raises
        ------
        IndexError, KeyError, TypeError, ValueError
            As `recommend`.
        """
        check_is_fitted(self)
        query = self._resolve_users(user_ids, user_items)
        return query.vectors[0] if query.scalar else query.vectors

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
            labels=self._labels.get("item"),
        )

    # With metadata routing, `score` takes (and ignores) the weights of `fit` without a request.
    __metadata_request__score = {"sample_weight": True}

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Compute the NDCG at `score_k` on held-out interactions.

        Parameters
        ----------
        X : sparse matrix of shape (n_users, n_items) or Interactions
            Held-out interactions of users of the fit.
        y : None
            Exists for scikit-learn, which may pass one label per sample: they are ignored.
        sample_weight : array-like, default=None
            Ignored: held-out interactions all count the same. scikit-learn's searches pass the
            weights of ``fit`` on.

        Returns
        -------
        float
            Mean over the users with held-out items. Interactions of the fit are left out of the
            rankings, except by a sequence model with ``repeats=True``: a perfect model scores 1
            only if `X` repeats none of them, and a warning has the number of those that it does.
        """
        check_is_fitted(self)
        check_no_target(y, "score")
        held_out = X
        if not (isinstance(X, Interactions) and self._labels):
            held_out = self._check_interactions(X, reset=False).to_csr()
            held_out.resize((self.n_users_, self.n_features_in_))  # the last users may have none
        name = f"ndcg@{self.score_k}"
        measured = evaluate(
            self, held_out, "ndcg", self.score_k, exclude_seen=self._score_excludes_seen()
        )
        return measured[name]

    def rank_items(self, user_ids: Any, items: Any) -> Ranked:
        """Rank given items for each user, seen or not.

        Parameters
        ----------
        user_ids : label, int or array-like of shape (n,)
            Users of the fit.
        items : array-like of labels or int, shape (n_candidates,)
            Items to rank, the same for every user; repeats count once.

        Returns
        -------
        items : ndarray of shape (n, n_candidates), int64 or object
            The items, best first. A scalar user gives (n_candidates,).
        scores : ndarray of shape (n, n_candidates), float32
        """
        check_is_fitted(self)
        candidates = np.unique(self._check_items(items, "items"))
        if not candidates.size:
            raise ValueError("items must name at least one item; got none")
        query = self._resolve_users(user_ids, None)
        ids, scores = self._rank(
            query.vectors, query.seen, len(candidates), False, candidates, None
        )
        named = self._name_items(ids)
        return (named[0], scores[0]) if query.scalar else (named, scores)

    def similar_items(self, item_ids: Any, k: int = 10) -> Ranked:
        """Find the items most similar to given items, by the cosine of their vectors.

        Parameters
        ----------
        item_ids : label, int or array-like of shape (n,)
        k : int, default=10

        Returns
        -------
        items : ndarray of shape (n, k), int64 or object
            Most similar first, without the item itself; -1 or None as padding. A scalar gives (k,).
        scores : ndarray of shape (n, k), float32
        """
        check_is_fitted(self)
        queries = self._check_items(item_ids, "item_ids", (0, 1))
        vectors = self._similarity_vectors(self.item_embedding_)
        ids, scores = similar(vectors, queries.reshape(-1), check_positive_int(k))
        named = self._name_items(ids)
        return (named[0], scores[0]) if queries.ndim == 0 else (named, scores)

    def similar_users(self, user_ids: Any, k: int = 10) -> Ranked:
        """Find the users most similar to given users, by the cosine of their vectors.

        Parameters
        ----------
        user_ids : label, int or array-like of shape (n,)
        k : int, default=10

        Returns
        -------
        users : ndarray of shape (n, k), int64 or object
            Most similar first, without the user; -1 or None as padding. A scalar gives (k,).
        scores : ndarray of shape (n, k), float32
        """
        check_is_fitted(self)
        users, scalar = self._check_users(user_ids)
        ids, scores = similar(
            self._similarity_vectors(self.user_embedding_), users, check_positive_int(k)
        )
        named = self._name_users(ids)
        return (named[0], scores[0]) if scalar else (named, scores)
