import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recsk.features import Features, check_item_features, mean_length_one, prepare


def prepared(features, **options):
    """From what a user gives for one modality to what the network gets."""
    (checked,) = check_item_features({"v": features}, len(features)).values()
    return prepare(checked, **options)


@pytest.fixture
def features():
    features = np.random.default_rng(0).normal(3, 5, (8, 4)).astype(np.float32)
    features[[2, 5]] = np.nan
    return features


# ----------------------------------------------------------------------------------------- prepare


@pytest.mark.parametrize("n_columns", [1, 2, 31, 33, 64, 95, 130])
def test_many_columns_are_standardised_as_few_are(n_columns):
    features = np.random.default_rng(0).normal(3, 5, (9, n_columns)).astype(np.float32)
    features[4] = np.nan
    values = prepare(features, standardize=True).values
    rows = np.delete(features, 4, axis=0).astype(float)
    expected = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    np.testing.assert_allclose(np.delete(values, 4, axis=0), expected, rtol=1e-6, atol=1e-7)


def test_standardize_is_over_the_items_that_have_the_modality(features):
    values, present = prepare(features, standardize=True)
    np.testing.assert_array_equal(np.flatnonzero(~present), [2, 5])
    assert values.dtype == np.float32 and not values[~present].any()
    for column, rows in zip(values[present].T, features[present].T, strict=True):
        mean = sum(rows) / 6
        deviation = np.sqrt(sum((rows - mean) ** 2) / 6)
        np.testing.assert_allclose(column, (rows - mean) / deviation, rtol=1e-5, atol=1e-6)


def test_without_it_values_stay(features):
    values, present = prepare(features, standardize=False)
    np.testing.assert_array_equal(values[present], features[present])
    assert not values[~present].any()


@pytest.mark.parametrize("standardize", [False, True])
def test_prepare_changes_nothing_that_came(features, standardize):
    before = features.copy()
    features.flags.writeable = False
    values, _ = prepare(features, standardize=standardize)
    np.testing.assert_array_equal(features, before)
    assert not np.shares_memory(values, features)


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, -1e30, 1e-30])
def test_constant_columns_say_nothing(features, constant):
    features[~np.isnan(features[:, 0]), 1] = constant
    values, _ = prepare(features, standardize=True)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values[:, 1], 0, atol=1e-5)
    assert (values[0, [0, 2, 3]] != 0).all()


def test_a_single_item_with_the_modality():
    values, present = prepare(np.array([[np.nan], [7]], dtype="f4"), standardize=True)
    assert values.tolist() == [[0], [0]] and present.tolist() == [False, True]


@given(
    hnp.arrays(np.float32, (7, 3), elements=st.floats(-10, 10, width=32)),
    hnp.arrays(bool, 7).filter(any),
    st.booleans(),
)
def test_missing_items_change_nothing_for_the_others(features, present, standardize):
    alone = prepare(features[present], standardize=standardize)
    features[~present] = np.nan
    among = prepare(features, standardize=standardize)
    np.testing.assert_array_equal(among.present, present)
    np.testing.assert_array_equal(among.values[present], alone.values)
    assert np.isfinite(among.values).all() and not among.values[~present].any()


@pytest.mark.parametrize(
    ("dtype", "size"), [("f2", 6e4), ("f4", 3e38), ("f4", 1e-38), ("f8", 1e30), ("i8", 1e15)]
)
def test_standardize_knows_no_scale(dtype, size):
    # Computed in the type itself, the sums or squares of these would overflow or vanish.
    shape = np.random.default_rng(0).uniform(-1, 1, (40, 3))
    values, _ = prepared((shape * size).astype(dtype), standardize=True)
    expected = (shape - shape.mean(axis=0)) / shape.std(axis=0)
    np.testing.assert_allclose(values, expected, atol=2e-3 if dtype == "f2" else 1e-5)


def test_standardize_of_a_small_deviation_about_a_large_mean():
    features = np.float32(2**20) + np.arange(8, dtype="f4").reshape(8, 1)
    expected = (np.arange(8) - 3.5) / np.arange(8).std()
    values, _ = prepare(features, standardize=True)
    np.testing.assert_allclose(values[:, 0], expected, rtol=1e-6)


# --------------------------------------------------------------------------- check_item_features


@pytest.mark.parametrize("nothing", [None, {}])
def test_no_features(nothing):
    assert check_item_features(nothing, 3) == {}


@pytest.mark.parametrize(
    "features",
    [
        [[1, 2], [3, 4], [0, 0]],
        np.array([[1, 2], [3, 4], [0, 0]], dtype="f2"),
        np.array([[1, 2], [3, 4], [0, 0]], dtype="u1"),
        np.asfortranarray([[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]),
        sp.csr_matrix([[1, 2], [3, 4], [0, 0]]),
        sp.coo_array([[1.0, 2], [3, 4], [0, 0]]),
    ],
)
def test_every_form_of_the_same_features(features):
    checked = check_item_features({"v": features}, 3)["v"]
    assert checked.dtype == np.float32 and isinstance(checked, np.ndarray)
    np.testing.assert_array_equal(checked, [[1, 2], [3, 4], [0, 0]])


def test_order_of_modalities_and_no_copies(features):
    checked = check_item_features({"v": features, "a": [[1]] * 8, "t": features}, 8)
    assert list(checked) == ["v", "a", "t"]
    assert checked["v"] is features


def test_rows_of_nan_are_kept(features):
    np.testing.assert_array_equal(check_item_features({"v": features}, 8)["v"], features)


def test_what_is_masked_is_missing(features):
    mask = np.zeros(features.shape, dtype=bool)
    mask[[2, 5]] = True
    masked = np.ma.MaskedArray(np.nan_to_num(features, nan=7.0), mask)
    np.testing.assert_array_equal(check_item_features({"v": masked}, 8)["v"], features)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(3, 2, dtype=torch.bfloat16),
        torch.ones(3, 2, requires_grad=True),
        torch.ones(3, 2).to_sparse(),
    ],
    ids=["bfloat16", "requires_grad", "sparse"],
)
def test_tensors_that_are_no_arrays_are_named(tensor):
    with pytest.raises(TypeError, match=r"^item_features\['v'\] cannot be read as an array: "):
        check_item_features({"v": tensor}, 3)


PARTLY = [[1.0, np.nan], [np.nan, np.nan], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("item_features", "error", "message"),
    [
        (np.ones((3, 2)), TypeError, "dict of modality name to array.*shape"),
        ([np.ones((3, 2))], TypeError, "dict of modality name to array"),
        ({0: np.ones((3, 2))}, TypeError, "strings as names.*got 0"),
        ({"v": np.array([["a"]] * 3)}, TypeError, r"\['v'\].*numbers.*<U1"),
        ({"v": np.ones((3, 2), dtype=complex)}, TypeError, "complex"),
        ({"v": [[1, 2], [3], [4]]}, ValueError, r"\['v'\] must be one array"),
        ({"v": np.ones(3)}, ValueError, r"\['v'\].*\(n_items, n_columns\).*\(3,\)"),
        ({"v": np.ones((3, 2, 1))}, ValueError, r"\(3, 2, 1\)"),
        ({"a": np.ones((3, 2)), "v": np.ones((4, 2))}, ValueError, r"\['v'\] has 4 rows.*3 items"),
        ({"v": np.ones((3, 0))}, ValueError, r"at least one column.*\(3, 0\)"),
        ({"v": PARTLY}, ValueError, r"part of row 0 \(1 such rows\)"),
        ({"v": [[0.0], [-np.inf], [0.0]]}, ValueError, "infinite value.*row 1"),
        ({"v": [[0.0], [1.0], [1e39]]}, ValueError, r"infinite value \(for float32\) in row 2"),
        ({"v": np.full((3, 2), np.nan)}, ValueError, "NaN for every item; leave the modality out"),
    ],
)
def test_what_is_refused(item_features, error, message):
    with pytest.raises(error, match=message):
        check_item_features(item_features, 3)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 17.0, 1e37])
def test_mean_length_one(scale):
    values = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    values[2] = np.nan
    features = prepare(values * np.float32(scale), standardize=False)
    before = features.values.copy()
    scaled = mean_length_one(features)
    lengths = np.linalg.norm(scaled.values[scaled.present], axis=1)
    assert lengths.mean() == pytest.approx(1) and not scaled.values[2].any()
    expected = before / np.linalg.norm(before.astype(float), axis=1)[scaled.present].mean()
    np.testing.assert_allclose(scaled.values, expected, rtol=1e-5)
    np.testing.assert_array_equal(features.values, before)


def test_mean_length_of_nothing():
    nothing = Features(np.zeros((3, 2), np.float32), np.array([True, True, False]))
    assert not mean_length_one(nothing).values.any()
