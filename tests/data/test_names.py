"""What a call names: labels in every form, and errors that name the argument."""

import numpy as np
import pytest

from recsk.data.labels import Labels
from recsk.data.names import check_names

INTS = Labels([1, 0, 5])
TUPLES = Labels([("sku", 1), ("sku", 2), "last"])


def find(given, labels=INTS, dimensions=(0, 1)):
    return check_names(given, "item_ids", labels, 3, "items", dimensions)


@pytest.mark.parametrize(
    "given", [[5, 1], (5, 1), np.array([5, 1], np.int8), [5.0, np.int64(1)], {5: 0, 1: 0}.keys()]
)
def test_labels_in_every_form(given):
    assert find(given).tolist() == [2, 0]


def test_a_tuple_is_one_label_where_it_is_known():
    assert find(("sku", 2), TUPLES).tolist() == 1
    assert find((("sku", 2), "last"), TUPLES).tolist() == [1, 2]
    assert find(frozenset([1]), Labels([frozenset([1]), 2])).tolist() == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (True, "is not one of the lab"),
        ([0, np.False_], "is not one of the lab"),
        ([True], "got a mask"),
        (np.array([True, False, True]), "got a mask"),
    ],
)
def test_true_is_not_the_label_one(given, message):
    """They are equal in Python, and a mask would be read as labels without a word."""
    with pytest.raises(TypeError, match=rf"^item_ids must be .*{message}"):
        find(given)
    assert find([False, True], Labels([True, False, 2])).tolist() == [1, 0]


@pytest.mark.parametrize(
    "given",
    [[[1], [0]], (1, [0]), [{}], list, {1, 0}, {1: 0}, {}, ("sku", [1]), np.array([1, []], object)],
    ids=str,
)
def test_what_is_no_list_of_labels_is_named(given):
    for labels in (INTS, TUPLES):
        with pytest.raises(TypeError, match="^item_ids must be a "):
            find(given, labels)


def test_times_are_the_same_in_every_unit():
    days = np.array(["2024-01-01", "2024-01-02"], "datetime64[ns]")
    labels = Labels(days)
    found = labels.decode([1, -1]).tolist()
    assert found == [days[1].astype("datetime64[us]").item(), None]  # not nanoseconds as an int
    for given in (days, days.astype("datetime64[us]"), days.astype("datetime64[us]").tolist()):
        assert find(given, labels).tolist() == [0, 1]
    assert find(found[:1], labels).tolist() == [1]
    assert find(days[1], labels).tolist() == 1
    finer = days + np.timedelta64(1, "ns")
    assert find(finer, Labels(finer)).tolist() == [0, 1]
    with pytest.raises(KeyError, match="item_ids has "):
        find(finer, labels)
