"""Values that other libraries give for the same lists, where their definitions are the same.

RecTools 0.19.0: MeanInvUserFreq, AvgRecPopularity, IntraListDiversity (with cosine distances) and
CatalogCoverage. RecBole 1.2.1: GiniIndex. Accuracy is compared with ranx in test_definitions.
"""

import numpy as np
import pytest
from scipy import sparse

from recsk.metrics import (
    coverage_at_k,
    diversity_at_k,
    gini_at_k,
    novelty_at_k,
    popularity_at_k,
)

HISTORIES = [[0, 1, 2], [0, 1], [0, 3, 4], [1, 2, 5], [0]]
RANKED = [[3, 4, 5, 6], [2, 3, 7, 5], [1, 2, 5, 6], [0, 3, 4, 7], [1, 2, 3, 4]]
FEATURES = np.array(
    [[1, 0, 2], [0, 1, 1], [1, 1, 0], [2, 0, 1], [0, 3, 1], [1, 2, 2], [1, 0, 0], [0, 0, 1]]
)
USER = np.repeat(np.arange(5), [len(items) for items in HISTORIES])
TRAIN = sparse.csr_array((np.ones(len(USER)), (USER, np.concatenate(HISTORIES))), shape=(5, 8))

THEIRS = {
    2: {
        "novelty": 1.5049355947431309,
        "popularity": 2.0,
        "diversity": 0.485224622345803,
        "coverage": 0.625,
        "gini": 0.525,
    },
    4: {
        "novelty": 1.9134318448152468,
        "popularity": 1.3,
        "diversity": 0.4971230372092109,
        "coverage": 1.0,
        "gini": 0.1875,
    },
}


@pytest.mark.parametrize("k", [2, 4])
def test_values_of_other_libraries(k):
    ours = {
        "novelty": novelty_at_k(RANKED, TRAIN, k),
        "popularity": 5 * popularity_at_k(RANKED, TRAIN, k),  # theirs is a number of users
        "diversity": diversity_at_k(RANKED, FEATURES, k),
        "coverage": coverage_at_k(RANKED, 8, k),
        "gini": gini_at_k(RANKED, 8, k),
    }
    assert ours == pytest.approx(THEIRS[k], abs=1e-12)
