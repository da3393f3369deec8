"""`partial_fit`: what it takes, what it says, and what stays."""

import copy
import pickle
import threading

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone

import recsk
from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.baselines import (
    ContentKNNRecommender,
    EASERecommender,
    PopularRecommender,
    SequentialRulesRecommender,
)
from recsk.datasets import make_multimodal

DATA = make_multimodal(n_users=40, n_items=30, random_state=0)
X = DATA.interactions
HALF = len(X) // 2
ORDER = np.argsort(X.timestamp, kind="stable")
OLD, NEW = X[ORDER[:HALF]], X[ORDER[HALF:]]
SMALL = {"n_factors": 4, "max_epochs": 2, "random_state": 0}


def log(users, items, **columns):
    """A labelled log."""
    frame = pd.DataFrame({"user": users, "item": items, **columns})
    options = {"timestamp": "timestamp"} if "timestamp" in columns else {}
    return Interactions.from_frame(frame, user="user", item="item", **options)


def test_repeats_count_as_in_a_fit():
    model = (
        PopularRecommender()
        .fit(Interactions([0, 1], [0, 1]))
        .partial_fit(Interactions([0, 0], [0, 0], n_items=2))
    )
    expected = PopularRecommender().fit(Interactions([0, 1, 0, 0], [0, 1, 0, 0]))
    np.testing.assert_array_equal(model.item_embedding_, expected.item_embedding_)
    np.testing.assert_array_equal(model.item_popularity_, expected.item_popularity_)


def test_labels_are_matched_and_new_ones_follow():
    model = EASERecommender().fit(log(["b", "b", "c"], ["x", "y", "x"]))
    model.partial_fit(log(["a", "c"], ["y", "z"]))
    assert model.users_.tolist() == ["b", "c", "a"]
    assert model.items_.tolist() == ["x", "y", "z"]
    seen = model.interactions_.toarray()
    np.testing.assert_array_equal(seen, [[1, 1, 0], [1, 0, 1], [0, 1, 0]])
    assert model.recommend("a", k=1)[0].tolist() == ["x"]


def test_ids_on_a_model_of_labels_are_an_error():
    model = EASERecommender().fit(log(["b", "c"], ["x", "y"]))
    with pytest.raises(ValueError, match="X has ids of users, but the model was fitted on labels"):
        model.partial_fit(Interactions([0], [0], n_items=2))
    wide = sparse.csr_array(np.eye(2, 3))
    with pytest.raises(ValueError, match="X has 3 items, but the model has 2 with labels"):
        model.partial_fit(wide)


def test_narrow_interactions_are_an_error_with_the_cure():
    model = EASERecommender().fit(X)
    with pytest.raises(ValueError, match="X has 2 items, but .* fitted with 30: pass n_items=30"):
        model.partial_fit(Interactions([0], [1]))


def test_columns_of_a_frame_keep_their_names():
    frame = pd.DataFrame(np.eye(3), columns=list("abc"))
    wider = pd.DataFrame(np.eye(3, 4), columns=list("abcd"))
    model = EASERecommender().fit(frame).partial_fit(wider)
    assert model.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names should match"):
        model.partial_fit(pd.DataFrame(np.eye(3, 4), columns=list("abdc")))
    with pytest.raises(ValueError, match="feature names should match"):
        model.partial_fit(frame)


def test_rows_of_a_frame_are_those_of_new_items():
    text = pd.DataFrame({"a": [1.0, 0.0], "b": [0.0, 1.0]}, index=["x", "y"])
    model = ContentKNNRecommender().fit(log(["b", "c"], ["x", "y"]), item_features={"t": text})
    new = pd.DataFrame({"a": [1.0, 0.0], "b": [0.1, 1.0]}, index=["z", "w"])
    model.partial_fit(log(["c"], ["z"]), item_features={"t": new})
    assert model.items_.tolist() == ["x", "y", "z", "w"]
    together = pd.concat([text, new])
    X = log(["b", "c", "c"], ["x", "y", "z"])
    expected = ContentKNNRecommender().fit(X, item_features={"t": together})
    np.testing.assert_allclose(model.item_embedding_[[0, 1, 2, 3]], expected.item_embedding_)


def test_a_frame_may_have_rows_of_new_items_alone():
    text = pd.DataFrame({"a": [1.0, 0.0], "b": [0.0, 1.0]}, index=["x", "y"])
    model = ContentKNNRecommender().fit(log(["b", "c"], ["x", "y"]), item_features={"t": text})
    new = pd.DataFrame({"a": [1.0], "b": [0.2]}, index=["z"])
    model.partial_fit(log(["b"], ["y"]), item_features={"t": new})
    assert model.items_.tolist() == ["x", "y", "z"]
    assert model.recommend("c", k=2)[0].tolist() == ["z", "x"]


def test_a_frame_has_no_rows_on_a_day_without_new_items():
    text = pd.DataFrame({"a": [1.0, 0.0], "b": [0.0, 1.0]}, index=["x", "y"])
    model = ContentKNNRecommender().fit(log(["b", "c"], ["x", "y"]), item_features={"t": text})
    before = model.item_embedding_.copy()
    for empty in (text.iloc[:0], text.iloc[:0].reset_index(names="item"), text[:0].reset_index()):
        model.partial_fit(log(["b"], ["y"]), item_features={"t": empty.filter(["a", "b", "item"])})
    np.testing.assert_array_equal(model.item_embedding_, before)
    other = pd.DataFrame({"a": [1.0], "b": [np.nan]}, index=["z"])
    with pytest.raises(ValueError, match="NaN in part of the row"):
        model.partial_fit(log(["b"], ["z"]), item_features={"t": other})


def test_readers_of_a_rule_see_one_state():
    model, errors, done = EASERecommender().fit(OLD), [], threading.Event()

    def read():
        while not done.is_set():
            try:
                ids, scores = model.recommend(k=50)
                assert np.isfinite(scores[ids >= 0]).all()
                assert ids.max() == len(ids) - 11  # of n users there are n - 10 items, all listed
            except Exception as error:
                errors.append(error)
                return

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for n in range(20):
            model.partial_fit(Interactions([40 + n], [30 + n], n_users=41 + n, n_items=31 + n))
    finally:
        done.set()
        thread.join()
    assert not errors
    assert model.interactions_.shape == (60, 50)


def test_features_are_kept_where_none_are_given():
    model = ContentKNNRecommender().fit(OLD, item_features=DATA.item_features)
    expected = ContentKNNRecommender().fit(X, item_features=DATA.item_features)
    model.partial_fit(NEW)
    np.testing.assert_array_equal(model.item_embedding_, expected.item_embedding_)


def test_order_is_kept_and_new_interactions_come_behind():
    first = Interactions([0, 0, 1, 1], [0, 1, 1, 0], timestamp=[50, 60, 50, 60], n_items=3)
    later = Interactions([0, 0], [2, 1], timestamp=[1, 2], n_items=3)
    model = SequentialRulesRecommender().fit(first).partial_fit(later)
    together = Interactions(
        [0, 0, 1, 1, 0, 0], [0, 1, 1, 0, 2, 1], timestamp=[50, 60, 50, 60, 61, 62]
    )
    expected = SequentialRulesRecommender().fit(together)
    assert (model.item_to_item_ != expected.item_to_item_).nnz == 0
    assert (model.history_weights_ != expected.history_weights_).nnz == 0


NIGHT = log(["u1", "u1", "u2"], ["i3", "i1", "i2"], timestamp=pd.Timestamp("2024-05-09"))
DATED = log(
    np.char.add("u", X.user.astype(str)),
    np.char.add("i", X.item.astype(str)),
    timestamp=pd.Timestamp("2024-05-01") + pd.to_timedelta(np.argsort(ORDER) * 8 // len(X), "D"),
)


@pytest.mark.parametrize("est", [SequentialRulesRecommender(), MDSRecRecommender(**SMALL)])
def test_a_night_of_one_date_keeps_the_order_of_the_input(est):
    model = est.fit(DATED)
    finer = Interactions(NIGHT.user, NIGHT.item, timestamp=[0, 1, 2])
    finer = finer.with_labels(NIGHT.user_labels, NIGHT.item_labels)
    expected = copy.deepcopy(model).partial_fit(finer)
    basket = copy.deepcopy(model).partial_fit(NIGHT[:2])
    assert basket.interactions_.nnz > 0
    np.testing.assert_array_equal(
        model.partial_fit(NIGHT).recommend(k=5)[1], expected.recommend(k=5)[1]
    )


@pytest.mark.parametrize("est", [SequentialRulesRecommender(), MDSRecRecommender(**SMALL)])
def test_a_fit_needs_an_order_and_says_so_in_words_of_the_user(est):
    with pytest.raises(
        ValueError, match="^X has the same time for all interactions of each user"
    ) as e:
        clone(est).fit(NIGHT)
    assert "e+" not in str(e.value) and "user 0" not in str(e.value)
    model = clone(est).fit(X)
    before = copy.deepcopy(model)
    with pytest.raises(ValueError, match="^X has the same value .*the values of a matrix must be"):
        model.partial_fit(X.to_csr())
    assert model.interactions_.nnz == before.interactions_.nnz


@pytest.mark.parametrize("cls", [MDERecommender, MDSRecRecommender])
def test_features_of_networks_without_any_are_an_error(cls):
    options = {"n_heads": 2} if cls is MDSRecRecommender else {}
    model = cls(**SMALL, **options).fit(OLD)
    before = copy.deepcopy(model)
    with pytest.raises(ValueError, match="which the fit did not have; it had none"):
        model.partial_fit(NEW, item_features=DATA.item_features)
    np.testing.assert_array_equal(model.item_embedding_, before.item_embedding_)
    model.partial_fit(NEW)
    assert model.interactions_.nnz == X.to_csr().nnz


def test_a_network_of_ones_own_without_learn_has_no_partial_fit():
    from tests.contract.two_towers import TwoTowersRecommender

    assert not hasattr(TwoTowersRecommender(), "partial_fit")


@pytest.mark.parametrize(("first", "later"), [([1, 2], ["1", "3"]), (["1", "2"], [1, 3])])
def test_labels_of_another_type_are_refused(first, later):
    model = EASERecommender().fit(log(["b", "c"], first))
    with pytest.raises(ValueError, match="X has items with labels such as .* the same type"):
        model.partial_fit(log(["b", "c"], later))
    assert model.items_.tolist() == first
    model.partial_fit(log(["b"], [first[0]]))


def shop(**columns):
    """A log whose item column is called sku, and frames that name items by it."""
    frame = pd.DataFrame({"user": [*"aabbcc"], "sku": [*"xyyzzx"], "when": range(6), **columns})
    return Interactions.from_frame(frame, user="user", item="sku", timestamp="when")


def by_sku(items, names=("p", "q"), library=pd):
    """Features that depend on the item and the name of the column alone."""
    columns = {name: [float(ord(item) * ord(name) % 7) for item in items] for name in names}
    return {"t": library.DataFrame({"sku": list(items), **columns})}


FEATURE_MODELS = {
    "mde": MDERecommender(**SMALL),
    "mdsrec": MDSRecRecommender(**SMALL),
    "content": ContentKNNRecommender(),
    "rules": SequentialRulesRecommender(),
}


@pytest.fixture(params=FEATURE_MODELS)
def by_file(request, tmp_path):
    """A model with features by the item column, fitted, pickled and from a file."""
    model = clone(FEATURE_MODELS[request.param]).fit(shop(), item_features=by_sku("xyz"))
    recsk.save(model, tmp_path / "model.recsk")
    return model, pickle.loads(pickle.dumps(model)), recsk.load(tmp_path / "model.recsk")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_the_item_column_of_the_log_is_remembered(by_file, library):
    library = pytest.importorskip(library)
    day = shop(sku=[*"xyyzwx"])
    answers = []
    for model in by_file:
        other = copy.deepcopy(model)
        other.partial_fit(day, item_features=by_sku("wv", library=library))
        assert other.items_.tolist() == [*"xyzwv"]
        answers.append(other.recommend(k=5)[1])
        other.partial_fit(shop(), item_features=by_sku("", library=library))  # no new items
        if hasattr(model, "warm_start"):
            again = copy.deepcopy(model).set_params(warm_start=True)
            again.fit(day, item_features=by_sku("xyzw", library=library))
            assert again.items_.tolist() == [*"xyzw"]
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer, answers[0])


def test_columns_of_features_are_matched_by_name(by_file):
    day = shop(sku=[*"xyyzwx"])
    for model in by_file:
        plain, swapped, arrays = (copy.deepcopy(model) for _ in range(3))
        plain.partial_fit(day, item_features=by_sku("w"))
        swapped.partial_fit(day, item_features=by_sku("w", "qp"))
        rows = by_sku("xyzw")["t"][["p", "q"]].to_numpy()
        arrays.partial_fit(day, item_features={"t": rows})
        for other in (swapped, arrays):
            np.testing.assert_array_equal(other.recommend(k=4)[1], plain.recommend(k=4)[1])
        both = "'q' is missing and 'r' is unknown"
        for names, message in (("pr", both), ("p", "'q' is missing")):
            with pytest.raises(ValueError, match=rf"item_features\['t'\] .* any order: {message}"):
                model.partial_fit(day, item_features=by_sku("w", names))
        assert model.items_.tolist() == [*"xyz"]
        if hasattr(model, "warm_start"):
            model = copy.deepcopy(model).set_params(warm_start=True)
            with pytest.raises(ValueError, match="'r' is unknown"):
                model.fit(day, item_features=by_sku("xyzw", "pr"))
        model.set_params(**({"warm_start": False} if hasattr(model, "warm_start") else {}))
        model.fit(day, item_features=by_sku("xyzw", "pr"))  # a new fit has new names
        model.partial_fit(day, item_features=by_sku("w", "rp"))


def test_columns_without_names_at_the_fit_have_none_later():
    model = ContentKNNRecommender().fit(shop(), item_features={"t": np.eye(3, 2)})
    model.partial_fit(shop(), item_features=by_sku("x", "rs"))
    expected = by_sku("x", "rs")["t"][["r", "s"]].to_numpy()[0]
    np.testing.assert_array_equal(model._known_features()["t"][0], expected)


def test_rows_of_a_frame_with_labels_of_another_type_are_refused():
    model = ContentKNNRecommender().fit(shop(), item_features=by_sku("xyz"))
    numbers = {"t": by_sku("vw")["t"].assign(sku=[1, 2])}
    with pytest.raises(ValueError, match=r"\['t'\] has items .* such as 1, but .* same type"):
        model.partial_fit(shop(), item_features=numbers)
    assert model.items_.tolist() == [*"xyz"]


TABLE = pd.DataFrame(np.arange(12).reshape(3, 4), columns=list("abcd"))


def test_names_of_columns_are_checked_when_later_ones_have_none(tmp_path):
    model = EASERecommender().fit(TABLE)
    model.partial_fit(Interactions([0], [4], n_items=5))
    assert not hasattr(model, "feature_names_in_")  # the fifth column has no name
    recsk.save(model, tmp_path / "model.recsk")
    wide = TABLE.assign(e=[1, 0, 0])
    for known in (model, recsk.load(tmp_path / "model.recsk")):
        for wrong in (wide[[*"edcba"]], wide[[*"bacde"]], wide.rename(columns={"b": "x"})):
            with pytest.raises(ValueError, match="feature names should match"):
                known.partial_fit(wrong)
            with pytest.raises(ValueError, match="feature names should match"):
                known.score(wrong)
        with pytest.raises(ValueError, match="seen at fit time, yet now missing:\n- b"):
            known.partial_fit(wide.rename(columns={"b": "x"}))
        known.partial_fit(wide.to_numpy())
        known.partial_fit(wide)  # now all have names
        assert known.feature_names_in_.tolist() == list("abcde")
        with pytest.raises(ValueError, match="must be in the same order"):
            known.partial_fit(wide[[*"abced"]])
        known.fit(TABLE[[*"ba"]])  # another fit has other names
        known.partial_fit(TABLE[[*"ba"]])


def test_held_out_tables_have_the_columns_of_x():
    model = MDERecommender(**SMALL)
    with pytest.raises(ValueError, match="eval_set must have the columns of X in their order"):
        model.fit(TABLE, eval_set=TABLE[[*"bacd"]])
