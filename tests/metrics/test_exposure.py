import numpy as np
import pytest
from hypothesis import given
from scipy import sparse

from recsk.metrics import coverage_at_k, evaluate, gini_at_k
from tests.metrics.cases import RANKED, TRUTH, FixedRecommender, lists_and_histories


def reference(counts):
    """Half of the mean absolute difference between items, relative to the mean."""
    differences = np.abs(np.subtract.outer(counts, counts))
    return differences.mean() / (2 * np.mean(counts))


@given(lists_and_histories())
def test_gini_equals_its_definition(problem):
    ranked, train, _, k = problem
    n_items = train.shape[1]
    counts = [sum(item in row[:k] for row in ranked.tolist()) for item in range(n_items)]
    if not any(counts):
        with pytest.raises(ValueError, match="ranked holds no item"):
            gini_at_k(ranked, n_items, k)
        return
    assert gini_at_k(ranked, n_items, k) == pytest.approx(reference(counts), abs=1e-12)
    # The other form in the literature, with shares of exposure in ascending order.
    shares = np.sort(counts) / sum(counts)
    other = sum((2 * j - n_items - 1) * x for j, x in enumerate(shares, start=1)) / n_items
    assert gini_at_k(ranked, n_items, k) == pytest.approx(other, abs=1e-12)


def test_extremes():
    assert gini_at_k([[0, 1], [1, 2], [2, 0]], 3) == 0
    assert gini_at_k([[1], [1], [1]], 4) == 0.75


def test_evaluate_measures_exposure_of_its_lists(monkeypatch):
    from recsk.metrics import evaluation

    listed = RANKED[[0, 1, 3]]  # user 2 has no held-out item
    expected = {
        f"{name}@{k}": pytest.approx(function(listed, 6, k))
        for name, function in (("gini", gini_at_k), ("coverage", coverage_at_k))
        for k in (3, 1)
    }
    for batch in (8192, 2):
        monkeypatch.setattr(evaluation, "_BATCH_USERS", batch)
        assert evaluate(FixedRecommender(RANKED), TRUTH, ["gini", "coverage"], (3, 1)) == expected


def test_lists_without_items_have_no_gini():
    est = FixedRecommender(np.full((1, 2), -1))
    assert np.isnan(evaluate(est, sparse.csr_array([[1, 0]]), "gini", 2)["gini@2"])
