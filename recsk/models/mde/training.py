"""The steps of a fit of MDE that need PyTorch: network, training, what is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from recsk.contract.learning import Learned
from recsk.contract.preparation import Prepared
from recsk.contract.validation import Validation
from recsk.data.weights import scale_to_unit_mean
from recsk.graphs.user_item import interaction_graph, normalize_symmetric
from recsk.models.continuing import users_to_train
from recsk.models.mde.fold_in import MAX_DEGREE, USER_GRAPHS, FoldIn
from recsk.models.mde.inputs import MDEInputs
from recsk.models.mde.item_to_item import scale_of_weights
from recsk.models.mde.start import start_from_spectrum, start_from_weights
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

__all__ = ["Built", "build", "keep", "train"]

# batch_size="auto": steps of an epoch, and limits of the batch.
_N_STEPS = 16
_SMALLEST_BATCH, _LARGEST_BATCH = 32, 8192
# Where users have few interactions, a step would have many of them, and takes time and memory for
# each; such large batches are not better.
_MOST_USERS = 1536
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


def build(est: MDEInputs, prepared: Prepared[sp.csr_matrix]) -> Built:
    """Make the graphs and the network."""
    train_set, device = scale_to_unit_mean(prepared.train_set), prepared.device
    prepared = replace(prepared, train_set=train_set)
    n_users, n_items = train_set.shape
    preference = est._fixed_preference(len(prepared.features))
    encoded, projections = est._reduce(prepared)
    links = est._link_items(prepared, int(est.item_neighbors))
    network = MDENetwork(
        [Modality.from_arrays(*part, device) for part in encoded],
        _build_graphs(est, prepared, links),
        n_users=n_users,
        n_items=n_items,
        n_factors=int(est.n_factors),
        n_layers=int(est.n_layers),
        hidden=est._recipe.hidden_factor * int(est.n_factors),
        normalize=est._normalizes(prepared),
        fusion=est.fusion,
        similarity=est.similarity,
        id_embedding=est.id_embedding,
        id_share=_id_shares(est, train_set),
        preference=None if preference is None else torch.as_tensor(preference),
        weigh_items=est._recipe.weigh_items,
        tradeoff=est.tradeoff,
        generator=torch.Generator().manual_seed(prepared.seed),
    )
    if prepared.growth is not None:
        users, logits = est._fold.estimate(train_set, prepared.growth.active)
        items = np.log(np.maximum(est.item_preference_, 1e-12))
        start_from_weights(network, est._weights, users, (logits, items), train_set)
    elif est._recipe.start == "spectral":
        start_from_spectrum(network, train_set, encoded, prepared.seed)
    item_to_item = est._item_to_item(train_set, prepared.growth if prepared.adds else None)
    return Built(prepared, network.to(device), projections, links, item_to_item)


def _id_shares(est: MDEInputs, train_set: sp.csr_matrix) -> torch.Tensor:
    """How far learned vectors of items count, (n_items, 1): those of cold items not at all."""
    n_interactions = np.bincount(train_set.indices, minlength=train_set.shape[1])
    shares = n_interactions / np.maximum(n_interactions + est._recipe.id_shrinkage, 1)
    return torch.as_tensor(shares[:, None], dtype=torch.float32)


def _build_graphs(
    est: MDEInputs, prepared: Prepared[sp.csr_matrix], links: list[sp.csr_array]
) -> Graphs:
    train_set, device = prepared.train_set, prepared.device
    users = items = None
    if est.user_neighbors:
        link = USER_GRAPHS[est._recipe.user_links]
        graph = link(train_set, int(est.user_neighbors), max_degree=MAX_DEGREE)
        users = SparseOperator(graph, device)
    if links:
        items = [SparseOperator(normalize_symmetric(part), device) for part in links]
    interaction = SparseOperator(interaction_graph(train_set), device, symmetric=True)
    return Graphs(interaction, users, items)


def train(est: MDEInputs, built: Built) -> TrainingLog:
    """Train the network in place."""
    prepared, network = built.prepared, built.network
    train_set, device, processes = prepared.train_set, prepared.device, prepared.processes
    continues = prepared.growth is not None
    generator = torch.Generator(device).manual_seed(prepared.seed)
    batches = _batches(est, prepared, generator)
    nodes: WholeGraph | CachedGraph = WholeGraph(network)
    if est._recipe.propagation == "cached":
        nodes = CachedGraph(network, max(len(batches) // _REFRESHES, 1))
    objective = MDEObjective(
        network,
        nodes,
        ranking=est.loss,
        score_temperature=est._score_temperature if continues else HIGHEST_TEMPERATURE,
        score_scale=est._score_scale(prepared),
        modality_weight=est.modality_weight,
        alpha=est.alpha,
        beta=est.beta,
        reg_lambda=est.reg_lambda,
        temperature=est.temperature,
        max_alignment=est._recipe.max_alignment,
    )

    def evaluate() -> float:
        assert validation is not None
        vectors: Any = network.embeddings()
        if prepared.ranking_device is None:
            vectors = _to_numpy(*vectors)
        metric = validation(*vectors)
        if follow is not None:
            temperature = follow.next(objective.score_temperature, *vectors)
            if processes is not None:
                temperature = processes.from_first(temperature)
            objective.score_temperature = temperature
        return metric

    validation = follow = None
    if prepared.held_out is not None:
        if est.loss == "softmax":
            follow = HeldOutTemperature(train_set, prepared.held_out, prepared.seed)
        validation = Validation(
            train_set,
            prepared.held_out,
            est.eval_metric,
            weights=est.weigh_histories(train_set),
            item_to_item=built.item_to_item,
            device=prepared.ranking_device,
            processes=processes,
        )
    with network.divided_among(processes):
        log = est._train_network(
            prepared,
            network,
            batches,
            objective,
            evaluate=None if validation is None else evaluate,
            check=lambda: check_finite(*network.embeddings()),
            schedule=est._recipe.schedule,
            before_epoch=nodes.restart if isinstance(nodes, CachedGraph) else None,
            random_states=(generator, prepared.rng, objective),
            processes=processes,
        )
    est._score_temperature = objective.score_temperature
    return log


def _batches(
    est: MDEInputs, prepared: Prepared[sp.csr_matrix], generator: torch.Generator
) -> InteractionSampler:
    train_set, device = prepared.train_set.tocsr(), prepared.device
    train_set.sort_indices()
    user, item = train_set.nonzero()
    trained = users_to_train(prepared, np.diff(train_set.indptr), _REPLAYED)[user]
    pairs = [
        torch.as_tensor(ids[trained], dtype=torch.int64, device=device) for ids in (user, item)
    ]
    weight = _pair_weights(est, prepared, user)
    whole = est._recipe.propagation == "full"  # then a step takes as long for any number of users
    n_users = int(np.count_nonzero(np.diff(train_set.indptr)))
    options: dict[str, Any] = {
        "n_items": train_set.shape[1],
        "batch_size": _batch_size(est.batch_size, train_set.nnz, None if whole else n_users),
        "n_shared": int(est.n_negatives) if est.loss == "softmax" else None,
        "exclude_seen": True,
        "weight": None if weight is None else _to_device(weight[trained], device),
        "generator": generator,
        "candidates": torch.as_tensor(np.unique(item), device=device),
    }
    if whole:
        return InteractionSampler(*pairs, **options)
    affinity = normalize_symmetric(sp.csr_array(train_set)).data[trained]
    return UserBatches(pairs[0], pairs[1], _to_device(affinity, device), **options)


def _pair_weights(
    est: MDEInputs, prepared: Prepared[sp.csr_matrix], user: np.ndarray
) -> np.ndarray | None:
    """Weight of each interaction in the ranking losses, with a mean of one."""
    weight = prepared.train_set.data
    if est._recipe.user_balance:
        n_users = prepared.train_set.shape[0]
        total = np.bincount(user, weights=weight, minlength=n_users)
        balance = np.where(total > 0, total, 1) ** -est._recipe.user_balance
        balance *= total.sum() / (balance * total).sum()
        weight = weight * balance[user]
    elif prepared.interactions.value is None:
        return None
    return weight


def keep(est: MDEInputs, built: Built, log: TrainingLog) -> None:
    """Take out of the network what recommending needs, as arrays."""
    prepared, network = built.prepared, built.network
    est._keep_log(prepared, log)
    with torch.no_grad():
        user_vectors, item_vectors = _to_numpy(*network.embeddings())
        est.user_preference_, est.item_preference_ = _to_numpy(*network.preferences())
    parts = network.fold_in_parts()
    est._fuse_state = {"fusion": est.fusion, "similarity": est.similarity}
    est._fold = FoldIn(
        prepared.train_set,
        **dict(zip(parts, _to_numpy(*parts.values()), strict=True)),
        preference_logits=np.log(np.maximum(est.user_preference_, 1e-12)),
        n_layers=int(est.n_layers),
        user_neighbors=int(est.user_neighbors),
        max_degree=MAX_DEGREE,
        user_links=est._recipe.user_links,
        normalize=est._normalizes(prepared),
    )
    est._weights = MDEWeights.of(network, built.projections)
    est._links, est._n_linked = built.links, int(est.item_neighbors)
    est._keep_content(prepared.given_features, prepared.growth, prepared.new_items)
    learned = Learned(item_vectors, user_vectors, *_beside_vectors(est, built))
    n_interactions = est._training_set(prepared.interactions).nnz
    est._item_to_item_scale = scale_of_weights(n_interactions, est.cooccurrence_weight)
    est._set_fitted(prepared.interactions, learned)
    if est.new_item_share is not None:
        est._place_new_items()


def _beside_vectors(
    est: MDEInputs, built: Built
) -> tuple[sp.csr_matrix | None, sp.csr_matrix | None]:
    """The item-to-item part of the scores; weights of histories where interactions have some.

    It needs no held-out interactions: those that watched the training count too.
    """
    interactions, item_to_item = built.prepared.interactions, built.item_to_item
    if item_to_item is None:
        return None, None
    train_set = scale_to_unit_mean(est._training_set(interactions))
    if train_set.nnz > built.prepared.train_set.nnz:
        item_to_item = est._item_to_item(train_set)
    weighted = interactions.value is not None
    return item_to_item, est.weigh_histories(train_set) if weighted else None


def _batch_size(batch_size: Any, n_interactions: int, n_users: int | None) -> int:
    """Interactions per step; "auto" makes the same number of steps from few and from many."""
    if batch_size != "auto":
        return int(batch_size)
    size = min(-(-n_interactions // _N_STEPS), _LARGEST_BATCH)
    if n_users:
        size = min(size, _MOST_USERS * n_interactions // n_users)
    return max(size, _SMALLEST_BATCH)


def _to_device(array: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.as_tensor(array, dtype=torch.float32, device=device)


def _to_numpy(*tensors: torch.Tensor) -> list[np.ndarray]:
    # A copy: on the CPU the arrays would otherwise keep the network's memory alive.
    return [tensor.detach().cpu().numpy().copy() for tensor in tensors]
