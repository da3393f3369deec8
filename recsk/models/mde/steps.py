"""The steps of a fit of MDE: graphs and network, training, what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from recsk.contract.growth import Growth
from recsk.contract.hold_out import hold_out
from recsk.contract.learning import Learned
from recsk.contract.preparation import Prepared
from recsk.contract.validation import Validation
from recsk.data.interactions import Interactions
from recsk.data.weights import scale_to_unit_mean, weight_matrix
from recsk.features.dense import Features
from recsk.features.reduction import reduce_columns
from recsk.graphs.links import grow_links
from recsk.graphs.neighbors import cosine_neighbors
from recsk.graphs.user_item import interaction_graph, normalize_symmetric
from recsk.graphs.users import user_cooccurrence_graph
from recsk.models.continuing import users_to_train
from recsk.models.mde.fold_in import MAX_DEGREE, FoldIn
from recsk.models.mde.item_to_item import (
    item_to_item_weights,
    renew_weights,
    scale_of_weights,
)
from recsk.models.mde.recipe import RECIPES, Recipe
from recsk.models.mde.serving import MDEServing
from recsk.models.mde.start import start_from_spectrum
from recsk.models.mde.temperature import HIGHEST_TEMPERATURE, HeldOutTemperature
from recsk.models.mde.weights import MDEWeights
from recsk.nn.mde import Graphs, MDENetwork
from recsk.nn.mde_nodes import CachedGraph, WholeGraph
from recsk.nn.mde_objective import MDEObjective
from recsk.nn.modality import Modality
from recsk.nn.propagation import SparseOperator
from recsk.nn.sampling import InteractionSampler
from recsk.nn.training import TrainingLog, check_finite
from recsk.nn.user_batches import UserBatches

__all__ = ["Built", "MDESteps"]

# batch_size="auto": steps of an epoch, and limits of the batch.
_N_STEPS = 16
_SMALLEST_BATCH, _LARGEST_BATCH = 32, 8192
_COLUMNS_PER_FACTOR = 4  # of the features that linear encoders see
_REPLAYED = 1  # other users for each one with new interactions, in a training that goes on
_REFRESHES = 4  # of what comes from neighbours, in an epoch


@dataclass(frozen=True)
class Built:
    """A network that is ready to be trained, its data, and item-to-item weights beside it.

    `projections` are the matrices that reduced the features of the modalities, if any; `links` are
    the similar items of each item by modality.
    """

    prepared: Prepared[sp.csr_matrix]
    network: MDENetwork
    projections: list[np.ndarray | None]
    links: list[sp.csr_array]
    item_to_item: sp.csr_matrix | None


class MDESteps(MDEServing):
    """The steps of ``fit``, by the parameters of `recsk.MDERecommender`."""

    @property
    def _recipe(self) -> Recipe:
        return RECIPES[self.training]

    def _standardizes(self) -> bool:
        return self._recipe.standardize

    def _normalizes(self, prepared: Prepared[sp.csr_matrix]) -> bool:
        """Whether initial vectors are scaled to length one."""
        return bool(prepared.features) or self._recipe.normalize_ids

    def _training_set(self, interactions: Interactions) -> sp.csr_matrix:
        """Return the matrix of weights, ones without weights."""
        if interactions.value is None:
            return interactions.to_csr()
        shape = interactions.n_users, interactions.n_items
        return weight_matrix(interactions.user, interactions.item, interactions.value, shape)

    def _hold_out(
        self, train_set: sp.csr_matrix, n_items: int, rng: np.random.RandomState
    ) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        kept, held_out = hold_out(train_set, self.validation_fraction, rng)
        held_out.data.fill(1)  # weights do not enter the metric
        return kept, held_out

    def _check_features(
        self, item_features: Mapping[str, Any] | None, n_items: int
    ) -> dict[str, np.ndarray]:
        features = super()._check_features(item_features, n_items)
        self._fixed_preference(len(features))  # for its checks
        return features

    def _build(self, prepared: Prepared[sp.csr_matrix]) -> Built:
        """Make the graphs and the network."""
        train_set, device = scale_to_unit_mean(prepared.train_set), prepared.device
        prepared = replace(prepared, train_set=train_set)
        n_users, n_items = train_set.shape
        preference = self._fixed_preference(len(prepared.features))
        encoded, projections = self._reduce(prepared)
        links = self._link_items(prepared)
        network = MDENetwork(
            [Modality.from_arrays(*part, device) for part in encoded],
            self._build_graphs(prepared, links),
            n_users=n_users,
            n_items=n_items,
            n_factors=int(self.n_factors),
            n_layers=int(self.n_layers),
            hidden=self._recipe.hidden_factor * int(self.n_factors),
            normalize=self._normalizes(prepared),
            fusion=self.fusion,
            similarity=self.similarity,
            id_embedding=self.id_embedding,
            id_share=self._id_shares(train_set),
            preference=None if preference is None else torch.as_tensor(preference),
            tradeoff=self.tradeoff,
            generator=torch.Generator().manual_seed(prepared.seed),
        )
        if prepared.growth is not None:
            users, logits = self._fold.estimate(train_set, prepared.growth.active)
            items = np.log(np.maximum(self.item_preference_, 1e-12))
            self._weights.load(network, users, (logits, items), train_set)
        elif self._recipe.start == "spectral":
            start_from_spectrum(network, train_set, encoded, prepared.seed)
        item_to_item = self._item_to_item(train_set, prepared.growth if prepared.adds else None)
        return Built(prepared, network.to(device), projections, links, item_to_item)

    def _reduce(
        self, prepared: Prepared[sp.csr_matrix]
    ) -> tuple[list[Features], list[np.ndarray | None]]:
        """Reduce the columns that linear encoders see; later trainings do it as the fit did."""
        modalities = prepared.modalities
        if prepared.growth is not None:
            known = self._weights.projections
            projections = [known.get(str(m)) for m in range(len(modalities))]
            reduced = [
                part if x is None else Features(part.values @ x, part.present)
                for part, x in zip(modalities, projections, strict=True)
            ]
            return reduced, projections
        if self._recipe.hidden_factor:
            return modalities, [None] * len(modalities)
        n_columns = _COLUMNS_PER_FACTOR * int(self.n_factors)
        found = [reduce_columns(part, n_columns, prepared.seed) for part in modalities]
        return [x.features for x in found], [x.projection for x in found]

    def _item_to_item(
        self, interactions: sp.csr_matrix, growth: Growth | None = None
    ) -> sp.csr_matrix | None:
        """What an item of a history adds to the scores of items that occur with it.

        After a fit, items with new interactions are regressed again, and those whose weights hold
        more than a regression.
        """
        weight, known = self.cooccurrence_weight, getattr(self, "item_to_item_", None)
        if not weight:
            return None
        if growth is None or known is None:
            return item_to_item_weights(interactions, weight)
        again = growth.clicked.copy()
        again[: known.shape[0]] |= self._is_filled_in()
        factor = scale_of_weights(interactions.nnz, weight) / self._item_to_item_scale
        renewed = item_to_item_weights(interactions, weight, np.flatnonzero(again))
        return renew_weights(known, factor, ~again[: known.shape[0]], renewed)

    def _id_shares(self, train_set: sp.csr_matrix) -> torch.Tensor:
        """How far learned vectors of items count, (n_items, 1): those of cold items not at all."""
        n_interactions = np.bincount(train_set.indices, minlength=train_set.shape[1])
        shares = n_interactions / np.maximum(n_interactions + self._recipe.id_shrinkage, 1)
        return torch.as_tensor(shares[:, None], dtype=torch.float32)

    def _link_items(self, prepared: Prepared[sp.csr_matrix]) -> list[sp.csr_array]:
        """Find the similar items of each item; after a fit, where something has changed."""
        n_neighbors = int(self.item_neighbors)
        if not n_neighbors or not prepared.features:
            return []
        if prepared.growth is None or n_neighbors != self._n_linked:
            found = [
                cosine_neighbors(values, present, n_neighbors)
                for values, present in prepared.modalities
            ]
            return [sp.csr_array(links) for links in found]
        pairs = zip(self._links, prepared.modalities, strict=True)
        changed = prepared.growth.changed | (
            np.arange(prepared.interactions.n_items) >= self._links[0].shape[0]
        )
        return [grow_links(links, *part, n_neighbors, changed) for links, part in pairs]

    def _build_graphs(self, prepared: Prepared[sp.csr_matrix], links: list[sp.csr_array]) -> Graphs:
        train_set, device = prepared.train_set, prepared.device
        users = items = None
        if self.user_neighbors:
            graph = user_cooccurrence_graph(
                train_set, int(self.user_neighbors), max_degree=MAX_DEGREE
            )
            users = SparseOperator(graph, device)
        if links:
            items = [SparseOperator(normalize_symmetric(part), device) for part in links]
        interaction = SparseOperator(interaction_graph(train_set), device, symmetric=True)
        return Graphs(interaction, users, items)

    def _train(self, built: Built) -> TrainingLog:
        """Train the network in place."""
        prepared, network = built.prepared, built.network
        train_set, device = prepared.train_set, prepared.device
        continues = prepared.growth is not None
        generator = torch.Generator(device).manual_seed(prepared.seed)
        batches = self._batches(prepared, generator)
        nodes: WholeGraph | CachedGraph = WholeGraph(network)
        if self._recipe.propagation == "cached":
            nodes = CachedGraph(network, max(len(batches) // _REFRESHES, 1))
        objective = MDEObjective(
            network,
            nodes,
            ranking=self.loss,
            score_temperature=self._score_temperature if continues else HIGHEST_TEMPERATURE,
            modality_weight=self.modality_weight,
            alpha=self.alpha,
            beta=self.beta,
            reg_lambda=self.reg_lambda,
            temperature=self.temperature,
            max_alignment=self._recipe.max_alignment,
        )

        def evaluate() -> float:
            assert validation is not None
            vectors = _to_numpy(*network.embeddings())
            metric = validation(*vectors)
            if follow is not None:
                objective.score_temperature = follow.next(objective.score_temperature, *vectors)
            return metric

        validation = follow = None
        if prepared.held_out is not None:
            if self.loss == "softmax":
                follow = HeldOutTemperature(train_set, prepared.held_out, prepared.seed)
            validation = Validation(
                train_set,
                prepared.held_out,
                self.eval_metric,
                weights=self.weigh_histories(train_set),
                item_to_item=built.item_to_item,
            )
        log = self._train_network(
            prepared,
            network,
            batches,
            objective,
            evaluate=None if validation is None else evaluate,
            check=lambda: check_finite(*network.embeddings()),
            schedule=self._recipe.schedule,
            before_epoch=nodes.restart if isinstance(nodes, CachedGraph) else None,
            random_states=(generator, prepared.rng, objective),
        )
        self._score_temperature = objective.score_temperature
        return log

    def _batches(
        self, prepared: Prepared[sp.csr_matrix], generator: torch.Generator
    ) -> InteractionSampler:
        train_set, device = prepared.train_set.tocsr(), prepared.device
        train_set.sort_indices()
        user, item = train_set.nonzero()
        trained = users_to_train(prepared, np.diff(train_set.indptr), _REPLAYED)[user]
        pairs = [
            torch.as_tensor(ids[trained], dtype=torch.int64, device=device) for ids in (user, item)
        ]
        weight = self._pair_weights(prepared, user)
        options: dict[str, Any] = {
            "n_items": train_set.shape[1],
            "batch_size": _batch_size(self.batch_size, train_set.nnz),
            "n_shared": int(self.n_negatives) if self.loss == "softmax" else None,
            "exclude_seen": True,
            "weight": None if weight is None else weight[torch.as_tensor(trained)],
            "generator": generator,
            "candidates": torch.as_tensor(np.unique(item), device=device),
        }
        if self._recipe.propagation == "full":
            return InteractionSampler(*pairs, **options)
        affinity = normalize_symmetric(sp.csr_array(train_set)).data[trained]
        affinity = torch.as_tensor(affinity, dtype=torch.float32, device=device)
        return UserBatches(pairs[0], pairs[1], affinity, **options)

    def _pair_weights(
        self, prepared: Prepared[sp.csr_matrix], user: np.ndarray
    ) -> torch.Tensor | None:
        """Weight of each interaction in the ranking losses, with a mean of one."""
        weight = prepared.train_set.data
        if self._recipe.user_balance:
            n_users = prepared.train_set.shape[0]
            total = np.bincount(user, weights=weight, minlength=n_users)
            balance = np.where(total > 0, total, 1) ** -self._recipe.user_balance
            balance *= total.sum() / (balance * total).sum()
            weight = weight * balance[user]
        elif prepared.interactions.value is None:
            return None
        return torch.as_tensor(weight, dtype=torch.float32, device=prepared.device)

    def _keep(self, built: Built, log: TrainingLog) -> None:
        """Take out of the network what recommending needs, as arrays."""
        prepared, network = built.prepared, built.network
        self._keep_log(prepared, log)
        with torch.no_grad():
            user_vectors, item_vectors = _to_numpy(*network.embeddings())
            self.user_preference_, self.item_preference_ = _to_numpy(*network.preferences())
        parts = network.fold_in_parts()
        self._fuse_state = {"fusion": self.fusion, "similarity": self.similarity}
        self._fold = FoldIn(
            prepared.train_set,
            **dict(zip(parts, _to_numpy(*parts.values()), strict=True)),
            preference_logits=np.log(np.maximum(self.user_preference_, 1e-12)),
            n_layers=int(self.n_layers),
            user_neighbors=int(self.user_neighbors),
            max_degree=MAX_DEGREE,
            normalize=self._normalizes(prepared),
        )
        self._weights = MDEWeights.of(network, built.projections)
        self._links, self._n_linked = built.links, int(self.item_neighbors)
        self._keep_content(prepared.given_features, prepared.growth)
        learned = Learned(item_vectors, user_vectors, *self._beside_vectors(built))
        n_interactions = self._training_set(prepared.interactions).nnz
        self._item_to_item_scale = scale_of_weights(n_interactions, self.cooccurrence_weight)
        self._set_fitted(prepared.interactions, learned)
        if self.new_item_share is not None:
            self._place_new_items()

    def _beside_vectors(self, built: Built) -> tuple[sp.csr_matrix | None, sp.csr_matrix | None]:
        """The item-to-item part of the scores; weights of histories where interactions have some.

        It needs no held-out interactions: those that watched the training count too.
        """
        interactions, item_to_item = built.prepared.interactions, built.item_to_item
        if item_to_item is None:
            return None, None
        train_set = scale_to_unit_mean(self._training_set(interactions))
        if train_set.nnz > built.prepared.train_set.nnz:
            item_to_item = self._item_to_item(train_set)
        weighted = interactions.value is not None
        return item_to_item, self.weigh_histories(train_set) if weighted else None

    def _fixed_preference(self, n_modalities: int) -> np.ndarray | None:
        """Weights of a fixed preference, scaled to sum to one, or None for a learned one."""
        if isinstance(self.preference, str):
            return None
        n_modalities = max(n_modalities, 1)
        try:
            weights = np.asarray(self.preference, dtype=np.float32)
        except (TypeError, ValueError):
            weights = np.empty(0, dtype=np.float32)  # not numbers: rejected just below
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


def _batch_size(batch_size: Any, n_interactions: int) -> int:
    """Interactions per step; "auto" makes the same number of steps from few and from many."""
    if batch_size != "auto":
        return int(batch_size)
    return min(max(-(-n_interactions // _N_STEPS), _SMALLEST_BATCH), _LARGEST_BATCH)


def _to_numpy(*tensors: torch.Tensor) -> list[np.ndarray]:
    # A copy: on the CPU the arrays would otherwise keep the network's memory alive.
    return [tensor.detach().cpu().numpy().copy() for tensor in tensors]
