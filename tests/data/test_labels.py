"""Labels are what they are: nothing merges, nothing is taken apart, nothing is lost."""

import datetime
import pickle
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsk import Interactions
from recsk.data.labels import Labels

LABEL = st.one_of(
    st.text(max_size=4),
    st.integers(),
    st.floats(allow_nan=False),
    st.tuples(st.text(max_size=2), st.integers(0, 3)),
)


@given(st.lists(LABEL, max_size=20))
def test_a_column_comes_back(column):
    ids, labels = Labels.from_column(column, "column")
    assert labels.decode(ids).tolist() == column
    assert len(labels) == len(set(column))
    np.testing.assert_array_equal(labels.encode(column, "x"), ids)


@pytest.mark.parametrize(
    "column",
    [
        [1, "1"],
        ["a", "a\0"],
        [2**63 + 1, -1],
        [2**60 + 1, 2**60],
        [("u", 1), ("u", 2)],
        [("u", 1), "u"],
        [0.1, "0.1"],
        [datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)],
        ["", " "],
    ],
    ids=repr,
)
def test_different_labels_stay_different(column):
    X = Interactions.from_frame({"user": column, "item": column[::-1]})
    assert X.n_users == X.n_items == 2
    table = X._user_labels.decode(X.user).tolist()
    assert table == column and list(map(type, table)) == list(map(type, column))


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan, np.datetime64("NaT")], ids=repr)
def test_a_missing_label_in_a_list_is_found(missing):
    with pytest.raises(ValueError, match="column 'user' has no label in row 1"):
        Interactions.from_frame({"user": ["ann", missing, "bob"], "item": [1, 2, 3]})


def test_missing_labels_of_pandas():
    pd = pytest.importorskip("pandas")
    for column in (
        pd.Series(["ann", None]),
        pd.Series([1, None], dtype="Int64"),
        pd.Series(["ann", pd.NA], dtype="string"),
        pd.Series([pd.Timestamp("2024-01-01"), pd.NaT]),
    ):
        with pytest.raises(ValueError, match="column 'user' has no label in row 1"):
            Interactions.from_frame({"user": column, "item": [1, 2]})


def test_labels_are_sorted_where_they_can_be():
    assert Labels.from_column(["b", "a", "b"], "x")[1].values.tolist() == ["a", "b"]
    assert Labels.from_column([3, "a", 1, 3], "x")[1].values.tolist() == [3, "a", 1]


def test_one_huge_label_takes_no_memory_for_the_others():
    column = [str(i) for i in range(40_000)] + ["x" * 50_000]
    tracemalloc.start()
    ids, labels = Labels.from_column(column, "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    assert labels.decode(ids[-1:])[0] == column[-1]


def test_a_million_labels_are_looked_up_in_a_moment():
    labels = Labels([f"sku-{i}" for i in range(200_000)])
    labels.encode(["sku-1"], "x")
    start = time.perf_counter()
    labels.encode(labels.values, "x")
    assert time.perf_counter() - start < 2


def test_labels_that_are_none():
    with pytest.raises(ValueError, match="repeat the label 'a'"):
        Labels(["a", "b", "a"])
    with pytest.raises(TypeError, match="hashable"):
        Labels([["a"], ["b"]])
    with pytest.raises(TypeError, match="one plain value per row"):
        Interactions.from_frame({"user": [{"a": 1}], "item": [1]})
    with pytest.raises(ValueError, match="1-D"):
        Labels(np.zeros((2, 2)))


@pytest.mark.parametrize("labels", [True, 3, "ab", b"ab", {"a": 0, "b": 1}, {"a", "b"}, int, list])
def test_what_is_no_list_is_not_read_as_labels(labels):
    with pytest.raises(TypeError, match="^user_labels must be a list of labels; got "):
        Interactions([0, 1], [0, 1]).with_labels(labels)


def test_labels_of_interactions():
    X = Interactions([0, 1], [2, 0])
    with pytest.raises(ValueError, match="item_labels must label all 3 items; got 2"):
        X.with_labels(item_labels=["a", "b"])
    labelled = X.with_labels(["x", "y"], ["a", "b", "c", "d"])
    assert (labelled.n_users, labelled.n_items) == (2, 4)
    assert labelled[[1]].item_labels is labelled.item_labels
    assert pickle.loads(pickle.dumps(labelled)).item_labels.tolist() == ["a", "b", "c", "d"]
    ids = labelled.without_labels()
    assert ids.user_labels is None and ids.n_items == 4
    with pytest.raises(ValueError):
        labelled.user_labels[0] = "z"


def test_unsigned_labels_beside_negative_ones():
    known = [-1, 2**63 + 1, 5]
    column = np.array([2**63 + 1, 5], dtype=np.uint64)
    X = Interactions.from_frame({"user": column, "item": column}, user_labels=known)
    assert X.user.tolist() == [1, 2]
    assert X.user_labels.tolist() == known and X.item_labels.tolist() == [5, 2**63 + 1]
