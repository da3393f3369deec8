import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recsk import Interactions, metrics
from recsk.metrics import (
    coverage_at_k,
    evaluate,
    hit_rate_at_k,
    map_at_k,
    mrr_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
)

FUNCTIONS = {
    "recall": recall_at_k,
    "precision": precision_at_k,
    "ndcg": ndcg_at_k,
    "map": map_at_k,
    "mrr": mrr_at_k,
    "hit_rate": hit_rate_at_k,
}

# Worked out by hand. User 0: items 1, 2, 5 held out, ranks 1 and 3 hit; user 1: item 0, rank 2
# hits; user 2: nothing held out; user 3: item 4, no hit, and the list has ended.
RANKED = np.array([[1, 0, 2], [3, 0, 1], [0, 1, 2], [2, -1, -1]])
TRUTH = sparse.csr_array(
    [[0, 1, 1, 0, 0, 1], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0]]
)
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


class Fixed:
    """Recommends what it was told, and remembers what it was asked."""

    def __init__(self, ranked):
        self.ranked = np.asarray(ranked)
        self.asked = []

    def recommend(self, user_ids, k=10, *, exclude_seen=True):
        self.asked.append((np.asarray(user_ids).tolist(), k, exclude_seen))
        return self.ranked[user_ids, :k], np.zeros((len(user_ids), k), "f4")


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_table_by_hand(name, k):
    values = FUNCTIONS[name](RANKED, TRUTH, k, average=False)
    a, b, d = BY_HAND[name][k]
    np.testing.assert_allclose(values, [a, b, np.nan, d])
    assert FUNCTIONS[name](RANKED, TRUTH, k) == pytest.approx((a + b + d) / 3)
    assert evaluate(Fixed(RANKED), TRUTH, name, k)[f"{name}@{k}"] == pytest.approx((a + b + d) / 3)


def test_coverage():
    assert coverage_at_k(RANKED, 6) == pytest.approx(4 / 6)
    assert coverage_at_k(RANKED, 6, k=1) == pytest.approx(4 / 6)
    assert coverage_at_k([[0, 1], [0, 1], [0, -1]], 4, k=1) == 0.25
    # evaluate asks only about users 0, 1 and 3
    assert evaluate(Fixed(RANKED), TRUTH, "coverage", (1, 3)) == {
        "coverage@1": pytest.approx(3 / 6),
        "coverage@3": pytest.approx(4 / 6),
    }


def oracle(ranking, relevant, k):
    """The definitions, word by word."""
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
        with pytest.raises(ValueError, match="truth holds nothing out"):
            recall_at_k(ranked, truth, k)
        return
    expected = [oracle(ranked[i].tolist(), relevant[i], k) for i in rows]
    table = evaluate(Fixed(ranked), truth, tuple(FUNCTIONS), k)
    for name, function in FUNCTIONS.items():
        wanted = [row[name] for row in expected]
        np.testing.assert_allclose(function(ranked, truth, k, average=False)[rows], wanted)
        assert table[f"{name}@{k}"] == pytest.approx(np.mean(wanted))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*unsafe cast")
def test_agrees_with_ranx():
    ranx = pytest.importorskip("ranx")
    rng = np.random.default_rng(0)
    n, n_items, k = 200, 60, 10
    ranked = np.argsort(rng.random((n, n_items)), axis=1)[:, :k]
    # At most k held out, for ranx divides MAP by h, not by min(k, h).
    truth = np.zeros((n, n_items), dtype=int)
    for row in truth:
        row[rng.choice(n_items, rng.integers(1, k + 1), replace=False)] = 1
    qrels = ranx.Qrels({str(u): {str(i): 1 for i in np.flatnonzero(truth[u])} for u in range(n)})
    run = ranx.Run(
        {str(u): {str(i): float(k - r) for r, i in enumerate(ranked[u])} for u in range(n)}
    )
    for cut in (1, 5, 10):
        for name, function in FUNCTIONS.items():
            if name == "map" and cut < k:
                continue
            value = ranx.evaluate(qrels, run, f"{name}@{cut}")
            assert function(ranked, sparse.csr_array(truth), cut) == pytest.approx(value)


def test_evaluate_orders_keys_and_asks_once_per_batch(monkeypatch):
    monkeypatch.setattr(metrics, "_BATCH_USERS", 2)
    est = Fixed(RANKED)
    values = evaluate(est, TRUTH, ("ndcg", "recall"), (3, 1), exclude_seen=False)
    assert list(values) == ["ndcg@3", "ndcg@1", "recall@3", "recall@1"]
    assert all(type(value) is float for value in values.values())
    assert est.asked == [([0, 1], 3, False), ([3], 3, False)]
    for cuts in (np.array([3, 1]), range(3, 0, -2)):
        again = evaluate(Fixed(RANKED), TRUTH, ("ndcg", "recall"), cuts)
        assert again == values


def test_eval_users_restrict():
    est = Fixed(RANKED)
    values = evaluate(est, TRUTH, "recall", 3, eval_users=[2, 1, 1])
    assert values == {"recall@3": 1.0}
    assert est.asked == [([1], 3, True)]


def test_truth_in_any_form_means_the_same():
    coo = TRUTH.tocoo()
    repeated = sparse.coo_array(
        (
            np.r_[coo.data, coo.data, 0],
            (np.r_[coo.row, coo.row, 2], np.r_[coo.col, coo.col, 3]),
        ),
        shape=coo.shape,
    )
    for truth in (
        TRUTH.tocsc(),
        sparse.csr_matrix(TRUTH),
        repeated,
        Interactions.from_csr(TRUTH),
        Interactions(coo.row, coo.col, n_users=4, n_items=6),
    ):
        assert evaluate(Fixed(RANKED), truth, k=3) == evaluate(Fixed(RANKED), TRUTH, k=3)


@pytest.mark.parametrize(
    ("ranked", "k", "error", "message"),
    [
        ([[0, 6]], None, ValueError, "ranked holds 6; ids go from 0 to 5"),
        ([[0, -2]], None, ValueError, "ranked holds -2"),
        ([[1, 1]], None, ValueError, "ranked names item 1 twice in row 0"),
        ([[0, 1]], 3, ValueError, "k=3, but ranked has 2 columns"),
        ([[0, 1]], 0, ValueError, "k must be 1 or more; got 0"),
        ([[0, 1]], 1.0, TypeError, r"k must be an int; got 1\.0"),
        ([[0.5]], None, TypeError, "ranked must hold integer ids; got dtype float64"),
        ([0, 1], None, ValueError, r"ranked must have 2 axes.*\(2,\)"),
        ([[0], [1]], None, ValueError, "a row for each user; got 2 and 1"),
    ],
)
def test_errors(ranked, k, error, message):
    with pytest.raises(error, match=message):
        recall_at_k(ranked, TRUTH[[0]], k)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"metrics": "auc"}, ValueError, "metrics must be one of recall, ndcg.*got 'auc'"),
        ({"metrics": ()}, ValueError, "metrics and k must not be empty"),
        ({"k": 0}, ValueError, "k must be 1 or more; got 0"),
        ({"k": (5, 2.5)}, TypeError, r"k must be an int; got 2\.5"),
        ({"k": 2**70}, ValueError, "k must be at most"),
        ({"metrics": None}, ValueError, "metrics must be one of recall, ndcg.*got None"),
        ({"eval_users": [4]}, IndexError, "eval_users holds 4; X_test has users 0 to 3"),
        ({"eval_users": [0.5]}, TypeError, "eval_users must be 1-D and hold integers"),
        ({"eval_users": [2]}, ValueError, "no user to evaluate has a held-out item"),
        ({"X_test": sparse.csr_array((4, 6))}, ValueError, "no user to evaluate"),
        ({"X_test": TRUTH.toarray()}, TypeError, "X_test must be a scipy sparse matrix"),
        ({"est": object()}, TypeError, "est must have a method recommend.*got object"),
    ],
)
def test_errors_of_evaluate(change, error, message):
    arguments = {"est": Fixed(RANKED), "X_test": TRUTH, "k": 3}
    with pytest.raises(error, match=message):
        evaluate(**(arguments | change))


def test_another_number_of_items_than_in_training_is_refused():
    est = Fixed(RANKED)
    est.n_features_in_ = 7
    with pytest.raises(ValueError, match="has 6 items, but Fixed was fitted on 7"):
        evaluate(est, TRUTH, k=3)
