"""Values of the metrics that average over users: by hand, by definition and by ranx."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recsk.metrics import evaluate, recall_at_k
from tests.metrics.cases import FUNCTIONS, RANKED, TRUTH, FixedRecommender

LOG3 = math.log2(3)
BY_HAND = {
    # name: {k: (user 0, user 1, user 3)}
    "recall": {1: (1 / 3, 0, 0), 3: (2 / 3, 1, 0)},
    "precision": {1: (1, 0, 0), 3: (2 / 3, 1 / 3, 0)},
    "ndcg": {1: (1, 0, 0), 3: (1.5 / (1.5 + 1 / LOG3), 1 / LOG3, 0)},
    "map": {1: (1, 0, 0), 3: ((1 + 2 / 3) / 3, 1 / 2, 0)},
    "mrr": {1: (1, 0, 0), 3: (1, 1 / 2, 0)},
    "hit_rate": {1: (1, 0, 0), 3: (1, 1, 0)},
}


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_computed_by_hand(name, k):
    values = FUNCTIONS[name](RANKED, TRUTH, k, average=False)
    a, b, d = BY_HAND[name][k]
    np.testing.assert_allclose(values, [a, b, np.nan, d])
    mean = pytest.approx((a + b + d) / 3)
    assert FUNCTIONS[name](RANKED, TRUTH, k) == mean
    assert evaluate(FixedRecommender(RANKED), TRUTH, name, k)[f"{name}@{k}"] == mean


def reference(ranking, relevant, k):
    """Compute all metrics of one user directly from their definitions."""
    ranking = [item for item in ranking[:k] if item >= 0]
    hit_ranks = [rank for rank, item in enumerate(ranking, start=1) if item in relevant]
    best = min(k, len(relevant))
    precision_at = {r: sum(h <= r for h in hit_ranks) / r for r in hit_ranks}
    ideal = sum(1 / math.log2(r + 1) for r in range(1, best + 1))
    return {
        "recall": len(hit_ranks) / len(relevant),
        "precision": len(hit_ranks) / k,
        "ndcg": sum(1 / math.log2(r + 1) for r in hit_ranks) / ideal,
        "map": sum(precision_at.values()) / best,
        "mrr": 1 / hit_ranks[0] if hit_ranks else 0,
        "hit_rate": float(bool(hit_ranks)),
    }


@st.composite
def rankings(draw):
    n_items = draw(st.integers(1, 8))
    n, width = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    ranked = []
    for _ in range(n):
        order = draw(st.permutations(range(n_items)))[: draw(st.integers(0, width))]
        ranked.append(order[:width] + [-1] * (width - len(order[:width])))
    relevant = [draw(st.sets(st.integers(0, n_items - 1))) for _ in range(n)]
    truth = sparse.lil_array((n, n_items))
    for row, items in enumerate(relevant):
        truth[row, sorted(items)] = 1
    return np.array(ranked), relevant, truth, draw(st.integers(1, width))


@given(rankings())
def test_metrics_equal_their_definitions(problem):
    ranked, relevant, truth, k = problem
    rows = [i for i, items in enumerate(relevant) if items]
    if not rows:
        with pytest.raises(ValueError, match="truth has no held-out items"):
            recall_at_k(ranked, truth, k)
        return
    expected = [reference(ranked[i].tolist(), relevant[i], k) for i in rows]
    table = evaluate(FixedRecommender(ranked), truth, tuple(FUNCTIONS), k)
    for name, function in FUNCTIONS.items():
        by_user = [values[name] for values in expected]
        np.testing.assert_allclose(function(ranked, truth, k, average=False)[rows], by_user)
        assert table[f"{name}@{k}"] == pytest.approx(np.mean(by_user))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*unsafe cast")
def test_metrics_agree_with_ranx():
    ranx = pytest.importorskip("ranx")
    rng = np.random.default_rng(0)
    n, n_items, k = 200, 60, 10
    ranked = np.argsort(rng.random((n, n_items)), axis=1)[:, :k]
    # At most k items are held out, because ranx divides MAP by h and not by min(k, h).
    truth = np.zeros((n, n_items), dtype=int)
    for row in truth:
        row[rng.choice(n_items, rng.integers(1, k + 1), replace=False)] = 1
    qrels = ranx.Qrels({str(u): {str(i): 1 for i in np.flatnonzero(truth[u])} for u in range(n)})
    run = ranx.Run(
        {str(u): {str(i): float(k - r) for r, i in enumerate(ranked[u])} for u in range(n)}
    )
    for cutoff in (1, 5, 10):
        for name, function in FUNCTIONS.items():
            if name == "map" and cutoff < k:
                continue
            value = ranx.evaluate(qrels, run, f"{name}@{cutoff}")
            assert function(ranked, sparse.csr_array(truth), cutoff) == pytest.approx(value)
