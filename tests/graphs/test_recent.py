"""Relations to the last items of a history, against slow NumPy and documented properties."""

import numpy as np
import pytest

from recsk.features import Features
from recsk.graphs import RecentRelations
from tests.graphs.cases import N_ITEMS, pack, window_cooccurrence
from tests.nn.reference import unit

HISTORIES = [[0, 1, 2, 1], [3, 4], [5], [], [2, 2, 6, 0, 7, 3, 1], [8, 4, 1]]


def features(seed=0, absent=()):
    values = np.random.default_rng(seed).normal(size=(N_ITEMS, 6)).astype(np.float32)
    values[list(absent)] = 0
    return Features(values, ~np.isin(np.arange(N_ITEMS), absent))


def affinity(histories, modalities, window, share):
    N = window_cooccurrence(histories, window)
    B = share * N / np.linalg.norm(N)
    for values, present in modalities:
        rows = np.array([unit(row) * p for row, p in zip(values, present, strict=True)])
        S = rows @ rows.T
        B += (1 - share) / len(modalities) * S / np.linalg.norm(S)
    return B


def make_relations(histories=HISTORIES, modalities=None, share=0.5, **changes):
    modalities = [features(0), features(1, [3])] if modalities is None else modalities
    options = {"n_items": N_ITEMS, "n_factors": 9, "window": 2, "weight": 1.0}
    return RecentRelations.from_sequences(
        *pack(histories), modalities, behavior_share=share, **{**options, **changes}
    )


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n_factors", [3, 9])
def test_vectors_belong_to_the_largest_eigenvalues(share, n_factors):
    modalities = [features(0), features(1, [3])]
    relations = make_relations(modalities=modalities, share=share, n_factors=n_factors)
    values, vectors = np.linalg.eigh(affinity(HISTORIES, modalities, 2, share))
    largest = values.argsort()[::-1][:n_factors]
    X = vectors[:, largest] * np.sqrt(np.maximum(values[largest], 0))
    length = np.linalg.norm(X, axis=1)
    if length[9] > 1e-3:  # item 9 is new
        X[9] *= length[:9].mean() / length[9]
    assert relations.vectors.shape == (N_ITEMS, n_factors)
    np.testing.assert_allclose(relations.vectors @ relations.vectors.T, X @ X.T, atol=1e-4)


def test_scores_equal_the_reference():
    relations = make_relations(window=3, weight=0.7)
    X = relations.vectors.astype(np.float64)
    scores = relations.users(*pack(HISTORIES)) @ relations.vectors.T
    for history, row in zip(HISTORIES, scores, strict=True):
        profile = np.zeros(X.shape[1])
        for s, item in enumerate(history[::-1][:3], start=1):
            profile += s**-0.5 * X[item]
        expected = X @ profile
        if history:
            expected *= 0.7 / np.sqrt(np.mean(expected**2))
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-4)


def test_items_close_together_in_histories_are_related():
    histories = [[0, 1, 8, 9], [1, 0, 9, 8], [2, 3], [3, 2]] * 3
    relations = make_relations(histories, share=1.0, window=1)
    scores = relations.users(*pack([[0], [3]])) @ relations.vectors.T
    assert scores[0, [1, 9]].min() > scores[0, [2, 3, 4, 5]].max()
    assert scores[1].argsort()[-2:].tolist() in ([2, 3], [3, 2])


def test_a_new_item_is_related_by_content():
    values = np.repeat(np.eye(5, dtype=np.float32), 2, axis=0)  # items in pairs
    relations = make_relations([[0, 2, 4, 6, 8]] * 3, [Features(values, np.ones(N_ITEMS, bool))])
    scores = relations.users(*pack([[0]])) @ relations.vectors.T
    odd = np.arange(1, N_ITEMS, 2)
    assert scores[0, odd].argmax() == 0  # item 1, the other item of the pair


@pytest.mark.parametrize(
    ("histories", "modalities"),
    [([[1], [2]], [features(0, range(10))]), ([[]], [features(0, range(10))])],
)
def test_vectors_are_zero_without_relations(histories, modalities):
    relations = make_relations(histories, modalities)
    assert not relations.vectors.any()
    assert not relations.users(*pack(HISTORIES)).any()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("n_items", [40, 1500])
def test_items_without_relations_have_zero_vectors(n_items, share):
    """Also with many items, and with fewer directions than `n_factors`."""
    histories = [[0, 1, 2], [2, 3, 1], [5]] * 2
    values = np.zeros((n_items, 3), np.float32)
    values[[1, 2, 3, 7]] = np.eye(3)[[0, 0, 1, 1]]
    related = {0.0: [1, 2, 3, 7], 0.5: [0, 1, 2, 3, 7], 1.0: [0, 1, 2, 3]}[share]
    modality = Features(values, values.any(axis=1))
    first, second = (
        make_relations(histories, [modality], share, n_items=n_items) for _ in range(2)
    )
    np.testing.assert_array_equal(first.vectors, second.vectors)
    np.testing.assert_array_equal(np.flatnonzero(first.vectors.any(axis=1)), related)
    users = first.users(*pack([[5], [5, 9], [1]]))
    np.testing.assert_array_equal(users.any(axis=1), [False, False, True])


def test_many_items_give_the_largest_eigenvalues_reproducibly():
    """As exact as all eigenvalues, also with fewer directions than `n_factors`."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1500, 8)).astype(np.float32)
    modality = Features(values, np.ones(1500, bool))
    first, second = (
        make_relations([[0, 1], [2, 3]], [modality], 0.2, n_items=1500, n_factors=30)
        for _ in range(2)
    )
    unit_rows = values / np.linalg.norm(values, axis=1, keepdims=True)
    S = unit_rows @ unit_rows.T
    N = np.zeros((1500, 1500))
    N[[0, 1, 2, 3], [1, 0, 3, 2]] = 1
    B = 0.2 * N / np.linalg.norm(N) + 0.8 * S / np.linalg.norm(S)
    values, vectors = np.linalg.eigh(B)
    X = vectors[:, -30:] * np.sqrt(np.maximum(values[-30:], 0))
    products = [r.vectors[:100] @ r.vectors.T for r in (first, second)]
    np.testing.assert_allclose(products[0][:4, :4], (X @ X.T)[:4, :4], atol=1e-4)
    np.testing.assert_allclose(*products, atol=1e-6)


@pytest.mark.parametrize("n_items", [1, 2, 3])
def test_few_items_have_one_factor_each(n_items):
    values = Features(np.eye(n_items, dtype=np.float32), np.ones(n_items, bool))
    histories = [list(range(n_items))] * 2
    relations = make_relations(histories, [values], n_items=n_items, n_factors=128)
    assert relations.vectors.shape == (n_items, n_items)
    assert np.isfinite(relations.users(*pack(histories))).all()


def test_vectors_are_reproducible():
    np.testing.assert_array_equal(make_relations().vectors, make_relations().vectors)
