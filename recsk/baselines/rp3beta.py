"""RP3beta: random walks from user to item to user to item."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

from recsk.baselines.ignored import warn_of_features
from recsk.contract import BaseRecommender, Interval, Learned, TrainingData, register_estimator
from recsk.graphs import rp3beta

__all__ = ["RP3betaRecommender"]


@register_estimator
class RP3betaRecommender(BaseRecommender):
    r"""Recommend where a random walk of three steps ends, with popular items held down.

    .. math:: s_{ui} = \sum_{j \in H_u} W_{ji}, \qquad
              W_{ji} = \frac{1}{d_i^\beta} \sum_v
              \left(\frac{x_{vj}}{d_j}\right)^\alpha \left(\frac{x_{vi}}{d_v}\right)^\alpha

    with :math:`x` one, or a weight, where a user interacted with an item, and :math:`d` the sums
    of an item and of a user. Only the `n_neighbors` items of the largest :math:`W_{ji}` are kept
    for each item j.

    Parameters
    ----------
    alpha : float, default=1.0
        Exponent of the probabilities of a step. Above one, likely steps count more.
    beta : float, default=0.2
        Exponent of the popularity of the candidate. 0 leaves popular items as they are.
    n_neighbors : int, default=200
        Items kept for each item.
    score_k : int, default=10
        Length of the lists that `score` measures.

    Attributes
    ----------
    item_to_item_ : csr_matrix of shape (n_items, n_items), float32
        :math:`W`. A row is an item of the history, a column a candidate.

    References
    ----------
    .. [1] Paudel, B., Christoffel, F., Newell, C., & Bernstein, A. (2017). "Updatable, Accurate,
       Diverse, and Scalable Recommendations for Interactive Applications." ACM Transactions on
       Interactive Intelligent Systems, 7(1). https://doi.org/10.1145/2955101

    Examples
    --------
    >>> from recsk.baselines import RP3betaRecommender
    >>> from recsk.datasets import make_multimodal
    >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
    >>> model = RP3betaRecommender(beta=0.4).fit(data.interactions)
    >>> ids, scores = model.recommend(user_items=[[3, 14, 15]], k=4)
    >>> ids.shape
    (1, 4)
    """

    uses_features = False
    parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        beta: float = 0.2,
        n_neighbors: int = 200,
        score_k: int = 10,
    ) -> None:
        self.alpha = alpha
        self.beta = beta
        self.n_neighbors = n_neighbors
        self.score_k = score_k

    def learn(self, data: TrainingData) -> Learned:
        """Compute the probabilities of the walks."""
        warn_of_features(self, data)
        return Learned(item_to_item=rp3beta(data.matrix, self.alpha, self.beta, self.n_neighbors))
