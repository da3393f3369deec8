"""Diverse lists: labels, frames, blocks, items after the fit, and the metric that they raise."""

import numpy as np
import pytest

import recsk
from recsk import MDERecommender, MDSRecRecommender
from recsk.baselines import ALSRecommender, ContentKNNRecommender, SequentialRulesRecommender
from recsk.contract import diversity
from recsk.datasets import make_multimodal
from recsk.metrics import diversity_at_k
from recsk.ranking.vectors import unit_rows

DATA = make_multimodal(60, 150, modalities=("image", "text"), missing=0.1, random_state=0)
X, FEATURES = DATA.interactions, DATA.item_features
MODELS = [
    MDERecommender(n_factors=8, max_epochs=2, random_state=0),
    MDSRecRecommender(n_factors=8, max_epochs=1, random_state=0),
    ContentKNNRecommender(),
    ContentKNNRecommender(n_neighbors=20),
    SequentialRulesRecommender(),
]


@pytest.fixture(scope="module", params=MODELS, ids=lambda est: type(est).__name__)
def model(request):
    return request.param.fit(X, item_features=FEATURES)


def differences(ids, name):
    unit = unit_rows(np.nan_to_num(FEATURES[name]))[ids]
    k = ids.shape[1]
    cosines = np.einsum("ukd,uld->ukl", unit, unit).sum(axis=(1, 2)) - (unit**2).sum(axis=(1, 2))
    return float(1 - cosines.mean() / (k * (k - 1)))


def test_the_more_weight_the_more_the_items_differ(model):
    for name in FEATURES:
        found = [
            differences(model.recommend(k=8, diversity={name: weight})[0], name)
            for weight in (0, 0.3, 0.9)
        ]
        assert found[0] < found[1] < found[2]
    lists = [model.recommend(k=8, diversity=weight)[0] for weight in (None, 0.8)]
    for name in FEATURES:
        assert differences(lists[1], name) > differences(lists[0], name)


def test_it_raises_the_metric_of_diversity(model):
    plain, diverse = (model.recommend(k=8, diversity=d)[0] for d in (None, {"image": 0.8}))
    features = np.nan_to_num(FEATURES["image"])
    assert diversity_at_k(diverse, features, 8) > diversity_at_k(plain, features, 8)


def test_only_the_best_candidates_are_re_ranked(model):
    candidates = model.recommend(k=100)[0]
    diverse = model.recommend(k=6, diversity=1.0)[0]
    for row, allowed in zip(diverse, candidates, strict=True):
        assert set(row) <= set(allowed)


def test_blocks_change_nothing(model, monkeypatch):
    mask = np.random.default_rng(0).random((60, 150)) < 0.7
    at_once = model.recommend(k=5, diversity=0.4, items=mask)
    monkeypatch.setattr(diversity, "_MAX_RANKED", 700)
    monkeypatch.setattr(diversity, "_MAX_NUMBERS", 10_000)
    in_blocks = model.recommend(k=5, diversity=0.4, items=mask)
    np.testing.assert_array_equal(in_blocks[0], at_once[0])
    np.testing.assert_allclose(in_blocks[1], at_once[1], rtol=1e-5)


def test_a_call_looks_at_blocks_of_bounded_size(model, monkeypatch):
    monkeypatch.setattr(diversity, "_MAX_NUMBERS", 50_000)
    sizes = []

    def watched(ids, scores, vectors, weights, k):
        sizes.extend(part.size for part in vectors)
        return np.full((len(ids), k), -1), np.full((len(ids), k), -np.inf, np.float32)

    monkeypatch.setattr(diversity, "diversify", watched)
    model.recommend(k=5, diversity={"image": 0.2, "text": 0.2})
    assert len(sizes) > 2 and max(sizes) <= 50_000


def test_added_and_loaded(tmp_path):
    model = MODELS[0].fit(X, item_features=FEATURES)
    new = {name: np.nan_to_num(values[:20]) for name, values in FEATURES.items()}
    added = model.add_items(new)
    expected = model.recommend(k=10, diversity=0.5, items=added)
    assert set(expected[0].ravel()) <= set(added)
    recsk.save(model, tmp_path / "model.recsk")
    loaded = recsk.load(tmp_path / "model.recsk").recommend(k=10, diversity=0.5, items=added)
    np.testing.assert_array_equal(loaded[0], expected[0])


def test_labels_frames_and_new_users():
    pytest.importorskip("pandas")
    labels = [f"item {i}" for i in range(150)]
    log = X.with_labels([f"user {i}" for i in range(60)], labels)
    model = ContentKNNRecommender().fit(log, item_features=FEATURES)
    by_id = ContentKNNRecommender().fit(X, item_features=FEATURES)
    ids, _ = by_id.recommend([3], k=5, diversity=0.5)
    found, _ = model.recommend("user 3", k=5, diversity=0.5)
    assert found.tolist() == [labels[i] for i in ids[0]]
    frame = model.recommend("user 3", k=5, diversity=0.5, as_frame=True)
    assert frame["item"].tolist() == found.tolist() and frame["rank"].tolist() == [1, 2, 3, 4, 5]
    histories = {"new": labels[:3], "empty": []}
    items, scores = model.recommend(["user 3"], user_items=histories, k=5, diversity=0.5)
    assert items[0].tolist() == found.tolist()
    popularity = dict(zip(labels, model.item_popularity_, strict=True))
    np.testing.assert_allclose(scores[2], [popularity[i] for i in items[2]])


def test_models_of_ids_say_what_is_missing():
    for model in (ALSRecommender(factors=4), MDERecommender(n_factors=8, max_epochs=1)):
        with pytest.raises(ValueError, match="diversity needs features of the items"):
            model.fit(X).recommend([0], diversity=0.3)
        assert model.recommend([0], diversity=0)[0].shape == (1, 10)
    model = ContentKNNRecommender().fit(X, item_features=FEATURES)
    with pytest.raises(ValueError, match=r"of \['image', 'text'\]; got 'sound'"):
        model.recommend([0], diversity={"sound": 0.3})
