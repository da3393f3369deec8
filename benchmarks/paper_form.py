"""The choices that the paper of MDE leaves open: models that are `paper()` but for one of them.

    python benchmarks/accuracy.py --dataset tiktok --seeds 1 --threads 1 --validation-only \
        --model paper,paper_mean_layers,paper_raw_users

`models.py` has them under the names of `FORMS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import scipy.sparse as sp
import torch

from recsk import MDERecommender
from recsk.graphs.user_item import normalize_symmetric
from recsk.models.mde import training
from recsk.models.mde.recipe import RECIPES
from recsk.nn.mde import Graphs
from recsk.nn.mde_objective import MDEObjective
from recsk.nn.propagation import SparseOperator

__all__ = ["FORMS"]

PAPER = RECIPES["paper"]
SHARES = 0.1, 0.9  # of pictures and texts in a graph for both, in the public code of DRAGON


class MeanLayers(MDERecommender):
    """Scores of the mean of all layers."""

    _recipe = replace(PAPER, sum_layers=False)


class BothWeighted(MDERecommender):
    """Preferences weigh users and items."""

    _recipe = replace(PAPER, weigh_items=True)


class RawFeatures(MDERecommender):
    """Feature columns as they are."""

    _recipe = replace(PAPER, standardize=False)


class HiddenLayer(MDERecommender):
    """Encoders with a hidden layer."""

    _recipe = replace(PAPER, hidden_factor=4)


class AsBefore(MDERecommender):
    """All of these at once, and users linked by counts: `paper()` as it was before."""

    _recipe = replace(
        PAPER,
        sum_layers=False,
        weigh_items=True,
        standardize=False,
        hidden_factor=4,
        user_links="counts",
    )


class RawVectors(MDERecommender):
    """Initial vectors as they are; the ranking loss sees the sum of layers all the same."""

    def _normalizes(self, prepared: Any) -> bool:
        return False

    def _score_scale(self, prepared: Any) -> float:
        return float((self.n_layers + 1) ** 2)


class _WithPart(MDERecommender):
    """A model whose fit has another class or function in place of one of `training`."""

    part: ClassVar[tuple[str, Any]]

    def _build(self, prepared: Any) -> Any:
        with patch.object(training, *self.part):
            return super()._build(prepared)

    def _train(self, built: Any) -> Any:
        with patch.object(training, *self.part):
            return super()._train(built)


class _RankedPreferences(MDEObjective):
    def _weights(self, side: Any, pair: int) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        return tuple(None if w is None else w.detach() for w in super()._weights(side, pair))


class RankedPreferences(_WithPart):
    """Preferences that the ranking losses alone train."""

    part = "MDEObjective", _RankedPreferences


_graphs = training._build_graphs


def _with_one_item_graph(estimator: Any, prepared: Any, links: list[sp.csr_array]) -> Graphs:
    graphs = _graphs(estimator, prepared, [])
    parts = zip(SHARES, links, strict=True)
    both = sum(share * normalize_symmetric(part) for share, part in parts)
    shared = SparseOperator(sp.csr_array(both, dtype=np.float32), prepared.device)
    return graphs._replace(items=[shared] * len(links))


class OneItemGraph(_WithPart):
    """One graph of similar items for both modalities, 1 part of the first and 9 of the second."""

    part = "_build_graphs", _with_one_item_graph


class HiddenAndCounted(MDERecommender):
    """Encoders with a hidden layer, and users linked by counts."""

    _recipe = replace(PAPER, hidden_factor=4, user_links="counts")


class CountedUsers(MDERecommender):
    """Users linked by a softmax over the number of common items."""

    _recipe = replace(PAPER, user_links="counts")


# Class method, parameters, and modalities: as `models.MDE`.
FORMS: dict[str, tuple[Callable[..., MDERecommender], dict[str, Any], list[int] | None]] = {
    "paper_before": (
        AsBefore.paper,
        {"user_neighbors": 40, "learning_rate": 1e-3, "batch_size": 2048},
        None,
    ),
    "paper_mean_layers": (MeanLayers.paper, {}, None),
    "paper_both_weighted": (BothWeighted.paper, {}, None),
    "paper_raw_features": (RawFeatures.paper, {}, None),
    "paper_hidden_layer": (HiddenLayer.paper, {}, None),
    "paper_raw_vectors": (RawVectors.paper, {}, None),
    "paper_ranked_preferences": (RankedPreferences.paper, {}, None),
    "paper_one_item_graph": (OneItemGraph.paper, {}, None),
    "paper_10_users": (MDERecommender.paper, {"user_neighbors": 10}, None),
    "paper_40_users": (MDERecommender.paper, {"user_neighbors": 40}, None),
    "paper_counted_users": (CountedUsers.paper, {"user_neighbors": 40}, None),
    "paper_hidden_counted": (HiddenAndCounted.paper, {"user_neighbors": 40}, None),
    "paper_no_extra_losses": (MDERecommender.paper, {"alpha": 0.0, "beta": 0.0}, None),
    "paper_weak_mda": (MDERecommender.paper, {"alpha": 0.03}, None),
    "paper_strong_mda": (MDERecommender.paper, {"alpha": 0.3}, None),
    "paper_strong_msa": (MDERecommender.paper, {"beta": 0.3}, None),
    "paper_slow": (MDERecommender.paper, {"learning_rate": 1e-3}, None),
    "paper_small_batches": (
        MDERecommender.paper,
        {"learning_rate": 1e-3, "batch_size": 2048},
        None,
    ),
}
