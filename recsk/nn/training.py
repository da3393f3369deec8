"""The training loop that every network shares."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeVar

import torch
from tqdm import tqdm

from recsk.nn.lazy_adam import LazyAdam
from recsk.nn.parallel import Processes

__all__ = ["Checkpoint", "NotFiniteError", "TrainingLog", "check_finite", "train"]

B = TypeVar("B")


class _Batches(Protocol[B], Iterable[B], Sized):  # type: ignore[misc]
    """The batches of an epoch; each iteration starts a new epoch."""


class NotFiniteError(ArithmeticError):
    """The weights of a network, or the vectors that it gives, are not finite."""


class Checkpoint(Protocol):
    """A store for the state of an unfinished training; see `recsk.contract.checkpoint`."""

    def save(self, state: dict[str, Any]) -> None:
        """Store a state of tensors, numbers and strings."""

    def load(self) -> dict[str, Any] | None:
        """Return the last saved state, or None."""

    def remove(self) -> None:
        """Delete the saved state."""


@dataclass
class TrainingLog:
    """The record of a training.

    Attributes
    ----------
    loss_curve : dict of str to list of float
        Mean of every term of the loss by epoch.
    validation_curve : list of float
        Validation metric by epoch; empty without validation.
    n_iter : int
        Number of finished epochs.
    best_iter : int
        Epoch whose weights the network has now, counted from 1.
    stopped_by : {"max_epochs", "patience", "interrupt", "non-finite", "no-batches"}
        Why training ended.
    non_finite : str or None
        Name of the loss term that was not finite; None where the weights or the vectors were not.
    improving : bool
        Whether training ended at `max_epochs` while the metric was still improving: patience was
        shorter than `max_epochs`, and the best epoch was one of the last, within a quarter of it.
    """

    loss_curve: dict[str, list[float]] = field(default_factory=dict)
    validation_curve: list[float] = field(default_factory=list)
    n_iter: int = 0
    best_iter: int = 0
    stopped_by: str = "max_epochs"
    non_finite: str | None = None
    improving: bool = False


def train(
    network: torch.nn.Module,
    batches: _Batches[B],
    loss_terms: Callable[[B], dict[str, torch.Tensor]],
    *,
    max_epochs: int,
    learning_rate: float,
    schedule: str = "constant",
    weight_averaging: float = 0.0,
    before_epoch: Callable[[], None] | None = None,
    evaluate: Callable[[], float] | None = None,
    check: Callable[[], object] | None = None,
    n_iter_no_change: int = 20,
    checkpoint: Checkpoint | None = None,
    verbose: bool = False,
    processes: Processes | None = None,
) -> TrainingLog:
    """Minimise the sum of the loss terms with Adam and keep the best weights in the network.

    No step waits for the device: losses are summed on the device and read once, at the end of the
    epoch.

    Parameters
    ----------
    network : torch.nn.Module
        Trained in place. Afterwards it has the weights of the best epoch by `evaluate`, or of
        the last epoch without it.
    batches : sized iterable
        The batches of an epoch; each iteration over it is one epoch.
    loss_terms : callable
        Computes the loss terms of a batch, by name; their sum is minimised.
    max_epochs : int
    learning_rate : float
    schedule : {"constant", "one-cycle"}, default="constant"
        How the learning rate changes from step to step. "one-cycle": it rises to `learning_rate`
        in the first tenth of all steps and falls to zero by a cosine in the others.
    weight_averaging : float, default=0.0
        Decay per step of a moving average of the weights. If above 0, the averages are evaluated
        and kept; training itself continues with the weights of the last step.
    before_epoch : callable, default=None
        Called before each epoch, for example to draw a new graph.
    evaluate : callable, default=None
        Called without arguments after each epoch; returns a validation metric, where higher is
        better. If it raises `NotFiniteError`, training ends as with a loss that is not finite.
    check : callable, default=None
        Called after each epoch without `evaluate`; it may raise `NotFiniteError` too.
    n_iter_no_change : int, default=20
        Number of epochs without a better metric before training stops.
    checkpoint : Checkpoint, default=None
        Store to resume from and to save progress to. It is removed at the end, except after an
        interrupt.
    verbose : bool, default=False
        Show a progress bar.
    processes : Processes, default=None
        Processes that make the same call, to share each batch by its method ``share_of``. The
        loss terms of their shares sum to those of the batch. All get the same log and weights.

    Returns
    -------
    TrainingLog
    """
    if processes is not None:
        processes.copy_weights(network)
    n_steps = max_epochs * len(batches) if schedule == "one-cycle" else None
    state = _TrainingState(network, learning_rate, n_steps, weight_averaging)
    if checkpoint is not None and (saved := checkpoint.load()) is not None:
        state.load_state_dict(saved)
    log = state.log
    progress = tqdm(
        range(log.n_iter + 1, max_epochs + 1),
        desc="fit",
        unit="epoch",
        initial=log.n_iter,
        total=max_epochs,
        disable=not verbose or sys.stderr is None,  # None in programs without a console
    )
    try:
        for epoch in progress:
            if before_epoch is not None:
                before_epoch()
            network.train()
            means = _run_epoch(batches, loss_terms, state, processes)
            log.non_finite = next((n for n, v in means.items() if not math.isfinite(v)), None)
            if log.non_finite is not None:
                log.stopped_by = "non-finite"
                break
            network.eval()
            with state.average.in_place():
                check_finite(*network.parameters())
                if evaluate is None and check is not None:
                    check()
                # Without a metric the last epoch is the best.
                metric = float(epoch) if evaluate is None else evaluate()
                if evaluate is not None and processes is not None:
                    metric = processes.from_first(metric)  # all stop at the same epoch
                weights = _snapshot(network) if metric > state.best_metric else None
            if evaluate is not None:
                log.validation_curve.append(metric)
            for name, value in means.items():
                log.loss_curve.setdefault(name, []).append(value)
            log.n_iter = epoch
            if weights is not None:
                state.best_metric, state.best_weights, log.best_iter = metric, weights, epoch
            progress.set_postfix(
                loss=sum(means.values()), **({} if evaluate is None else {"metric": metric})
            )
            if epoch - log.best_iter >= n_iter_no_change:
                log.stopped_by = "patience"
                break
            if checkpoint is not None:
                checkpoint.save(state.state_dict())
        else:
            recent = log.n_iter - max(n_iter_no_change // 4, 1)
            log.improving = evaluate is not None and log.best_iter > recent
            log.improving &= max_epochs > n_iter_no_change
    except NotFiniteError:
        log.stopped_by = "non-finite"
    except KeyboardInterrupt:
        log.stopped_by = "interrupt"
    finally:
        progress.close()
    if checkpoint is not None and log.stopped_by != "interrupt":
        checkpoint.remove()
    network.load_state_dict(state.best_weights)
    network.eval()
    return log


def check_finite(*tensors: torch.Tensor) -> None:
    """Raise `NotFiniteError` if a value is not finite; it waits for the device once."""
    finite = [tensor.isfinite().all() for tensor in tensors]
    if finite and not torch.stack(finite).all():
        raise NotFiniteError("the network has values that are not finite")


class _TrainingState:
    """The state that a training resumes from."""

    def __init__(
        self,
        network: torch.nn.Module,
        learning_rate: float,
        n_steps: int | None,
        weight_averaging: float,
    ) -> None:
        self.network = network
        self.log = TrainingLog()
        self.learning_rate, self.n_steps = learning_rate, n_steps
        self.optimizer = LazyAdam(network.parameters(), learning_rate)
        self.step_number = 0
        self.average = _MovingAverage(network, weight_averaging)
        self.best_metric = -math.inf
        self.best_weights = _snapshot(network)

    def step(self) -> None:
        """Change the weights by their gradients."""
        if self.n_steps is not None:
            factor = _one_cycle(self.step_number, self.n_steps)
            self.optimizer.param_groups[0]["lr"] = factor * self.learning_rate
        self.optimizer.step()
        self.step_number += 1
        self.average.update()

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step_number": self.step_number,
            "average": self.average.state_dict(),
            "log": asdict(self.log),
            "best_metric": self.best_metric,
            "best_weights": self.best_weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step_number = state["step_number"]
        self.average.load_state_dict(state["average"])
        self.log = TrainingLog(**state["log"])
        self.best_metric, self.best_weights = state["best_metric"], state["best_weights"]


def _one_cycle(step: int, n_steps: int) -> float:
    """Factor of the learning rate: up in a tenth of the steps, and down to zero by a cosine."""
    n_rising = max(n_steps // 10, 1)
    if step < n_rising:
        return (step + 1) / (n_rising + 1)
    passed = (step - n_rising) / max(n_steps - n_rising, 1)
    return 0.5 + 0.5 * math.cos(math.pi * min(passed, 1))


class _MovingAverage:
    """Exponential moving average of a network's weights; a decay of 0 means no averaging."""

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = list(network.parameters()) if decay else []
        self.averages = [weight.detach().clone() for weight in self.weights]
        self.n_steps = 0

    @torch.no_grad()
    def update(self) -> None:
        self.n_steps += 1
        # A shorter average at first, so that the initial weights soon lose their influence.
        decay = min(self.decay, self.n_steps / (self.n_steps + 9))
        for average, weight in zip(self.averages, self.weights, strict=True):
            average.lerp_(weight, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the network the averages for the duration of a ``with`` block."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def state_dict(self) -> dict[str, Any]:
        return {"averages": self.averages, "n_steps": self.n_steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.n_steps = state["n_steps"]
        for average, saved in zip(self.averages, state["averages"], strict=True):
            average.copy_(saved)

    def _exchange(self) -> None:
        for i, weight in enumerate(self.weights):
            weight.data, self.averages[i] = self.averages[i], weight.data


def _run_epoch(
    batches: Iterable[B],
    loss_terms: Callable[[B], dict[str, torch.Tensor]],
    state: _TrainingState,
    processes: Processes | None,
) -> dict[str, float]:
    totals: dict[str, torch.Tensor] = {}
    n_batches = 0
    for batch in batches:
        if processes is not None:
            batch = batch.share_of(processes)  # type: ignore[attr-defined]
        terms = loss_terms(batch)
        for name, term in terms.items():
            value = term.detach()
            totals[name] = totals[name] + value if name in totals else value
        n_batches += 1
        values = torch.stack(list(terms.values()))
        # On other devices this check would wait for the device; the end of the epoch checks there.
        # So it does in several processes, which must take the same steps.
        checks = values.device.type == "cpu" and processes is None
        if checks and not values.isfinite().all():
            break
        state.optimizer.zero_grad(set_to_none=True)
        values.sum().backward()
        if processes is not None:
            processes.sum_gradients(state.network.parameters())
        state.step()
    if not totals:
        return {}
    sums = torch.stack(list(totals.values()))
    if processes is not None:
        processes.sum_in_place([sums])
    # Reading them is the one wait for the device.
    return {name: value / n_batches for name, value in zip(totals, sums.tolist(), strict=True)}


def _snapshot(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(network.state_dict())
