"""Worlds whose truth is known, and interactions of any size for benchmarks of speed."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from realdata import split_at_random, split_last
from sklearn.utils import Bunch

from recsk import Interactions
from recsk.datasets import make_multimodal

__all__ = ["power_law", "sized", "world"]


def world(*, sequential: bool, random_state: int = 0, **params: Any) -> Bunch:
    """`make_multimodal`, split as real data are; half of the steps follow from the one before."""
    data = make_multimodal(
        sequential=0.5 if sequential else 0.0, random_state=random_state, **params
    )
    split = split_last if sequential else split_at_random
    return split("synthetic", data.interactions, data.item_features)


def sized(users: int, items: int, columns: int, *, sequential: bool, seed: int) -> Bunch:
    """About 20 interactions of each user with random features, to train on and no more."""
    rng = np.random.default_rng(seed)
    train: Any = power_law(users, items, 20, rng)
    if sequential:
        train = Interactions.from_csr(train)
        train = Interactions(
            train.user,
            train.item,
            timestamp=rng.permutation(len(train)),
            n_users=users,
            n_items=items,
        )
    features = {m: rng.normal(size=(items, columns)).astype(np.float32) for m in ("v", "t")}
    return Bunch(train=train, features=features)


def power_law(n_users: int, n_items: int, per_user: int, rng: np.random.Generator) -> sp.csr_matrix:
    """Interactions: items by a power law, some users more than others."""
    popularity = np.arange(1, n_items + 1) ** -0.8
    count = 1 + rng.geometric(1 / per_user, n_users)
    items = rng.choice(n_items, count.sum(), p=popularity / popularity.sum())
    indptr = np.concatenate([[0], np.cumsum(count)])
    matrix = sp.csr_matrix((np.ones(len(items), np.float32), items, indptr), (n_users, n_items))
    matrix.sum_duplicates()
    matrix.data.fill(1)
    return matrix
