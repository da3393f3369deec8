"""What the models find of the truth of a synthetic world."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from recsk import MDERecommender, MDSRecRecommender
from recsk.datasets import make_multimodal
from recsk.model_selection import LeaveLastOut


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.3])
def test_mde_finds_who_prefers_which_modality(correlation):
    world = make_multimodal(
        n_users=500,
        n_items=400,
        interactions_per_user=20,
        correlation=correlation,
        random_state=0,
    )
    model = MDERecommender(
        n_factors=32, learning_rate=5e-3, max_epochs=30, early_stopping=False, random_state=0
    )
    model.fit(world.interactions, item_features=world.item_features)
    found = spearmanr(model.user_preference_[:, 0], world.user_preference[:, 0]).statistic
    assert found > 0.7


@pytest.mark.slow
def test_mdsrec_finds_what_follows_from_the_last_item():
    world = make_multimodal(
        n_users=500, n_items=300, interactions_per_user=12, sequential=0.7, random_state=0
    )
    earlier, _ = next(LeaveLastOut().split(world.interactions))
    X = world.interactions[earlier]
    model = MDSRecRecommender(n_factors=32, max_epochs=15, early_stopping=False, random_state=0)
    model.fit(X, item_features=world.item_features)
    histories = X.sequences()
    ids, _ = model.recommend(np.arange(X.n_users), k=5)
    # Unseen items that may follow; there are at most five.
    follow = [
        np.setdiff1d(world.successors[items[-1]], items) if len(items) else np.array([])
        for items in histories
    ]
    found = np.array([np.isin(ids[u], follow[u]).sum() for u in range(X.n_users)])
    assert found.sum() > 0.5 * sum(map(len, follow))
    most_popular = np.argsort(-np.bincount(X.item, minlength=X.n_items))[:5]
    by_popularity = sum(np.isin(most_popular, items).sum() for items in follow)
    assert found.sum() > 10 * by_popularity
