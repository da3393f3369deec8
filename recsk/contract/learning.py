"""The fit of a recommender that learns in one step: checks, `learn`, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if

from recsk.contract.growth import GrowingData
from recsk.data.forms import check_no_target
from recsk.data.interactions import Interactions
from recsk.data.weights import scale_to_unit_mean, weight_matrix
from recsk.ranking.users import Users

__all__ = ["Learned", "Learning", "TrainingData"]


class Learned(NamedTuple):
    """What the method `learn` of a recommender returns.

    Attributes
    ----------
    item_vectors : ndarray of shape (n_items, width) or None
    user_vectors : ndarray of shape (n_users, width) or None
        None: the method `encode` computes them from the histories of the fit.
    item_to_item : sparse matrix or ndarray of shape (n_items, n_items), or None
        Entry (j, i) is what item j of a history adds to the score of item i.
    history_weights : sparse matrix of shape (n_users, n_items) or None
        Weights of the items in the histories of the fit, beside `user_vectors`. None: the method
        `weigh_histories` computes them.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk import Interactions
    >>> from recsk.contract import BaseRecommender, Learned
    >>> class Neighbours(BaseRecommender):
    ...     def learn(self, data):
    ...         common = (data.matrix.T @ data.matrix).toarray()
    ...         np.fill_diagonal(common, 0)
    ...         return Learned(item_to_item=common)
    >>> model = Neighbours().fit(Interactions([0, 0, 1, 1], [0, 1, 1, 2]))
    >>> model.recommend(user_items=[[1]], k=2)[0]
    array([[0, 2]])
    """

    item_vectors: npt.NDArray[Any] | None = None
    user_vectors: npt.NDArray[Any] | None = None
    item_to_item: Any = None
    history_weights: Any = None


@dataclass(frozen=True)
class TrainingData:
    """What a recommender learns from, checked.

    Attributes
    ----------
    interactions : Interactions
        In ids. Those of weight zero are left out. The values are the weights, relative to the
        largest, or None where all are equal.
    features : dict of str to ndarray of shape (n_items, n_columns), float32
        By modality. A row of NaN is an item without the modality.
    random_state : RandomState
        From the parameter `random_state`, if there is one.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk import Interactions
    >>> from recsk.contract import TrainingData
    >>> data = TrainingData(Interactions([0, 1], [0, 2]), {}, np.random.RandomState(0))
    >>> data.matrix.toarray()
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """

    interactions: Interactions
    features: dict[str, npt.NDArray[np.float32]]
    random_state: np.random.RandomState

    @cached_property
    def matrix(self) -> sp.csr_matrix:
        """The users x items matrix of weights, with a mean of one; ones without weights.

        A pair that repeats has the largest of its weights.
        """
        interactions = self.interactions
        if interactions.value is None:
            return interactions.to_csr()
        shape = interactions.n_users, interactions.n_items
        pairs = interactions.user, interactions.item, interactions.value
        return scale_to_unit_mean(weight_matrix(*pairs, shape))


class Learning(GrowingData):
    """A ``fit`` that is written once, around the method `learn` of each recommender."""

    # Legal values of the parameters of a class, added to those of its base classes.
    parameter_constraints: ClassVar[dict[str, list[Any]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("parameter_constraints")
        if own is not None:
            cls._parameter_constraints = {**getattr(cls, "_parameter_constraints", {}), **own}

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        item_features: Mapping[str, Any] | None = None,
        sample_weight: npt.ArrayLike | str | None = None,
    ) -> Self:
        """Learn from interactions and item features.

        Parameters
        ----------
        X : sparse matrix of shape (n_users, n_items) or Interactions
            Interactions. All values above zero count the same, unless `sample_weight` is given;
            zeros are no interactions. A model of sequences reads the order from the timestamps,
            or from the values of a matrix: larger is later.
        y : None
            Exists for scikit-learn, which may pass one label per sample: they are ignored.
        item_features : dict of str to array-like of shape (n_items, n_columns), default=None
            Features of items by modality: arrays, dense or sparse, in the order of the items, or
            data frames, matched by label. An item without a row, or with a row of NaN, lacks the
            modality.
        sample_weight : array-like of shape (n_samples,) or "value", default=None
            Weight of each interaction, or of each user (row) if `X` is a matrix. "value": the
            values of `Interactions`. 0 is as if the interaction were not there. A pair that
            repeats in `X` has the largest of its weights.

        Returns
        -------
        estimator
            Itself.

        Raises
        ------
        TypeError
            If `item_features` is no dict, or `X`, `y` or `sample_weight` is of a wrong type; the
            message shows the right call.
        ValueError
            If a parameter, a shape or a value is wrong.

        Warns
        -----
        UserWarning
            If the values of `Interactions` differ and `sample_weight` is not given.
        """
        check_no_target(y)
        data = self._prepare_data(X, item_features, sample_weight)
        self._set_fitted(data.interactions, self.learn(data))
        return self

    @available_if(lambda est: est._can_grow())
    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        *,
        item_features: Mapping[str, Any] | None = None,
        sample_weight: npt.ArrayLike | str | None = None,
    ) -> Self:
        """Continue to learn, from new interactions, users and items.

        On an unfitted estimator it is `fit`. A rule is fitted again on all interactions so far. A
        network rebuilds its graphs and item-to-item weights from all of them (MDE: for items with
        new interactions). It then trains from its weights, on the users with new interactions and
        some others, in a fraction of the time of a fit. New users start where fold-in places them,
        new items at their content. Other threads may recommend during the call: they read the model
        as it was.

        Parameters
        ----------
        X : sparse matrix of shape (n_users, n_items) or Interactions
            New interactions only. Labels are matched by label, and new ones get the next
            positions. A matrix has rows and columns of all known users and items, and of new ones
            behind them. Pairs that are known already count as repeats. In a model of sequences new
            interactions come behind the known ones; those of one time, such as a date, keep the
            order of the input.
        y : None
            Ignored.
        item_features : dict of str to array-like of shape (n_items, n_columns), default=None
            Features of new items: data frames with rows of new items, matched by label, or arrays
            with rows of all items. Rows of known items replace theirs; a row of NaN, and None,
            keep them. Columns of a frame are matched by the names in the fit, if it had any.
        sample_weight : array-like of shape (n_samples,) or "value", default=None
            Weights of the new interactions, on the scale of those of the fit; None gives each 1.

        Returns
        -------
        estimator
            Itself. Of a network, `loss_curve_` and `n_iter_` are those of this call, in which
            nothing is held out.

        Raises
        ------
        TypeError
            As `fit`.
        ValueError
            As `fit`; also if X has fewer columns or other names than the fit, ids where the model
            speaks labels, no new label of a type that it knows, other modalities or columns, or, of
            a network, parameters that its weights depend on have changed. The model then stays as
            it was.

        Warns
        -----
        ConvergenceWarning
            If values that are not finite end the training of a network early.
        UserWarning
            If the fit had weights and `sample_weight` is not given; if none of 10 or more items of
            `X` is known by its label, or of 10 or more users, and they differ in case or spaces.

        Examples
        --------
        >>> from recsk import Interactions
        >>> from recsk.baselines import EASERecommender
        >>> model = EASERecommender().fit(Interactions([0, 0, 1], [0, 1, 1]))
        >>> model = model.partial_fit(Interactions([1, 2], [2, 2]))
        >>> model.interactions_.toarray()
        array([[1., 1., 0.],
               [0., 1., 1.],
               [0., 0., 1.]], dtype=float32)
        """
        check_no_target(y)
        if not self.__sklearn_is_fitted__():
            return self.fit(X, item_features=item_features, sample_weight=sample_weight)
        grown = self._as_copy()
        report = grown._learn_more(X, item_features, sample_weight)
        self.__dict__ = grown.__dict__  # one assignment: other threads read either state
        if report is not None:
            report()
        return self

    def _learn_more(
        self, X: Any, item_features: Mapping[str, Any] | None, sample_weight: Any
    ) -> Callable[[], None] | None:
        """Learn on in place, from data that are not checked yet.

        What is returned warns, if there is something to warn of. It is called once the model is
        in its place: an interrupted training keeps what it learned.
        """
        data = self._prepare_more(X, item_features, sample_weight)
        self._set_fitted(data.interactions, self.learn(data))
        return None

    def _can_grow(self) -> bool:
        return type(self).learn is not Learning.learn

    def learn(self, data: TrainingData) -> Learned:
        """Learn what scores are made of; `fit` calls it with checked data.

        Parameters
        ----------
        data : TrainingData

        Returns
        -------
        Learned
            Vectors of items, and of users unless `encode` computes them; item-to-item weights.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method `learn`, or its own `fit`")

    def _set_fitted(self, interactions: Interactions, learned: Learned) -> None:
        """Store what recommending needs, as CPU arrays that any machine can load."""
        self._forget_parts()
        self.n_users_ = interactions.n_users
        seen = interactions.to_csr()
        count = np.bincount(interactions.item, minlength=interactions.n_items)
        self.item_popularity_ = (count / count.max()).astype(np.float32)
        if learned.item_vectors is not None:
            self.item_embedding_ = np.ascontiguousarray(learned.item_vectors, dtype=np.float32)
        if learned.item_to_item is not None:
            self.item_to_item_ = _as_float32(learned.item_to_item)
        users = Users(learned.user_vectors, learned.history_weights)
        if learned.user_vectors is None:
            users = self.encode(interactions)
        if users.vectors is not None:
            self.user_embedding_ = np.array(users.vectors, dtype=np.float32, order="C")
        if users.weights is not None:
            self.history_weights_ = _as_float32(users.weights)
        self._check_parts()
        if users.vectors is not None:
            self.user_embedding_[np.diff(seen.indptr) == 0] = 0
        self.interactions_ = seen  # the last one: with it, the model is fitted

    def _prepare_data(
        self, X: Any, item_features: Mapping[str, Any] | None, sample_weight: Any
    ) -> TrainingData:
        self._validate_params()
        interactions, features = self._check_data(X, item_features, sample_weight)
        random_state = check_random_state(getattr(self, "random_state", None))
        return TrainingData(interactions, features, random_state)

    def _prepare_more(
        self, X: Any, item_features: Mapping[str, Any] | None, sample_weight: Any
    ) -> TrainingData:
        self._validate_params()
        interactions, features, _ = self._check_more(X, item_features, sample_weight)
        random_state = check_random_state(getattr(self, "random_state", None))
        return TrainingData(interactions, features, random_state)


def _as_float32(matrix: Any) -> Any:
    """Return a matrix in the form that scores are computed from."""
    if not sp.issparse(matrix):
        return np.ascontiguousarray(matrix, dtype=np.float32)
    csr = sp.csr_matrix(matrix, dtype=np.float32)
    csr.sum_duplicates()
    return csr
