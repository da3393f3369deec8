import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recsk.features import Features, check_item_features
from recsk.features.dense import (
    RowScale,
    fill_and_standardize,
    scale_to_unit_mean_norm,
)


def prepared(features, **options):
    """Check and prepare the features of one modality, as `fit` does."""
    (checked,) = check_item_features({"v": features}, len(features)).values()
    return fill_and_standardize(checked, **options)


@pytest.fixture
def features():
    features = np.random.default_rng(0).normal(3, 5, (8, 4)).astype(np.float32)
    features[[2, 5]] = np.nan
    return features


@pytest.mark.parametrize("n_columns", [1, 2, 31, 33, 64, 95, 130])
def test_many_columns_are_standardised_in_blocks_without_a_difference(n_columns):
    features = np.random.default_rng(0).normal(3, 5, (9, n_columns)).astype(np.float32)
    features[4] = np.nan
    values = fill_and_standardize(features, standardize=True).values
    rows = np.delete(features, 4, axis=0).astype(float)
    expected = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    np.testing.assert_allclose(np.delete(values, 4, axis=0), expected, rtol=1e-6, atol=1e-7)


def test_standardize_uses_only_items_with_the_modality(features):
    values, present = fill_and_standardize(features, standardize=True)
    np.testing.assert_array_equal(np.flatnonzero(~present), [2, 5])
    assert values.dtype == np.float32 and not values[~present].any()
    for column, rows in zip(values[present].T, features[present].T, strict=True):
        mean = sum(rows) / 6
        deviation = np.sqrt(sum((rows - mean) ** 2) / 6)
        np.testing.assert_allclose(column, (rows - mean) / deviation, rtol=1e-5, atol=1e-6)


def test_without_standardize_values_stay(features):
    values, present = fill_and_standardize(features, standardize=False)
    np.testing.assert_array_equal(values[present], features[present])
    assert not values[~present].any()


@pytest.mark.parametrize("standardize", [False, True])
def test_fill_and_standardize_does_not_change_its_input(features, standardize):
    before = features.copy()
    features.flags.writeable = False
    values, _ = fill_and_standardize(features, standardize=standardize)
    np.testing.assert_array_equal(features, before)
    assert not np.shares_memory(values, features)


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, -1e30, 1e-30])
def test_constant_columns_become_zero(features, constant):
    features[~np.isnan(features[:, 0]), 1] = constant
    values, _ = fill_and_standardize(features, standardize=True)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values[:, 1], 0, atol=1e-5)
    assert (values[0, [0, 2, 3]] != 0).all()


def test_a_single_item_with_the_modality():
    values, present = fill_and_standardize(np.array([[np.nan], [7]], dtype="f4"), standardize=True)
    assert values.tolist() == [[0], [0]] and present.tolist() == [False, True]


@given(
    hnp.arrays(np.float32, (7, 3), elements=st.floats(-10, 10, width=32)),
    hnp.arrays(bool, 7).filter(any),
    st.booleans(),
)
def test_missing_items_do_not_change_the_others(features, present, standardize):
    alone = fill_and_standardize(features[present], standardize=standardize)
    features[~present] = np.nan
    among = fill_and_standardize(features, standardize=standardize)
    np.testing.assert_array_equal(among.present, present)
    np.testing.assert_array_equal(among.values[present], alone.values)
    assert np.isfinite(among.values).all() and not among.values[~present].any()


@pytest.mark.parametrize(
    ("dtype", "size"), [("f2", 6e4), ("f4", 3e38), ("f4", 1e-38), ("f8", 1e30), ("i8", 1e15)]
)
def test_standardize_works_at_any_scale(dtype, size):
    # In the type of the features, sums or squares of these values would overflow or vanish.
    shape = np.random.default_rng(0).uniform(-1, 1, (40, 3))
    values, _ = prepared((shape * size).astype(dtype), standardize=True)
    expected = (shape - shape.mean(axis=0)) / shape.std(axis=0)
    np.testing.assert_allclose(values, expected, atol=2e-3 if dtype == "f2" else 1e-5)


def test_standardize_of_a_small_deviation_about_a_large_mean():
    features = np.float32(2**20) + np.arange(8, dtype="f4").reshape(8, 1)
    expected = (np.arange(8) - 3.5) / np.arange(8).std()
    values, _ = fill_and_standardize(features, standardize=True)
    np.testing.assert_allclose(values[:, 0], expected, rtol=1e-6)


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
def test_all_formats_give_the_same_features(features):
    checked = check_item_features({"v": features}, 3)["v"]
    assert checked.dtype == np.float32 and isinstance(checked, np.ndarray)
    np.testing.assert_array_equal(checked, [[1, 2], [3, 4], [0, 0]])


def test_modalities_keep_their_order_and_are_not_copied(features):
    checked = check_item_features({"v": features, "a": [[1]] * 8, "t": features}, 8)
    assert list(checked) == ["v", "a", "t"]
    assert checked["v"] is features


def test_rows_of_nan_are_kept(features):
    np.testing.assert_array_equal(check_item_features({"v": features}, 8)["v"], features)


def test_masked_values_are_missing(features):
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
def test_errors_name_tensors_that_numpy_cannot_read(tensor):
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
def test_bad_features_are_rejected(item_features, error, message):
    with pytest.raises(error, match=message):
        check_item_features(item_features, 3)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 17.0, 1e37])
def test_the_mean_norm_of_rows_becomes_one(scale):
    values = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    values[2] = np.nan
    features = fill_and_standardize(values * np.float32(scale), standardize=False)
    before = features.values.copy()
    scaled = scale_to_unit_mean_norm(features)
    lengths = np.linalg.norm(scaled.values[scaled.present], axis=1)
    assert lengths.mean() == pytest.approx(1) and not scaled.values[2].any()
    expected = before / np.linalg.norm(before.astype(float), axis=1)[scaled.present].mean()
    np.testing.assert_allclose(scaled.values, expected, rtol=1e-5)
    np.testing.assert_array_equal(features.values, before)


def test_features_of_zeros_stay_zero_when_scaled():
    zeros = Features(np.zeros((3, 2), np.float32), np.array([True, True, False]))
    assert not scale_to_unit_mean_norm(zeros).values.any()
    assert RowScale.between(zeros, scale_to_unit_mean_norm(zeros)) is None


def test_later_rows_have_the_scale_of_the_first_ones_and_are_no_longer():
    rng = np.random.default_rng(0)
    first = Features(rng.normal(size=(20, 3)).astype(np.float32), np.ones(20, dtype=bool))
    scaled = scale_to_unit_mean_norm(first)
    scale = RowScale.between(first, scaled)
    longest = np.linalg.norm(scaled.values, axis=1).max()
    later = np.vstack([first.values, 1e9 * first.values[:1]])
    found = scale(Features(later, np.ones(21, dtype=bool))).values
    np.testing.assert_allclose(found[:20], scaled.values, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found[20]), longest, rtol=1e-5)
    unit = found[[0, 20]] / np.linalg.norm(found[[0, 20]], axis=1, keepdims=True)
    np.testing.assert_allclose(unit[0], unit[1], rtol=1e-5)
