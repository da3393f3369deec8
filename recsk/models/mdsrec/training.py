"""The steps of a fit of MDSRec that need PyTorch: network, training, what is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from recsk.contract.learning import Learned
from recsk.contract.preparation import Prepared
from recsk.contract.validation import Validation
from recsk.data.checks import as_int_or_none
from recsk.data.sequences import Sequences
from recsk.models.continuing import users_to_train
from recsk.models.mdsrec.encoder import StoredEncoder
from recsk.models.mdsrec.inputs import MDSRecInputs
from recsk.models.mdsrec.relations import item_relations, recent_weights
from recsk.models.mdsrec.weights import MDSRecWeights
from recsk.nn.encoder import SequenceEncoder, encode_sequences
from recsk.nn.mdsrec import Interests, MDSRecNetwork, MDSRecObjective
from recsk.nn.modality import Modality
from recsk.nn.propagation import SparseOperator
from recsk.nn.sequences import SequenceSampler
from recsk.nn.training import TrainingLog, check_finite

__all__ = ["Built", "build", "keep", "train"]

_WEIGHT_AVERAGING = 0.99  # decay per step
_REPLAYED = 2  # other users for each one with new interactions, in a training that goes on
_TEMPERATURES = {"cosine": 0.1, "dot": 1.0}  # of the softmax
_N_CHECKED = 64  # users whose vectors must be finite after an epoch without early stopping


@dataclass(frozen=True)
class Built:
    """A network that is ready to be trained, its data, and the relations beside it.

    `links` are the similar items of each item by modality.
    """

    prepared: Prepared[Sequences]
    network: MDSRecNetwork
    links: list[sp.csr_array]
    relations: sp.csr_matrix | None


def build(est: MDSRecInputs, prepared: Prepared[Sequences]) -> Built:
    """Make the relation graphs, the interests and the network."""
    device, features = prepared.device, prepared.modalities
    n_items = prepared.interactions.n_items
    train_matrix = prepared.train_set.to_csr(n_items, binary=False)
    count = np.bincount(train_matrix.indices, weights=train_matrix.data, minlength=n_items)
    graphs = interests = None
    links = est._link_similar(prepared)
    if est.relation is not None and features:
        graphs = list(est._relation_graphs(train_matrix, features, links, count))
    if clustered := est._cluster(prepared):
        interests = [
            Interests(SparseOperator(mean, device), torch.as_tensor(cluster, device=device))
            for mean, cluster in clustered
        ]
    encoder = SequenceEncoder(
        n_modalities=max(len(features), 1),
        n_factors=int(est.n_factors),
        max_length=int(est.max_length),
        n_blocks=int(est.n_blocks),
        n_heads=int(est.n_heads),
        dropout=est.dropout,
        with_interests=interests is not None,
        fusion=est.fusion,
        tau=1.0,
        concatenate=est.candidate_vectors == "modality",
        similarity=est.similarity,
        item_bias=est.item_bias,
        recent_weight=est.recent_weight,
    )
    network = MDSRecNetwork(
        encoder,
        [Modality.from_arrays(*part, device) for part in features],
        None if graphs is None else [SparseOperator(graph, device) for graph in graphs],
        interests,
        n_items=n_items,
        n_factors=int(est.n_factors),
        shared_ids=est.shared_ids,
        project_features=est.project_features,
        item_vectors=est.candidate_vectors,
        has_interactions=torch.as_tensor(count[:, None] > 0, dtype=torch.float32),
        generator=torch.Generator().manual_seed(prepared.seed),
    )
    if prepared.growth is not None:
        n_known = est._weights.arrays["item"].shape[1]
        weights = est._weights.with_new_items(_similar_items(graphs, n_known, n_items))
        if prepared.adds and network.projections:
            weights = weights.faded(min(est.interactions_.nnz / train_matrix.nnz, 1.0))
        weights.load(network, est._encoder.weights)
    relations = None
    if est.relation_weight:
        # In units of the logits: scores are divided by the temperature in training.
        weight = est.relation_weight * _TEMPERATURES[est.similarity]
        # With a share, new items get theirs after the training.
        of_new = features if est.new_item_share is None else ()
        found = item_relations(prepared.train_set, n_items, of_new)
        relations = sp.csr_matrix(weight * found)
    return Built(prepared, network.to(device), links, relations)


def train(est: MDSRecInputs, built: Built) -> TrainingLog:
    """Train the network in place."""
    prepared, network = built.prepared, built.network
    device, rng = prepared.device, prepared.rng
    trained, averaging = prepared.train_set, _WEIGHT_AVERAGING
    if prepared.adds:
        chosen = users_to_train(prepared, np.diff(trained.indptr), _REPLAYED)
        # A rate that ends at zero averages already.
        trained, averaging = trained.select(np.flatnonzero(chosen)), 0.0
    batches = SequenceSampler(
        trained.indptr,
        trained.items,
        n_items=prepared.interactions.n_items,
        max_length=int(est.max_length),
        batch_size=est._batch_size(prepared.train_set),
        rng=rng,
        device=device,
        weights=trained.weights,
        n_negatives=as_int_or_none(est.n_negatives),
        # Not only those of the users trained on: these are the popular ones, which would fall
        # behind all others night by night.
        candidates=np.flatnonzero(np.bincount(prepared.train_set.items)),
    )
    if not len(batches):
        network.eval()
        return TrainingLog(stopped_by="max_epochs" if prepared.adds else "no-batches")
    some = np.flatnonzero(np.diff(prepared.train_set.indptr))[:_N_CHECKED]
    checked = prepared.train_set.select(some)
    draws: list[Any] = [torch.default_generator, rng]
    if device.type == "cuda":
        draws.append(torch.cuda.default_generators[device.index])
    return est._train_network(
        prepared,
        network,
        batches,
        MDSRecObjective(network, _TEMPERATURES[est.similarity]),
        evaluate=None if prepared.held_out is None else _evaluation(est, built),
        weight_averaging=averaging,
        check=lambda: check_finite(*_tensors(network, checked)),
        random_states=draws,
        processes=prepared.processes,
    )


def _evaluation(est: MDSRecInputs, built: Built) -> Any:
    """A function that measures the network as it is on what is held out."""
    prepared, network, relations = built.prepared, built.network, built.relations
    assert prepared.held_out is not None
    watched = np.flatnonzero(np.diff(prepared.held_out.indptr))
    sequences = prepared.train_set.select(watched)
    histories, n_items = (sequences.indptr, sequences.items), prepared.interactions.n_items
    validation = Validation(
        sequences.to_csr(n_items),
        prepared.held_out[watched],
        est.eval_metric,
        exclude_seen=est._score_excludes_seen(),
        weights=sp.csr_matrix(recent_weights(*histories, n_items, int(est.max_length))),
        item_to_item=relations,
        device=prepared.ranking_device,
        processes=prepared.processes,
    )
    vectors = _vectors if prepared.ranking_device is None else _tensors
    if validation.processes is None:
        return lambda: validation(*vectors(network, sequences))
    own = sequences.select(validation.users)  # those of this process

    def evaluate() -> float:
        of_own, items = vectors(network, own)
        return validation(_spread(of_own, validation.users, len(watched)), items)

    return evaluate


def keep(est: MDSRecInputs, built: Built, log: TrainingLog) -> None:
    """Take out of the network what recommending needs, as arrays."""
    prepared, network = built.prepared, built.network
    est._keep_log(prepared, log)
    with torch.no_grad():
        tables = network.item_tables()
        catalogue = network.item_vectors(tables).cpu().numpy()
    est._encoder = StoredEncoder(network.encoder, tables)
    users, est.user_preference_ = est._encode(prepared.interactions, prepared.device)
    weights = None
    if built.relations is not None:
        weights = est._recent_weights(prepared.interactions)
    est._weights = MDSRecWeights.of(network)
    est._links, est._n_linked = built.links, int(est.n_neighbors)
    est._keep_content(prepared.given_features, prepared.growth, prepared.new_items)
    learned = Learned(catalogue, users, built.relations, weights)
    est._set_fitted(prepared.interactions, learned)
    if est.new_item_share is not None:
        est._place_new_items()


def _similar_items(graphs: list[sp.csr_array] | None, n_known: int, n_items: int) -> sp.csr_matrix:
    """Weights of the known items that new ones are related to, in all modalities together."""
    similar = sp.csr_matrix((n_items - n_known, n_known), dtype=np.float32)
    for graph in graphs or ():
        similar = similar + sp.csr_matrix(graph[n_known:, :n_known])
    total = np.asarray(similar.sum(axis=1)).ravel()
    return sp.csr_matrix(sp.diags_array(1 / np.where(total > 0, total, 1)) @ similar)


def _vectors(network: MDSRecNetwork, sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of these sequences and of all items, computed on the device of the network."""
    users, items = _tensors(network, sequences)
    return users.cpu().numpy(), items.cpu().numpy()


def _spread(rows: Any, places: np.ndarray, n: int) -> Any:
    """Put rows of an array or tensor to places among n rows; the others are zero."""
    shape = n, rows.shape[1]
    spread = np.zeros(shape, rows.dtype) if isinstance(rows, np.ndarray) else rows.new_zeros(shape)
    spread[places] = rows
    return spread


@torch.no_grad()
def _tensors(network: MDSRecNetwork, sequences: Sequences) -> tuple[torch.Tensor, torch.Tensor]:
    tables = network.item_tables()
    histories = sequences.indptr, sequences.items
    users = network.encoder.user_vectors(encode_sequences(network.encoder, tables, *histories))
    return users, network.item_vectors(tables)
