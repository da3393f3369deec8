"""Rankings, held-out items and a recommender that the tests of metrics share."""

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import sparse

from recsk.metrics import (
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

# User 0: items 1, 2 and 5 are held out, ranks 1 and 3 are hits. User 1: item 0 is held out, rank
# 2 is a hit. User 2: nothing is held out. User 3: item 4 is held out, no rank is a hit, and the
# list is padded.
RANKED = np.array([[1, 0, 2], [3, 0, 1], [0, 1, 2], [2, -1, -1]])
TRUTH = sparse.csr_array(
    [[0, 1, 1, 0, 0, 1], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0]]
)


class FixedRecommender:
    """Recommends given lists and records the arguments of each call."""

    def __init__(self, ranked):
        self.ranked = np.asarray(ranked)
        self.calls = []

    def recommend(self, user_ids, k=10, *, exclude_seen=True):
        self.calls.append((np.asarray(user_ids).tolist(), k, exclude_seen))
        return self.ranked[user_ids, :k], np.zeros((len(user_ids), k), "f4")


@st.composite
def lists_and_histories(draw):
    """Draw padded lists, the row of `train` of each, and a binary `train`."""
    n_items, n_users = draw(st.integers(1, 8)), draw(st.integers(1, 6))
    n, width = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    ranked = np.full((n, width), -1)
    for row in ranked:
        listed = draw(st.permutations(range(n_items)))[: draw(st.integers(0, width))]
        row[: len(listed)] = listed
    train = np.zeros((n_users, n_items), dtype=int)
    for row in train:
        row[sorted(draw(st.sets(st.integers(0, n_items - 1))))] = 1
    users = draw(st.lists(st.integers(0, n_users - 1), min_size=n, max_size=n))
    return ranked, train, np.array(users), draw(st.integers(1, width))


def mean(values):
    """Average a list; NaN for an empty one."""
    return sum(values) / len(values) if values else np.nan


def check_average(values, function, *args, **kwargs):
    """Check that `function` averages these values, or says that there are none."""
    defined = [value for value in values if not np.isnan(value)]
    if defined:
        np.testing.assert_allclose(function(*args, **kwargs), np.mean(defined), atol=1e-9)
    else:
        with pytest.raises(ValueError, match="is not defined for any of the .* lists of ranked"):
            function(*args, **kwargs)
