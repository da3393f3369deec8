"""Features of items that arrive after the fit: by label, by id, or in order."""

import numpy as np
import pytest

from recsk.data.labels import Labels
from recsk.features.arrivals import labels_of_frames, read_new_features

pd = pytest.importorskip("pandas")

KNOWN = Labels(["a", "b"], column="sku")
V = np.arange(6.0, dtype=np.float32).reshape(3, 2)
T = np.arange(3.0, dtype=np.float32).reshape(3, 1)
WIDTHS = {"v": 2, "t": 1}


def keyed(keys, column="sku", values=V):
    return pd.DataFrame(values[: len(keys)], columns=["x", "y"]).assign(**{column: keys})


def read(features, labels=None, names=None):
    return read_new_features(features, labels, 40, WIDTHS, names or {})


def test_frames_name_items_by_the_item_column_an_index_or_item():
    for frame in (keyed(["d", "c"]), keyed(["d", "c"], "item"), keyed(["d", "c"]).set_index("sku")):
        labels = labels_of_frames({"v": frame}, KNOWN)
        assert labels.values.tolist() == ["d", "c"] and labels.column == "sku"
        np.testing.assert_array_equal(read({"v": frame}, labels)["v"], V[:2])


def test_polars_frames_name_items():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"sku": ["d", "c"], "x": V[:2, 0], "y": V[:2, 1]})
    labels = labels_of_frames({"v": frame}, KNOWN)
    assert labels.values.tolist() == ["d", "c"]
    np.testing.assert_array_equal(read({"v": frame[::-1]}, labels)["v"], V[:2])
    assert labels_of_frames({"v": frame.drop("sku")}, KNOWN) is None
    with pytest.raises(TypeError, match="is lazy: pass frame.collect"):
        labels_of_frames({"v": frame.lazy()}, KNOWN)


def test_items_of_several_frames_are_united_and_may_lack_a_modality():
    features = {"v": keyed(["d", "c"]), "t": pd.DataFrame(T[:2], index=["c", "e"])}
    labels = labels_of_frames(features, KNOWN)
    assert labels.values.tolist() == ["d", "c", "e"]
    found = read(features, labels)
    np.testing.assert_array_equal(found["v"], [*V[:2], [np.nan, np.nan]])
    np.testing.assert_array_equal(found["t"], [[np.nan], *T[:2]])


def test_rows_without_names_have_none():
    assert labels_of_frames({"v": V, "t": pd.DataFrame(T)}, KNOWN) is None
    with pytest.raises(ValueError, match=r"\['v'\] names the items.*\['t'\] does not: .*'sku'"):
        labels_of_frames({"v": keyed(["c"]), "t": T[:1]}, KNOWN)
    for keys, message in ((["c", None, "d"], "no label in row 1"), ([["c"]] * 3, "hashable")):
        with pytest.raises(ValueError, match=rf"^item_features\['v'\] .*{message}"):
            labels_of_frames({"v": keyed(keys)}, KNOWN)


def test_arrays_beside_frames_are_in_the_order_of_labels():
    found = read({"v": keyed(["d", "c"]), "t": T[:2]}, Labels(["c", "d"], column="sku"))
    np.testing.assert_array_equal(found["v"], V[[1, 0]])
    np.testing.assert_array_equal(found["t"], T[:2])


def test_rows_of_other_items_are_refused_by_name():
    with pytest.raises(ValueError, match="a row of 'e' .*not in labels: leave it out, or add it"):
        read({"v": keyed(["d", "e"])}, Labels(["d"], column="sku"))
    for frame in (pd.DataFrame(V, index=[50, 51, 57]), keyed(["x", "y", "z"]).set_index("sku")):
        with pytest.raises(ValueError, match=r"labels has items such as 'd' .* pass an array in"):
            read({"v": frame}, Labels(["d", "e", "f"], column="sku"))
    with pytest.raises(ValueError, match="column 'sku' has values such as 'd'.*labels has no ite"):
        read({"v": keyed(["d"])}, Labels([], column="sku"))
    with pytest.raises(ValueError, match="nothing of 'e'"):
        read({"v": keyed(["d"])}, Labels(["d", "e"], column="sku"))
    with pytest.raises(ValueError, match=r"labels has items such as 'd' \(str\), and the frame"):
        read({"v": pd.DataFrame(V)}, Labels(["d", "e", "f"], column="sku"))


@pytest.mark.parametrize("index", [[40, 41, 42], range(40, 43), [42, 40, 41], [2, 0, 1], range(3)])
def test_an_index_may_have_the_new_ids_or_count_them(index):
    frame = pd.DataFrame(V, index=index)
    order = np.argsort(index)
    np.testing.assert_array_equal(read({"v": frame, "t": T})["v"], V[order])


def test_frames_may_have_different_new_ids():
    features = {"v": pd.DataFrame(V[:1], index=[40]), "t": pd.DataFrame(T[:1], index=[41])}
    found = read(features)
    np.testing.assert_array_equal(found["v"], [V[0], [np.nan] * 2])
    np.testing.assert_array_equal(found["t"], [[np.nan], T[0]])


@pytest.mark.parametrize(("index", "ids"), [([50, 51], "40 to 41"), ([0, 7], "0 to 1")])
def test_left_over_row_numbers_are_no_new_ids(index, ids):
    message = rf"the new items are the items {ids}: pass frame.reset_index\(drop=True\)"
    with pytest.raises(ValueError, match=message):
        read({"v": pd.DataFrame(V[:2], index=index)})


@pytest.mark.parametrize(
    "empty",
    [keyed(["c"])[:0], pd.DataFrame(V[:0]), pd.DataFrame(), keyed(["c"]).set_index("sku")[:0]],
)
def test_empty_frames_have_no_items(empty):
    labels = labels_of_frames({"v": empty, "t": empty}, KNOWN)
    assert len(labels) == 0
    for given in (labels, Labels([]), None):
        assert read({"v": empty}, given, {"v": ["x", "y"]})["v"].shape == (0, 2)
    assert labels_of_frames({"v": empty, "t": keyed(["c"])}, KNOWN).values.tolist() == ["c"]


def test_an_empty_frame_is_beside_rows_without_names():
    empty = keyed([])
    for rows in (T[:2], pd.DataFrame(T[:2], columns=["p"])):
        assert labels_of_frames({"t": rows, "v": empty}, KNOWN) is None
        assert read({"t": rows, "v": empty})["t"].tolist() == T[:2].tolist()


def test_numbers_of_rows_are_no_labels():
    catalogue, known = pd.DataFrame(V, columns=["x", "y"]), Labels([100, 101], column="sku")
    for rows in (catalogue[::2], catalogue.iloc[1:]):
        assert labels_of_frames({"v": rows}, known) is None
        named = labels_of_frames({"v": rows.rename_axis("movie")}, known)
        assert named.values.tolist() == rows.index.tolist()


def test_columns_are_matched_by_name():
    swapped = keyed(["c", "d"])[["y", "sku", "x"]]
    found = read({"v": swapped}, Labels(["c", "d"], column="sku"), {"v": ["x", "y"]})
    np.testing.assert_array_equal(found["v"], V[:2])
    np.testing.assert_array_equal(
        read({"v": swapped[["y", "x"]]}, None, {"v": ["x", "y"]})["v"], V[:2]
    )
