"""The baselines, small data, and a slow reference of scores by items of the history."""

import numpy as np

from recsk import Interactions
from recsk.baselines import (
    ALSRecommender,
    BPRRecommender,
    ContentKNNRecommender,
    EASERecommender,
    ItemKNNRecommender,
    PopularRecommender,
    RP3betaRecommender,
    SequentialRulesRecommender,
)

N_USERS, N_ITEMS = 30, 12

IDS_ALONE = [
    PopularRecommender(),
    ItemKNNRecommender(n_neighbors=4),
    ItemKNNRecommender(n_neighbors=4, weighting="cosine"),
    ItemKNNRecommender(n_neighbors=4, weighting="tfidf"),
    RP3betaRecommender(n_neighbors=4),
    EASERecommender(regularization=2.0),
    ALSRecommender(factors=4, iterations=3, random_state=0),
    BPRRecommender(factors=4, iterations=5, random_state=0),
]
WITH_FEATURES = [
    ContentKNNRecommender(),
    ContentKNNRecommender(n_neighbors=4),
    SequentialRulesRecommender(max_gap=3),
]
ALL = IDS_ALONE + WITH_FEATURES


def name(est):
    """Name a case, such as ``ItemKNN-weighting='tfidf'``."""
    return repr(est).replace("Recommender", "")


def interactions(seed=0):
    """Ordered interactions without repeats; the last user and the last item have none."""
    rng = np.random.default_rng(seed)
    popular = np.argsort(rng.random((N_USERS - 1, N_ITEMS - 1)) ** np.arange(1, N_ITEMS), axis=1)
    lengths = rng.integers(2, 7, N_USERS - 1)
    user = np.repeat(np.arange(N_USERS - 1), lengths)
    item = np.concatenate([row[-n:] for row, n in zip(popular, lengths, strict=True)])
    time = rng.permutation(len(user))
    return Interactions(user, item, timestamp=time, n_users=N_USERS, n_items=N_ITEMS)


def item_features(seed=0):
    """Two modalities; item 1 lacks the text, item 2 the image, item 3 both."""
    rng = np.random.default_rng(seed)
    text, image = rng.normal(size=(N_ITEMS, 5)), rng.random(size=(N_ITEMS, 3))
    text[[1, 3]], image[[2, 3]] = np.nan, np.nan
    return {"text": text, "image": image}


def cosine(features, i, j):
    """Sum the cosines of two items over the modalities that both have, and normalise the sum."""
    has = [[m for m in features if not np.isnan(features[m][item]).any()] for item in (i, j)]
    total = 0.0
    for m in set(has[0]) & set(has[1]):
        a, b = features[m][i], features[m][j]
        total += a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    return total / max(np.sqrt(len(has[0]) * len(has[1])), 1)


def all_scores(model, user_ids):
    """Give the scores of all items in the order of the items."""
    ids, scores = model.recommend(user_ids, N_ITEMS, exclude_seen=False)
    return np.take_along_axis(scores, np.argsort(ids, axis=1), axis=1)


def summed(B, histories):
    """Sum the rows of an item-to-item matrix over each history."""
    return np.array([np.asarray(B)[list(history)].sum(axis=0) for history in histories])
