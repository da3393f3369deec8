"""Estimators outside the package: one that keeps the contract, and ones that break it each once."""

import numpy as np
from sklearn.decomposition import TruncatedSVD

from recsk.contract import BaseRecommender


class Decomposition(BaseRecommender):
    """A singular value decomposition, which keeps the contract."""

    def __init__(self, *, n_factors=8, score_k=10, random_state=0):
        self.n_factors = n_factors
        self.score_k = score_k
        self.random_state = random_state

    def fit(self, X, y=None, *, item_features=None):
        interactions = self._check_interactions(X, reset=True)
        matrix = interactions.to_csr()
        n_factors = min(self.n_factors, min(matrix.shape))
        self.svd_ = TruncatedSVD(n_factors, random_state=self.random_state)
        users = self.svd_.fit_transform(matrix)
        self._set_fitted(interactions, users, self.svd_.components_.T)
        return self

    def _fold_in(self, histories):
        return histories.to_csr() @ self.item_embedding_
