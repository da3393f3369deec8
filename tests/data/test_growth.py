"""New interactions behind known ones."""

import numpy as np
import pytest

from recsk import Interactions
from recsk.data.growth import by_user, join, place
from recsk.data.labels import Labels


def test_labels_keep_their_positions_and_new_ones_follow():
    known = {"user": Labels(["b", "d"]), "item": Labels([7, 3])}
    X = Interactions([0, 1, 2], [1, 0, 0]).with_labels(["a", "b", "c"], [3, 9])
    placed, labels = place(X, known, {"user": 2, "item": 2}, "X")
    assert labels["user"].values.tolist() == ["b", "d", "a", "c"]
    assert labels["item"].values.tolist() == [7, 3, 9]
    np.testing.assert_array_equal(placed.user, [2, 0, 3])
    np.testing.assert_array_equal(placed.item, [2, 1, 1])
    assert (placed.n_users, placed.n_items) == (4, 3)


def test_ids_are_positions_in_the_larger_space():
    placed, labels = place(Interactions([5], [1]), {}, {"user": 3, "item": 4}, "X")
    assert labels == {}
    assert (placed.n_users, placed.n_items) == (6, 4)


def test_labels_and_ids_do_not_mix():
    X = Interactions([0], [0])
    with pytest.raises(ValueError, match="ids of items, but the model was fitted on labels"):
        place(X, {"item": Labels(["a"])}, {"user": 1, "item": 1}, "X")
    with pytest.raises(ValueError, match="labels of users, but the model was fitted on ids"):
        place(X.with_labels(["a"]), {}, {"user": 1, "item": 1}, "X")


def test_new_interactions_come_behind_the_known_ones_of_a_user():
    known = by_user(Interactions([1, 0, 1], [0, 1, 2], timestamp=[9, 5, 8]))
    new = Interactions([1, 1, 2], [3, 1, 0], timestamp=[2, 1, 3], n_items=5)
    joined = join(known, new)
    assert [items.tolist() for items in joined.sequences()] == [[1], [2, 0, 1, 3], [0]]
    assert joined.n_items == 5


def test_weights_of_one_stand_beside_others():
    known = by_user(Interactions([0], [0]))
    joined = join(known, Interactions([0, 0], [1, 2], value=[3.0, 2.0]))
    np.testing.assert_array_equal(joined.value, [1, 3, 2])
    assert join(known, Interactions([0], [1])).value is None
