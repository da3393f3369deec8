"""check_recommender passes estimators that keep the contract and names what breaks it."""

import ast
import warnings
from pathlib import Path
from unittest import SkipTest

import pytest

import recsk.testing
from recsk.contract import register_estimator
from recsk.storage import registry
from recsk.testing import check_recommender, recommender_checks
from recsk.testing.checks import CHECKS
from tests.testing.broken import BROKEN
from tests.testing.estimators import Content, Cooccurrence, Decomposition, Successors

ENOUGH = {"n_factors": 2}  # of the checkerboard: its two parities


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """Files may hold these classes, but only here: error messages list the registered ones."""
    monkeypatch.setattr(registry, "_classes", dict(registry._classes))
    for cls in (Decomposition, Cooccurrence, Content, Successors):
        register_estimator(cls)


@pytest.mark.parametrize(
    "est",
    [Decomposition(), Cooccurrence(), Content(), Successors()],
    ids=lambda x: type(x).__name__,
)
def test_estimators_outside_the_package_pass(est):
    options = {"enough": ENOUGH} if isinstance(est, Decomposition) else {}
    if isinstance(est, Successors):
        similar = "check_the_similar_on_a_checkerboard_have_the_same_parity"
        options["expected_failed_checks"] = {similar: "its vectors hold nothing but popularity"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        results = check_recommender(est, **options)
    assert len(results) == 2 * len(CHECKS)
    assert {result["status"] for result in results} <= {"passed", "skipped", "xfail"}
    assert sum(result["status"] == "xfail" for result in results) == 2 * isinstance(est, Successors)
    skipped = [str(x["exception"]) for x in results if x["status"] == "skipped"]
    lacking = "the estimator adds no items", "the estimator has no warm_start"
    assert len(skipped) <= 8 + sum(map(skipped.count, lacking))
    assert not hasattr(est, "interactions_")  # it was cloned


@pytest.mark.parametrize(
    ("cls", "check", "words", "options"), BROKEN, ids=[cls.__name__ for cls, *_ in BROKEN]
)
def test_what_is_wrong_is_named(cls, check, words, options):
    if options.get("registered", True):
        register_estimator(cls)
    enough = ENOUGH if issubclass(cls, Decomposition) else None
    with pytest.raises(AssertionError) as caught:
        check_recommender(cls(), enough=enough)
    message = str(caught.value)
    assert message.startswith(f"{check} of {cls.__name__}: "), message
    for word in words:
        assert word in message


class RejectsWeights(Cooccurrence):
    def learn(self, data):
        if data.interactions.value is not None:
            raise ValueError("sample_weight must be the same for all interactions")
        return super().learn(data)


def test_an_estimator_may_reject_weights():
    register_estimator(RejectsWeights)
    checks = dict(recommender_checks(RejectsWeights()))
    with pytest.raises(SkipTest, match="fit rejects weights that differ"):
        checks["check_weights_change_the_model[ids]"]()
    checks["check_weights_of_one_change_nothing[ids]"]()
    checks["check_fit_changes_none_of_its_arguments[ids]"]()


def test_every_family_of_checks_has_a_broken_estimator():
    named = {check.split("[")[0] for _, check, _, _ in BROKEN}
    families = {check.__module__ for check in CHECKS if check.__name__ in named}
    assert {check.__module__ for check in CHECKS} == families


def test_names_and_callables_for_pytest():
    checks = list(recommender_checks(Decomposition(), enough=ENOUGH))
    names = [name for name, _ in checks]
    assert len(set(names)) == len(names) == 2 * len(CHECKS)
    assert names[0].endswith("[ids]") and names[-1].endswith("[labels]")
    dict(checks)["check_rank_items[labels]"]()
    with pytest.raises(SkipTest, match="no item-to-item"):
        dict(checks)["check_history_weights[ids]"]()
    for check in CHECKS:
        assert check.__doc__ and not check.__name__.startswith("test")


class Popular(Cooccurrence):
    """What all users have seen most, whoever asks."""

    def score_block(self, users):
        return self.item_popularity_ + 0 * users.weights.sum(axis=1)


class TestExpectedFailures:
    # It recommends what is popular, and on the checkerboard everything is.
    expected = {
        "check_finds_what_a_checkerboard_withholds": "popularity is the same for all users",
        "check_permuted_users_and_items_get_permuted_answers[ids]": "popularity is the same",
    }

    def test_they_have_their_reason_and_the_others_warn(self):
        register_estimator(Popular)
        with pytest.warns(UserWarning, match=r"permuted_answers\[labels\] of Popular: a checker"):
            results = check_recommender(
                Popular(), expected_failed_checks=self.expected, on_fail="warn"
            )
        failed = [r for r in results if r["status"] in ("failed", "xfail")]
        assert [(r["check_name"], r["status"], r["expected_to_fail"]) for r in failed] == [
            ("check_finds_what_a_checkerboard_withholds[ids]", "xfail", True),
            ("check_permuted_users_and_items_get_permuted_answers[ids]", "xfail", True),
            ("check_finds_what_a_checkerboard_withholds[labels]", "xfail", True),
            ("check_permuted_users_and_items_get_permuted_answers[labels]", "failed", False),
        ]
        assert failed[0]["expected_to_fail_reason"] == "popularity is the same for all users"
        assert isinstance(failed[0]["exception"], AssertionError)


def test_wrong_arguments():
    for wrong in (Decomposition, object(), None):
        with pytest.raises(TypeError, match=r"estimator must be an instance of a subclass of rec"):
            check_recommender(wrong)
        with pytest.raises(TypeError, match="estimator must be an instance"):
            recommender_checks(wrong)
    with pytest.raises(ValueError, match="on_fail must be 'raise', 'warn' or None; got 'print'"):
        check_recommender(Decomposition(), on_fail="print")
    with pytest.raises(ValueError, match=r"expected_failed_checks has \['check_it'\], which are"):
        check_recommender(Decomposition(), expected_failed_checks={"check_it": "why"})


MODULES = sorted(Path(recsk.testing.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_it_needs_neither_pytest_nor_assert_statements(path):
    """``python -O`` removes assert statements, and a check must fail there all the same."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not isinstance(node, ast.Assert)
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module]
        assert not {name.split(".")[0] for name in names} & {"pytest", "hypothesis", "tests"}
