"""The loop that trains any network of recsk."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeVar

import torch
from tqdm import tqdm

from recsk.nn.checkpoint import Checkpoint

__all__ = ["TrainingLog", "train"]

B = TypeVar("B")


class _Epoch(Protocol[B], Iterable[B], Sized):  # type: ignore[misc]
    """What gives the batches of an epoch every time it is iterated over."""


@dataclass
class TrainingLog:
    """What happened in training.

    Attributes
    ----------
    loss_curve : dict of str to list of float
        Mean of every term of the loss by epoch.
    validation_curve : list of float
        The validation metric by epoch; empty without one.
    n_iter : int
        Finished epochs.
    best_iter : int
        The epoch whose weights the network has now, counted from 1.
    stopped_by : {"max_epochs", "patience", "interrupt", "non-finite", "no-batches"}
        Why it ended.
    non_finite : str or None
        Name of the term of the loss that was not finite.
    """

    loss_curve: dict[str, list[float]] = field(default_factory=dict)
    validation_curve: list[float] = field(default_factory=list)
    n_iter: int = 0
    best_iter: int = 0
    stopped_by: str = "max_epochs"
    non_finite: str | None = None


def train(
    network: torch.nn.Module,
    batches: _Epoch[B],
    loss_terms: Callable[[B], dict[str, torch.Tensor]],
    *,
    max_epochs: int,
    learning_rate: float,
    learning_rate_decay: float = 1.0,
    weight_averaging: float = 0.0,
    before_epoch: Callable[[], None] | None = None,
    evaluate: Callable[[], float] | None = None,
    n_iter_no_change: int = 20,
    checkpoint: Checkpoint | None = None,
    verbose: bool = False,
) -> TrainingLog:
    """Minimise the sum of the loss terms with Adam and leave the best weights in the network.

    Nothing inside an epoch waits for the device: losses are summed there and read once, at the
    end of the epoch.

    Parameters
    ----------
    network : torch.nn.Module
        Trained in place. Afterwards it has the weights of the best epoch by `evaluate`, or of
        the last epoch without it.
    batches : sized iterable
        Gives the batches of an epoch every time it is iterated over.
    loss_terms : callable
        From a batch to the terms of its loss, by name; their sum is minimised.
    max_epochs : int
    learning_rate : float
    learning_rate_decay : float, default=1.0
        Factor of the learning rate after each epoch.
    weight_averaging : float, default=0.0
        Decay per step of a moving average of the weights. Where it is above 0, the average is
        what gets evaluated and kept; training itself goes on with the weights of the last step.
    before_epoch : callable, default=None
        Called before each epoch, such as to draw a new graph.
    evaluate : callable, default=None
        Called after each epoch without arguments; gives a validation metric, higher is better.
    n_iter_no_change : int, default=20
        Epochs without a better metric before training stops.
    checkpoint : Checkpoint, default=None
        Where to write down how far it is, and where to go on from. It is removed at the end, but
        for an interrupt.
    verbose : bool, default=False
        Show a progress bar.

    Returns
    -------
    TrainingLog
    """
    run = _Run(network, learning_rate, learning_rate_decay, weight_averaging)
    if checkpoint is not None and (state := checkpoint.load()) is not None:
        run.load_state_dict(state)
    log = run.log
    progress = tqdm(
        range(log.n_iter + 1, max_epochs + 1),
        desc="fit",
        unit="epoch",
        initial=log.n_iter,
        total=max_epochs,
        disable=not verbose,
    )
    try:
        for epoch in progress:
            if before_epoch is not None:
                before_epoch()
            network.train()
            means = _run_epoch(batches, loss_terms, run.optimizer, run.average)
            log.non_finite = next((n for n, v in means.items() if not math.isfinite(v)), None)
            if log.non_finite is not None:
                log.stopped_by = "non-finite"
                break
            run.schedule.step()
            network.eval()
            with run.average.in_place():
                # Without a metric the last epoch is the best.
                metric = float(epoch) if evaluate is None else evaluate()
                weights = _snapshot(network) if metric > run.best_metric else None
            if evaluate is not None:
                log.validation_curve.append(metric)
            for name, value in means.items():
                log.loss_curve.setdefault(name, []).append(value)
            log.n_iter = epoch
            if weights is not None:
                run.best_metric, run.best_weights, log.best_iter = metric, weights, epoch
            progress.set_postfix(
                loss=sum(means.values()), **({} if evaluate is None else {"metric": metric})
            )
            if epoch - log.best_iter >= n_iter_no_change:
                log.stopped_by = "patience"
                break
            if checkpoint is not None and checkpoint.is_due(epoch):
                checkpoint.save(run.state_dict())
    except KeyboardInterrupt:
        log.stopped_by = "interrupt"
    finally:
        progress.close()
    if checkpoint is not None and log.stopped_by != "interrupt":
        checkpoint.remove()
    network.load_state_dict(run.best_weights)
    network.eval()
    return log


class _Run:
    """All that a training has to know of its past."""

    def __init__(
        self,
        network: torch.nn.Module,
        learning_rate: float,
        learning_rate_decay: float,
        weight_averaging: float,
    ) -> None:
        self.network = network
        self.log = TrainingLog()
        self.optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)
        self.schedule = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, learning_rate_decay)
        self.average = _MovingAverage(network, weight_averaging)
        self.best_metric = -math.inf
        self.best_weights = _snapshot(network)

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": self.average.state_dict(),
            "log": asdict(self.log),
            "best_metric": self.best_metric,
            "best_weights": self.best_weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.average.load_state_dict(state["average"])
        self.log = TrainingLog(**state["log"])
        self.best_metric, self.best_weights = state["best_metric"], state["best_weights"]


class _MovingAverage:
    """Exponential moving average of a network's weights; a decay of 0 is the weights themselves."""

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = list(network.parameters()) if decay else []
        self.averages = [weight.detach().clone() for weight in self.weights]
        self.n_steps = 0

    @torch.no_grad()
    def update(self) -> None:
        self.n_steps += 1
        # Shorter at first, so that the initial weights are soon forgotten.
        decay = min(self.decay, self.n_steps / (self.n_steps + 9))
        for average, weight in zip(self.averages, self.weights, strict=True):
            average.lerp_(weight, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the network have the averages for a while."""
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
    optimizer: torch.optim.Optimizer,
    average: _MovingAverage,
) -> dict[str, float]:
    totals: dict[str, torch.Tensor] = {}
    n_batches = 0
    for batch in batches:
        terms = loss_terms(batch)
        for name, term in terms.items():
            value = term.detach()
            totals[name] = totals[name] + value if name in totals else value
        n_batches += 1
        values = torch.stack(list(terms.values()))
        # On other devices a look would be a wait: there the end of the epoch shows it.
        if values.device.type == "cpu" and not values.isfinite().all():
            break
        optimizer.zero_grad(set_to_none=True)
        values.sum().backward()
        optimizer.step()
        average.update()
    return {name: float(total) / n_batches for name, total in totals.items()}


def _snapshot(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(network.state_dict())
