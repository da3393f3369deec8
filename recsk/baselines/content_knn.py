"""Content kNN: items that are like those of the history."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np

from recsk.baselines.content_parts import ContentScores
from recsk.contract import (
    Interval,
    Learned,
    TrainingData,
    Users,
    register_estimator,
)
from recsk.data import Interactions
from recsk.features.content import content_vectors
from recsk.graphs.neighbors import cosine_neighbors

__all__ = ["ContentKNNRecommender"]


@register_estimator
class ContentKNNRecommender(ContentScores):
    r"""Recommend the items whose content is like that of the history, new items too.

    .. math:: s_{ui} = \frac{1}{|H_u|} \sum_{j \in H_u} \cos(f_j, f_i), \qquad
              \cos(f_j, f_i) = \frac{1}{\sqrt{M_j M_i}} \sum_m \cos(f_{jm}, f_{im})

    where the sum is over the modalities that both items have, and item i has :math:`M_i`. Where
    all items have all modalities, it is the mean of their cosines. Nothing is learned from the
    interactions: they are the histories, and all their items count the same.

    Parameters
    ----------
    n_neighbors : int or None, default=None
        None: all items of the history count for all candidates, by one vector for each user and
        item. An int: an item of the history counts for as many candidates alone, those most like
        it, and no vectors are stored.
    score_k : int, default=10
        Length of the lists that `score` measures.

    Attributes
    ----------
    item_embedding_ : ndarray of shape (n_items, n_columns), float32
        Features of all modalities side by side, of length one; zero for an item without any. Only
        where `n_neighbors` is None.
    user_embedding_ : ndarray of shape (n_users, n_columns), float32
        Their means over the histories. Only where `n_neighbors` is None.
    item_to_item_ : csr_matrix of shape (n_items, n_items), float32
        Cosines of the nearest items, where they are positive. Only where `n_neighbors` is an int.

    References
    ----------
    .. [1] Lops, P., de Gemmis, M., & Semeraro, G. (2011). "Content-based Recommender Systems: State
       of the Art and Trends." Recommender Systems Handbook.
       https://doi.org/10.1007/978-0-387-85820-3_3

    Examples
    --------
    >>> from recsk.baselines import ContentKNNRecommender
    >>> from recsk.datasets import make_multimodal
    >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
    >>> model = ContentKNNRecommender().fit(data.interactions, item_features=data.item_features)
    >>> ids, scores = model.recommend(user_items=[[3, 14, 15]], k=4)
    >>> ids.shape
    (1, 4)
    """

    parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(self, *, n_neighbors: int | None = None, score_k: int = 10) -> None:
        self.n_neighbors = n_neighbors
        self.score_k = score_k

    def learn(self, data: TrainingData) -> Learned:
        """Bring the features of all modalities to one vector for each item."""
        if not data.features:
            raise ValueError(
                f"{type(self).__name__} needs item_features, a dict of modality name to array of "
                "shape (n_items, n_columns): fit(X, item_features={'text': features})"
            )
        vectors = content_vectors(data.features)
        if self.n_neighbors is None:
            return Learned(item_vectors=vectors)
        return Learned(item_to_item=cosine_neighbors(vectors, None, self.n_neighbors))

    def encode(self, histories: Interactions) -> Users:
        """Average the items of each history."""
        from sklearn.preprocessing import normalize

        weights = normalize(histories.to_csr(), norm="l1")
        if hasattr(self, "item_embedding_"):
            return Users(vectors=np.asarray(weights @ self.item_embedding_))
        return Users(weights=weights)
