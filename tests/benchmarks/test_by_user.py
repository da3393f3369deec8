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


def test_means_are_those_of_evaluate(by_user, tmp_path, monkeypatch):
    monkeypatch.setattr(by_user, "BATCH", 9)
    truth = random_array((50, 40), density=0.05, rng=np.random.default_rng(0), format="csr")
    kept = ("recall@10", "ndcg@10", "ndcg@5")
    found, values = by_user.measure(Ranker(40), truth, [5, 10], exclude_seen=True, kept=kept)
    assert found == evaluate(Ranker(40), truth, k=(5, 10))
    users = np.flatnonzero(np.diff(truth.indptr))
    assert values["user"].tolist() == users.tolist()
    # The lists of a batch are short for every third user of it: the same batches for both.
    monkeypatch.setattr(by_user, "BATCH", 1000)
    _, values = by_user.measure(Ranker(40), truth, [5, 10], exclude_seen=True, kept=kept)
    for metric in kept:
        assert values[metric].mean() == pytest.approx(found[metric])
    by_user.save(tmp_path / "in" / "some.npz", {"test": values, "valid": {}})
    read = by_user.load(tmp_path / "in" / "some.npz", "test")
    assert read.keys() == values.keys()
    assert all(np.array_equal(read[name], values[name]) for name in values)


def test_paired_differences(by_user):
    rng = np.random.default_rng(0)
    reference = rng.random(400)
    same = by_user.compare(reference, reference)
    assert same == {"difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}
    better = by_user.compare(reference + 0.02 + 0.01 * rng.normal(size=400), reference)
    assert better["low"] < better["difference"] < better["high"]
    assert better["p"] < 0.001 and better["low"] > 0
    worse = by_user.compare(reference - 0.001 + 0.1 * rng.normal(size=400), reference)
    assert worse["p"] > 0.05 and worse["low"] < 0 < worse["high"]
