import pytest

from recsk.metrics import coverage_at_k, evaluate
from tests.metrics.cases import RANKED, TRUTH, FixedRecommender


def test_coverage_is_the_share_of_items_in_the_lists():
    assert coverage_at_k(RANKED, 6) == pytest.approx(4 / 6)
    assert coverage_at_k(RANKED, 6, k=1) == pytest.approx(4 / 6)
    assert coverage_at_k([[0, 1], [0, 1], [0, -1]], 4, k=1) == 0.25
    # `evaluate` requests lists of users 0, 1 and 3 only.
    assert evaluate(FixedRecommender(RANKED), TRUTH, "coverage", (1, 3)) == {
        "coverage@1": pytest.approx(3 / 6),
        "coverage@3": pytest.approx(4 / 6),
    }
