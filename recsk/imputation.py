"""Features of items that lack a modality, from the items that are most like them in the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from recsk.features import Features
from recsk.ranking import top_k, unit_rows

__all__ = ["fill_missing"]


def fill_missing(features: Sequence[Features], *, n_neighbors: int = 10) -> list[Features]:
    r"""Give items that lack a modality what the items most like them have there.

    .. math:: f_{im} = \frac{\sum_j a_{ij} f_{jm}}{\sum_j a_{ij}}, \qquad
              a_{ij} = \max \Big( 0, \sum_{m' \ne m} \cos(f_{im'}, f_{jm'}) \Big)

    over the `n_neighbors` items j of largest :math:`a_{ij}` among those that have modality m, with
    a cosine of zero where either lacks :math:`m'`.

    Parameters
    ----------
    features : sequence of Features
        One per modality.
    n_neighbors : int, default=10

    Returns
    -------
    list of Features
        The same object where nothing could be filled in: who is like nobody in any other modality
        still lacks this one. What came is not changed.
    """
    if all(present.all() for _, present in features):
        return list(features)
    unit = [unit_rows(values) * present[:, None] for values, present in features]
    return [_filled(part, unit[:m] + unit[m + 1 :], n_neighbors) for m, part in enumerate(features)]


def _filled(features: Features, others: Sequence[np.ndarray], n_neighbors: int) -> Features:
    """One modality, by the others as rows of length one."""
    values, present = features
    (lacking,), (having,) = np.nonzero(~present), np.nonzero(present)
    if not len(lacking) or not others:
        return features
    left, right = (np.hstack([rows[i] for rows in others]) for i in (lacking, having))
    near, alike = top_k(left, right, n_neighbors)
    row, rank = np.nonzero(alike > 0)
    weight = sp.csr_array((alike[row, rank], (row, near[row, rank])), (len(left), len(right)))
    total = weight.sum(axis=1)
    found = total > 0
    weight = sp.diags_array(1 / np.where(found, total, 1)) @ weight
    values, present = values.copy(), present.copy()
    values[lacking] = weight.astype(np.float32) @ values[having]
    present[lacking] = found
    return Features(values, present) if found.any() else features
