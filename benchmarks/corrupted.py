"""Data sets with less in them, or worse, and what new items can be found by without a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import Bunch

from recsk import Interactions
from recsk.features.dense import fill_and_standardize
from recsk.ranking import top_k
from recsk.ranking.vectors import unit_rows

__all__ = ["KINDS", "ContentKNN", "Popularity", "corrupt", "only", "thin", "without_items"]

KINDS = ("noise", "shuffled", "missing")


def only(modality: str, data: Bunch, rng: np.random.Generator) -> Bunch:
    """One modality alone."""
    return Bunch(**{**data, "features": {modality: data.features[modality]}})


def thin(share: float, data: Bunch, rng: np.random.Generator) -> Bunch:
    """A random share of the training interactions; the others are not known to anybody.

    They are candidates all the same, and count as wrong: figures at small shares are too low for
    whoever finds them.
    """
    if share == 1:
        return data
    n = len(data.train) if isinstance(data.train, Interactions) else data.train.nnz
    return _keeping(data, rng.permutation(n) < share * n)


def corrupt(modality: str, kind: str, share: float, data: Bunch, rng: np.random.Generator) -> Bunch:
    """Noise, the rows of others or nothing in place of the features of a share of the items."""
    values = data.features[modality].copy()
    chosen = rng.permutation(len(values))[: round(share * len(values))]
    if kind == "noise":
        mean, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        values[chosen] = rng.normal(mean, spread, (len(chosen), values.shape[1]))
    elif kind == "shuffled":
        values[chosen] = values[rng.permutation(chosen)]
    else:
        values[chosen] = np.nan
    return Bunch(**{**data, "features": {**data.features, modality: values}})


def without_items(data: Bunch, share: float, rng: np.random.Generator) -> tuple[Bunch, np.ndarray]:
    """Training and validation without a share of the items; their interactions as ``cold``.

    Of sequences these are the ones of the test part, after all that came earlier but for items
    held out as well; of other data those of all parts.
    """
    n_items = data.test.shape[1]
    cold = np.sort(rng.permutation(n_items)[: round(share * n_items)])
    is_cold = np.zeros(n_items, dtype=bool)
    is_cold[cold] = True
    if isinstance(data.train, Interactions):
        kept = _keeping(data, ~is_cold[data.train.item])
        kept.history["test"] = [items[~is_cold[items]] for items in kept.history["test"]]
        of_cold = data.test
    else:
        kept = _keeping(data, ~is_cold[data.train.indices])
        of_cold = data.train + data.valid + data.test
    warm = sp.diags_array((~is_cold).astype(np.float32))
    kept.valid = sp.csr_matrix(data.valid @ warm)
    kept.valid.eliminate_zeros()
    kept.cold = sp.csr_matrix(of_cold @ sp.diags_array(is_cold.astype(np.float32)))
    kept.cold.eliminate_zeros()
    return kept, cold


def _keeping(data: Bunch, mask: np.ndarray) -> Bunch:
    """Some of the training interactions, and the histories that are left by them."""
    if not isinstance(data.train, Interactions):
        coo = data.train.tocoo()
        kept = (coo.data[mask], (coo.row[mask], coo.col[mask]))
        return Bunch(**{**data, "train": sp.csr_matrix(kept, shape=coo.shape)})
    train = data.train[mask]
    before = train.sequences()
    # Validation is one item of everybody, or none.
    validated = np.split(data.valid.indices, data.valid.indptr[1:-1])
    after = [np.concatenate(pair) for pair in zip(before, validated, strict=True)]
    return Bunch(**{**data, "train": train, "history": {"valid": before, "test": after}})


class _Fixed:
    """Users and items as given vectors, with what a user has seen before the test part masked.

    Equal scores are in random order: in that of the ids they would tell who came first into the
    data, which often is who is popular.
    """

    def __init__(self, data: Bunch, items: np.ndarray, rng: np.random.Generator) -> None:
        if isinstance(data.train, Interactions):
            history = data.history["test"]
            user = np.repeat(np.arange(len(history)), [len(part) for part in history])
            item = np.concatenate(history)
            seen = sp.csr_matrix((np.ones(len(item), np.float32), (user, item)), data.test.shape)
        else:
            seen = data.train
        self.seen = seen
        chance = rng.random((len(items), 1), dtype=np.float32)
        self.items = np.hstack([items, chance], dtype=np.float32)

    def _users(self, user_ids: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def recommend(self, user_ids: np.ndarray, k: int, **options: Any) -> Any:
        exclude = self.seen[user_ids] if options.pop("exclude_seen") else None
        users = self._users(user_ids)
        chance = np.full((len(users), 1), 1e-6, dtype=np.float32)
        users = np.hstack([users, chance], dtype=np.float32)
        return top_k(users, self.items, k, exclude=exclude, **options)


class ContentKNN(_Fixed):
    """Items most like those that a user has seen, by the cosine of all modalities together."""

    def __init__(self, data: Bunch, rng: np.random.Generator) -> None:
        prepared = [
            fill_and_standardize(values, standardize=True) for values in data.features.values()
        ]
        parts = [unit_rows(values) * present[:, None] for values, present in prepared]
        super().__init__(data, np.hstack(parts), rng)

    def _users(self, user_ids: np.ndarray) -> np.ndarray:
        return np.asarray(self.seen[user_ids] @ self.items[:, :-1])


class Popularity(_Fixed):
    """Items with the most interactions. Among new ones it has nothing to go by but chance."""

    def __init__(self, data: Bunch, rng: np.random.Generator) -> None:
        train = data.train.to_csr() if isinstance(data.train, Interactions) else data.train
        count = np.asarray(train.sum(axis=0)).reshape(-1, 1)
        super().__init__(data, count / count.max(), rng)

    def _users(self, user_ids: np.ndarray) -> np.ndarray:
        return np.ones((len(user_ids), 1))
