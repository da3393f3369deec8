"""Similar items are searched by the fit, and later where something has changed."""

import copy
import functools
from pathlib import Path

import numpy as np
import pytest

import recsk
from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.datasets import make_multimodal
from recsk.graphs import links as growth
from recsk.models import linking
from tests.contract.suite import TRAIN

FILE = Path(__file__).parents[1] / "files/mdsrec-0.1.0-format1.recsk"
DATA = make_multimodal(n_users=100, n_items=60, random_state=0)
KNOWN = 52
OLD = DATA.interactions.item < KNOWN
COMMON = {"n_factors": 8, "max_epochs": 1, "early_stopping": False, "random_state": 0}
MODELS = {
    "mde": MDERecommender(item_neighbors=4, **COMMON),
    "mdsrec": MDSRecRecommender(n_neighbors=4, n_blocks=1, **COMMON),
    "semantic": MDSRecRecommender(n_neighbors=4, n_blocks=1, relation="semantic", **COMMON),
}
ALL = pytest.mark.parametrize("name", list(MODELS))


def log(rows, n_items):
    log = DATA.interactions[rows]
    columns = log.user, log.item
    return Interactions(*columns, timestamp=log.timestamp, n_users=100, n_items=n_items)


def features(n_items, changed=None):
    found = {name: values[:n_items].copy() for name, values in DATA.item_features.items()}
    if changed is not None:
        for values in found.values():
            values[changed] = -values[changed]
    return found


@functools.cache
def _fitted(name):
    model = copy.deepcopy(MODELS[name])
    return model.fit(log(OLD, KNOWN), item_features=features(KNOWN))


def fitted(name):
    return copy.deepcopy(_fitted(name))


def learn_more(model):
    """New items, and one with other features."""
    return model.partial_fit(log(~OLD, 60), item_features=features(60, changed=3))


def dense(model):
    return [links.toarray() for links in model._links]


@ALL
def test_a_later_training_finds_what_a_search_from_scratch_finds(name, monkeypatch):
    model, again = fitted(name), fitted(name)
    again._links = []
    learn_more(again)
    for module in (linking, growth):
        monkeypatch.setattr(module, "cosine_neighbors", None)  # everything again: not needed
    learn_more(model)
    assert len(model._links) == len(DATA.item_features)
    for grown, found in zip(dense(model), dense(again), strict=True):
        assert grown.shape == (60, 60)
        np.testing.assert_allclose(grown, found, atol=1e-6)
    np.testing.assert_allclose(model.item_embedding_, again.item_embedding_, atol=1e-4)


@ALL
def test_a_file_keeps_the_links(name, tmp_path, monkeypatch):
    model = fitted(name)
    recsk.save(model, tmp_path / "model")
    loaded = recsk.load(tmp_path / "model")
    monkeypatch.setattr(linking, "cosine_neighbors", None)
    for own, other in zip(dense(learn_more(model)), dense(learn_more(loaded)), strict=True):
        np.testing.assert_array_equal(own, other)


def test_a_file_without_links_learns_on():
    model = recsk.load(FILE)
    assert model._links == []
    model.partial_fit(TRAIN[np.arange(20)])
    assert [links.shape[0] for links in model._links] == 2 * [model.n_features_in_]


def test_relations_that_use_no_links_keep_none_and_another_relation_finds_them():
    model = copy.deepcopy(MODELS["mdsrec"]).set_params(relation="sum")
    model.fit(log(OLD, KNOWN), item_features=features(KNOWN))
    assert model._links == []
    learn_more(model.set_params(relation="blend"))
    for own, other in zip(dense(model), dense(learn_more(fitted("mdsrec"))), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-6)


def test_another_number_of_neighbours_searches_again():
    model = learn_more(fitted("mde").set_params(item_neighbors=7))
    assert all((np.diff(links.indptr) == 7).all() for links in model._links)
