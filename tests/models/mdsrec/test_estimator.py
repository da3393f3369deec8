"""What MDSRecRecommender makes of order, and what its parameters do."""

import functools
import re
import warnings

import joblib
import numpy as np
import pytest
import sklearn
import torch
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import normalize

from recsk import Interactions
from recsk.contract.hold_out import hold_out_last
from recsk.contract.validation import Validation
from recsk.data.sequences import Sequences
from recsk.metrics import evaluate
from recsk.model_selection import LeaveLastOut, make_ranking_scorer
from recsk.models import MDSRecRecommender
from recsk.models.mdsrec import training
from tests.contract.suite import (
    FEATURES,
    HISTORIES,
    ITEM_WITHOUT_TEXT,
    N_ITEMS,
    N_USERS,
    TEST,
    TRAIN,
    as_matrix,
    assert_same,
    assert_same_model,
)

PARAMS = {
    "n_factors": 8,
    "n_heads": 2,
    "max_epochs": 2,
    "n_interests": 3,
    "n_neighbors": 3,
    "learning_rate": 0.01,
    "random_state": 0,
    "device": "cpu",
}


def small(**params):
    return MDSRecRecommender(**{**PARAMS, **params})


@functools.cache
def reference():
    return small().fit(TRAIN, item_features=FEATURES)


def ask(model, *histories):
    """Scores of every item, in the order of the items."""
    ids, scores = model.recommend(user_items=histories, k=N_ITEMS, exclude_seen=False)
    return np.take_along_axis(scores, ids.argsort(axis=1), axis=1)


def with_time(timestamp, X=TRAIN):
    return Interactions(X.user, X.item, timestamp=timestamp, n_users=N_USERS, n_items=N_ITEMS)


def test_timestamps_are_the_order_wherever_the_rows_are():
    shuffled = TRAIN[np.random.default_rng(1).permutation(len(TRAIN))]
    for X in (shuffled, with_time(TRAIN.timestamp / 7 - 3), as_matrix(TRAIN)):
        assert_same_model(small().fit(X, item_features=FEATURES), reference())
    backwards = small().fit(with_time(-TRAIN.timestamp), item_features=FEATURES)
    assert not np.allclose(backwards.item_embedding_, reference().item_embedding_, atol=1e-4)


def test_at_the_same_time_the_order_of_the_input_counts():
    timestamp = TRAIN.timestamp // 50
    assert len(np.unique(timestamp)) < 10
    ranks = np.empty(len(TRAIN), dtype=int)
    ranks[np.argsort(timestamp, kind="stable")] = np.arange(len(TRAIN))
    models = [small().fit(with_time(t), item_features=FEATURES) for t in (timestamp, ranks)]
    assert_same_model(*models)
    tied = Interactions([0, 0, 0, 1], [5, 2, 9, 3], timestamp=[4, 4, 4, 7], n_items=N_ITEMS)
    assert_same(
        reference().recommend(user_items=tied), reference().recommend(user_items=[[5, 2, 9], [3]])
    )


def test_the_order_of_a_history_is_looked_at():
    one, other = ask(reference(), [1, 2, 3], [3, 1, 2])
    assert not np.allclose(one, other, atol=1e-4)


def test_repeats_are_kept():
    once, twice, thrice = ask(reference(), [1, 2], [1, 2, 2], [1, 2, 2, 2])
    assert not np.allclose(once, twice, atol=1e-4) and not np.allclose(twice, thrice, atol=1e-4)
    user, item = np.array([0, 0, 0, 1, 1]), np.array([2, 4, 2, 4, 4])
    X = Interactions(user, item, timestamp=np.arange(5), n_items=N_ITEMS)
    model = small().fit(X, item_features=FEATURES)
    np.testing.assert_array_equal(model.interactions_.toarray()[:, [2, 4]], [[1, 1], [0, 1]])
    assert_same(
        model.recommend(exclude_seen=False),
        model.recommend(user_items=[[2, 4, 2], [4, 4]], exclude_seen=False),
    )


def test_training_users_are_their_histories():
    histories = TRAIN.sequences()
    for form in (histories, TRAIN, as_matrix(TRAIN)):
        assert_same(reference().recommend(user_items=form), reference().recommend())


@pytest.mark.parametrize("max_length", [1, 3])
def test_only_the_last_items_are_looked_at(max_length):
    model = small(max_length=max_length).fit(TRAIN, item_features=FEATURES)
    assert max(len(items) for items in TRAIN.sequences()) > 2 * max_length
    long = [7, 2, 20, 9, 4]
    histories = [long, long[-max_length:], [1, 3, *long], long[-max_length - 1 :]]
    vectors = model.user_vectors(user_items=histories)
    np.testing.assert_allclose(vectors, vectors[[0]].repeat(4, axis=0), rtol=1e-5, atol=1e-6)
    # What is too old to be looked at has been seen all the same.
    ids, _ = model.recommend(user_items=[long], k=N_ITEMS)
    assert sorted([*long, *ids[0][ids[0] >= 0]]) == list(range(N_ITEMS))


class TestWithoutOrder:
    @pytest.mark.parametrize(
        "X",
        [
            TRAIN.to_csr(),
            TRAIN.to_csr() * 3,
            TRAIN.to_csr().toarray(),
            TRAIN.to_csr().astype(bool),
            normalize(TRAIN.to_csr()),
        ],
        ids=["ones", "threes", "dense", "bool", "shares"],
    )
    def test_the_same_value_everywhere(self, X):
        with pytest.raises(ValueError, match=r"^X has the same value for all.*larger is later"):
            small().fit(X)

    @pytest.mark.parametrize("time", [np.full(len(TRAIN), 7), TRAIN.user + 3])
    def test_the_same_time_everywhere(self, time):
        with pytest.raises(ValueError, match=r"^X has the same time for all.*their ranks"):
            small().fit(with_time(time))

    def test_no_timestamps(self):
        X = Interactions(TRAIN.user, TRAIN.item)
        message = r"^X has no timestamps.*Interactions\(X\.user, X\.item, timestamp=np\.arange"
        with pytest.raises(ValueError, match=message):
            small().fit(X, item_features=FEATURES)
        labelled = X.with_labels(item_labels=[f"item {i}" for i in range(N_ITEMS)])
        with pytest.raises(
            ValueError, match=r"^X has no timestamps.*from_frame\(frame, timestamp="
        ):
            small().fit(labelled)

    @pytest.mark.parametrize(
        ("user_items", "message"),
        [
            (TRAIN.to_csr(), "^user_items has the same value for all"),
            (Interactions([0], [3], n_items=N_ITEMS), "^user_items has no timestamps"),
        ],
    )
    def test_histories(self, user_items, message):
        for ask in (
            reference().user_modality_weights,
            lambda x: reference().recommend(user_items=x),
        ):
            with pytest.raises(ValueError, match=message):
                ask(user_items)

    def test_a_history_may_be_one_basket(self):
        basket = Interactions([0, 0, 0], [5, 2, 9], timestamp=[4, 4, 4], n_items=N_ITEMS)
        assert_same(
            reference().recommend(user_items=basket), reference().recommend(user_items=[[5, 2, 9]])
        )

    def test_several_times_in_one_place(self):
        entries = [100, 300, 350], ([0, 0, 0], [5, 5, 6])
        X = sparse.coo_array(entries, shape=(1, N_ITEMS))
        with pytest.raises(ValueError, match=r"^X: .*user 0 and item 5.*a sum of times"):
            small().fit(X)
        with pytest.raises(ValueError, match=r"^user_items: .*user 0 and item 5"):
            reference().recommend(user_items=X)

    def test_what_is_held_out_needs_no_order(self):
        model = small(max_epochs=1).fit(TRAIN, eval_set=TEST.to_csr())
        assert len(model.validation_curve_) == 1
        assert model.score(TEST.to_csr()) == model.score(TEST)

    def test_one_item_each_has_no_order(self):
        ones = sparse.csr_array(np.eye(3, N_ITEMS))
        assert_same(
            reference().recommend(user_items=ones),
            reference().recommend(user_items=[[0], [1], [2]]),
        )
        with pytest.warns(ConvergenceWarning, match="no user in X has two items"):
            model = small().fit(ones)
        assert np.isfinite(model.recommend()[1][:, :5]).all()


def test_nobody_has_a_next_item():
    X = Interactions(np.arange(5), np.arange(5), timestamp=np.arange(5))
    for early_stopping in (False, True):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = small(early_stopping=early_stopping).fit(X)
        told = [str(warning.message) for warning in caught]
        assert len(told) == 1 + early_stopping
        assert re.match("early_stopping=True holds out", told[0]) or not early_stopping
        assert re.search("no user in X has two items.*initial weights", told[-1])
        assert not model.validation_curve_ and model.n_iter_ == 0
        assert np.isfinite(model.recommend(k=4, exclude_seen=False)[1]).all()


@pytest.mark.parametrize("user_items", [None, HISTORIES])
def test_exclude_seen(user_items):
    histories = TRAIN.sequences() if user_items is None else user_items
    kwargs = {"user_items": user_items, "k": N_ITEMS}
    without, _ = reference().recommend(**kwargs)
    ids, scores = reference().recommend(**kwargs, exclude_seen=False)
    np.testing.assert_array_equal(np.sort(ids), np.tile(np.arange(N_ITEMS), (len(histories), 1)))
    assert np.isfinite(scores).all()
    for history, row, all_of_them in zip(histories, without, ids, strict=True):
        allowed = all_of_them[~np.isin(all_of_them, history)]
        np.testing.assert_array_equal(row[: len(allowed)], allowed)
        np.testing.assert_array_equal(row[len(allowed) :], -1)


@pytest.mark.parametrize("n_modalities", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("candidate_vectors", ["modality", "mean", "id"])
def test_any_number_of_modalities(n_modalities, candidate_vectors):
    rng = np.random.default_rng(0)
    features = {f"m{m}": rng.normal(size=(N_ITEMS, 2 + m)) for m in range(n_modalities)}
    model = small(candidate_vectors=candidate_vectors).fit(TRAIN, item_features=features)
    assert model.modality_names_ == list(features)
    n_parts = max(n_modalities, 1)
    width = 8 * (n_parts if candidate_vectors == "modality" else 1) + 1  # the bias
    assert model.user_embedding_.shape == (N_USERS, width)
    assert model.item_embedding_.shape == (N_ITEMS, width)
    assert model.user_preference_.shape == (N_USERS, n_parts)
    assert list(model.loss_curve_) == ["ranking"] and len(model.loss_curve_["ranking"]) == 2


@pytest.mark.parametrize(
    "params",
    [{"relation": None}, {"relation": "product"}, {"n_interests": 0}, {"fusion": "mean"}],
    ids=str,
)
def test_without_features_these_switches_are_idle(params):
    assert_same_model(small(**params).fit(TRAIN), small().fit(TRAIN))


@pytest.mark.parametrize("relation", ["blend", "sum", "product", "semantic", "behavior", None])
def test_most_items_lack_a_modality(relation):
    features = {"v": FEATURES["v"], "t": FEATURES["t"].copy()}
    features["t"][np.random.default_rng(0).permutation(N_ITEMS)[: round(0.9 * N_ITEMS)]] = np.nan
    model = small(relation=relation).fit(TRAIN, item_features=features)
    assert np.isfinite(model.item_embedding_).all() and np.isfinite(model.user_embedding_).all()
    ids, scores = model.recommend(k=N_ITEMS, exclude_seen=False)
    np.testing.assert_array_equal(np.sort(ids), np.tile(np.arange(N_ITEMS), (N_USERS, 1)))
    assert np.isfinite(scores).all()


def test_an_item_without_a_modality_is_its_id_there():
    features = {**FEATURES, "v": FEATURES["v"].copy()}
    features["v"][ITEM_WITHOUT_TEXT] = np.nan  # neither
    model = small(relation=None, shared_ids=True, similarity="dot")
    model.fit(TRAIN, item_features=features)
    v, t = model.item_embedding_[:, :16].reshape(N_ITEMS, 2, 8).swapaxes(0, 1)
    alike = (v == t).all(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(alike), [ITEM_WITHOUT_TEXT])


@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1e10, 1e25])
def test_relations_and_interests_know_no_scale(scale):
    features = {name: x * np.float32(scale) for name, x in FEATURES.items()}
    model, plain = (
        small(project_features=False).fit(TRAIN, item_features=f) for f in (features, FEATURES)
    )
    assert_same_model(model, plain)
    found, expected = model._encoder.interests, plain._encoder.interests
    np.testing.assert_array_equal(found.cluster, expected.cluster)
    np.testing.assert_allclose(found.centers, expected.centers, atol=1e-6)


@pytest.mark.parametrize(
    "rows",
    [
        np.ones((N_ITEMS, 3)),
        np.outer(np.arange(1, N_ITEMS + 1), [0.1, 0.7, 0.3]),
        np.arange(N_ITEMS)[:, None] - 5.0,
        np.eye(2)[np.arange(N_ITEMS) % 2] + 1e-7 * np.arange(N_ITEMS)[:, None],
    ],
    ids=["equal", "one direction", "one column", "two places"],
)
@pytest.mark.filterwarnings("error")
def test_fewer_interests_than_asked_for(rows):
    model = small(n_interests=10).fit(TRAIN, item_features={"v": rows})
    assert np.isfinite(model.item_embedding_).all()


def test_no_more_interests_than_items():
    model = small(n_interests=10**9).fit(TRAIN, item_features=FEATURES)
    assert model._encoder.interests.centers.shape[1] == N_ITEMS + 1


def test_interests_are_the_clusters_of_the_features():
    rng = np.random.default_rng(0)
    cluster = np.arange(N_ITEMS) % 3
    rows = np.eye(3)[cluster] * rng.uniform(1, 50, (N_ITEMS, 1)) + rng.normal(0, 0.01, (N_ITEMS, 3))
    rows[ITEM_WITHOUT_TEXT] = np.nan
    model = small(project_features=False).fit(TRAIN, item_features={"v": rows})
    interests = model._encoder.interests
    centers = interests.centers[0, interests.cluster[0]]
    (items,) = model._encoder.items
    assert not centers[ITEM_WITHOUT_TEXT].any()
    cluster[ITEM_WITHOUT_TEXT] = -1
    for c in range(3):
        mean = items[cluster == c].mean(axis=0)
        np.testing.assert_allclose(
            centers[cluster == c], np.tile(mean, (sum(cluster == c), 1)), atol=1e-6
        )


class TestModalityWeights:
    @pytest.mark.parametrize("fusion", ["gumbel", "softmax", "mean"])
    def test_shares(self, fusion):
        model = small(fusion=fusion, max_epochs=5).fit(TRAIN, item_features=FEATURES)
        weights = model.user_modality_weights(HISTORIES)
        assert weights.shape == (len(HISTORIES), 2) and weights.dtype == np.float32
        assert (weights >= 0).all()
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_array_equal(weights, model.user_modality_weights(HISTORIES))  # no noise
        np.testing.assert_allclose(weights[HISTORIES.index([])], 0.5)
        assert (len(np.unique(weights.round(6), axis=0)) > 1) == (fusion != "mean")

    def test_those_of_training(self):
        model = reference()
        for form in (TRAIN, TRAIN.sequences(), as_matrix(TRAIN)):
            np.testing.assert_allclose(
                model.user_modality_weights(form), model.user_preference_, atol=1e-6
            )

    @pytest.mark.parametrize("features", [None, {"v": FEATURES["v"]}])
    def test_one_modality(self, features):
        weights = small().fit(TRAIN, item_features=features).user_modality_weights(HISTORIES)
        np.testing.assert_array_equal(weights, np.ones((len(HISTORIES), 1)))

    def test_nobody(self):
        assert reference().user_modality_weights([]).shape == (0, 2)

    def test_they_are_what_joins_the_modalities(self):
        model = small().fit(TRAIN, item_features=FEATURES)
        parts = model.user_embedding_[:, :16].reshape(N_USERS, 2, 8)
        known = model.user_embedding_.any(axis=1)
        length = np.linalg.norm(parts, axis=2)
        np.testing.assert_allclose(length[known], model.user_preference_[known], atol=1e-6)
        items = model.item_embedding_[:, :16].reshape(N_ITEMS, 2, 8)
        warm = np.isin(np.arange(N_ITEMS), TRAIN.item)
        np.testing.assert_allclose(np.linalg.norm(items[warm], axis=2), 1, atol=1e-6)


@pytest.mark.parametrize(
    "params",
    [
        {"n_factors": 6},
        {"max_length": 3},
        {"n_blocks": 1},
        {"n_heads": 4},
        {"dropout": 0.0},
        {"relation": "sum"},
        {"relation": "product"},
        {"relation": "semantic"},
        {"relation": "behavior"},
        {"relation": None},
        {"n_neighbors": 0},
        {"n_neighbors": 5},
        {"relation_weight": 1.0},
        {"relation_weight": 0.0},
        {"recent_weight": 0.0},
        {"recent_weight": 2.0},
        {"shared_ids": True},
        {"project_features": False},
        {"n_interests": 0},
        {"n_interests": 5},
        {"fusion": "gumbel"},
        {"fusion": "mean"},
        {"candidate_vectors": "mean"},
        {"candidate_vectors": "id"},
        {"similarity": "dot"},
        {"item_bias": False},
        {"n_negatives": 5},
        {"learning_rate": 0.02},
        {"batch_size": 8},
        {"max_epochs": 3},
        {"early_stopping": True, "validation_fraction": 0.5},
        {"random_state": 1},
    ],
    ids=str,
)
def test_every_switch_does_something(params):
    model = small(**params).fit(TRAIN, item_features=FEATURES)
    assert np.isfinite(model.item_embedding_).all() and np.isfinite(model.user_embedding_).all()
    if model.item_embedding_.shape == reference().item_embedding_.shape:
        # Interests count for little at first; but a fit that can be repeated differs by nothing.
        assert not np.array_equal(model.user_embedding_, reference().user_embedding_) or (
            "relation_weight" in params
        )
    if "relation_weight" in params:
        assert not np.allclose(model.recommend(0, k=5)[1], reference().recommend(0, k=5)[1])
    assert model.recommend(user_items=[[1, 2], []])[0].min() >= 0


@pytest.mark.parametrize(
    ("n_users", "length", "max_length", "expected"),
    [(1, 9, 50, 32), (1600, 9, 50, 100), (1600, 101, 50, 200), (20, 1, 5, 32), (10**5, 2, 5, 1024)],
)
def test_an_epoch_has_sixteen_steps_where_it_can(n_users, length, max_length, expected):
    indptr = np.arange(n_users + 1) * length
    train_set = Sequences(indptr, np.zeros(indptr[-1], np.int64))
    model = MDSRecRecommender(max_length=max_length)
    assert model._batch_size(train_set) == expected
    assert model.set_params(batch_size=np.int64(7))._batch_size(train_set) == 7


def test_the_paper():
    model = MDSRecRecommender.paper(n_factors=8, max_epochs=2, n_interests=3, random_state=0)
    assert (model.project_features, model.similarity, model.max_epochs) == (False, "dot", 2)
    assert (model.learning_rate, model.batch_size, model.fusion) == (2e-3, 256, "gumbel")
    model.fit(TRAIN, item_features=FEATURES)
    # One vector per item, whatever the number of modalities, and scores that are no cosines.
    assert model.item_embedding_.shape == (N_ITEMS, 8)
    assert np.linalg.norm(model.item_embedding_, axis=1).max() < 0.9


def test_relations_are_not_added_to_seen_items():
    model = small(relation_weight=5.0).fit(TRAIN, item_features=FEATURES)
    everything = np.arange(TRAIN.n_items)
    ids, scores = model.recommend(0, k=len(everything), exclude_seen=False)
    np.testing.assert_array_equal(np.sort(ids), everything)
    seen = np.isin(ids, TRAIN.item[TRAIN.user == 0])
    assert 0 < seen.sum() < len(ids)
    without = model.item_embedding_[ids] @ model.user_embedding_[0]
    whole = without + (model.history_weights_[[0]] @ model.item_to_item_).toarray()[0, ids]
    np.testing.assert_allclose(scores, np.where(seen, without, whole), atol=1e-5)
    assert np.abs(whole - without)[seen].max() > 0.1


def test_cosine_scores_are_cosines():
    model = small(relation_weight=0.0, item_bias=False).fit(TRAIN, item_features=FEATURES)
    assert np.abs(ask(model, *HISTORIES)).max() <= 1 + 1e-6
    params = {"relation_weight": 0.0, "recent_weight": 0.0, "item_bias": False, "fusion": "mean"}
    model = small(**params, similarity="dot")
    model.fit(TRAIN, item_features=FEATURES)
    known = np.diff(model.interactions_.indptr) > 0
    # The output of a norm, which starts with a length of sqrt(8), and half of it.
    lengths = np.linalg.norm(model.user_embedding_[known].reshape(-1, 2, 8), axis=2)
    np.testing.assert_allclose(lengths, np.sqrt(8) / 2, rtol=0.2)


@pytest.mark.parametrize(("n_factors", "n_heads"), [(8, 3), (2, 4)])
def test_heads_share_the_factors_evenly(n_factors, n_heads):
    message = (
        f"n_factors must be a multiple of n_heads; got n_factors={n_factors} and n_heads={n_heads}"
    )
    with pytest.raises(ValueError, match=message):
        small(n_factors=n_factors, n_heads=n_heads).fit(TRAIN)


def test_a_fit_can_be_repeated():
    for n_negatives in (None, 5):
        one, other = (
            small(n_negatives=n_negatives).fit(TRAIN, item_features=FEATURES) for _ in range(2)
        )
        np.testing.assert_array_equal(one.user_embedding_, other.user_embedding_)
        np.testing.assert_array_equal(one.item_embedding_, other.item_embedding_)
        assert one.loss_curve_ == other.loss_curve_


def np_state():
    return np.random.get_state()[1].copy()  # noqa: NPY002


def test_global_random_state_neither_matters_nor_moves(monkeypatch):
    def seeded(seed):
        raise AssertionError("the state of CUDA is not this fit's to set")

    torch.manual_seed(5)
    before, np_before = torch.get_rng_state(), np_state()
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "manual_seed_all", seeded)
        model = small().fit(TRAIN, item_features=FEATURES, eval_set=TEST)
        model.recommend(user_items=HISTORIES)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np_state(), np_before)
    torch.manual_seed(6)
    again = small().fit(TRAIN, item_features=FEATURES, eval_set=TEST)
    np.testing.assert_array_equal(again.user_embedding_, model.user_embedding_)


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_random_state_of_cuda_does_not_move(device):
    torch.cuda.manual_seed(5)
    before = torch.cuda.get_rng_state()
    small(device=device).fit(TRAIN, item_features=FEATURES)
    assert torch.equal(torch.cuda.get_rng_state(), before)


class TestEarlyStopping:
    def fit(self, X=TRAIN, eval_set=None, **params):
        # Epochs are judged before new items get their places.
        params = {"max_epochs": 8, "learning_rate": 0.03, "new_item_share": None, **params}
        est = small(eval_metric="ndcg@5", **params)
        return est.fit(X, item_features=FEATURES, eval_set=eval_set)

    def test_eval_set(self):
        model = self.fit(eval_set=TEST, n_iter_no_change=3)
        curve = model.validation_curve_
        assert len(curve) == model.n_iter_ and model.best_iter_ == 1 + int(np.argmax(curve))
        assert model.n_iter_ in (8, model.best_iter_ + 3)
        kept = evaluate(model, TEST, "ndcg", 5)["ndcg@5"]
        assert kept == pytest.approx(max(curve), abs=1e-6)
        np.testing.assert_array_equal(model.interactions_.toarray(), TRAIN.to_csr().toarray())

    def test_eval_set_of_users_without_a_history(self):
        train = TRAIN[TRAIN.user > 5]
        model = self.fit(train, eval_set=TEST)
        assert np.isin(np.arange(6), TEST.user).any()
        # They get the popular items, whatever is learned, and are not watched.
        kept = evaluate(model, TEST, "ndcg", 5, eval_users=np.arange(6, N_USERS))["ndcg@5"]
        assert kept == pytest.approx(max(model.validation_curve_), abs=1e-6)

    @pytest.mark.parametrize("fraction", [0.3, 0.999])
    def test_the_last_item_of_some_users(self, fraction, monkeypatch):
        held_out = []

        class Recorder(Validation):
            def __init__(self, seen, target, *options, **more):
                held_out.extend(zip(seen.toarray(), target.toarray(), strict=True))
                super().__init__(seen, target, *options, **more)

        monkeypatch.setattr(training, "Validation", Recorder)
        model = self.fit(early_stopping=True, validation_fraction=fraction, n_iter_no_change=100)
        assert len(model.validation_curve_) == model.n_iter_ == 8
        parts = [
            (set(items[:-1].tolist()), {int(items[-1])})
            for items in TRAIN.sequences()
            if len(items) > 2 and items[-1] not in items[:-1]
        ]
        found = [tuple(set(np.flatnonzero(x).tolist()) for x in pair) for pair in held_out]
        assert all(pair in parts for pair in found)
        assert len(found) / len(parts) == pytest.approx(fraction, abs=0.15)
        # Held-out items are part of the histories of the fitted model.
        np.testing.assert_array_equal(model.interactions_.toarray(), TRAIN.to_csr().toarray())
        assert_same(model.recommend(), model.recommend(user_items=TRAIN))

    def test_repeats_decides_whether_an_old_item_can_be_the_answer(self):
        """Everybody takes the same two items in turn, then one of them again."""
        histories = [[u, 20 + u, u, 20 + u, u] for u in range(20)]
        X = Interactions(np.repeat(np.arange(20), 5), np.ravel(histories), timestamp=np.arange(100))
        following = Interactions(np.arange(20), 20 + np.arange(20))
        params = {"early_stopping": True, "validation_fraction": 0.5, "max_epochs": 30}
        again = small(repeats=True, **params).fit(X)
        assert len(again.validation_curve_) and again.validation_curve_[-1] > 0.3
        assert again.score(following) > 0.3
        with pytest.warns(UserWarning, match=r"nothing of the histories.*all 30 epochs"):
            never = small(**params).fit(X)
        assert not never.validation_curve_  # nobody's last item is new
        assert never.score(following) == 0

    def test_a_new_last_item_can_be_held_out_whatever_came_before(self):
        histories = [[1, 1, 2], [3, 1, 3], [4, 4, 4, 5], [6, 7], [8, 9, 8, 10]]
        indptr, items = np.cumsum([0, *map(len, histories)]), np.concatenate(histories)
        rng = np.random.RandomState(0)
        for repeats, expected in ((False, [0, 2, 4]), (True, [0, 1, 2, 4])):  # two are too few
            rest, held_out = hold_out_last(
                Sequences(indptr, items), 1.0, rng, n_items=11, repeats=repeats
            )
            assert np.flatnonzero(np.diff(held_out.indptr)).tolist() == expected
            last = [history[-1] for history in histories]
            assert held_out.indices.tolist() == [last[u] for u in expected]
            kept = [h[:-1] if u in expected else h for u, h in enumerate(histories)]
            assert rest[1].tolist() == np.concatenate(kept).tolist()
            assert np.diff(rest[0]).tolist() == list(map(len, kept))

    def test_what_is_held_out_is_not_trained_on(self):
        """What follows is sheer chance: it can be learned by heart, but not guessed."""
        rng = np.random.default_rng(0)
        histories = np.c_[rng.permutation(60).reshape(20, 3), rng.permutation(60)[:20]]
        X = Interactions(np.repeat(np.arange(20), 4), histories.ravel(), timestamp=np.arange(80))
        params = {"max_epochs": 30, "dropout": 0.0, "eval_metric": "recall@1"}
        watched = small(early_stopping=True, validation_fraction=0.999, **params).fit(X)
        assert max(watched.validation_curve_) < 0.3
        everything = small(**params, max_length=3).fit(X)
        ids, _ = everything.recommend(user_items=histories[:, :3].tolist(), k=1)
        assert (ids[:, 0] == histories[:, 3]).mean() > 0.8

    @pytest.mark.parametrize(
        ("early_stopping", "eval_set", "watched"),
        [("auto", None, False), ("auto", TEST, True), (False, TEST, False), (True, None, True)],
    )
    def test_when_it_watches(self, early_stopping, eval_set, watched):
        model = self.fit(early_stopping=early_stopping, eval_set=eval_set)
        assert bool(model.validation_curve_) == watched
        if not watched:
            assert model.n_iter_ == model.best_iter_ == 8

    def test_auto_watches_from_10000_interactions_on(self):
        user, item = np.divmod(np.arange(10_000), 25)
        X = Interactions(user, item, timestamp=np.arange(10_000))
        for part, watched in ((X, True), (X[1:], False)):
            assert bool(small(max_epochs=1).fit(part).validation_curve_) == watched

    def test_nobody_with_anything_to_spare(self):
        """Two interactions each: after the last is held out there is nothing to learn from."""
        X = Interactions([0, 0, 1, 1], [0, 1, 1, 2], timestamp=np.arange(4))
        with pytest.warns(UserWarning, match=r"validation_fraction=0\.999, which is nothing"):
            model = small(early_stopping=True, validation_fraction=0.999).fit(X)
        assert not model.validation_curve_ and model.n_iter_ == 2

    def test_with_repeats_what_was_met_may_be_watched(self):
        model = small(repeats=True, max_epochs=2).fit(TRAIN, eval_set=TRAIN)
        assert len(model.validation_curve_) == 2 and max(model.validation_curve_) > 0


@pytest.fixture(params=[False, True], ids=["plain", "routing"])
def est(request):
    """With metadata routing off, and on: then `fit` asks for the features."""
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield small().set_fit_request(item_features=True) if request.param else small()


def test_grid_search(est):
    grid = {"n_interests": [0, 2], "recent_weight": [0.1, 2.0]}
    cv, ndcg = LeaveLastOut(), make_ranking_scorer("ndcg", k=10)
    search = GridSearchCV(est, grid, cv=cv, scoring=ndcg, error_score="raise")
    search.fit(TRAIN, item_features=FEATURES)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 4 and len(set(scores)) > 1 and search.best_score_ == scores.max()
    train, test = next(cv.split(TRAIN))
    for params, score in zip(search.cv_results_["params"], scores, strict=True):
        by_hand = small(**params).fit(TRAIN[train], item_features=FEATURES)
        assert ndcg(by_hand, TRAIN[test]) == score
    everything = small(**search.best_params_).fit(TRAIN, item_features=FEATURES)
    assert_same_model(search.best_estimator_, everything)


def cycle(n_items=20, n_users=80, seed=0):
    """Everybody starts somewhere and takes one item after the other, round and round."""
    rng = np.random.default_rng(seed)
    length = rng.integers(2, 15, n_users)
    item = np.concatenate([(rng.integers(n_items) + np.arange(n)) % n_items for n in length])
    user = np.repeat(np.arange(n_users), length)
    return Interactions(user, item, timestamp=np.arange(len(user)), n_items=n_items)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"max_length": 3},
        {"n_negatives": 10},
        {"similarity": "dot"},
    ],
    ids=str,
)
@pytest.mark.parametrize("features", [True, False], ids=["features", "ids"])
def test_learns_what_comes_next(params, features):
    X = cycle()
    item_features = {"v": np.random.default_rng(0).normal(size=(20, 6))} if features else None
    model = small(**{"n_factors": 16, "max_epochs": 40, "batch_size": 20, "dropout": 0.1, **params})
    model.fit(X, item_features=item_features)
    histories = [[4], [5, 6], [18, 19], [7, 8, 9, 10, 11], [2, 1, 0]]
    ids, _ = model.recommend(user_items=histories, k=1, exclude_seen=False)
    assert (ids[:, 0] == [5, 7, 0, 12, 1]).sum() >= 4  # the last of them never happens
    last = np.array([items[-1] for items in X.sequences()])
    ids, _ = model.recommend(k=1, exclude_seen=False)
    assert (ids[:, 0] == (last + 1) % 20).mean() > 0.95
    ranking = model.loss_curve_["ranking"]
    assert ranking[-1] < 0.7 * ranking[0]


def two_clusters(rng):
    """Users stay in a cluster, as the features tell; the last items are new."""
    of_item, new = np.arange(40) % 2, np.arange(32, 40)
    item = np.array([rng.permutation(np.arange(u % 2, 32, 2))[:6] for u in range(80)])
    user = np.repeat(np.arange(80), 6)
    X = Interactions(user, item.ravel(), timestamp=np.arange(480), n_items=40)
    features = {m: 3 * np.eye(2)[of_item] + rng.normal(size=(40, 2)) for m in "vt"}
    return X, features, of_item, new


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"relation": None},
        {"relation": "semantic", "project_features": False},
        {"candidate_vectors": "mean"},
        {"similarity": "dot", "relation": None},
    ],
    ids=str,
)
def test_new_items_are_recommended_by_their_features(params):
    X, features, of_item, new = two_clusters(np.random.default_rng(0))
    model = small(max_epochs=30, batch_size=20, **params).fit(X, item_features=features)
    ids, _ = model.recommend(items=new, k=4)
    assert (of_item[ids] == np.arange(80)[:, None] % 2).mean() > 0.9


@pytest.mark.parametrize("params", [{}, {"item_bias": False}, {"n_negatives": 20}], ids=str)
def test_new_items_compete_with_known_items(params):
    found = []
    for seed in range(3):
        X, features, of_item, new = two_clusters(np.random.default_rng(seed))
        model = small(max_epochs=30, batch_size=20, **params).fit(X, item_features=features)
        ids, _ = model.recommend(k=8)
        assert (of_item[ids] == np.arange(80)[:, None] % 2).mean() > 0.9
        found.append(np.isin(ids, new).sum(axis=1).mean())
    # A cluster has 4 new items and 10 others that a user has not seen: 2.3 among 8 by chance, and
    # none at all where new items are negatives.
    assert np.mean(found) > 0.7


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_unit_of_the_features_does_not_matter(factor):
    models = [
        small(max_epochs=3).fit(TRAIN, item_features={m: c * F for m, F in FEATURES.items()})
        for c in (1, factor)
    ]
    first, second = (model.item_embedding_ for model in models)
    np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-3)


def test_item_bias_comes_after_the_modalities():
    model = small().fit(TRAIN, item_features=FEATURES)
    without = small(item_bias=False).fit(TRAIN, item_features=FEATURES)
    assert model.item_embedding_.shape[1] == without.item_embedding_.shape[1] + 1
    active = np.diff(model.interactions_.indptr) > 0
    assert (model.user_embedding_[active, 16] == 1).all()
    bias, known = model.item_embedding_[:, 16], model.item_popularity_ > 0
    assert bias[known].all() and np.unique(bias[known]).size > 1
    own = small(new_item_share=None).fit(TRAIN, item_features=FEATURES).item_embedding_[:, 16]
    np.testing.assert_allclose(own[~known], bias[known].mean(), rtol=1e-5)


def test_biases_and_relations_do_not_make_items_or_users_alike():
    model = small().fit(TRAIN, item_features=FEATURES)
    before = model.similar_items([0, 1], 5), model.similar_users([0, 1], 5)
    for vectors in (model.item_embedding_, model.user_embedding_):
        vectors[:, 16:] = np.linspace(-100, 100, len(vectors))[:, None]  # and the relations
    after = model.similar_items([0, 1], 5), model.similar_users([0, 1], 5)
    np.testing.assert_equal(after, before)


@pytest.mark.gpu
def test_fitted_on_cuda_loaded_without(tmp_path):
    model = small(device="cuda").fit(TRAIN, item_features=FEATURES, eval_set=TEST)
    joblib.dump(model, tmp_path / "model.joblib")
    for array in (model.user_embedding_, model.item_embedding_, model.user_preference_):
        assert isinstance(array, np.ndarray)
    copy = joblib.load(tmp_path / "model.joblib").set_params(device="cpu")
    assert_same_model(copy, model)


@pytest.mark.gpu
def test_cuda_starts_where_the_cpu_does():
    embeddings = [
        small(device=device, max_epochs=1, learning_rate=1e-12)
        .fit(TRAIN, item_features=FEATURES)
        .item_embedding_
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(*embeddings, atol=1e-5)
