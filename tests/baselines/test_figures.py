"""Figures of simple rules on real data, at the settings that were published with them.

Rules learn from the training part alone, as the networks beside them do.
"""

import numpy as np
import pytest

from recsk import Interactions
from recsk.baselines import EASERecommender, RP3betaRecommender, SequentialRulesRecommender
from recsk.metrics import evaluate
from recsk.model_selection import InteractionKFold, LeaveLastOut

pytestmark = [pytest.mark.realdata, pytest.mark.slow]


def given_split(data):
    parts = ("train", "val", "test")
    n_users = 1 + max(data[f"{part}_user"].max() for part in parts)
    n_items = 1 + max(data[f"{part}_item"].max() for part in parts)
    if "v" in data:
        n_items = len(data["v"])
    return (
        Interactions(data[f"{part}_user"], data[f"{part}_item"], n_users=n_users, n_items=n_items)
        for part in ("train", "test")
    )


def random_split(data):
    """Each user 8:1:1, seed 0; the first tenth is the test set, the second validation."""
    X = Interactions(data["user"], data["item"])
    folds = [test for _, test in InteractionKFold(n_splits=10, random_state=0).split(X)]
    return X[np.concatenate(folds[2:])], X[folds[0]]


@pytest.mark.parametrize(
    ("name", "est", "recall", "ndcg"),
    [
        ("ml100k", EASERecommender(regularization=300), 0.3661, 0.3046),
        ("ml1m", EASERecommender(regularization=1000), 0.2440, 0.3398),
        ("tiktok", EASERecommender(regularization=20), 0.0883, 0.0396),
        ("ml1m", RP3betaRecommender(alpha=1, beta=0.4, n_neighbors=200), 0.1733, 0.2550),
        ("tiktok", RP3betaRecommender(alpha=1, beta=0, n_neighbors=200), 0.0920, 0.0402),
    ],
)
def test_rules_of_ids(name, est, recall, ndcg, real_data):
    data = real_data(name)
    train, test = random_split(data) if name == "ml100k" else given_split(data)
    measured = evaluate(est.fit(train), test, ["recall", "ndcg"], k=20)
    assert measured["recall@20"] == pytest.approx(recall, abs=0.002)
    assert measured["ndcg@20"] == pytest.approx(ndcg, abs=0.002)


@pytest.mark.parametrize(
    ("content_weight", "recall", "ndcg"), [(0, 0.0932, 0.0691), (0.2, 0.1230, 0.0893)]
)
def test_the_sequential_rule(content_weight, recall, ndcg, real_data):
    """Everybody's last interaction is the test, the one before it is history and not learned."""
    data = real_data("scientific")
    features = {name: data[name].astype(np.float32) for name in ("t", "d")}
    X = Interactions(
        data["user"], data["item"], timestamp=data["timestamp"], n_items=len(features["t"])
    )
    cv = LeaveLastOut(repeats=True)
    history, test = (X[part] for part in next(cv.split(X)))
    train = history[next(cv.split(history))[0]]
    model = SequentialRulesRecommender(content_weight=content_weight)
    model.fit(train, item_features=features)
    ids, _ = model.recommend(user_items=history, k=10)
    last = np.empty(X.n_users, dtype=int)
    last[test.user] = test.item
    hit = ids == last[:, None]
    assert hit.any(axis=1).mean() == pytest.approx(recall, abs=0.002)
    gain = (hit / np.log2(np.arange(2, 12))).sum(axis=1).mean()
    assert gain == pytest.approx(ndcg, abs=0.002)
