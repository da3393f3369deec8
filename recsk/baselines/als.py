"""ALS: matrix factorization by alternating least squares, of implicit."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares

from recsk.baselines.ignored import warn_of_features
from recsk.contract import (
    BaseRecommender,
    Interval,
    Learned,
    TrainingData,
    Users,
    register_estimator,
)
from recsk.data import Interactions
from recsk.ranking.engine import ONE_BLAS_THREAD
from recsk.ranking.threads import in_fork
from recsk.storage.state import StateReader

__all__ = ["ALSRecommender"]


@register_estimator
class ALSRecommender(BaseRecommender):
    r"""Factorize the interactions by alternating least squares.

    .. math:: \min_{x, y} \sum_{u, i} c_{ui} (p_{ui} - x_u^T y_i)^2
              + \lambda \left(\sum_u \lVert x_u \rVert^2 + \sum_i \lVert y_i \rVert^2\right)

    with :math:`p_{ui} = 1` and :math:`c_{ui} = \alpha w_{ui}` where a user interacted with an
    item, :math:`w` the weights, and :math:`p_{ui} = 0`, :math:`c_{ui} = 1` elsewhere. It is
    ``implicit.als.AlternatingLeastSquares`` on the CPU, with its parameters by its names. New
    users are the solution for their history.

    Parameters
    ----------
    factors : int, default=100
        Width of the vectors.
    regularization : float, default=0.01
        :math:`\lambda`.
    alpha : float, default=1.0
        How much more interactions count than what a user has not interacted with.
    iterations : int, default=15
        Each solves for all users, then for all items.
    score_k : int, default=10
        Length of the lists that `score` measures.
    random_state : int, RandomState instance or None, default=None
        Of the initial vectors. The number of threads does not change the result.

    Attributes
    ----------
    item_embedding_ : ndarray of shape (n_items, factors), float32
        :math:`y`.
    user_embedding_ : ndarray of shape (n_users, factors), float32
        :math:`x`.

    References
    ----------
    .. [1] Hu, Y., Koren, Y., & Volinsky, C. (2008). "Collaborative Filtering for Implicit Feedback
       Datasets." IEEE International Conference on Data Mining.
       https://doi.org/10.1109/ICDM.2008.22

    Examples
    --------
    >>> from recsk.baselines import ALSRecommender
    >>> from recsk.datasets import make_multimodal
    >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
    >>> model = ALSRecommender(factors=8, random_state=0).fit(data.interactions)
    >>> ids, scores = model.recommend(user_items=[[3, 14, 15]], k=4)
    >>> ids.shape
    (1, 4)
    """

    uses_features = False
    parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "factors": [Interval(Integral, 1, None, closed="left")],
        "regularization": [Interval(Real, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="neither")],
        "iterations": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        factors: int = 100,
        regularization: float = 0.01,
        alpha: float = 1.0,
        iterations: int = 15,
        score_k: int = 10,
        random_state: Any = None,
    ) -> None:
        self.factors = factors
        self.regularization = regularization
        self.alpha = alpha
        self.iterations = iterations
        self.score_k = score_k
        self.random_state = random_state

    def learn(self, data: TrainingData) -> Learned:
        """Alternate between users and items."""
        warn_of_features(self, data)
        seed = data.random_state.randint(np.iinfo(np.int32).max)
        with ONE_BLAS_THREAD:  # as implicit asks for
            model = self._implicit(self.factors, random_state=seed)
            model.fit(data.matrix, show_progress=False)
        return Learned(item_vectors=model.item_factors, user_vectors=model.user_factors)

    def encode(self, histories: Interactions) -> Users:
        """Solve for the vectors of users with given histories."""
        with ONE_BLAS_THREAD:
            model = self._implicit(self.item_embedding_.shape[1])
            # implicit refuses read-only arrays, such as those of a file that is mapped to memory.
            model.item_factors = np.require(self.item_embedding_, requirements="W")
            vectors = model.recalculate_user(np.arange(histories.n_users), histories.to_csr())
        return Users(vectors=vectors)

    def set_state(self, state: StateReader) -> None:
        """Set the fitted state for `recsk.load`."""
        super().set_state(state)
        self._require_vectors()

    def _implicit(self, factors: int, **options: Any) -> Any:
        """Return implicit's model with the parameters of this one."""
        return AlternatingLeastSquares(
            factors=int(factors),
            regularization=float(self.regularization),
            alpha=float(self.alpha),
            iterations=int(self.iterations),
            num_threads=int(in_fork()),  # 0: all cores
            **options,
        )
