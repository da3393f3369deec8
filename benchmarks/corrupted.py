"""Data sets with less in them, or worse, and rules that find new items in no order of theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import models
import numpy as np
import scipy.sparse as sp
from sklearn.utils import Bunch

from recsk import Interactions

__all__ = [
    "KINDS",
    "corrupt",
    "fit_in_random_order",
    "only",
    "several",
    "thin",
    "without_features",
    "without_items",
]

KINDS = ("noise", "shuffled", "missing")


def only(modality: str, data: Bunch, rng: np.random.Generator) -> Bunch:
    """One modality alone."""
    return Bunch(**{**data, "features": {modality: data.features[modality]}})


def without_features(data: Bunch, rng: np.random.Generator) -> Bunch:
    """Interactions alone."""
    return Bunch(**{**data, "features": {}})


def several(
    changes: Sequence[Callable[[Bunch, np.random.Generator], Bunch]],
    data: Bunch,
    rng: np.random.Generator,
) -> Bunch:
    """One change after the other."""
    for change in changes:
        data = change(data, rng)
    return data


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


def fit_in_random_order(
    name: str, data: Bunch, seed: int, changes: dict[str, Any], rng: np.random.Generator
) -> Any:
    """A fitted rule whose equal scores are in random order.

    In the order of the ids they would show who came first into the data, which often is who is
    popular.
    """
    order = rng.permutation(data.test.shape[1])
    place = np.argsort(order)
    train = data.train
    if isinstance(train, Interactions):
        train = Interactions(
            train.user,
            place[train.item],
            timestamp=train.timestamp,
            n_users=train.n_users,
            n_items=train.n_items,
        )
    else:
        train = train[:, order]
    changed = {"train": train, "valid": data.valid[:, order]}
    changed["features"] = {m: values[order] for m, values in data.features.items()}
    if "history" in data:
        changed["history"] = {
            part: [place[items] for items in history] for part, history in data.history.items()
        }
    fitted = models.fit(name, Bunch(**{**data, **changed}), seed, changes)
    return _Renumbered(fitted, order, place)


class _Renumbered:
    """A model fitted on items in another order."""

    def __init__(self, fitted: Any, order: np.ndarray, place: np.ndarray) -> None:
        self.fitted, self.order, self.place = fitted, order, place

    def recommend(
        self, user_ids: np.ndarray, k: int, *, items: np.ndarray | None = None, **options: Any
    ) -> Any:
        if items is not None:
            options["items"] = self.place[items]
        ids, scores = self.fitted.recommend(user_ids, k=k, **options)
        return np.where(ids < 0, ids, self.order[ids]), scores
