import math
import sys

import numpy as np
import pytest
import torch

from recsk.nn.training import NotFiniteError, check_finite, train


class Walker(torch.nn.Module):
    """One weight that Adam moves up by the learning rate at every step."""

    def __init__(self):
        super().__init__()
        self.position = torch.nn.Parameter(torch.zeros(1))
        self.register_buffer("steps", torch.zeros(1))
        self.modes = []

    def terms(self, batch):
        self.modes.append(self.training)
        self.steps += 1
        return {"climb": -self.position.sum(), "batch": torch.tensor(float(batch))}


def run(network, *, terms=None, batches=(1, 4), max_epochs=5, learning_rate=1.0, **options):
    return train(
        network,
        batches,
        terms or network.terms,
        max_epochs=max_epochs,
        learning_rate=learning_rate,
        **options,
    )


@pytest.fixture
def walker():
    return Walker()


def scripted(walker, metrics):
    """An `evaluate` that returns these metrics, one after the other."""
    remaining = iter(metrics)

    def evaluate():
        assert not walker.training
        return next(remaining)

    return evaluate


def test_without_validation_the_weights_of_the_last_epoch_are_kept(walker):
    log = run(walker)
    assert walker.position.item() == pytest.approx(10, abs=1e-4)  # two batches, five epochs
    assert (log.n_iter, log.best_iter, log.stopped_by) == (5, 5, "max_epochs")
    assert log.validation_curve == [] and log.non_finite is None
    assert not walker.training and all(walker.modes)


def test_loss_curve_is_the_mean_of_every_term_over_the_batches(walker):
    curve = run(walker, max_epochs=3).loss_curve
    assert list(curve) == ["climb", "batch"]
    assert curve["climb"] == pytest.approx([-0.5, -2.5, -4.5], abs=1e-4)
    assert curve["batch"] == [2.5] * 3


@pytest.mark.parametrize(
    ("metrics", "patience", "n_iter", "best", "stopped_by"),
    [
        ([0.1, 0.3, 0.2, 0.1, 0.0], 9, 5, 2, "max_epochs"),
        ([0.1, 0.3, 0.2, 0.1, 0.4], 2, 4, 2, "patience"),
        ([0.3, 0.2, 0.4, 0.1, 0.0], 2, 5, 3, "patience"),
        ([0.3, 0.3, 0.3, 0.3, 0.3], 1, 2, 1, "patience"),  # ties: the first is kept
        ([0.0, 0.0, 0.0, 0.0, 0.1], 4, 5, 5, "max_epochs"),
        ([-1.0, -2.0, -3.0, -4.0, -5.0], 9, 5, 1, "max_epochs"),
    ],
)
def test_the_best_epoch_is_kept(walker, metrics, patience, n_iter, best, stopped_by):
    log = run(walker, evaluate=scripted(walker, metrics), n_iter_no_change=patience)
    assert (log.n_iter, log.best_iter, log.stopped_by) == (n_iter, best, stopped_by)
    assert log.validation_curve == metrics[:n_iter]
    assert len(log.loss_curve["climb"]) == n_iter
    # Weights and buffers are those at the end of the best epoch; an epoch has two steps.
    assert walker.position.item() == pytest.approx(2 * best, abs=1e-4)
    assert walker.steps.item() == 2 * best


def test_the_learning_rate_goes_up_and_down_once(walker):
    positions = [0.0]

    def terms(batch):
        positions.append(walker.position.item())  # after the step before
        return walker.terms(batch)

    run(walker, terms=terms, max_epochs=50, learning_rate=0.1, schedule="one-cycle")
    # A step of Adam on a constant slope is as long as the learning rate.
    rates = np.diff([*positions[1:], walker.position.item()])
    up = [0.1 * (step + 1) / 11 for step in range(10)]
    down = [0.05 * (1 + math.cos(math.pi * step / 90)) for step in range(90)]
    np.testing.assert_allclose(rates, up + down, atol=2e-4)


@pytest.mark.parametrize(
    ("n_steps", "factors"),
    [
        (1, [1 / 2]),
        (2, [1 / 2, 1]),
        (3, [1 / 2, 1, 1 / 2]),
        (5, [1 / 2, 1, 0.5 + 0.5**1.5, 1 / 2, 0.5 - 0.5**1.5]),
    ],
)
def test_few_steps_go_up_and_down_too(walker, n_steps, factors):
    run(walker, batches=range(n_steps), max_epochs=1, learning_rate=0.1, schedule="one-cycle")
    assert walker.position.item() == pytest.approx(0.1 * sum(factors), abs=1e-5)


def test_one_cycle_over_all_epochs(walker):
    log = run(walker, schedule="one-cycle")
    rates = [1 / 2, *(0.5 + 0.5 * math.cos(math.pi * step / 9) for step in range(9))]
    assert walker.position.item() == pytest.approx(sum(rates), abs=1e-4)
    assert log.n_iter == 5


@pytest.mark.parametrize("max_epochs", [1, 3, 20])
def test_the_moving_average_is_kept_and_training_continues_without_it(walker, max_epochs):
    positions = []

    def terms(batch):
        positions.append(walker.position.item())  # after the step before
        return walker.terms(batch)

    run(walker, terms=terms, max_epochs=max_epochs, weight_averaging=0.5)
    assert positions == pytest.approx(range(2 * max_epochs), abs=1e-4)
    average = 0.0
    for step in range(1, 2 * max_epochs + 1):
        decay = min(0.5, step / (step + 9))
        average = decay * average + (1 - decay) * step
    assert walker.position.item() == pytest.approx(average, abs=1e-4)


def test_the_moving_average_is_evaluated(walker):
    positions = []

    def evaluate():
        positions.append(walker.position.item())
        return -abs(positions[-1] - 5)

    log = run(walker, evaluate=evaluate, weight_averaging=0.9, n_iter_no_change=9)
    assert walker.position.item() == positions[log.best_iter - 1]
    assert positions[0] < 2 - 1e-3


def test_before_epoch_is_called_before_each_epoch(walker):
    steps = []
    run(walker, max_epochs=3, before_epoch=lambda: steps.append(walker.steps.item()))
    assert steps == [0, 2, 4]


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_an_interrupt_keeps_the_best_weights_so_far(walker, steps):
    def terms(batch):
        if walker.steps == steps:
            raise KeyboardInterrupt
        return walker.terms(batch)

    finished = steps // 2
    log = run(walker, terms=terms, evaluate=scripted(walker, [0.5, 0.1, 0.1]))
    best = min(finished, 1)
    assert (log.n_iter, log.best_iter, log.stopped_by) == (finished, best, "interrupt")
    assert walker.position.item() == pytest.approx(2 * best, abs=1e-4)
    assert not walker.training


def test_an_interrupt_in_the_evaluation(walker):
    def evaluate():
        if walker.steps == 4:
            raise KeyboardInterrupt
        return 0.5

    log = run(walker, evaluate=evaluate)
    assert (log.n_iter, log.best_iter, log.stopped_by) == (1, 1, "interrupt")
    assert walker.position.item() == pytest.approx(2, abs=1e-4)


def test_other_errors_are_raised(walker):
    def terms(batch):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        run(walker, terms=terms)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_log_names_a_loss_term_that_is_not_finite(walker, value):
    def terms(batch):
        terms = walker.terms(batch)
        return terms | {"bad": walker.position.sum() * (value if walker.steps == 6 else 0.0)}

    log = run(walker, terms=terms)
    assert (log.stopped_by, log.non_finite) == ("non-finite", "bad")
    assert (log.n_iter, log.best_iter) == (2, 2)
    assert walker.position.item() == pytest.approx(4, abs=1e-4)
    assert {len(curve) for curve in log.loss_curve.values()} == {2}


def test_on_the_cpu_training_stops_at_the_first_loss_that_is_not_finite(walker):
    def terms(batch):
        good = walker.terms(batch)
        return {**good, "bad": torch.tensor(math.nan if walker.steps == 7 else 0.0)}

    log = run(walker, terms=terms, batches=range(4))
    assert (log.n_iter, log.stopped_by, log.non_finite) == (1, "non-finite", "bad")
    assert walker.modes == 7 * [True]  # it stops at the third batch of the second epoch


def test_a_first_loss_that_is_not_finite_causes_no_warning(walker, recwarn):
    log = run(walker, terms=lambda batch: {"bad": walker.position.sum() * math.nan})
    assert (log.n_iter, log.best_iter, log.non_finite) == (0, 0, "bad")
    assert not recwarn.list


def test_a_validation_metric_of_nan_is_never_the_best(walker):
    metrics = [math.nan, 0.2, math.nan, math.nan, 0.1]
    log = run(walker, evaluate=scripted(walker, metrics))
    assert log.best_iter == 2 and walker.position.item() == pytest.approx(4, abs=1e-4)


@pytest.mark.parametrize("with_metric", [True, False])
@pytest.mark.parametrize("bad_epoch", [1, 3, 5])
def test_a_forward_that_is_not_finite_ends_training_at_the_last_good_epoch(
    bad_epoch, with_metric, walker
):
    def forward():
        check_finite(walker.position / (walker.steps - 2 * bad_epoch))
        return walker.steps.item()

    log = run(walker, **{"evaluate" if with_metric else "check": forward})
    good = bad_epoch - 1
    assert (log.n_iter, log.best_iter) == (good, good)
    assert (log.stopped_by, log.non_finite) == ("non-finite", None)
    assert walker.position.item() == pytest.approx(2 * good, abs=1e-4)
    assert len(log.loss_curve.get("climb", [])) == good


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("with_metric", [True, False])
def test_weights_that_the_last_step_ruins_are_not_kept(with_metric, value, walker):
    def terms(batch):
        if walker.steps == 9:  # the last batch of all
            walker.position.register_hook(lambda gradient: gradient * value)
        return walker.terms(batch)

    evaluate = scripted(walker, [0.1, 0.2, 0.3, 0.4]) if with_metric else None
    log = run(walker, terms=terms, evaluate=evaluate)
    assert (log.n_iter, log.best_iter, log.stopped_by) == (4, 4, "non-finite")
    assert walker.position.item() == pytest.approx(8, abs=1e-4)


def test_other_errors_of_the_evaluation_are_raised(walker):
    def evaluate():
        raise ZeroDivisionError  # an ArithmeticError too

    with pytest.raises(ZeroDivisionError):
        run(walker, evaluate=evaluate)


def test_finite_values():
    check_finite()
    check_finite(torch.zeros(0), torch.ones(2, 3), torch.tensor([1, 2]))
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(NotFiniteError):
            check_finite(torch.ones(2), torch.tensor([0.0, value]))


@pytest.mark.parametrize(
    ("best", "patience", "max_epochs", "improving"),
    [
        (10, 8, 10, True),
        (9, 8, 10, True),
        (8, 8, 10, False),  # not among the last 8 // 4
        (10, 3, 10, True),
        (9, 3, 10, False),
        (10, 9, 10, True),
        (10, 10, 10, False),  # patience cannot end ten epochs: their number was chosen
        (3, 20, 3, False),
    ],
)
def test_the_log_shows_a_metric_that_still_improves_at_the_end(
    best, patience, max_epochs, improving, walker
):
    metrics = [0.1 - abs(epoch - best) for epoch in range(1, max_epochs + 1)]
    log = run(
        walker,
        evaluate=scripted(walker, metrics),
        n_iter_no_change=patience,
        max_epochs=max_epochs,
    )
    assert (log.best_iter, log.stopped_by, log.improving) == (best, "max_epochs", improving)


def test_patience_is_no_end_while_improving(walker):
    log = run(walker, evaluate=scripted(walker, [0.3, 0.2]), n_iter_no_change=1)
    assert log.stopped_by == "patience" and not log.improving


def test_without_a_metric_nothing_improves(walker):
    assert not run(walker, n_iter_no_change=1).improving


@pytest.mark.parametrize("verbose", [False, True])
def test_verbose_shows_a_progress_bar(walker, verbose, capfd):
    run(walker, verbose=verbose, evaluate=scripted(walker, [0.25] * 5))
    out, err = capfd.readouterr()
    assert out == "" and bool(err) == verbose
    if verbose:
        assert "5/5" in err and "metric=0.25" in err


def test_a_progress_bar_needs_no_console(walker, monkeypatch):
    """Programs without a console, such as pythonw, have no `sys.stderr`."""
    monkeypatch.setattr(sys, "stderr", None)
    assert run(walker, verbose=True).n_iter == 5
