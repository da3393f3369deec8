"""EASE: a linear model of items by items, in closed form."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

from recsk.baselines.ignored import warn_of_features
from recsk.contract import BaseRecommender, Interval, Learned, TrainingData, register_estimator
from recsk.graphs import ease

__all__ = ["EASERecommender"]


@register_estimator
class EASERecommender(BaseRecommender):
    r"""Rebuild each history from its other items by a linear model.

    .. math:: s_{ui} = \sum_{j \in H_u} B_{ji}, \qquad
              B = \arg\min_B \lVert X - X B \rVert_F^2 + \lambda \lVert B \rVert_F^2
              \quad \text{with} \quad B_{ii} = 0

    with :math:`X` one, or a weight, where a user interacted with an item. It is one of the best
    rules where interactions are many and items few. :math:`B` is dense: 4 bytes for each pair of
    items, and a time that grows with the cube of their number. `fit` raises a MemoryError before
    it allocates what the machine does not have.

    Parameters
    ----------
    regularization : float, default=500.0
        :math:`\lambda`, the most important choice: from 1 for sparse data to 1000 or more for
        dense ones.
    score_k : int, default=10
        Length of the lists that `score` measures.

    Attributes
    ----------
    item_to_item_ : ndarray of shape (n_items, n_items), float32
        :math:`B`. A row is an item of the history, a column a candidate.

    References
    ----------
    .. [1] Steck, H. (2019). "Embarrassingly Shallow Autoencoders for Sparse Data." The World Wide
       Web Conference. https://arxiv.org/abs/1905.03375

    Examples
    --------
    >>> from recsk.baselines import EASERecommender
    >>> from recsk.datasets import make_multimodal
    >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
    >>> model = EASERecommender(regularization=10).fit(data.interactions)
    >>> ids, scores = model.recommend(user_items=[[3, 14, 15]], k=4)
    >>> ids.shape
    (1, 4)
    """

    uses_features = False
    parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "regularization": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, *, regularization: float = 500.0, score_k: int = 10) -> None:
        self.regularization = regularization
        self.score_k = score_k

    def learn(self, data: TrainingData) -> Learned:
        """Solve for the weights."""
        warn_of_features(self, data)
        return Learned(item_to_item=ease(data.matrix, self.regularization))
