"""Warnings of a fit name the line that called it, whichever class has the method."""

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from recsk import Interactions, MDERecommender
from recsk.baselines import (
    ContentKNNRecommender,
    RP3betaRecommender,
    SequentialRulesRecommender,
)
from recsk.models import MDSRecRecommender
from tests.contract.suite import N_ITEMS, TRAIN

NETWORKS = [MDERecommender(n_factors=4, max_epochs=1), MDSRecRecommender(n_factors=4, max_epochs=1)]
RULES = [RP3betaRecommender(), ContentKNNRecommender()]
BY_CLASS = pytest.mark.parametrize("est", NETWORKS + RULES, ids=lambda est: type(est).__name__)

LEARNS_ON = pytest.mark.parametrize(
    "est",
    [*NETWORKS, RP3betaRecommender(), SequentialRulesRecommender()],
    ids=lambda est: type(est).__name__,
)


def log(call):
    with pytest.warns(UserWarning) as caught:
        call()
    return caught


@BY_CLASS
def test_values_that_are_not_used(est):
    X = TRAIN.with_value(np.arange(1, len(TRAIN) + 1))
    (warning,) = (
        w
        for w in log(lambda: clone(est).fit(X, item_features={"t": np.ones((N_ITEMS, 2))}))
        if "fit does not use them" in str(w.message)
    )
    assert warning.filename == __file__


@BY_CLASS
def test_a_log_in_place_of_a_matrix(est):
    X = np.random.default_rng(0).integers(1, 5, size=(2000, 3))
    found = log(lambda: clone(est).fit(X, item_features={"t": np.ones((3, 2))}))
    (warning,) = (w for w in found if "is read as a matrix" in str(w.message))
    assert warning.filename == __file__


@BY_CLASS
def test_a_frame_that_names_few_items(est):
    labels = [f"i{i}" for i in range(N_ITEMS)]
    names = [f"i{i}" for i in range(3)] + [f"other {i}" for i in range(N_ITEMS)]
    frame = pd.DataFrame(np.ones((len(names), 2)), index=names)
    X = TRAIN.with_labels(item_labels=labels)
    found = log(lambda: clone(est).fit(X, item_features={"t": frame}))
    assert [w.filename for w in found if "item_features" in str(w.message)].count(__file__)


def test_features_that_a_rule_does_not_use():
    X = Interactions([0, 1], [1, 0])
    (warning,) = log(lambda: RP3betaRecommender().fit(X, item_features={"t": np.ones((2, 2))}))
    assert warning.filename == __file__ and "are not used" in str(warning.message)


def quiet(call):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return call()


@LEARNS_ON
def test_a_night_without_the_weights_of_the_fit(est):
    weights, night = np.full(len(TRAIN), 10.0), TRAIN[:30]
    model = clone(est).fit(TRAIN, sample_weight=weights)
    (warning,) = log(lambda: copy.deepcopy(model).partial_fit(night))
    assert "weight 1, but those of the fit have weights from 10 to 10" in str(warning.message)
    assert "sample_weight" in str(warning.message) and warning.filename == __file__
    for weight in (np.ones(30), np.full(30, 10.0)):
        quiet(lambda w=weight: copy.deepcopy(model).partial_fit(night, sample_weight=w))
    plain = clone(est).fit(TRAIN, sample_weight=np.ones(len(TRAIN)))
    quiet(lambda: plain.partial_fit(night))


def test_values_of_a_matrix_are_no_weights():
    counts = TRAIN.to_csr() * 7
    model = RP3betaRecommender().fit(counts)
    quiet(lambda: model.partial_fit(counts))


def spelled(users, items, rows=slice(None)):
    """The log with labels; `users` and `items` change them."""
    frame = pd.DataFrame({"time": TRAIN.timestamp[rows]})
    frame["user"] = [users(f"user {i}") for i in TRAIN.user[rows]]
    frame["item"] = [items(f"item {i}") for i in TRAIN.item[rows]]
    return Interactions.from_frame(frame, user="user", item="item", timestamp="time")


@LEARNS_ON
def test_a_night_of_labels_that_are_all_unknown(est):
    model, some = clone(est).fit(spelled(str, str)), slice(None, None, 2)
    for change, new, old in (
        ((str.upper, str), "users of X, such as 'USER ", "such as 'user "),
        ((str, str.upper), "items of X, such as 'ITEM ", "such as 'item "),
    ):
        night = spelled(*change, some)
        (warning,) = log(lambda night=night: copy.deepcopy(model).partial_fit(night))
        assert new in str(warning.message) and old in str(warning.message)
        assert warning.filename == __file__
    sessions = spelled(lambda user: f"today's {user}", str, some)  # each night has its own
    quiet(lambda: copy.deepcopy(model).partial_fit(sessions))
    few = spelled(str.upper, str.upper, slice(4))
    quiet(lambda: copy.deepcopy(model).partial_fit(few))
    quiet(lambda: model.partial_fit(spelled(str, str, some)))


@pytest.mark.parametrize("value", [1e6, -9999.0])
@pytest.mark.parametrize("n_junk", [0, 1, 2])
@pytest.mark.parametrize("est", NETWORKS, ids=lambda est: type(est).__name__)
def test_features_of_few_items_that_outweigh_all_others(est, n_junk, value):
    rng, n = np.random.default_rng(0), 700
    X = Interactions(rng.integers(0, 50, 2000), np.arange(2000) % n, timestamp=np.arange(2000))
    X = X.with_labels(item_labels=[f"sku {i}" for i in range(n)])
    rows = rng.normal(size=(n, 8))
    rows[7 : 7 + n_junk] = value
    features = {"v": rows, "price": np.exp(5 * rng.normal(size=(n, 1)))}
    # Most brands have one item.
    features["brand"] = np.eye(9)[np.r_[np.arange(7), rng.integers(7, 9, n - 7)]]
    if not n_junk:
        quiet(lambda: clone(est).fit(X, item_features=features))
        return
    (warning,) = log(lambda: clone(est).fit(X, item_features=features))
    many = "and of 1 more " if n_junk == 2 else ""
    expected = f"item_features['v']: the values of item 'sku 7' {many}are so large"
    assert expected in str(warning.message) and warning.filename == __file__
