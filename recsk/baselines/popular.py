"""The most popular items for everybody."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsk.baselines.ignored import warn_of_features
from recsk.contract import BaseRecommender, Learned, TrainingData, Users, register_estimator
from recsk.data import Interactions

__all__ = ["PopularRecommender"]


@register_estimator
class PopularRecommender(BaseRecommender):
    """Recommend the most popular items that a user has not interacted with.

    The score of an item is its number of interactions, relative to the most popular item. With
    `sample_weight` in `fit`, it is the sum of the weights.

    Parameters
    ----------
    score_k : int, default=10
        Length of the lists that `score` measures.

    Attributes
    ----------
    item_embedding_ : ndarray of shape (n_items, 1), float32
        The scores.
    user_embedding_ : ndarray of shape (n_users, 1), float32
        Ones; zero for users without a history.

    Examples
    --------
    >>> from recsk.baselines import PopularRecommender
    >>> from recsk.datasets import make_multimodal
    >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
    >>> model = PopularRecommender().fit(data.interactions)
    >>> ids, scores = model.recommend([0, 1], k=3)
    >>> ids.shape
    (2, 3)
    """

    uses_features = False

    def __init__(self, *, score_k: int = 10) -> None:
        self.score_k = score_k

    def learn(self, data: TrainingData) -> Learned:
        """Count the interactions of every item."""
        warn_of_features(self, data)
        interactions = data.interactions
        count = np.bincount(
            interactions.item, weights=interactions.value, minlength=interactions.n_items
        )
        return Learned(item_vectors=count[:, None] / count.max())

    def encode(self, histories: Interactions) -> Users:
        """Give all users the same vector."""
        return Users(vectors=np.ones((histories.n_users, 1), dtype=np.float32))

    def score_parts(
        self, users: Users, rows: npt.NDArray[np.int64], items: npt.NDArray[np.int64]
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Name the popularity, which is the whole score."""
        return {"popularity": super().score_parts(users, rows, items)["vectors"]}
