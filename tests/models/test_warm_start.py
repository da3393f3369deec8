"""`warm_start`: a fit that starts from the weights of the fit before."""

import copy

import numpy as np
import pytest
from sklearn.base import clone

import recsk
from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.datasets import make_multimodal
from recsk.testing.expect import expect_identical

DATA = make_multimodal(n_users=120, n_items=60, random_state=0)
X, FEATURES = DATA.interactions, DATA.item_features
ORDER = np.argsort(X.timestamp, kind="stable")
OLD, NEW = (X[rows] for rows in np.split(ORDER, [int(0.7 * len(X))]))
ESTIMATORS = {
    "mde": MDERecommender(n_factors=8, max_epochs=3, random_state=0),
    "paper": MDERecommender.paper(n_factors=8, max_epochs=3, learning_rate=0.05, random_state=0),
    "mdsrec": MDSRecRecommender(n_factors=8, n_heads=2, max_epochs=3, random_state=0),
}
ALL = pytest.mark.parametrize("name", ESTIMATORS)


def warm(name, **params):
    return clone(ESTIMATORS[name]).set_params(warm_start=True, **params)


def cosines(one, other):
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.sum(one * other, axis=1)[norms > 0] / norms[norms > 0]


@ALL
def test_the_first_fit_is_that_of_a_cold_start(name):
    cold = clone(ESTIMATORS[name]).fit(OLD, item_features=FEATURES)
    model = warm(name).fit(OLD, item_features=FEATURES)
    expect_identical(model, cold, "the first fit", but=["warm_start"])


@ALL
def test_a_second_fit_starts_from_the_weights(name):
    model = warm(name).fit(OLD, item_features=FEATURES)
    before = copy.deepcopy(model)
    model.set_params(learning_rate=1e-12)
    assert model.fit(OLD, item_features=FEATURES) is model
    assert model.n_iter_ == 3  # all epochs, unlike partial_fit
    for part in ("item_embedding_", "user_embedding_"):
        assert np.median(cosines(getattr(model, part), getattr(before, part))) > 0.98
    cold = clone(model).set_params(warm_start=False).fit(OLD, item_features=FEATURES)
    assert np.median(cosines(cold.item_embedding_, before.item_embedding_)) < 0.95
    # Training goes on where it ended.
    model = before.fit(OLD, item_features=FEATURES)
    first = clone(ESTIMATORS[name]).fit(OLD, item_features=FEATURES).loss_curve_["ranking"]
    assert model.loss_curve_["ranking"][-1] < first[0]


@ALL
def test_interactions_are_those_of_the_last_fit(name):
    model = warm(name).fit(OLD, item_features=FEATURES).fit(NEW)
    assert (model.interactions_ != NEW.to_csr()).nnz == 0
    assert model.modality_names_ == list(FEATURES)
    cold = clone(ESTIMATORS[name]).fit(NEW, item_features=FEATURES)
    np.testing.assert_array_equal(model.item_popularity_, cold.item_popularity_)
    if name == "mde":
        warm_items = cold.item_popularity_ > 0
        found, expected = (m.item_to_item_.toarray()[:, warm_items] for m in (model, cold))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@ALL
def test_users_and_items_may_be_more_and_are_matched_by_label(name):
    users, items = [f"u{u}" for u in range(120)], [f"i{i}" for i in range(60)]
    some = (X.user < 100) & (X.item < 50)
    first = Interactions(
        X.user[some], X.item[some], timestamp=X.timestamp[some], n_users=100, n_items=50
    ).with_labels(users[:100], items[:50])
    known = {m: rows[:50] for m, rows in FEATURES.items()}
    model = warm(name).fit(first, item_features=known)
    user, item = 119 - X.user, 59 - X.item  # the same log, numbered from the end
    turned = Interactions(user, item, timestamp=X.timestamp, n_users=120, n_items=60)
    model.fit(turned.with_labels(users[::-1], items[::-1]), item_features={})
    assert model.users_.tolist()[:100] == users[:100] and set(model.users_) == set(users)
    assert model.items_.tolist()[:50] == items[:50] and set(model.items_) == set(items)
    pairs = set(zip(X.user, X.item, strict=True))
    seen = {
        (int(model.users_[u][1:]), int(model.items_[i][1:]))
        for u, i in zip(*model.interactions_.nonzero(), strict=True)
    }
    assert seen == pairs
    assert np.isfinite(model.recommend(k=5)[1]).all()


@pytest.mark.parametrize("name", ["mde", "mdsrec"])
def test_early_stopping_and_files(name, tmp_path):
    model = warm(name).fit(OLD, item_features=FEATURES)
    recsk.save(model, tmp_path / "model.recsk")
    other = recsk.load(tmp_path / "model.recsk")
    for m in (model, other):
        m.set_params(early_stopping=True, max_epochs=5).fit(X)
    assert len(model.validation_curve_) == model.n_iter_ > 0
    expect_identical(other, model, "after a file", but=["_links"])  # of other integer types


def test_a_checkpoint_knows_the_weights_that_it_started_from(tmp_path, monkeypatch):
    from recsk.models.mde import training

    path = tmp_path / "fit.pt"
    model = warm("mde").fit(OLD, item_features=FEATURES, checkpoint=path)
    other = copy.deepcopy(model).partial_fit(NEW)
    expected = copy.deepcopy(model).fit(X)
    call, calls = training.MDEObjective.__call__, []

    def interrupted(self, batch):
        calls.append(batch)
        if len(calls) > 25:
            raise KeyboardInterrupt
        return call(self, batch)

    before = copy.deepcopy(model)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training.MDEObjective, "__call__", interrupted)
        model.fit(X, checkpoint=path)
    with pytest.raises(ValueError, match="checkpoint"):
        other.fit(X, checkpoint=path)
    before.fit(X, checkpoint=path)
    np.testing.assert_array_equal(before.item_embedding_, expected.item_embedding_)


@pytest.mark.parametrize(
    ("change", "X", "options", "message"),
    [
        ({"n_factors": 4}, X, {}, r"fit with warm_start=True .* n_factors=4 \(in the fit: n_fac"),
        ({}, X.to_csr()[:, :-1], {}, "X has 59 features"),
        ({}, X[:0], {}, "X has no interactions"),
        ({}, X, {"item_features": {"sound": np.ones((60, 2))}}, "'sound', which the fit did not"),
        ({"warm_start": 3}, X, {}, "'warm_start' parameter"),
    ],
    ids=["architecture", "columns", "nothing", "modality", "type"],
)
def test_errors_leave_the_model_as_it_was(change, X, options, message):
    model = warm("mde").fit(OLD, item_features=FEATURES)
    before = model.recommend(k=5)[0]
    with pytest.raises(ValueError, match=message):
        model.set_params(**change).fit(X, **options)
    np.testing.assert_array_equal(model.recommend(k=5)[0], before)


def test_an_item_that_lost_its_interactions_is_placed_by_its_content():
    model = warm("mde").fit(X, item_features=FEATURES)
    item = int(np.argmax(np.bincount(X.item)))
    model.fit(X[X.item != item], item_features=FEATURES)
    cold = clone(ESTIMATORS["mde"]).fit(X[X.item != item], item_features=FEATURES)
    for one in (model, cold):
        column = one.item_to_item_[:, [item]]
        assert column.nnz > 0 and not one.interactions_[:, [item]].nnz
