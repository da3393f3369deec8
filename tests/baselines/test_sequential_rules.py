import numpy as np
import pytest
from sklearn.base import clone

from recsk import Interactions
from recsk.baselines import SequentialRulesRecommender
from tests.baselines.cases import N_ITEMS, all_scores, cosine, interactions, item_features


def rule(sequences, histories, features, est, weights=None):
    """Score by the formula, pair by pair."""
    C, n = np.zeros((N_ITEMS, N_ITEMS)), np.zeros(N_ITEMS)
    weights = [np.ones(len(s)) for s in sequences] if weights is None else weights
    for sequence, weight in zip(sequences, weights, strict=True):
        for s, i in enumerate(sequence):
            n[i] += weight[s]
            for t in range(s + 1, min(s + est.max_gap + 1, len(sequence))):
                pair = np.sqrt(weight[s] * weight[t]) * est.gap_decay ** (t - s - 1)
                C[i, sequence[t]] += pair * (i != sequence[t])
    C /= np.sqrt(np.maximum(n, 1e-9))[:, None]
    C /= C.max()
    scores = np.zeros((len(histories), N_ITEMS))
    for row, history in zip(scores, histories, strict=True):
        for age, j in enumerate(list(history)[::-1][: est.n_recent]):
            for i in range(N_ITEMS):
                content = cosine(features, j, i) if features else 0.0
                row[i] += est.recent_decay**age * (C[j, i] + est.content_weight * content)
    return scores


@pytest.mark.parametrize("features", [item_features(), None], ids=["features", "ids"])
@pytest.mark.parametrize("weighted", [False, True])
def test_scores_equal_the_formula(features, weighted):
    X = interactions()
    est = SequentialRulesRecommender(
        max_gap=2, gap_decay=0.6, n_recent=3, recent_decay=0.7, content_weight=0.4
    )
    weight = np.random.default_rng(1).integers(1, 5, len(X)) if weighted else np.ones(len(X))
    model = clone(est).fit(X, item_features=features, sample_weight=weight)
    order = np.lexsort((X.timestamp, X.user))
    ends = np.cumsum(np.bincount(X.user, minlength=30))[:-1]
    sequences = X.sequences()
    expected = rule(sequences, sequences[:29], features, est, np.split(weight[order], ends))
    np.testing.assert_allclose(all_scores(model, np.arange(29)), expected, rtol=1e-4, atol=1e-5)
    assert hasattr(model, "item_embedding_") == (features is not None)


def test_new_histories_are_read_in_their_order():
    X = interactions()
    est = SequentialRulesRecommender(n_recent=2)
    model = clone(est).fit(X)
    histories = [[1, 2, 3], [3, 2, 1]]
    ids, scores = model.recommend(user_items=histories, k=N_ITEMS, exclude_seen=False)
    found = np.take_along_axis(scores, np.argsort(ids, axis=1), axis=1)
    expected = rule(X.sequences(), histories, None, est)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_without_content_weight_features_do_not_count():
    X = interactions()
    est = SequentialRulesRecommender(content_weight=0)
    with_features = clone(est).fit(X, item_features=item_features())
    np.testing.assert_array_equal(all_scores(with_features, [0]), all_scores(est.fit(X), [0]))


def test_histories_of_one_item_teach_nothing_and_do_no_harm():
    X = Interactions([0, 1, 1], [0, 1, 1], timestamp=[0, 1, 2], n_items=3)
    _, scores = SequentialRulesRecommender().fit(X).recommend(0, k=2)
    assert scores.tolist() == [0, 0]


def test_the_order_is_needed():
    with pytest.raises(ValueError, match="order of the interactions matters"):
        SequentialRulesRecommender().fit(Interactions([0, 0], [0, 1]))
