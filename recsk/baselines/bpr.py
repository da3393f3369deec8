"""BPR: matrix factorization by a pairwise ranking loss, of implicit."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from implicit.cpu.bpr import BayesianPersonalizedRanking

from recsk.baselines.ignored import reject_weights, warn_of_features
from recsk.contract import (
    BaseRecommender,
    Interval,
    Learned,
    TrainingData,
    Users,
    register_estimator,
)
from recsk.data import Interactions
from recsk.storage.state import StateReader

__all__ = ["BPRRecommender"]


@register_estimator
class BPRRecommender(BaseRecommender):
    r"""Factorize the interactions so that items of the history rank above others.

    .. math:: \min_{x, y, b} \sum_{(u, i, j)} -\ln \sigma(s_{ui} - s_{uj})
              + \lambda \lVert \Theta \rVert^2, \qquad s_{ui} = x_u^T y_i + b_i

    where user u interacted with item i and not with item j, a random one. It is
    ``implicit.bpr.BayesianPersonalizedRanking`` on the CPU, with its parameters by its names. It
    does not know weights: `fit` raises a ValueError where `sample_weight` differs.

    Parameters
    ----------
    factors : int, default=100
        Width of the vectors, without the bias.
    learning_rate : float, default=0.01
        Step of the gradient descent.
    regularization : float, default=0.01
        :math:`\lambda`.
    iterations : int, default=100
        Each draws as many samples as there are interactions.
    score_k : int, default=10
        Length of the lists that `score` measures.
    random_state : int, RandomState instance or None, default=None
        Of the initial vectors and the samples. An int gives the same model again: `fit` uses one
        thread.

    Attributes
    ----------
    item_embedding_ : ndarray of shape (n_items, factors + 1), float32
        :math:`y`, and :math:`b` in the last column.
    user_embedding_ : ndarray of shape (n_users, factors + 1), float32
        :math:`x`, and ones in the last column.
    fold_in_ : ndarray of shape (factors + 2, factors + 1), float32
        Coefficients that make vectors of new users from the mean vector of their items; the last
        row is the intercept. They are a ridge regression over the users of the fit.

    References
    ----------
    .. [1] Rendle, S., Freudenthaler, C., Gantner, Z., & Schmidt-Thieme, L. (2009). "BPR: Bayesian
       Personalized Ranking from Implicit Feedback." Conference on Uncertainty in Artificial
       Intelligence. https://arxiv.org/abs/1205.2618

    Examples
    --------
    >>> from recsk.baselines import BPRRecommender
    >>> from recsk.datasets import make_multimodal
    >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
    >>> model = BPRRecommender(factors=8, random_state=0).fit(data.interactions)
    >>> ids, scores = model.recommend(user_items=[[3, 14, 15]], k=4)
    >>> ids.shape
    (1, 4)
    """

    uses_features = False
    parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "factors": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "regularization": [Interval(Real, 0, None, closed="left")],
        "iterations": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        factors: int = 100,
        learning_rate: float = 0.01,
        regularization: float = 0.01,
        iterations: int = 100,
        score_k: int = 10,
        random_state: Any = None,
    ) -> None:
        self.factors = factors
        self.learning_rate = learning_rate
        self.regularization = regularization
        self.iterations = iterations
        self.score_k = score_k
        self.random_state = random_state

    def learn(self, data: TrainingData) -> Learned:
        """Descend along the gradient, then learn to fold in new users."""
        warn_of_features(self, data)
        reject_weights(self, data, "leave it out, or use ALSRecommender, which honours weights")
        model = BayesianPersonalizedRanking(
            factors=int(self.factors),
            learning_rate=float(self.learning_rate),
            regularization=float(self.regularization),
            iterations=int(self.iterations),
            num_threads=1,  # threads write over each other, and no run is like another
            random_state=data.random_state.randint(np.iinfo(np.int32).max),
        )
        model.fit(data.matrix, show_progress=False)
        users, items = model.user_factors, model.item_factors
        active = np.diff(data.matrix.indptr) > 0
        from sklearn.linear_model import Ridge

        ridge = Ridge().fit(_mean_vectors(data.interactions, items)[active], users[active])
        self.fold_in_ = np.vstack([ridge.coef_.T, ridge.intercept_]).astype(np.float32)
        return Learned(item_vectors=items, user_vectors=users)

    def encode(self, histories: Interactions) -> Users:
        """Predict the vectors of users from the mean vectors of their items."""
        means = _mean_vectors(histories, self.item_embedding_)
        return Users(vectors=means @ self.fold_in_[:-1] + self.fold_in_[-1])

    def score_parts(
        self, users: Users, rows: npt.NDArray[np.int64], items: npt.NDArray[np.int64]
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Split off the bias of the items."""
        whole = super().score_parts(users, rows, items)["vectors"]
        assert users.vectors is not None
        bias = users.vectors[rows, -1] * self.item_embedding_[items, -1]
        return {"vectors": whole - bias, "bias": bias}

    def get_state(self) -> dict[str, Any]:
        """Return the fitted state for `recsk.save`."""
        return super().get_state() | {"fold_in_": self.fold_in_}

    def set_state(self, state: StateReader) -> None:
        """Set the fitted state for `recsk.load`."""
        super().set_state(state)
        self._require_vectors()
        width = self.item_embedding_.shape[1]
        self.fold_in_ = state.array("fold_in_", (width + 1, width))


def _mean_vectors(
    histories: Interactions, items: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return the mean vector of the items in each history."""
    from sklearn.preprocessing import normalize

    return np.asarray(normalize(histories.to_csr(), norm="l1") @ items)
