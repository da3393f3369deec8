"""MDSRecRecommender: the next item, by relations and interests in every modality."""

from __future__ import annotations

import os
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy.typing as npt
from sklearn.utils._param_validation import Interval, StrOptions

from recsk.contract.training import TrainedRecommender, warn_if_unfinished
from recsk.data.forms import check_no_target
from recsk.models.mdsrec.steps import MDSRecSteps
from recsk.storage.registry import register_estimator

__all__ = ["MDSRecRecommender"]


@register_estimator
class MDSRecRecommender(MDSRecSteps):
    r"""Next-item recommendation by relations and interests in every modality (MDSRec).

    Every item has a learned vector in each modality. The vectors are propagated along a relation
    graph (MRGC), which links items that occur together in histories or have similar features; a
    projection of the item's features is added. Causal transformer blocks, one stack per modality,
    read the sequences of these vectors. Their attention compares items and also interests, which
    are clusters of the features (ICA). The states at the end of a sequence, weighted by the user's
    preference for each modality, are compared with the items. A mean of the last items' own vectors
    is part of each state. When items are ranked, a sparse item-to-item part is added to the scores
    of unseen items: how often they follow the last items in other histories.

    .. math:: L = -\frac{1}{n} \sum_{u, t} \log
              \frac{\exp(s(u_t, i_{t+1}) / \tau_s)}{\sum_j \exp(s(u_t, j) / \tau_s)}

    with j over the items that have interactions. Without features, ``relation_weight=0,
    recent_weight=0`` make it SASRec, and ``similarity="dot", item_bias=False`` give SASRec's plain
    scores. The defaults are best on real data (see the benchmarks); `MDSRecRecommender.paper()` has
    the paper's settings.

    Parameters
    ----------
    n_factors : int, default=64
        Width d of a vector in one modality.
    max_length : int, default=50
        Number of most recent items of a history that the network reads.
    n_blocks : int, default=2
        Transformer blocks per modality.
    n_heads : int, default=2
        Attention heads; must divide `n_factors`.
    dropout : float, default=0.4
        Dropout rate of embeddings, attention and layer outputs in training. Paper: 0.5.
    relation : {"blend", "sum", "product", "semantic", "behavior"} or None, default="blend"
        How the relation graphs (MRGC) combine co-occurrence in histories and similarity of
        features, see `recsk.graphs.relation_graph`. "blend" adds a quarter of the first to three
        quarters of the second, and an item with n users keeps a share of n / (n + 50) of its own
        learned vector, see `recsk.graphs.mix_with_identity`. None leaves the graphs out. Paper:
        "sum".
    n_neighbors : int, default=10
        Links per item and modality in the relation graphs (the paper's H). The graphs leave out
        histories of more than 1,000 items: time grows with the square of the length.
    relation_weight : float, default=6.0
        Weight g of the item-to-item part of the scores, which counts how often an item follows the
        last ten items of the history in the histories of the fit (see Notes). It is added when
        items are ranked, not in training, which has the same histories. 0 leaves it out. Paper: 0.
    recent_weight : float, default=1.0
        Weight of the last items' own vectors in the user's vector of each modality, relative to
        what the blocks give. 0 leaves them out. Paper: 0.
    shared_ids : bool, default=False
        Learn one vector per item for all modalities in place of one for each. Paper: True.
    project_features : bool, default=True
        Add a linear projection of the features, with standardized columns, to the items' vectors.
        In any case, one factor scales a modality to rows of mean length one. Paper: False.
    n_interests : int, default=16
        Clusters of items per modality that attention compares (ICA, the paper's k). 0: none.
    fusion : {"softmax", "gumbel", "mean"}, default="softmax"
        Modality weights: softmax, softmax with Gumbel noise in training, or equal. Paper: "gumbel".
    candidate_vectors : {"modality", "mean", "id"}, default="modality"
        Item vectors that users are compared with. "modality": each modality of the user with the
        same modality of the item; the score is the weighted sum. "mean", "id": the weighted sum of
        the user's modalities with one vector per item, the mean over the modalities or the mean
        of the learned parts. Paper: "mean".
    similarity : {"cosine", "dot"}, default="cosine"
        How users and items are compared, in each modality or as a whole. The temperature
        :math:`\tau_s` of the softmax is 0.1 for cosines and 1 for inner products. Paper: "dot".
    new_item_share : float or None, default=1.0
        How often new items are recommended, as a multiple of how often known ones are: 2 is twice
        as often, 0 keeps them out of the first places. Items without interactions, `new_items` of
        ``fit`` and those of `add_items` get vectors that their content predicts; with interactions
        the predicted part fades. None predicts nothing: items of the fit keep the vectors of the
        network, as in the paper, and those of `add_items` get the predicted ones as they are.
    item_bias : bool, default=True
        Learn a bias of each item's scores. Cold items have the mean of the others, which
        `new_item_share` then shifts. Paper: False.
    n_negatives : int or None, default=None
        Items with interactions that a batch shares as negatives, drawn uniformly. None uses all
        of them: better, at a cost that grows with the number of items.
    learning_rate : float, default=4e-3
        Of Adam. The weights that are kept are moving averages over steps. Paper: 2e-3.
    batch_size : int or "auto", default="auto"
        Mean number of sequences per step, fewer if they are long: steps have the same number of
        targets. "auto": a sixteenth of them, from 32 to 1,024. Paper: 256.
    max_epochs : int, default=20
        Maximum number of passes over the sequences. Paper: 100.
    early_stopping : bool or "auto", default="auto"
        Whether to stop when `eval_metric` on held-out interactions no longer improves, and keep
        the best epoch. "auto" does so with an `eval_set` or at least 10,000 interactions.
    validation_fraction : float, default=0.2
        Share of the users whose last item is held out for early stopping without an `eval_set`.
        The fitted model's histories include it.
    n_iter_no_change : int, default=4
        Epochs without improvement before training stops. Paper: 20.
    eval_metric : str, default="ndcg@10"
        Metric of early stopping: a metric of `recsk.metrics` and its cut-off.
    repeats : bool, default=False
        Whether an item of the history can be the right answer, as where users buy again. Early
        stopping and `score` then rank seen items too. Otherwise they leave seen items out, and
        hold out no last item that stands earlier in the history.
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
    user_embedding_ : ndarray of shape (n_users, width), float32
        Vectors of the users' next items; a score is the inner product with an item's vector. The
        width is n_modalities * n_factors with ``candidate_vectors="modality"``, else n_factors.
        `item_bias` adds one column of ones. Zero for users without interactions.
    item_embedding_ : ndarray of shape (n_items, width), float32
        Vectors of the items: modalities, bias.
    item_to_item_ : csr_matrix of shape (n_items, n_items), float32
        :math:`g \tau_s B` (see Notes). A row is an item of the history, a column a candidate. Rare
        candidates, with fewer than 5 interactions, also have a part of those of similar items. Only
        with `relation_weight`.
    history_weights_ : csr_matrix of shape (n_users, n_items), float32
        Weights of the last items of each user. Only with `relation_weight`.
    item_popularity_ : ndarray of shape (n_items,), float32
        Interactions of each item, relative to the most popular item.
    user_preference_ : ndarray of shape (n_users, n_modalities), float32
        Weight of each modality for every user; rows sum to 1. One column without features.
    modality_names_ : list of str
        Modalities in the order of the preferences; empty without features.
    loss_curve_ : dict of str to list of float
        Weighted mean of every loss term by epoch.
    validation_curve_ : list of float
        `eval_metric` by epoch; empty without early stopping.
    n_iter_, best_iter_ : int
        Epochs run, and the epoch whose weights were kept, counted from 1.
    n_users_, n_features_in_ : int
        Users and items; more than X has columns if frames of features bring new items.
    interactions_, users_, items_ : csr_matrix of shape (n_users, n_items), ndarray, ndarray
        Interactions of the fit, one per pair; labels of users and items, only if X has labels.

    Notes
    -----
    With g the `relation_weight` and :math:`j_1` the last item of the history, :math:`j_2` the one
    before it, the score of an unseen item i is

    .. math:: s_{ui} = \langle x_u, x_i \rangle
              + g \tau_s \sum_{s=1}^{10} 0.8^{s-1} B_{j_s i}, \qquad
              B_{ji} = \frac{1}{\sqrt{n_j} \sqrt[4]{n_i}}
              \sum_v \sum_{a=1}^{20} 0.8^{a-1} \, [i \text{ is } a \text{ places after } j]

    with :math:`n_j` the interactions with item j. Seen items, where they are ranked, have the first
    part alone: co-occurrence within the user's own history does not make a seen item the next one.

    ``recommend(user_items=[[...], ...])`` continues any histories: oldest item first, repeats
    allowed, cut to the last `max_length`. An empty history, and a user without interactions, get
    the most popular items. Where users buy again, fit with ``repeats=True`` and recommend with
    ``exclude_seen=False``. `similar_items` and `similar_users` compare the modalities only.

    An item without interactions gets the vector that a regression of learned vectors on content
    predicts, corrected by the residuals of similar items, and the mean of their columns of B.
    `add_items` does the same for items that arrive later.

    References
    ----------
    Multimodal Difference Learning for Sequential Recommendation, arXiv 2412.08103.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk import Interactions, MDSRecRecommender
    >>> rng = np.random.default_rng(0)
    >>> user, item = rng.integers(30, size=300), rng.integers(20, size=300)
    >>> X = Interactions(user, item, timestamp=np.arange(300))
    >>> image = rng.normal(size=(20, 8))
    >>> model = MDSRecRecommender(n_factors=8, max_epochs=3, random_state=0)
    >>> model = model.fit(X, item_features={"image": image})
    >>> ids, scores = model.recommend(user_items=[[3, 14, 15], [9]], k=5)
    >>> ids.shape, scores.dtype
    ((2, 5), dtype('float32'))
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **TrainedRecommender._parameter_constraints,
        "n_factors": [Interval(Integral, 1, None, closed="left")],
        "max_length": [Interval(Integral, 1, None, closed="left")],
        "n_blocks": [Interval(Integral, 1, None, closed="left")],
        "n_heads": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "relation": [StrOptions({"blend", "sum", "product", "semantic", "behavior"}), None],
        "n_neighbors": [Interval(Integral, 0, None, closed="left")],
        "relation_weight": [Interval(Real, 0, None, closed="left")],
        "recent_weight": [Interval(Real, 0, 1e15, closed="both")],
        "shared_ids": ["boolean"],
        "project_features": ["boolean"],
        "n_interests": [Interval(Integral, 0, None, closed="left")],
        "fusion": [StrOptions({"softmax", "gumbel", "mean"})],
        "candidate_vectors": [StrOptions({"modality", "mean", "id"})],
        "similarity": [StrOptions({"dot", "cosine"})],
        "new_item_share": [Interval(Real, 0, None, closed="left"), None],
        "item_bias": ["boolean"],
        "repeats": ["boolean"],
        "n_negatives": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    }

    _paper: ClassVar[dict[str, Any]] = {
        "relation": "sum",
        "relation_weight": 0.0,
        "recent_weight": 0.0,
        "shared_ids": True,
        "project_features": False,
        "fusion": "gumbel",
        "candidate_vectors": "mean",
        "similarity": "dot",
        "new_item_share": None,
        "item_bias": False,
        "dropout": 0.5,
        "learning_rate": 2e-3,
        "batch_size": 256,
        "max_epochs": 100,
        "n_iter_no_change": 20,
    }

    _sizes = ("batch_size", "max_length", "n_factors")

    def __init__(
        self,
        *,
        n_factors: int = 64,
        max_length: int = 50,
        n_blocks: int = 2,
        n_heads: int = 2,
        dropout: float = 0.4,
        relation: Literal["blend", "sum", "product", "semantic", "behavior"] | None = "blend",
        n_neighbors: int = 10,
        relation_weight: float = 6.0,
        recent_weight: float = 1.0,
        shared_ids: bool = False,
        project_features: bool = True,
        n_interests: int = 16,
        fusion: Literal["softmax", "gumbel", "mean"] = "softmax",
        candidate_vectors: Literal["modality", "mean", "id"] = "modality",
        similarity: Literal["cosine", "dot"] = "cosine",
        new_item_share: float | None = 1.0,
        item_bias: bool = True,
        n_negatives: int | None = None,
        learning_rate: float = 4e-3,
        batch_size: int | Literal["auto"] = "auto",
        max_epochs: int = 20,
        early_stopping: bool | Literal["auto"] = "auto",
        validation_fraction: float = 0.2,
        n_iter_no_change: int = 4,
        eval_metric: str = "ndcg@10",
        repeats: bool = False,
        score_k: int = 10,
        device: str = "auto",
        precision: Literal["float32", "bfloat16"] = "float32",
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool | int = False,
    ) -> None:
        self.n_factors = n_factors
        self.max_length = max_length
        self.n_blocks = n_blocks
        self.n_heads = n_heads
        self.dropout = dropout
        self.relation = relation
        self.n_neighbors = n_neighbors
        self.relation_weight = relation_weight
        self.recent_weight = recent_weight
        self.shared_ids = shared_ids
        self.project_features = project_features
        self.n_interests = n_interests
        self.fusion = fusion
        self.candidate_vectors = candidate_vectors
        self.similarity = similarity
        self.new_item_share = new_item_share
        self.item_bias = item_bias
        self.n_negatives = n_negatives
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.eval_metric = eval_metric
        self.repeats = repeats
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
    ) -> MDSRecRecommender:
        """Learn to predict the next item from ordered histories and item features.

        Parameters
        ----------
        X : Interactions, or sparse matrix of shape (n_users, n_items)
            Interactions in order: by timestamp, or by the values of a matrix (times or ranks,
            larger is later; zeros are no interactions). At the same time they keep the order of
            the input. `Interactions` may repeat an item of a user.
        y : None
            Exists for scikit-learn, which may pass one label per sample: they are ignored.
        item_features : dict of str to array-like of shape (n_items, n_columns), default=None
            Features of items by modality: arrays, dense or sparse, in the order of the items, or
            data frames, matched by label. An item without a row, or with a row of NaN, lacks the
            modality; ten similar items fill it in. None or an empty dict: ids alone are learned.
        eval_set : Interactions, or sparse matrix of shape (n_users, n_items), default=None
            Next items for early stopping, in any order, in place of the last items of some users
            of `X`. A matrix has a row for every user of `X`. Leave it out in searches:
            scikit-learn splits every argument with as many rows as `X` has interactions.
        sample_weight : array-like of shape (n_samples,) or "value", default=None
            Weight of each interaction, or of each user (row) if `X` is a matrix. "value": the
            values of `Interactions`. An interaction has its weight, relative to the mean, as a
            target of the loss and in the relations. 0 is as if the interaction were not there.
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
        MDSRecRecommender
            Itself.

        Raises
        ------
        TypeError
            If an argument is of a wrong type; the message shows the right call.
        IndexError, KeyError
            If `new_items` has an unknown id or label.
        ValueError
            If a parameter, shape or value is wrong or does not fit the weights that `warm_start`
            keeps, or `X` has no order; before training starts.
        KeyboardInterrupt
            After Ctrl-C; the estimator is fitted, with the best state so far.
        RuntimeError
            If another of the processes that share the fit has ended.

        Warns
        -----
        ConvergenceWarning
            If values that are not finite end the fit early; the best state so far is kept. Also
            if training ends at `max_epochs` while early stopping still sees improvement, or if no
            user has two items, so that there is no next item to learn.
        UserWarning
            If values differ without `sample_weight`, or features of few items outweigh all others.
        """
        check_no_target(y)
        if self.warm_start and self.__sklearn_is_fitted__():
            return self._fit_again(X, item_features, eval_set, sample_weight, checkpoint, new_items)
        prepared = self._prepare(X, item_features, eval_set, sample_weight, checkpoint, new_items)
        with self._running(prepared.interactions), self._seeded(prepared):
            built = self._build(prepared)
            log = self._train(built)
            self._keep(built, log)
        warn_if_unfinished(log)
        return self
