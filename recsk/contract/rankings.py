"""How a recommender ranks: the users of a call, their scores, and the names of the result."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from recsk.contract.answers import Query
from recsk.contract.inputs import InputChecks
from recsk.data.interactions import Interactions
from recsk.ranking.exact import top_k
from recsk.ranking.seen import top_k_with_seen
from recsk.ranking.threads import one_thread_in_forks

__all__ = ["Rankings"]

IdsAndScores = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


class Rankings(InputChecks, metaclass=ABCMeta):
    """Rankings in ids for known users and for histories; what `recommend` is made of."""

    @abstractmethod
    def _fold_in(self, histories: Interactions) -> np.ndarray:
        """Compute vectors of shape (histories.n_users, width) for new users."""

    def _score_excludes_seen(self) -> bool:
        """Whether seen items are left out of the rankings that `score` measures."""
        return True

    def _recommend_ids(
        self, user_ids: npt.NDArray[np.int64], k: int, *, exclude_seen: bool
    ) -> IdsAndScores:
        """Recommend in ids whatever the model speaks, for evaluation."""
        check_is_fitted(self)
        vectors, seen = self.user_embedding_[user_ids], self.interactions_[user_ids]
        return self._rank(vectors, seen, k, exclude_seen, None, None)

    def _rank(
        self,
        vectors: npt.NDArray[np.float32],
        seen: sp.csr_matrix,
        k: int,
        exclude_seen: bool,
        items: npt.NDArray[np.int64] | None,
        filter_items: npt.NDArray[np.int64] | None,
    ) -> IdsAndScores:
        """Rank items for user vectors, by popularity for users without a history."""
        catalogue = self.item_embedding_
        options: dict[str, Any] = {"items": items, "filter_items": filter_items}
        options["check_finite"] = False
        if exclude_seen:
            ids, scores = top_k(vectors, catalogue, k, exclude=seen, **options)
        else:
            width = self._seen_width()
            ids, scores = top_k_with_seen(
                vectors, catalogue, k, seen=seen, seen_width=width, **options
            )
        empty = np.diff(seen.indptr) == 0
        if empty.any():
            ids[empty], scores[empty] = top_k(*self._popularity_vectors(), k, **options)
        return ids, scores

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

    def _seen_width(self) -> int:
        """Return how many of the first columns count for seen items."""
        return self.item_embedding_.shape[1]

    def _popularity_vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return vectors of one user and of the items whose products are the popularities."""
        return np.ones((1, 1), dtype=np.float32), self.item_popularity_[:, None]

    def _resolve_users(self, user_ids: Any, user_items: Any) -> Query:
        """Return known users, new users by their histories, or both."""
        if user_items is None:
            return self._known_users(user_ids)
        names, histories = self._check_histories(user_items)
        seen = histories.to_csr()
        vectors = self.user_embedding_[:0]
        if histories.n_users:
            with one_thread_in_forks():
                vectors = self._fold_in(histories)
            vectors[np.diff(seen.indptr) == 0] = 0
        if user_ids is None:
            return Query(vectors, seen, names, False)
        known = self._known_users(user_ids)
        if not isinstance(user_items, Mapping) and names.dtype.kind == "i":  # positions, not ids
            names = np.array([f"user_items[{row}]" for row in names], dtype=object)
        return Query(
            np.vstack([known.vectors, vectors]),
            sp.csr_matrix(sp.vstack([known.seen, seen], format="csr")),
            np.concatenate([known.names.astype(object), names.astype(object)]),
            False,
        )

    def _known_users(self, user_ids: Any) -> Query:
        users, scalar = self._check_users(user_ids)
        vectors, seen = self.user_embedding_[users], self.interactions_[users]
        return Query(vectors, seen, self._name_users(users), scalar)
