"""Logs cut into days at random: `partial_fit` and `add_items`, with and without labels."""

import copy
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

import recsk
from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.baselines import (
    ContentKNNRecommender,
    EASERecommender,
    ItemKNNRecommender,
    PopularRecommender,
    RP3betaRecommender,
    SequentialRulesRecommender,
)
from recsk.testing.expect import expect_identical
from tests.fuzz import shop, values
from tests.fuzz.test_calls import (
    EXAMPLES,
    N_ITEMS,
    N_USERS,
    call,
    check_lists,
    each_estimator,
    fitted,
)
from tests.fuzz.test_calls import fuzz as often

NETWORKS = {
    "mde": MDERecommender(n_factors=4, max_epochs=1, random_state=0),
    "mdsrec": MDSRecRecommender(n_factors=4, n_interests=2, max_epochs=1, random_state=0),
}
RULES = {
    "popular": PopularRecommender(),
    "item_knn": ItemKNNRecommender(weighting="tfidf"),
    "rp3beta": RP3betaRecommender(),
    "ease": EASERecommender(),
    "content_knn": ContentKNNRecommender(),
    "sequential_rules": SequentialRulesRecommender(),
}
MADE_AGAIN = ["_new_item_model"]  # by the next call that needs it; copies are without it
LABELLED = pytest.mark.parametrize("labelled", [False, True], ids=["ids", "labels"])


def fuzz(n_examples):
    """These run with the fast tests: few examples, the same in every run."""
    return settings(
        max_examples=n_examples * max(EXAMPLES // 40, 1),
        deadline=None,
        phases=[Phase.explicit, Phase.generate],  # to shrink an example of networks takes minutes
        derandomize=EXAMPLES < 100,
        suppress_health_check=list(HealthCheck),
    )


def learn(model, record, day):
    """Give a day to a model and to the record; without interactions, it is an error."""
    X = record.interactions(day)
    options = {}
    if model.uses_features:
        options["item_features"] = record.features(X, day)
    if day.weight is not None:
        options["sample_weight"] = day.weight
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if len(day):
            assert model.partial_fit(X, **options) is model
            record.learn(X, day)
            return
        before = copy.deepcopy(model)
        with pytest.raises(ValueError, match=r"X has no interactions|sample_weight"):
            model.partial_fit(X, **options)
    expect_identical(model, before, "a model after a day without interactions", but=MADE_AGAIN)


@LABELLED
@pytest.mark.parametrize("name", RULES)
@fuzz(6)
@given(days=shop.days())
def test_a_rule_is_that_of_all_days(name, labelled, days):
    model, record = clone(RULES[name]), shop.Record(labelled)
    for day in days:
        learn(model, record, day)
        record.check(model)
    # A fit on all of it, in the order in which the model numbers users and items.
    user, item = zip(*record.pairs, strict=True)
    codes = [
        [names.index(x) for x in column]
        for names, column in ((record.users, user), (record.items, item))
    ]
    sizes = {"n_users": len(record.users), "n_items": len(record.items)}
    X = Interactions(*codes, timestamp=np.arange(len(user)), **sizes)
    options = {}
    if model.uses_features:
        rows = [shop.item_label(i) for i in record.items] if labelled else record.items
        options = {"item_features": {name: x[rows] for name, x in shop.FEATURES.items()}}
    weight = record.weights if any(day.weight for day in days if len(day)) else None
    expected = clone(RULES[name]).fit(X, sample_weight=weight, **options)
    everything = np.arange(len(record.items))
    ids, scores = expected.rank_items(np.arange(len(record.users)), everything)
    wanted = np.take_along_axis(scores, np.argsort(ids, axis=1), axis=1)
    for u, name in enumerate(record.users):
        found = model.score_pairs([name] * len(record.items), record.items)
        np.testing.assert_allclose(found, wanted[u], rtol=1e-4, atol=1e-5)


@st.composite
def calls(draw):
    """Draw what a network goes through: days, and between them items that arrive and files."""
    found = []
    for place, day in enumerate(draw(shop.days(3))):
        if place:
            found += draw(st.lists(st.sampled_from(["arrive", "file", "wrong"]), max_size=2))
        found.append(day)
    return found


def arrive(model, record, n=2):
    """Add items by their features; some lack a modality."""
    first = len(record.items) if not record.labelled else 20 + len(record.items)
    numbers = list(range(first, first + n))
    features = {name: rows[numbers] for name, rows in shop.FEATURES.items()}
    features["text"][0] = np.nan
    new = [shop.item_label(i) for i in numbers] if record.labelled else numbers
    assert model.add_items(features, new if record.labelled else None).tolist() == new
    record.items += new


def refuse(model, record):
    """Wrong calls name what is wrong, and leave the model as it was."""
    before = copy.deepcopy(model)
    day = shop.Day([0, 1], [0, 1], None, 0)
    X = record.interactions(day)
    rows = {name: rows[: X.n_items] for name, rows in shop.FEATURES.items()}
    labels = [shop.item_label(90), shop.item_label(91)] if record.labelled else None
    other = (
        Interactions([0], [0], timestamp=[0])
        if record.labelled
        else X.with_labels([f"of {u}" for u in range(X.n_users)])
    )
    for wrong, word in (
        (lambda: model.partial_fit(X[:0]), "X"),
        (lambda: model.partial_fit(X, sample_weight=[1, -1]), "sample_weight"),
        (lambda: model.partial_fit(X, sample_weight=[1]), "sample_weight"),
        (lambda: model.partial_fit(X, item_features={"sound": rows["v"]}), "item_features"),
        (lambda: model.partial_fit(X, item_features={"v": rows["text"]}), "item_features"),
        (lambda: model.partial_fit(other), "labels"),
        (lambda: model.add_items({"v": np.ones((2, 9))}, labels), "item_features"),
        (lambda: model.add_items({"v": rows["v"][:2]}, ["of", "another type"]), "labels"),
        (lambda: model.add_items({"v": rows["v"][:1]}, record.items[:1]), "labels"),
    ):
        with pytest.raises(ValueError, match=word):
            wrong()
        expect_identical(model, before, "a model after a call that failed", but=MADE_AGAIN)


def play(model, calls, record):
    for step in calls:
        if step == "file":
            with tempfile.TemporaryDirectory() as folder:
                recsk.save(model, Path(folder) / "model.recsk")
                model = recsk.load(Path(folder) / "model.recsk")
        elif step == "wrong":
            refuse(model, record)
        elif step == "arrive":
            if len({item for _, item in record.pairs}) > 1:  # or no content is known to differ
                arrive(model, record)
        else:
            learn(model, record, step)
        record.check(model)
    return model


@LABELLED
@pytest.mark.parametrize("name", NETWORKS)
@fuzz(3)
@given(calls=calls())
def test_a_network_knows_all_days(name, labelled, calls):
    model = play(clone(NETWORKS[name]), calls, shop.Record(labelled))
    again = play(clone(NETWORKS[name]), calls, shop.Record(labelled))
    expect_identical(again, model, "the same calls again", but=MADE_AGAIN)


@pytest.mark.slow
@each_estimator
@often
@given(data=st.data())
def test_any_arguments_of_partial_fit(name, data):
    model = copy.deepcopy(fitted(name))
    before = copy.deepcopy(model)
    n_items = data.draw(st.sampled_from([N_ITEMS, N_ITEMS, N_ITEMS + 1]))
    arguments = {
        "X": data.draw(values.matrices(data.draw(st.sampled_from([N_USERS, 11])), n_items)),
        "item_features": data.draw(st.none() | values.features(n_items)),
    }
    arguments["sample_weight"] = data.draw(st.none() | values.weights(arguments["X"]))
    grown = call(model.partial_fit, **arguments)
    if grown is None:
        expect_identical(model, before, "a model after a call that failed")
        return
    assert grown.n_features_in_ >= N_ITEMS and grown.n_users_ >= N_USERS
    assert grown.interactions_.nnz >= before.interactions_.nnz
    k = grown.n_features_in_
    check_lists(grown.recommend(k=k), k, grown.interactions_.toarray() > 0, n_items=k)
