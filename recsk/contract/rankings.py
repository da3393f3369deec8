"""How a recommender ranks: the users of a call, their scores, and the names of the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.contract.answers import Query
from recsk.contract.inputs import InputChecks
from recsk.data.interactions import Interactions
from recsk.ranking.allowed import Allowed, is_for_each
from recsk.ranking.blocks import rank, top_k_of_blocks
from recsk.ranking.exact import similar, top_k
from recsk.ranking.scores import BlockScores, CombinedScores, Scores
from recsk.ranking.threads import one_thread_in_forks
from recsk.ranking.users import Users, combine_scores

__all__ = ["Rankings"]

IdsAndScores = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


class Rankings(InputChecks):
    """Rankings in ids for known users and for histories; what `recommend` is made of."""

    def encode(self, histories: Interactions) -> Users:
        """Compute what scores users with given histories, without a fit.

        `recommend` calls it for new users, and ``fit`` for its own users if `learn` returns no
        vectors of users. By default, the score of an item is the sum of the item-to-item weights
        of all items in the history. A model with vectors must override it.

        Parameters
        ----------
        histories : Interactions
            In ids, with the items of the fit. Some users may have no interactions.

        Returns
        -------
        Users
            Vectors, weights of the items in the histories, or both. Without weights,
            `weigh_histories` computes them.
        """
        if self._has_vectors():
            raise NotImplementedError(
                f"{type(self).__name__} has vectors: it needs a method `encode` that computes them "
                "from the histories of new users"
            )
        return Users()

    def weigh_histories(self, histories: sp.csr_matrix) -> sp.csr_matrix:
        """Weigh the items of histories, for the item-to-item part of the scores.

        It is called where neither `encode` nor the fit gave weights. By default every item of a
        history has weight 1.

        Parameters
        ----------
        histories : csr_matrix of shape (n, n_items)
            Ones where a user interacted with an item.

        Returns
        -------
        csr_matrix of shape (n, n_items)
        """
        return histories

    def score_block(self, users: Users) -> npt.NDArray[np.float32]:
        r"""Compute the scores of all items for some users.

        .. math:: s_{ui} = \langle x_u, x_i \rangle + \sum_{j \in H_u} h_{uj} B_{ji}

        Override it in a recommender whose scores are neither of these parts. `encode` then returns
        whatever of `vectors` and `weights` the scores are computed from.

        Parameters
        ----------
        users : Users
            As `encode` returns them. Without `weights`, those of `weigh_histories` are filled in
            where the model has item-to-item weights.

        Returns
        -------
        ndarray of shape (n, n_items), float32
            A new array: exclusions are written into it.
        """
        vectors = getattr(self, "item_embedding_", None)
        return combine_scores(users, vectors, getattr(self, "item_to_item_", None))

    def _ranking_device(self) -> str | None:
        """Return the device of torch that ranks; None is the CPU, without torch."""
        return None

    def _has_vectors(self) -> bool:
        return hasattr(self, "item_embedding_")

    def _is_factorized(self) -> bool:
        """Whether scores are inner products of vectors and nothing else: the fast path."""
        others = self._scores_blocks() or hasattr(self, "item_to_item_")
        return self._has_vectors() and not others

    def _scores_blocks(self) -> bool:
        return type(self).score_block is not Rankings.score_block

    def _score_excludes_seen(self) -> bool:
        """Whether seen items are left out of the rankings that `score` measures."""
        return True

    def _recommend_ids(
        self, user_ids: npt.NDArray[np.int64], k: int, *, exclude_seen: bool
    ) -> IdsAndScores:
        """Recommend in ids whatever the model speaks, for evaluation."""
        self = self._as_fitted()
        users, seen = self._stored_users(user_ids), self.interactions_[user_ids]
        return self._rank(users, seen, k, exclude_seen, None, None)

    def _rank(
        self,
        users: Users,
        seen: sp.csr_matrix,
        k: int,
        exclude_seen: bool,
        items: Any,
        filter_items: Any,
    ) -> IdsAndScores:
        """Rank items for users, by popularity for users without a history."""
        sets: dict[str, Any] = {"items": items, "filter_items": filter_items}
        exclude = seen if exclude_seen else None
        device = self._ranking_device()
        if self._is_factorized():
            assert users.vectors is not None
            options = {**sets, "exclude": exclude, "check_finite": False, "device": device}
            ids, scores = top_k(users.vectors, self.item_embedding_, k, **options)
        else:
            if not (exclude_seen or self._relates_seen()):
                users = replace(users, unrelated=seen)
            allowed = Allowed.read(exclude, items, filter_items, seen.shape)
            ids, scores = rank(self._scores(users, seen.shape[0]), k, allowed, device=device)
        empty = np.flatnonzero(np.diff(seen.indptr) == 0)
        if len(empty):
            user, popularity = self._popularity_vectors()
            if any(map(is_for_each, sets.values())):
                user = np.repeat(user, len(empty), axis=0)
                sets = {name: x[empty] if is_for_each(x) else x for name, x in sets.items()}
            ids[empty], scores[empty] = top_k(user, popularity, k, check_finite=False, **sets)
        return ids, scores

    def _scores(self, users: Users, n: int) -> Scores:
        """Return the scores of n users, computed where they are needed."""
        shape = n, self.n_features_in_
        if self._scores_blocks():
            return BlockScores(lambda rows: self.score_block(users[rows]), shape)
        vectors = getattr(self, "item_embedding_", None)
        return CombinedScores(users, vectors, getattr(self, "item_to_item_", None), *shape)

    def _most_similar(
        self, ids: npt.NDArray[np.int64], k: int, items: Any, filter_items: Any
    ) -> IdsAndScores:
        """Find items by the cosine of vectors; without vectors, by the item-to-item weights."""
        sets = {"items": items, "filter_items": filter_items}
        if self._has_vectors():
            vectors = self._similarity_vectors(self.item_embedding_)
            return similar(vectors, ids, k, device=self._ranking_device(), **sets)
        n, n_items = len(ids), self.n_features_in_
        itself = sp.csr_matrix((np.ones(n, "f4"), ids, np.arange(n + 1)), shape=(n, n_items))
        weights = self.item_to_item_

        def rows(block: slice) -> npt.NDArray[np.float32]:
            some = weights[ids[block]]
            return some.toarray() if sp.issparse(some) else some

        return top_k_of_blocks(rows, n, n_items, k, exclude=itself, **sets)

    def _name_items(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return labels of items where the model speaks labels, else the ids."""
        return self._labels["item"].decode(ids) if "item" in self._labels else ids

    def _name_users(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        return self._labels["user"].decode(ids) if "user" in self._labels else ids

    def _similarity_vectors(self, vectors: np.ndarray) -> np.ndarray:
        """Return the columns of the vectors that similarity compares."""
        return vectors

    def _has_modality_parts(self) -> bool:
        """Whether `_similarity_vectors` consist of one part for each modality, side by side."""
        return False

    def _relates_seen(self) -> bool:
        """Whether item-to-item weights count for seen items, where these are ranked too."""
        return True

    def _popularity_vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return vectors of one user and of the items whose products are the popularities."""
        return np.ones((1, 1), dtype=np.float32), self.item_popularity_[:, None]

    def _resolve_users(self, user_ids: Any, user_items: Any) -> Query:
        """Return known users, new users by their histories, or both."""
        if user_items is None:
            return self._known_users(user_ids)
        names, histories = self._check_histories(user_items)
        seen = histories.to_csr()
        users = self._new_users(histories, seen)
        if user_ids is None:
            return Query(users, seen, names, False)
        known = self._known_users(user_ids)
        if not isinstance(user_items, Mapping) and names.dtype.kind == "i":  # positions, not ids
            names = np.array([f"user_items[{row}]" for row in names], dtype=object)
        return Query(
            known.users.followed_by(users),
            sp.csr_matrix(sp.vstack([known.seen, seen], format="csr")),
            np.concatenate([known.names.astype(object), names.astype(object)]),
            False,
        )

    def _new_users(self, histories: Interactions, seen: sp.csr_matrix) -> Users:
        """Encode histories; vectors of empty ones are zero."""
        if not histories.n_users:
            return self._stored_users(np.empty(0, dtype=np.int64))
        with one_thread_in_forks():
            users = self.encode(histories)
        vectors, weights = users.vectors, users.weights
        if vectors is not None:
            vectors = np.array(vectors, dtype=np.float32, order="C")
            vectors[np.diff(seen.indptr) == 0] = 0
        if weights is None and hasattr(self, "item_to_item_"):
            weights = self.weigh_histories(seen)
        return Users(vectors, weights)

    def _stored_users(self, ids: npt.NDArray[np.int64] | None = None) -> Users:
        """Return users of the fit; None returns all of them, without copies."""

        def of(rows: Any) -> Any:
            return rows if ids is None else rows[ids]

        weights = None
        if hasattr(self, "history_weights_"):
            weights = of(self.history_weights_)
        elif hasattr(self, "item_to_item_"):
            weights = self.weigh_histories(of(self.interactions_))
        return Users(of(self.user_embedding_) if self._has_vectors() else None, weights)

    def _known_users(self, user_ids: Any) -> Query:
        ids, scalar = self._check_users(user_ids)
        users, seen = self._stored_users(ids), self.interactions_[ids]
        return Query(users, seen, self._name_users(ids), scalar)
