"""Both networks learn on: from the weights of the last training, on data that grow."""

import copy
import threading

import numpy as np
import pandas as pd
import pytest
import torch

import recsk
from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.datasets import make_multimodal
from recsk.metrics import evaluate
from recsk.models.mdsrec import training

DATA = make_multimodal(n_users=120, n_items=60, random_state=0)
X = DATA.interactions
ORDER = np.argsort(X.timestamp, kind="stable")
OLD, NEW = (X[rows] for rows in np.split(ORDER, [int(0.7 * len(X))]))
ESTIMATORS = {
    "mde": MDERecommender(n_factors=8, max_epochs=4, random_state=0),
    "paper": MDERecommender.paper(n_factors=8, max_epochs=4, random_state=0),
    "gate": MDERecommender(
        n_factors=8, max_epochs=2, id_embedding="gate", tradeoff="independent", random_state=0
    ),
    "mdsrec": MDSRecRecommender(n_factors=8, n_heads=2, max_epochs=4, random_state=0),
}
ALL = pytest.mark.parametrize("name", list(ESTIMATORS))


def fitted(name, interactions=OLD, **options):
    model = copy.deepcopy(ESTIMATORS[name])
    return model.fit(interactions, item_features=DATA.item_features, **options)


@ALL
def test_training_goes_on_from_the_learned_weights(name):
    model = fitted(name)
    before = model.item_embedding_.copy()
    model.partial_fit(NEW)
    assert model.n_iter_ == 1
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (before, model.item_embedding_)]
    popular = np.argsort(-model.item_popularity_)[:20]
    # A new fit would turn the space; going on, vectors stay near where they were.
    assert np.median(np.sum(unit[0] * unit[1], axis=1)[popular]) > 0.8


@ALL
def test_weights_are_those_of_the_network(name):
    """Where nothing is learned and next to nothing is new, vectors stay as they are."""
    model = fitted(name).set_params(learning_rate=1e-12)
    before = copy.deepcopy(model)
    item = before.interactions_.indices[0]  # of user 0, once more
    when = X.timestamp.max()
    model.partial_fit(Interactions([0], [item], timestamp=[when], n_users=120, n_items=60))
    for a, b in (
        (before.user_embedding_[1:], model.user_embedding_[1:]),
        (before.item_embedding_, model.item_embedding_),
    ):
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        assert np.median(np.sum(a * b, axis=1)[norms > 0] / norms[norms > 0]) > 0.98


@ALL
def test_new_users_and_items_take_part(name):
    known = (X.user < 100) & (X.item < 50)
    first = Interactions(
        X.user[known], X.item[known], timestamp=X.timestamp[known], n_users=100, n_items=50
    )
    model = copy.deepcopy(ESTIMATORS[name])
    model.fit(first, item_features={m: rows[:50] for m, rows in DATA.item_features.items()})
    model.partial_fit(X[~known], item_features=DATA.item_features)
    assert model.recommend(k=5)[0].shape == (120, 5)
    assert np.isfinite(model.item_embedding_).all()
    assert np.abs(model.user_embedding_[100:]).sum(axis=1).all()


def test_items_of_other_users_are_negatives_too(monkeypatch):
    """Else those of tonight's users, the popular ones, fall behind the others night by night."""
    model, negatives, make = fitted("mdsrec"), [], training.SequenceSampler._make_batch

    def seen(*args):
        batch = make(*args)
        everything = torch.arange(X.n_items)
        negatives.append(everything if batch.negative is None else batch.negative)
        return batch

    monkeypatch.setattr(training.SequenceSampler, "_make_batch", seen)
    model.partial_fit(NEW[:1])
    with_interactions = np.union1d(OLD.item, NEW.item[:1])
    assert negatives
    assert all(np.array_equal(np.sort(found), with_interactions) for found in negatives)


def test_vectors_fade_as_data_grow():
    def learned(model):
        return model._weights.arrays["item"]

    model = fitted("mdsrec").set_params(learning_rate=1e-12)
    first, known = learned(model), model.interactions_.nnz
    model.partial_fit(NEW)
    share = known / model.interactions_.nnz
    assert share < 0.8
    np.testing.assert_allclose(learned(model), share**2 * first, atol=1e-6)
    again = learned(model)
    model.partial_fit(NEW[:5])  # pairs that are known
    np.testing.assert_allclose(learned(model), again, atol=1e-6)


@pytest.mark.parametrize("options", [{"project_features": False}, {}])
def test_vectors_without_content_beside_do_not_fade(options):
    model = copy.deepcopy(ESTIMATORS["mdsrec"]).set_params(**options)
    model.fit(OLD, item_features=DATA.item_features if options else None)
    first = model._weights.arrays["item"]
    model.set_params(learning_rate=1e-12).partial_fit(NEW)
    np.testing.assert_allclose(model._weights.arrays["item"], first, atol=1e-6)


@pytest.mark.parametrize("name", ["mde", "mdsrec"])
def test_added_items_become_ordinary_ones(name):
    model = fitted(name)
    arrivals = {m: rows[:3] + 0.1 for m, rows in DATA.item_features.items()}
    ids = model.add_items(arrivals)
    when = np.arange(6) + X.timestamp.max()
    clicks = Interactions(np.arange(6), np.repeat(ids, 2), timestamp=when, n_users=120, n_items=63)
    model.partial_fit(clicks)
    assert (model.item_popularity_[ids] > 0).all()
    assert model.partial_fit(clicks).n_features_in_ == 63  # repeats are no error
    model.add_items(arrivals)
    assert model.recommend([0], k=66, exclude_seen=False)[0].max() == 65


@pytest.mark.parametrize("options", [{}, {"project_features": False}], ids=str)
def test_features_of_one_new_item_do_not_rescale_those_of_all(options, tmp_path):
    model = copy.deepcopy(ESTIMATORS["mdsrec"]).set_params(**options)
    model.fit(OLD, item_features=DATA.item_features)
    recsk.save(model, tmp_path / "model.recsk")
    vectors = []
    for est, size in ((model, 1), (recsk.load(tmp_path / "model.recsk"), 1000)):
        arrival = {m: rows[:1] * np.float32(size) for m, rows in DATA.item_features.items()}
        est.add_items(arrival)
        clicks = Interactions(NEW.user, NEW.item, timestamp=NEW.timestamp, n_users=120, n_items=61)
        vectors.append(est.partial_fit(clicks).item_embedding_[:60])
    moved = np.linalg.norm(vectors[0] - vectors[1], axis=1)
    assert np.median(moved / np.linalg.norm(vectors[0], axis=1)) < 0.05


def test_a_file_without_the_scale_of_features_measures_it_again(tmp_path):
    model = fitted("mdsrec")
    old = copy.deepcopy(model)
    del old._feature_scales
    recsk.save(old, tmp_path / "model.recsk")
    loaded = recsk.load(tmp_path / "model.recsk").partial_fit(NEW)
    model.partial_fit(NEW)
    np.testing.assert_allclose(loaded.item_embedding_, model.item_embedding_, atol=1e-4)


@pytest.mark.parametrize("name", ["mde", "mdsrec"])
def test_features_that_cannot_be_computed_with_are_refused(name):
    model = fitted(name)
    before = model.recommend(k=5)[1]
    far = {m: np.vstack([rows, 0 * rows[:1] + 3e38]) for m, rows in DATA.item_features.items()}
    clicks = Interactions([0], [60], timestamp=[X.timestamp.max()], n_users=120)
    with pytest.raises(ValueError, match=r"the value 3e\+38, which is .* standard deviations"):
        model.partial_fit(clicks, item_features=far)
    np.testing.assert_array_equal(model.recommend(k=5)[1], before)


@pytest.mark.parametrize("name", ["mde", "mdsrec"])
def test_readers_see_one_state(name):
    model = fitted(name)
    arrivals = {m: np.vstack([rows, rows[:5]]) for m, rows in DATA.item_features.items()}
    new = Interactions(NEW.user, NEW.item, timestamp=NEW.timestamp, n_users=130, n_items=65)
    errors, seen, done = [], set(), threading.Event()

    def read():
        while not done.is_set():
            try:
                ids, scores = model.recommend(k=70, exclude_seen=False)
                n_listed = np.unique((ids >= 0).sum(axis=1)).tolist()
                assert (len(ids), n_listed) in ((120, [60]), (130, [65]))
                assert np.isfinite(scores[ids >= 0]).all()
                seen.add(len(ids))
            except Exception as error:
                errors.append(error)
                return

    thread = threading.Thread(target=read)
    thread.start()
    try:
        model.partial_fit(new, item_features=arrivals)
    finally:
        done.set()
        thread.join()
    assert not errors and 120 in seen


def test_an_interrupt_keeps_a_whole_model(monkeypatch):
    from recsk.models.mde import training

    model = fitted("mde")

    def interrupted(self, batch):
        raise KeyboardInterrupt

    monkeypatch.setattr(training.MDEObjective, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(NEW)
    assert model.interactions_.nnz == X.to_csr().nnz
    assert model.recommend(k=3)[0].shape == (120, 3)


@pytest.mark.parametrize("name", ["mde", "mdsrec"])
def test_thirty_days_of_a_shop(name, tmp_path):
    """Products in the morning, lists in between, training at night; all of it by label."""
    rng = np.random.default_rng(0)
    n_days, n_topics = 30, 6
    topics = {m: rng.normal(size=(n_topics, width)) for m, width in (("v", 8), ("t", 5))}
    products: dict[str, int] = {}
    tastes: dict[str, int] = {}

    def arrive(n):
        labels = [f"sku {len(products) + i}" for i in range(n)]
        products.update({label: int(rng.integers(n_topics)) for label in labels})
        chosen = [products[label] for label in labels]
        return labels, {
            m: pd.DataFrame(
                centers[chosen] + 0.3 * rng.normal(size=(n, centers.shape[1])), index=labels
            )
            for m, centers in topics.items()
        }

    def clicks(users, day):
        rows = []
        for user in users:
            own = [label for label, topic in products.items() if topic == tastes[user]]
            rows += [(user, label, day) for label in rng.choice(own, min(4, len(own)), False)]
        frame = pd.DataFrame(rows, columns=["user", "item", "day"])
        frame["time"] = np.arange(len(frame)) + 10_000 * day
        return frame.sample(frac=1, random_state=day)

    def read(frame):
        return Interactions.from_frame(frame, user="user", item="item", timestamp="time")

    _, features = arrive(60)
    tastes.update({f"user {i}": int(rng.integers(n_topics)) for i in range(40)})
    frames = [clicks(tastes, 0)]
    model = copy.deepcopy(ESTIMATORS[name]).set_params(max_epochs=8)
    model.fit(read(frames[0]), item_features=features)
    hits = []
    for day in range(1, n_days + 1):
        labels, features = arrive(2)
        added = model.add_items({m: x.to_numpy() for m, x in features.items()}, labels=labels)
        assert added.tolist() == labels
        tastes[f"user {len(tastes)}"] = int(rng.integers(n_topics))
        users = list(model.users_)
        lists, _ = model.recommend(users[:10], k=5)
        liked = [
            [products[i] == tastes[u] for i in row]
            for u, row in zip(users[:10], lists, strict=True)
        ]
        hits.append(np.mean(liked))
        frames.append(clicks(rng.choice(list(tastes), 8, False), day))
        model.partial_fit(read(frames[-1]))
        if day % 10 == 5:  # another process goes on in the morning
            recsk.save(model, tmp_path / "model.recsk")
            lists = model.recommend(k=5)
            model = recsk.load(tmp_path / "model.recsk")
            np.testing.assert_array_equal(model.recommend(k=5)[0], lists[0])
    everything = pd.concat(frames)
    assert set(model.users_) == set(everything["user"])
    assert set(model.items_) == set(products)
    assert len(set(model.items_.tolist())) == len(model.items_)
    pairs = everything[["user", "item"]].drop_duplicates()
    assert model.interactions_.nnz == len(pairs)
    assert np.mean(hits[-5:]) > 0.5  # by chance: 1 / 6
    for user, item in pairs.sample(20, random_state=0).itertuples(index=False):
        assert item not in model.recommend(user, k=20)[0].tolist()


def test_as_good_as_a_new_fit():
    data = make_multimodal(n_users=400, n_items=150, random_state=1)
    X = data.interactions
    order = np.argsort(X.timestamp, kind="stable")
    old, new, test = (X[rows] for rows in np.split(order, [len(X) // 2, 8 * len(X) // 10]))
    model = MDERecommender(n_factors=16, random_state=0).fit(old, item_features=data.item_features)
    anew = MDERecommender(n_factors=16, random_state=0)
    anew.fit(X[order[: 8 * len(X) // 10]], item_features=data.item_features)
    for part in np.array_split(np.arange(len(new)), 4):
        model.partial_fit(new[part])
    ndcg = [evaluate(m, test, "ndcg", 10)["ndcg@10"] for m in (model, anew)]
    assert ndcg[0] > 0.9 * ndcg[1]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("mde", {"n_factors": 4}),
        ("mde", {"id_embedding": "none"}),
        ("mde", {"training": "paper"}),
        ("mde", {"preference": [0.5, 0.5]}),
        ("mdsrec", {"n_factors": 4}),
        ("mdsrec", {"max_length": 7}),
        ("mdsrec", {"n_interests": 3}),
        ("mdsrec", {"item_bias": False}),
    ],
)
def test_the_network_of_the_fit_is_not_another_one(name, change, tmp_path):
    model = fitted(name)
    before = model.recommend(k=5)[0]
    recsk.save(model, tmp_path / "model.recsk")
    parameter = next(iter(change))
    for some in (model, recsk.load(tmp_path / "model.recsk")):
        with pytest.raises(ValueError, match=rf"changed: {parameter}=.*\(in the fit: {parameter}="):
            some.set_params(**change).partial_fit(NEW)
        np.testing.assert_array_equal(some.recommend(k=5)[0], before)


def test_the_same_number_of_numpy_is_no_change():
    fitted("mde").set_params(n_factors=np.int64(8)).partial_fit(NEW)
