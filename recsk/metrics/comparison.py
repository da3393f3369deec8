"""Comparison of fitted models on the same held-out users, with significance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state

from recsk.data.checks import check_positive_int, describe
from recsk.data.labels import list_labels
from recsk.data.matching import labels_of_fit
from recsk.metrics.comparison_table import Comparison, Row
from recsk.metrics.evaluation import (
    Measured,
    check_metrics,
    find_recommender,
    measure,
    standard_error,
)
from recsk.metrics.hits import Floats
from recsk.metrics.lists import ListMetric
from recsk.metrics.registry import greater_is_better
from recsk.metrics.resampling import METHODS, PairedTest, holm, paired_tests, wilcoxon_p

__all__ = ["compare"]

_NAN = float("nan")


def compare(
    models: Mapping[str, Any],
    X_test: Any,
    metrics: str | ListMetric | Sequence[str | ListMetric] = ("recall", "ndcg"),
    k: int | Iterable[int] = (10, 20),
    eval_users: npt.ArrayLike | None = None,
    *,
    baseline: str | None = None,
    method: Literal["sign-flip", "bootstrap"] = "sign-flip",
    n_resamples: int = 10000,
    confidence_level: float = 0.95,
    random_state: Any = None,
    exclude_seen: bool = True,
    X_train: Any = None,
) -> Comparison:
    r"""Compare fitted models with a baseline on the same held-out users.

    Each model is measured as by :func:`~recsk.metrics.evaluate`. For each metric, k and model the
    differences :math:`d_u` between the model's and the baseline's value of user u are tested for a
    mean of 0:

    - ``"sign-flip"``: if the models are equally good, every :math:`d_u` could as well have the
      other sign. p is the share of random signs :math:`s` with
      :math:`|\sum_u s_u d_u| \ge |\sum_u d_u|`, the observed signs counted in. It is exact where
      `n_resamples` allows to list all signs, and valid for any number of users.
    - ``"bootstrap"``: p is the share of samples of users, drawn with replacement, whose t
      statistic, centred at the observed mean, is at least as far from 0 as the observed one. It
      needs some 50 users.

    Both tests are two-sided. `p_holm` corrects p for the number of tests in the table by Holm's
    method, and controls the chance of any false claim in it. The interval of the mean difference
    is the percentile bootstrap's. `p_wilcoxon` is the p of ``scipy.stats.wilcoxon``, not corrected:
    it tests ranks of differences without zeros and not the mean, so the two may disagree. All
    metrics share the resamples.

    Parameters
    ----------
    models : dict of str to fitted estimator, or to list of fitted estimators
        Two or more names and models: anything that `evaluate` takes, searches included. All must
        speak labels or all ids. A list has several fits of one model, such as of several
        `random_state`: their values are averaged for each user, before the tests.
    X_test, metrics, k, eval_users, exclude_seen, X_train
        As in :func:`~recsk.metrics.evaluate`. Every metric and k adds a test for each model, and
        the correction makes each test harder to pass: choose few.
    baseline : str, default=None
        The model that the others are compared with. None: the first one.
    method : {"sign-flip", "bootstrap"}, default="sign-flip"
        The test of the mean difference.
    n_resamples : int, default=10000
        Of the test and of the interval. The smallest p is about ``1 / n_resamples``.
    confidence_level : float, default=0.95
        Of the intervals, above 0 and below 1.
    random_state : int, RandomState instance or None, default=None
        For the resamples. An int gives the same result in every call.

    Returns
    -------
    Comparison
        The table as ``frame``, ``to_latex()`` and text, and the values by user.

    Raises
    ------
    ValueError
        If there are fewer than two models, a list is empty, some speak labels and others ids, they
        know different users of `X_test`, a parameter is out of range, or for a reason of
        `evaluate`.
    TypeError
        If `models` is not a dict with names of type str, or for a reason of `evaluate`.

    See Also
    --------
    recsk.plotting.ComparisonDisplay : The comparison as a plot.

    Notes
    -----
    A user without a value of a metric under one of the models (such as the diversity of one item)
    does not enter the comparison of that metric. One user shows no difference: p is 1, and there is
    no interval. `coverage` and `gini` measure all lists together and are compared without a test.

    Random numbers are drawn in blocks: memory does not grow with `n_resamples`, and 30,000 users
    with 10,000 resamples take seconds.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import compare
    >>> class Favourites:
    ...     def __init__(self, order):
    ...         self.order = np.array(order)
    ...
    ...     def recommend(self, user_ids, k=10, *, exclude_seen=True):
    ...         return np.tile(self.order[:k], (len(user_ids), 1)), np.zeros((len(user_ids), k))
    >>> X_test = csr_array(np.eye(3, dtype=int)[[0, 0, 0, 0, 0, 0, 0, 0, 1, 2]])
    >>> models = {"first": Favourites([0, 1, 2]), "last": Favourites([2, 1, 0])}
    >>> comparison = compare(models, X_test, "recall", k=1, random_state=0)
    >>> comparison.frame[["model", "mean", "difference", "low", "high", "p_holm"]].round(4)
       model  mean  difference  low  high  p_holm
    0  first   0.8         NaN  NaN   NaN     NaN
    1   last   0.1        -0.7 -1.0  -0.3  0.0391
    """
    fits = _check_models(models)
    names = list(models)
    reference = names[0] if baseline is None else baseline
    if reference not in names:
        raise ValueError(f"baseline must be one of the models, {names}; got {baseline!r}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    n_resamples = check_positive_int(n_resamples, "n_resamples")
    if not isinstance(confidence_level, Real) or not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level must be above 0 and below 1; got {confidence_level!r}")
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    wanted = check_metrics(metrics)
    cutoffs = list(k) if isinstance(k, Iterable) else k  # an iterator would be empty next time

    of_fits: dict[str, Measured] = {}
    for name, (_, model) in fits.items():
        try:
            of_fits[name] = measure(
                model, X_test, wanted, cutoffs, eval_users, exclude_seen, X_train, stacklevel=3
            )
        except Exception as error:
            error.add_note(f"(while comparing: this concerns the model {name!r})")
            raise
    users = _align_users(of_fits)
    measured = {
        name: _average([found for fit, found in of_fits.items() if fits[fit][0] == name])
        for name in names
    }
    columns = measured[names[0]].columns
    rows = _make_rows(measured, reference, n_resamples, method, confidence_level, seed)
    return Comparison(
        rows=rows,
        users=users,
        values={
            name: {f"{metric}@{at}": values for (metric, at), values in found.by_user.items()}
            for name, found in measured.items()
        },
        baseline=reference,
        method=method,
        n_resamples=n_resamples,
        confidence_level=float(confidence_level),
        directions={name: greater_is_better(wanted[name]) for name, _ in columns},
    )


def _check_models(models: Any) -> dict[str, tuple[str, Any]]:
    """Check that there are several models, all of which speak labels or all ids.

    Returns the name of the model and the fit itself, by the name of the fit: of a list ``a`` these
    are ``a[0]``, ``a[1]`` and so on.
    """
    if not isinstance(models, Mapping) or not all(isinstance(name, str) for name in models):
        raise TypeError(
            f"models must be a dict of names and fitted models, such as {{'mde': a, 'ease': b}}; "
            f"got {describe(models)}"
        )
    names = list(models)
    if len(names) < 2:
        raise ValueError(f"models must hold two or more models; got {names}: use evaluate for one")
    fits: dict[str, tuple[str, Any]] = {}
    for name, model in models.items():
        if not isinstance(model, list):
            fits[name] = name, model
        elif not model:
            raise ValueError(f"models[{name!r}] must hold one or more fits; got an empty list")
        else:
            numbered = {f"{name}[{i}]": (name, fit) for i, fit in enumerate(model)}
            if both := sorted(numbered.keys() & set(names)):
                raise ValueError(f"models has {both[0]!r} beside a list {name!r}: rename one")
            fits |= numbered
    spoken = {name: labels_of_fit(find_recommender(fit)) for name, (_, fit) in fits.items()}
    for kind in ("user", "item"):
        with_labels = [name for name in fits if kind in spoken[name]]
        if 0 < len(with_labels) < len(fits):
            without = next(name for name in fits if name not in with_labels)
            raise ValueError(
                f"models must all speak labels of {kind}s or all ids: {with_labels[0]!r} was "
                f"fitted on labels and {without!r} on ids. Fit all on the same Interactions; a "
                f"model of your own speaks labels if it has {kind}s_"
            )
    return fits


def _average(fits: list[Measured]) -> Measured:
    """Return the means of the values of several fits, for each of the same users."""
    if len(fits) == 1:
        return fits[0]
    first = fits[0]
    by_user = {
        column: np.mean([found.by_user[column] for found in fits], axis=0)
        for column in first.by_user
    }
    overall = {
        column: float(np.mean([found.overall[column] for found in fits]))
        for column in first.overall
    }
    return first._replace(by_user=by_user, overall=overall)


def _align_users(measured: dict[str, Measured]) -> npt.NDArray[Any]:
    """Put the values of all fits in the order of the first one's users, and return these.

    Raises
    ------
    ValueError
        If the models were not measured on the same users.
    """
    first, *others = measured
    users = measured[first].users
    for name in others:
        theirs = measured[name].users
        if theirs is users or np.array_equal(theirs, users):
            continue
        place = {user: i for i, user in enumerate(list_labels(theirs))}
        listed = list_labels(users)
        missing = [user for user in listed if user not in place]
        extra = list(place.keys() - set(listed))
        if missing or extra:
            knows, lacks, unknown = (first, name, missing) if missing else (name, first, extra)
            raise ValueError(
                f"all models must be measured on the same users, but {len(unknown)} users of "
                f"X_test that {knows!r} knows were not in the fit of {lacks!r}, such as "
                f"{unknown[0]!r}. Fit all models on the same users, or pass those that all know "
                "as eval_users"
            )
        order = np.array([place[user] for user in listed])
        by_user = {column: values[order] for column, values in measured[name].by_user.items()}
        measured[name] = measured[name]._replace(users=users, by_user=by_user)
    return users


def _make_rows(
    measured: dict[str, Measured],
    baseline: str,
    n_resamples: int,
    method: Literal["sign-flip", "bootstrap"],
    confidence_level: float,
    seed: int,
) -> list[Row]:
    """Compute the rows of the table, in the order of the columns and models."""
    columns = measured[baseline].columns
    defined = {
        column: ~np.isnan([found.by_user[column] for found in measured.values()]).any(axis=0)
        for column in columns
        if column in measured[baseline].by_user
    }
    # One call for all columns with the same users.
    differences: dict[tuple[str, tuple[str, int]], Floats] = {}
    groups: dict[bytes, list[tuple[str, tuple[str, int]]]] = {}
    for column, kept in defined.items():
        for name in measured:
            if name != baseline:
                ours, theirs = measured[name].by_user[column], measured[baseline].by_user[column]
                differences[name, column] = ours[kept] - theirs[kept]
                groups.setdefault(kept.tobytes(), []).append((name, column))
    tests: dict[tuple[str, tuple[str, int]], PairedTest] = {}
    for keys in groups.values():
        stacked = np.stack([differences[key] for key in keys], axis=1)
        result = paired_tests(stacked, n_resamples, method, confidence_level, seed)
        tests |= {key: PairedTest(*(part[i] for part in result)) for i, key in enumerate(keys)}
    rows = []
    for column in columns:
        for name, found in measured.items():
            row: dict[str, Any] = {"metric": column[0], "k": column[1], "model": name}
            if column in defined:
                values = found.by_user[column][defined[column]]
                row |= {
                    "mean": float(values.mean()) if values.size else _NAN,
                    "standard_error": standard_error(values),
                    "n_users": len(values),
                }
            else:
                row |= {"mean": found.overall[column], "n_users": len(found.users)}
                if name != baseline:
                    row["difference"] = found.overall[column] - measured[baseline].overall[column]
            if (test := tests.get((name, column))) is not None:
                d = differences[name, column]
                row |= {"difference": float(d.mean()) if d.size else _NAN}
                row |= {field: float(value) for field, value in test._asdict().items()}
                row["p_wilcoxon"] = wilcoxon_p(d)
            rows.append(Row(**row))
    corrected = holm([row.p for row in rows])
    return [row._replace(p_holm=float(p)) for row, p in zip(rows, corrected, strict=True)]
