"""Interactions of any size for benchmarks of speed."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

__all__ = ["power_law"]


def power_law(n_users: int, n_items: int, per_user: int, rng: np.random.Generator) -> sp.csr_matrix:
    """Who met what: items by a power law, some users more than others."""
    popularity = np.arange(1, n_items + 1) ** -0.8
    count = 1 + rng.geometric(1 / per_user, n_users)
    items = rng.choice(n_items, count.sum(), p=popularity / popularity.sum())
    indptr = np.concatenate([[0], np.cumsum(count)])
    matrix = sp.csr_matrix((np.ones(len(items), np.float32), items, indptr), (n_users, n_items))
    matrix.sum_duplicates()
    matrix.data.fill(1)
    return matrix
