"""The base class of every recommender."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils._param_validation import Interval
from sklearn.utils.metaestimators import available_if

from recsk.contract.answers import ranking_frame
from recsk.contract.diversity import Diversifying
from recsk.data.checks import check_positive_int
from recsk.data.forms import check_no_target
from recsk.data.interactions import Interactions
from recsk.metrics.evaluation import evaluate
from recsk.ranking.allowed import count_candidates
from recsk.ranking.approximate import ItemIndex
from recsk.ranking.exact import similar

__all__ = ["BaseRecommender"]

Ranked = tuple[npt.NDArray[Any], npt.NDArray[np.float32]]  # ids or labels, and scores


def _after_fit(*names: str) -> Callable[[Any], bool]:
    """Make a check for `available_if`: a fitted model has one of these attributes."""

    def check(est: Any) -> bool:
        if est.__sklearn_is_fitted__() and not any(hasattr(est, name) for name in names):
            raise AttributeError(f"a fitted {type(est).__name__} has no {' or '.join(names)}")
        return True

    return check


class BaseRecommender(Diversifying):
    r"""What all recommenders share: everything but what they learn.

    A subclass defines `learn`, which returns what scores are made of, and `encode` if it has
    vectors, which computes them for the histories of new users.

    .. math:: s_{ui} = \langle x_u, x_i \rangle + \sum_{j \in H_u} h_{uj} B_{ji}

    Either part may be missing: vectors :math:`x`, or item-to-item weights :math:`B`, each item of
    a history with a weight :math:`h`. For scores that are neither, override `score_block`. A
    subclass may have the parameters `score_k` (default 10: list length of `score`) and
    `random_state`. It lists legal values of its parameters in `parameter_constraints`, and sets
    ``ordered = True`` if it reads the order of the interactions.
    `recsk.testing.check_recommender` checks the result. :doc:`/contributing/add_an_estimator`
    shows more.

    Examples
    --------
    A recommender made of a singular value decomposition:

    >>> from sklearn.decomposition import TruncatedSVD
    >>> from recsk.contract import BaseRecommender, Learned, Users
    >>> from recsk.datasets import make_multimodal
    >>> class Decomposition(BaseRecommender):
    ...     def learn(self, data):
    ...         self.svd_ = TruncatedSVD(8, random_state=0).fit(data.matrix)
    ...         return Learned(item_vectors=self.svd_.components_.T)
    ...
    ...     def encode(self, histories):
    ...         return Users(vectors=self.svd_.transform(histories.to_csr()))
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
        diversity: Any = None,
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
        items : array-like, list of lists, sparse matrix or boolean mask, default=None
            Only these items (labels or ids) may be recommended, to all users. A list of lists has
            one list for each user. A matrix or mask of shape (n, n_items) has the items of each
            user in its row; with labels, columns are in the order of `items_`.
        filter_items : as `items`, default=None
            These items may not be recommended.
        diversity : float or dict of str to float, default=None
            How much the content of the items in a list should differ, from 0 to 1, in all
            modalities together or by modality, such as ``{"image": 0.3}``. The 10 `k` best items
            are re-ranked by maximal marginal relevance; scores stay those of the model. An item
            without a modality counts as unlike all others. Only for models that keep features.
        as_frame : bool, default=False
            Return a long pandas frame with the columns user, item, rank (from 1) and score,
            without padding. New users have the keys of the mapping, the labels of the
            `Interactions`, or their position in `user_items`.

        Returns
        -------
        items : ndarray of shape (n, k), int64 or object
            Best first, or with `diversity` as they are chosen. Where fewer than `k` are allowed,
            ids end in -1 and labels in None. A scalar user gives (k,).
        scores : ndarray of shape (n, k), float32
            Their scores; -inf for padding. Popularities for users without a history.

        Raises
        ------
        IndexError
            If the id of a user or an item is negative or unknown; the first one is named.
        KeyError
            If the label of a user or an item is unknown; the first one is named.
        TypeError
            If ids are not integers, or `user_items` or a mask is none of the forms above.
        ValueError
            If `k` is below 1 or a shape is wrong.
        """
        self = self._as_fitted()
        for name, value in (("exclude_seen", exclude_seen), ("as_frame", as_frame)):
            if not isinstance(value, bool | np.bool_):
                raise TypeError(f"{name} must be a bool, got {value!r}")
        k = check_positive_int(k)
        items = self._check_item_list(items, "items")
        filter_items = self._check_item_list(filter_items, "filter_items")
        query = self._resolve_users(user_ids, user_items)
        n = query.seen.shape[0]
        items = self._check_item_sets(items, "items", n)
        filter_items = self._check_item_sets(filter_items, "filter_items", n)
        allowed = exclude_seen, items, filter_items
        ids, scores = self._rank_diversely(query, k, *allowed, diversity)
        if as_frame:
            return ranking_frame(query.names, self._name_items(ids), scores)
        named = self._name_items(ids)
        return (named[0], scores[0]) if query.scalar else (named, scores)

    @available_if(_after_fit("item_embedding_"))
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
        self = self._as_fitted()
        query = self._resolve_users(user_ids, user_items)
        vectors = query.users.vectors
        assert vectors is not None
        return vectors[0] if query.scalar else vectors

    @available_if(_after_fit("item_to_item_"))
    def history_weights(self, user_ids: Any = None, *, user_items: Any = None) -> sp.csr_matrix:
        """Return the weights of items in histories, which `item_to_item_` turns into scores.

        Parameters
        ----------
        user_ids, user_items
            As in `user_vectors`.

        Returns
        -------
        csr_matrix of shape (n, n_items), float32
            ``weights @ model.item_to_item_`` is the part of the scores that no vectors give.
        """
        self = self._as_fitted()
        return self._resolve_users(user_ids, user_items).users.weights

    @available_if(_after_fit("item_embedding_"))
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
            approximates ``model.recommend([0, 1], k=10)``. A model with an item-to-item term also
            needs ``weights=model.history_weights([0, 1])``.

        Raises
        ------
        ImportError
            If faiss is not installed.
        TypeError, ValueError
            If `index` is unknown, or a number is no integer or out of range.
        """
        self = self._as_fitted()
        if not isinstance(index, str) or index != "faiss":
            raise ValueError(f"index must be 'faiss', the only one so far; got {index!r}")
        return ItemIndex(
            self.item_embedding_,
            self.item_popularity_,
            n_links=n_links,
            search_width=search_width,
            build_width=build_width,
            labels=self._labels.get("item"),
            item_to_item=getattr(self, "item_to_item_", None),
        )

    # With metadata routing, `score` takes (and ignores) the weights of `fit` without a request.
    __metadata_request__score = {"sample_weight": True}

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Compute the NDCG at `score_k` (10, without this parameter) on held-out interactions.

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
        self = self._as_fitted()
        check_no_target(y, "score")
        held_out = X
        if not (isinstance(X, Interactions) and self._labels):
            held_out = self._check_interactions(X, reset=False).to_csr()
            held_out.resize((self.n_users_, self.n_features_in_))  # the last users may have none
        k = getattr(self, "score_k", 10)
        measured = evaluate(self, held_out, "ndcg", k, exclude_seen=self._score_excludes_seen())
        return measured[f"ndcg@{k}"]

    def rank_items(self, user_ids: Any, items: Any) -> Ranked:
        """Rank given items for each user, seen or not.

        Parameters
        ----------
        user_ids : label, int or array-like of shape (n,)
            Users of the fit.
        items : array-like, list of lists, sparse matrix or boolean mask
            Items to rank, the same for every user, or for each user, as in `recommend`; repeats
            count once.

        Returns
        -------
        items : ndarray of shape (n, n_candidates), int64 or object
            The items, best first. Users with fewer items than others have -1 or None at the end.
            A scalar user gives (n_candidates,).
        scores : ndarray of shape (n, n_candidates), float32
        """
        self = self._as_fitted()
        if items is None:
            raise TypeError("items must name the items to rank; got None")
        candidates = self._check_item_list(items, "items")
        query = self._resolve_users(user_ids, None)
        candidates = self._check_item_sets(candidates, "items", query.seen.shape[0])
        k = count_candidates(candidates)
        if not k:
            raise ValueError("items must name at least one item; got none")
        ids, scores = self._rank(query.users, query.seen, k, False, candidates, None)
        named = self._name_items(ids)
        return (named[0], scores[0]) if query.scalar else (named, scores)

    @available_if(_after_fit("item_embedding_", "item_to_item_"))
    def similar_items(
        self, item_ids: Any, k: int = 10, *, items: Any = None, filter_items: Any = None
    ) -> Ranked:
        """Find the items most similar to given items.

        By the cosine of their vectors. A model without vectors uses its item-to-item weights.

        Parameters
        ----------
        item_ids : label, int or array-like of shape (n,)
        k : int, default=10
        items, filter_items : array-like, list of lists, sparse matrix or boolean mask, default=None
            Only these items may be found, or not these. As in `recommend`: one set for all
            `item_ids`, or one row for each.

        Returns
        -------
        items : ndarray of shape (n, k), int64 or object
            Most similar first, without the item itself; -1 or None as padding. A scalar gives (k,).
        scores : ndarray of shape (n, k), float32
        """
        self = self._as_fitted()
        queries = self._check_items(item_ids, "item_ids", (0, 1))
        k = check_positive_int(k)
        items, filter_items = (
            self._check_item_sets(self._check_item_list(x, name), name, queries.size)
            for name, x in (("items", items), ("filter_items", filter_items))
        )
        ids, scores = self._most_similar(queries.reshape(-1), k, items, filter_items)
        named = self._name_items(ids)
        return (named[0], scores[0]) if queries.ndim == 0 else (named, scores)

    @available_if(_after_fit("user_embedding_"))
    def similar_users(
        self, user_ids: Any, k: int = 10, *, users: Any = None, filter_users: Any = None
    ) -> Ranked:
        """Find the users most similar to given users, by the cosine of their vectors.

        Parameters
        ----------
        user_ids : label, int or array-like of shape (n,)
        k : int, default=10
        users, filter_users : array-like, list of lists, sparse matrix or boolean mask, default=None
            Only these users may be found, or not these; as in `recommend_users`.

        Returns
        -------
        users : ndarray of shape (n, k), int64 or object
            Most similar first, without the user; -1 or None as padding. A scalar gives (k,).
        scores : ndarray of shape (n, k), float32
        """
        self = self._as_fitted()
        queries, scalar = self._check_users(user_ids)
        k = check_positive_int(k)
        sets = {
            "items": self._check_user_sets(users, "users", len(queries)),
            "filter_items": self._check_user_sets(filter_users, "filter_users", len(queries)),
        }
        vectors = self._similarity_vectors(self.user_embedding_)
        ids, scores = similar(vectors, queries, k, device=self._ranking_device(), **sets)
        named = self._name_users(ids)
        return (named[0], scores[0]) if scalar else (named, scores)
