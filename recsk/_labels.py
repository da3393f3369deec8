"""Whom the rows, and what the ids, of users and items stand for, in training and later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.interactions import Interactions

__all__ = ["Labels", "labels_of", "refuse_other_labels", "refuse_rows_of_others"]

Labels = Mapping[str, npt.NDArray[Any]]


def labels_of(interactions: Interactions) -> Labels:
    """Give what the ids of users and of items stand for, where that is known."""
    labels = {"user": interactions.user_labels, "item": interactions.item_labels}
    return {side: known for side, known in labels.items() if known is not None}


def refuse_other_labels(
    X: Interactions, known: Labels, name: str, sides: Sequence[str] = ("user", "item")
) -> None:
    """Refuse ids that stand for others than they did in training.

    Parameters
    ----------
    X : Interactions
    known : dict of str to ndarray
        Of training, by side; what is not in it is not known.
    name : str
        What error messages call `X`.
    sides : sequence of {"user", "item"}, default=("user", "item")
        What to look at.

    Raises
    ------
    ValueError
        If the labels of a user or an item in `X` differ; where one of them has none, nothing is
        compared.
    """
    own = labels_of(X)
    for side in sides:
        labels, before = own.get(side), known.get(side)
        if labels is None or before is None or labels is before:
            continue
        ids = np.unique(getattr(X, side))
        same = ids < len(before)
        same[same] = np.asarray(labels[ids[same]] == before[ids[same]], dtype=bool)
        if not same.all():
            first = int(ids[np.argmin(same)])
            meant = repr(before[first]) if first < len(before) else "nobody"
            raise ValueError(
                f"{name} has {side} {first} for {labels[first]!r}, and in training that was "
                f"{meant}: make it by Interactions.from_frame(..., {side}_labels="
                f"train.{side}_labels)"
            )


def refuse_rows_of_others(n_rows: int, n_users: int, name: str) -> None:
    """Refuse a held-out matrix whose rows cannot be the users of training, one each.

    Parameters
    ----------
    n_rows, n_users : int
        Of the matrix, and in training.
    name : str
        What error messages call the matrix.

    Raises
    ------
    ValueError
        If there are fewer rows.
    """
    if n_rows < n_users:
        raise ValueError(
            f"{name} has {n_rows} users (rows), but the model was fitted with {n_users}: row i "
            "must be of user i of the training. scikit-learn splits a matrix by its rows, which "
            "are users; pass Interactions.from_csr(X) and a splitter of recsk.model_selection"
        )
