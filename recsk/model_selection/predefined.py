"""Splits given by one label per interaction."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.data.interactions import Interactions
from recsk.data.repeats import find_pairs, name_deduplicate
from recsk.model_selection.splitter import Bools, InteractionSplitter

__all__ = ["PredefinedInteractionSplit"]


class PredefinedInteractionSplit(InteractionSplitter):
    """Split by one label per interaction, like scikit-learn's ``PredefinedSplit``.

    Parameters
    ----------
    labels : array-like of int, shape (n_interactions,)
        There is one split for each different label of 0 or more, in ascending order. The
        interactions with that label are its test set, and all others its training set.
        Interactions with the label -1 are in every training set and in no test set.

    Notes
    -----
    To choose parameters on a given validation set, pass only the training and validation
    interactions. With the parts 0 (train), 1 (validation) and 2 (test) these are ``part < 2``,
    and their labels are ``part - 1``. The labels 0, 1, 2 would make three folds, two of which
    train on the test set.

    A test set leaves out the interactions of users who have none in its training set. It keeps
    interactions whose user and item are in its training set too: :meth:`split` warns of them, with
    their number. See :doc:`/guide/splitting`.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk import Interactions
    >>> from recsk.model_selection import PredefinedInteractionSplit
    >>> X = Interactions([0, 0, 0, 1, 1], [0, 1, 2, 0, 2])
    >>> part = np.array([0, 1, 2, 0, 1])
    >>> cv = PredefinedInteractionSplit(part[part < 2] - 1)
    >>> next(cv.split(X[part < 2]))
    (array([0, 2]), array([1, 3]))
    """

    _parameter_constraints = {"labels": ["array-like"]}

    def __init__(self, labels: npt.ArrayLike) -> None:
        self.labels = labels

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of different labels of 0 or more.

        Parameters
        ----------
        X, y, groups : object
            Ignored, exist for API compatibility.

        Returns
        -------
        n_splits : int
            Number of pairs that :meth:`split` yields.
        """
        return len(self._check_labels()[1])

    def _check_labels(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return the labels as an array, and the different labels of 0 or more."""
        try:
            labels = np.asarray(self.labels)
        except ValueError as error:
            raise ValueError("labels must be 1-D; got sequences of different lengths") from error
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise ValueError(
                f"labels must be 1-D and hold integers; got {labels.ndim} axes of {labels.dtype}"
            )
        folds = np.unique(labels)
        if folds.size and folds[0] < -1:
            raise ValueError(f"labels must be -1 or more; got {folds[0]}")
        folds = folds[folds >= 0]
        if not folds.size:
            raise ValueError("labels have no test set: all of them are -1")
        return labels, folds

    def _iter_masks(self, X: Interactions) -> Iterator[tuple[Bools, Bools]]:
        labels, folds = self._check_labels()
        if len(labels) != len(X):
            raise ValueError(
                f"labels must have one entry for each interaction; got {len(labels)} labels and "
                f"{len(X)} interactions"
            )
        _warn_of_repeats(X, labels)
        for fold in folds:
            yield labels != fold, labels == fold


def _warn_of_repeats(X: Interactions, labels: npt.NDArray[Any]) -> None:
    """Warn if interactions of one user with one item have different labels."""
    first, pair = find_pairs(X)
    parted = np.zeros(len(first), dtype=bool)
    parted[pair[labels != labels[first][pair]]] = True
    n_parted = int((parted[pair] & (labels >= 0)).sum())
    if n_parted:
        warnings.warn(
            f"{n_parted} of the {(labels >= 0).sum()} interactions to test have a user and an item "
            "that are in training too. Lists without seen items can never hold them: give all "
            "interactions of a user with an item the same label, or split "
            f"{name_deduplicate(X.value)}. To test repeats, use exclude_seen=False "
            "(MDSRecRecommender: repeats=True)",
            stacklevel=4,
        )
