"""The item-to-item part of MDE as data grow: only items with new interactions are regressed."""

import copy

import numpy as np
import pytest

from recsk import Interactions, MDERecommender
from recsk.datasets import make_multimodal
from recsk.models.mde.item_to_item import item_to_item_weights, scale_of_weights

DATA = make_multimodal(n_users=120, n_items=60, random_state=0)
X = DATA.interactions[DATA.interactions.item < 57]
LAST = np.argsort(X.timestamp, kind="stable")[-12:]
OLD = X[np.setdiff1d(np.arange(len(X)), LAST)]
NEW = X[LAST]
WEIGHT = MDERecommender().cooccurrence_weight


def grown(day, **options):
    options = {"new_item_share": None, **options}  # weights are those of regressions alone
    model = MDERecommender(n_factors=4, max_epochs=1, random_state=0, **options)
    model.fit(OLD, item_features=DATA.item_features)
    before = copy.deepcopy(model)
    return before, model.partial_fit(day)


def is_warm(model):
    return np.bincount(model.interactions_.indices, minlength=model.n_features_in_) > 0


def test_items_with_new_interactions_have_the_weights_of_a_fit_on_all():
    before, model = grown(NEW)
    expected = item_to_item_weights(model.interactions_.astype(np.float32), WEIGHT).toarray()
    found, known = model.item_to_item_.toarray(), before.item_to_item_.toarray()
    clicked = np.unique(NEW.item)
    np.testing.assert_allclose(found[:, clicked], expected[:, clicked], rtol=1e-4, atol=1e-6)
    others = np.setdiff1d(np.flatnonzero(is_warm(before)), clicked)
    scales = [scale_of_weights(m.interactions_.nnz, WEIGHT) for m in (model, before)]
    expected = scales[0] / scales[1] * known[:, others]
    np.testing.assert_allclose(found[:, others], expected, rtol=1e-5)


def test_what_content_fills_in_is_made_anew():
    rare, cold = 56, 57  # two interactions, and none
    log = OLD[~((OLD.item == rare) & (np.cumsum(OLD.item == rare) > 2))]
    model = MDERecommender(n_factors=4, max_epochs=1, random_state=0)
    model.fit(log, item_features=DATA.item_features)
    assert (np.bincount(log.item, minlength=60)[[rare, cold]] == [2, 0]).all()
    first = np.linalg.norm(model.item_to_item_.toarray()[:, [rare, cold]], axis=0)
    assert (first > 0).all()
    for night in range(4):
        day = NEW[night : night + 1]
        assert day.item[0] not in (rare, cold)
        model.partial_fit(day)
    last = np.linalg.norm(model.item_to_item_.toarray()[:, [rare, cold]], axis=0)
    np.testing.assert_allclose(last, first, rtol=0.3)


def test_a_click_on_every_item_is_a_fit_on_all():
    warm = np.unique(X.item)
    time = X.timestamp.max() + np.arange(len(warm))
    day = Interactions(np.arange(len(warm)), warm, timestamp=time, n_users=120, n_items=60)
    _, model = grown(day)
    expected = item_to_item_weights(model.interactions_.astype(np.float32), WEIGHT).toarray()
    found = model.item_to_item_.toarray()[:, is_warm(model)]
    np.testing.assert_allclose(found, expected[:, is_warm(model)], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("weight", [3.5, 14.0])
def test_another_weight_counts_for_all_items(weight):
    before, same = grown(NEW)
    other = before.set_params(cooccurrence_weight=weight).partial_fit(NEW)
    ratio = weight / WEIGHT
    warm = is_warm(same)
    found, expected = (m.item_to_item_.toarray()[:, warm] for m in (other, same))
    np.testing.assert_allclose(found, ratio * expected, rtol=1e-4, atol=1e-6)


def test_the_part_may_come_and_go():
    _, model = grown(NEW, cooccurrence_weight=0.0)
    assert not hasattr(model, "item_to_item_")
    model.set_params(cooccurrence_weight=WEIGHT).partial_fit(NEW)
    expected = item_to_item_weights(model.interactions_.astype(np.float32), WEIGHT).toarray()
    warm = is_warm(model)
    np.testing.assert_allclose(model.item_to_item_.toarray()[:, warm], expected[:, warm], rtol=1e-4)
    model.set_params(cooccurrence_weight=0.0).partial_fit(NEW)
    assert not hasattr(model, "item_to_item_")
