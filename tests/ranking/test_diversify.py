import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsk.ranking.diversify import diversify


def reference(ids, scores, vectors, weights, k):
    """One user, one item at a time."""
    candidates = [c for c in range(len(ids)) if ids[c] >= 0]
    low, high = min(scores[candidates], default=0), max(scores[candidates], default=0)
    chosen = []
    while candidates and len(chosen) < k:
        best, largest = None, -np.inf
        for c in candidates:
            value = scores[c]
            if chosen:
                relevance = (scores[c] - low) / (high - low) if high > low else 0.0
                value = (1 - sum(weights)) * relevance
                for weight, part in zip(weights, vectors, strict=True):
                    value -= weight * max(float(part[c] @ part[other]) for other in chosen)
            if value > largest + 1e-9:
                best, largest = c, value
        chosen.append(best)
        candidates.remove(best)
    return [int(ids[c]) for c in chosen] + [-1] * (k - len(chosen))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_it_chooses_what_a_slow_reference_chooses(data):
    n, n_candidates = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 9))
    k = data.draw(st.integers(1, 10))
    weights = [w / 10 for w in data.draw(st.sampled_from([[3], [10], [1], [2, 5], [5, 5]]))]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    scores = -np.sort(-rng.normal(size=(n, n_candidates)).astype(np.float32), axis=1)
    ids = np.array([rng.permutation(50)[:n_candidates] for _ in range(n)])
    for row in range(n):
        n_padding = rng.integers(0, n_candidates + 1)
        ids[row, n_candidates - n_padding :] = -1
        scores[row, n_candidates - n_padding :] = -np.inf
    vectors = []
    for _ in weights:
        part = rng.normal(size=(n, n_candidates, 3))
        part /= np.linalg.norm(part, axis=2, keepdims=True)
        part[rng.random((n, n_candidates)) < 0.2] = 0
        vectors.append(part.astype(np.float32))
    found, best = diversify(ids, scores, vectors, weights, k)
    for row in range(n):
        expected = reference(ids[row], scores[row], [v[row] for v in vectors], weights, k)
        assert found[row].tolist() == expected
        by_id = dict(zip(ids[row].tolist(), scores[row].tolist(), strict=True))
        by_id[-1] = -np.inf
        assert best[row].tolist() == [by_id[i] for i in expected]


def test_a_weight_of_zero_changes_nothing():
    ids, scores = np.array([[4, 2, 9]]), np.float32([[3, 2, 1]])
    found, best = diversify(ids, scores, [np.ones((1, 3, 1), np.float32)], [0.0], 2)
    assert found.tolist() == [[4, 2]] and best.tolist() == [[3, 2]]


def test_equal_scores_keep_their_order():
    vectors = [np.zeros((1, 4, 2), np.float32)]
    ids, scores = np.array([[1, 3, 5, 7]]), np.float32([[2, 2, 2, 2]])
    assert diversify(ids, scores, vectors, [0.5], 3)[0].tolist() == [[1, 3, 5]]


@pytest.mark.parametrize("shape", [(0, 5), (3, 0)])
def test_no_users_or_no_candidates(shape):
    ids = np.empty(shape, np.int64)
    found, best = diversify(ids, ids.astype("f4"), [np.empty((*shape, 2), "f4")], [0.3], 2)
    assert found.shape == (shape[0], 2)
    assert (found == -1).all() and np.isneginf(best).all()
