"""A fitted sequence model and users of the validation part, for scripts that change its scores."""

from __future__ import annotations

import models
import numpy as np
import scipy.sparse as sp
from sklearn.utils import Bunch

__all__ = ["Asked", "K", "gain_of_rank"]

K = 10


def gain_of_rank(rank: np.ndarray) -> np.ndarray:
    """NDCG@10 of users with one answer each, from its rank, the first one being 0."""
    return np.where(rank < K, 1 / np.log2(rank + 2), 0.0)


class Asked:
    """A model fitted on the training part, and what it says of users with an answer in validation.

    Attributes
    ----------
    model : the fitted estimator
    users, answer : ndarray of shape (n,)
        At most `n_users` of them, at random, and the item that each one took.
    histories : list of ndarray
        Their items, oldest first.
    vectors, related : ndarray of shape (n, n_items)
        The parts of the scores: inner products of vectors, and the item-to-item part.
    masked : ndarray of shape (n, n_items)
        -inf for items seen, else 0.
    """

    def __init__(self, name: str, data: Bunch, seed: int, n_users: int | None = None) -> None:
        self.model = models.fit(name, data, seed, {}).estimator
        target = sp.csr_matrix(data.valid)
        users = np.flatnonzero(np.diff(target.indptr))
        if n_users is not None and len(users) > n_users:
            users = np.random.default_rng(0).choice(users, n_users, replace=False)
        self.users, self.answer = users, target[users].indices
        self.histories = [np.asarray(data.history["valid"][user]) for user in users]
        seen = self.model.interactions_[users].toarray() > 0
        self.masked = np.where(seen, -np.inf, 0.0).astype(np.float32)
        self.vectors = self.of_columns(slice(None))
        self.related = (self.model.history_weights_[users] @ self.model.item_to_item_).toarray()

    def of_columns(self, columns: slice) -> np.ndarray:
        """The part of some columns of the vectors in the scores."""
        vectors = self.model.user_embedding_[self.users, columns]
        return vectors @ self.model.item_embedding_[:, columns].T

    def ndcg(self, scores: np.ndarray) -> np.ndarray:
        """NDCG@10 of each user, without the items seen."""
        scores = scores + self.masked
        own = scores[np.arange(len(scores)), self.answer][:, None]
        return gain_of_rank((scores > own).sum(axis=1))
