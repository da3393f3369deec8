"""What a fit of MDE learns from: interactions, features and graphs as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from recsk.contract.growth import Growth
from recsk.contract.hold_out import hold_out
from recsk.contract.preparation import Prepared
from recsk.data.interactions import Interactions
from recsk.data.weights import weight_matrix
from recsk.features.dense import Features
from recsk.features.reduction import reduce_columns
from recsk.models.mde.item_to_item import item_to_item_weights, renew_weights, scale_of_weights
from recsk.models.mde.serving import MDEServing

__all__ = ["MDEInputs"]

_COLUMNS_PER_FACTOR = 4  # of the features that linear encoders see


class MDEInputs(MDEServing):
    """The inputs of ``fit``, by the parameters of `recsk.MDERecommender`; no network yet."""

    def _standardizes(self) -> bool:
        return self._recipe.standardize

    def _normalizes(self, prepared: Prepared[sp.csr_matrix]) -> bool:
        """Whether initial vectors are scaled to length one."""
        return bool(prepared.features) or self._recipe.normalize_ids

    def _score_scale(self, prepared: Prepared[sp.csr_matrix]) -> float:
        """Factor of the scores in BPR that sums of layers have over means."""
        sums = self._recipe.sum_layers and self._normalizes(prepared) and self.similarity == "dot"
        return float((int(self.n_layers) + 1) ** 2) if sums else 1.0

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
