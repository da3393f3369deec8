"""MDERecommender: amplify and align the differences between modalities, node by node."""

from __future__ import annotations

import os
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from scipy.special import softmax
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from recsk._checks import int_or_none
from recsk._state import StateReader
from recsk.early_stopping import Validation, hold_out
from recsk.features import Features, check_item_features, prepare
from recsk.foldin import FoldIn, fuse
from recsk.graphs import cooccurrence_graph, interaction_graph, neighbor_graph
from recsk.interactions import Interactions
from recsk.nn.mde import Graphs, MDENetwork, MDEObjective
from recsk.nn.modality import Modality
from recsk.nn.propagation import SparseOperator
from recsk.nn.sampling import InteractionSampler
from recsk.nn.training import TrainingLog
from recsk.trained import TrainedRecommender, warn_if_unfinished

__all__ = ["MDERecommender"]


class MDERecommender(TrainedRecommender):
    r"""Graph collaborative filtering that amplifies and aligns modality differences (MDE).

    Users and items get a vector in every modality. Items start from their features through a
    learned encoder, users from a learned table; both are propagated on the graph of interactions,
    then on a graph of users with common items and on a graph of similar items per modality. Each
    node has its own preference for the modalities, which weights them in the fused vector that
    scores items, and decides how far the node's modalities are pushed apart (difference) or
    pulled together (alignment).

    .. math:: L = L_{rank} + w \sum_m L_{rank}^m + \alpha L_{MDA} + \beta L_{MSA}
              + \frac{\lambda}{2} \|\Theta\|^2

    The defaults are those that served best on real data (see the benchmarks in the docs), which
    is not the paper in every point. `MDERecommender.paper()` gives the paper's settings.

    Parameters
    ----------
    n_factors : int, default=64
        Width d of a vector in one modality.
    n_layers : int, default=2
        Propagation steps L on the user-item graph; the mean of layers 0 to L is taken (Eq. 3).
    user_neighbors : int, default=0
        Links per user in the user-user graph (Eq. 4), the users with the most items in common.
        0 leaves the graph out. Paper: 40.
    item_neighbors : int, default=10
        Links per item and modality in the item-item graphs (Eq. 4), by cosine of the features.
        0 leaves them out.
    max_degree : int or None, default=1000
        Items met by more users than this are not counted for the user-user graph: they tell
        little about who is alike and cost the square of that number. None counts all.
    hidden_factor : int, default=0
        Width of the encoder's hidden layer as a multiple of `n_factors`; 0 is a linear encoder.
        Paper: 4 (our choice; the text leaves it open).
    standardize : bool, default=True
        Bring every feature column to mean 0 and deviation 1 first. Paper: False.
    normalize : bool, default=True
        Bring the initial vectors of users and items to length one, before any propagation.
    id_embedding : {"none", "add", "gate"}, default="add"
        Whether every item also has a learned vector: added to its encoded features, or gated
        by them (as MGCN purifies features). Items that nobody met have none; with "gate" they
        are known by their neighbours alone. Paper: "none".
    fusion : {"concat", "sum"}, default="concat"
        How the weighted modalities are joined (Eq. 5).
    preference : "learned" or array-like of shape (n_modalities,), default="learned"
        Learn a preference for every user and item, or fix the same weights for all (they are
        scaled to sum to 1): variant A of the paper's study.
    tradeoff : {"preference", "uniform", "independent"}, default="preference"
        Weights of difference and alignment for each node: :math:`w_d = |w_v - w_t|` and
        :math:`w_s = 1 - w_d` from its preference (NLT, Eq. 8), one for all (without NLT), or two
        free weights per node (variant B).
    alpha : float, default=0.01
        Weight of the difference loss MDA (Eq. 6); 0 leaves it out. Paper: tuned, from 0.1.
    beta : float, default=0.01
        Weight of the alignment loss MSA (Eq. 7); 0 leaves it out. Paper: tuned, from 0.1.
    reg_lambda : float, default=1e-4
        Weight of half the squared norm of the learned vectors of the users and items in a batch,
        per interaction of it (Eq. 11).
    temperature : float, default=0.2
        Temperature of the alignment loss.
    max_alignment : int, default=512
        Nodes of a batch that are each other's negatives in the alignment loss.
    modality_weight : float, default=0.0
        Weight of the ranking loss on each modality alone (Eq. 10); 0 leaves it out. Paper: 1.
    loss : {"softmax", "bpr"}, default="softmax"
        Ranking loss: cross-entropy among `n_negatives` items shared by a batch, or BPR with one
        negative per interaction. Paper: "bpr".
    n_negatives : int, default=1024
        Negatives of the softmax, uniform over the catalogue.
    exclude_met : bool, default=True
        Whether only items that a user has not met count as negatives of the softmax. False also
        lets those count that were met in other interactions.
    user_balance : float, default=0.5
        How far all users count the same in the ranking losses: an interaction of a user with n of
        them weighs :math:`n^{-b}`. 0 is every interaction the same; 1 is every user the same, as
        in the metrics. Paper: 0.
    similarity : {"cosine", "dot"}, default="cosine"
        What a score is. Paper: "dot".
    score_temperature : float, default=0.2
        Divides scores in the softmax loss.
    edge_dropout : float, default=0.0
        Share of the interactions left out of the graph, drawn again every epoch; everybody keeps
        one at least. Paper: 0.
    learning_rate : float, default=1e-3
        Of Adam.
    learning_rate_decay : float, default=1.0
        Factor of the learning rate after every epoch. Paper: 1.
    weight_averaging : float, default=0.99
        Decay per step of a moving average of the weights, which is what is kept. 0 keeps the
        weights of the last step. Paper: 0.
    batch_size : int, default=4096
        Interactions per step. Paper: 2048.
    max_epochs : int, default=100
        Passes over the interactions, at most.
    early_stopping : bool or "auto", default="auto"
        Whether to watch held-out interactions, stop when they get no better and keep the best
        epoch. "auto" does so if there is an `eval_set` or at least 10,000 interactions.
    validation_fraction : float, default=0.1
        Share of the interactions held out for it when no `eval_set` is given. They are seen
        items all the same: never recommended unless asked for.
    n_iter_no_change : int, default=20
        Epochs without improvement before it stops.
    eval_metric : str, default="recall@20"
        What it watches: a metric of `recsk.metrics` and its cut-off.
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
        Fused vectors; a score is the inner product with an item's. The width is
        n_modalities * n_factors, or n_factors if ``fusion="sum"``.
        Zero for users without interactions.
    item_embedding_ : ndarray of shape (n_items, width), float32
        Fused vectors of the items.
    item_popularity_ : ndarray of shape (n_items,), float32
        How often each item was met; the most popular has 1.
    user_preference_ : ndarray of shape (n_users, n_modalities), float32
        How much each user listens to which modality; rows sum to 1.
        Without features there is one column, of ones.
    item_preference_ : ndarray of shape (n_items, n_modalities), float32
        The same for items.
    modality_names_ : list of str
        Names of the modalities in the order of the preferences; empty without features.
    loss_curve_ : dict of str to list of float
        Mean of every term of the loss, with its weight, by epoch.
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
    Items without interactions are ranked by their features. A user without interactions gets the
    most popular items, and so does an empty history in ``recommend(user_items=...)``. Histories
    of new users are folded in without training: all that reaches a user through the graphs is
    computed as for a known one, and what training would have learned for the user alone is
    estimated by a regression on the known users.

    An item without a modality (a row of NaN) keeps its learned vector, if it has one, and what
    reaches it through the graph of interactions in that modality.

    References
    ----------
    MDE: Modality Discrimination Enhancement for Multi-modal Recommendation, arXiv 2502.18481.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import random_array
    >>> from recsk import MDERecommender
    >>> rng = np.random.default_rng(0)
    >>> X = random_array((30, 20), density=0.2, rng=rng).tocsr()
    >>> image = rng.normal(size=(20, 8))
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
        "max_degree": [Interval(Integral, 1, None, closed="left"), None],
        "hidden_factor": [Interval(Integral, 0, None, closed="left")],
        "standardize": ["boolean"],
        "normalize": ["boolean"],
        "id_embedding": [StrOptions({"none", "add", "gate"})],
        "fusion": [StrOptions({"concat", "sum"})],
        "preference": [StrOptions({"learned"}), "array-like"],
        "tradeoff": [StrOptions({"preference", "uniform", "independent"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "reg_lambda": [Interval(Real, 0, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "max_alignment": [Interval(Integral, 2, None, closed="left")],
        "modality_weight": [Interval(Real, 0, None, closed="left")],
        "loss": [StrOptions({"bpr", "softmax"})],
        "n_negatives": [Interval(Integral, 1, None, closed="left")],
        "exclude_met": ["boolean"],
        "user_balance": [Interval(Real, 0, 1, closed="both")],
        "similarity": [StrOptions({"dot", "cosine"})],
        "score_temperature": [Interval(Real, 0, None, closed="neither")],
        "edge_dropout": [Interval(Real, 0, 1, closed="left")],
    }

    _paper: ClassVar[dict[str, Any]] = {
        "modality_weight": 1.0,
        "user_neighbors": 40,
        "hidden_factor": 4,
        "alpha": 0.1,
        "beta": 0.1,
        "standardize": False,
        "id_embedding": "none",
        "loss": "bpr",
        "user_balance": 0.0,
        "similarity": "dot",
        "max_alignment": 2048,
        "weight_averaging": 0.0,
        "batch_size": 2048,
    }

    _sizes = ("batch_size", "n_negatives", "n_factors", "user_neighbors")

    def __init__(
        self,
        *,
        n_factors: int = 64,
        n_layers: int = 2,
        user_neighbors: int = 0,
        item_neighbors: int = 10,
        max_degree: int | None = 1000,
        hidden_factor: int = 0,
        standardize: bool = True,
        normalize: bool = True,
        id_embedding: Literal["none", "add", "gate"] = "add",
        fusion: Literal["concat", "sum"] = "concat",
        preference: Literal["learned"] | npt.ArrayLike = "learned",
        tradeoff: Literal["preference", "uniform", "independent"] = "preference",
        alpha: float = 0.01,
        beta: float = 0.01,
        reg_lambda: float = 1e-4,
        temperature: float = 0.2,
        max_alignment: int = 512,
        modality_weight: float = 0.0,
        loss: Literal["bpr", "softmax"] = "softmax",
        n_negatives: int = 1024,
        exclude_met: bool = True,
        user_balance: float = 0.5,
        similarity: Literal["dot", "cosine"] = "cosine",
        score_temperature: float = 0.2,
        edge_dropout: float = 0.0,
        learning_rate: float = 1e-3,
        learning_rate_decay: float = 1.0,
        weight_averaging: float = 0.99,
        batch_size: int = 4096,
        max_epochs: int = 100,
        early_stopping: bool | Literal["auto"] = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 20,
        eval_metric: str = "recall@20",
        score_k: int = 10,
        device: str = "auto",
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_epochs: int = 1,
        random_state: Any = None,
        verbose: bool | int = False,
    ) -> None:
        self.n_factors = n_factors
        self.n_layers = n_layers
        self.user_neighbors = user_neighbors
        self.item_neighbors = item_neighbors
        self.max_degree = max_degree
        self.hidden_factor = hidden_factor
        self.standardize = standardize
        self.normalize = normalize
        self.id_embedding = id_embedding
        self.fusion = fusion
        self.preference = preference
        self.tradeoff = tradeoff
        self.alpha = alpha
        self.beta = beta
        self.reg_lambda = reg_lambda
        self.temperature = temperature
        self.max_alignment = max_alignment
        self.modality_weight = modality_weight
        self.loss = loss
        self.n_negatives = n_negatives
        self.exclude_met = exclude_met
        self.user_balance = user_balance
        self.similarity = similarity
        self.score_temperature = score_temperature
        self.edge_dropout = edge_dropout
        self.learning_rate = learning_rate
        self.learning_rate_decay = learning_rate_decay
        self.weight_averaging = weight_averaging
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.eval_metric = eval_metric
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
    ) -> MDERecommender:
        """Learn vectors of users and items from interactions and item features.

        Parameters
        ----------
        X : sparse matrix of shape (n_users, n_items) or Interactions
            Who met what. Values above zero all count the same; zeros are no interactions.
        y : None
            Ignored, here for scikit-learn.
        item_features : dict of str to array-like of shape (n_items, n_columns), default=None
            Features of every item by modality, dense or sparse. A row of NaN says that this item
            lacks this modality. None or an empty dict learns from ids alone.
        eval_set : sparse matrix of shape (n_users, n_items) or Interactions, default=None
            Held-out interactions to watch for early stopping, in place of a share of `X`. A matrix
            has a row for every user of `X`. The searches of scikit-learn cut whatever has as many
            rows as `X` has interactions: leave it out there.

        Returns
        -------
        MDERecommender
            Itself.

        Raises
        ------
        TypeError
            If `item_features` is no dict of arrays of numbers.
        ValueError
            If a parameter, a shape or a value is wrong, before any training starts.

        Warns
        -----
        ConvergenceWarning
            If Ctrl-C or a loss that is not finite ended the fit early: the estimator then keeps
            the best state so far.
        """
        device = self._check_fit_parameters()
        interactions = self._check_interactions(X, reset=True)
        features = check_item_features(item_features, interactions.n_items)
        preference = self._check_preference(max(len(features), 1))
        rng = check_random_state(self.random_state)
        train_set, held_out = self._split(interactions.to_csr(), eval_set, rng)
        seed = int(rng.randint(np.iinfo(np.int32).max))

        prepared = [prepare(values, standardize=self.standardize) for values in features.values()]
        with self._explaining_memory(interactions):
            network = self._build(train_set, prepared, preference, seed, device)
            log = self._train(network, train_set, held_out, prepared, rng, seed, device)
            self._keep_log(features, log)
            self._keep(network, interactions, train_set)
        warn_if_unfinished(log)
        return self

    def _split(
        self, interactions: sp.csr_matrix, eval_set: Any, rng: np.random.RandomState
    ) -> tuple[sp.csr_matrix, sp.csr_matrix | None]:
        """What to train on, and what to watch."""
        if eval_set is not None:
            held_out = self._check_eval_set(eval_set, interactions)
            return interactions, held_out if self.early_stopping else None
        if not self._holds_out(interactions.nnz):
            return interactions, None
        train_set, held_out = hold_out(interactions, self.validation_fraction, rng)
        return train_set, self._to_watch(held_out)

    def _build(
        self,
        train_set: sp.csr_matrix,
        features: list[Features],
        preference: np.ndarray | None,
        seed: int,
        device: torch.device,
    ) -> MDENetwork:
        n_users, n_items = train_set.shape
        modalities = [Modality.on(device, *part) for part in features]
        users = items = None
        if self.user_neighbors:
            users = SparseOperator(
                cooccurrence_graph(
                    train_set,
                    int(self.user_neighbors),
                    max_degree=int_or_none(self.max_degree),
                ),
                device,
            )
        if self.item_neighbors and features:
            n_neighbors = int(self.item_neighbors)
            items = [
                SparseOperator(neighbor_graph(values, n_neighbors, present=present), device)
                for values, present in features
            ]
        interaction = SparseOperator(interaction_graph(train_set), device, symmetric=True)
        met = np.bincount(train_set.indices, minlength=n_items) > 0
        network = MDENetwork(
            modalities,
            Graphs(interaction, users, items),
            n_users=n_users,
            n_items=n_items,
            n_factors=int(self.n_factors),
            n_layers=int(self.n_layers),
            hidden=int(self.hidden_factor) * int(self.n_factors),
            normalize=self.normalize,
            fusion=self.fusion,
            similarity=self.similarity,
            id_embedding=self.id_embedding,
            met=torch.as_tensor(met[:, None], dtype=torch.float32),
            preference=None if preference is None else torch.as_tensor(preference),
            tradeoff=self.tradeoff,
            generator=torch.Generator().manual_seed(seed),
        )
        return network.to(device)

    def _train(
        self,
        network: MDENetwork,
        train_set: sp.csr_matrix,
        held_out: sp.csr_matrix | None,
        features: list[Features],
        rng: np.random.RandomState,
        seed: int,
        device: torch.device,
    ) -> TrainingLog:
        user, item = train_set.nonzero()
        generator = torch.Generator(device).manual_seed(seed)
        batches = InteractionSampler(
            torch.as_tensor(user, dtype=torch.int64, device=device),
            torch.as_tensor(item, dtype=torch.int64, device=device),
            n_items=train_set.shape[1],
            batch_size=int(self.batch_size),
            n_shared=int(self.n_negatives) if self.loss == "softmax" else None,
            exclude_met=self.exclude_met,
            weight=self._user_weights(train_set, device),
            generator=generator,
        )
        objective = MDEObjective(
            network,
            ranking=self.loss,
            score_temperature=self.score_temperature,
            modality_weight=self.modality_weight,
            alpha=self.alpha,
            beta=self.beta,
            reg_lambda=self.reg_lambda,
            temperature=self.temperature,
            max_alignment=int(self.max_alignment),
        )
        whole_graph = network.graphs

        def drop_edges() -> None:
            kept, _ = hold_out(train_set, self.edge_dropout, rng)
            graph = SparseOperator(interaction_graph(kept), device, symmetric=True)
            network.graphs = whole_graph._replace(interaction=graph)

        def evaluate() -> float:
            network.graphs = whole_graph
            assert validation is not None
            return validation(*_to_numpy(*network.embeddings()))

        validation = None
        if held_out is not None:
            validation = Validation(train_set, held_out, self.eval_metric)
        log = self._train_network(
            network,
            batches,
            objective,
            evaluate=None if validation is None else evaluate,
            before_epoch=drop_edges if self.edge_dropout else None,
            data=(train_set, held_out, features),
            random_states=(generator, rng),
        )
        network.graphs = whole_graph
        return log

    def _user_weights(self, train_set: sp.csr_matrix, device: torch.device) -> torch.Tensor | None:
        """How much the interactions of each user count; one in the mean over interactions."""
        if not self.user_balance:
            return None
        length = np.diff(train_set.indptr)
        weight = np.maximum(length, 1) ** -float(self.user_balance)
        weight *= length.sum() / (weight * length).sum()
        return torch.as_tensor(weight, dtype=torch.float32, device=device)

    def _keep(
        self, network: MDENetwork, interactions: Interactions, train_set: sp.csr_matrix
    ) -> None:
        """Take what recommending needs out of the network, as arrays."""
        with torch.no_grad():
            user_vectors, item_vectors = _to_numpy(*network.embeddings())
            self.user_preference_, self.item_preference_ = _to_numpy(*network.preferences())
        parts = network.fold_in_parts()
        self._fuse_state: dict[str, Any] = {"fusion": self.fusion, "similarity": self.similarity}
        self._fold = FoldIn(
            train_set,
            **dict(zip(parts, _to_numpy(*parts.values()), strict=True)),
            preference_logits=np.log(np.maximum(self.user_preference_, 1e-12)),
            n_layers=int(self.n_layers),
            user_neighbors=int(self.user_neighbors),
            max_degree=int_or_none(self.max_degree),
            normalize=self.normalize,
        )
        self._set_fitted(interactions, user_vectors, item_vectors)

    def _get_state(self) -> dict[str, Any]:
        return {
            **super()._get_state(),
            "item_preference_": self.item_preference_,
            "fuse": self._fuse_state,
            "fold": self._fold.get_state(),
        }

    def _set_state(self, state: StateReader) -> None:
        super()._set_state(state)
        n_modalities = max(len(self.modality_names_), 1)
        self.item_preference_ = state.array("item_preference_", (self.n_features_in_, n_modalities))
        fuse_state = state.part("fuse")
        self._fuse_state = {
            "fusion": fuse_state.choice("fusion", ("concat", "sum")),
            "similarity": fuse_state.choice("similarity", ("dot", "cosine")),
        }
        # Its vectors are one modality beside the other, which `fuse` joins.
        width = self.user_embedding_.shape[1]
        if self._fuse_state["fusion"] == "sum":
            width *= n_modalities
        self._fold = FoldIn.from_state(
            state.part("fold"), self.interactions_.shape, width, n_modalities
        )

    def _by_modality(self) -> bool:
        return self._fuse_state["fusion"] == "concat"

    def _fold_in(self, histories: Interactions) -> np.ndarray:
        matrix = histories.to_csr()
        nodes, logits = self._fold(matrix)
        preference = softmax(logits, axis=1)
        return fuse(nodes, preference, **self._fuse_state)

    def _check_preference(self, n_modalities: int) -> np.ndarray | None:
        """Weights of a fixed preference, scaled to sum to one, or None for a learned one."""
        if isinstance(self.preference, str):
            return None
        try:
            weights = np.asarray(self.preference, dtype=np.float32)
        except (TypeError, ValueError):
            weights = np.empty(0, dtype=np.float32)  # not numbers: refused just below
        if weights.shape != (n_modalities,) or not np.isfinite(weights).all():
            raise ValueError(
                f"preference must be 'learned' or {n_modalities} finite weights, one per "
                f"modality; got {self.preference!r}"
            )
        if (weights < 0).any() or not weights.sum() > 0:
            raise ValueError(
                "preference must have weights that are not negative and not all zero; got "
                f"{self.preference!r}"
            )
        return weights / weights.sum()


def _to_numpy(*tensors: torch.Tensor) -> list[np.ndarray]:
    # A copy: on the CPU the arrays would otherwise keep the network's memory alive.
    return [tensor.detach().cpu().numpy().copy() for tensor in tensors]
