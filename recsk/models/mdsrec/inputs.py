"""What a fit of MDSRec learns from: ordered histories, features and graphs as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from recsk.contract.hold_out import hold_out_last
from recsk.contract.preparation import Prepared
from recsk.data.interactions import Interactions
from recsk.data.sequences import Sequences
from recsk.features.dense import Features, RowScale, scale_to_unit_mean_norm
from recsk.features.missing import fill_missing_modalities
from recsk.graphs.interests import cluster_items, extend_clusters
from recsk.graphs.items import mix_with_identity, relation_graph
from recsk.models.mdsrec.serving import MDSRecServing

if TYPE_CHECKING:
    import torch

__all__ = ["MDSRecInputs"]

# batch_size="auto": steps of an epoch, and limits of the batch.
_N_STEPS = 16
_SMALLEST_BATCH, _LARGEST_BATCH = 32, 1024
# relation="blend": weight of co-occurrence, and users that the relations of an item are worth.
_BEHAVIOR_SHARE, _RELATION_STRENGTH = 0.25, 50.0
_MAX_DEGREE = 1000  # longer histories would cost the square of their length in the graphs


class MDSRecInputs(MDSRecServing):
    """The inputs of ``fit``, by the parameters of `recsk.MDSRecRecommender`; no network yet."""

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

    def _training_set(self, interactions: Interactions) -> Sequences:
        return Sequences.from_interactions(interactions)

    def _hold_out(
        self, train_set: Sequences, n_items: int, rng: np.random.RandomState
    ) -> tuple[Sequences, sp.csr_matrix | None]:
        return hold_out_last(
            train_set, self.validation_fraction, rng, n_items=n_items, repeats=self.repeats
        )

    def _prepare_features(self, features: Mapping[str, np.ndarray]) -> dict[str, Features]:
        filled = _fill(super()._prepare_features(features))
        scaled = {name: scale_to_unit_mean_norm(part) for name, part in filled.items()}
        scales = {name: RowScale.between(part, scaled[name]) for name, part in filled.items()}
        self._feature_scales = {name: x for name, x in scales.items() if x is not None}
        return scaled

    def _prepare_grown_features(self, features: Mapping[str, np.ndarray]) -> dict[str, Features]:
        filled = _fill(super()._prepare_grown_features(features))
        known = self._feature_scales
        return {
            name: known[name](part) if name in known else scale_to_unit_mean_norm(part)
            for name, part in filled.items()
        }

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

    def _link_similar(self, prepared: Prepared[Sequences]) -> list[sp.csr_array]:
        """Find the similar items of each item, where relations are of these alone."""
        uses = self.relation in ("blend", "semantic")
        return self._link_items(prepared, int(self.n_neighbors) if uses else 0)

    def _relation_graphs(
        self,
        train_matrix: sp.csr_matrix,
        features: list[Features],
        links: list[sp.csr_array],
        count: np.ndarray,
    ) -> Iterator[sp.csr_array]:
        """The relation graph of every modality (MRGC)."""
        assert self.relation is not None
        behavior = None
        for (values, present), similar in zip_longest(features, links):
            build = partial(
                relation_graph,
                train_matrix,
                values,
                int(self.n_neighbors),
                present=present,
                max_length=_MAX_DEGREE,
                links=similar,
            )
            if self.relation == "blend":
                behavior = build(relation="behavior") if behavior is None else behavior
                graph = build(relation="blend", behavior_share=_BEHAVIOR_SHARE, behavior=behavior)
                yield mix_with_identity(graph, count, _RELATION_STRENGTH)
            else:
                yield build(relation=self.relation)

    def _batch_size(self, train_set: Sequences) -> int:
        """Sequences per step; "auto" makes the same number of steps from few and from many."""
        if self.batch_size != "auto":
            return int(self.batch_size)
        n_targets = np.maximum(np.diff(train_set.indptr) - 1, 0)
        n_windows = int(np.ceil(n_targets / int(self.max_length)).sum())
        return min(max(-(-n_windows // _N_STEPS), _SMALLEST_BATCH), _LARGEST_BATCH)


def _fill(dense: dict[str, Features]) -> dict[str, Features]:
    return dict(zip(dense, fill_missing_modalities(list(dense.values())), strict=True))
