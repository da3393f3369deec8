"""Sequential rules: what follows the last items of a history, and what is like them."""

from __future__ import annotations

from numbers import Integral, Real
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
from recsk.data.sequences import Sequences
from recsk.features.content import content_vectors
from recsk.graphs import recency_weights, succession_graph

__all__ = ["SequentialRulesRecommender"]


@register_estimator
class SequentialRulesRecommender(ContentScores):
    r"""Recommend what follows the last items of a history, and what is like them.

    .. math:: s_{ui} = \sum_{s=1}^{n} \delta^{s-1} \left(
              \frac{W_{j_s i}}{\max W} + c \cos(f_{j_s}, f_i) \right), \qquad
              W_{ji} = \frac{1}{\sqrt{n_j}} \sum_v \sum_{g=1}^{G} \gamma^{g-1} \,
              [i \text{ is } g \text{ places after } j]

    with :math:`j_1` the last item of the history, :math:`j_2` the one before it, :math:`n_j` the
    number of interactions with item j, and cosines as in `ContentKNNRecommender`. Without
    `item_features` only the first part counts. There is nothing to train, and on some data of
    short histories no network is better.

    Parameters
    ----------
    max_gap : int, default=20
        :math:`G`, the largest distance in a history at which one item follows another.
    gap_decay : float, default=0.8
        :math:`\gamma`, from 0 to 1.
    n_recent : int, default=5
        :math:`n`, the last items of a history that count.
    recent_decay : float, default=0.5
        :math:`\delta`, from 0 to 1.
    content_weight : float, default=0.2
        :math:`c`.
    score_k : int, default=10
        Length of the lists that `score` measures.

    Attributes
    ----------
    item_to_item_ : csr_matrix of shape (n_items, n_items), float32
        :math:`W / \max W`. A row is an item of the history, a column a candidate.
    history_weights_ : csr_matrix of shape (n_users, n_items), float32
        :math:`\delta^{s-1}` for the last items of each user.
    item_embedding_ : ndarray of shape (n_items, n_columns), float32
        Features of all modalities side by side, of length :math:`\sqrt c`. Only with features.
    user_embedding_ : ndarray of shape (n_users, n_columns), float32
        Their weighted sums over the last items. Only with features.

    References
    ----------
    .. [1] Ludewig, M., & Jannach, D. (2018). "Evaluation of Session-based Recommendation
       Algorithms." User Modeling and User-Adapted Interaction, 28.
       https://arxiv.org/abs/1803.09587

    Examples
    --------
    >>> from recsk import Interactions
    >>> from recsk.baselines import SequentialRulesRecommender
    >>> log = Interactions([0, 0, 0, 1, 1], [0, 1, 2, 0, 1], timestamp=[1, 2, 3, 1, 2], n_items=4)
    >>> model = SequentialRulesRecommender().fit(log)
    >>> ids, scores = model.recommend(user_items=[[0]], k=2)
    >>> ids
    array([[1, 2]])
    """

    ordered = True
    parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "max_gap": [Interval(Integral, 1, None, closed="left")],
        "gap_decay": [Interval(Real, 0, 1, closed="both")],
        "n_recent": [Interval(Integral, 1, None, closed="left")],
        "recent_decay": [Interval(Real, 0, 1, closed="both")],
        "content_weight": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        max_gap: int = 20,
        gap_decay: float = 0.8,
        n_recent: int = 5,
        recent_decay: float = 0.5,
        content_weight: float = 0.2,
        score_k: int = 10,
    ) -> None:
        self.max_gap = max_gap
        self.gap_decay = gap_decay
        self.n_recent = n_recent
        self.recent_decay = recent_decay
        self.content_weight = content_weight
        self.score_k = score_k

    def learn(self, data: TrainingData) -> Learned:
        """Count what follows what, and bring features to one vector for each item."""
        sequences = Sequences.from_interactions(data.interactions)
        successions = succession_graph(
            sequences.indptr,
            sequences.items,
            data.interactions.n_items,
            max_gap=self.max_gap,
            gap_decay=self.gap_decay,
            weights=sequences.weights,
        )
        successions.data /= successions.data.max(initial=0) or 1
        vectors = None
        if data.features and self.content_weight > 0:
            vectors = np.float32(self.content_weight**0.5) * content_vectors(data.features)
        return Learned(item_vectors=vectors, item_to_item=successions)

    def encode(self, histories: Interactions) -> Users:
        """Weigh the last items of each history."""
        indptr, items, _ = Sequences.from_interactions(histories)
        weights = recency_weights(
            indptr, items, histories.n_items, n_recent=self.n_recent, decay=self.recent_decay
        )
        vectors = None
        if hasattr(self, "item_embedding_"):
            vectors = np.asarray(weights @ self.item_embedding_)
        return Users(vectors=vectors, weights=weights)
