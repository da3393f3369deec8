"""Estimators outside the package that keep the contract, each with other parts of a score."""

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from recsk.contract import BaseRecommender, Interval, Learned, Users


class Decomposition(BaseRecommender):
    """Vectors of a singular value decomposition."""

    parameter_constraints = {"n_factors": [Interval(Integral, 1, None, closed="left")]}

    def __init__(self, *, n_factors=8, score_k=10, random_state=0):
        self.n_factors = n_factors
        self.score_k = score_k
        self.random_state = random_state

    def learn(self, data):
        _, _, items = randomized_svd(data.matrix, self.n_factors, random_state=data.random_state)
        return Learned(item_vectors=items.T)

    def encode(self, histories):
        return Users(vectors=histories.to_csr() @ self.item_embedding_)


class Cooccurrence(BaseRecommender):
    """A sparse item-to-item term: numbers of common users. It has no parameters."""

    def learn(self, data):
        counts = sparse.lil_array(data.matrix.T @ data.matrix)
        counts.setdiag(0)
        return Learned(item_to_item=counts.tocsr())


class Content(BaseRecommender):
    """Vectors of features, which it needs: items like those of the history."""

    def learn(self, data):
        if not data.features:
            raise ValueError("item_features must have at least one modality; got none")
        columns = np.nan_to_num(np.hstack([*data.features.values()]))
        return Learned(item_vectors=columns)

    def encode(self, histories):
        return Users(vectors=histories.to_csr() @ self.item_embedding_)


class Successors(BaseRecommender):
    """Both parts: an item-to-item term in the order of time, and vectors of popularity."""

    ordered = True

    def __init__(self, *, share=0.5):
        self.share = share

    def learn(self, data):
        n_items = data.interactions.n_items
        follows = np.zeros((n_items, n_items))
        for items in data.interactions.sequences():
            for position, item in enumerate(items):
                np.add.at(follows[item], items[position + 1 :], 1)
        count = np.bincount(data.interactions.item, minlength=n_items)[:, None]
        return Learned(item_vectors=1e-3 * count / count.max(), item_to_item=follows)

    def encode(self, histories):
        weights = np.zeros((histories.n_users, histories.n_items), dtype=np.float32)
        for row, items in zip(weights, histories.sequences(), strict=True):
            row[items] = self.share ** np.arange(len(items))[::-1]
        return Users(np.ones((len(weights), 1)), sparse.csr_array(weights))
