"""Estimators that speak labels, behind methods that take and return ids.

The contract suite is written in ids. `labelled` makes a subclass that it can ask all the same:
every `Interactions` gets labels on the way in, every id is passed on as a label, and every label
of an answer is turned back into its id. So the suite asks the same of a model of labels.
"""

import functools
from collections.abc import Mapping

import numpy as np
import pytest

from recsk import Interactions
from recsk.data.checks import check_ids
from recsk.metrics import evaluate
from recsk.model_selection import make_ranking_scorer
from recsk.storage import registry
from recsk.storage.registry import register_estimator
from tests.contract import suite

# Labels of ids of any number, so that two data sets agree on the labels that both have. An int is
# the position of another item; "u10" sorts before "u9".
ITEM_LABELS = {"int": lambda i: i ^ 1, "tuple": lambda i: ("sku", str(i)) if i % 3 else f"sku {i}"}


@functools.cache
def _labels(kind, n):
    label = (lambda i: f"u{i}") if kind == "user" else ITEM_LABELS[kind]
    return [label(i) for i in range(n)]


def labelled(estimator_class, items="int"):
    """Return a subclass of an estimator that learns labels and is asked in ids.

    Parameters
    ----------
    estimator_class : type
    items : {"int", "tuple"}, default="int"
        Kind of the labels of items. Users have strings.
    """
    name = f"Labelled{items.title()}{estimator_class.__name__}"
    if name not in globals():  # pickle finds a class by its name in its module
        namespace = {"__module__": __name__, "_item_kind": items}
        globals()[name] = type(name, (_InIds, estimator_class), namespace)
    return globals()[name]


class InLabels:
    """Runs a class of the contract suite on a labelled estimator."""

    @pytest.fixture(autouse=True)
    def _in_labels(self, monkeypatch):
        monkeypatch.setattr(suite, "evaluate", _evaluate)
        monkeypatch.setattr(suite, "make_ranking_scorer", _make_ranking_scorer)
        # Files may hold it, but only here: error messages list the registered classes.
        monkeypatch.setattr(registry, "_classes", dict(registry._classes))
        register_estimator(type(self.estimator))


def _evaluate(model, X_test, *args, eval_users=None, **kwargs):
    if eval_users is not None:
        eval_users = model._to_labels(eval_users, "user", "eval_users", (0, 1))
    return evaluate(model, model._held_out(X_test), *args, eval_users=eval_users, **kwargs)


def _make_ranking_scorer(*args, **kwargs):
    scorer = make_ranking_scorer(*args, **kwargs)
    return lambda model, X: scorer(model, model._held_out(X))


class _InIds:
    """The methods of a recommender in ids, for a model that speaks labels."""

    def fit(self, X, y=None, *, item_features=None, eval_set=None, sample_weight=None):
        if _is_of_ids(X):
            X = X.with_labels(_labels("user", X.n_users), _labels(self._item_kind, X.n_items))
            if _is_of_ids(eval_set):
                eval_set = self._encoded_backwards(eval_set)
        options = {"item_features": item_features, "eval_set": eval_set}
        return super().fit(X, y, **options, sample_weight=sample_weight)

    def recommend(self, user_ids=None, k=10, *, user_items=None, as_frame=False, **options):
        if user_ids is not None:
            user_ids = self._to_labels(user_ids, "user", "user_ids", (0, 1))
        for name in ("items", "filter_items"):
            if options.get(name) is not None:
                options[name] = self._to_labels(options[name], "item", name)
        options["user_items"] = self._histories(user_items)
        answer = super().recommend(user_ids, k, as_frame=as_frame, **options)
        return answer if as_frame else self._to_ids(answer, "item")

    def rank_items(self, user_ids, items):
        user_ids = self._to_labels(user_ids, "user", "user_ids", (0, 1))
        return self._to_ids(
            super().rank_items(user_ids, self._to_labels(items, "item", "items")), "item"
        )

    def similar_items(self, item_ids, k=10):
        item_ids = self._to_labels(item_ids, "item", "item_ids", (0, 1))
        return self._to_ids(super().similar_items(item_ids, k), "item")

    def similar_users(self, user_ids, k=10):
        user_ids = self._to_labels(user_ids, "user", "user_ids", (0, 1))
        return self._to_ids(super().similar_users(user_ids, k), "user")

    def user_vectors(self, user_ids=None, *, user_items=None):
        if user_ids is not None:
            user_ids = self._to_labels(user_ids, "user", "user_ids", (0, 1))
        return super().user_vectors(user_ids, user_items=self._histories(user_items))

    def user_modality_weights(self, user_items):
        return super().user_modality_weights(self._histories(user_items))

    def score(self, X, y=None, sample_weight=None):
        return super().score(self._held_out(X), y, sample_weight)

    def to_ann(self, *args, **kwargs):
        index = super().to_ann(*args, **kwargs)
        query = index.query
        index.query = lambda *args, **kwargs: self._to_ids(query(*args, **kwargs), "item")
        return index

    def _own_labels(self, kind):
        """Return the labels that `fit` above gave, or None: a test may bring its own, or none."""
        known = getattr(self, f"{kind}s_", None)
        if known is None:
            return None
        labels = _labels("user" if kind == "user" else self._item_kind, len(known))
        return labels if known.tolist() == labels else None

    def _to_labels(self, ids, kind, name, dimensions=(1,)):
        labels = self._own_labels(kind)
        if labels is None:
            return ids
        positions = check_ids(ids, name, len(labels), f"{kind}s", dimensions)
        if positions.ndim == 0:
            return labels[positions]
        found = [labels[i] for i in positions]
        if isinstance(ids, list):
            return found
        return tuple(found) if isinstance(ids, tuple) else _objects(found)

    def _to_ids(self, answer, kind):
        labels = self._own_labels(kind)
        if labels is None:
            return answer
        named, scores = answer
        assert named.dtype == object
        ids = {label: i for i, label in enumerate(labels)} | {None: -1}
        flat = [ids[label] for label in named.ravel().tolist()]
        return np.array(flat, dtype=np.int64).reshape(named.shape), scores

    def _histories(self, user_items):
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

    def _held_out(self, X):
        """Return held-out interactions with labels, and with other ids than the fit has."""
        if self._own_labels("item") is None or not _is_of_ids(X):
            return X
        return self._encoded_backwards(X)

    def _encoded_backwards(self, X, users=True):
        user_labels = _labels("user", X.n_users)[::-1] if users else None
        item_labels = _labels(self._item_kind, X.n_items)[::-1]
        return Interactions(
            X.n_users - 1 - X.user if users else X.user,
            X.n_items - 1 - X.item,
            timestamp=X.timestamp,
            value=X.value,
            n_users=X.n_users,
            n_items=X.n_items,
        ).with_labels(user_labels, item_labels)


def _is_of_ids(X):
    return isinstance(X, Interactions) and X.user_labels is None and X.item_labels is None


def _objects(labels):
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array
