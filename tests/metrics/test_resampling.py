"""Paired tests: the right size, SciPy's values, and differences that say nothing."""

import itertools
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recsk.metrics import resampling
from recsk.metrics.resampling import METHODS, holm, paired_tests, wilcoxon_p


def differences(n_users, n_columns, seed=0, zeros=0.6):
    """Draw differences such as of recall: most are zero, the others take few values."""
    rng = np.random.default_rng(seed)
    values = rng.choice([1 / 4, 1 / 3, 1 / 2, 1], size=(n_users, n_columns))
    return values * rng.choice([-1, 1], values.shape) * (rng.random(values.shape) > zeros)


@pytest.mark.parametrize("n_users", [40, 200, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", METHODS)
def test_a_test_at_5_percent_rejects_5_percent_of_models_that_are_equally_good(method, n_users):
    """1,000 runs, each with its own resamples: signs of the users' differences are random."""
    rng = np.random.default_rng(0)
    observed = differences(n_users, 1, seed=1) + 0.05 * rng.normal(size=(n_users, 1))
    rejected = 0
    for run in range(1000):
        flipped = observed * rng.choice([-1, 1], observed.shape)
        rejected += paired_tests(flipped, 199, method, 0.95, run).p[0] <= 0.05
    assert 35 <= rejected <= 65


@pytest.mark.parametrize("method", METHODS)
def test_p_and_the_interval_agree_with_scipy(method):
    d = differences(300, 4) + [0.0, 0.02, 0.05, 0.3]
    found = paired_tests(d, 20_000, method, 0.9, seed=0)
    for i, column in enumerate(d.T):
        interval = stats.bootstrap(
            (column,),
            np.mean,
            n_resamples=20_000,
            confidence_level=0.9,
            method="percentile",
            rng=np.random.default_rng(1),
        ).confidence_interval
        error = 0.05 * column.std() / np.sqrt(len(column))
        np.testing.assert_allclose([found.low[i], found.high[i]], interval, atol=error)
        test = stats.permutation_test(
            (column,),
            np.mean,
            permutation_type="samples",
            n_resamples=20_000,
            vectorized=True,
            rng=np.random.default_rng(1),
        )
        # The bootstrap tests the same hypothesis by other means.
        tolerance = 0.01 if method == "sign-flip" else 0.03
        assert found.p[i] == pytest.approx(test.pvalue, abs=tolerance)
        assert found.p[i] == pytest.approx(stats.ttest_1samp(column, 0).pvalue, abs=0.03)


@given(st.integers(2, 8), st.integers(0, 1000))
def test_few_users_have_an_exact_sign_flip_test(n_users, seed):
    d = differences(n_users, 1, seed, zeros=0.3)
    twelfths = np.rint(12 * d[:, 0]).astype(int).tolist()  # so that ties are ties
    sums = [
        sum(map(operator.mul, signs, twelfths))
        for signs in itertools.product([-1, 1], repeat=n_users)
    ]
    expected = np.mean(np.abs(sums) >= abs(sum(twelfths)))
    assert paired_tests(d, 9999, "sign-flip", 0.95, 0).p[0] == expected
    d = np.random.default_rng(seed).normal(size=(n_users, 1))
    test = stats.permutation_test((d[:, 0],), np.mean, permutation_type="samples")
    assert paired_tests(d, 9999, "sign-flip", 0.95, 0).p[0] == pytest.approx(test.pvalue)


@pytest.mark.parametrize("method", METHODS)
def test_resamples_are_shared_reproducible_and_not_changed_by_blocks(method, monkeypatch):
    d = differences(50, 3)
    expected = paired_tests(d, 500, method, 0.95, 7)
    np.testing.assert_array_equal(paired_tests(d, 500, method, 0.95, 7), expected)
    assert (paired_tests(d, 500, method, 0.95, 8).low != expected.low).any()
    alone = paired_tests(d[:, [1]], 500, method, 0.95, 7)
    np.testing.assert_allclose(np.ravel(alone), np.array(expected)[:, 1])
    monkeypatch.setattr(resampling, "_BLOCK_ENTRIES", 1000)
    assert np.isfinite(paired_tests(d, 500, method, 0.95, 7)).all()


@pytest.mark.parametrize("n_users", [2, 5, 400])
@pytest.mark.parametrize("method", METHODS)
def test_models_without_a_difference(method, n_users):
    found = paired_tests(np.zeros((n_users, 1)), 200, method, 0.95, 0)
    assert found == (0, 0, 1)
    assert wilcoxon_p(np.zeros(n_users)) == 1


@pytest.mark.parametrize("method", METHODS)
def test_the_same_difference_for_all_users(method):
    found = paired_tests(np.full((100, 1), 0.1), 199, method, 0.95, 0)
    np.testing.assert_allclose([found.low[0], found.high[0], found.p[0]], [0.1, 0.1, 1 / 200])


@pytest.mark.parametrize("method", METHODS)
def test_one_user_and_no_user(method):
    assert paired_tests([[0.3, 0]], 200, method, 0.95, 0).p.tolist() == [1, 1]
    assert np.isnan(paired_tests([[0.3]], 200, method, 0.95, 0).low).all()
    assert np.isnan(paired_tests(np.empty((0, 2)), 200, method, 0.95, 0)).all()
    assert np.isnan(wilcoxon_p(np.empty(0)))


@pytest.mark.parametrize("method", METHODS)
def test_two_users_are_never_significant(method):
    assert paired_tests([[0.4], [0.5]], 999, method, 0.95, 0).p[0] >= 0.45


@given(st.lists(st.one_of(st.floats(0, 1), st.just(np.nan)), max_size=8))
def test_holm_equals_its_definition(values):
    found = holm(values)
    tested = sorted(value for value in values if not np.isnan(value))
    for value, corrected in zip(values, found, strict=True):
        if np.isnan(value):
            assert np.isnan(corrected)
            continue
        steps = [(len(tested) - i) * p for i, p in enumerate(tested) if p <= value]
        assert corrected == pytest.approx(min(max(steps), 1))


def test_holm_by_hand():
    np.testing.assert_allclose(
        holm([0.01, 0.04, 0.03, np.nan, 0.005]), [0.03, 0.06, 0.06, np.nan, 0.02]
    )
