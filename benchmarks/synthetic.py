"""Worlds whose truth is known, and interactions of any size for benchmarks of speed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from realdata import split_at_random, split_last
from sklearn.utils import Bunch

from recsk import Interactions
from recsk.datasets import make_multimodal

__all__ = ["power_law", "sized", "topical", "world"]

_DRAWN = 1 << 21  # interactions drawn at once
_TASTE = np.array([0.5, 0.25, 0.15, 0.1])  # how much of a user's choice each of the topics has
_WANDERING = 0.2  # share of the choices by popularity alone
_NOISE = {"v": 2.0, "t": 3.0}  # standard deviation in the features; that of the topics is 1


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


def topical(
    n_users: int,
    n_items: int,
    n_interactions: int,
    *,
    n_columns: int = 128,
    n_asked: int = 10_000,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Arrays as `realdata` reads them, of any size: users choose by topics that the content shows.

    There are about 100 items of a topic, and popularity is a power law. Users have four topics,
    and within a topic they choose by popularity; their numbers of interactions are log-normal. The
    features of both modalities are a vector of the topic, and noise. One or two interactions of
    `n_asked` users are held out for validation, and as many of other users for the test.
    """
    rng = np.random.default_rng(seed)
    shelves = _Shelves(n_items, rng)
    taste = shelves.topics(rng.random((n_users, len(_TASTE))))
    spread = rng.lognormal(size=n_users)
    count = 4 + rng.poisson(spread * (n_interactions / n_users - 4) / spread.mean())
    count = np.minimum(count, n_items // 4)
    ends = np.cumsum(count)
    edges = np.searchsorted(ends, np.arange(0, ends[-1], _DRAWN), side="right")
    edges = np.unique([*edges, n_users])
    pairs = [
        _choices(shelves, taste[first:last], count[first:last], rng)
        for first, last in pairwise(edges)
    ]
    user = np.concatenate(
        [own + np.int32(first) for (own, _), first in zip(pairs, edges, strict=False)]
    )
    item = np.concatenate([items for _, items in pairs])
    part = _held_out(user, n_users, min(n_asked, n_users // 4), rng)
    found: dict[str, np.ndarray] = {}
    for at, name in enumerate(("train", "val", "test")):
        found |= {f"{name}_user": user[part == at], f"{name}_item": item[part == at]}
    for name, noise in _NOISE.items():
        features = noise * rng.standard_normal((n_items, n_columns), dtype=np.float32)
        features += rng.standard_normal((shelves.n_topics, n_columns), np.float32)[shelves.topic]
        found[name] = features.astype(np.float16)
    return found


class _Shelves:
    """Items by topic: an item of a topic, or of all, is where a number falls on one line."""

    def __init__(self, n_items: int, rng: np.random.Generator) -> None:
        self.n_topics = max(n_items // 100, 8)
        size = np.arange(1, self.n_topics + 1) ** -0.5
        topic = np.sort(rng.choice(self.n_topics, n_items, p=size / size.sum()))
        popularity = rng.permutation(np.arange(1, n_items + 1) ** -0.7)
        self._ends = np.cumsum(popularity) / popularity.sum()
        starts = np.searchsorted(topic, np.arange(self.n_topics + 1))
        self._edges = np.concatenate([[0], self._ends])[starts]
        self._label = rng.permutation(n_items).astype(np.int32)
        self.topic = np.empty(n_items, np.int32)
        self.topic[self._label] = topic
        self.n_items = n_items

    def topics(self, place: np.ndarray) -> np.ndarray:
        """The topics at places from 0 to 1."""
        found = np.searchsorted(self._edges, place, side="right") - 1
        return np.clip(found, 0, self.n_topics - 1).astype(np.int32)

    def items(self, place: np.ndarray, topic: np.ndarray, anything: np.ndarray) -> np.ndarray:
        """The items at places from 0 to 1 of a topic, or of the whole line."""
        low, high = self._edges[topic], self._edges[topic + 1]
        place = np.where(anything, place, low + place * (high - low))
        at = np.searchsorted(self._ends, place, side="right")
        return self._label[np.minimum(at, self.n_items - 1)]


def _choices(
    shelves: _Shelves, taste: np.ndarray, count: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Users and items, each pair once; what was chosen twice is chosen again, a few times."""
    chosen = np.empty(0, np.int64)
    for _ in range(4):
        missing = count - np.bincount(chosen // shelves.n_items, minlength=len(count))
        user = np.repeat(np.arange(len(count)), missing)
        slot = np.searchsorted(np.cumsum(_TASTE)[:-1], rng.random(len(user)))
        anything = rng.random(len(user)) < _WANDERING
        item = shelves.items(rng.random(len(user)), taste[user, slot], anything)
        chosen = np.union1d(chosen, user * shelves.n_items + item)
    user, item = np.divmod(chosen, shelves.n_items)
    return user.astype(np.int32), item.astype(np.int32)


def _held_out(user: np.ndarray, n_users: int, n_asked: int, rng: np.random.Generator) -> np.ndarray:
    """0 for training, 1 and 2 for one or two interactions of users of validation and test."""
    part = np.zeros(len(user), np.int8)
    count = np.bincount(user, minlength=n_users)
    first = np.cumsum(count) - count
    asked = rng.permutation(n_users)[: 2 * n_asked].reshape(2, -1)
    for at, own in enumerate(asked, start=1):
        for some in (own, own[rng.random(n_asked) < 0.5]):
            part[first[some] + (rng.random(len(some)) * count[some]).astype(np.int64)] = at
    return part
