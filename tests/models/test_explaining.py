"""Explanations of both networks: modalities, what content predicts, items after the fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

import recsk
from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.datasets import make_multimodal

DATA = make_multimodal(40, 30, modalities=("image", "text"), missing=0.1, random_state=0)
KEPT = np.random.default_rng(0).random(len(DATA.interactions)) < 0.8
X, LATER = DATA.interactions[KEPT], DATA.interactions[~KEPT]
X = X[X.item < 28]  # the last two are cold
N_ITEMS = 30
SMALL = {"n_factors": 8, "max_epochs": 2, "random_state": 0}
MODELS = {
    "MDE": MDERecommender(**SMALL),
    "MDE, sum": MDERecommender(**SMALL, fusion="sum"),
    "MDE, paper": MDERecommender.paper(**SMALL),
    "MDE, dot, sum": MDERecommender(**SMALL, fusion="sum", similarity="dot"),
    "MDSRec": MDSRecRecommender(**SMALL),
    "MDSRec, mean": MDSRecRecommender(**SMALL, candidate_vectors="mean"),
    "MDSRec, id": MDSRecRecommender(**SMALL, candidate_vectors="id", shared_ids=True),
    "MDSRec, dot": MDSRecRecommender(**SMALL, similarity="dot", candidate_vectors="mean"),
}
NEW = {name: values[[3, 7]].copy() for name, values in DATA.item_features.items()}
NEW["text"][1] = np.nan
NEW["image"] = np.nan_to_num(NEW["image"])
NEW["text"][0] = np.nan_to_num(NEW["text"][0])


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return new_model(request.param)


def new_model(name):
    return clone(MODELS[name]).fit(X, item_features=DATA.item_features)


def total(why):
    return np.sum(list(why.parts.values()), axis=0)


def test_parts_add_up_and_are_named_by_modality(model):
    items, scores = model.recommend(k=N_ITEMS, exclude_seen=False)
    why = model.explain(None, items, history=False)
    names = [f"{m}: {x}" for m in ("image", "text") for x in ("content", "learned")]
    assert list(why.parts)[:4] == names
    assert set(why.parts) <= {*names, "bias", "item-to-item", "popularity"}
    np.testing.assert_allclose(total(why), scores, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["MDE", "MDSRec"])
def test_modalities_are_columns_of_the_vectors(name):
    model = new_model(name)
    why = model.explain([1], np.arange(N_ITEMS), history=False)
    user = model.user_vectors([1])[0]
    whole = ~np.isnan(model._content_lengths).any(axis=1)
    assert 0 < whole.sum() < N_ITEMS
    both = np.zeros(N_ITEMS)
    for m, modality in enumerate(("image", "text")):
        some = slice(8 * m, 8 * (m + 1))
        part = (why.parts[f"{modality}: content"] + why.parts[f"{modality}: learned"])[0]
        expected = model.item_embedding_[:, some] @ user[some]
        np.testing.assert_allclose(part[whole], expected[whole], atol=1e-6)
        both += part - expected
    np.testing.assert_allclose(both, 0, atol=1e-5)
    if "bias" in why.parts:
        np.testing.assert_allclose(why.parts["bias"][0], model.item_embedding_[:, 16], atol=1e-6)
    related = model.history_weights([1]) @ model.item_to_item_
    expected = related.toarray()[0]
    if not model._relates_seen():
        expected[model.interactions_[1].indices] = 0
    np.testing.assert_allclose(why.parts["item-to-item"][0], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["MDE, sum", "MDE, dot, sum", "MDSRec, mean", "MDSRec, id"])
def test_summands_of_the_network_add_up_to_its_vectors(name):
    """Where no content is mixed in, each modality has what the network added."""
    model = new_model(name)
    known = np.flatnonzero(np.diff(X.to_csr().tocsc().indptr))
    width = model._predicted_width()
    np.testing.assert_allclose(
        model._summands(known).sum(axis=0), model.item_embedding_[known, :width], atol=1e-5
    )
    np.testing.assert_allclose(
        model._by_modality(known), model._summands(known), rtol=1e-4, atol=1e-5
    )


def test_items_without_interactions_have_content_alone(model):
    why = model.explain([0, 5], [28, 29], history=False)
    lengths = model._content_lengths[[28, 29]]
    for m, name in enumerate(("image", "text")):
        has = ~np.isnan(lengths[:, m])
        np.testing.assert_array_equal(why.parts[f"{name}: learned"], 0)
        np.testing.assert_array_equal(why.parts[f"{name}: content"][:, ~has], 0)


def test_left_out_predictions_are_those_that_calibrate_new_items():
    model = new_model("MDE")
    made = model._make_new_item_model()
    rows = np.arange(len(made.known))
    unit = model.item_embedding_[made.known]
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    np.testing.assert_allclose(
        made.regression.leave_out(rows, unit), made.regression.predicted, atol=1e-5
    )


@pytest.mark.parametrize("name", ["MDE", "MDE, sum", "MDSRec", "MDSRec, mean"])
def test_added_items_and_their_first_interactions(name, tmp_path):
    model = new_model(name)
    model.add_items(NEW)
    recsk.save(model, tmp_path / "model.recsk")
    for est in (model, recsk.load(tmp_path / "model.recsk")):
        why = est.explain(None, [30, 31, 2])
        np.testing.assert_allclose(
            total(why),
            est.score_pairs(np.repeat(np.arange(40), 3), [30, 31, 2] * 40).reshape(40, 3),
            atol=1e-5,
        )
        np.testing.assert_array_equal(why.parts["text: learned"][:, :2], 0)
        np.testing.assert_array_equal(why.parts["image: learned"][:, :2], 0)
        np.testing.assert_array_equal(why.parts["text: content"][:, 1], 0)
    history = model.explain(None, [4], user_items=[[30, 2]])
    assert history.history[0].tolist() in ([30, 2], [2, 30])
    more = Interactions([0, 1, 2], [30, 30, 31], timestamp=[1e9, 1e9, 1e9], n_users=40, n_items=32)
    model.partial_fit(more)
    items, scores = model.recommend(k=32, exclude_seen=False)
    why = model.explain(None, items, history=False)
    np.testing.assert_allclose(total(why), scores, rtol=1e-5, atol=1e-5)
    assert (model.explain([3], [30]).parts["image: learned"] != 0).all()


def test_the_first_click_teaches_little_of_a_modality_that_an_item_lacks():
    model = new_model("MDE")
    model.add_items(NEW)  # the second one has no text
    click = Interactions([1], [31], timestamp=[1e9], n_users=40, n_items=32)
    model.set_params(learning_rate=1e-12).partial_fit(click)
    parts = model.explain(None, [31], history=False).parts
    assert (parts["text: content"] == 0).all() and parts["text: learned"].any()
    learned, content = (np.abs(parts[name]).mean() for name in ("text: learned", "image: content"))
    assert learned < 0.5 * content


def test_without_features_everything_is_learned():
    for est in (MDERecommender(**SMALL), MDSRecRecommender(**SMALL)):
        model = est.fit(X)
        why = model.explain([1], [2, 3])
        assert next(iter(why.parts)) == "learned"
        assert not any("content" in name for name in why.parts)
        np.testing.assert_allclose(total(why)[0], model.score_pairs([1, 1], [2, 3]), atol=1e-5)


def test_the_model_of_content_is_made_once_and_stays_out_of_pickles(model):
    model.explain([0], [1])
    kept = model._new_item_model
    assert kept is not None
    model.explain([1], [2])
    assert model._new_item_model is kept
    assert "_new_item_model" not in model.__getstate__()


@pytest.mark.parametrize("name", ["MDE", "MDSRec"])
def test_effects_of_known_users_are_those_of_their_histories(name):
    model = new_model(name)
    known = model.explain([2], [5, 29])
    history = known.history[0].tolist()
    if model.ordered:
        assert history == X.sequences()[2].tolist()
    new = model.explain(None, [5, 29], user_items=[history])
    np.testing.assert_allclose(known.effects[0], new.effects[0], atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, N_ITEMS - 1), max_size=8), min_size=1, max_size=4))
def test_parts_of_any_histories_add_up(histories):
    for name in ("MDE", "MDSRec"):
        if name not in _FITTED:
            _FITTED[name] = new_model(name)
        model = _FITTED[name]
        items, scores = model.recommend(user_items=histories, k=N_ITEMS, exclude_seen=False)
        why = model.explain(None, items, user_items=histories)
        np.testing.assert_allclose(total(why), scores, rtol=1e-5, atol=1e-5)
        # An item that repeats is left out with all its repeats.
        for history, found in zip(histories, why.history, strict=True):
            assert sorted(found.tolist()) == sorted(set(history))


_FITTED: dict = {}
