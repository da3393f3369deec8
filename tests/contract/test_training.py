"""How a fit ends: Ctrl-C, divergence, too few epochs, and which fit a checkpoint belongs to."""

import os
import signal
import threading
import warnings
from itertools import count

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from recsk import MDERecommender, MDSRecRecommender
from recsk.contract import training
from recsk.contract.validation import Validation
from recsk.model_selection import RandomHoldout
from recsk.models.mde import training as mde_training
from recsk.nn.lazy_adam import LazyAdam
from tests.contract.suite import FEATURES, TEST, TRAIN, answers

ESTIMATORS = {
    "mde": MDERecommender(n_factors=4, max_epochs=4, random_state=0),
    "mdsrec": MDSRecRecommender(n_factors=4, max_epochs=4, n_interests=3, random_state=0),
}


@pytest.fixture(params=ESTIMATORS)
def est(request):
    return clone(ESTIMATORS[request.param])


def set_constant_rate(est):
    if isinstance(est, MDERecommender):
        est.set_params(training="paper")


def fit(est, **arguments):
    return est.fit(TRAIN, item_features=FEATURES, **arguments)


@pytest.fixture
def scripted(monkeypatch):
    """A function that replaces the watched metric by given values, in order."""

    def script(values):
        remaining = iter(values)
        monkeypatch.setattr(Validation, "__call__", lambda *args, **options: next(remaining))

    return script


@pytest.fixture
def interrupted(monkeypatch):
    """Ctrl-C in the second evaluation; a list of the evaluations."""
    evaluations, measure = [], Validation.__call__

    def evaluate(self, *args, **options):
        evaluations.append(threading.get_ident())
        if len(evaluations) == 2:
            signal.raise_signal(signal.SIGINT)
        return measure(self, *args, **options)

    monkeypatch.setattr(Validation, "__call__", evaluate)
    # A process that was started in the background may ignore the signal.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield evaluations
    signal.signal(signal.SIGINT, handler)


def test_ctrl_c_stops_a_search(interrupted, est):
    search = GridSearchCV(
        est.set_params(early_stopping=True),
        {"learning_rate": [0.01, 0.02, 0.03]},
        cv=RandomHoldout(random_state=0),
        refit=False,
    )
    with pytest.raises(KeyboardInterrupt):
        search.fit(TRAIN, item_features=FEATURES)
    assert len(interrupted) == 2 and not hasattr(search, "cv_results_")


def test_a_search_goes_on_from_a_folder(est, monkeypatch, tmp_path):
    """Each of its fits has a file of its own, so that none finds or removes that of another."""
    calls, measure = count(1), Validation.__call__

    def evaluate(self, *args, **options):
        if next(calls) == 7:  # in the third epoch of the second candidate
            raise KeyboardInterrupt
        return measure(self, *args, **options)

    def search(**options):
        grid = {"learning_rate": [0.01, 0.02, 0.03]}
        found = GridSearchCV(
            est, grid, cv=RandomHoldout(random_state=0), refit=False, error_score="raise"
        ).fit(TRAIN, item_features=FEATURES, **options)
        return found.cv_results_["mean_test_score"]

    est.set_params(early_stopping=True)
    expected = search()
    monkeypatch.setattr(Validation, "__call__", evaluate)
    with pytest.raises(KeyboardInterrupt):
        search(checkpoint=tmp_path)
    assert len(os.listdir(tmp_path)) == 1
    np.testing.assert_array_equal(search(checkpoint=str(tmp_path)), expected)
    assert next(calls) == 8 + 4 + 2 + 4 and os.listdir(tmp_path) == []


def test_after_ctrl_c_the_best_state_is_kept(interrupted, est):
    set_constant_rate(est)  # else a fit of one epoch has other steps
    with pytest.raises(KeyboardInterrupt, match="keeps the weights of epoch 1"):
        fit(est, eval_set=TEST)
    whole = fit(clone(est).set_params(max_epochs=1), eval_set=TEST)
    assert est.n_iter_ == est.best_iter_ == 1
    np.testing.assert_array_equal(est.item_embedding_, whole.item_embedding_)
    for one, other in zip(answers(est), answers(whole), strict=True):
        np.testing.assert_array_equal(one[0], other[0])


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_last_step_that_diverges(name, similarity, early_stopping):
    """One step an epoch: only the forward after it shows that training has diverged."""
    est = clone(ESTIMATORS[name]).set_params(
        learning_rate={"mde": 1e38, "mdsrec": 1e10}[name],
        similarity=similarity,
        early_stopping=early_stopping,
        batch_size=10_000,
    )
    expected = "the weights or vectors were not finite in epoch 1 .* keeps its initial weights"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.warns(ConvergenceWarning, match=expected):
            fit(est)
    assert est.n_iter_ == est.best_iter_ == 0 and est.validation_curve_ == []
    assert np.isfinite(est.recommend(0)[1]).all()


@pytest.mark.parametrize("with_metric", [True, False])
def test_the_epochs_before_a_divergence_are_kept(with_metric, est, monkeypatch):
    options = {"eval_set": TEST} if with_metric else {}
    set_constant_rate(est.set_params(batch_size=10_000))  # one step an epoch, always as long
    two = fit(clone(est).set_params(max_epochs=2), **options)
    step, steps = LazyAdam.step, []

    def ruin_the_third(self, *args, **kwargs):
        loss = step(self, *args, **kwargs)
        steps.append(1)
        if len(steps) == 3:
            self.param_groups[0]["params"][0].data.fill_(np.nan)
        return loss

    monkeypatch.setattr(LazyAdam, "step", ruin_the_third)
    with pytest.warns(ConvergenceWarning, match=r"not finite in epoch 3 .*the weights of epoch"):
        fit(est, **options)
    assert (est.n_iter_, est.best_iter_) == (2, two.best_iter_) and len(steps) == 3
    np.testing.assert_array_equal(est.item_embedding_, two.item_embedding_)


@pytest.mark.parametrize(
    ("best", "patience", "warns"), [(6, 5, True), (5, 5, False), (6, 6, False), (5, 4, False)]
)
def test_a_metric_that_still_improves_at_the_end(best, patience, warns, scripted, est):
    scripted([1 / (1 + abs(epoch - best)) for epoch in range(1, 7)])
    est.set_params(max_epochs=6, n_iter_no_change=patience)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fit(est, eval_set=TEST)
    messages = [str(x.message) for x in found if issubclass(x.category, ConvergenceWarning)]
    expected = (
        "training ended at max_epochs=6 while eval_metric was still improving (try more epochs); "
        f"the estimator keeps the weights of epoch {best}"
    )
    assert messages == ([expected] if warns else [])
    assert est.best_iter_ == best


def test_epochs_without_early_stopping_are_chosen(est):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(est.set_params(n_iter_no_change=1, early_stopping=False))


@pytest.mark.parametrize("library", ["recsk", "torch"])
def test_a_checkpoint_of_another_version_is_refused(library, est, monkeypatch, tmp_path):
    def killed(*args, **options):
        raise SystemExit

    path = tmp_path / "fit"
    calls, measure = [], Validation.__call__

    def second(self, *args, **options):
        calls.append(1)
        return killed() if len(calls) == 2 else measure(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Validation, "__call__", second)
        with pytest.raises(SystemExit):
            fit(est, eval_set=TEST, checkpoint=path)
    with monkeypatch.context() as patch:
        if library == "recsk":
            patch.setattr(training, "__version__", "0.0.1")
        else:
            patch.setattr(torch, "__version__", "2.0.0")
        with pytest.raises(ValueError, match="of another fit, with other data, parameters or ver"):
            fit(est, eval_set=TEST, checkpoint=path)
    assert fit(est, eval_set=TEST, checkpoint=path).n_iter_ == 4


@pytest.mark.parametrize("training", ["fast", "paper"])
def test_without_a_metric_the_vectors_of_all_nodes_are_checked(training, monkeypatch):
    """After each epoch, although its steps may compute those of their batches alone."""
    shapes, check = [], mde_training.check_finite

    def checked(*tensors):
        shapes.append([tensor.shape[0] for tensor in tensors])
        check(*tensors)

    monkeypatch.setattr(mde_training, "check_finite", checked)
    fit(clone(ESTIMATORS["mde"]).set_params(training=training))
    assert shapes == 4 * [[TRAIN.n_users, TRAIN.n_items]]
