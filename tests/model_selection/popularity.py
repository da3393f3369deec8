"""A recommender by popularity that the tests of splitters, scorers and searches share."""

import numpy as np
from sklearn.base import BaseEstimator

from recsk.data import interaction_matrix
from recsk.metrics import evaluate
from recsk.ranking import top_k


class Popularity(BaseEstimator):
    """A minimal recommender. Popular items are first if `taste` is positive, else last."""

    def __init__(self, taste=1.0, max_epochs=10):
        self.taste = taste
        self.max_epochs = max_epochs

    def fit(self, X, y=None, *, item_features=None):
        self.seen_ = interaction_matrix(X)
        self.n_features_in_ = self.seen_.shape[1]
        self.features_ = item_features
        if item_features is not None:
            assert {name: f.shape[0] for name, f in item_features.items()} == {"v": 40, "t": 40}
        return self

    def recommend(self, user_ids, k=10, *, exclude_seen=True):
        popularity = self.seen_.sum(axis=0)[:, np.newaxis]
        vectors = np.full((len(user_ids), 1), self.taste)
        return top_k(vectors, popularity, k, exclude=self.seen_[user_ids] if exclude_seen else None)

    def score(self, X, y=None):
        return evaluate(self, X, "ndcg", 10)["ndcg@10"]
