"""Items that arrive after the fit, in MDE."""

import copy
import functools

import joblib
import numpy as np
import pytest
from sklearn.base import clone

import recsk
from recsk import Interactions, MDERecommender
from recsk.datasets import make_multimodal

DATA = make_multimodal(n_users=120, n_items=80, random_state=0)
KNOWN = 70
TRAIN = DATA.interactions[DATA.interactions.item < KNOWN]
NEW = {name: values[KNOWN:] for name, values in DATA.item_features.items()}
N_NEW = 80 - KNOWN


def matrix(n_items):
    return TRAIN.to_csr()[:, :n_items]


@functools.cache
def _fitted(**params):
    model = MDERecommender(n_factors=8, max_epochs=3, random_state=0, **params)
    features = {name: values[:KNOWN] for name, values in DATA.item_features.items()}
    return model.fit(matrix(KNOWN), item_features=features)


def fitted(**params):
    return copy.deepcopy(_fitted(**params))


def test_new_items_are_recommended_and_known_ones_stay_as_they_are():
    model, before = fitted(), fitted()
    np.testing.assert_array_equal(model.add_items(NEW), np.arange(KNOWN, 80))
    assert model.n_features_in_ == 80
    ids, scores = model.recommend(k=80, exclude_seen=False)
    assert (np.sort(ids, axis=1) == np.arange(80)).all()
    was, then = before.recommend(k=KNOWN, exclude_seen=False)
    now, same = model.recommend(k=KNOWN, exclude_seen=False, items=np.arange(KNOWN))
    np.testing.assert_array_equal(was, now)
    np.testing.assert_allclose(then, same, atol=1e-6)
    assert np.isin(ids[:, :10], np.arange(KNOWN, 80)).any()
    assert np.isfinite(scores).all()


def test_vectors_are_those_that_items_get():
    model = fitted()
    vectors = model.item_vectors(NEW)
    model.add_items(NEW)
    np.testing.assert_allclose(model.item_embedding_[KNOWN:], vectors, atol=1e-6)
    # One by one is as all at once: items are added by what the fit knows.
    single = fitted()
    for row in range(N_NEW):
        single.add_items({name: values[[row]] for name, values in NEW.items()})
    np.testing.assert_allclose(single.item_embedding_, model.item_embedding_, atol=1e-5)


@pytest.mark.parametrize("params", [{}, {"cooccurrence_weight": 0}, {"fusion": "sum"}], ids=str)
def test_new_items_in_a_history_count(params):
    model = fitted(**params)
    ids = model.add_items(NEW)
    assert np.abs(model.user_vectors(user_items=[ids[:2]])).sum() > 0
    assert not np.isin(model.recommend(user_items=[ids[:2]], k=80)[0], ids[:2]).any()


def test_new_items_survive_files_and_go_on(tmp_path):
    model = fitted()
    model.add_items(NEW)
    expected = model.recommend(k=8)
    recsk.save(model, tmp_path / "model.recsk")
    joblib.dump(model, tmp_path / "model.joblib")
    for other in (recsk.load(tmp_path / "model.recsk"), joblib.load(tmp_path / "model.joblib")):
        np.testing.assert_array_equal(other.recommend(k=8)[0], expected[0])
        assert other.add_items(NEW).tolist() == list(range(80, 90))
        np.testing.assert_allclose(
            other.item_embedding_[80:], model.item_embedding_[KNOWN:], atol=1e-4
        )


def test_an_index_has_the_new_items():
    pytest.importorskip("faiss")
    model = fitted()
    ids = model.add_items(NEW)
    index = model.to_ann()
    weights = model.history_weights([0, 1])
    found, _ = index.query(model.user_vectors([0, 1]), k=80, weights=weights)
    assert np.isin(ids, found).all()


def test_by_labels():
    names = [f"item {i}" for i in range(80)]
    X = Interactions(TRAIN.user, TRAIN.item, n_items=KNOWN).with_labels(item_labels=names[:KNOWN])
    features = {name: values[:KNOWN] for name, values in DATA.item_features.items()}
    model = MDERecommender(n_factors=8, max_epochs=2, random_state=0)
    model.fit(X, item_features=features)
    with pytest.raises(ValueError, match="labels must label the new items"):
        model.add_items(NEW)
    with pytest.raises(ValueError, match="'item 3', which the model has already"):
        model.add_items(NEW, labels=["item 3", *names[71:]])
    with pytest.raises(ValueError, match="got 2 labels and 10 rows"):
        model.add_items(NEW, labels=["a", "b"])
    assert model.n_features_in_ == KNOWN
    assert model.add_items(NEW, labels=names[KNOWN:][::-1]).tolist() == names[KNOWN:][::-1]
    assert model.items_.tolist() == names[:KNOWN] + names[KNOWN:][::-1]
    assert model.recommend([0], items=["item 75"], k=1)[0].tolist() == [["item 75"]]


def test_a_frame_is_matched_by_label():
    pd = pytest.importorskip("pandas")
    names = [f"item {i}" for i in range(80)]
    X = Interactions(TRAIN.user, TRAIN.item, n_items=KNOWN).with_labels(item_labels=names[:KNOWN])
    features = {name: values[:KNOWN] for name, values in DATA.item_features.items()}
    model = MDERecommender(n_factors=8, max_epochs=2, random_state=0)
    model.fit(X, item_features=features)
    frames = {
        name: pd.DataFrame(values, index=names[KNOWN:]).iloc[::-1] for name, values in NEW.items()
    }
    other = copy.deepcopy(model)
    model.add_items(NEW, labels=names[KNOWN:])
    other.add_items(frames, labels=names[KNOWN:])
    np.testing.assert_allclose(model.item_embedding_, other.item_embedding_, atol=1e-6)


def test_a_missing_modality_is_left_out_or_a_row_of_nan():
    model = fitted()
    first, *others = NEW
    partial = {first: NEW[first]}
    missing = partial | {name: np.full_like(NEW[name], np.nan) for name in others}
    np.testing.assert_array_equal(model.item_vectors(partial), model.item_vectors(missing))


def test_items_of_the_fit_without_interactions_are_placed_like_later_ones():
    model = MDERecommender(n_factors=8, max_epochs=3, random_state=0)
    model.fit(matrix(80), item_features=DATA.item_features)
    np.testing.assert_allclose(model.item_vectors(NEW), model.item_embedding_[KNOWN:], atol=1e-5)
    assert np.diff(model.item_to_item_.tocsc().indptr)[KNOWN:].all()


def test_the_share_decides_how_often_new_items_are_recommended():
    def share(value):
        model = fitted(new_item_share=value)
        model.add_items(NEW)
        return (model.recommend(k=20)[0] >= KNOWN).mean()

    none, few, some, more = map(share, (0.0, 0.5, 1.0, 3.0))
    assert none < 0.02
    assert few < some < more
    assert some == pytest.approx(N_NEW / 80, abs=0.05)


def test_without_a_share_items_of_the_fit_stay_as_the_network_has_them():
    model = MDERecommender(n_factors=8, max_epochs=3, random_state=0, new_item_share=None)
    model.fit(matrix(80), item_features=DATA.item_features)
    placed = clone(model).set_params(new_item_share=1.0)
    placed.fit(matrix(80), item_features=DATA.item_features)
    same = (model.item_embedding_ == placed.item_embedding_).all(axis=1)
    assert same[:KNOWN].all() and not same[KNOWN:].any()
    assert not np.diff(model.item_to_item_.tocsc().indptr)[KNOWN:].any()
    np.testing.assert_allclose(np.linalg.norm(model.item_vectors(NEW), axis=1), 1, rtol=1e-4)


def test_another_share_counts_from_the_next_items_on():
    model = fitted(new_item_share=1.0)
    first = model.item_vectors(NEW)
    model.set_params(new_item_share=3.0)
    assert np.abs(model.item_vectors(NEW) - first).max() > 1e-3


NAME = next(iter(NEW))


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        (NEW[NAME], TypeError, "must be a dict"),
        ({}, ValueError, "must have one modality or more"),
        ({"sound": NEW[NAME]}, ValueError, "'sound', which the fit did not have"),
        ({NAME: NEW[NAME][:, :-1]}, ValueError, "columns; expected"),
        ({NAME: np.full_like(NEW[NAME], np.nan)}, ValueError, "nothing of the item in row 0"),
        ({NAME: np.full_like(NEW[NAME], np.inf)}, ValueError, "infinite"),
        ({NAME: NEW[NAME][0]}, ValueError, "shape"),
    ],
    ids=["array", "empty", "unknown", "width", "nothing", "infinite", "one row"],
)
@pytest.mark.parametrize("method", ["add_items", "item_vectors"])
def test_errors_change_nothing(method, features, error, message):
    model = fitted()
    with pytest.raises(error, match=message):
        getattr(model, method)(features)
    assert model.n_features_in_ == KNOWN == len(model.item_embedding_)


def test_labels_and_content_must_be_known():
    with pytest.raises(ValueError, match="labels must be None"):
        fitted().add_items(NEW, labels=list("abcdefghij"))
    without = MDERecommender(n_factors=4, max_epochs=1, random_state=0).fit(matrix(KNOWN))
    with pytest.raises(ValueError, match="fit it with item_features"):
        without.add_items(NEW)
