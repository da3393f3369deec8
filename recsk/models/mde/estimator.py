"""MDERecommender: graph collaborative filtering that amplifies and aligns modality differences."""

from __future__ import annotations

import os
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy.typing as npt
from sklearn.utils._param_validation import Interval, StrOptions

from recsk.contract.training import TrainedRecommender, warn_if_unfinished
from recsk.data.forms import check_no_target
from recsk.models.mde.recipe import RECIPES
from recsk.models.mde.steps import MDESteps
from recsk.storage.registry import register_estimator

__all__ = ["MDERecommender"]


@register_estimator
class MDERecommender(MDESteps):
    r"""Graph collaborative filtering that amplifies and aligns modality differences (MDE).

    Users and items have a vector in every modality. A learned encoder makes the items' vectors
    from their features; the users' vectors are learned. Both are propagated on the graph of
    interactions, then for each modality on a graph of similar items and, if `user_neighbors` is
    set, on a graph of users with common items. Every user and item has a preference for the
    modalities. The preference weighs the modalities in the fused vector that scores items. It also
    sets how strongly the modalities of this user or item are pushed apart (difference) or pulled
    together (alignment). A sparse regression on co-occurring items is added to the scores: short
    vectors cannot hold which single items occur together.

    .. math:: s_{ui} = \cos(x_u, x_i) + \frac{c}{\sqrt{|H_u|}} \sum_{j \in H_u} B_{ji}

    .. math:: L = L_{rank} + w \sum_m L_{rank}^m + \alpha L_{MDA} + \beta L_{MSA}
              + \frac{\lambda}{2} \|\Theta\|^2

    The defaults are best on real data. `paper()` has the settings of the paper, but for those with
    the note "not in `paper()`", and our choices where the text leaves them open (`training`).

    Parameters
    ----------
    n_factors : int, default=64
        Width d of a vector in one modality.
    n_layers : int, default=2
        Propagation steps L on the user-item graph. The result is the mean of the layers 0 to L
        (Eq. 3), or their sum with features and ``training="paper"``.
    user_neighbors : int, default=0
        Links per user in the user-user graph (Eq. 4): the users with the most items in common, or
        with ``training="paper"`` those that a walk over a common item reaches most often
        (`recsk.graphs.user_walk_graph`). 0 leaves the graph out. Paper: 40; not in `paper()`,
        which is better without.
    item_neighbors : int, default=10
        Links per item and modality in the item-item graphs (Eq. 4), by cosine of the features.
        0 leaves the graphs out.
    id_embedding : {"none", "add", "gate"}, default="add"
        Whether an item also has a learned vector: "add" adds it to the encoded features, "gate"
        multiplies it by a gate computed from them (as MGCN). With ``training="fast"`` that of an
        item with n interactions counts n / (n + 5). Cold items have none. Paper: "none".
    fusion : {"concat", "sum"}, default="concat"
        How the weighted modalities are joined (Eq. 5).
    preference : "learned" or array-like of shape (n_modalities,), default="learned"
        Learn a preference for every user and item, or give all of them the same fixed weights,
        which are scaled to sum to 1 (variant A of the paper's study).
    tradeoff : {"preference", "uniform", "independent"}, default="preference"
        Weights of difference and alignment for each user and item. "preference":
        :math:`w_d = |w_v - w_t|` and :math:`w_s = 1 - w_d` from the preference (NLT, Eq. 8).
        "uniform": one for all (without NLT). "independent": two free weights each (variant B).
    alpha : float, default=0.01
        Weight of the difference loss MDA (Eq. 6). 0 leaves it out. Paper: tuned, from 0.1.
    beta : float, default=0.01
        Weight of the alignment loss MSA (Eq. 7). 0 leaves it out. Paper: tuned, from 0.1.
    reg_lambda : float, default=1e-4
        Weight of half the squared norm of the learned vectors in a batch, per interaction
        (Eq. 11).
    temperature : float, default=0.2
        Temperature of the alignment loss.
    modality_weight : float, default=0.0
        Weight of the ranking loss on each modality alone (Eq. 10). 0 leaves it out. Paper: 1.
    loss : {"softmax", "bpr"}, default="softmax"
        Ranking loss: cross-entropy against `n_negatives` items that a batch shares, or BPR with
        one negative per interaction. Paper: "bpr".
    n_negatives : int, default=2048
        Negatives of the softmax, drawn uniformly from the items with interactions.
    similarity : {"cosine", "dot"}, default="cosine"
        The score of a user and an item. Paper: "dot".
    cooccurrence_weight : float, default=10.0
        Weight c of the item-to-item part of a score: 0 leaves it out, as the paper does. It is in
        proportion to scores of ``similarity="cosine"``, and n interactions in all make it count
        n / (n + 100 000).
    new_item_share : float or None, default=1.0
        How often new items are recommended, as a multiple of how often known ones are: 2 is twice
        as often, 0 keeps them out of the first places. Items without interactions, `new_items` of
        ``fit`` and those of `add_items` get vectors that their content predicts; with interactions
        the predicted part fades. None predicts nothing: items of the fit keep the vectors of the
        network, as in the paper, and those of `add_items` get the predicted ones as they are.
    training : {"fast", "paper"}, default="fast"
        How the network is trained. "fast": feature columns are standardized, weights start at
        singular vectors of the interactions, a step propagates only from the users and items of
        its batch, an interaction of a user with n interactions weighs :math:`n^{-1/2}`, and the
        learning rate goes up and down once; difference and alignment compare the users and items of
        128 interactions of a batch. "paper": a random start, steps that propagate the whole graph,
        equal weights, a constant learning rate, 2,048 interactions to compare. Where the text is
        open, these are our choices: feature columns are standardized, encoders are linear, BPR
        compares inner products of the sum of all layers, and preferences weigh the vectors of users
        alone. Without features, vectors are not scaled to length one before propagation, and
        layers are averaged, so that the model is LightGCN.
    learning_rate : float, default=5e-3
        Of Adam; with ``training="fast"`` the highest one. Paper: 1e-3; not in `paper()`.
    batch_size : int or "auto", default="auto"
        Interactions per step. "auto": a sixteenth of them, from 32 to 8,192, and with
        ``training="fast"`` of at most 1,536 users on average. Paper: 2048; not in `paper()`.
    max_epochs : int, default=16
        Passes over the interactions at most. Paper: 1000.
    early_stopping : bool or "auto", default="auto"
        Whether to keep the epoch that is best by `eval_metric` on held-out interactions, and stop
        where it no longer improves. "auto": with an `eval_set` or 10,000 interactions.
    validation_fraction : float, default=0.1
        Share of the interactions held out without an `eval_set`. They still count as seen.
    n_iter_no_change : int, default=20
        Epochs without improvement before training stops.
    eval_metric : str, default="ndcg@20"
        Metric of early stopping: a metric of `recsk.metrics` and its cut-off. Paper: "recall@20".
    score_k : int, default=10
        Cut-off of the NDCG that `score` returns.
    device : str, default="auto"
        "auto" uses CUDA where available; "cpu", "cuda" or "cuda:1" choose. Where
        `torch.distributed` is initialised, its processes share each batch of a fit.
    precision : {"float32", "bfloat16"}, default="float32"
        Of the matrix products in training. "bfloat16" is for GPUs with tensor cores: losses, norms,
        sparse products and weights stay in float32. On a CPU it may be slower.
    warm_start : bool, default=False
        Whether `fit` of a fitted estimator starts from its weights, on users and items that may be
        more. It forgets the interactions of the fit before; `partial_fit` adds to them.
    random_state : int, RandomState or None, default=None
        An int gives the same model every time on the CPU, and up to rounding on CUDA.
    verbose : bool or int, default=False
        Show a progress bar.

    Attributes
    ----------
    user_embedding_, item_embedding_ : ndarray of shape (n, width), float32
        Fused vectors; their inner product is the first part of a score. The width is n_modalities *
        n_factors, or n_factors with ``fusion="sum"``. Zero for users without interactions.
    item_to_item_ : csr_matrix of shape (n_items, n_items), float32
        :math:`c B`, the other part; not without `cooccurrence_weight`. A row is an item of the
        history, a column a candidate; 150 items that occur with a candidate most have a weight.
        Rare candidates, with fewer than 5 interactions, also have a part of those of similar items.
    item_popularity_ : ndarray of shape (n_items,), float32
        Interactions of each item, relative to the most popular one.
    user_preference_, item_preference_ : ndarray of shape (n, n_modalities), float32
        Weight of each modality for every user and item; rows sum to 1. Without features there is
        one column, of ones.
    modality_names_ : list of str
        Modalities in the order of the preferences; empty without features.
    loss_curve_ : dict of str to list of float
        Mean of every loss term by epoch, times its weight (`alpha`, `beta`, ...).
    validation_curve_ : list of float
        `eval_metric` by epoch; empty without early stopping.
    n_iter_, best_iter_ : int
        Epochs run, and the epoch whose weights were kept, counted from 1.
    n_users_, n_features_in_ : int
        Users and items, with those that frames of features bring.
    interactions_ : csr_matrix of shape (n_users, n_items)
    users_, items_ : ndarray
        Labels of users and items; only if X has labels.

    Notes
    -----
    A user without interactions gets the most popular items. New users are folded in without
    training: what reaches a user through the graphs is computed as for a known user, and a
    regression on the known users estimates what training would have learned for this user alone.
    An item without interactions gets the vector that a regression of learned vectors on content
    predicts, corrected by the residuals of similar items, and is recommended about as often as a
    known one (`new_item_share`); `add_items` does the same for items that arrive later.
    An item without a modality has in it its learned vector, if there is one, and what reaches it
    through the graph of interactions.

    References
    ----------
    MDE: Modality Discrimination Enhancement for Multi-modal Recommendation, arXiv 2502.18481.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import random_array
    >>> from recsk import MDERecommender
    >>> rng = np.random.default_rng(0)
    >>> X, image = random_array((30, 20), density=0.2, rng=rng).tocsr(), rng.normal(size=(20, 8))
    >>> model = MDERecommender(n_factors=8, max_epochs=3, random_state=0)
    >>> ids, scores = model.fit(X, item_features={"image": image}).recommend([0, 3], k=5)
    >>> ids.shape, scores.dtype
    ((2, 5), dtype('float32'))
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **TrainedRecommender._parameter_constraints,
        "n_factors": [Interval(Integral, 1, None, closed="left")],
        "n_layers": [Interval(Integral, 0, None, closed="left")],
        "user_neighbors": [Interval(Integral, 0, None, closed="left")],
        "item_neighbors": [Interval(Integral, 0, None, closed="left")],
        "id_embedding": [StrOptions({"none", "add", "gate"})],
        "fusion": [StrOptions({"concat", "sum"})],
        "preference": [StrOptions({"learned"}), "array-like"],
        "tradeoff": [StrOptions({"preference", "uniform", "independent"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "reg_lambda": [Interval(Real, 0, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "modality_weight": [Interval(Real, 0, None, closed="left")],
        "loss": [StrOptions({"bpr", "softmax"})],
        "n_negatives": [Interval(Integral, 1, None, closed="left")],
        "similarity": [StrOptions({"dot", "cosine"})],
        "cooccurrence_weight": [Interval(Real, 0, None, closed="left")],
        "new_item_share": [Interval(Real, 0, None, closed="left"), None],
        "training": [StrOptions(set(RECIPES))],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    }

    _paper: ClassVar[dict[str, Any]] = {
        "modality_weight": 1.0,
        "alpha": 0.1,
        "beta": 0.1,
        "id_embedding": "none",
        "loss": "bpr",
        "similarity": "dot",
        "cooccurrence_weight": 0.0,
        "new_item_share": None,
        "training": "paper",
        "max_epochs": 1000,
        "eval_metric": "recall@20",
    }

    _sizes = ("batch_size", "n_negatives", "n_factors", "user_neighbors")

    def __init__(
        self,
        *,
        n_factors: int = 64,
        n_layers: int = 2,
        user_neighbors: int = 0,
        item_neighbors: int = 10,
        id_embedding: Literal["none", "add", "gate"] = "add",
        fusion: Literal["concat", "sum"] = "concat",
        preference: Literal["learned"] | npt.ArrayLike = "learned",
        tradeoff: Literal["preference", "uniform", "independent"] = "preference",
        alpha: float = 0.01,
        beta: float = 0.01,
        reg_lambda: float = 1e-4,
        temperature: float = 0.2,
        modality_weight: float = 0.0,
        loss: Literal["bpr", "softmax"] = "softmax",
        n_negatives: int = 2048,
        similarity: Literal["dot", "cosine"] = "cosine",
        cooccurrence_weight: float = 10.0,
        new_item_share: float | None = 1.0,
        training: Literal["fast", "paper"] = "fast",
        learning_rate: float = 5e-3,
        batch_size: int | Literal["auto"] = "auto",
        max_epochs: int = 16,
        early_stopping: bool | Literal["auto"] = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 20,
        eval_metric: str = "ndcg@20",
        score_k: int = 10,
        device: str = "auto",
        precision: Literal["float32", "bfloat16"] = "float32",
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool | int = False,
    ) -> None:
        self.n_factors = n_factors
        self.n_layers = n_layers
        self.user_neighbors = user_neighbors
        self.item_neighbors = item_neighbors
        self.id_embedding = id_embedding
        self.fusion = fusion
        self.preference = preference
        self.tradeoff = tradeoff
        self.alpha = alpha
        self.beta = beta
        self.reg_lambda = reg_lambda
        self.temperature = temperature
        self.modality_weight = modality_weight
        self.loss = loss
        self.n_negatives = n_negatives
        self.similarity = similarity
        self.cooccurrence_weight = cooccurrence_weight
        self.new_item_share = new_item_share
        self.training = training
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.eval_metric = eval_metric
        self.score_k = score_k
        self.device = device
        self.precision = precision
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        item_features: Mapping[str, Any] | None = None,
        eval_set: Any = None,
        sample_weight: npt.ArrayLike | str | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        new_items: npt.ArrayLike | None = None,
    ) -> MDERecommender:
        """Learn vectors of users and items from interactions and item features.

        Parameters
        ----------
        X : sparse matrix of shape (n_users, n_items) or Interactions
            Interactions. All values above zero count the same, unless `sample_weight` is given;
            zeros are no interactions.
        y : None
            Exists for scikit-learn, which may pass one label per sample: they are ignored.
        item_features : dict of str to array-like of shape (n_items, n_columns), default=None
            Features of items by modality: arrays, dense or sparse, in the order of the items, or
            data frames, matched by label. An item without a row, or with a row of NaN, lacks the
            modality. None or an empty dict: ids alone are learned.
        eval_set : sparse matrix of shape (n_users, n_items) or Interactions, default=None
            Held-out interactions for early stopping and the temperature, in place of a share of
            `X`. A matrix has a row for every user of `X`. Leave it out in searches: scikit-learn
            splits every argument that has as many rows as `X` has interactions.
        sample_weight : array-like of shape (n_samples,) or "value", default=None
            Weight of each interaction, or of each user (row) if `X` is a matrix. "value": the
            values of `Interactions`. Weights count in the ranking losses and in the graphs of
            interactions, relative to their mean. 0 is as if the interaction were not there. A pair
            that repeats in `X` has the largest of its weights.
        checkpoint : str, path-like or None, default=None
            File from which the same call resumes after an interrupt, and ends at the same model. A
            finished fit removes it. If it is a folder, each fit has its own file there, as searches
            need it. Needs an int as `random_state`.
        new_items : array-like of shape (n,), default=None
            Ids or labels of items that have just arrived: few interactions do not mean that they
            are unpopular. Content places them as after `add_items`; the predicted part fades with
            their interactions. Searches would split it if it were as long as `X`.

        Returns
        -------
        MDERecommender
            Itself.

        Raises
        ------
        TypeError
            If an argument is of a wrong type; the message shows the right call.
        IndexError, KeyError
            If `new_items` has an unknown id or label.
        ValueError
            If a parameter, a shape or a value is wrong, or does not fit the weights that
            `warm_start` keeps. It is raised before training starts.
        KeyboardInterrupt
            After Ctrl-C; the estimator is fitted, with the best state so far.
        RuntimeError
            If another of the processes that share the fit has ended.

        Warns
        -----
        ConvergenceWarning
            If values that are not finite end the fit early; the best state so far is kept. Also
            if training ends at `max_epochs` while early stopping still sees improvement.
        UserWarning
            If values differ without `sample_weight`, or features of few items outweigh all others.
        """
        check_no_target(y)
        if self.warm_start and self.__sklearn_is_fitted__():
            return self._fit_again(X, item_features, eval_set, sample_weight, checkpoint, new_items)
        prepared = self._prepare(X, item_features, eval_set, sample_weight, checkpoint, new_items)
        with self._running(prepared.interactions):
            built = self._build(prepared)
            log = self._train(built)
            self._keep(built, log)
        warn_if_unfinished(log)
        return self
