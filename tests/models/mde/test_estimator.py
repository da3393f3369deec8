"""What MDERecommender learns, and what its parameters do."""

import functools

import joblib
import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone

from recsk import Interactions, MDERecommender
from recsk.data.weights import weight_matrix
from recsk.datasets import make_multimodal
from recsk.graphs import neighbor_regression
from recsk.metrics import evaluate
from recsk.model_selection import RandomHoldout
from recsk.models.mde import training as steps
from recsk.ranking import top_k
from tests.contract.suite import (
    FEATURES,
    ITEM_WITHOUT_TEXT,
    N_ITEMS,
    N_USERS,
    TEST,
    TRAIN,
)

EVERYTHING_ON = {
    "modality_weight": 1.0,
    "n_factors": 4,
    "max_epochs": 2,
    "user_neighbors": 5,
    "item_neighbors": 3,
    "random_state": 0,
    "device": "cpu",
}
TERMS = {"ranking", "modality_ranking", "difference", "alignment", "regularization"}


def small(**params):
    return MDERecommender(**{**EVERYTHING_ON, **params})


@functools.cache
def reference():
    return small().fit(TRAIN, item_features=FEATURES)


@pytest.mark.parametrize("training, expected", [("fast", [2 / 7, 1 / 6, 0]), ("paper", [1, 1, 0])])
def test_learned_vectors_of_items_with_few_interactions_count_less(training, expected):
    shares = steps._id_shares(small(training=training), sparse.csr_matrix([[1, 1, 0], [1, 0, 0]]))
    np.testing.assert_allclose(shares[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("n_modalities", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("make", [small, functools.partial(MDERecommender.paper, **EVERYTHING_ON)])
def test_any_number_of_modalities(make, n_modalities):
    rng = np.random.default_rng(0)
    features = {f"m{m}": rng.normal(size=(N_ITEMS, 2 + m)) for m in range(n_modalities)}
    model = make().fit(TRAIN, item_features=features)
    assert model.modality_names_ == list(features)
    width = max(n_modalities, 1)
    assert model.user_embedding_.shape == (N_USERS, 4 * width)
    assert model.user_preference_.shape == (N_USERS, width)
    assert model.item_preference_.shape == (N_ITEMS, width)
    for preference in (model.user_preference_, model.item_preference_):
        np.testing.assert_allclose(preference.sum(axis=1), 1, rtol=1e-5)
        assert (preference >= 0).all()
    # With one modality there is nothing to tell apart, to align or to weigh.
    terms = TERMS if n_modalities > 1 else {"ranking", "regularization"}
    assert model.loss_curve_.keys() == terms
    assert all(len(values) == 2 for values in model.loss_curve_.values())


@pytest.mark.parametrize("id_embedding", ["none", "add", "gate"])
def test_most_items_lack_a_modality(id_embedding):
    rng = np.random.default_rng(0)
    features = {"v": FEATURES["v"], "t": FEATURES["t"].copy()}
    features["t"][rng.permutation(N_ITEMS)[: round(0.9 * N_ITEMS)]] = np.nan
    model = small(id_embedding=id_embedding).fit(TRAIN, item_features=features)
    assert np.isfinite(model.item_embedding_).all() and np.isfinite(model.user_embedding_).all()
    ids, scores = model.recommend(k=N_ITEMS, exclude_seen=False)
    np.testing.assert_array_equal(np.sort(ids), np.tile(np.arange(N_ITEMS), (N_USERS, 1)))
    assert np.isfinite(scores).all()


def test_a_missing_row_is_not_a_row_of_zeros_and_moves_the_others_little():
    """An item without a modality must not pass for one whose features are all zero."""
    present = {**FEATURES, "t": np.nan_to_num(FEATURES["t"], nan=0.0)}
    # A start by regression would move all items a little.
    params = {"training": "paper", "batch_size": 4096}
    other = small(**params).fit(TRAIN, item_features=present).item_embedding_
    missing = small(**params).fit(TRAIN, item_features=FEATURES).item_embedding_
    moved = np.linalg.norm(missing - other, axis=1)
    assert moved.argmax() == ITEM_WITHOUT_TEXT and np.median(moved) < 0.2 * moved.max()


@pytest.mark.parametrize("id_embedding", ["none", "add", "gate"])
def test_without_neighbours_a_missing_modality_says_nothing(id_embedding):
    params = {"n_layers": 0, "item_neighbors": 0, "fusion": "concat"}
    model = small(id_embedding=id_embedding, **params)
    items = model.fit(TRAIN, item_features=FEATURES).item_embedding_
    silent = not items[ITEM_WITHOUT_TEXT, 4:].any()
    assert silent == (id_embedding == "none")  # else its id speaks for it
    assert np.isfinite(items).all()
    assert items.any(axis=1).all()  # the cold item by its content


def two_clusters(rng):
    """Users take items of their own cluster, as the features tell; the last items are new."""
    n_users, n_items, new = 60, 40, np.arange(32, 40)
    of_user, of_item = np.arange(n_users) % 2, np.arange(n_items) % 2
    seen = (of_user[:, None] == of_item) & (rng.random((n_users, n_items)) < 0.4)
    seen[:, new] = False
    features = {m: 3 * np.eye(2)[of_item] + rng.normal(size=(n_items, 2)) for m in "vt"}
    return sparse.csr_array(seen.astype(np.float32)), features, of_user, of_item, new


@pytest.mark.parametrize(
    "make",
    [
        MDERecommender,
        MDERecommender.paper,
        functools.partial(MDERecommender, id_embedding="none"),
        functools.partial(MDERecommender, id_embedding="gate"),
        functools.partial(MDERecommender, similarity="dot", loss="bpr"),
    ],
    ids=["defaults", "paper", "no ids", "gate", "dot"],
)
def test_new_items_are_recommended_by_their_features(make):
    X, features, of_user, of_item, new = two_clusters(np.random.default_rng(0))
    model = make(n_factors=8, max_epochs=15, learning_rate=0.01, random_state=0)
    ids, _ = model.fit(X, item_features=features).recommend(items=new, k=4)
    assert (of_item[ids] == of_user[:, None]).mean() > 0.95


def test_new_items_compete_with_known_items():
    data = make_multimodal(400, 300, random_state=0)
    X = data.interactions
    new = np.random.default_rng(0).random(300) < 0.2
    train, hidden = X[~new[X.item]], X[new[X.item]]
    model = MDERecommender(n_factors=16, max_epochs=40, learning_rate=5e-3, random_state=0)
    model.fit(train, item_features=data.item_features)
    found = evaluate(model, hidden, "recall", 20)["recall@20"]
    assert found > 2 * 20 / 300  # twice what chance finds, among all 300 items


@pytest.mark.parametrize("make", [MDERecommender, MDERecommender.paper])
def test_random_state_of_torch_does_not_move(make):
    X, features, *_ = two_clusters(np.random.default_rng(0))
    before = torch.get_rng_state()
    make(n_factors=4, max_epochs=1, random_state=0).fit(X, item_features=features)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    "params",
    [
        {"n_factors": 5},
        {"n_layers": 0},
        {"n_layers": 1},
        {"user_neighbors": 0},
        {"item_neighbors": 0},
        {"id_embedding": "none"},
        {"id_embedding": "gate"},
        {"fusion": "sum"},
        {"preference": [0.7, 0.3]},
        {"tradeoff": "uniform"},
        {"tradeoff": "independent"},
        {"alpha": 0.0},
        {"alpha": 1.0},
        {"beta": 0.0},
        {"beta": 1.0},
        {"reg_lambda": 1.0},
        {"temperature": 0.5},
        {"modality_weight": 0.0},
        {"loss": "bpr"},
        {"n_negatives": 5},
        {"similarity": "dot"},
        {"training": "paper"},
        {"learning_rate": 0.01},
        {"batch_size": 16},
        {"max_epochs": 3},
        {"early_stopping": True},
        {"random_state": 1},
    ],
    ids=str,
)
def test_every_switch_does_something(params):
    model = small(**params).fit(TRAIN, item_features=FEATURES)
    assert np.isfinite(model.item_embedding_).all() and np.isfinite(model.user_embedding_).all()
    if model.item_embedding_.shape == reference().item_embedding_.shape:
        assert not np.allclose(model.user_embedding_, reference().user_embedding_, atol=1e-6)
    assert model.recommend(user_items=[[1, 2], []])[0].min() >= 0


@pytest.mark.parametrize(
    ("params", "absent"),
    [
        ({"alpha": 0}, ["difference"]),
        ({"beta": 0}, ["alignment"]),
        ({"modality_weight": 0}, ["modality_ranking"]),
        ({"reg_lambda": 0}, ["regularization"]),
        ({"alpha": 0, "beta": 0, "reg_lambda": 0}, ["difference", "alignment", "regularization"]),
    ],
    ids=str,
)
def test_a_weight_of_zero_takes_a_term_away(params, absent):
    model = small(**params).fit(TRAIN, item_features=FEATURES)
    assert model.loss_curve_.keys() == TERMS - set(absent)


def test_fusion_decides_the_width():
    assert reference().item_embedding_.shape[1] == 8
    summed = small(fusion="sum").fit(TRAIN, item_features=FEATURES)
    assert summed.item_embedding_.shape[1] == summed.user_embedding_.shape[1] == 4


def test_cosine_scores_are_cosines():
    model = small(cooccurrence_weight=0, new_item_share=None).fit(TRAIN, item_features=FEATURES)
    assert np.abs(model.recommend(k=N_ITEMS, exclude_seen=False)[1]).max() <= 1 + 1e-6


def test_co_occurring_items_add_to_the_cosines():
    alone = small(cooccurrence_weight=0).fit(TRAIN, item_features=FEATURES)
    assert not hasattr(alone, "item_to_item_")
    model = small(cooccurrence_weight=2.5).fit(TRAIN, item_features=FEATURES)
    seen = TRAIN.to_csr()
    n_per_item = np.bincount(seen.indices)
    penalty = (n_per_item**2).sum() / n_per_item.sum()
    weights = neighbor_regression(seen, 150, penalty) * (seen.nnz / (seen.nnz + 100_000))
    related, warm = model.item_to_item_.toarray(), n_per_item > 0
    np.testing.assert_allclose(related[:, warm], 2.5 * weights.toarray()[:, warm], rtol=1e-5)
    length = np.maximum(np.diff(seen.indptr), 1) ** 0.5
    cosines = alone.user_embedding_ @ alone.item_embedding_.T
    expected = cosines + 2.5 * (seen @ weights).toarray() / length[:, None]
    # The cold item is placed by both parts of the scores: `alone` has it elsewhere.
    expected[:, ~warm] = model.user_embedding_ @ model.item_embedding_[~warm].T
    expected[:, ~warm] += (seen @ related[:, ~warm]) / length[:, None]
    known = np.flatnonzero(np.diff(seen.indptr))  # the others get popular items
    ids, scores = model.recommend(known, k=N_ITEMS, exclude_seen=False)
    expected = np.take_along_axis(expected[known], ids, axis=1)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    # Similarity of items is that of their vectors.
    for found, cosine in zip(model.similar_items([3, 5]), alone.similar_items([3, 5]), strict=True):
        np.testing.assert_array_equal(found, cosine)


def test_new_users_have_the_item_to_item_part_of_their_history():
    model = reference()
    ids, scores = model.recommend(user_items=[[2, 7, 8]], k=N_ITEMS, exclude_seen=False)
    cosine = (model.user_vectors(user_items=[[2, 7, 8]]) @ model.item_embedding_.T)[0, ids[0]]
    term = model.item_to_item_.toarray()[[2, 7, 8]].sum(axis=0)[ids[0]] / np.sqrt(3)
    np.testing.assert_allclose(scores[0], cosine + term, atol=1e-5)


def test_weights_of_interactions_are_weights_of_histories():
    value = np.random.default_rng(0).integers(1, 5, len(TRAIN))
    model = small().fit(TRAIN, item_features=FEATURES, sample_weight=value)
    expected = weight_matrix(TRAIN.user, TRAIN.item, value, TRAIN.to_csr().shape).toarray()
    expected = np.sqrt(expected / np.maximum(expected.sum(axis=1, keepdims=True), 1))
    np.testing.assert_allclose(model.history_weights().toarray(), expected, rtol=1e-5)


def test_validation_measures_both_parts_of_the_scores():
    options = {"eval_metric": "recall@3", "max_epochs": 3, "new_item_share": None}
    model = small(cooccurrence_weight=8.0, **options)
    model.fit(TRAIN, item_features=FEATURES, eval_set=TEST)
    assert max(model.validation_curve_) == pytest.approx(
        evaluate(model, TEST, "recall", 3)["recall@3"]
    )


def test_held_out_interactions_count_in_the_item_to_item_part():
    # Columns of new items come from the vectors.
    own = {"new_item_share": None}
    whole = small(early_stopping=False, **own).fit(TRAIN, item_features=FEATURES)
    model = small(early_stopping=True, **own).fit(TRAIN, item_features=FEATURES)
    assert len(model.validation_curve_) > 0
    assert (model.item_to_item_ != whole.item_to_item_).nnz == 0


@pytest.mark.parametrize("weights", [[3, 1], (0.75, 0.25), np.array([0.3, 0.1], np.float32)])
def test_a_fixed_preference_is_kept_and_scaled(weights):
    model = clone(small(preference=weights)).fit(TRAIN, item_features=FEATURES)
    for preference, n in ((model.user_preference_, N_USERS), (model.item_preference_, N_ITEMS)):
        np.testing.assert_allclose(preference, np.tile([0.75, 0.25], (n, 1)), rtol=1e-6)


def test_a_modality_without_weight_decides_nothing():
    kwargs = {"preference": [1, 0], "max_epochs": 1, "learning_rate": 1e-9}
    models = [
        small(**kwargs).fit(TRAIN, item_features={**FEATURES, "t": FEATURES["t"][:, order]})
        for order in ([0, 1, 2, 3], [3, 2, 1, 0])
    ]
    np.testing.assert_allclose(*(m.item_embedding_ for m in models), atol=1e-6)
    assert not models[0].item_embedding_[:, 4:].any()


@pytest.mark.parametrize(("training", "share"), [("paper", 0.9), ("fast", 0.75)])
def test_what_a_user_of_many_interactions_has_to_say(training, share, monkeypatch):
    """One user with nine items and one with a single one."""
    X = np.zeros((3, 12))
    X[0, 0] = X[1, 2:11] = 1
    said = np.zeros(3)

    name = {"fast": "UserBatches", "paper": "InteractionSampler"}[training]

    class Recorder(getattr(steps, name)):
        def __iter__(self):
            for batch in super().__iter__():
                weight = np.ones(len(batch.user)) if batch.weight is None else batch.weight.numpy()
                np.add.at(said, batch.user.numpy(), weight)
                yield batch

    monkeypatch.setattr(steps, name, Recorder)
    small(training=training, max_epochs=1).fit(sparse.csr_array(X))
    np.testing.assert_allclose(said, [10 * (1 - share), 10 * share, 0], rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_batches_know_the_entries_of_the_graph(weighted):
    X = TRAIN
    if weighted:
        X = TRAIN.with_value(np.random.default_rng(0).choice([0.5, 1, 3], len(TRAIN)))
    est = small()
    built = est._build(est._prepare(X, FEATURES, None, "value" if weighted else None))
    graph = built.network.graphs.interaction.forward_matrix.to_dense()
    pairs = set()
    for batch in steps._batches(est, built.prepared, torch.Generator().manual_seed(0)):
        entries = graph[batch.user, N_USERS + batch.positive]
        torch.testing.assert_close(batch.rows.affinity, entries)
        pairs |= set(zip(batch.user.tolist(), batch.positive.tolist(), strict=True))
    assert len(pairs) == built.prepared.train_set.nnz
    assert (graph[:N_USERS, N_USERS:] > 0).sum() == len(pairs)


def test_the_paper():
    est = MDERecommender.paper(alpha=0.3, max_epochs=2)
    assert type(est) is MDERecommender
    expected = {"loss": "bpr", "similarity": "dot", "id_embedding": "none", "user_neighbors": 0}
    params = est.get_params()
    assert {name: params[name] for name in expected} == expected
    assert (est.training, est.alpha, est.max_epochs) == ("paper", 0.3, 2)


@pytest.mark.parametrize(
    ("params", "features", "expected"),
    [
        ({}, FEATURES, 9),
        ({"n_layers": 1}, FEATURES, 4),
        ({"similarity": "cosine"}, FEATURES, 1),  # no length to change
        ({"training": "fast"}, FEATURES, 1),
        ({}, None, 1),  # LightGCN
    ],
    ids=str,
)
def test_the_paper_ranks_by_the_sum_of_layers(params, features, expected):
    est = MDERecommender.paper(**{**EVERYTHING_ON, **params})
    assert est._score_scale(est._prepare(TRAIN, features, None, None)) == expected


def test_the_paper_weighs_users_alone():
    fits = [
        MDERecommender.paper(**EVERYTHING_ON, preference=preference).fit(
            TRAIN, item_features=FEATURES
        )
        for preference in ([1, 1], [1, 0])
    ]
    for model in fits:
        both = (
            np.linalg.norm(model.item_embedding_[:, :4]),
            np.linalg.norm(model.item_embedding_[:, 4:]),
        )
        assert 0.5 < both[0] / both[1] < 2  # neither modality of items is scaled down
    assert not fits[1].user_embedding_[:, 4:].any() and fits[0].user_embedding_[:, 4:].any()


def test_plain_lightgcn():
    """Ids alone, without the user graph; paper training does not scale them to length one."""
    params = {"training": "paper", "similarity": "dot", "loss": "bpr", "user_neighbors": 0}
    model = small(**params).fit(TRAIN)
    assert model.loss_curve_.keys() == {"ranking", "regularization"}
    first = model.loss_curve_["ranking"][0]
    assert first == pytest.approx(np.log(2), abs=0.05)  # BPR of vectors that know nothing


class TestEarlyStopping:
    def fit(self, X=TRAIN, eval_set=None, **params):
        est = small(max_epochs=12, learning_rate=0.05, eval_metric="ndcg@5", **params)
        return est.fit(X, item_features=FEATURES, eval_set=eval_set)

    def test_eval_set(self):
        # Items without interactions as validation sees them: not placed after the training.
        model = self.fit(eval_set=TEST, n_iter_no_change=3, new_item_share=None)
        curve = model.validation_curve_
        assert len(curve) == model.n_iter_ and model.best_iter_ == 1 + int(np.argmax(curve))
        assert model.n_iter_ in (12, model.best_iter_ + 3)
        kept = evaluate(model, TEST, "ndcg", 5)["ndcg@5"]
        assert kept == pytest.approx(max(curve), abs=1e-6)
        np.testing.assert_array_equal(model.interactions_.toarray(), TRAIN.to_csr().toarray())

    def test_patience(self):
        eager, patient = (
            self.fit(eval_set=TEST, n_iter_no_change=patience) for patience in (1, 100)
        )
        assert patient.n_iter_ == 12 and eager.n_iter_ < 12
        assert eager.validation_curve_ == patient.validation_curve_[: eager.n_iter_]
        assert eager.n_iter_ == eager.best_iter_ + 1

    @pytest.mark.parametrize("form", [Interactions.to_csr, lambda X: X.to_csr().toarray()])
    def test_eval_set_may_be_a_matrix(self, form):
        curve = self.fit(eval_set=TEST).validation_curve_
        assert self.fit(eval_set=form(TEST)).validation_curve_ == curve

    def test_part_of_the_interactions(self):
        model = self.fit(early_stopping=True, validation_fraction=0.3)
        assert len(model.validation_curve_) == model.n_iter_
        assert max(model.validation_curve_) > 0
        # Held-out interactions still count as seen.
        np.testing.assert_array_equal(model.interactions_.toarray(), TRAIN.to_csr().toarray())
        other = self.fit(early_stopping=True, validation_fraction=0.1)
        assert other.validation_curve_ != model.validation_curve_

    @pytest.mark.parametrize(
        ("early_stopping", "eval_set", "watched"),
        [("auto", None, False), ("auto", TEST, True), (False, TEST, False), (True, None, True)],
    )
    def test_when_it_watches(self, early_stopping, eval_set, watched):
        model = self.fit(early_stopping=early_stopping, eval_set=eval_set)
        assert bool(model.validation_curve_) == watched
        if not watched:
            assert model.n_iter_ == model.best_iter_ == 12

    def test_auto_watches_from_10000_interactions_on(self):
        seen = np.random.default_rng(0).random((400, 60)) < 0.45
        X = sparse.csr_array(seen.astype(np.float32))
        assert X.nnz > 10_000
        for part, watched in ((X, True), (X[:300], False)):
            assert bool(small(max_epochs=1).fit(part).validation_curve_) == watched

    def test_nobody_with_anything_to_spare(self):
        """One interaction each: nothing can be held out, and nothing is watched."""
        X = Interactions(np.arange(5), np.arange(5))
        with pytest.warns(UserWarning, match=r"validation_fraction=0\.1, which is nothing"):
            model = small(early_stopping=True).fit(X)
        assert not model.validation_curve_ and model.n_iter_ == 2


class _Popularity:
    def __init__(self, X):
        self.seen = X.to_csr()
        self.count = np.bincount(X.item, minlength=X.n_items)[:, None]

    def recommend(self, users, k=10, *, exclude_seen=True):
        return top_k(np.ones((len(users), 1)), self.count, k, exclude=self.seen[users])


@functools.cache
def _learned(kind):
    data = make_multimodal(300, 300, interactions_per_user=6, n_factors=8, random_state=0)
    X = data.interactions
    train, test = next(RandomHoldout(test_size=0.3, random_state=0).split(X))
    if kind == "popularity":
        model = _Popularity(X[train])
    else:
        params = {"n_factors": 8, "max_epochs": 15, "learning_rate": 0.01, "batch_size": 512}
        make = MDERecommender.paper if kind == "paper" else MDERecommender
        features = {
            "v": {"v": data.item_features["v"]},
            "noise": {"z": np.random.default_rng(0).normal(size=(300, 32))},
            "ids": None,
        }.get(kind, data.item_features)
        model = make(**params, random_state=0).fit(X[train], item_features=features)
    return model, evaluate(model, X[test], "recall", 10)["recall@10"]


def test_learns_more_than_popularity_and_from_features():
    recall = {kind: _learned(kind)[1] for kind in ("popularity", "ids", "noise", "v", "all")}
    assert recall["ids"] > 1.2 * recall["popularity"]
    assert recall["all"] > 2 * recall["popularity"] and recall["all"] > 1.4 * recall["ids"]
    assert recall["all"] > 1.15 * recall["v"]  # either modality tells what the other does not
    assert recall["v"] > recall["noise"]
    assert _learned("paper")[1] > 2 * recall["popularity"]


@pytest.mark.parametrize("kind", ["all", "paper", "ids"])
def test_the_loss_falls(kind):
    model, _ = _learned(kind)
    ranking = model.loss_curve_["ranking"]
    assert ranking[-1] < 0.95 * ranking[0]
    assert all(np.isfinite(values).all() for values in model.loss_curve_.values())


def test_difference_and_alignment_pull_in_opposite_directions():
    def distance(**weights):
        model = small(max_epochs=60, learning_rate=0.01, preference=[1, 1], **weights)
        items = model.fit(TRAIN, item_features=FEATURES).item_embedding_.reshape(N_ITEMS, 2, 4)
        v, t = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in items.swapaxes(0, 1))
        return np.linalg.norm(v - t, axis=1).mean()

    uniform = {"tradeoff": "uniform"}
    apart, neither, together = (
        distance(alpha=alpha, beta=beta, **uniform) for alpha, beta in [(20, 0), (0, 0), (0, 20)]
    )
    assert together < neither < apart


def test_known_users_folded_in_keep_most_of_their_list():
    model, _ = _learned("all")
    own, _ = model.recommend(k=20)
    folded, _ = model.recommend(user_items=model.interactions_, k=20)
    overlap = np.mean([np.isin(a, b).mean() for a, b in zip(own, folded, strict=True)])
    assert overlap > 0.8


def test_new_users_folded_in_are_served_far_better_than_by_popularity():
    data = make_multimodal(400, 300, interactions_per_user=8, n_factors=8, random_state=0)
    X = data.interactions
    train, test = next(RandomHoldout(test_size=0.3, random_state=0).split(X))
    known = X.user[train] < 300
    params = {"n_factors": 8, "max_epochs": 15, "learning_rate": 0.01, "batch_size": 512}
    model = MDERecommender(**params, random_state=0)
    model.fit(X[train][known].to_csr()[:300], item_features=data.item_features)
    histories, truth = X[train].to_csr()[300:], X[test].to_csr()[300:]

    class NewUsers:
        def recommend(self, users, k=10, *, exclude_seen=True):
            return model.recommend(user_items=histories[users], k=k)

    popularity = _Popularity(X[train][known])
    popularity.seen = histories
    recall = [evaluate(est, truth, "recall", 10)["recall@10"] for est in (NewUsers(), popularity)]
    assert recall[0] > 1.5 * recall[1]


@pytest.mark.gpu
def test_fitted_on_cuda_loaded_without(tmp_path):
    model = small(device="cuda").fit(TRAIN, item_features=FEATURES, eval_set=TEST)
    joblib.dump(model, tmp_path / "model.joblib")
    for array in (model.user_embedding_, model.item_embedding_, model.user_preference_):
        assert isinstance(array, np.ndarray)
    copy = joblib.load(tmp_path / "model.joblib").set_params(device="cpu")
    for kwargs in ({}, {"user_items": [[1, 2], []]}):
        (ids, scores), (copy_ids, copy_scores) = (m.recommend(**kwargs) for m in (model, copy))
        np.testing.assert_array_equal(copy_ids, ids)
        np.testing.assert_allclose(copy_scores, scores, atol=1e-5)


@pytest.mark.gpu
def test_cuda_starts_where_the_cpu_does():
    params = {"max_epochs": 1, "learning_rate": 1e-12, "preference": [1, 1]}
    embeddings = [
        small(device=device, **params).fit(TRAIN, item_features=FEATURES).item_embedding_
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(*embeddings, atol=1e-5)
