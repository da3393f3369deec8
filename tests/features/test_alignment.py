"""Frames among item features: rows go by label, columns become numbers, or the cure is named."""

import numpy as np
import pytest

from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.data.labels import Labels
from recsk.features.alignment import align_item_features, feature_columns

pd = pytest.importorskip("pandas")

ITEMS = Labels(["a", "b", "c", "d"])
V = np.arange(8.0, dtype=np.float32).reshape(4, 2)


def frame(order=(0, 1, 2, 3), values=V):
    order = list(order)
    return pd.DataFrame(values[order], index=[ITEMS.values[i] for i in order])


def align(features, labels=ITEMS, n_items=4):
    found, items = align_item_features({"v": features}, n_items, labels)
    return np.asarray(found["v"]), items


def test_rows_are_matched_by_label():
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        values, items = align(frame(order))
        np.testing.assert_array_equal(values, V)
        assert items is ITEMS or items.values.tolist() == ITEMS.values.tolist()


def test_a_missing_row_is_a_missing_modality():
    values, _ = align(frame([3, 0]))
    np.testing.assert_array_equal(values[[0, 3]], V[[0, 3]])
    assert np.isnan(values[[1, 2]]).all()


def test_a_row_of_another_item_is_a_new_item():
    more = pd.concat([frame(), pd.DataFrame(V[:2], index=["zz", "e"])])
    found, items = align_item_features({"v": more, "t": V}, 4, ITEMS)
    assert items.values.tolist() == ["a", "b", "c", "d", "e", "zz"]
    np.testing.assert_array_equal(found["v"], np.vstack([V, V[1], V[0]]))
    np.testing.assert_array_equal(found["t"][:4], V)
    assert np.isnan(found["t"][4:]).all()


def test_a_frame_without_rows():
    named = pd.DataFrame({"item": [], "x": np.empty(0)})
    for empty in (named, named.set_index("item"), named[["x"]]):
        with pytest.raises(ValueError, match=r"item_features\['v'\] (has no rows|does not name)"):
            align(empty)


@pytest.mark.parametrize("library", ["polars", "pyarrow", "pandas"])
def test_a_key_column_names_items(library):
    lib = pytest.importorskip(library)
    columns = {"item": ["c", "a", "d", "b"], "x": V[[2, 0, 3, 1], 0], "y": V[[2, 0, 3, 1], 1]}
    table = lib.table(columns) if library == "pyarrow" else lib.DataFrame(columns)
    np.testing.assert_array_equal(align(table)[0], V)
    without = (
        table.drop("item")
        if library == "polars"
        else table.drop(columns="item")
        if (library == "pandas")
        else table.drop_columns(["item"])
    )
    with pytest.raises(ValueError, match="neither a column 'item' nor an index"):
        align(without)


def test_columns_of_many_kinds():
    mixed = pd.DataFrame(
        {
            "number": [1, 2, 3, 4],
            "flag": [True, False, True, True],
            "nullable": pd.array([1, 2, 3, 4], dtype="Int64"),
            "nullable_flag": pd.array([True, False, True, False], dtype="boolean"),
            "object": np.array([1, 2.5, True, 0], dtype=object),
        },
        index=ITEMS.values,
    )
    expected = [[1, 1, 1, 1, 1], [2, 0, 2, 0, 2.5], [3, 1, 3, 1, 1], [4, 1, 4, 0, 0]]
    np.testing.assert_array_equal(align(mixed)[0], expected)
    vectors = pd.DataFrame({"v": [list(row) for row in V]}, index=ITEMS.values)
    np.testing.assert_array_equal(align(vectors)[0], V)
    vectors.loc["b", "v"] = None
    assert np.isnan(align(vectors)[0][1]).all()


def test_what_cannot_be_read_is_told_with_the_cure():
    text = frame().assign(brand=["x", "y", "z", "x"])
    with pytest.raises(
        TypeError, match=r"item_features\['v'\] has the column 'brand'.*get_dummies"
    ):
        align(text)
    ragged = pd.DataFrame({"v": [[1, 2], [1], [1, 2], [1, 2]]}, index=ITEMS.values)
    with pytest.raises(ValueError, match="vectors of several lengths"):
        align(ragged)
    twice = pd.concat([frame(), frame([2])])
    with pytest.raises(ValueError, match="has the item 'c' in several rows"):
        align(twice)
    with pytest.raises(ValueError, match="does not name the items of its rows.*set_index"):
        align(pd.DataFrame(V))
    with pytest.raises(ValueError, match="does not name the items of its rows.*set_index"):
        align(pd.DataFrame(V, index=["w", "x", "y", "z"]))
    for bare in (frame(), V):
        with pytest.raises(
            TypeError, match=r"dict of modality.*item_features=\{'image': features\}"
        ):
            align_item_features(bare, 4, ITEMS)


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_every_row_names_an_item(missing):
    keys = ["a", "b", missing]
    for features in (pd.DataFrame(V[:3], index=keys), pd.DataFrame(V[:3]).assign(item=keys)):
        with pytest.raises(ValueError, match=r"^item_features\['v'\] .*has no label in row 2"):
            align(features)


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        (frame().assign(item=[["a"]] * 4), ValueError, "hashable labels"),
        (pd.DataFrame(V, ITEMS.values, ["x", "x"]), ValueError, "several columns 'x'"),
        (frame().assign(x=10**400), ValueError, "in the column 'x': int too large"),
        (frame().assign(x=[["1"]] * 4), TypeError, "vectors in the column 'x', but .*in row 0"),
        (frame().assign(x=[[[1], [2]]] * 4), TypeError, "vectors in the column 'x'"),
        (frame().assign(x=[[1.0], [2.0], [3.0], 4.0]), TypeError, "but 4.0 in row 3"),
    ],
    ids=["lists as keys", "columns twice", "huge", "text", "nested", "vector and number"],
)
def test_an_error_names_the_frame(features, error, message):
    with pytest.raises(error, match=rf"^item_features\['v'\] .*{message}"):
        align(features)


def test_a_lazy_frame_is_to_be_collected():
    polars = pytest.importorskip("polars")
    lazy = polars.DataFrame({"item": ["a"], "x": [1.0]}).lazy()
    with pytest.raises(TypeError, match=r"^item_features\['v'\] is lazy: pass frame.collect"):
        align(lazy)


def test_what_is_no_array_beside_a_frame_of_new_items_is_named():
    X = Interactions([0, 1], [0, 1]).with_labels(item_labels=["a", "b"])
    features = {"v": pd.DataFrame(V[:3], index=["a", "b", "new"]), "t": [[1.0], [1.0, 2.0]]}
    with pytest.raises(ValueError, match=r"^item_features\['t'\] must be one array"):
        MDERecommender(max_epochs=1).fit(X, item_features=features)


def test_a_default_index_is_not_taken_for_labels():
    """Labels 1 to 4 and rows 0 to 3 would be off by one without a word."""
    with pytest.raises(ValueError, match="set_index"):
        align(pd.DataFrame(V), Labels([1, 2, 3, 4]))
    values, _ = align(pd.DataFrame(V), Labels([2, 0, 3, 1]))  # all labels are in the index
    np.testing.assert_array_equal(values, V[[2, 0, 3, 1]])


def test_without_labels_an_index_holds_ids():
    np.testing.assert_array_equal(align(pd.DataFrame(V), None)[0], V)
    order = [3, 1, 0, 2]
    np.testing.assert_array_equal(align(pd.DataFrame(V[order], index=order), None)[0], V)
    np.testing.assert_array_equal(align(pd.DataFrame(V).iloc[::-1], None)[0], V)
    with pytest.raises(ValueError, match="X has the items 0 to 3: give X labels"):
        align(pd.DataFrame(V, index=[0, 1, 2, 9]), None)


@pytest.mark.parametrize("cls", [MDERecommender, MDSRecRecommender])
def test_another_order_is_no_other_model(cls):
    rng = np.random.default_rng(0)
    n = 300
    log = {
        "user": [f"u{i}" for i in rng.integers(20, size=n)],
        "item": [f"sku{i}" for i in rng.integers(15, size=n)],
        "when": np.arange(n),
    }
    X = Interactions.from_frame(log, timestamp="when")
    vectors = pd.DataFrame(rng.normal(size=(17, 3)), index=[f"sku{i}" for i in range(17)])
    fits = [
        cls(n_factors=4, max_epochs=2, random_state=0).fit(X, item_features={"v": v})
        for v in (vectors, vectors.iloc[::-1], vectors.sample(frac=1, random_state=0))
    ]
    for other in fits[1:]:
        np.testing.assert_array_equal(fits[0].item_embedding_, other.item_embedding_)
        np.testing.assert_array_equal(fits[0].items_, other.items_)
    assert fits[0].n_features_in_ == 17
    # New items are part of the catalogue, and can be recommended.
    assert set(vectors.index) == set(fits[0].items_.tolist())
    assert fits[0].recommend(items=["sku16"], k=1, exclude_seen=False)[0][0, 0] == "sku16"
    # Held-out data of the log alone still fit.
    assert 0 <= fits[0].score(X[:50]) <= 1


def film_features():
    return pd.DataFrame({"movieId": [1, 2, 3, 4, 5], "x": [10.0, 20, 30, 40, 50]})


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 2, 0, 1, 3], [0, 1, 2, 3]])
def test_the_item_column_of_the_log_is_the_key(order):
    """Left-over row numbers are labels of other items."""
    X = Interactions.from_frame({"user": [*"aabb"], "movieId": [1, 2, 3, 4]}, item="movieId")
    found, items = align_item_features(
        {"t": film_features().iloc[order]}, X.n_items, X._item_labels
    )
    assert items.values.tolist() == [1, 2, 3, 4, 5][: len(order)]
    np.testing.assert_array_equal(found["t"][:, 0], [10, 20, 30, 40, 50][: len(order)])


def test_row_numbers_are_not_taken_for_labels_where_a_column_names_the_items():
    with pytest.raises(ValueError, match=r"pass frame.set_index\('movieId'\)"):
        align(film_features().iloc[::-1], Labels([1, 2, 3, 4]))


def test_a_frame_that_names_few_items_is_warned_of():
    few = pd.DataFrame(V, index=["a", "x", "y", "z"])
    with pytest.warns(UserWarning, match="rows for 1 of the 4 items of X and for 3 others.*'x'"):
        align(few)


def test_labels_are_named_in_errors():
    with pytest.raises(ValueError, match=r"must name the item of every row.*row 2"):
        align(pd.DataFrame(V, index=["a", "b", None, "d"]))
    partly = frame([3, 2, 1, 0]).astype(float)
    partly.loc["c", 1] = np.nan
    with pytest.raises(ValueError, match="NaN in part of the row of 'c'"):
        align(partly)
    with pytest.raises(ValueError, match="several columns 0"):
        align(pd.concat([frame(), frame()], axis=1))


def test_columns_are_matched_by_the_names_of_the_fit():
    named = frame().set_axis(["x", "y"], axis=1)
    columns = feature_columns({"v": named, "t": V, "w": frame()}, ITEMS)
    assert columns == {"v": ["x", "y"]}

    def later(features):
        found, _ = align_item_features({"v": features}, 4, ITEMS, columns=columns)
        return found["v"]

    for given in (named, named[["y", "x"]], V, frame()):  # without names, by position
        np.testing.assert_array_equal(later(given), V)
    with pytest.raises(ValueError, match=r"item_features\['v'\] .*'y' is missing and 'z' is unkn"):
        later(named.rename(columns={"y": "z"}))
    with pytest.raises(ValueError, match="any order: 'x', 'y' are missing and 'a' is unknown"):
        later(named[["x"]].rename(columns={"x": "a"}))
    with pytest.raises(ValueError, match="any order: 'sku' is unknown.*must be called 'item'"):
        later(named.assign(sku=ITEMS.values))


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_columns_of_other_libraries_are_matched_by_name(library):
    lib = pytest.importorskip(library)
    make = lib.table if library == "pyarrow" else lib.DataFrame
    columns = {"x": V[:, 0], "item": ITEMS.values.tolist(), "y": V[:, 1]}
    assert feature_columns({"v": make(columns)}, ITEMS) == {"v": ["x", "y"]}
    swapped = make({name: columns[name] for name in ("y", "x", "item")})
    found, _ = align_item_features({"v": swapped}, 4, ITEMS, columns={"v": ["x", "y"]})
    np.testing.assert_array_equal(found["v"], V)


def test_an_empty_frame_of_a_later_day_is_left_out():
    for empty in (frame()[:0], pd.DataFrame(), pd.get_dummies(pd.Series([], dtype=str))):
        found, items = align_item_features({"v": empty}, 4, ITEMS, partly=True)
        assert not found and items is ITEMS


def test_another_type_or_spelling_of_labels_is_shown():
    numbers = Labels([1, 2, 3, 4], column="sku")
    texts = pd.DataFrame(V).assign(sku=["01", "02", "03", "04"])
    message = (
        r"the column 'sku' has values such as '01' \(str\), none of which is an item of X; X has "
        r"items such as 1 \(int\)\. Bring both"
    )
    with pytest.raises(ValueError, match=message):
        align(texts, numbers)
    with pytest.raises(ValueError, match=r"'a' \(str\), and .* nor an index .*such as 'A' \(str\)"):
        align(frame().rename(str.upper))
    with pytest.raises(ValueError, match=r"\['v'\] has items .*'01', but the model .*same type"):
        align_item_features({"v": texts}, 4, numbers, partly=True)


def test_a_column_that_may_name_the_items_is_told_apart_from_a_category():
    with pytest.raises(TypeError, match="column 'sku' .*names the items must be called 'item'"):
        align(frame().assign(sku=ITEMS.values))


def test_an_infinite_value_is_named_by_its_item():
    infinite = frame([3, 2, 1, 0])
    infinite.loc["c", 1] = np.inf
    for labels in (ITEMS, Labels(["c", "d", "b", "a"])):
        with pytest.raises(ValueError, match=r"\['v'\] has an infinite value .* row of 'c' \(1 s"):
            align(infinite, labels)
