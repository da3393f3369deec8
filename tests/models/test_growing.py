"""Items that arrive after the fit, in both networks."""

import copy
import functools
import pickle
import threading

import joblib
import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError

import recsk
from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.datasets import make_multimodal
from recsk.models import content_regression, placing

DATA = make_multimodal(n_users=120, n_items=80, random_state=0)
KNOWN = 70
TRAIN = DATA.interactions[DATA.interactions.item < KNOWN]
NEW = {name: values[KNOWN:] for name, values in DATA.item_features.items()}
N_NEW = 80 - KNOWN


CLASSES = pytest.mark.parametrize("cls", [MDERecommender, MDSRecRecommender])


def log(n_items):
    """Interactions in order, as MDSRec needs them."""
    when = np.arange(len(TRAIN))
    return Interactions(TRAIN.user, TRAIN.item, timestamp=when, n_users=120, n_items=n_items)


@functools.cache
def _fitted(cls, n_items=KNOWN, **params):
    model = cls(n_factors=8, max_epochs=3, random_state=0, **params)
    features = {name: values[:n_items] for name, values in DATA.item_features.items()}
    return model.fit(log(n_items), item_features=features)


def fitted(cls=MDERecommender, **params):
    return copy.deepcopy(_fitted(cls, **params))


def saved_and_mapped(model, path):
    recsk.save(model, path)
    return recsk.load(path, mmap=True)


@CLASSES
def test_new_items_are_recommended_and_known_ones_stay_as_they_are(cls):
    model, before = fitted(cls), fitted(cls)
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


@CLASSES
def test_vectors_are_those_that_items_get(cls):
    model = fitted(cls)
    vectors = model.item_vectors(NEW)
    model.add_items(NEW)
    np.testing.assert_allclose(model.item_embedding_[KNOWN:], vectors, atol=1e-6)
    # One by one is as all at once: items are added by what the fit knows.
    single = fitted(cls)
    for row in range(N_NEW):
        single.add_items({name: values[[row]] for name, values in NEW.items()})
    np.testing.assert_allclose(single.item_embedding_, model.item_embedding_, atol=1e-5)


@CLASSES
@pytest.mark.parametrize("load", [lambda model, path: model, saved_and_mapped])
def test_a_copy_stays_as_it_is_while_the_model_grows(cls, load, tmp_path):
    """The guide pins a version of a model that serves by copy.copy."""
    model = load(fitted(cls), tmp_path / "model")
    before, pinned = copy.deepcopy(model), copy.copy(model)
    assert pinned.__dict__.keys() == model.__dict__.keys()  # also what was made when needed
    mask = np.random.default_rng(0).random((3, KNOWN)) < 0.5
    for grow in (
        lambda: model.add_items(NEW),
        lambda: model.partial_fit(log(80)[:50]),
        lambda: model.add_items(NEW),
    ):
        grow()
        assert model.n_features_in_ >= 80 and pinned.n_features_in_ == KNOWN
        for ask in (
            lambda m: m.recommend([3, 5, 8], k=9, items=mask),
            lambda m: m.recommend(user_items=[[3, 5], [60]], k=9),
            lambda m: m.similar_items([3, 5], k=9),
        ):
            for found, expected in zip(ask(pinned), ask(before), strict=True):
                np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match=r"items must have shape \(3, 90\)"):
        model.recommend([3, 5, 8], k=9, items=mask)


@pytest.mark.parametrize("params", [{}, {"cooccurrence_weight": 0}, {"fusion": "sum"}], ids=str)
def test_new_items_in_a_history_count(params):
    model = fitted(**params)
    ids = model.add_items(NEW)
    assert np.abs(model.user_vectors(user_items=[ids[:2]])).sum() > 0
    assert not np.isin(model.recommend(user_items=[ids[:2]], k=80)[0], ids[:2]).any()


@CLASSES
def test_new_items_survive_files_and_go_on(cls, tmp_path):
    model = fitted(cls)
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


@CLASSES
def test_an_index_has_the_new_items(cls):
    pytest.importorskip("faiss")
    model = fitted(cls)
    ids = model.add_items(NEW)
    index = model.to_ann()
    weights = model.history_weights([0, 1])
    found, _ = index.query(model.user_vectors([0, 1]), k=80, weights=weights)
    assert np.isin(ids, found).all()


@CLASSES
def test_by_labels(cls):
    names = [f"item {i}" for i in range(80)]
    X = log(KNOWN).with_labels(item_labels=names[:KNOWN])
    features = {name: values[:KNOWN] for name, values in DATA.item_features.items()}
    model = cls(n_factors=8, max_epochs=2, random_state=0)
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


@CLASSES
def test_a_frame_is_matched_by_label(cls):
    pd = pytest.importorskip("pandas")
    names = [f"item {i}" for i in range(80)]
    X = log(KNOWN).with_labels(item_labels=names[:KNOWN])
    features = {name: values[:KNOWN] for name, values in DATA.item_features.items()}
    model = cls(n_factors=8, max_epochs=2, random_state=0)
    model.fit(X, item_features=features)
    frames = {
        name: pd.DataFrame(values, index=names[KNOWN:]).iloc[::-1] for name, values in NEW.items()
    }
    other = copy.deepcopy(model)
    model.add_items(NEW, labels=names[KNOWN:])
    other.add_items(frames, labels=names[KNOWN:])
    np.testing.assert_allclose(model.item_embedding_, other.item_embedding_, atol=1e-6)


@CLASSES
def test_a_missing_modality_is_left_out_or_a_row_of_nan(cls):
    model = fitted(cls)
    first, *others = NEW
    partial = {first: NEW[first]}
    missing = partial | {name: np.full_like(NEW[name], np.nan) for name in others}
    np.testing.assert_array_equal(model.item_vectors(partial), model.item_vectors(missing))


@CLASSES
def test_items_of_the_fit_without_interactions_are_placed_like_later_ones(cls):
    model = fitted(cls, n_items=80)
    np.testing.assert_allclose(model.item_vectors(NEW), model.item_embedding_[KNOWN:], atol=1e-5)
    assert np.diff(model.item_to_item_.tocsc().indptr)[KNOWN:].all()


@CLASSES
def test_the_share_decides_how_often_new_items_are_recommended(cls):
    def share(value):
        model = fitted(cls, new_item_share=value)
        model.add_items(NEW)
        return (model.recommend(k=20)[0] >= KNOWN).mean()

    none, few, some, more = map(share, (0.0, 0.5, 1.0, 3.0))
    assert none < 0.02
    assert few < some < more
    assert some == pytest.approx(N_NEW / 80, abs=0.05)


@CLASSES
def test_without_a_share_items_of_the_fit_stay_as_the_network_has_them(cls):
    model, placed = fitted(cls, n_items=80, new_item_share=None), fitted(cls, n_items=80)
    same = (model.item_embedding_ == placed.item_embedding_).all(axis=1)
    assert same[:KNOWN].all() and not same[KNOWN:].any()
    if cls is MDERecommender:  # MDSRec has relations of new items in any case
        assert not np.diff(model.item_to_item_.tocsc().indptr)[KNOWN:].any()
        np.testing.assert_allclose(np.linalg.norm(model.item_vectors(NEW), axis=1), 1, rtol=1e-4)


@CLASSES
def test_another_share_counts_from_the_next_items_on(cls):
    model = fitted(cls)
    first = model.item_vectors(NEW)
    model.set_params(new_item_share=3.0)
    assert np.abs(model.item_vectors(NEW) - first).max() > 1e-3


@pytest.mark.parametrize("params", [{}, {"n_interests": 0}, {"candidate_vectors": "mean"}], ids=str)
def test_new_items_in_an_ordered_history_count(params):
    model = fitted(MDSRecRecommender, **params)
    before = model.user_vectors(user_items=[[3, 5]])
    ids = model.add_items(NEW)
    np.testing.assert_array_equal(model.user_vectors(user_items=[[3, 5]]), before)
    other = model.user_vectors(user_items=[[3, ids[0]], [ids[1]]])
    assert np.abs(other[0] - before[0]).max() > 1e-4 and other[1].any()
    assert not np.isin(model.recommend(user_items=[ids[:2]], k=80)[0], ids[:2]).any()
    assert model.item_embedding_[KNOWN:, -1].std() < 1e-6  # all have the same bias


def test_readers_in_other_threads_never_see_half_of_the_new_items():
    model, errors, stop = fitted(), [], threading.Event()

    def read():
        while not stop.is_set():
            try:
                ids, scores = model.recommend(np.arange(5), k=30, exclude_seen=False)
                assert (ids >= 0).all() and np.isfinite(scores).all()
                assert model.recommend(user_items=[[1, 2]], k=5)[0].shape == (1, 5)
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(15):
        model.add_items(NEW)
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors
    assert model.n_features_in_ == KNOWN + 15 * N_NEW


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
        ({NAME: np.full_like(NEW[NAME], 3e38)}, ValueError, "standard deviations from the mean"),
        ({NAME: NEW[NAME][0]}, ValueError, "shape"),
    ],
    ids=["array", "empty", "unknown", "width", "nothing", "infinite", "far", "one row"],
)
@pytest.mark.parametrize("method", ["add_items", "item_vectors"])
@CLASSES
def test_errors_change_nothing(cls, method, features, error, message):
    model = fitted(cls)
    with pytest.raises(error, match=message):
        getattr(model, method)(features)
    assert model.n_features_in_ == KNOWN == len(model.item_embedding_)


@pytest.mark.parametrize("share", [-0.5, float("nan"), float("inf"), "1"])
@CLASSES
def test_another_share_is_checked_before_it_is_used(cls, share):
    model = fitted(cls)
    model.item_vectors(NEW)  # made with the share of the fit
    kept = model._new_item_model
    model.set_params(new_item_share=share)
    for call in (model.add_items, model.item_vectors):
        with pytest.raises(InvalidParameterError, match="'new_item_share' parameter"):
            call(NEW)
    with pytest.raises(InvalidParameterError, match="'new_item_share' parameter"):
        model.explain([0], [1])
    assert model.n_features_in_ == KNOWN and model._new_item_model is kept
    assert len(model.set_params(new_item_share=2).add_items(NEW)) == N_NEW


@CLASSES
def test_a_reader_during_a_training_leaves_nothing_of_the_old_model(cls, monkeypatch):
    model, make = fitted(cls), placing.NewItemModel

    def meanwhile(*args):  # another thread
        made = make(*args)
        monkeypatch.setattr(placing, "NewItemModel", make)
        model.partial_fit(log(KNOWN)[:300])
        return made

    monkeypatch.setattr(placing, "NewItemModel", meanwhile)
    model.item_vectors(NEW)
    again = pickle.loads(pickle.dumps(model))  # without what is made when it is needed
    np.testing.assert_array_equal(model.item_vectors(NEW), again.item_vectors(NEW))


@CLASSES
def test_who_only_looks_changes_nothing(cls, monkeypatch):
    monkeypatch.setattr(content_regression, "_MAX_COLUMNS", 3)  # of far more
    looks = {
        "explain": lambda model: model.explain([0], [1]),
        "item_vectors": lambda model: model.item_vectors(NEW),
    }
    clicks = DATA.interactions[DATA.interactions.item >= KNOWN]
    vectors = {}
    for name, look in {"nobody": None, **looks}.items():
        model = fitted(cls)
        if look is not None:
            look(model)
        model.partial_fit(clicks, item_features=DATA.item_features)
        assert (~model._young[KNOWN:]).any()  # what is known is more than in the fit
        vectors[name] = model.item_vectors(NEW)
    for name in looks:
        np.testing.assert_array_equal(vectors[name], vectors["nobody"])


@CLASSES
def test_added_items_do_not_change_how_later_ones_are_placed(cls, monkeypatch, tmp_path):
    monkeypatch.setattr(placing, "_MAX_SCORES", KNOWN * 30)  # users of a far larger catalogue
    model = fitted(cls)
    for _ in range(4):
        model.add_items(NEW)
    recsk.save(model, tmp_path / "model.recsk")
    vectors = model.item_vectors(NEW)
    for again in (pickle.loads(pickle.dumps(model)), recsk.load(tmp_path / "model.recsk")):
        np.testing.assert_allclose(again.item_vectors(NEW), vectors, atol=1e-5)


@CLASSES
def test_labels_and_content_must_be_known(cls):
    with pytest.raises(ValueError, match="labels must be None"):
        fitted(cls).add_items(NEW, labels=list("abcdefghij"))
    without = cls(n_factors=4, max_epochs=1, random_state=0).fit(log(KNOWN))
    with pytest.raises(ValueError, match="fit it with item_features"):
        without.add_items(NEW)


def test_content_must_tell_items_apart():
    model = MDERecommender(n_factors=4, max_epochs=1, random_state=0)
    model.fit(log(KNOWN), item_features={"v": np.ones((KNOWN, 3))})
    with pytest.raises(ValueError, match="cannot place new items: no item of the fit has both"):
        model.add_items({"v": np.eye(3)})


COUNT = np.bincount(DATA.interactions.item, minlength=80)
MEAN = COUNT[:KNOWN].mean()


def clicks(n):
    """The first n interactions with each of the items that were added, in order."""
    later = np.flatnonzero(DATA.interactions.item >= KNOWN)
    items = DATA.interactions.item[later]
    place = np.array([(items[:i] == item).sum() for i, item in enumerate(items)])
    some = later[place < n]
    X = DATA.interactions
    when = len(TRAIN) + np.arange(len(some))
    return Interactions(X.user[some], X.item[some], timestamp=when, n_users=120, n_items=80)


def clicked(cls, n, share=1.0):
    """A model whose added items have n interactions."""
    model = fitted(cls, new_item_share=share)
    model.add_items(NEW)
    return model.partial_fit(clicks(n)) if n else model


@CLASSES
def test_first_interactions_take_no_places_from_added_items(cls):
    share = {n: (clicked(cls, n).recommend(k=20)[0] >= KNOWN).mean() for n in (0, 1, 2)}
    ordinary = (clicked(cls, 1, share=None).recommend(k=20)[0] >= KNOWN).mean()
    assert ordinary < share[1]
    assert share[1] > 0.8 * share[0] and share[2] > 0.8 * share[0]


@CLASSES
def test_the_prediction_of_an_added_item_fades_until_it_has_as_many_as_others(cls):
    model, network = clicked(cls, 3), clicked(cls, 3, share=None)
    width = model._predicted_width()
    predicted = model.item_vectors(NEW)
    part = (1 - 3 / np.bincount(TRAIN.item, minlength=KNOWN).mean()) ** 0.5
    mixed = part * predicted + (1 - part) * network.item_embedding_[KNOWN:]
    expected = mixed / np.linalg.norm(mixed[:, :width], axis=1, keepdims=True)
    found = model.item_embedding_[KNOWN:]
    length = np.linalg.norm(found[:, :width], axis=1, keepdims=True)
    np.testing.assert_allclose((found / length)[:, :width], expected[:, :width], atol=1e-4)
    if width < found.shape[1]:
        np.testing.assert_allclose(found[:, width:], mixed[:, width:], atol=1e-4)
    np.testing.assert_array_equal(model.item_embedding_[:KNOWN], network.item_embedding_[:KNOWN])


@CLASSES
def test_an_added_item_with_as_many_interactions_as_others_is_an_ordinary_one(cls):
    model, network = clicked(cls, 80), clicked(cls, 80, share=None)
    count = COUNT[KNOWN:]
    ordinary = KNOWN + np.flatnonzero(count >= np.bincount(TRAIN.item, minlength=KNOWN).mean())
    assert 2 < len(ordinary) < N_NEW
    same = (model.item_embedding_ == network.item_embedding_).all(axis=1)
    assert same[:KNOWN].all() and same[ordinary].all() and not same[KNOWN:].all()
    # It stays one, whatever the others get.
    model.partial_fit(clicks(1)[:1])
    assert not model._young[ordinary].any() and model._young[KNOWN:].any()


def few_clicks_in_the_fit(cls, **params):
    """A fit in which the last items have one interaction each, and its arguments."""
    X = DATA.interactions
    first = np.unique(X.item, return_index=True)[1]
    kept = (X.item < KNOWN) | np.isin(np.arange(len(X)), first)
    X = Interactions(X.user[kept], X.item[kept], timestamp=np.flatnonzero(kept), n_users=120)
    return cls(n_factors=8, max_epochs=3, random_state=0, **params), X, DATA.item_features


@CLASSES
def test_content_fills_in_item_to_item_weights_of_rare_items(cls):
    model, X, features = few_clicks_in_the_fit(cls)
    filled = copy.deepcopy(model.fit(X, item_features=features))
    model.set_params(new_item_share=None).fit(X, item_features=features)
    np.testing.assert_array_equal(filled.item_embedding_, model.item_embedding_)
    dense, content = model.item_to_item_.toarray(), model._content
    expected = dense.copy()
    for item in range(KNOWN, 80):  # with one of five interactions
        cosine = content @ content[item]
        cosine[item] = 0
        weight = np.where(cosine >= np.sort(cosine)[-20], np.maximum(cosine, 0) ** 4, 0)
        expected[:, item] += 0.8 * dense @ (weight / weight.sum())
        expected[item, item] = 0
    np.testing.assert_allclose(filled.item_to_item_.toarray(), expected, atol=1e-5)


@CLASSES
def test_items_that_a_fit_is_told_of_are_placed_as_new_ones(cls):
    model, X, features = few_clicks_in_the_fit(cls)
    plain = copy.deepcopy(model.fit(X, item_features=features))
    told = copy.deepcopy(model.fit(X, item_features=features, new_items=np.arange(KNOWN, 80)))
    np.testing.assert_array_equal(told._young, np.arange(80) >= KNOWN)
    assert not plain._young.any()
    same = (plain.item_embedding_ == told.item_embedding_).all(axis=1)
    assert same[:KNOWN].all() and not same[KNOWN:].any()
    places = [(m.recommend(k=20)[0] >= KNOWN).mean() for m in (plain, told, clicked(cls, 1))]
    assert places[0] < places[1] and places[1] > 0.7 * places[2]
    # Clicks make them ordinary ones, and a fit without a word forgets them.
    ordinary = KNOWN + np.argmax(COUNT[KNOWN:])
    assert not copy.deepcopy(told).partial_fit(clicks(80))._young[ordinary]
    assert told._young[ordinary] and not told.fit(X, item_features=features)._young.any()


@CLASSES
def test_a_warm_start_knows_new_items_of_both_fits(cls):
    model, X, features = few_clicks_in_the_fit(cls, warm_start=True)
    model.fit(X, item_features=features, new_items=[70, 71])
    model.fit(X, item_features=features, new_items=[75])
    np.testing.assert_array_equal(np.flatnonzero(model._young), [70, 71, 75])
    with pytest.raises(ValueError, match="new_items leaves no other item"):
        model.fit(
            X[X.item >= KNOWN], item_features=features, new_items=[72, 73, 74, 76, 77, 78, 79]
        )


@CLASSES
def test_new_items_are_named_by_label(cls):
    model, X, features = few_clicks_in_the_fit(cls)
    names = [f"sku {i}" for i in range(80)]
    X = X.with_labels(item_labels=names)
    model.fit(X, item_features=features, new_items=["sku 72", "sku 78"])
    np.testing.assert_array_equal(np.flatnonzero(model._young), [72, 78])


@CLASSES
def test_new_items_that_cannot_be_placed_are_rejected(cls):
    model, X, features = few_clicks_in_the_fit(cls)
    for wrong, error, message in (
        ([80], IndexError, "new_items"),
        ([-1], IndexError, "new_items"),
        (np.arange(80) > 3, TypeError, "new_items"),
        (np.arange(80), ValueError, "new_items leaves no other item"),
    ):
        with pytest.raises(error, match=message):
            model.fit(X, item_features=features, new_items=wrong)
    with pytest.raises(ValueError, match="new_items are placed by their content"):
        model.fit(X, new_items=[3])
    lacking = {
        name: np.where(np.arange(80)[:, None] < KNOWN, np.nan, x) for name, x in features.items()
    }
    with pytest.raises(ValueError, match="new_items leaves no other item"):
        model.fit(X, item_features=lacking, new_items=np.arange(KNOWN, 80))
    with pytest.warns(UserWarning, match="1 of the 2 new_items have no features"):
        model.fit(X, item_features=lacking, new_items=[3, KNOWN])
    with pytest.raises(ValueError, match="new_item_share=None"):
        model.set_params(new_item_share=None).fit(X, item_features=features, new_items=[3])
    # No item is none.
    model.set_params(new_item_share=1.0).fit(X, item_features=features, new_items=[])
    assert not model._young.any()


@CLASSES
def test_added_items_stay_new_after_files(cls, tmp_path):
    model = clicked(cls, 1)
    recsk.save(model, tmp_path / "model.recsk")
    joblib.dump(model, tmp_path / "model.joblib")
    others = recsk.load(tmp_path / "model.recsk"), joblib.load(tmp_path / "model.joblib")
    model.partial_fit(clicks(2))
    assert model._young[KNOWN:].all()
    for other in others:
        other.partial_fit(clicks(2))
        np.testing.assert_array_equal(other.item_embedding_, model.item_embedding_)
        assert (other.item_to_item_ != model.item_to_item_).nnz == 0


def test_a_model_without_older_items_learns_from_those_it_has():
    features = {
        "v": np.vstack([np.full((3, 4), np.nan), np.random.default_rng(0).normal(size=(4, 4))])
    }
    model = MDERecommender(n_factors=4, max_epochs=1, random_state=0)
    model.fit(Interactions([0, 1, 2], [0, 1, 2], n_items=7), item_features=features)
    model.partial_fit(Interactions([0, 1, 2], [3, 4, 5], n_items=7))
    assert (
        np.isfinite(model.item_embedding_).all() and model.item_vectors({"v": [[1, 0, 0, 1]]}).any()
    )
