import numpy as np
import pytest
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender

from recsk.baselines import ItemKNNRecommender
from tests.baselines.cases import N_ITEMS, all_scores, interactions, summed


def similarities(R, weighting, K1, B):
    """Inner products of the weighted columns, item by item."""
    n_users, n_items = R.shape
    per_user, per_item = (R > 0).sum(axis=1), R.sum(axis=0)
    idf = np.log(n_items) - np.log1p(per_user)
    W = np.zeros((n_items, n_users))
    for i in range(n_items):
        for u in range(n_users):
            if not R[u, i]:
                continue
            if weighting == "bm25":
                length = 1 - B + B * per_item[i] / per_item.mean()
                W[i, u] = R[u, i] * (K1 + 1) / (K1 * length + R[u, i]) * idf[u]
            else:
                W[i, u] = np.sqrt(R[u, i]) * idf[u] if weighting == "tfidf" else R[u, i]
        if weighting != "bm25" and W[i].any():
            W[i] /= np.linalg.norm(W[i])
    S = W @ W.T
    np.fill_diagonal(S, 0)
    return S


@pytest.mark.parametrize("weighting", ["bm25", "cosine", "tfidf"])
@pytest.mark.parametrize("weighted", [False, True])
def test_all_similarities_equal_the_reference(weighting, weighted):
    X = interactions()
    weight = np.random.default_rng(1).integers(1, 5, len(X)) if weighted else np.ones(len(X))
    model = ItemKNNRecommender(n_neighbors=N_ITEMS, weighting=weighting, K1=2.0, B=0.5)
    model.fit(X, sample_weight=weight)
    R = np.zeros(X.to_csr().shape)
    R[X.user, X.item] = weight / weight.mean()
    expected = similarities(R, weighting, 2.0, 0.5)
    np.testing.assert_allclose(model.item_to_item_.toarray(), expected, rtol=1e-5, atol=1e-7)
    histories = [row.nonzero()[0] for row in R[:29]]
    np.testing.assert_allclose(
        all_scores(model, np.arange(29)), summed(expected, histories), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(
    ("weighting", "theirs"),
    [("bm25", BM25Recommender), ("cosine", CosineRecommender), ("tfidf", TFIDFRecommender)],
)
def test_it_is_the_model_of_implicit_without_its_diagonal(weighting, theirs, interactions):
    ours = ItemKNNRecommender(n_neighbors=7, weighting=weighting).fit(interactions)
    knn = theirs(K=8)
    knn.fit(interactions.to_csr(), show_progress=False)
    similarity = knn.similarity.toarray()
    np.fill_diagonal(similarity, 0)
    np.testing.assert_allclose(ours.item_to_item_.toarray(), similarity, rtol=1e-5)
    assert np.diff(ours.item_to_item_.indptr).max() == 7


def test_items_of_the_same_users_keep_their_number_of_neighbours():
    R = np.ones((4, 6))
    model = ItemKNNRecommender(n_neighbors=2, weighting="cosine").fit(R)
    assert model.item_to_item_.diagonal().sum() == 0
    np.testing.assert_array_equal(np.diff(model.item_to_item_.indptr), 2)


def test_users_of_all_items_but_one_give_no_nan():
    R = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]])  # the idf of the first two is zero
    for weighting in ("tfidf", "bm25"):
        model = ItemKNNRecommender(weighting=weighting).fit(R)
        assert np.isfinite(model.item_to_item_.data).all()
