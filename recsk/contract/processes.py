"""One fit in several processes: they must agree on what they fit, and one of them writes."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import joblib
import numpy as np

if TYPE_CHECKING:
    import torch

    from recsk.contract.checkpoint import Checkpoint
    from recsk.nn.parallel import Processes

__all__ = ["check_agreement", "find_processes", "same_draws", "shared_checkpoint"]

T = TypeVar("T")
# Parameters that may differ: each process has its own device, and only one prints.
_OWN = ("device", "verbose")


class _Data(Protocol):
    """What a fit learns from; `recsk.contract.preparation.Prepared` is one."""

    @property
    def train_set(self) -> Any: ...

    @property
    def held_out(self) -> Any: ...

    @property
    def given_features(self) -> dict[str, Any]: ...

    @property
    def growth(self) -> Any: ...

    @property
    def new_items(self) -> Any: ...


def find_processes(device: torch.device) -> Processes | None:
    """Return the processes of `torch.distributed`; None where there is one process only."""
    from recsk.nn.parallel import Processes

    return Processes.current(device)


def same_draws(rng: np.random.RandomState, processes: Processes | None) -> np.random.RandomState:
    """Return a state that draws what that of the first process draws."""
    if processes is None:
        return rng
    state = processes.from_first(rng.get_state())
    if processes.is_first:
        return rng
    same = np.random.RandomState()
    same.set_state(state)
    return same


def check_agreement(est: Any, data: _Data, processes: Processes) -> None:
    """Check that all processes fit the same estimator to the same data.

    Raises
    ------
    ValueError
        In all processes, naming what differs.
    """
    params = {name: x for name, x in est.get_params(deep=False).items() if name not in _OWN}
    if not isinstance(params["random_state"], Integral):
        params["random_state"] = None  # all draw what the first one draws
    own = {
        "the estimator or its parameters": joblib.hash((type(est).__name__, params)),
        "X or sample_weight": joblib.hash(data.train_set),
        "eval_set, or what is held out": joblib.hash(data.held_out),
        "item_features": joblib.hash(data.given_features),
        "new_items": joblib.hash(data.new_items),
        "the fitted model that is trained on": _hash_of_fitted(est, data),
    }
    found = processes.from_all(own)
    differing = [what for what in own if len({hashes[what] for hashes in found}) > 1]
    if differing:
        raise ValueError(
            f"torch.distributed has {processes.size} processes, which fit one model together: all "
            f"need the same arguments and parameters. These differ: {', '.join(differing)}. To fit "
            "a model of its own in each process, call torch.distributed.destroy_process_group() "
            "before"
        )


def _hash_of_fitted(est: Any, data: _Data) -> str | None:
    return None if data.growth is None else str(joblib.hash(est.item_embedding_))


def shared_checkpoint(
    checkpoint: Checkpoint | None, processes: Processes | None
) -> Checkpoint | _SharedCheckpoint | None:
    """Return a checkpoint that the first process reads and writes for all."""
    if processes is None:
        return checkpoint
    given = processes.from_all(checkpoint is not None)
    if any(given) and not all(given):
        lacking = ", ".join(str(rank) for rank, has in enumerate(given) if not has)
        raise ValueError(
            f"checkpoint is None in the processes of rank {lacking} and not in the others: give it "
            "in all; the first process reads and writes the file"
        )
    if checkpoint is None:
        return None
    return _SharedCheckpoint(checkpoint, processes)


class _SharedCheckpoint:
    """A checkpoint that the first process reads and writes for all.

    Parameters
    ----------
    checkpoint : Checkpoint
    processes : Processes
    """

    def __init__(self, checkpoint: Checkpoint, processes: Processes) -> None:
        self.checkpoint, self.processes = checkpoint, processes
        # Parameters of one process only, such as its device, are in this fingerprint.
        checkpoint.training = processes.from_first(checkpoint.training)

    def save(self, state: dict[str, Any]) -> None:
        """Write a state, in the first process."""
        self._in_first(lambda: self.checkpoint.save(state))

    def load(self) -> dict[str, Any] | None:
        """Return the last saved state in all processes, and restore their random states."""
        content = self._in_first(self.checkpoint.read)
        return None if content is None else self.checkpoint.restore(content)

    def remove(self) -> None:
        """Delete the file, in the first process."""
        self._in_first(self.checkpoint.remove)

    def _in_first(self, act: Callable[[], T]) -> T:
        """Call a function in the first process; all return what it returned, or raise its error.

        With an error in one process alone, the others would wait for it.
        """
        found: Any = None
        error: Exception | None = None
        if self.processes.is_first:
            try:
                found = act()
            except Exception as raised:
                error = raised
        found, error = self.processes.from_first((found, error))
        if error is not None:
            raise error
        return found
