"""Items that arrive after the fit in data frames: rows by label, columns by name."""

import copy
import functools

import numpy as np
import pytest

import recsk
from recsk import Interactions, MDERecommender, MDSRecRecommender

pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
N_USERS, N_ITEMS, N = 20, 15, 300
V = RNG.normal(size=(40, 3)).astype(np.float32)
T = RNG.normal(size=(40, 2)).astype(np.float32)
USER, ITEM = RNG.integers(N_USERS, size=N), RNG.integers(N_ITEMS, size=N)
CLASSES = pytest.mark.parametrize("cls", [MDERecommender, MDSRecRecommender])
LOADED = pytest.mark.parametrize("loaded", [False, True], ids=["fitted", "loaded"])


def sku(items):
    return [f"sku {i:02}" for i in items]


def log(name=sku):
    frame = {"user": USER, "sku": name(ITEM), "when": np.arange(N)}
    return Interactions.from_frame(frame, user="user", item="sku", timestamp="when")


def features(items, name=sku, library=pd):
    """Frames with the item column of the log."""
    items = list(items)
    frames = {
        modality: {"sku": name(items), **{f"{modality}{j}": X[items, j] for j in range(X.shape[1])}}
        for modality, X in (("v", V), ("t", T))
    }
    return {modality: library.DataFrame(frame) for modality, frame in frames.items()}


@functools.cache
def _fitted(cls, name=sku):
    model = cls(n_factors=4, max_epochs=2, random_state=0)
    return model.fit(log(name), item_features=features(range(N_ITEMS), name))


def fitted(cls, tmp_path, loaded):
    if not loaded:
        return copy.deepcopy(_fitted(cls))
    recsk.save(_fitted(cls), tmp_path / "model.recsk")
    return recsk.load(tmp_path / "model.recsk")


def expected_of(cls, items):
    """A model that got the items as arrays."""
    model = copy.deepcopy(_fitted(cls))
    model.add_items({"v": V[items], "t": T[items]}, labels=sku(items))
    return model


@LOADED
@CLASSES
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_rows_are_matched_by_the_item_column_of_the_log(cls, loaded, library, tmp_path):
    library = pytest.importorskip(library)
    expected = expected_of(cls, [31, 30])
    for labels, rows in ((sku([31, 30]), [30, 31]), (None, [31, 30])):
        model = fitted(cls, tmp_path, loaded)
        new = model.add_items(features(rows, library=library), labels=labels)
        assert new.tolist() == sku([31, 30]) == model.items_[N_ITEMS:].tolist()
        np.testing.assert_array_equal(model.item_embedding_, expected.item_embedding_)
    vectors = fitted(cls, tmp_path, loaded).item_vectors(features([31, 30], library=library))
    np.testing.assert_allclose(vectors, expected.item_embedding_[N_ITEMS:], atol=1e-6)


@CLASSES
def test_an_index_labels_new_items_too(cls):
    model = copy.deepcopy(_fitted(cls))
    by_index = {name: frame.set_index("sku") for name, frame in features([31, 30]).items()}
    by_index["t"] = by_index["t"][::-1]
    assert model.add_items(by_index).tolist() == sku([31, 30])
    np.testing.assert_array_equal(model.item_embedding_, expected_of(cls, [31, 30]).item_embedding_)


@LOADED
@CLASSES
def test_columns_are_matched_by_name(cls, loaded, tmp_path):
    model = fitted(cls, tmp_path, loaded)
    frames = features([31, 30])
    swapped = {name: frame[frame.columns[::-1]] for name, frame in frames.items()}
    expected = model.item_vectors(frames)
    np.testing.assert_array_equal(model.item_vectors(swapped), expected)
    renamed = {**frames, "v": frames["v"].rename(columns={"v1": "brand"})}
    for call in (model.item_vectors, model.add_items):
        with pytest.raises(ValueError, match="'v1' is missing and 'brand' is unknown. Rename"):
            call(renamed)
    model.add_items(swapped)
    np.testing.assert_allclose(model.item_embedding_[N_ITEMS:], expected, atol=1e-6)
    with pytest.raises(ValueError, match="'brand' is unknown"):
        model.add_items({"v": renamed["v"].assign(sku=sku([32, 33]))})


@CLASSES
def test_a_day_without_new_items(cls):
    model = copy.deepcopy(_fitted(cls))
    empty = {"v": V[:0], "t": T[:0]}
    frames = features([])
    for none in (empty, frames, {name: frame.set_index("sku") for name, frame in frames.items()}):
        assert model.add_items(none, labels=[]).size == 0
    assert model.add_items(frames).size == 0
    assert model.items_.tolist() == sku(range(N_ITEMS))


@CLASSES
def test_what_cannot_be_matched_is_told(cls):
    model = copy.deepcopy(_fitted(cls))
    rows = features([30, 31])
    plain = {name: frame.drop(columns="sku") for name, frame in rows.items()}
    with pytest.raises(ValueError, match=r"has labels such as 'sku 00': .* a column 'sku' or an"):
        model.add_items(plain)
    with pytest.raises(ValueError, match=r"labels has items such as 'a' \(str\), and the frame"):
        model.add_items(plain, labels=["a", "b"])
    with pytest.raises(ValueError, match="a row of 'sku 31' .* which is not in labels"):
        model.add_items(rows, labels=sku([30]))
    with pytest.raises(ValueError, match="nothing of 'sku 32'"):
        model.add_items(rows, labels=sku([30, 31, 32]))
    rows["v"].loc[1, "v0"] = np.inf
    with pytest.raises(ValueError, match="infinite value .* in the row of 'sku 31'"):
        model.add_items(rows)
    assert model.n_features_in_ == N_ITEMS


@CLASSES
def test_an_item_that_is_known_gets_its_features_by_partial_fit(cls):
    model = copy.deepcopy(_fitted(cls))
    for labels, name in ((sku([3]), "labels"), (None, "item_features")):
        with pytest.raises(ValueError, match=rf"{name} has 'sku 03', .* already: .*partial_fit\("):
            model.add_items(features([3]), labels=labels)


@pytest.mark.parametrize(("name", "wrong"), [(sku, [30, 31]), (np.array, ["30", "31"])])
def test_labels_of_another_type_are_refused(name, wrong):
    model = copy.deepcopy(_fitted(MDERecommender, name))
    with pytest.raises(ValueError, match="labels has items such as .* to the same type"):
        model.add_items({"v": V[30:32]}, labels=wrong)
    with pytest.raises(ValueError, match="item_features has items such as .* to the same type"):
        model.add_items({"v": features([30, 31])["v"].assign(sku=wrong)})
    assert model.n_features_in_ == N_ITEMS
    assert len(model.add_items(features([30, 31], name))) == 2


@CLASSES
def test_a_frame_may_have_the_next_ids(cls):
    X = Interactions(USER, ITEM, timestamp=np.arange(N))
    model = cls(n_factors=4, max_epochs=2, random_state=0)
    model.fit(X, item_features={"v": V[:N_ITEMS], "t": T[:N_ITEMS]})
    other = copy.deepcopy(model)
    other.add_items({"v": V[30:32], "t": T[30:32]})
    ids = {"v": pd.DataFrame(V[[31, 30]], index=[N_ITEMS + 1, N_ITEMS]), "t": T[30:32]}
    assert model.add_items(ids).tolist() == [N_ITEMS, N_ITEMS + 1]
    np.testing.assert_array_equal(model.item_embedding_, other.item_embedding_)
    with pytest.raises(ValueError, match="the new items are the items 17 to 18: pass frame.reset"):
        model.add_items({"v": pd.DataFrame(V[30:32], index=[30, 31])})


@LOADED
@CLASSES
def test_names_of_known_columns_are_checked_after_new_items(cls, loaded, tmp_path):
    """By position, users would have seen other items."""
    dense = np.zeros((N_USERS, N_ITEMS))
    dense[USER, ITEM] = 1 + np.arange(N)
    table = pd.DataFrame(dense, columns=sku(range(N_ITEMS)))
    model = cls(n_factors=4, max_epochs=1, random_state=0)
    model.fit(table, item_features={"v": V[:N_ITEMS]})
    assert model.add_items({"v": V[:0]}).size == 0
    assert len(model.feature_names_in_) == N_ITEMS
    model.add_items({"v": V[30:31]})
    if loaded:
        recsk.save(model, tmp_path / "model.recsk")
        model = recsk.load(tmp_path / "model.recsk")
    wider = table.assign(new=np.arange(N_USERS))
    with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
        model.partial_fit(wider[wider.columns[::-1]])
    with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
        model.score(wider[["new", *table.columns]])
    seen = model.interactions_.toarray()
    model.partial_fit(wider)
    assert model.feature_names_in_.tolist() == [*table.columns, "new"]
    np.testing.assert_array_equal(model.interactions_.toarray()[:, :N_ITEMS], seen[:, :N_ITEMS])
    with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
        model.partial_fit(wider[["new", *table.columns]])
