"""`save` and `load`: the model that was saved is loaded, or an error is raised."""

import copy
import os
import pickle
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import recsk
from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.contract.growth import GrowingData
from tests.contract.suite import FEATURES, N_ITEMS, TEST, TRAIN, as_matrix
from tests.storage.forging import check_rejected, forge, read_parts
from tests.storage.models import ITEM_NAMES, SMALL, assert_identical, fitted


def test_the_loaded_model_is_the_saved_model(model, path):
    assert recsk.save(model, path) is None
    again = recsk.load(path)
    assert_identical(model, again)
    X = pd.DataFrame(as_matrix(TEST).toarray(), columns=ITEM_NAMES)
    X = X if hasattr(model, "feature_names_in_") else TEST
    assert again.score(X) == model.score(X)
    if isinstance(model, MDSRecRecommender):
        histories = [[3, 4], [], [5, 3, 5]]
        np.testing.assert_array_equal(
            again.user_modality_weights(histories), model.user_modality_weights(histories)
        )


def test_a_loaded_model_can_be_pickled_cloned_fitted_and_saved(model, path):
    recsk.save(model, path)
    again = recsk.load(path)
    assert_identical(pickle.loads(pickle.dumps(again)), model)
    with pytest.raises(NotFittedError):
        clone(again).recommend(0)
    features = FEATURES if model.modality_names_ else None
    eval_set = TEST if features is not None else None
    refitted = clone(again).fit(TRAIN, item_features=features, eval_set=eval_set)
    np.testing.assert_array_equal(refitted.recommend()[0], model.recommend()[0])
    recsk.save(again, path)  # over its own file
    assert_identical(recsk.load(path), model)


def test_the_same_model_gives_the_same_file(model_of_each_class, path):
    recsk.save(model_of_each_class, path)
    before = path.read_bytes()
    recsk.save(recsk.load(path), path)
    document, arrays = read_parts(path.read_bytes())
    assert document == read_parts(before)[0] and arrays.keys() == read_parts(before)[1].keys()


@pytest.mark.parametrize("name", ["MDE", "MDSRec"])
def test_the_file_has_one_state_of_a_model_that_changes_meanwhile(name, path, monkeypatch):
    model = copy.deepcopy(fitted(name))
    before, start = copy.deepcopy(model), GrowingData.get_state

    def meanwhile(self):  # another thread
        state = start(self)
        monkeypatch.setattr(GrowingData, "get_state", start)
        model.add_items({name: rows[:2] for name, rows in FEATURES.items()})
        model.partial_fit(Interactions([0], [N_ITEMS], timestamp=[0], n_items=N_ITEMS + 2))
        return state

    monkeypatch.setattr(GrowingData, "get_state", meanwhile)
    recsk.save(model, path)
    assert model.n_features_in_ == N_ITEMS + 2
    assert_identical(recsk.load(path), before)


@pytest.mark.parametrize("form", [str, Path, os.fsencode])
def test_paths_are_strings_bytes_or_path_objects(form, path):
    recsk.save(fitted("MDE"), form(path))
    assert_identical(recsk.load(form(path)), fitted("MDE"))
    for wrong in (3, None):
        with pytest.raises(TypeError):
            recsk.load(wrong)
        with pytest.raises(TypeError):
            recsk.save(fitted("MDE"), wrong)


def test_a_memory_mapped_model_can_be_saved(tmp_path, path):
    joblib.dump(fitted("MDSRec"), tmp_path / "model.joblib")
    recsk.save(joblib.load(tmp_path / "model.joblib", mmap_mode="r"), path)
    assert_identical(recsk.load(path), fitted("MDSRec"))


@pytest.mark.filterwarnings("ignore:no user in X has two items")
@pytest.mark.parametrize("cls", [MDERecommender, MDSRecRecommender])
@pytest.mark.parametrize("n_columns", [8, 200])
def test_the_size_is_that_of_the_guide(cls, n_columns, path):
    n_users, n_items, n = 1500, 800, 12_000
    rng = np.random.default_rng(0)
    user, item = np.arange(n) % n_users, rng.integers(n_items, size=n)
    X = Interactions(user, item, timestamp=np.arange(n), n_users=n_users, n_items=n_items)
    features = {name: rng.normal(size=(n_items, n_columns)) for name in "ab"}
    model = cls(n_factors=16, max_epochs=1, random_state=0).fit(X, item_features=features)
    recsk.save(model, path)
    of_users, per_interaction = (2, 8) if cls is MDERecommender else (1, 16)
    expected = 4 * model.item_embedding_.shape[1] * (of_users * n_users + 4 * n_items)
    expected += 4 * 2 * n_columns * n_items + 8 * model.item_to_item_.nnz + per_interaction * n
    assert os.path.getsize(path) == pytest.approx(expected, rel=0.15)


def test_empty_rows_and_single_interactions_can_be_saved(path):
    """The first and last rows are empty, or there is only one interaction."""
    for user, item in (([1], [2]), ([1, 1, 3], [0, 4, 0]), ([0], [0])):
        X = Interactions(user, item, timestamp=np.arange(len(user)), n_users=max(user) + 2)
        for est in (MDERecommender(**SMALL), MDSRecRecommender(**SMALL)):
            model = clone(est).fit(X)
            recsk.save(model, path)
            np.testing.assert_array_equal(recsk.load(path).recommend()[0], model.recommend()[0])


def test_only_fitted_recommenders_can_be_saved(path):
    class Subclass(MDERecommender):
        pass

    subclass = Subclass(**SMALL).fit(TRAIN)
    for wrong in (subclass, np.eye(2), None, MDERecommender):
        with pytest.raises(
            TypeError,
            match="fitted .*, MDERecommender or MDSRecRecommender, or of .*register_estimator; got",
        ):
            recsk.save(wrong, path)
    for est in (MDERecommender(), MDSRecRecommender()):
        with pytest.raises(NotFittedError, match=type(est).__name__):
            recsk.save(est, path)
    assert not path.exists()


def test_without_safetensors_the_error_names_the_package(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (lambda: recsk.save(fitted("MDE"), path), lambda: recsk.load(path)):
        with pytest.raises(ImportError, match="pip install safetensors"):
            call()


def test_missing_files_and_folders_raise_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        recsk.load(tmp_path / "nothing")
    with pytest.raises(
        FileNotFoundError, match="folder of path=.*no folder.model.* does not exist"
    ):
        recsk.save(fitted("MDE"), tmp_path / "no folder" / "model")
    with pytest.raises(IsADirectoryError, match="path must be a file, but .* is a folder"):
        recsk.save(fitted("MDE"), tmp_path)
    with pytest.raises(IsADirectoryError, match="path must be a file, but .* is a folder"):
        recsk.save(fitted("MDE"), os.fsencode(tmp_path))
    with pytest.raises(OSError):
        recsk.load(tmp_path)
    with pytest.raises(OSError):
        recsk.save(fitted("MDE"), tmp_path)
    assert os.listdir(tmp_path) == []


def test_loading_unpickles_nothing(model, path, monkeypatch):
    recsk.save(model, path)

    def never(*args, **kwargs):
        raise AssertionError("a pickle was about to be read")

    for module, names in {
        pickle: ("load", "loads", "Unpickler", "_Unpickler", "_loads", "_load"),
        joblib: ("load",),
        np: ("load",),
        torch: ("load",),
    }.items():
        for name in names:
            monkeypatch.setattr(module, name, never)
    assert_identical(recsk.load(path), model)


class TestLabels:
    """Labels in files: what was saved comes back, and nothing else is accepted."""

    def saved(self, labels, tmp_path):
        model = MDERecommender(n_factors=2, max_epochs=1, random_state=0)
        recsk.save(
            model.fit(TRAIN.with_labels(None, labels), item_features=FEATURES), tmp_path / "m"
        )
        return recsk.load(tmp_path / "m").items_.tolist()

    @pytest.mark.parametrize(
        "label",
        [1, 1.5, True, "a", "a\0", "\N{SNOWMAN}", ("a", 1), ("a", ("b", False)), 2**62, -3, ""],
        ids=repr,
    )
    def test_every_plain_label_comes_back(self, label, tmp_path):
        labels = [label, *(f"other {i}" for i in range(N_ITEMS - 1))]
        found = self.saved(labels, tmp_path)
        assert found == labels and type(found[0]) is type(label)

    def test_the_column_of_the_labels_comes_back(self, path):
        items = [f"item {i}" for i in range(N_ITEMS)]
        frame = {"who": TRAIN.user, "sku": [items[i] for i in TRAIN.item]}
        X = Interactions.from_frame(frame, user="who", item="sku")
        recsk.save(MDERecommender(n_factors=2, max_epochs=1).fit(X), path)
        assert {k: x.column for k, x in recsk.load(path)._labels.items()} == {
            "user": "who",
            "item": "sku",
        }
        document, arrays = read_parts(path.read_bytes())
        del document["state"]["labels.item.column"]  # of an earlier file
        forge(path, document, arrays)
        assert recsk.load(path)._labels["item"].column is None
        message = "labels.item.column must be a string"
        change = lambda d, a: d["state"].update({"labels.item.column": 3})  # noqa: E731
        check_rejected(path, document, arrays, change, message)

    def test_many_long_labels_are_no_part_of_the_header(self, tmp_path):
        labels = [f"{i}" * 60_000 for i in range(10, 10 + N_ITEMS)]
        assert self.saved(labels, tmp_path) == labels

    @pytest.mark.parametrize("label", [1j, float("inf"), b"x", int], ids=repr)
    def test_others_are_refused(self, label, tmp_path):
        with pytest.raises(ValueError, match="items_ has the label .* a file can hold labels"):
            self.saved([label, *(f"other {i}" for i in range(N_ITEMS - 1))], tmp_path)

    def test_a_huge_integer_is_refused_when_it_is_saved(self, tmp_path):
        with pytest.raises(ValueError, match="cannot be saved.*20 digits"):
            self.saved([10**30, *(f"other {i}" for i in range(N_ITEMS - 1))], tmp_path)
