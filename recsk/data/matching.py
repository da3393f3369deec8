"""Later data in the space of a fit: users and items are matched by their labels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from recsk.data.interactions import Interactions
from recsk.data.labels import Labels

__all__ = [
    "FitLabels",
    "check_same_terms",
    "get_labels",
    "labels_of_fit",
    "match_held_out",
    "match_histories",
]

FitLabels = Mapping[str, Labels]  # under "user" and "item"; absent where the fit had ids


def get_labels(interactions: Interactions) -> dict[str, Labels]:
    """Return the labels of interactions under "user" and "item", where there are any."""
    labels = {"user": interactions._user_labels, "item": interactions._item_labels}
    return {kind: known for kind, known in labels.items() if known is not None}


def labels_of_fit(est: Any) -> FitLabels:
    """Return the labels that a fitted recommender speaks."""
    if hasattr(est, "_labels"):
        return est._labels
    found = {kind: getattr(est, f"{kind}s_", None) for kind in ("user", "item")}
    return {kind: Labels(labels) for kind, labels in found.items() if labels is not None}


def match_held_out(X: Interactions, fit: FitLabels, name: str, stacklevel: int = 3) -> Interactions:
    """Return held-out interactions with the ids of the fit, however they were encoded.

    Interactions of users that the fit does not know are left out. Items that it does not know get
    ids beyond those of the fit, so that they count as held-out items that are never found. Both
    are warned of with their number.
    """
    own = get_labels(X)
    for kind in ("user", "item"):
        check_same_terms(own, fit, kind, name)
    user, item, n_users, n_items = X.user, X.item, X.n_users, X.n_items
    labels = {kind: own.get(kind) for kind in ("user", "item")}
    kept = np.ones(len(X), dtype=bool)
    if _differ(own, fit, "user"):
        user = fit["user"].find(own["user"].values)[X.user]
        kept, n_users, labels["user"] = user >= 0, len(fit["user"]), fit["user"]
        if not kept.all():
            n_unknown = len(np.unique(X.user[~kept]))
            warnings.warn(
                f"{name} has {n_unknown} users that were not in the fit; their {(~kept).sum()} "
                "interactions are left out. A splitter of recsk.model_selection leaves every user "
                "some interactions in training",
                stacklevel=stacklevel,
            )
    if _differ(own, fit, "item"):
        codes = fit["item"].find(own["item"].values)
        n_items, labels["item"] = len(fit["item"]), fit["item"]
        unknown = np.unique(X.item[kept & (codes[X.item] < 0)])
        codes[unknown] = n_items + np.arange(len(unknown))
        item = codes[X.item]
        if len(unknown):
            warnings.warn(
                f"{name} has {len(unknown)} items that were not in the fit and count as never "
                f"found: {(item[kept] >= n_items).sum()} of its {kept.sum()} interactions",
                stacklevel=stacklevel,
            )
            n_items += len(unknown)
            labels["item"] = None
    if user is X.user and item is X.item:
        return X
    columns = {c: getattr(X, c) for c in ("timestamp", "value") if getattr(X, c) is not None}
    matched = Interactions(
        user[kept],
        item[kept],
        n_users=n_users,
        n_items=n_items,
        **{column: values[kept] for column, values in columns.items()},
    )
    return matched.with_labels(labels["user"], labels["item"])


def match_histories(X: Interactions, fit: FitLabels, name: str) -> Interactions:
    """Return histories of new users with the item ids of the fit.

    Raises
    ------
    KeyError
        If a history has an item that the fit does not know; the first one is named.
    """
    own = get_labels(X)
    check_same_terms(own, fit, "item", name)
    if not _differ(own, fit, "item"):
        return X
    codes = fit["item"].find(own["item"].values)
    used = np.unique(X.item)
    if (codes[used] < 0).any():
        fit["item"].encode(own["item"].decode(used[codes[used] < 0][:1]), name)
    columns = {c: getattr(X, c) for c in ("timestamp", "value") if getattr(X, c) is not None}
    n_items = len(fit["item"])
    matched = Interactions(X.user, codes[X.item], n_users=X.n_users, n_items=n_items, **columns)
    return matched.with_labels(own.get("user"), fit["item"])


def check_same_terms(own: FitLabels, fit: FitLabels, kind: str, name: str) -> None:
    """Raise an error if one side has labels and the other ids: nothing shows which is which."""
    if (kind in own) == (kind in fit):
        return
    if kind in own:
        raise ValueError(
            f"{name} has labels of {kind}s, but the model was fitted on ids: fit on Interactions "
            f"with labels, or pass {name}.without_labels() if its ids are those of the fit"
        )
    raise ValueError(
        f"{name} has ids of {kind}s, but the model was fitted on labels: make {name} with "
        f"Interactions.from_frame, or pass {name}.with_labels({kind}_labels=model.{kind}s_) if its "
        "ids are positions there"
    )


def _differ(own: FitLabels, fit: FitLabels, kind: str) -> bool:
    """Whether ids have to be translated: both sides have labels, and not the same."""
    if kind not in own or kind not in fit or own[kind] is fit[kind]:
        return False
    ours, theirs = own[kind].values, fit[kind].values
    return ours.dtype.kind != theirs.dtype.kind or not np.array_equal(ours, theirs)
