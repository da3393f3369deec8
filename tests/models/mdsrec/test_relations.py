"""The item-to-item part of the scores against slow, obvious references."""

import numpy as np
import pytest

from recsk.data.sequences import Sequences
from recsk.features.dense import Features
from recsk.models.mdsrec import relations
from recsk.models.mdsrec.relations import item_relations, recent_weights

HISTORIES = [[0, 1, 2, 1], [2, 0], [3], [], [1, 2, 3, 0, 2]]
N_ITEMS = 6  # two of them are new


def pack(histories, weights=None):
    indptr = np.cumsum([0, *map(len, histories)])
    return Sequences(indptr, np.concatenate(histories).astype(np.int64), weights)


def expected_relations(histories, weights=None):
    n, follows = np.zeros(N_ITEMS), np.zeros((N_ITEMS, N_ITEMS))
    weights = np.ones(sum(map(len, histories))) if weights is None else weights
    ends = np.cumsum([len(history) for history in histories])[:-1]
    for history, weight in zip(histories, np.split(weights, ends), strict=True):
        for s, j in enumerate(history):
            n[j] += weight[s]
            for t in range(s + 1, min(s + 21, len(history))):
                if history[t] != j:
                    follows[j, history[t]] += 0.8 ** (t - s - 1) * np.sqrt(weight[s] * weight[t])
    n[n == 0] = 1
    return follows / n[:, None] ** 0.5 / n**0.25


@pytest.mark.parametrize("weighted", [False, True])
def test_relations_equal_the_reference(weighted):
    rng = np.random.default_rng(0)
    histories = [*HISTORIES, rng.integers(4, size=40).tolist()]
    n = sum(map(len, histories))
    weights = rng.uniform(0.1, 1, n).astype(np.float32) if weighted else None
    found = item_relations(pack(histories, weights), N_ITEMS)
    assert found.dtype == np.float32 and not found.diagonal().any()
    np.testing.assert_allclose(found.toarray(), expected_relations(histories, weights), rtol=1e-5)


def test_a_new_item_has_the_mean_of_the_known_items_most_alike():
    values = np.array([[1.0, 0], [1, 0.2], [0, 1], [-1, 0], [1, 0.1], [0, 0]], np.float32)
    present = np.array([True] * 5 + [False])
    found = item_relations(pack(HISTORIES), N_ITEMS, [Features(values, present)]).toarray()
    expected = expected_relations(HISTORIES)
    unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
    weight = np.maximum(unit[:4] @ unit[4], 0) ** 4
    expected[:, 4] = expected[:, :4] @ weight / weight.sum()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert found[:, 4].any() and not found[:, 5].any()  # nothing is known of the last one


def test_only_the_largest_weights_are_kept(monkeypatch):
    whole = item_relations(pack(HISTORIES), N_ITEMS).toarray()
    monkeypatch.setattr(relations, "_MAX_RELATED", 2)
    cut = item_relations(pack(HISTORIES), N_ITEMS).toarray()
    np.testing.assert_array_equal((cut > 0).sum(axis=1), np.minimum((whole > 0).sum(axis=1), 2))
    np.testing.assert_allclose(np.sort(cut, axis=1)[:, -2:], np.sort(whole, axis=1)[:, -2:])


@pytest.mark.parametrize("max_length", [1, 3, 50])
def test_recent_weights_equal_the_reference(max_length):
    histories = [*HISTORIES, [0, 1, 2, 3] * 4]
    sequences = pack(histories)
    expected = np.zeros((len(histories), N_ITEMS))
    for row, history in zip(expected, histories, strict=True):
        for age, item in enumerate(history[::-1][: min(10, max_length)]):
            row[item] += 0.8**age
    found = recent_weights(sequences.indptr, sequences.items, N_ITEMS, max_length)
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-6)
