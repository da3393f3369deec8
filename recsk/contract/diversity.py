"""Lists whose items differ from each other."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.contract.answers import Query
from recsk.contract.explaining import Explaining
from recsk.contract.rankings import IdsAndScores
from recsk.data.checks import describe
from recsk.features.content import content_vectors
from recsk.ranking.allowed import is_for_each
from recsk.ranking.diversify import diversify

__all__ = ["Diversifying"]

Features = dict[str, npt.NDArray[np.float32]]
_CANDIDATES, _LEAST_CANDIDATES = 10, 100  # for each place of a list, and for a list
_MAX_RANKED = 2**22  # candidates of the users whose lists are found at once
_MAX_NUMBERS = 2**23  # in their vectors


class Diversifying(Explaining):
    """Lists that are re-ranked by the content of the items."""

    def _rank_diversely(
        self,
        query: Query,
        k: int,
        exclude_seen: bool,
        items: Any,
        filter_items: Any,
        diversity: Any,
    ) -> IdsAndScores:
        """Rank items for users; `diversity` has the weight of each modality, or of all together."""
        weights = self._check_diversity(diversity)
        options = (exclude_seen, items, filter_items)
        if not weights:
            return self._rank(query.users, query.seen, k, *options)
        n, n_items = query.seen.shape
        n_candidates = min(max(_CANDIDATES * k, _LEAST_CANDIDATES), n_items)
        ids = np.full((n, k), -1, dtype=np.int64)
        scores = np.full((n, k), -np.inf, dtype=np.float32)
        step = max(_MAX_RANKED // n_candidates, 1)
        for start in range(0, n, step):
            some = slice(start, start + step)
            sets = [x[some] if x is not None and is_for_each(x) else x for x in options[1:]]
            ranked = self._rank(
                query.users[some], query.seen[some], n_candidates, exclude_seen, *sets
            )
            self._rerank(*ranked, weights, ids[some], scores[some])
        return ids, scores

    def _rerank(
        self,
        candidates: npt.NDArray[np.int64],
        scores: npt.NDArray[np.float32],
        weights: dict[str | None, float],
        ids: npt.NDArray[np.int64],
        best: npt.NDArray[np.float32],
    ) -> None:
        """Write the lists of some users, a few at a time."""
        width = sum(x.shape[1] for x in self._features_of(np.empty(0, np.int64)).values())
        step = max(_MAX_NUMBERS // (candidates.shape[1] * width), 1)
        for start in range(0, len(ids), step):
            some = slice(start, start + step)
            found, place = np.unique(candidates[some], return_inverse=True)
            place = place.reshape(candidates[some].shape)
            features = self._features_of(np.maximum(found, 0))
            vectors = []
            for name in weights:
                chosen = features if name is None else {name: features[name]}
                vectors.append(content_vectors(chosen).astype(np.float32)[place])
            ids[some], best[some] = diversify(
                candidates[some], scores[some], vectors, list(weights.values()), ids.shape[1]
            )

    def _features_of(self, items: npt.NDArray[np.int64]) -> Features:
        """Return features of some items, as they were given."""
        return {name: rows[items] for name, rows in self._known_features().items()}

    def _check_diversity(self, diversity: Any) -> dict[str | None, float]:
        """Return weights by modality, or that of all together by None; nothing where it is off."""
        if diversity is None:
            return {}
        if not isinstance(diversity, Mapping):
            weights: dict[Any, Any] = {None: diversity}
        else:
            weights = dict(diversity)
        for name, weight in weights.items():
            text = "diversity" if name is None else f"diversity[{name!r}]"
            if not isinstance(weight, Real) or isinstance(weight, bool | np.bool_):
                raise TypeError(
                    f"{text} must be a number from 0 to 1, such as diversity=0.3 or "
                    f"diversity={{'image': 0.3}}; got {describe(weight)}"
                )
            if not 0 <= float(weight) <= 1:
                raise ValueError(f"{text} must be from 0 to 1; got {weight!r}")
        if (total := sum(weights.values())) > 1:
            raise ValueError(f"the numbers in diversity must sum to at most 1; got {total:g}")
        known = self._features_of(np.empty(0, dtype=np.int64))
        for name in weights:
            if name is not None and name not in known:
                raise ValueError(
                    f"diversity must name modalities of the fit, of {list(known)}; got {name!r}"
                )
        weights = {name: float(weight) for name, weight in weights.items() if weight > 0}
        if weights and not known:
            raise ValueError(
                f"diversity needs features of the items, and this {type(self).__name__} keeps "
                "none: fit a model that reads them with item_features, or leave diversity out"
            )
        return weights
