"""All checks in the order in which they run, and `check_recommender`, which runs them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, Literal
from unittest import SkipTest

from recsk.contract.recommender import BaseRecommender
from recsk.testing import (
    answers,
    candidates,
    continuing,
    diversity,
    evaluation,
    explaining,
    fitting,
    growing,
    histories,
    inputs,
    pairs,
    parameters,
    persistence,
    refitting,
    truth,
    vectors,
    weights,
)
from recsk.testing.data import Problem
from recsk.testing.labels import InIds

__all__ = ["CHECKS", "check_recommender", "recommender_checks"]

Check = Callable[[Any, Problem], None]
# What everything else rests on comes first.
_MODULES = [
    parameters,
    fitting,
    answers,
    refitting,
    histories,
    vectors,
    candidates,
    pairs,
    inputs,
    weights,
    evaluation,
    persistence,
    diversity,
    explaining,
    growing,
    continuing,
    truth,
]


def _checks_of(module: ModuleType) -> Iterator[Check]:
    for name, check in vars(module).items():
        if name.startswith("check_") and check.__module__ == module.__name__:
            yield check


CHECKS: list[Check] = [check for module in _MODULES for check in _checks_of(module)]


def recommender_checks(
    estimator: BaseRecommender,
    *,
    item_features: bool = True,
    enough: Mapping[str, Any] | None = None,
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the checks of a recommender one by one, such as for ``pytest.mark.parametrize``.

    Parameters
    ----------
    estimator, item_features, enough
        As in `check_recommender`.

    Yields
    ------
    name : str
        The name of the check, and whether the model is fitted on ids or on labels, such as
        ``"check_rank_items[labels]"``.
    check : callable
        Call it without arguments. It raises AssertionError where the estimator breaks the
        contract, and ``unittest.SkipTest`` where the check does not concern it.

    Raises
    ------
    TypeError
        If `estimator` is no instance of a subclass of `recsk.contract.BaseRecommender`.

    Examples
    --------
    >>> from recsk import MDERecommender
    >>> from recsk.testing import recommender_checks
    >>> est = MDERecommender(n_factors=4, max_epochs=1, random_state=0)
    >>> checks = dict(recommender_checks(est))
    >>> checks["check_rank_items[labels]"]()
    """
    if not isinstance(estimator, BaseRecommender):
        raise TypeError(
            "estimator must be an instance of a subclass of recsk.contract.BaseRecommender; got "
            f"{estimator!r}"
        )
    return _named_checks(estimator, item_features, dict(enough or {}))


def _named_checks(
    estimator: BaseRecommender, item_features: bool, enough: dict[str, Any]
) -> Iterator[tuple[str, Callable[[], None]]]:
    for mode, asked in (("ids", estimator), ("labels", InIds(estimator))):
        problem = Problem(item_features, enough)
        for check in CHECKS:
            yield f"{check.__name__}[{mode}]", functools.partial(check, asked, problem)


def check_recommender(
    estimator: BaseRecommender,
    *,
    item_features: bool = True,
    enough: Mapping[str, Any] | None = None,
    expected_failed_checks: Mapping[str, str] | None = None,
    on_fail: Literal["raise", "warn"] | None = "raise",
) -> list[dict[str, Any]]:
    """Check that a recommender keeps the contract of recsk.

    The checks fit copies of the estimator on 30 users and 24 items, once as ids and once as
    labels, and ask the fitted models everything. scikit-learn's own checks are apart:
    ``sklearn.utils.estimator_checks.check_estimator``.

    Parameters
    ----------
    estimator : BaseRecommender
        An instance, fitted or not; it is cloned. Choose parameters that make `fit` quick.
    item_features : bool, default=True
        Whether the fits are given the features of the items, in two modalities.
    enough : dict, default=None
        Parameters that let the estimator learn a checkerboard of 20 users and 20 items by heart,
        such as more epochs. The checks of the checkerboard set them.
    expected_failed_checks : dict of str to str, default=None
        Checks that must not count as failed, by name, each with the reason. The name
        ``"check_rank_items"`` is that of both ``"check_rank_items[ids]"`` and
        ``"check_rank_items[labels]"``.
    on_fail : {"raise", "warn"} or None, default="raise"
        What to do where a check fails: raise its error, warn and go on, or go on without a word.

    Returns
    -------
    list of dict
        One for each check, with the keys ``check_name``, ``status`` ("passed", "failed", "xfail"
        or "skipped"), ``exception`` (or None), ``expected_to_fail`` and
        ``expected_to_fail_reason`` (or None), as scikit-learn's `check_estimator` has them.

    Raises
    ------
    AssertionError
        With ``on_fail="raise"``: what was asked, what came, and what the contract is.
    TypeError
        If `estimator` is no instance of a subclass of `recsk.contract.BaseRecommender`.
    ValueError
        If `expected_failed_checks` names an unknown check, or `on_fail` is unknown.

    Warns
    -----
    UserWarning
        With ``on_fail="warn"``: one for each check that fails.

    Examples
    --------
    An estimator whose ``fit`` returns nothing:

    >>> from recsk import MDERecommender
    >>> from recsk.testing import check_recommender
    >>> class Wrong(MDERecommender):
    ...     def fit(self, X, y=None, **options):
    ...         super().fit(X, y, **options)
    >>> check_recommender(Wrong(n_factors=4, max_epochs=1, random_state=0))
    Traceback (most recent call last):
        ...
    AssertionError: check_fit_changes_none_of_its_arguments[ids] of Wrong: fit must return the
    estimator itself; got None
    """
    if on_fail not in ("raise", "warn", None):
        raise ValueError(f"on_fail must be 'raise', 'warn' or None; got {on_fail!r}")
    checks = list(recommender_checks(estimator, item_features=item_features, enough=enough))
    expected = dict(expected_failed_checks or {})
    unknown = expected.keys() - {name for full, _ in checks for name in (full, _bare(full))}
    if unknown:
        raise ValueError(f"expected_failed_checks has {sorted(unknown)}, which are no checks")
    results = []
    for name, check in checks:
        reason = expected.get(name, expected.get(_bare(name)))
        result = {"check_name": name, **_run(check), "expected_to_fail": reason is not None}
        result["expected_to_fail_reason"] = reason
        results.append(result)
        if result["status"] == "failed" and reason is not None:
            result["status"] = "xfail"
        elif result["status"] == "failed" and on_fail is not None:
            error = result["exception"]
            what = (
                error if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            )
            message = f"{name} of {type(estimator).__name__}: {what}"
            if on_fail == "raise":
                raise AssertionError(message) from error
            warnings.warn(message, UserWarning, stacklevel=2)
    return results


def _bare(name: str) -> str:
    return name.split("[")[0]


def _run(check: Callable[[], None]) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            # A model of ids alone warns of it, which `check_nothing_warns` allows.
            warnings.filterwarnings("ignore", ".*item_features", UserWarning)
            check()
    except SkipTest as reason:
        return {"status": "skipped", "exception": reason}
    except Exception as error:
        return {"status": "failed", "exception": error}
    return {"status": "passed", "exception": None}
