"""Values of each user: their means are those of evaluate, and pairs are compared by them."""

import numpy as np
import pytest
from scipy.sparse import random_array

from recsk.metrics import evaluate


@pytest.fixture
def by_user(script):
    return script("by_user")


class Ranker:
    def __init__(self, n_items, seed=0):
        self.scores = np.random.default_rng(seed).random(n_items)

    def recommend(self, user_ids, k, *, exclude_seen=True):
        ids = np.tile(np.argsort(-self.scores)[:k], (len(user_ids), 1))
        ids[::3, k // 2 :] = -1  # lists may be short
        return ids, np.zeros(ids.shape)


def test_means_are_those_of_evaluate(by_user, tmp_path):
    truth = random_array((50, 40), density=0.05, rng=np.random.default_rng(0), format="csr")
    kept = ("recall@10", "ndcg@5")
    found, values = by_user.measure(Ranker(40), truth, [5, 10], exclude_seen=True, kept=kept)
    expected = evaluate(Ranker(40), truth, k=(5, 10))
    assert list(found) == list(expected) and found == pytest.approx(expected, rel=1e-12)
    assert values["user"].tolist() == np.flatnonzero(np.diff(truth.indptr)).tolist()
    for metric in kept:
        assert values[metric].mean() == pytest.approx(found[metric])
    by_user.save(tmp_path / "in" / "some.npz", {"test": values, "valid": {}})
    read = by_user.load(tmp_path / "in" / "some.npz", "test")
    assert read.keys() == values.keys()
    assert all(np.array_equal(read[name], values[name]) for name in values)
    assert by_user.measure(Ranker(40), truth, [5], exclude_seen=True)[1] == {}


def test_paired_differences(by_user):
    rng = np.random.default_rng(0)
    reference = rng.random(400)
    values = [
        reference,
        reference + 0.02 + 0.01 * rng.normal(size=400),
        reference - 0.001 + 0.1 * rng.normal(size=400),
    ]
    same, better, worse = by_user.compare(values, [reference] * 3)
    assert (same["difference"], same["low"], same["high"], same["p"]) == (0, 0, 0, 1)
    assert 0 < better["low"] < better["difference"] < better["high"]
    assert better["p"] < 0.001 and better["p_holm"] == pytest.approx(3 * better["p"])
    assert worse["p"] > 0.05 and worse["low"] < 0 < worse["high"]
