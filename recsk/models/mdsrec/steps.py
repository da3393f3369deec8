"""The steps of a fit of MDSRec: relations and network, training, what is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from recsk.contract.hold_out import hold_out_last
from recsk.contract.learning import Learned
from recsk.contract.preparation import Prepared
from recsk.contract.validation import Validation
from recsk.data.checks import as_int_or_none
from recsk.data.interactions import Interactions
from recsk.data.sequences import Sequences
from recsk.features.dense import Features, scale_to_unit_mean_norm
from recsk.features.missing import fill_missing_modalities
from recsk.graphs.interests import cluster_items, extend_clusters
from recsk.graphs.items import mix_with_identity, relation_graph
from recsk.models.continuing import users_to_train
from recsk.models.mdsrec.encoder import StoredEncoder
from recsk.models.mdsrec.relations import item_relations, recent_weights
from recsk.models.mdsrec.serving import MDSRecServing
from recsk.models.mdsrec.weights import MDSRecWeights
from recsk.nn.dropout import seeded_dropout
from recsk.nn.encoder import SequenceEncoder, encode_sequences
from recsk.nn.mdsrec import Interests, MDSRecNetwork, MDSRecObjective
from recsk.nn.modality import Modality
from recsk.nn.propagation import SparseOperator
from recsk.nn.sequences import SequenceSampler
from recsk.nn.training import TrainingLog, check_finite

__all__ = ["Built", "MDSRecSteps"]

# batch_size="auto": steps of an epoch, and limits of the batch.
_N_STEPS = 16
_SMALLEST_BATCH, _LARGEST_BATCH = 32, 1024
# relation="blend": weight of co-occurrence, and users that the relations of an item are worth.
_BEHAVIOR_SHARE, _RELATION_STRENGTH = 0.25, 50.0
_MAX_DEGREE = 1000  # longer histories would cost the square of their length in the graphs
_WEIGHT_AVERAGING = 0.99  # decay per step
_REPLAYED = 2  # other users for each one with new interactions, in a training that goes on
_TEMPERATURES = {"cosine": 0.1, "dot": 1.0}  # of the softmax
_N_CHECKED = 64  # users whose vectors must be finite after an epoch without early stopping


@dataclass(frozen=True)
class Built:
    """A network that is ready to be trained, its data, and the relations beside it."""

    prepared: Prepared[Sequences]
    network: MDSRecNetwork
    relations: sp.csr_matrix | None


class MDSRecSteps(MDSRecServing):
    """The steps of ``fit``, by the parameters of `recsk.MDSRecRecommender`."""

    def _check_fit_parameters(self) -> torch.device:
        device = super()._check_fit_parameters()
        if self.n_factors % self.n_heads:
            raise ValueError(
                f"n_factors must be a multiple of n_heads; got n_factors={self.n_factors} and "
                f"n_heads={self.n_heads}"
            )
        return device

    def _standardizes(self) -> bool:
        return bool(self.project_features)

    def _seeded(self, prepared: Prepared[Any]) -> AbstractContextManager[None]:
        return seeded_dropout(prepared.seed, prepared.device)

    def _training_set(self, interactions: Interactions) -> Sequences:
        return Sequences.from_interactions(interactions)

    def _hold_out(
        self, train_set: Sequences, n_items: int, rng: np.random.RandomState
    ) -> tuple[Sequences, sp.csr_matrix | None]:
        return hold_out_last(
            train_set, self.validation_fraction, rng, n_items=n_items, repeats=self.repeats
        )

    def _prepare_features(self, features: Mapping[str, np.ndarray]) -> dict[str, Features]:
        return self._fill_and_scale(super()._prepare_features(features))

    def _prepare_grown_features(self, features: Mapping[str, np.ndarray]) -> dict[str, Features]:
        return self._fill_and_scale(super()._prepare_grown_features(features))

    def _fill_and_scale(self, dense: dict[str, Features]) -> dict[str, Features]:
        filled = fill_missing_modalities(list(dense.values()))
        return dict(zip(dense, map(scale_to_unit_mean_norm, filled), strict=True))

    def _build(self, prepared: Prepared[Sequences]) -> Built:
        """Make the relation graphs, the interests and the network."""
        device, features = prepared.device, prepared.modalities
        n_items = prepared.interactions.n_items
        train_matrix = prepared.train_set.to_csr(n_items, binary=False)
        count = np.bincount(train_matrix.indices, weights=train_matrix.data, minlength=n_items)
        graphs = interests = None
        if self.relation is not None and features:
            graphs = list(self._relation_graphs(train_matrix, features, count))
        if clustered := self._cluster(prepared):
            interests = [
                Interests(SparseOperator(mean, device), torch.as_tensor(cluster, device=device))
                for mean, cluster in clustered
            ]
        encoder = SequenceEncoder(
            n_modalities=max(len(features), 1),
            n_factors=int(self.n_factors),
            max_length=int(self.max_length),
            n_blocks=int(self.n_blocks),
            n_heads=int(self.n_heads),
            dropout=self.dropout,
            with_interests=interests is not None,
            fusion=self.fusion,
            tau=1.0,
            concatenate=self.candidate_vectors == "modality",
            similarity=self.similarity,
            item_bias=self.item_bias,
            recent_weight=self.recent_weight,
        )
        network = MDSRecNetwork(
            encoder,
            [Modality.from_arrays(*part, device) for part in features],
            None if graphs is None else [SparseOperator(graph, device) for graph in graphs],
            interests,
            n_items=n_items,
            n_factors=int(self.n_factors),
            shared_ids=self.shared_ids,
            project_features=self.project_features,
            item_vectors=self.candidate_vectors,
            has_interactions=torch.as_tensor(count[:, None] > 0, dtype=torch.float32),
            generator=torch.Generator().manual_seed(prepared.seed),
        )
        if prepared.growth is not None:
            n_known = self._weights.arrays["item"].shape[1]
            weights = self._weights.with_new_items(_similar_items(graphs, n_known, n_items))
            weights.load(network, self._encoder.weights)
        relations = None
        if self.relation_weight:
            # In units of the logits: scores are divided by the temperature in training.
            weight = self.relation_weight * _TEMPERATURES[self.similarity]
            # With a share, new items get theirs after the training.
            of_new = features if self.new_item_share is None else ()
            found = item_relations(prepared.train_set, n_items, of_new)
            relations = sp.csr_matrix(weight * found)
        return Built(prepared, network.to(device), relations)

    def _cluster(
        self, prepared: Prepared[Sequences]
    ) -> list[tuple[sp.csr_array, np.ndarray]] | None:
        """Cluster the items of every modality; later trainings keep the clusters of the fit."""
        if prepared.growth is not None:
            if self._encoder.interests is None:
                return None
            centers, cluster = self._encoder.interests
            pairs = zip(prepared.modalities, cluster, strict=True)
            return [extend_clusters(part, known, centers.shape[1] - 1) for part, known in pairs]
        if not self.n_interests:
            return None
        n_interests = min(int(self.n_interests), prepared.interactions.n_items)
        return [cluster_items(part, n_interests, prepared.seed) for part in prepared.modalities]

    def _relation_graphs(
        self, train_matrix: sp.csr_matrix, features: list[Features], count: np.ndarray
    ) -> Iterator[sp.csr_array]:
        """The relation graph of every modality (MRGC)."""
        assert self.relation is not None
        behavior = None
        for values, present in features:
            build = partial(
                relation_graph,
                train_matrix,
                values,
                int(self.n_neighbors),
                present=present,
                max_length=_MAX_DEGREE,
            )
            if self.relation == "blend":
                behavior = build(relation="behavior") if behavior is None else behavior
                graph = build(relation="blend", behavior_share=_BEHAVIOR_SHARE, behavior=behavior)
                yield mix_with_identity(graph, count, _RELATION_STRENGTH)
            else:
                yield build(relation=self.relation)

    def _train(self, built: Built) -> TrainingLog:
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
            max_length=int(self.max_length),
            batch_size=self._batch_size(prepared.train_set),
            rng=rng,
            device=device,
            weights=trained.weights,
            n_negatives=as_int_or_none(self.n_negatives),
        )
        if not len(batches):
            network.eval()
            return TrainingLog(stopped_by="max_epochs" if prepared.adds else "no-batches")
        some = np.flatnonzero(np.diff(prepared.train_set.indptr))[:_N_CHECKED]
        checked = prepared.train_set.select(some)
        draws: list[Any] = [torch.default_generator, rng]
        if device.type == "cuda":
            draws.append(torch.cuda.default_generators[device.index or 0])
        return self._train_network(
            prepared,
            network,
            batches,
            MDSRecObjective(network, _TEMPERATURES[self.similarity]),
            evaluate=None if prepared.held_out is None else self._evaluation(built),
            weight_averaging=averaging,
            check=lambda: check_finite(*_tensors(network, checked)),
            random_states=draws,
        )

    def _batch_size(self, train_set: Sequences) -> int:
        """Sequences per step; "auto" makes the same number of steps from few and from many."""
        if self.batch_size != "auto":
            return int(self.batch_size)
        n_targets = np.maximum(np.diff(train_set.indptr) - 1, 0)
        n_windows = int(np.ceil(n_targets / int(self.max_length)).sum())
        return min(max(-(-n_windows // _N_STEPS), _SMALLEST_BATCH), _LARGEST_BATCH)

    def _evaluation(self, built: Built) -> Any:
        """A function that measures the network as it is on what is held out."""
        prepared, network, relations = built.prepared, built.network, built.relations
        assert prepared.held_out is not None
        watched = np.flatnonzero(np.diff(prepared.held_out.indptr))
        sequences = prepared.train_set.select(watched)
        histories, n_items = (sequences.indptr, sequences.items), prepared.interactions.n_items
        validation = Validation(
            sequences.to_csr(n_items),
            prepared.held_out[watched],
            self.eval_metric,
            exclude_seen=self._score_excludes_seen(),
            weights=sp.csr_matrix(recent_weights(*histories, n_items, int(self.max_length))),
            item_to_item=relations,
        )
        return lambda: validation(*_vectors(network, sequences))

    def _keep(self, built: Built, log: TrainingLog) -> None:
        """Take out of the network what recommending needs, as arrays."""
        prepared, network = built.prepared, built.network
        self._keep_log(prepared, log)
        with torch.no_grad():
            tables = network.item_tables()
            catalogue = network.item_vectors(tables).cpu().numpy()
        self._encoder = StoredEncoder(network.encoder, tables)
        users, self.user_preference_ = self._encode(prepared.interactions)
        weights = None
        if built.relations is not None:
            weights = self._recent_weights(prepared.interactions)
        self._weights = MDSRecWeights.of(network)
        self._keep_content(prepared.given_features, prepared.growth)
        learned = Learned(catalogue, users, built.relations, weights)
        self._set_fitted(prepared.interactions, learned)
        if self.new_item_share is not None:
            self._place_new_items()


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


@torch.no_grad()
def _tensors(network: MDSRecNetwork, sequences: Sequences) -> tuple[torch.Tensor, torch.Tensor]:
    tables = network.item_tables()
    histories = sequences.indptr, sequences.items
    users = network.encoder.user_vectors(encode_sequences(network.encoder, tables, *histories))
    return users, network.item_vectors(tables)
