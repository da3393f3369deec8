"""Paired tests and bootstrap intervals of mean differences, for many metrics at once.

All columns share the resamples, so that a block of them costs one matrix product, and a column
has the same result whatever stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import wilcoxon

from recsk.metrics.hits import Floats

__all__ = ["METHODS", "PairedTest", "holm", "paired_tests", "wilcoxon_p"]

METHODS = ("sign-flip", "bootstrap")

_BLOCK_ENTRIES = 2**22  # of a block of resamples: 32 MiB in float64
_TIE = 1e-12  # sums that differ by less than this share of their largest value are ties


class PairedTest(NamedTuple):
    """Results by column: the interval of the mean difference, and p of the test that it is 0."""

    low: Floats
    high: Floats
    p: Floats


def paired_tests(
    differences: npt.ArrayLike,
    n_resamples: int,
    method: Literal["sign-flip", "bootstrap"],
    confidence_level: float,
    seed: int,
) -> PairedTest:
    """Test whether the mean of each column is 0, and compute its percentile bootstrap interval.

    Parameters
    ----------
    differences : array-like of shape (n_users, n_columns)
        Finite.
    n_resamples : int
        Of the test and of the interval. The sign-flip test lists all sign vectors instead where
        there are no more than this; its p is then exact.
    method : {"sign-flip", "bootstrap"}
        See `compare`.
    confidence_level : float
        Of the interval.
    seed : int
        The same seed gives the same result.

    Returns
    -------
    PairedTest
        With one user, p is 1 and the interval NaN; without users, all are NaN.
    """
    d = np.asarray(differences, dtype=np.float64)
    n_users, n_columns = d.shape
    if n_users < 2:
        nan = np.full(n_columns, np.nan)
        return PairedTest(nan, nan, np.ones(n_columns) if n_users else nan)
    studentized = method == "bootstrap"
    means, extreme = bootstrap(d, n_resamples, seed, studentized=studentized)
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    if studentized:
        return PairedTest(low, high, (1 + extreme) / (1 + n_resamples))
    return PairedTest(low, high, sign_flip(d, n_resamples, seed))


def bootstrap(
    d: Floats, n_resamples: int, seed: int, *, studentized: bool
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Resample users with replacement.

    Returns
    -------
    means : ndarray of shape (n_resamples, n_columns)
    extreme : ndarray of shape (n_columns,)
        Number of resamples whose t statistic, centred at the mean of `d`, is at least as far from
        0 as that of `d`; all zero unless `studentized`.
    """
    n_users, n_columns = d.shape
    observed = d.mean(axis=0)
    means = np.empty((n_resamples, n_columns))
    extreme = np.zeros(n_columns, dtype=np.int64)
    centred = d - observed
    columns = np.hstack([centred, centred**2]) if studentized else centred
    variance = (centred**2).mean(axis=0)
    scale = abs(d).max(axis=0)
    rng = np.random.default_rng(seed)
    for rows in _blocks(n_resamples, n_users):
        n = rows.stop - rows.start
        draws = rng.integers(n_users, size=(n, n_users)) + np.arange(n)[:, np.newaxis] * n_users
        counts = np.bincount(draws.ravel(), minlength=n * n_users).reshape(n, n_users)
        moments = counts.astype(np.float64) @ columns / n_users
        shifts = moments[:, :n_columns]
        means[rows] = observed + shifts
        if studentized:
            # |shift| / its error >= |observed| / its error, without a division by zero.
            variances = np.maximum(moments[:, n_columns:] - shifts**2, 0)
            ours, theirs = abs(shifts) * np.sqrt(variance), abs(observed) * np.sqrt(variances)
            extreme += (ours >= theirs - _TIE * scale**2).sum(axis=0)
    # All users have one difference: it has no error, and no resample another t.
    extreme[(variance <= (_TIE * scale) ** 2) & (scale > 0)] = 0
    return means, extreme


def sign_flip(d: Floats, n_resamples: int, seed: int) -> Floats:
    """Return two-sided p of the sign-flip test of the mean, exact where few users allow it."""
    n_users, n_columns = d.shape
    total = d.sum(axis=0)
    least = abs(total) - _TIE * abs(d).sum(axis=0)
    extreme = np.zeros(n_columns, dtype=np.int64)
    is_exact = n_users < 63 and 2**n_users <= n_resamples
    n_vectors = 2**n_users if is_exact else n_resamples
    rng = np.random.default_rng(seed)
    n_bytes = -(-n_users // 8)
    for rows in _blocks(n_vectors, n_users):
        n = rows.stop - rows.start
        if is_exact:
            vectors = np.arange(rows.start, rows.stop)[:, np.newaxis]
            bits = (vectors >> np.arange(n_users) & 1).astype(np.uint8)
        else:
            drawn = np.frombuffer(rng.bytes(n * n_bytes), dtype=np.uint8).reshape(n, n_bytes)
            bits = np.unpackbits(drawn, axis=1, count=n_users)
        sums = 2 * (bits.astype(np.float64) @ d) - total  # the sum with signs 2 * bits - 1
        extreme += (abs(sums) >= least).sum(axis=0)
    return extreme / n_vectors if is_exact else (1 + extreme) / (1 + n_vectors)


def wilcoxon_p(differences: Floats) -> float:
    """Return p of SciPy's signed-rank test; 1 if all differences are zero, NaN without any."""
    if not differences.size:
        return float("nan")
    nonzero = differences[differences != 0]
    return float(wilcoxon(nonzero).pvalue) if nonzero.size else 1.0


def holm(p: npt.ArrayLike) -> Floats:
    """Correct p values for their number by Holm's method; NaN values do not count.

    The i-th smallest of m is multiplied by ``m - i + 1``. Every corrected value is at least the
    one before it, and at most 1.
    """
    p = np.asarray(p, dtype=np.float64)
    corrected = np.full(p.shape, np.nan)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # NaN sorts last
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return corrected


def _blocks(n_resamples: int, n_users: int) -> Iterator[slice]:
    """Cut resamples into blocks of bounded size."""
    step = max(_BLOCK_ENTRIES // n_users, 1)
    for start in range(0, n_resamples, step):
        yield slice(start, min(start + step, n_resamples))
