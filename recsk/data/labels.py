"""Labels of users and items: compare those of later data with those of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.data.interactions import Interactions

__all__ = ["Labels", "check_one_row_per_user", "check_same_labels", "get_labels"]

Labels = Mapping[str, npt.NDArray[Any]]  # the label of each id, under "user" and "item"


def get_labels(interactions: Interactions) -> Labels:
    """Return the labels under "user" and "item"; a key is absent where there are none."""
    labels = {"user": interactions.user_labels, "item": interactions.item_labels}
    return {kind: known for kind, known in labels.items() if known is not None}


def check_same_labels(
    X: Interactions, train_labels: Labels, name: str, kinds: Sequence[str] = ("user", "item")
) -> None:
    """Raise an error if an id has another label than in training.

    Parameters
    ----------
    X : Interactions
    train_labels : dict of str to ndarray
        Labels of the training data, under "user" and "item"; absent keys are not compared.
    name : str
        Name of `X` in error messages.
    kinds : sequence of {"user", "item"}, default=("user", "item")
        Which labels to compare.

    Raises
    ------
    ValueError
        If the label of a user or an item in `X` differs. Nothing is compared where `X` or the
        training data have no labels.
    """
    labels_of_X = get_labels(X)
    for kind in kinds:
        labels, expected = labels_of_X.get(kind), train_labels.get(kind)
        if labels is None or expected is None or labels is expected:
            continue
        ids = np.unique(getattr(X, kind))
        same = ids < len(expected)
        same[same] = np.asarray(labels[ids[same]] == expected[ids[same]], dtype=bool)
        if not same.all():
            first = int(ids[np.argmin(same)])
            had = f"the label {expected[first]!r}" if first < len(expected) else "no such id"
            raise ValueError(
                f"{name} has the label {labels[first]!r} for {kind} {first}, but the training data "
                f"have {had}: make {name} with Interactions.from_frame(..., {kind}_labels="
                f"train.{kind}_labels)"
            )


def check_one_row_per_user(n_rows: int, n_users: int, name: str) -> None:
    """Raise an error if a held-out matrix has fewer rows than there are users in training.

    Parameters
    ----------
    n_rows, n_users : int
        Rows of the matrix, and users in training.
    name : str
        Name of the matrix in error messages.

    Raises
    ------
    ValueError
        If there are fewer rows than users.
    """
    if n_rows < n_users:
        raise ValueError(
            f"{name} has {n_rows} users (rows), but the model was fitted with {n_users}: row i "
            "must hold user i of the training data. scikit-learn splits a matrix by its rows, "
            "which are users; pass Interactions.from_csr(X) and a splitter of "
            "recsk.model_selection"
        )
