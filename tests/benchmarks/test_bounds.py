"""What parts could bring at most: the pieces of the scripts, made small."""

import numpy as np
import pytest


def test_places_are_taken_by_the_larger_score(script):
    places = script("new_item_places")._places
    known = np.tile(np.arange(20.0, 0, -1), (2, 1))
    new = np.full((2, 20), -1.0)
    new[0, :3] = 30.0
    assert places(known, new).tolist() == [3, 0]


def test_the_recall_of_the_best_items_of_one_kind(script):
    best = script("new_item_places").Best
    scores = np.array([np.arange(30.0), -np.arange(30.0)])
    relevant = np.zeros((2, 30), dtype=bool)
    relevant[0, [29, 27]] = True  # the first and the third of the first user
    found = best(scores, relevant)
    assert [found.mean(np.full(2, n)) for n in (0, 1, 2, 3)] == [0.0, 0.5, 0.5, 1.0]


def test_interests_of_a_history_are_shares_that_forget(script):
    parts = script("parts_bound")
    found = parts.summaries(np.array([0, 1, 1]), 2).reshape(4, len(parts.DECAYS), 3)
    np.testing.assert_allclose(found[0], 0)
    np.testing.assert_allclose(found[1], [[1, 0, 0]] * 3)
    np.testing.assert_allclose(found[3, 2], [1 / 3, 2 / 3, 0], rtol=1e-6)  # nothing is forgotten
    np.testing.assert_allclose(found[3, 0], [0.25 / 1.75, 1.5 / 1.75, 0], rtol=1e-6)


def test_modalities_that_are_the_same_share_all_and_random_ones_next_to_nothing(script):
    shared = script("parts_bound").shared_information
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 500, 8)).astype(np.float32)
    assert shared({"v": first, "t": 2 * first}) == pytest.approx(1.0)
    assert shared({"v": first, "t": second}) < 0.05
