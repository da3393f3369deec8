"""The scores of given pairs, and the best users for an item."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.contract.learning import Learning
from recsk.data.checks import check_positive_int
from recsk.ranking.allowed import Allowed
from recsk.ranking.blocks import rank
from recsk.ranking.exact import top_k
from recsk.ranking.scores import ScoresOfItems
from recsk.ranking.threads import one_thread_in_forks

__all__ = ["Pairs"]


class Pairs(Learning):
    """What a recommender answers about pairs of users and items, beside lists of items."""

    def score_pairs(self, user_ids: Any, items: Any, *, user_items: Any = None) -> Any:
        """Compute the scores of pairs of a user and an item.

        They are the scores of `recommend`, for seen items with ``exclude_seen=False``. Only the
        pairs are scored, if the scores are made of vectors and item-to-item weights.

        Parameters
        ----------
        user_ids : label, int or array-like of shape (n,), or None
            Users of the fit.
        items : label, int or array-like of shape (n,)
            The item of each pair.
        user_items : sparse matrix of shape (n, n_items), Interactions, list of lists or mapping, \
                default=None
            Histories of new users, one for each pair, as in `recommend`. Pass ``user_ids=None``,
            or the histories follow the known users.

        Returns
        -------
        ndarray of shape (n,), float32
            Popularities for users without a history. Two scalars give one number.

        Raises
        ------
        IndexError, KeyError, TypeError
            As `recommend`.
        ValueError
            If there are not as many users as items, or a shape is wrong.

        Examples
        --------
        >>> from recsk import Interactions
        >>> from recsk.baselines import ItemKNNRecommender
        >>> model = ItemKNNRecommender().fit(Interactions([0, 0, 1], [0, 1, 1], n_items=3))
        >>> model.score_pairs([0, 1], [2, 0]).shape
        (2,)
        """
        self = self._as_fitted()
        columns = self._check_items(items, "items", (0, 1))
        if user_items is None and user_ids is not None:
            ids, scalar = self._check_users(user_ids)
            found, rows = np.unique(ids, return_inverse=True)
            users, seen = self._stored_users(found), self.interactions_[found]
        else:
            query = self._resolve_users(user_ids, user_items)
            users, seen, scalar = query.users, query.seen, query.scalar
            rows = np.arange(seen.shape[0])
        if scalar != (columns.ndim == 0) or len(rows) != columns.size:
            n_users, n_items = (
                "one" if scalar else len(rows),
                columns.size if columns.ndim else "one",
            )
            raise ValueError(
                "score_pairs needs one item for each user: two arrays of one length, or two "
                f"scalars; got {n_users} users and {n_items} items"
            )
        columns = columns.reshape(-1)
        if not self._relates_seen():
            users = replace(users, unrelated=seen)
        with one_thread_in_forks():
            scores = self._scores(users, seen.shape[0]).of_pairs(rows, columns)
        empty = (np.diff(seen.indptr) == 0)[rows]
        user, popularity = self._popularity_vectors()
        scores[empty] = popularity[columns[empty]] @ user[0]
        return scores[0] if scalar else scores

    def recommend_users(
        self,
        items: Any,
        k: int = 10,
        *,
        users: Any = None,
        filter_users: Any = None,
        exclude_seen: bool = True,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
        """Find the users of the fit with the highest scores for given items.

        Users without a history have no scores of their own: they are left out. Users and items are
        scored in blocks, so that memory stays bounded. A class with its own `score_block` computes
        the scores of all items for each block of them.

        Parameters
        ----------
        items : label, int or array-like of shape (n,)
        k : int, default=10
            Users per item.
        users : array-like, list of lists, sparse matrix or boolean mask, default=None
            Only these users (labels or ids), for all items. A list of lists has one list for each
            item. A matrix or mask of shape (n, n_users) has the users of each item in its row;
            with labels, columns are in the order of `users_`.
        filter_users : as `users`, default=None
            Not these users.
        exclude_seen : bool, default=True
            Leave out the users who have seen the item.

        Returns
        -------
        users : ndarray of shape (n, k), int64 or object
            Best first, equal scores in the order of ids. -1 or None as padding. A scalar item
            gives (k,).
        scores : ndarray of shape (n, k), float32
            Their scores for the item; -inf for padding.

        Raises
        ------
        IndexError, KeyError, TypeError, ValueError
            As `recommend`.
        """
        self = self._as_fitted()
        if not isinstance(exclude_seen, bool | np.bool_):
            raise TypeError(f"exclude_seen must be a bool, got {exclude_seen!r}")
        k = check_positive_int(k)
        queries = self._check_items(items, "items", (0, 1))
        ids = queries.reshape(-1)
        users = self._check_user_sets(users, "users", len(ids))
        filter_users = self._check_user_sets(filter_users, "filter_users", len(ids))
        users = _known_only(users, np.diff(self.interactions_.indptr) > 0)
        seen = sp.csr_array(self.interactions_[:, ids].T) if exclude_seen else None
        device = self._ranking_device()
        if self._is_factorized():
            vectors = self.item_embedding_[ids], self.user_embedding_
            options = {"exclude": seen, "items": users, "filter_items": filter_users}
            found, scores = top_k(*vectors, k, check_finite=False, device=device, **options)
        else:
            everybody = self._stored_users()
            if not (exclude_seen or self._relates_seen()):
                everybody = replace(everybody, unrelated=self.interactions_)
            of_items = ScoresOfItems(self._scores(everybody, self.n_users_), ids)
            allowed = Allowed.read(seen, users, filter_users, of_items.shape)
            found, scores = rank(of_items, k, allowed, device=device)
        named = self._name_users(found)
        return (named[0], scores[0]) if queries.ndim == 0 else (named, scores)


def _known_only(users: Any, known: npt.NDArray[np.bool_]) -> Any:
    """Return candidates without the users who have no history."""
    if known.all():
        return users
    if users is None:
        return np.flatnonzero(known)
    if users.ndim == 1:
        return users[known[users]]
    return sp.csr_array(users.multiply(known)) if sp.issparse(users) else users & known
