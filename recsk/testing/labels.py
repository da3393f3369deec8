"""A model that speaks labels, behind methods that take and return ids."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import clone

from recsk.data.checks import check_ids
from recsk.data.interactions import Interactions
from recsk.metrics.evaluation import evaluate
from recsk.model_selection.scorer import make_ranking_scorer
from recsk.testing.expect import expect, short

__all__ = [
    "ITEM_LABELS",
    "InIds",
    "as_spoken",
    "evaluate_in_ids",
    "labels_given",
    "rewrap",
    "score_in_ids",
    "unwrap",
]

# Labels of ids of any number, so that two data sets agree on the labels that both have. An int is
# the position of another item; "u10" sorts before "u9".
ITEM_LABELS: dict[str, Callable[[int], Any]] = {
    "int": lambda i: i ^ 1,
    "tuple": lambda i: ("sku", str(i)) if i % 3 else f"sku {i}",
}


class InIds:
    """An estimator that learns labels and is asked in ids, so that the checks can be asked twice.

    Every `Interactions` gets labels on the way in, every id is passed on as a label, and every
    label of an answer is turned back into its id. Whatever else the estimator has is passed on.

    Parameters
    ----------
    estimator : BaseRecommender
    items : {"int", "tuple"}, default="int"
        Kind of the labels of items. Users have strings.
    """

    def __init__(self, estimator: Any, items: str = "int") -> None:
        self._estimator, self._items = estimator, items

    def __sklearn_clone__(self) -> InIds:
        """Return an unfitted copy."""
        return InIds(clone(self._estimator), self._items)

    def __repr__(self) -> str:
        return repr(self._estimator)

    def __getattr__(self, name: str) -> Any:
        """Return a method in ids, or what the estimator has; a method may be absent."""
        if name.startswith("__") or name == "_estimator":  # a pickle asks before there is one
            raise AttributeError(name)
        found = getattr(self._estimator, name)
        in_ids = getattr(type(self), f"_{name}_in_ids", None)
        return found if in_ids is None else functools.partial(in_ids, self, found)

    def set_params(self, **params: Any) -> InIds:
        """Set parameters of the estimator."""
        returned = self._estimator.set_params(**params)
        return self if returned is self._estimator else returned

    def fit(self, X: Any, y: Any = None, **options: Any) -> Any:
        """Fit on interactions with labels; whatever else `X` may be has none."""
        if _is_of_ids(X):
            X = self._with_labels(X)
            if _is_of_ids(options.get("eval_set")):
                options["eval_set"] = self._encoded_backwards(options["eval_set"])
        returned = self._estimator.fit(X, y, **options)
        return self if returned is self._estimator else returned

    def _partial_fit_in_ids(self, partial_fit: Any, X: Any, y: Any = None, **options: Any) -> Any:
        if self._own_labels("item") is not None or not hasattr(self._estimator, "n_users_"):
            X = self._with_labels(X) if _is_of_ids(X) else X
        returned = partial_fit(X, y, **options)
        return self if returned is self._estimator else returned

    def _recommend_in_ids(
        self, recommend: Any, user_ids: Any = None, k: Any = 10, **options: Any
    ) -> Any:
        if user_ids is not None:
            user_ids = self._to_labels(user_ids, "user", "user_ids", (0, 1))
        options = self._candidates(options, "item")
        if "user_items" in options:
            options["user_items"] = self._histories(options["user_items"])
        answer = recommend(user_ids, k, **options)
        return answer if options.get("as_frame") else self._to_ids(answer, "item", "recommend")

    def _rank_items_in_ids(self, rank_items: Any, user_ids: Any, items: Any) -> Any:
        user_ids = self._to_labels(user_ids, "user", "user_ids", (0, 1))
        answer = rank_items(user_ids, **self._candidates({"items": items}, "item"))
        return self._to_ids(answer, "item", "rank_items")

    def _similar_items_in_ids(
        self, similar_items: Any, item_ids: Any, k: Any = 10, **options: Any
    ) -> Any:
        item_ids = self._to_labels(item_ids, "item", "item_ids", (0, 1))
        answer = similar_items(item_ids, k, **self._candidates(options, "item"))
        return self._to_ids(answer, "item", "similar_items")

    def _similar_users_in_ids(
        self, similar_users: Any, user_ids: Any, k: Any = 10, **options: Any
    ) -> Any:
        user_ids = self._to_labels(user_ids, "user", "user_ids", (0, 1))
        answer = similar_users(user_ids, k, **self._candidates(options, "user"))
        return self._to_ids(answer, "user", "similar_users")

    def _recommend_users_in_ids(
        self, recommend_users: Any, items: Any, k: Any = 10, **options: Any
    ) -> Any:
        items = self._to_labels(items, "item", "items", (0, 1))
        answer = recommend_users(items, k, **self._candidates(options, "user"))
        return self._to_ids(answer, "user", "recommend_users")

    def _score_pairs_in_ids(
        self, score_pairs: Any, user_ids: Any, items: Any, *, user_items: Any = None
    ) -> Any:
        if user_ids is not None:
            user_ids = self._to_labels(user_ids, "user", "user_ids", (0, 1))
        items = self._to_labels(items, "item", "items", (0, 1))
        return score_pairs(user_ids, items, user_items=self._histories(user_items))

    def _explain_in_ids(
        self, explain: Any, user_ids: Any, items: Any, *, user_items: Any = None, **options: Any
    ) -> Any:
        if user_ids is not None:
            user_ids = self._to_labels(user_ids, "user", "user_ids", (0, 1))
        if np.ndim(items) == 2 and self._own_labels("item") is not None:
            named = _objects([*(self._own_labels("item") or ()), None])
            items = named[np.asarray(items)]  # -1 is the last one
        else:
            items = self._to_labels(items, "item", "items", (0, 1))
        why = explain(user_ids, items, user_items=self._histories(user_items), **options)

        def in_ids(named: Any) -> Any:
            return self._to_ids((named, None), "item", "explain")[0]

        histories = [in_ids(history) for history in why.history]
        return replace(why, items=in_ids(why.items), history=histories)

    def _candidates(self, options: dict[str, Any], kind: str) -> dict[str, Any]:
        """Return lists of candidates as labels; matrices and masks stay as they are."""
        options = dict(options)
        for name in (f"{kind}s", f"filter_{kind}s"):
            given = options.get(name)
            if given is not None and np.ndim(given) < 2 and not sparse.issparse(given):
                options[name] = self._to_labels(given, kind, name)
        return options

    def _user_vectors_in_ids(
        self, user_vectors: Any, user_ids: Any = None, *, user_items: Any = None
    ) -> Any:
        if user_ids is not None:
            user_ids = self._to_labels(user_ids, "user", "user_ids", (0, 1))
        return user_vectors(user_ids, user_items=self._histories(user_items))

    def _history_weights_in_ids(
        self, history_weights: Any, user_ids: Any = None, *, user_items: Any = None
    ) -> Any:
        return self._user_vectors_in_ids(history_weights, user_ids, user_items=user_items)

    def _user_modality_weights_in_ids(self, weights: Any, user_items: Any) -> Any:
        return weights(self._histories(user_items))

    def _score_in_ids(self, score: Any, X: Any, *args: Any, **options: Any) -> Any:
        return score(self._held_out(X), *args, **options)

    def _to_ann_in_ids(self, to_ann: Any, *args: Any, **options: Any) -> Any:
        index = to_ann(*args, **options)
        query = index.query

        def query_in_ids(*args: Any, **options: Any) -> Any:
            return self._to_ids(query(*args, **options), "item", "query of to_ann")

        index.query = query_in_ids
        return index

    def _own_labels(self, kind: str) -> list[Any] | None:
        """Return the labels that `fit` above gave, or None: a check may bring its own, or none."""
        known = getattr(self._estimator, f"{kind}s_", None)
        if known is None:
            return None
        labels = _labels("user" if kind == "user" else self._items, len(known))
        return labels if known.tolist() == labels else None

    def _to_labels(self, ids: Any, kind: str, name: str, dimensions: tuple[int, ...] = (1,)) -> Any:
        labels = self._own_labels(kind)
        if labels is None:
            return ids
        positions = check_ids(ids, name, len(labels), f"{kind}s", dimensions)
        if positions.ndim == 0:
            return labels[int(positions)]
        found = [labels[i] for i in positions]
        if isinstance(ids, list):
            return found
        return tuple(found) if isinstance(ids, tuple) else _objects(found)

    def _to_ids(self, answer: Any, kind: str, method: str) -> Any:
        labels = self._own_labels(kind)
        if labels is None:
            return answer
        named, scores = answer
        expect(
            isinstance(named, np.ndarray) and named.dtype.kind == "O",
            f"{method} of a model that was fitted on labels must return labels, as an array of "
            f"dtype object with None as padding; got {short(named)}",
        )
        ids = {label: i for i, label in enumerate(labels)} | {None: -1}
        flat = named.ravel().tolist()
        for label in flat:
            expect(
                label in ids,
                f"{method} returned {label!r}, which is no label of the {kind}s of the fit",
            )
        return np.array([ids[x] for x in flat], dtype=np.int64).reshape(named.shape), scores

    def _histories(self, user_items: Any) -> Any:
        if self._own_labels("item") is None:
            return user_items
        if _is_of_ids(user_items):
            return self._encoded_backwards(user_items, users=False)
        if isinstance(user_items, Mapping) and not hasattr(user_items, "shape"):
            return dict(zip(user_items, self._histories(list(user_items.values())), strict=True))
        if not isinstance(user_items, list | tuple):
            return user_items
        return type(user_items)(
            self._to_labels(history, "item", f"user_items[{row}]")
            for row, history in enumerate(user_items)
        )

    def _held_out(self, X: Any) -> Any:
        """Return held-out interactions with labels, and with other ids than the fit has."""
        if self._own_labels("item") is None or not _is_of_ids(X):
            return X
        return self._encoded_backwards(X)

    def _with_labels(self, X: Interactions) -> Interactions:
        return X.with_labels(_labels("user", X.n_users), _labels(self._items, X.n_items))

    def _encoded_backwards(self, X: Interactions, users: bool = True) -> Interactions:
        user_labels = _labels("user", X.n_users)[::-1] if users else None
        item_labels = _labels(self._items, X.n_items)[::-1]
        return Interactions(
            X.n_users - 1 - X.user if users else X.user,
            X.n_items - 1 - X.item,
            timestamp=X.timestamp,
            value=X.value,
            n_users=X.n_users,
            n_items=X.n_items,
        ).with_labels(user_labels, item_labels)


def unwrap(model: Any) -> Any:
    """Return the estimator itself."""
    return model._estimator if isinstance(model, InIds) else model


def rewrap(model: Any, other: Any) -> Any:
    """Return another estimator, asked as `model` is."""
    return InIds(other, model._items) if isinstance(model, InIds) else other


def labels_given(model: Any, kind: str, n: int) -> list[Any] | None:
    """Return the labels of users or items that `fit` was given, or None."""
    if not isinstance(model, InIds):
        return None
    return _labels("user" if kind == "user" else model._items, n)


def as_spoken(model: Any, X: Interactions) -> Interactions:
    """Return interactions as the estimator itself takes them: with labels if it speaks labels."""
    return model._with_labels(X) if isinstance(model, InIds) else X


def evaluate_in_ids(model: Any, X_test: Any, *args: Any, **options: Any) -> Any:
    """Return `recsk.metrics.evaluate` of a model that is asked in ids."""
    if isinstance(model, InIds):
        if options.get("eval_users") is not None:
            users = model._to_labels(options["eval_users"], "user", "eval_users", (0, 1))
            options["eval_users"] = users
        X_test = model._held_out(X_test)
    return evaluate(unwrap(model), X_test, *args, **options)


def score_in_ids(model: Any, X_test: Any, metric: str, k: int = 10) -> float:
    """Return what the scorer of `make_ranking_scorer` gives for a model that is asked in ids."""
    held_out = model._held_out(X_test) if isinstance(model, InIds) else X_test
    return make_ranking_scorer(metric, k)(unwrap(model), held_out)


@functools.cache
def _labels(kind: str, n: int) -> list[Any]:
    label = (lambda i: f"u{i}") if kind == "user" else ITEM_LABELS[kind]
    return [label(i) for i in range(n)]


def _is_of_ids(X: Any) -> bool:
    return isinstance(X, Interactions) and X.user_labels is None and X.item_labels is None


def _objects(labels: list[Any]) -> np.ndarray:
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array
