"""Features of known items and of new ones."""

import numpy as np
import pytest

from recsk.features.growth import grow_features

KNOWN = {"v": np.float32([[1, 2], [3, 4]]), "t": np.float32([[5], [np.nan]])}


def test_given_rows_replace_known_ones_and_others_stay():
    given = {"v": np.float32([[np.nan, np.nan], [7, 8], [9, 9]])}
    features, changed = grow_features(KNOWN, given, 3)
    np.testing.assert_array_equal(features["v"], [[1, 2], [7, 8], [9, 9]])
    np.testing.assert_array_equal(features["t"], [[5], [np.nan], [np.nan]])
    np.testing.assert_array_equal(changed, [False, True, True])
    assert KNOWN["v"].tolist() == [[1, 2], [3, 4]]


def test_the_same_rows_up_to_rounding_are_no_change():
    given = {"v": KNOWN["v"] * np.float32(1 + 2e-7), "t": np.float32([[5], [6]])}
    features, changed = grow_features(KNOWN, given, 2)
    np.testing.assert_array_equal(features["v"], KNOWN["v"])
    np.testing.assert_array_equal(changed, [False, True])


def test_nothing_given_keeps_all():
    features, changed = grow_features(KNOWN, None, 3)
    assert np.isnan(features["v"][2]).all()
    np.testing.assert_array_equal(changed, [False, False, True])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x": np.ones((3, 1))}, "modality 'x', which the fit did not have; it had v, t"),
        ({"v": np.ones((3, 3))}, "has 3 columns; expected 2, as in the fit"),
        ({"v": np.ones((2, 2))}, "has 2 rows, but X has 3 items"),
        ({"v": np.full((3, 2), np.inf)}, "infinite"),
    ],
)
def test_others_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        grow_features(KNOWN, given, 3)
