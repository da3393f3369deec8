"""Relations of items to the last ones of a history, against slow NumPy and what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsk.features import Features
from recsk.graphs import nearby_graph
from recsk.relations import RecentRelations
from tests.nn.reference import symmetric, unit

HISTORIES = [[0, 1, 2, 1], [3, 4], [5], [], [2, 2, 6, 0, 7, 3, 1], [8, 4, 1]]
N_ITEMS = 10


def packed(histories):
    indptr = np.cumsum([0, *map(len, histories)])
    return indptr, np.concatenate([np.asarray(h, np.int64) for h in histories])


def features(seed=0, absent=()):
    values = np.random.default_rng(seed).normal(size=(N_ITEMS, 6)).astype(np.float32)
    values[list(absent)] = 0
    return Features(values, ~np.isin(np.arange(N_ITEMS), absent))


def nearby(histories, window):
    C = np.zeros((N_ITEMS, N_ITEMS))
    for history in histories:
        for s, i in enumerate(history):
            for t, j in enumerate(history):
                if i != j and 0 < abs(s - t) <= window:
                    C[i, j] += 1
    return symmetric(C)


def affinity(histories, modalities, window, share):
    N = nearby(histories, window)
    B = share * N / np.linalg.norm(N)
    for values, present in modalities:
        rows = np.array([unit(row) * p for row, p in zip(values, present, strict=True)])
        S = rows @ rows.T
        B += (1 - share) / len(modalities) * S / np.linalg.norm(S)
    return B


def made(histories=HISTORIES, modalities=None, share=0.5, **changes):
    modalities = [features(0), features(1, [3])] if modalities is None else modalities
    options = {"n_items": N_ITEMS, "n_factors": 9, "window": 2, "weight": 1.0}
    return RecentRelations.from_histories(
        *packed(histories), modalities, behavior_share=share, **{**options, **changes}
    )


@given(
    st.lists(st.lists(st.integers(0, N_ITEMS - 1), max_size=8), min_size=1, max_size=5),
    st.integers(1, 9),
)
def test_nearby_graph(histories, window):
    graph = nearby_graph(*packed(histories), N_ITEMS, window)
    assert graph.dtype == np.float32
    np.testing.assert_allclose(graph.toarray(), nearby(histories, window), atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n_factors", [3, 9])
def test_vectors_are_those_of_the_largest_eigenvalues(share, n_factors):
    modalities = [features(0), features(1, [3])]
    relations = made(modalities=modalities, share=share, n_factors=n_factors)
    values, vectors = np.linalg.eigh(affinity(HISTORIES, modalities, 2, share))
    largest = values.argsort()[::-1][:n_factors]
    X = vectors[:, largest] * np.sqrt(np.maximum(values[largest], 0))
    length = np.linalg.norm(X, axis=1)
    if length[9] > 1e-3:  # nobody met item 9
        X[9] *= length[:9].mean() / length[9]
    assert relations.vectors.shape == (N_ITEMS, n_factors)
    np.testing.assert_allclose(relations.vectors @ relations.vectors.T, X @ X.T, atol=1e-4)


def test_scores():
    relations = made(window=3, weight=0.7)
    X = relations.vectors.astype(np.float64)
    scores = relations.users(*packed(HISTORIES)) @ relations.vectors.T
    for history, row in zip(HISTORIES, scores, strict=True):
        profile = np.zeros(X.shape[1])
        for s, item in enumerate(history[::-1][:3], start=1):
            profile += s**-0.5 * X[item]
        expected = X @ profile
        if history:
            expected *= 0.7 / np.sqrt(np.mean(expected**2))
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-4)


def test_what_is_met_soon_after_is_related():
    histories = [[0, 1, 8, 9], [1, 0, 9, 8], [2, 3], [3, 2]] * 3
    relations = made(histories, share=1.0, window=1)
    scores = relations.users(*packed([[0], [3]])) @ relations.vectors.T
    assert scores[0, [1, 9]].min() > scores[0, [2, 3, 4, 5]].max()
    assert scores[1].argsort()[-2:].tolist() in ([2, 3], [3, 2])


def test_an_item_that_nobody_met_is_related_by_content():
    values = np.repeat(np.eye(5, dtype=np.float32), 2, axis=0)  # items in pairs
    relations = made([[0, 2, 4, 6, 8]] * 3, [Features(values, np.ones(N_ITEMS, bool))])
    scores = relations.users(*packed([[0]])) @ relations.vectors.T
    odd = np.arange(1, N_ITEMS, 2)
    assert scores[0, odd].argmax() == 0  # item 1, the other one of the pair


@pytest.mark.parametrize(
    ("histories", "modalities"),
    [([[1], [2]], [features(0, range(10))]), ([[]], [features(0, range(10))])],
)
def test_nothing_is_related(histories, modalities):
    relations = made(histories, modalities)
    assert not relations.vectors.any()
    assert not relations.users(*packed(HISTORIES)).any()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("n_items", [40, 1500])
def test_items_without_relations_have_none(n_items, share):
    """However many there are, and although fewer directions are needed than asked for."""
    histories = [[0, 1, 2], [2, 3, 1], [5]] * 2
    values = np.zeros((n_items, 3), np.float32)
    values[[1, 2, 3, 7]] = np.eye(3)[[0, 0, 1, 1]]
    related = {0.0: [1, 2, 3, 7], 0.5: [0, 1, 2, 3, 7], 1.0: [0, 1, 2, 3]}[share]
    modality = Features(values, values.any(axis=1))
    first, second = (made(histories, [modality], share, n_items=n_items) for _ in range(2))
    np.testing.assert_array_equal(first.vectors, second.vectors)
    np.testing.assert_array_equal(np.flatnonzero(first.vectors.any(axis=1)), related)
    users = first.users(*packed([[5], [5, 9], [1]]))
    np.testing.assert_array_equal(users.any(axis=1), [False, False, True])


def test_many_items_are_done_by_few_products_and_the_same_twice():
    """As exact as with all eigenvalues, where directions are fewer than asked for as well."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1500, 8)).astype(np.float32)
    modality = Features(values, np.ones(1500, bool))
    first, second = (
        made([[0, 1], [2, 3]], [modality], 0.2, n_items=1500, n_factors=30) for _ in range(2)
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
def test_few_items(n_items):
    values = Features(np.eye(n_items, dtype=np.float32), np.ones(n_items, bool))
    histories = [list(range(n_items))] * 2
    relations = made(histories, [values], n_items=n_items, n_factors=128)
    assert relations.vectors.shape == (n_items, n_items)
    assert np.isfinite(relations.users(*packed(histories))).all()


def test_the_same_twice():
    np.testing.assert_array_equal(made().vectors, made().vectors)
