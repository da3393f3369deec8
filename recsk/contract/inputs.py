"""What users pass to a recommender, checked and brought into one form."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import validate_data

from recsk.contract.fitted import FittedState
from recsk.data.checks import describe
from recsk.data.forms import check_form, column_names
from recsk.data.interactions import Interactions
from recsk.data.matching import get_labels, match_held_out, match_histories
from recsk.data.matrices import check_one_row_per_user, interaction_matrix
from recsk.data.names import check_names, check_no_mask
from recsk.data.sequences import check_ordered
from recsk.ranking.allowed import ItemMask, check_sets, is_for_each

__all__ = ["InputChecks", "check_some", "string_columns", "without_zeros"]

# Formats and types that scikit-learn's checks pass on unchanged. Other formats have no duplicates,
# and other types are widened to float64 first, so that no sum of duplicates overflows.
_FORMATS = ["csr", "csc", "coo", "bsr", "dia"]
_DTYPES = [np.float64, np.float32, np.int64, np.int32]
# A dense table with so many rows and so few columns is rather a log than a matrix.
_MANY_ROWS, _FEW_COLUMNS = 1000, 6


class InputChecks(FittedState):
    """Checks of interactions, histories and ids against the users and items of the fit."""

    # Whether the order of the interactions matters: timestamps, or the values of a matrix.
    ordered: ClassVar[bool] = False

    def _check_interactions(self, X: Any, *, reset: bool, name: str = "X") -> Interactions:
        """Return `X` as interactions; with `reset` it sets the space of users and items."""
        if reset:
            self._forget()
            self._set_labels(get_labels(X) if isinstance(X, Interactions) else {})
        if isinstance(X, Interactions):
            if reset:
                self.n_features_in_ = X.n_items
                # Column names of an earlier fit on a data frame must not stay.
                self.__dict__.pop("feature_names_in_", None)
            interactions = without_zeros(X, name)
        else:
            interactions = self._from_matrix(self._read_matrix(X, reset, name), name)
        if not reset:
            interactions = self._match_space(interactions, isinstance(X, Interactions), name)
        return check_some(interactions, name)

    def _read_matrix(self, X: Any, reset: bool, name: str) -> Any:
        """Return a matrix or table of numbers as a sparse matrix, by scikit-learn's checks."""
        check_form(X, name)
        # `canonical_csr` refuses what is not finite.
        checks: dict[str, Any] = {
            "accept_sparse": _FORMATS,
            "dtype": _DTYPES,
            "ensure_all_finite": False,
        }
        try:
            if name == "X":
                est = self if reset else self._with_names_of(X)
                matrix = validate_data(est, X, reset=reset, **checks)
            else:  # scikit-learn's message about columns would name X
                matrix = check_array(X, input_name=name, **checks)
                self._check_names_of(X, name)
        except (TypeError, ValueError) as error:
            if re.search(rf"\b{name}\b", str(error)):
                raise
            raise type(error)(f"{name}: {error}") from error
        if sp.issparse(matrix):
            return matrix
        if reset and len(matrix) >= _MANY_ROWS and matrix.shape[1] < _FEW_COLUMNS:
            warnings.warn(
                f"{name} is read as a matrix of {matrix.shape[0]} users x {matrix.shape[1]} items. "
                "If its rows are interactions, pass Interactions.from_frame(frame, user=..., "
                "item=...)",
                stacklevel=6,
            )
        return sp.csr_array(matrix)

    def _with_names_of(self, X: Any) -> Self:
        """Return this model, or a copy with the names that `X` gives to columns without a name."""
        names, given = self._known_names(), string_columns(X)
        n_later = 0 if names is None else self.n_features_in_ - len(names)
        if names is None or given is None or n_later <= 0:
            return self
        named, known = self._as_copy(), set(names)
        ordered = given[len(names) :] + given[: len(names)]  # the last ones have no names yet
        later = [name for name in ordered if name not in known][:n_later]
        named.feature_names_in_ = np.array([*names, *later], dtype=object)
        return named

    def _known_names(self) -> npt.NDArray[Any] | None:
        """Return the names of the first columns, or of all, as far as they are known."""
        return getattr(self, "feature_names_in_", self._first_names)

    def _check_names_of(self, X: Any, name: str) -> None:
        """Raise a ValueError if a table of held-out data has the columns of X in another order."""
        names, given = self._known_names(), string_columns(X)
        if names is None or given is None or len(given) != self.n_features_in_:
            return
        for position, (expected, found) in enumerate(zip(names, given, strict=False)):
            if expected != found:
                raise ValueError(
                    f"{name} must have the columns of X in their order; column {position} is "
                    f"{found!r}, and {expected!r} in X: pass {name}[X.columns]"
                )

    def _match_space(self, interactions: Interactions, labelled: bool, name: str) -> Interactions:
        """Return later interactions in the space of the fit; `labelled` ones by their labels."""
        matched = interactions
        if labelled:
            matched = match_held_out(interactions, self._labels, name, stacklevel=5)
        by_label = labelled and "item" in self._labels
        if interactions.n_items != self.n_features_in_ and not by_label:
            raise ValueError(
                f"{name} has {interactions.n_items} items (columns), but {type(self).__name__} was "
                f"fitted with {self.n_features_in_}; {name} is n_users x n_items"
            )
        if matched.n_users > self.n_users_:
            raise ValueError(
                f"{name} has {interactions.n_users} users (rows), but {type(self).__name__} was "
                f"fitted with {self.n_users_}; {name} is n_users x n_items"
            )
        if not labelled and name == "X":
            check_one_row_per_user(matched.n_users, self.n_users_, name)
        return matched

    def _from_matrix(self, matrix: Any, name: str) -> Interactions:
        """Read a sparse matrix; ordered models read its values as the order."""
        binary = interaction_matrix(matrix, name)
        if not self.ordered:
            return Interactions.from_csr(binary, values_as=None)
        try:
            return Interactions.from_csr(matrix, values_as="timestamp")
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    def _check_users(self, user_ids: Any) -> tuple[np.ndarray, bool]:
        if user_ids is None:
            return np.arange(self.n_users_), False
        labels = self._labels.get("user")
        users = check_names(user_ids, "user_ids", labels, self.n_users_, "users", (0, 1))
        return users.reshape(-1), users.ndim == 0

    def _check_items(
        self,
        items: Any,
        name: str,
        dimensions: tuple[int, ...] = (1,),
    ) -> np.ndarray:
        labels = self._labels.get("item")
        return check_names(items, name, labels, self.n_features_in_, "items", dimensions)

    def _check_item_list(self, items: Any, name: str) -> Any:
        """Return items for all rows as a mask. None and sets of each row come back as they are."""
        if items is None or is_for_each(items):
            return items
        check_no_mask(items, name, self._labels.get("item"), "items", of_rows=True)
        if "item" in self._labels:
            items = self._check_items(items, name)
        return ItemMask.read(items, name, self.n_features_in_)

    def _check_item_sets(self, items: Any, name: str, n: int) -> Any:
        """Return sets of items of n rows as they are ranked. A mask for all comes back as it is."""
        return self._check_sets(items, name, n, "item") if is_for_each(items) else items

    def _check_user_sets(self, users: Any, name: str, n: int) -> Any:
        """Return users for all of n rows as ids, or the users of each row as they are ranked."""
        if users is None:
            return None
        if is_for_each(users):
            return self._check_sets(users, name, n, "user")
        labels = self._labels.get("user")
        return check_names(users, name, labels, self.n_users_, "users", (1,))

    def _check_sets(self, given: Any, name: str, n: int, kind: str) -> Any:
        """Return one set of items or users for each of n rows; lists may hold labels."""
        size = self.n_features_in_ if kind == "item" else self.n_users_
        if isinstance(given, list) and (labels := self._labels.get(kind)) is not None:
            given = [
                check_names(x, f"{name}[{row}]", labels, size, f"{kind}s", (1,))
                for row, x in enumerate(given)
            ]
        return check_sets(given, name, (n, size), kind)

    def _check_histories(self, user_items: Any) -> tuple[npt.NDArray[Any], Interactions]:
        """Return the names of new users, and their histories with the items of the fit."""
        if isinstance(user_items, Mapping) and not sp.issparse(user_items):  # DOK is a dict
            names = np.empty(len(user_items), dtype=object)
            for row, name in enumerate(user_items):  # or NumPy would take tuples apart
                names[row] = name
            return names, self._read_histories(list(user_items.values()), names)
        histories = self._read_histories(user_items)
        labels = getattr(user_items, "user_labels", None)
        return np.arange(histories.n_users) if labels is None else labels, histories

    def _read_histories(self, user_items: Any, names: Any = None) -> Interactions:
        """Return histories as interactions; `names` are what error messages call the rows."""
        histories = self._match_histories(user_items, names)
        if not self.ordered:
            return histories
        # One history may be a single basket: interactions at one time keep the order of the input.
        matrix = not isinstance(user_items, Interactions)
        return check_ordered(histories, "user_items", ties=not matrix, matrix=matrix)

    def _match_histories(self, user_items: Any, names: Any) -> Interactions:
        n_items = self.n_features_in_
        if isinstance(user_items, Interactions) or sp.issparse(user_items):
            if len(user_items.shape) != 2:
                raise ValueError(
                    "user_items must have 2 axes, n x n_items, also for one user, such as X[[0]]; "
                    f"got {describe(user_items)}"
                )
            labelled = isinstance(user_items, Interactions) and user_items.item_labels is not None
            if user_items.shape[1] != n_items and not (labelled and "item" in self._labels):
                raise ValueError(
                    f"user_items has {user_items.shape[1]} items (columns), but "
                    f"{type(self).__name__} was fitted with {n_items}"
                )
            if isinstance(user_items, Interactions):
                nonzero = without_zeros(user_items, "user_items")
                return match_histories(nonzero, self._labels, "user_items")
            return self._from_matrix(user_items, "user_items")
        check_form(user_items, "user_items", histories=True)
        if not isinstance(user_items, list | tuple) or any(
            not isinstance(history, Sequence | np.ndarray) or isinstance(history, str)
            for history in user_items
        ):
            raise TypeError(
                "user_items must be a sparse matrix of shape (n, n_items), Interactions, a list "
                "with one list of items per user, such as [[3, 17]], or a mapping of label to such "
                f"a list; got {describe(user_items)}"
            )
        histories = [
            self._check_items(history, f"user_items[{row if names is None else names[row]!r}]")
            for row, history in enumerate(user_items)
        ]
        lengths = [len(history) for history in histories]
        flat = np.concatenate(histories) if histories else np.empty(0, dtype=np.int64)
        return Interactions(
            np.repeat(np.arange(len(histories)), lengths),
            flat,
            timestamp=np.arange(len(flat)),
            n_users=len(histories),
            n_items=n_items,
        )

    def __sklearn_tags__(self) -> Tags:
        """Declare that X may be sparse and must not be negative."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.target_tags.required = False
        return tags


def string_columns(X: Any) -> list[str] | None:
    """Return the names of the columns of a table if all are strings, else None."""
    names = [] if sp.issparse(X) else column_names(X)
    return names if names and all(isinstance(name, str) for name in names) else None


def without_zeros(interactions: Interactions, name: str) -> Interactions:
    """Remove interactions with value 0: they are none, as in a matrix."""
    value = interactions.value
    if value is None or value.min(initial=1) > 0:
        return interactions
    if (low := value.min()) < 0:
        raise ValueError(f"{name} holds {low:g}; values of interactions must not be negative")
    return interactions[value > 0]


def check_some(interactions: Interactions, name: str) -> Interactions:
    """Return interactions; raise a ValueError if there are none."""
    if not len(interactions):
        raise ValueError(
            f"{name} has no interactions: {interactions.n_users} users x {interactions.n_items} "
            "items and no entry that is not zero"
        )
    return interactions
