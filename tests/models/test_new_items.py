"""New items: predicted vectors, their calibration, and item-to-item weights."""

import numpy as np
import pytest
import scipy.sparse as sp

from recsk.models.new_items import (
    NewItemModel,
    extend_item_to_item,
    grow_item_to_item,
    mix_vectors,
)
from recsk.ranking.users import Users, combine_scores

N_USERS, N_ITEMS, WIDTH = 80, 60, 4
NEW = np.arange(50, 60)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def world():
    """Content that is a linear map of the true vectors, with noise; new items have none."""
    rng = np.random.default_rng(0)
    true = unit(rng.normal(size=(N_ITEMS, WIDTH)) + [1, 0, 0, 0])
    content = unit(true @ rng.normal(size=(WIDTH, 12)) + 0.1 * rng.normal(size=(N_ITEMS, 12)))
    learned = true.copy()
    learned[NEW] = 0
    users = unit(rng.normal(size=(N_USERS, WIDTH)) + [2, 0, 0, 0])
    seen = rng.random((N_USERS, N_ITEMS)) < 0.2
    seen[:, NEW] = False
    return true, content, learned, users, sp.csr_matrix(seen.astype(np.float32))


def fit(world, share=1.0, item_to_item=None):
    _, content, learned, users, seen = world
    count = np.bincount(seen.indices, minlength=N_ITEMS)
    weights = None if item_to_item is None else seen
    known_users = Users(users, weights)
    return NewItemModel(content, learned, WIDTH, count, item_to_item, known_users, seen, share)


def test_predictions_are_near_what_training_would_have_learned(world):
    true, content = world[:2]
    model = fit(world)
    vectors = model(content[NEW], N_ITEMS).vectors - model.boost * model.direction
    vectors /= model.scale
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert (vectors * true[NEW]).sum(axis=1).mean() > 0.95


def test_similar_items_are_weighted_by_the_fourth_power_of_the_cosine(world):
    content = world[1]
    similar = fit(world)(content[NEW], N_ITEMS).similar.toarray()
    cosines = content[NEW] @ content[:50].T
    for row, cosine in zip(similar, cosines, strict=True):
        best = np.argsort(-cosine)[:20]
        expected = np.zeros(N_ITEMS)
        expected[best] = np.maximum(cosine[best], 0) ** 4
        np.testing.assert_allclose(row, expected / expected.sum(), atol=1e-6)


@pytest.mark.parametrize("share", [0.5, 1.0, 2.0])
def test_left_out_items_reach_the_first_places_as_often_as_asked(world, share):
    """Each known item once more as a new one, against the learned vectors of the others."""
    _, content, learned, users, seen = world
    model = fit(world, share)
    scores = users @ learned.T
    scores[seen.toarray() > 0] = -np.inf
    last = np.sort(scores[:, :50], axis=1)[:, -20]
    n_reached = 0
    for i in range(50):
        others = np.setdiff1d(np.arange(50), i)
        partial = list(world)
        partial[2] = np.where(np.isin(np.arange(N_ITEMS), others)[:, None], learned, 0)
        count = np.bincount(seen.indices, minlength=N_ITEMS) * np.isin(np.arange(N_ITEMS), others)
        alone = NewItemModel(content, partial[2], WIDTH, count, None, Users(users), seen, share)
        plain = alone(content[[i]], N_ITEMS).vectors - alone.boost * alone.direction
        own = users @ (plain * model.scale / alone.scale + model.boost * model.direction)[0]
        n_reached += ((own >= last) & (seen.toarray()[:, i] == 0)).sum()
    assert n_reached == pytest.approx(share * 20 * N_USERS, rel=0.15)


def test_items_without_content_get_nothing(world):
    estimate = fit(world)(np.zeros((2, 12), np.float32), N_ITEMS)
    assert not estimate.vectors.any() and not estimate.similar.nnz


def test_columns_of_new_items_are_means_of_the_columns_of_similar_items(world):
    rng = np.random.default_rng(1)
    dense = np.where(rng.random((N_ITEMS, N_ITEMS)) < 0.3, rng.random((N_ITEMS, N_ITEMS)), 0)
    dense[NEW] = dense[:, NEW] = 0
    weights = sp.csr_matrix(dense, dtype=np.float32)
    estimate = fit(world, item_to_item=weights)(world[1][NEW], N_ITEMS)
    similar = estimate.similar
    estimate = estimate._replace(scale=0.5)
    part = np.full(len(NEW), estimate.scale, np.float32)
    filled = extend_item_to_item(weights, similar, NEW, part).toarray()
    np.testing.assert_allclose(filled[:, :50], dense[:, :50], rtol=1e-6)
    np.testing.assert_allclose(filled[:, NEW], 0.5 * dense @ similar.toarray().T, atol=1e-6)
    grown = grow_item_to_item(weights, estimate).toarray()
    np.testing.assert_allclose(grown[:N_ITEMS, N_ITEMS:], filled[:, NEW], atol=1e-6)
    np.testing.assert_allclose(grown[N_ITEMS:, :N_ITEMS], similar.toarray() @ dense, atol=1e-6)
    assert not np.diagonal(grown[N_ITEMS:, N_ITEMS:]).any()


def test_item_to_item_weights_count_in_the_calibration(world):
    weights = sp.csr_matrix(np.full((N_ITEMS, N_ITEMS), 0.01, np.float32))
    scores = combine_scores(Users(world[3], world[4]), world[2], weights)
    assert scores.shape == (N_USERS, N_ITEMS)
    model, alone = fit(world, item_to_item=weights), fit(world)
    assert (model.boost, model.scale) != (alone.boost, alone.scale)


def test_means_are_added_to_the_columns_of_few_interactions(world):
    rng = np.random.default_rng(1)
    dense = np.where(rng.random((N_ITEMS, N_ITEMS)) < 0.3, rng.random((N_ITEMS, N_ITEMS)), 0)
    np.fill_diagonal(dense, 0)
    weights = sp.csr_matrix(dense, dtype=np.float32)
    estimate = fit(world, item_to_item=weights)(world[1][NEW], N_ITEMS)
    part = rng.random(len(NEW)).astype(np.float32)
    filled = extend_item_to_item(weights, estimate.similar, NEW, part).toarray()
    expected = dense.copy()
    for p, row, place in zip(part, estimate.similar.toarray(), NEW, strict=True):
        expected[:, place] += p * (dense @ row)
        expected[place, place] = 0
    np.testing.assert_allclose(filled, expected, atol=1e-5)
    np.testing.assert_array_equal(weights.toarray(), dense.astype(np.float32))


def test_a_mixture_of_vectors_keeps_their_length():
    rng = np.random.default_rng(2)
    learned, predicted = rng.normal(size=(2, 5, 4)).astype(np.float32)
    part = np.array([0, 0.2, 0.5, 0.9, 1], np.float32)
    mixed = mix_vectors(learned, predicted, part, 3)
    for p, a, b, row in zip(part, learned, predicted, mixed, strict=True):
        expected = (1 - p) * a + p * b
        length = (1 - p) * np.linalg.norm(a[:3]) + p * np.linalg.norm(b[:3])
        expected[:3] *= length / np.linalg.norm(expected[:3])
        np.testing.assert_allclose(row, expected, rtol=1e-5)
    np.testing.assert_array_equal(mixed[4], predicted[4])
