"""Recommenders whose scores are no inner product of short vectors, as others would write them."""

import pickle
import re
from importlib.metadata import EntryPoint
from numbers import Integral

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

import recsk
from recsk import Interactions, MDERecommender
from recsk.contract import (
    BaseRecommender,
    Interval,
    Learned,
    Users,
    register_estimator,
)
from recsk.storage import registry
from tests.contract.suite import HISTORIES, N_ITEMS, N_USERS, SEEN, TEST, TRAIN, WEIGHTS


def common_users(matrix):
    counts = (matrix.T @ matrix).astype(np.float32).tolil()
    counts.setdiag(0)
    return counts.tocsr()


class Cooccurrence(BaseRecommender):
    """A sparse item-to-item term and nothing else."""

    parameter_constraints = {"power": [Interval(Integral, 1, 3, closed="both")]}

    def __init__(self, *, power=1, score_k=10):
        self.power = power
        self.score_k = score_k

    def learn(self, data):
        return Learned(item_to_item=common_users(data.matrix).power(self.power))


class DenseCooccurrence(Cooccurrence):
    def learn(self, data):
        return Learned(item_to_item=super().learn(data).item_to_item.toarray())


class Both(BaseRecommender):
    """Vectors, and an item-to-item term over the last two items."""

    ordered = True

    def learn(self, data):
        rng = data.random_state
        vectors = rng.normal(size=(data.interactions.n_items, 3)).astype(np.float32)
        return Learned(item_vectors=vectors, item_to_item=common_users(data.matrix))

    def __init__(self, *, random_state=0):
        self.random_state = random_state

    def encode(self, histories):
        rows = np.zeros((histories.n_users, histories.n_items), dtype=np.float32)
        for user, items in enumerate(histories.sequences()):
            rows[user, items[-2:]] = 0.5
        return Users(rows @ self.item_embedding_, sparse.csr_matrix(rows))


class Blocks(BaseRecommender):
    """Scores that are neither: the popularity of an item to the power of the history's length."""

    def learn(self, data):
        return Learned()

    def encode(self, histories):
        return Users(vectors=None, weights=histories.to_csr())

    def score_block(self, users):
        return self.item_popularity_ ** np.asarray(users.weights.sum(axis=1))


ALL = [Cooccurrence(power=2), DenseCooccurrence(), Both(), Blocks()]
BY_CLASS = pytest.mark.parametrize("est", ALL, ids=lambda est: type(est).__name__)
PARTS = ("item_embedding_", "user_embedding_", "item_to_item_", "history_weights_")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(registry, "_classes", dict(registry._classes))
    for est in ALL:
        register_estimator(type(est))


def expected_scores(model, histories):
    """The formula of the scores, item by item."""
    scores = np.zeros((len(histories), N_ITEMS))
    counts = (SEEN.T.astype(int) @ SEEN.astype(int)) * ~np.eye(N_ITEMS, dtype=bool)
    for user, history in enumerate(histories):
        if isinstance(model, Blocks):
            scores[user] = model.item_popularity_ ** len(history)
        elif isinstance(model, Both):
            for j in history[-2:]:
                scores[user] += model.item_embedding_ @ model.item_embedding_[j] * 0.5
                scores[user] += counts[j] * 0.5
        else:
            for j in history:
                scores[user] += counts[j] ** getattr(model, "power", 1)
    return scores


def assert_ranked(found, scores, allowed):
    for row, (ids, values) in enumerate(zip(*found, strict=True)):
        n = min(len(ids), allowed[row].sum())
        assert (ids[n:] == -1).all() and (values[n:] == -np.inf).all()
        assert allowed[row][ids[:n]].all() and len(set(ids[:n])) == n
        np.testing.assert_allclose(values[:n], scores[row][ids[:n]], rtol=1e-4, atol=1e-5)
        best = np.sort(scores[row][allowed[row]])[::-1][:n]
        np.testing.assert_allclose(values[:n], best, rtol=1e-4, atol=1e-5)


@BY_CLASS
def test_scores_are_those_of_the_formula(est):
    model = clone(est).fit(TRAIN)
    sequences = TRAIN.sequences()
    with_history = [user for user in range(N_USERS) if len(sequences[user])]
    scores = expected_scores(model, [list(sequences[user]) for user in with_history])
    for k in (3, N_ITEMS + 2):
        found = model.recommend(with_history, k)
        assert_ranked(found, scores, ~SEEN[with_history])
    everything = np.ones((len(with_history), N_ITEMS), dtype=bool)
    assert_ranked(model.recommend(with_history, exclude_seen=False), scores, everything)
    some = np.isin(np.arange(N_ITEMS), [0, 2, 4, 9]) & ~SEEN[with_history]
    assert_ranked(model.recommend(with_history, items=[0, 2, 4, 9]), scores, some)
    assert_ranked(model.rank_items(with_history, range(N_ITEMS)), scores, everything)


@BY_CLASS
def test_histories_of_new_users(est):
    model = clone(est).fit(TRAIN)
    known = [h for h in HISTORIES if h]
    seen = np.array([[i in h for i in range(N_ITEMS)] for h in known])
    assert_ranked(model.recommend(user_items=known), expected_scores(model, known), ~seen)
    both = model.recommend([1, 2], user_items=HISTORIES, k=4)
    np.testing.assert_array_equal(both[0][:2], model.recommend([1, 2], k=4)[0])
    np.testing.assert_array_equal(both[0][2:], model.recommend(user_items=HISTORIES, k=4)[0])
    popular = np.argsort(-model.item_popularity_, kind="stable")[:4]
    np.testing.assert_array_equal(model.recommend(user_items=[[]], k=4)[0], [popular])
    assert model.recommend(user_items=[], k=4)[0].shape == (0, 4)


@BY_CLASS
def test_files_and_pickles(est, tmp_path):
    model = clone(est).fit(TRAIN.with_labels(item_labels=[f"i{i}" for i in range(N_ITEMS)]))
    recsk.save(model, tmp_path / "model")
    for copy in (recsk.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert [hasattr(copy, part) for part in PARTS] == [hasattr(model, p) for p in PARTS]
        for asked in ({}, {"user_items": [["i3", "i0"], []]}):
            np.testing.assert_array_equal(copy.recommend(**asked)[0], model.recommend(**asked)[0])
            np.testing.assert_array_equal(copy.recommend(**asked)[1], model.recommend(**asked)[1])


@BY_CLASS
def test_score_works_without_score_k(est):
    model = clone(est).fit(TRAIN)
    assert 0 <= model.score(TEST) <= 1
    assert model.score(TEST) == recsk.metrics.evaluate(model, TEST, "ndcg", 10)["ndcg@10"]


def test_a_model_lacks_what_its_scores_do_not_have():
    rules, both, blocks = (clone(est).fit(TRAIN) for est in ALL[1:])
    vectors, term = ("user_vectors", "similar_users", "to_ann"), ("history_weights",)
    assert not any(hasattr(rules, name) for name in vectors)
    assert all(hasattr(rules, name) for name in (*term, "similar_items"))
    assert all(hasattr(both, name) for name in (*vectors, *term, "similar_items"))
    assert not any(hasattr(blocks, name) for name in (*vectors, *term, "similar_items"))
    unfitted = Cooccurrence()
    assert all(hasattr(unfitted, name) for name in (*vectors, *term, "similar_items"))
    message = "fitted DenseCooccurrence has no item_embedding_"
    with pytest.raises(AttributeError, match="has no attribute 'user_vectors'") as caught:
        _ = rules.user_vectors
    assert re.search(message, str(caught.value.__cause__))


def test_similar_items_of_a_model_without_vectors_have_the_largest_weights():
    for est in ALL[:2]:
        model = clone(est).fit(TRAIN)
        weights = np.asarray(sparse.csr_array(model.item_to_item_).todense())
        ids, scores = model.similar_items(np.arange(N_ITEMS), k=N_ITEMS)
        assert (ids[:, -1] == -1).all()
        for item in range(N_ITEMS):
            others = sorted(set(range(N_ITEMS)) - {item}, key=lambda i: (-weights[item, i], i))
            assert ids[item, :-1].tolist() == others
            np.testing.assert_array_equal(scores[item, :-1], weights[item, others])
    scalar = model.similar_items(3, k=2)
    np.testing.assert_array_equal(scalar[0], ids[3, :2])


def test_similar_items_of_a_model_with_vectors_do_not_use_the_term():
    model = Both().fit(TRAIN)
    ids, cosines = model.similar_items([0], k=5)
    unit = model.item_embedding_ / np.linalg.norm(model.item_embedding_, axis=1, keepdims=True)
    np.testing.assert_allclose(cosines[0], (unit @ unit[0])[ids[0]], rtol=1e-5)


def test_an_index_ranks_its_candidates_exactly():
    pytest.importorskip("faiss")
    model = Both().fit(TRAIN)
    ann = model.to_ann()
    weights = model.history_weights()
    found = ann.query(model.user_vectors(), 5, exclude=model.interactions_, weights=weights)
    expected = model.recommend(k=5)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="pass weights=model.history_weights"):
        ann.query(model.user_vectors(), 5)
    with pytest.raises(ValueError, match=r"weights must have shape \(30, 24\)"):
        ann.query(model.user_vectors(), 5, weights=weights[:2])
    with pytest.raises(ValueError, match="weights must be None"):
        vectors = MDERecommender(max_epochs=1, n_factors=2, cooccurrence_weight=0).fit(TRAIN)
        vectors.to_ann().query(vectors.user_vectors(), 5, weights=weights)


def test_parameters_are_validated_for_every_class():
    with pytest.raises(ValueError, match=r"'power' parameter of Cooccurrence must be an int"):
        Cooccurrence(power=0).fit(TRAIN)
    with pytest.raises(ValueError, match=r"'score_k' parameter of DenseCooccurrence must be"):
        DenseCooccurrence(score_k=0).fit(TRAIN)

    class Further(Cooccurrence):
        parameter_constraints = {"more": [bool]}

        def __init__(self, *, power=1, score_k=10, more=False):
            super().__init__(power=power, score_k=score_k)
            self.more = more

    for wrong in ({"more": 1}, {"power": 4}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))!r} parameter of Further"):
            Further(**wrong).fit(TRAIN)
    assert "more" not in Cooccurrence._parameter_constraints


def test_what_is_learned_must_fit_together():
    def fitted(learned, encode=None):
        methods = {"learn": lambda self, data: learned}
        if encode:
            methods["encode"] = encode
        return type("Odd", (BaseRecommender,), methods)().fit(TRAIN)

    vectors = np.ones((N_ITEMS, 2))
    with pytest.raises(ValueError, match="Odd has nothing to score by: `learn` returns item_ve"):
        fitted(Learned())
    with pytest.raises(ValueError, match=r"item_to_item_ of shape \(24, 23\); expected \(24, 24"):
        fitted(Learned(item_to_item=np.ones((24, 23))))
    with pytest.raises(ValueError, match=r"user_embedding_ of shape \(2, 2\); expected \(30, 2\)"):
        fitted(Learned(vectors, vectors[:2]))
    with pytest.raises(NotImplementedError, match="Odd has vectors: it needs a method `encode`"):
        fitted(Learned(vectors))
    with pytest.raises(ValueError, match="must have vectors of both users and items, or of nei"):
        fitted(Learned(vectors), lambda self, histories: Users())
    with pytest.raises(NotImplementedError, match="needs a method `learn`, or its own `fit`"):
        type("Nothing", (BaseRecommender,), {})().fit(TRAIN)


def test_a_fit_that_fails_leaves_no_model():
    model = Both().fit(TRAIN)
    with pytest.raises(ValueError, match="no timestamps"):
        model.fit(Interactions([0], [1]))
    assert not any(hasattr(model, part) for part in PARTS)
    assert not model.__sklearn_is_fitted__()


def test_weights_reach_the_matrix_with_a_mean_of_one():
    seen = {}

    class Looks(Cooccurrence):
        def learn(self, data):
            seen["data"] = data
            return super().learn(data)

    Looks().fit(TRAIN, sample_weight=WEIGHTS)
    matrix = seen["data"].matrix
    kept = WEIGHTS > 0
    assert matrix.nnz == kept.sum() and matrix.data.mean() == pytest.approx(1)
    pairs = TRAIN.user[kept], TRAIN.item[kept]
    ratio = np.asarray(matrix[pairs]).ravel() / WEIGHTS[kept]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
    Looks().fit(TRAIN, sample_weight=np.full(len(TRAIN), 3.0))
    assert (seen["data"].matrix.data == 1).all()


class TestRegistration:
    def test_another_class_of_the_same_name_is_refused(self):
        other = type("MDERecommender", (Cooccurrence,), {"__module__": "elsewhere"})
        with pytest.raises(ValueError, match=r"elsewhere\.MDERecommender cannot be registered"):
            register_estimator(other)

    def test_the_same_class_defined_anew_takes_its_place(self):
        again = type("Cooccurrence", (Cooccurrence,), {"__module__": __name__})
        assert register_estimator(again) is registry.estimator_class("Cooccurrence")

    def test_a_class_that_is_not_registered_cannot_be_saved(self, tmp_path):
        class Unknown(Cooccurrence):
            pass

        with pytest.raises(TypeError, match="register_estimator"):
            recsk.save(Unknown().fit(TRAIN), tmp_path / "model")

    def test_entry_points_are_found_without_an_import(self, monkeypatch, tmp_path):
        model = Cooccurrence().fit(TRAIN)
        recsk.save(model, tmp_path / "model")
        del registry._classes["Cooccurrence"]
        with pytest.raises(ValueError, match="the estimator must be .* got .*Cooccurrence"):
            recsk.load(tmp_path / "model")
        entry = EntryPoint("Cooccurrence", f"{__name__}:Cooccurrence", "recsk.estimators")

        def entry_points(*, group, name):
            return [entry] if (group, name) == (entry.group, entry.name) else []

        monkeypatch.setattr(registry, "entry_points", entry_points)
        copy = recsk.load(tmp_path / "model")
        np.testing.assert_array_equal(copy.recommend()[0], model.recommend()[0])
