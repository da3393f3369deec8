"""The base class of splitters, and the rank of each interaction within its user."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNUSED

from recsk.data.forms import check_form
from recsk.data.interactions import Interactions
from recsk.data.repeats import find_pairs, name_deduplicate

__all__ = ["InteractionSplitter", "leave_out_seen", "rank_within_user"]

Indices = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]


class InteractionSplitter(BaseEstimator):
    """Base class of splitters: checks `X` and turns masks into indices.

    A subclass provides `_iter_masks`.
    """

    # As in scikit-learn's own splitters: otherwise metadata routing would offer to route `groups`.
    __metadata_request__split = {"groups": UNUSED}

    n_splits: int
    # Whether a test set may hold pairs of a user and an item that are in training.
    repeats: bool = True
    # Code that converts a matrix X for this splitter, for error messages.
    _matrix_conversion = "Interactions.from_csr(X)"

    def split(
        self, X: Interactions, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[Indices, Indices]]:
        """Yield the training and test indices of each split.

        Parameters
        ----------
        X : Interactions
            The interactions to split.
        y, groups : object
            Ignored, exist for API compatibility.

        Yields
        ------
        train, test : ndarray of int
            Positions in `X`, ascending. Every user with a test interaction also has a training
            interaction.

        Raises
        ------
        TypeError
            If `X` is not `Interactions`.
        ValueError
            If a parameter is out of range, the splitter needs timestamps and `X` has none, or the
            test set would be empty.
        """
        self._validate_params()
        if not isinstance(X, Interactions):
            check_form(X, "X")
            raise TypeError(
                f"{type(self).__name__} splits interactions, not users: pass "
                f"{self._matrix_conversion} in place of X; got {type(X).__name__}"
            )
        return self._split(X)

    def _split(self, X: Interactions) -> Iterator[tuple[Indices, Indices]]:
        for train, test in self._iter_masks(X):
            # A model cannot recommend to users without training interactions.
            in_training = np.bincount(X.user[train], minlength=X.n_users) > 0
            test = test & in_training[X.user]
            if not test.any():
                raise ValueError(
                    f"{self} leaves nothing to test in X={X}: a user with a held-out interaction "
                    f"needs at least one other interaction for training{self._hint(X)}"
                )
            yield np.flatnonzero(train), np.flatnonzero(test)

    def _hint(self, X: Interactions) -> str:
        """Return what to do if repeats are the reason for an empty test set."""
        n_repeats = 0 if self.repeats else len(X) - len(find_pairs(X)[0])
        if not n_repeats:
            return ""
        return (
            f" with another item. {n_repeats} of the {len(X)} interactions repeat the user and "
            f"item of another one: {name_deduplicate(X.value)} keeps one of them, and repeats=True "
            "tests repeats"
        )

    @abstractmethod
    def _iter_masks(self, X: Interactions) -> Iterator[tuple[Bools, Bools]]:
        """Yield boolean masks of the training and the test interactions of each split."""

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits.

        Parameters
        ----------
        X, y, groups : object
            Ignored, exist for API compatibility.

        Returns
        -------
        n_splits : int
            Number of pairs that :meth:`split` yields.
        """
        return self.n_splits

    def _get_timestamps(self, X: Interactions) -> npt.NDArray[Any]:
        """Return the timestamps of `X`, or raise a ValueError if it has none."""
        if X.timestamp is None:
            raise ValueError(
                f"{type(self).__name__} needs timestamps: pass Interactions(..., timestamp=...) "
                f"or {self._matrix_conversion}"
            )
        return X.timestamp


def leave_out_seen(
    X: Interactions, masks: Iterator[tuple[Bools, Bools]]
) -> Iterator[tuple[Bools, Bools]]:
    """Leave out of each test set the pairs of a user and an item that are in its training set."""
    first, pair = find_pairs(X)
    for train, test in masks:
        seen = np.zeros(len(first), dtype=bool)
        seen[pair[train]] = True
        yield train, test & ~seen[pair]


def rank_within_user(X: Interactions, order: Indices) -> npt.NDArray[np.int64]:
    """Count for each interaction those of the same user that come before it in `order`."""
    user = X.user[order]
    # A stable sort by user avoids a loop over users. NumPy sorts types of 16 bits by radix, which
    # is fast, so the narrowest type is used.
    grouped = order[np.argsort(user.astype(np.min_scalar_type(X.n_users)), kind="stable")]
    counts = np.bincount(X.user, minlength=X.n_users)
    starts = np.cumsum(counts) - counts
    rank = np.empty(len(X), dtype=np.int64)
    rank[grouped] = np.arange(len(X)) - np.repeat(starts, counts)
    return rank
