"""Fill in a missing modality of an item from items that are similar in other modalities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from recsk.features.dense import Features
from recsk.ranking.exact import top_k
from recsk.ranking.vectors import unit_rows

__all__ = ["fill_missing_modalities"]


def fill_missing_modalities(
    features: Sequence[Features], *, n_neighbors: int = 10
) -> list[Features]:
    r"""Fill in missing modalities with the weighted mean of the features of similar items.

    The features of an item i without modality m become

    .. math:: f_{im} = \frac{\sum_j a_{ij} f_{jm}}{\sum_j a_{ij}}, \qquad
              a_{ij} = \max \Big( 0, \sum_{m' \ne m} \cos(f_{im'}, f_{jm'}) \Big)

    where j are the `n_neighbors` items with the largest :math:`a_{ij}` among those that have
    modality m. The cosine is zero if i or j lacks :math:`m'`.

    Parameters
    ----------
    features : sequence of Features
        One per modality. Not changed.
    n_neighbors : int, default=10
        Number of similar items.

    Returns
    -------
    list of Features
        One per modality; the same object if nothing was filled in. An item without a similar item
        in any other modality still lacks the modality.
    """
    if all(present.all() for _, present in features):
        return list(features)
    unit = [unit_rows(values) * present[:, None] for values, present in features]
    return [
        _fill_modality(part, unit[:m] + unit[m + 1 :], n_neighbors)
        for m, part in enumerate(features)
    ]


def _fill_modality(features: Features, others: Sequence[np.ndarray], n_neighbors: int) -> Features:
    """Fill in one modality; `others` are the normalised features of the other modalities."""
    values, present = features
    (missing_items,), (present_items,) = np.nonzero(~present), np.nonzero(present)
    if not len(missing_items) or not others:
        return features
    queries, candidates = (
        np.hstack([unit[items] for unit in others]) for items in (missing_items, present_items)
    )
    neighbors, similarity = top_k(queries, candidates, n_neighbors)
    row, rank = np.nonzero(similarity > 0)
    weight = sp.csr_array(
        (similarity[row, rank], (row, neighbors[row, rank])), (len(queries), len(candidates))
    )
    total = weight.sum(axis=1)
    filled = total > 0
    weight = sp.diags_array(1 / np.where(filled, total, 1)) @ weight
    values, present = values.copy(), present.copy()
    values[missing_items] = weight.astype(np.float32) @ values[present_items]
    present[missing_items] = filled
    return Features(values, present) if filled.any() else features
