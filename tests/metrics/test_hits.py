"""Checks of ranked lists, which all metrics share."""

import pytest

from recsk.metrics import recall_at_k
from tests.metrics.cases import TRUTH


@pytest.mark.parametrize(
    ("ranked", "k", "error", "message"),
    [
        ([[0, 6]], None, ValueError, "ranked has the id 6; ids go from 0 to 5"),
        ([[0, -2]], None, ValueError, "ranked has the id -2"),
        ([[1, 1]], None, ValueError, "ranked has item 1 twice in row 0"),
        ([[0, 1]], 3, ValueError, "k=3, but ranked has 2 columns"),
        ([[0, 1]], 0, ValueError, "k must be 1 or more; got 0"),
        ([[0, 1]], 1.0, TypeError, r"k must be an int; got 1\.0"),
        ([[0.5]], None, TypeError, "ranked must hold integer ids; got dtype float64"),
        ([0, 1], None, ValueError, r"ranked must have 2 axes.*\(2,\)"),
        ([[0], [1]], None, ValueError, "a row for each user; got 2 and 1"),
    ],
)
def test_wrong_ranked_lists_are_rejected(ranked, k, error, message):
    with pytest.raises(error, match=message):
        recall_at_k(ranked, TRUTH[[0]], k)
