"""Item kNN: items with similar users."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
import scipy.sparse as sp
from implicit.nearest_neighbours import ItemItemRecommender, bm25_weight, tfidf_weight

from recsk.baselines.ignored import warn_of_features
from recsk.contract import (
    BaseRecommender,
    Interval,
    Learned,
    StrOptions,
    TrainingData,
    register_estimator,
)
from recsk.graphs.neighbors import top_k_per_row
from recsk.ranking.threads import in_fork

__all__ = ["ItemKNNRecommender"]


@register_estimator
class ItemKNNRecommender(BaseRecommender):
    r"""Recommend the items whose users are those of the items in the history.

    .. math:: s_{ui} = \sum_{j \in H_u} B_{ji}, \qquad
              B_{ji} = \sum_v w_{vj} w_{vi}

    Only the `n_neighbors` items of the largest :math:`B_{ji}` are kept for each item j. The
    weights :math:`w` come from the interactions by BM25, TF-IDF or the length of their column. The
    search is that of ``implicit.nearest_neighbours``, on all cores.

    Parameters
    ----------
    n_neighbors : int, default=100
        Items kept for each item, besides itself.
    weighting : {"bm25", "cosine", "tfidf"}, default="bm25"
        "cosine": the cosine of the columns of the interactions. "tfidf": the same, with users of
        few items counting more. "bm25": the same without the cosine, and popular items held down
        by `K1` and `B`.
    K1 : float, default=1.2
        BM25: how slowly the weight of an interaction saturates.
    B : float, default=0.75
        BM25: how much popular items are held down, from 0 to 1.
    score_k : int, default=10
        Length of the lists that `score` measures.

    Attributes
    ----------
    item_to_item_ : csr_matrix of shape (n_items, n_items), float32
        :math:`B`. A row is an item of the history, a column a candidate.

    References
    ----------
    .. [1] Sarwar, B., Karypis, G., Konstan, J., & Riedl, J. (2001). "Item-based Collaborative
       Filtering Recommendation Algorithms." The Web Conference.
       https://doi.org/10.1145/371920.372071

    Examples
    --------
    >>> from recsk.baselines import ItemKNNRecommender
    >>> from recsk.datasets import make_multimodal
    >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
    >>> model = ItemKNNRecommender(n_neighbors=5).fit(data.interactions)
    >>> ids, scores = model.recommend(user_items=[[3, 14, 15]], k=4)
    >>> ids.shape
    (1, 4)
    """

    uses_features = False
    parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "weighting": [StrOptions({"bm25", "cosine", "tfidf"})],
        "K1": [Interval(Real, 0, None, closed="left")],
        "B": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        *,
        n_neighbors: int = 100,
        weighting: Literal["bm25", "cosine", "tfidf"] = "bm25",
        K1: float = 1.2,
        B: float = 0.75,
        score_k: int = 10,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.weighting = weighting
        self.K1 = K1
        self.B = B
        self.score_k = score_k

    def learn(self, data: TrainingData) -> Learned:
        """Find the nearest neighbours of every item."""
        warn_of_features(self, data)
        by_item = self._weigh(data.matrix.T.tocsr())
        n_items = by_item.shape[0]
        # One more than asked for: an item is a neighbour of itself.
        knn = ItemItemRecommender(min(self.n_neighbors + 1, n_items), num_threads=int(in_fork()))
        knn.fit(sp.csr_matrix(by_item.T, dtype=np.float64), show_progress=False)
        neighbors = sp.csr_array(knn.similarity, dtype=np.float32)
        neighbors.eliminate_zeros()
        return Learned(item_to_item=top_k_per_row(neighbors, self.n_neighbors, diagonal_offset=0))

    def _weigh(self, by_item: sp.csr_matrix) -> Any:
        """Return the weights, items x users."""
        if self.weighting == "bm25":
            return bm25_weight(by_item, self.K1, self.B)
        from sklearn.preprocessing import normalize

        return normalize(tfidf_weight(by_item) if self.weighting == "tfidf" else by_item)
