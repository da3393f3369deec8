"""MDSRecRecommender: what comes next, by relations and interests in every modality."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from recsk._checks import int_or_none
from recsk._state import StateReader
from recsk.early_stopping import Validation
from recsk.encoding import StoredEncoder
from recsk.features import Features, check_item_features, mean_length_one, prepare
from recsk.graphs import keep_own, relation_graph
from recsk.histories import hold_out_last, in_order, matrix_of, rows_of
from recsk.imputation import fill_missing
from recsk.interactions import Interactions, interaction_matrix
from recsk.interests import cluster_items
from recsk.nn.dropout import dropout_from
from recsk.nn.mdsrec import (
    Interests,
    MDSRecNetwork,
    MDSRecObjective,
    SequenceEncoder,
    last_states,
)
from recsk.nn.modality import Modality
from recsk.nn.propagation import SparseOperator
from recsk.nn.sequences import SequenceSampler
from recsk.nn.training import TrainingLog
from recsk.relations import RecentRelations
from recsk.trained import TrainedRecommender, warn_if_unfinished

__all__ = ["MDSRecRecommender"]


class MDSRecRecommender(TrainedRecommender):
    r"""Next items by relations and interests in every modality (MDSRec).

    Every item has a learned vector in each modality, which is propagated along a relation graph
    (MRGC): a link joins items that the same people meet or whose features are alike. To it a
    projection of the item's features is added. Sequences of these vectors go through
    causal transformer blocks, one stack per modality, whose attention compares interests
    (clusters of the features, ICA) beside items. The states at the end of a sequence, weighted by
    how much this user listens to each modality, are compared with the items. Where items are
    ranked, the relations of those that the user has not met to the last ones of the sequence are
    added.

    .. math:: L = L(s) + \omega \sum_m L(s_m), \qquad L(s) = -\frac{1}{n} \sum_{u, t} \log
              \frac{\exp(s(u_t, i_{t+1}) / \tau_s)}{\sum_j \exp(s(u_t, j) / \tau_s)}

    with j over the items that somebody met, :math:`s_m` the score by modality m alone and
    :math:`\omega` the `modality_weight`. Without features it is SASRec; with ``similarity="dot",
    score_temperature=1, item_bias=False, weight_averaging=0`` with its plain scores. The defaults
    are those that served best on real data (see the benchmarks in the docs), which is not the
    paper in every point: ``MDSRecRecommender.paper()`` is.

    Parameters
    ----------
    n_factors : int, default=64
        Width d of a vector in one modality.
    max_length : int, default=50
        Most recent items of a history that count.
    n_blocks : int, default=2
        Transformer blocks per modality.
    n_heads : int, default=2
        Attention heads; must divide `n_factors`.
    dropout : float, default=0.5
        Share dropped of embeddings, attention and the outputs of layers, in training.
    relation : {"blend", "sum", "product", "semantic", "behavior"} or None, default="blend"
        How co-occurrence in histories and similarity of features make the relation graphs
        (MRGC), see `recsk.graphs.relation_graph`. None leaves the graphs out. Paper: "sum".
    behavior_share : float, default=0.25
        Weight of co-occurrence in the blend, from 0 to 1.
    n_neighbors : int, default=10
        Links per item and modality in the relation graphs (the paper's H).
    max_degree : int or None, default=1000
        Histories with more distinct items than this are not counted for the relation graphs:
        n items cost n^2 operations and say little about each other. None counts all.
    relation_strength : float or None, default=50.0
        As how many people the relations of an item count: one that n people met keeps a share of
        n / (n + `relation_strength`) of its own learned vector, and takes the rest from the
        relation graph. None takes all from there. Paper: None.
    relation_weight : float, default=0.4
        Weight, beside what the network says, of how often people met an item soon before or
        after the last ones of the history, and of how alike they are, half each ("behavior" and
        "semantic" take one of them): see `recsk.relations.RecentRelations`. It is added to the
        logits where items are ranked, not in training, whose histories the counts are of, and
        only to those of items that the user has not met. 0 leaves it out, as do
        ``relation=None`` and a fit without features. Paper: 0.
    relation_window : int, default=10
        How near items are to each other in a history to be counted there, and how many of the
        last items count; at most `max_length`.
    relation_factors : int, default=128
        Width of the vectors that these relations are stored in.
    shared_ids : bool, default=False
        Learn one vector per item for all modalities, not one for each. Paper: True.
    project_features : bool, default=True
        Add a linear projection of the features to the vectors of the items. Paper: False.
    standardize : bool, default=True
        Bring every feature column to mean 0 and deviation 1 first. Whether or not, rows are
        then scaled to length one on average, each modality by one factor. Paper: False.
    n_interests : int, default=16
        Clusters of items per modality that attention compares (ICA, the paper's k); 0 leaves
        them out.
    fusion : {"gumbel", "softmax", "mean"}, default="gumbel"
        Weights of the modalities in a user: Gumbel-Softmax (random in training only), softmax,
        or all the same.
    tau : float, default=1.0
        Temperature of these weights.
    item_vectors : {"modality", "mean", "id"}, default="modality"
        What users are compared with. "modality": a user's part of each modality with the items
        in this modality, and the score is the weighted sum. "mean", "id": the weighted sum of the
        parts with the mean of an item over the modalities, of all its vector or of the learned
        one. Paper: "mean".
    similarity : {"cosine", "dot"}, default="cosine"
        How vectors of users and items are compared, in each modality or as a whole.
    item_bias : bool, default=True
        Learn a number for every item that is added to its score, whoever asks: how popular it is
        beside what content and order tell. Items that nobody met have the mean of the others.
        Paper: False.
    score_temperature : float, default=0.1
        :math:`\tau_s`, divides scores in the softmax. 1 goes with ``similarity="dot"``.
    modality_weight : float, default=0.0
        Weight of the same loss for every modality by itself, beside that of all together: for
        modalities that are also to rank by themselves.
    n_negatives : int or None, default=None
        Items that a batch shares as negatives, drawn uniformly among those that somebody met;
        None takes all of these, which is better where its time is affordable: it grows with the
        number of items.
    learning_rate : float, default=2e-3
        Of Adam.
    learning_rate_decay : float, default=1.0
        Factor of the learning rate after every epoch.
    weight_averaging : float, default=0.99
        Decay per step of a moving average of the weights, which is what is kept. 0 keeps the
        weights of the last step. Paper: 0.
    batch_size : int, default=256
        Sequences per step.
    max_epochs : int, default=100
        Passes over the sequences, at most.
    early_stopping : bool or "auto", default="auto"
        Whether to watch held-out interactions, stop when they get no better and keep the best
        epoch. "auto" does so if there is an `eval_set` or at least 10,000 interactions.
    validation_fraction : float, default=0.2
        Share of the users whose last item is held out for it when no `eval_set` is given. Once
        training is over, their histories include it again.
    n_iter_no_change : int, default=20
        Epochs without improvement before it stops.
    eval_metric : str, default="ndcg@10"
        What it watches: a metric of `recsk.metrics` and its cut-off.
    repeats : bool, default=False
        Whether an item of the history can be the right answer, as where people buy again: early
        stopping and `score` then rank these items too. Otherwise they leave them out, and
        nobody whose last item was met before is held out.
    score_k : int, default=10
        Cut-off of the NDCG that `score` gives.
    device : str, default="auto"
        "auto" takes CUDA where there is one; "cpu", "cuda" or "cuda:1" choose.
    checkpoint : str, path-like or None, default=None
        File from which a fit goes on where an earlier one was killed: the same call with the
        same data and parameters then ends at the same model. It is removed when a fit is done.
        One file is for one fit at a time: leave it out in searches. Needs `random_state`.
    checkpoint_epochs : int, default=1
        Epochs from one time that the file is written to the next.
    random_state : int, RandomState or None, default=None
        An int gives the same model every time on the same kind of device.
    verbose : bool or int, default=False
        Show a progress bar.

    Attributes
    ----------
    user_embedding_ : ndarray of shape (n_users, width), float32
        What follows each user's sequence; a score is the inner product with an item's vector,
        without the columns of relations where the user has met the item before.
        The width is n_modalities * n_factors if ``item_vectors="modality"``, else n_factors. With
        `item_bias` there is one column more, of ones, and then, with `relation_weight`, at most
        `relation_factors` more. Zero for users without interactions.
    item_embedding_ : ndarray of shape (n_items, width), float32
        The items: in their modalities, their biases, their relations.
    item_popularity_ : ndarray of shape (n_items,), float32
        How often each item was met; the most popular has 1.
    user_preference_ : ndarray of shape (n_users, n_modalities), float32
        How much each user listens to which modality; rows sum to 1.
        Without features there is one column, of ones.
    modality_names_ : list of str
        Names of the modalities in the order of the preferences; empty without features.
    loss_curve_ : dict of str to list of float
        Mean of every term of the loss by epoch.
    validation_curve_ : list of float
        `eval_metric` by epoch; empty without early stopping.
    n_iter_ : int
        Epochs run.
    best_iter_ : int
        Epoch whose weights were kept, counted from 1.
    n_users_ : int
        Rows of X.
    n_features_in_ : int
        Columns of X, that is items.
    interactions_ : csr_matrix of shape (n_users, n_items)
        What was met in `fit`, one per pair.

    Notes
    -----
    `similar_items` and `similar_users` compare the columns of the modalities alone, without biases
    and relations.

    ``recommend(user_ids)`` continues the histories of training, and
    ``recommend(user_items=[[...], ...])`` any others: oldest item first, repeats allowed, cut to
    the last `max_length`. An empty history, and a user without one in training, gets the most
    popular items. Where people buy again, fit with ``repeats=True`` and recommend with
    ``exclude_seen=False``.

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
        "behavior_share": [Interval(Real, 0, 1, closed="both")],
        "n_neighbors": [Interval(Integral, 0, None, closed="left")],
        "max_degree": [Interval(Integral, 1, None, closed="left"), None],
        "relation_strength": [Interval(Real, 0, None, closed="neither"), None],
        "relation_weight": [Interval(Real, 0, None, closed="left")],
        "relation_window": [Interval(Integral, 1, None, closed="left")],
        "relation_factors": [Interval(Integral, 1, None, closed="left")],
        "shared_ids": ["boolean"],
        "project_features": ["boolean"],
        "standardize": ["boolean"],
        "n_interests": [Interval(Integral, 0, None, closed="left")],
        "fusion": [StrOptions({"gumbel", "softmax", "mean"})],
        "tau": [Interval(Real, 0, None, closed="neither")],
        "item_vectors": [StrOptions({"modality", "mean", "id"})],
        "similarity": [StrOptions({"dot", "cosine"})],
        "item_bias": ["boolean"],
        "repeats": ["boolean"],
        "score_temperature": [Interval(Real, 0, None, closed="neither")],
        "modality_weight": [Interval(Real, 0, None, closed="left")],
        "n_negatives": [Interval(Integral, 1, None, closed="left"), None],
    }

    _paper: ClassVar[dict[str, Any]] = {
        "relation": "sum",
        "relation_strength": None,
        "relation_weight": 0.0,
        "shared_ids": True,
        "standardize": False,
        "project_features": False,
        "item_vectors": "mean",
        "similarity": "dot",
        "item_bias": False,
        "score_temperature": 1.0,
        "modality_weight": 0.0,
        "weight_averaging": 0.0,
    }

    _sizes = ("batch_size", "max_length", "n_factors")

    def __init__(
        self,
        *,
        n_factors: int = 64,
        max_length: int = 50,
        n_blocks: int = 2,
        n_heads: int = 2,
        dropout: float = 0.5,
        relation: Literal["blend", "sum", "product", "semantic", "behavior"] | None = "blend",
        behavior_share: float = 0.25,
        n_neighbors: int = 10,
        max_degree: int | None = 1000,
        relation_strength: float | None = 50.0,
        relation_weight: float = 0.4,
        relation_window: int = 10,
        relation_factors: int = 128,
        shared_ids: bool = False,
        project_features: bool = True,
        standardize: bool = True,
        n_interests: int = 16,
        fusion: Literal["gumbel", "softmax", "mean"] = "gumbel",
        tau: float = 1.0,
        item_vectors: Literal["modality", "mean", "id"] = "modality",
        similarity: Literal["cosine", "dot"] = "cosine",
        item_bias: bool = True,
        score_temperature: float = 0.1,
        modality_weight: float = 0.0,
        n_negatives: int | None = None,
        learning_rate: float = 2e-3,
        learning_rate_decay: float = 1.0,
        weight_averaging: float = 0.99,
        batch_size: int = 256,
        max_epochs: int = 100,
        early_stopping: bool | Literal["auto"] = "auto",
        validation_fraction: float = 0.2,
        n_iter_no_change: int = 20,
        eval_metric: str = "ndcg@10",
        repeats: bool = False,
        score_k: int = 10,
        device: str = "auto",
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_epochs: int = 1,
        random_state: Any = None,
        verbose: bool | int = False,
    ) -> None:
        self.n_factors = n_factors
        self.max_length = max_length
        self.n_blocks = n_blocks
        self.n_heads = n_heads
        self.dropout = dropout
        self.relation = relation
        self.behavior_share = behavior_share
        self.n_neighbors = n_neighbors
        self.max_degree = max_degree
        self.relation_strength = relation_strength
        self.relation_weight = relation_weight
        self.relation_window = relation_window
        self.relation_factors = relation_factors
        self.shared_ids = shared_ids
        self.project_features = project_features
        self.standardize = standardize
        self.n_interests = n_interests
        self.fusion = fusion
        self.tau = tau
        self.item_vectors = item_vectors
        self.similarity = similarity
        self.item_bias = item_bias
        self.score_temperature = score_temperature
        self.modality_weight = modality_weight
        self.n_negatives = n_negatives
        self.learning_rate = learning_rate
        self.learning_rate_decay = learning_rate_decay
        self.weight_averaging = weight_averaging
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.eval_metric = eval_metric
        self.repeats = repeats
        self.score_k = score_k
        self.device = device
        self.checkpoint = checkpoint
        self.checkpoint_epochs = checkpoint_epochs
        self.random_state = random_state
        self.verbose = verbose

    # ---------------------------------------------------------------------------------------- fit

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        item_features: Mapping[str, Any] | None = None,
        eval_set: Any = None,
    ) -> MDSRecRecommender:
        """Learn from ordered histories and item features what comes next.

        Parameters
        ----------
        X : Interactions, or sparse matrix of shape (n_users, n_items)
            Who met what, in which order: by timestamp, or by the values of a matrix (times or
            ranks, larger is later; zeros are no interactions). At the same time the order is
            that of the input. An `Interactions` may have an item of a user several times.
        y : None
            Ignored, here for scikit-learn.
        item_features : dict of str to array-like of shape (n_items, n_columns), default=None
            Features of every item by modality, dense or sparse. A row of NaN says that this item
            lacks this modality: what the ten items most like it in its other modalities have
            there stands in for it. None or an empty dict learns from ids alone.
        eval_set : Interactions, or sparse matrix of shape (n_users, n_items), default=None
            What came next, to watch for early stopping in place of the last items of some users
            of `X`. Its order does not matter. A matrix has a row for every user of `X`. The
            searches of scikit-learn cut whatever has as many rows as `X` has interactions: leave
            it out there.

        Returns
        -------
        MDSRecRecommender
            Itself.

        Raises
        ------
        TypeError
            If `item_features` is no dict of arrays of numbers.
        ValueError
            If a parameter, a shape or a value is wrong, or `X` does not tell the order of the
            interactions; before any training starts.

        Warns
        -----
        ConvergenceWarning
            If Ctrl-C or a loss that is not finite ended the fit early: the estimator then keeps
            the best state so far. Also if nobody met two items, so that nothing comes next.
        """
        device = self._check_fit_parameters()
        if self.n_factors % self.n_heads:
            raise ValueError(
                f"n_factors must be a multiple of n_heads; got n_factors={self.n_factors} and "
                f"n_heads={self.n_heads}"
            )
        interactions = in_order(self._check_interactions(X, reset=True), "X")
        features = check_item_features(item_features, interactions.n_items)
        rng = check_random_state(self.random_state)
        sequences, held_out = self._split(interactions, eval_set, rng)
        seed = int(rng.randint(np.iinfo(np.int32).max))

        prepared = [prepare(values, standardize=self.standardize) for values in features.values()]
        prepared = [mean_length_one(part) for part in fill_missing(prepared)]
        seen = interactions.to_csr()
        with self._explaining_memory(interactions), dropout_from(seed, device):
            network = self._build(matrix_of(*sequences, seen.shape), prepared, seed, device)
            relations = self._recent_relations(sequences, prepared, interactions.n_items)
            log = self._train(network, relations, sequences, held_out, prepared, rng, device)
            self._keep_log(features, log)
            self._keep(network, relations, interactions)
        warn_if_unfinished(log)
        return self

    def _split(
        self, interactions: Interactions, eval_set: Any, rng: np.random.RandomState
    ) -> tuple[tuple[np.ndarray, np.ndarray], sp.csr_matrix | None]:
        """Sequences to train on, and what to watch."""
        indptr, items = interactions.sequences(packed=True)
        if eval_set is not None:
            known = interactions.to_csr()
            held_out = self._check_eval_set(eval_set, known, repeats=self.repeats)
            return (indptr, items), held_out if self.early_stopping else None
        if not self._holds_out(len(interactions)):
            return (indptr, items), None
        sequences, held_out = hold_out_last(
            indptr,
            items,
            self.validation_fraction,
            rng,
            n_items=interactions.n_items,
            repeats=self.repeats,
        )
        return sequences, self._to_watch(held_out)

    def _build(
        self,
        train_set: sp.csr_matrix,
        features: list[Features],
        seed: int,
        device: torch.device,
    ) -> MDSRecNetwork:
        modalities = [Modality.on(device, *part) for part in features]
        count = np.bincount(train_set.indices, minlength=train_set.shape[1])
        graphs = interests = None
        if self.relation is not None and features:
            graphs = [
                SparseOperator(graph, device)
                for graph in self._relation_graphs(train_set, features, count)
            ]
        if self.n_interests and features:
            n_interests = min(int(self.n_interests), train_set.shape[1])
            clustered = [cluster_items(part, n_interests, seed) for part in features]
            interests = [
                Interests(SparseOperator(mean, device), torch.as_tensor(cluster, device=device))
                for mean, cluster in clustered
            ]
        self._encoder_settings: dict[str, Any] = {
            "n_modalities": max(len(features), 1),
            "n_factors": int(self.n_factors),
            "max_length": int(self.max_length),
            "n_blocks": int(self.n_blocks),
            "n_heads": int(self.n_heads),
            "dropout": self.dropout,
            "with_interests": interests is not None,
            "fusion": self.fusion,
            "tau": self.tau,
            "concatenate": self.item_vectors == "modality",
            "similarity": self.similarity,
            "item_bias": self.item_bias,
        }
        network = MDSRecNetwork(
            SequenceEncoder(**self._encoder_settings),
            modalities,
            graphs,
            interests,
            n_items=train_set.shape[1],
            n_factors=int(self.n_factors),
            shared_ids=self.shared_ids,
            project_features=self.project_features,
            item_vectors=self.item_vectors,
            met=torch.as_tensor(count[:, None] > 0, dtype=torch.float32),
            generator=torch.Generator().manual_seed(seed),
        )
        return network.to(device)

    def _relation_graphs(
        self, train_set: sp.csr_matrix, features: list[Features], count: np.ndarray
    ) -> Iterator[sp.csr_array]:
        """MRGC of every modality."""
        assert self.relation is not None
        behavior = None
        for values, present in features:
            find = partial(
                relation_graph,
                train_set,
                values,
                int(self.n_neighbors),
                present=present,
                max_length=int_or_none(self.max_degree),
            )
            if self.relation == "blend" and behavior is None:
                behavior = find(relation="behavior")
            graph = find(
                relation=self.relation, behavior_share=self.behavior_share, behavior=behavior
            )
            strength = self.relation_strength
            yield graph if strength is None else keep_own(graph, count, strength)

    def _recent_relations(
        self, sequences: tuple[np.ndarray, np.ndarray], features: list[Features], n_items: int
    ) -> RecentRelations | None:
        if self.relation is None or not self.relation_weight or not features:
            return None
        behavior_share = {"behavior": 1.0, "semantic": 0.0}.get(self.relation, 0.5)
        return RecentRelations.from_histories(
            *sequences,
            features,
            n_items=n_items,
            n_factors=int(self.relation_factors),
            window=min(int(self.relation_window), int(self.max_length)),
            behavior_share=behavior_share,
            weight=self.relation_weight * self.score_temperature,
        )

    def _train(
        self,
        network: MDSRecNetwork,
        relations: RecentRelations | None,
        sequences: tuple[np.ndarray, np.ndarray],
        held_out: sp.csr_matrix | None,
        features: list[Features],
        rng: np.random.RandomState,
        device: torch.device,
    ) -> TrainingLog:
        n_items = network.item.shape[1]
        batches = SequenceSampler(
            *sequences,
            n_items=n_items,
            max_length=int(self.max_length),
            batch_size=int(self.batch_size),
            rng=rng,
            device=device,
            n_negatives=int_or_none(self.n_negatives),
        )
        if not len(batches):
            network.eval()
            return TrainingLog(stopped_by="no-batches")
        validation, related = None, None
        if held_out is not None:
            watched = np.flatnonzero(np.diff(held_out.indptr))
            parts = rows_of(*sequences, watched)
            seen = matrix_of(*parts, (len(watched), n_items))
            validation = Validation(
                seen, held_out[watched], self.eval_metric, exclude_seen=not self.repeats
            )
            if relations is not None:
                related = relations.users(*parts), relations.vectors

        def evaluate() -> float:
            assert validation is not None
            users, items = _vectors(network, *parts)
            own_width = items.shape[1]
            if related is not None:
                users, items = np.hstack([users, related[0]]), np.hstack([items, related[1]])
            return validation(users, items, met_width=own_width)

        draws: list[Any] = [torch.default_generator, rng]
        if device.type == "cuda":
            draws.append(torch.cuda.default_generators[device.index or 0])
        return self._train_network(
            network,
            batches,
            MDSRecObjective(network, self.score_temperature, self.modality_weight),
            evaluate=None if validation is None else evaluate,
            data=(sequences, held_out, features),
            random_states=draws,
        )

    def _keep(
        self,
        network: MDSRecNetwork,
        relations: RecentRelations | None,
        interactions: Interactions,
    ) -> None:
        """Take what recommending needs out of the network, as arrays."""
        with torch.no_grad():
            tables = network.tables()
            catalogue = network.catalogue(tables).cpu().numpy()
        if relations is not None:
            catalogue = np.hstack([catalogue, relations.vectors])
        self._encoder = StoredEncoder(network.encoder, tables, self._encoder_settings)
        self._relations = relations
        users, self.user_preference_ = self._read(interactions)
        self._set_fitted(interactions, users, catalogue)

    def _get_state(self) -> dict[str, Any]:
        state = {**super()._get_state(), "encoder": self._encoder.get_state()}
        relations = self._relations
        if relations is not None:
            # Their vectors are the last columns of those of the items.
            state["relations"] = {
                "n_factors": relations.vectors.shape[1],
                "window": relations.window,
                "weight": relations.weight,
            }
        return state

    def _set_state(self, state: StateReader) -> None:
        super()._set_state(state)
        n_modalities = max(len(self.modality_names_), 1)
        width = self.user_embedding_.shape[1]
        self._relations = None
        stored = state.part("relations")
        if stored.names():
            n_factors = stored.integer("n_factors", 1, width - 1)
            width -= n_factors
            self._relations = RecentRelations(
                np.ascontiguousarray(self.item_embedding_[:, width:]),
                stored.integer("window", 1),
                stored.number("weight", 0, 1e30),
            )
        encoder = state.part("encoder")
        self._encoder = StoredEncoder.from_state(encoder, n_modalities, self.n_features_in_, width)
        self._encoder_settings = self._encoder.settings

    def _read(self, interactions: Interactions) -> tuple[np.ndarray, np.ndarray]:
        indptr, items = interactions.sequences(packed=True)
        vectors, weights = self._encoder(indptr, items)
        if self._relations is not None:
            vectors = np.hstack([vectors, self._relations.users(indptr, items)])
        empty = np.diff(indptr) == 0
        weights[empty] = 1 / weights.shape[1]
        return vectors, weights

    # ------------------------------------------------------------------------------ what it gives

    def user_modality_weights(self, user_items: Any) -> np.ndarray:
        """Tell how much each modality counts for the next item of these histories.

        Parameters
        ----------
        user_items : sparse matrix of shape (n, n_items), Interactions or list of lists
            Histories, as in `recommend`.

        Returns
        -------
        ndarray of shape (n, n_modalities), float32
            In the order of `modality_names_`; rows sum to 1, and are even for empty histories.
        """
        check_is_fitted(self)
        return self._read(self._check_histories(user_items))[1]

    def _directions(self, vectors: np.ndarray) -> np.ndarray:
        return vectors[:, : self._encoder.width]

    def _by_modality(self) -> bool:
        return bool(self._encoder.settings["concatenate"])

    def _met_width(self) -> int:
        # Nothing is as related to the last items as these themselves, which does not make them
        # what comes next.
        own = 0 if self._relations is None else self._relations.vectors.shape[1]
        return super()._met_width() - own

    def _scores_without_seen(self) -> bool:
        return not self.repeats

    def _fold_in(self, histories: Interactions) -> np.ndarray:
        return self._read(histories)[0]

    # ------------------------------------------------------------------------------------- checks

    def _from_matrix(self, matrix: Any, name: str) -> Interactions:
        interaction_matrix(matrix, name)  # for its checks of the values
        try:
            return Interactions.from_csr(matrix, values_as="timestamp")
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    def _check_histories(self, user_items: Any) -> Interactions:
        histories = super()._check_histories(user_items)
        # A batch of one may well be a basket: of the same time is in the order of the input.
        return in_order(histories, "user_items", ties=isinstance(user_items, Interactions))


def _vectors(
    network: MDSRecNetwork, indptr: np.ndarray, items: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of these sequences and of all items, on the device of the network."""
    with torch.no_grad():
        tables = network.tables()
        users = network.encoder.users(last_states(network.encoder, tables, indptr, items))
        return users.cpu().numpy(), network.catalogue(tables).cpu().numpy()
