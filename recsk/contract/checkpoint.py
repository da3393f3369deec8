"""Checkpoints: files from which an interrupted training resumes, each of one training."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from recsk.storage.atomic import replace_file

__all__ = ["Checkpoint", "Stateful"]

_VERSION = 1


class Stateful(Protocol):
    """What changes in training; a `torch.Generator` is one."""

    def get_state(self) -> Any:
        """Return tensors, numbers and strings."""

    def set_state(self, state: Any) -> Any:
        """Continue from a state."""


class Checkpoint:
    """A file with the state of a training, which no other training writes to.

    Parameters
    ----------
    path : Path
        The file. It exists from the first save until the training is done. In a folder, the file of
        each training has its fingerprint as name.
    training : str
        Fingerprint of this training; a file of another training is rejected.
    random_states : sequence of torch.Generator, RandomState or Stateful
        All that the training draws from, and what else changes from epoch to epoch.
    """

    def __init__(
        self,
        path: Path,
        *,
        training: str,
        random_states: Sequence[Stateful | np.random.RandomState],
    ) -> None:
        self.path = path
        self._cure = "name another file, or for many fits, as in a search, a folder"
        if path.is_dir():
            self.path = path / f"{training}.checkpoint"
            self._cure = "the same fit runs twice; let it run once, or name another folder"
        self.training = training
        self.random_states = random_states
        self._left: tuple[int, int] | None = None

    def save(self, state: dict[str, Any]) -> None:
        """Write a state of tensors, numbers and strings; it replaces an earlier one.

        Raises
        ------
        ValueError
            If another training has written to the file meanwhile.
        """
        import torch

        if self._find() not in (None, self._left):
            raise ValueError(
                f"checkpoint={str(self.path)!r} is written by another fit at the same time: "
                f"{self._cure}"
            )
        file = io.BytesIO()
        torch.save(
            {
                "version": _VERSION,
                "training": self.training,
                "random": [_get(random) for random in self.random_states],
                "state": state,
            },
            file,
        )
        replace_file(self.path, file.getvalue())
        self._left = self._find()

    def load(self) -> dict[str, Any] | None:
        """Read the last saved state, on the CPU, and restore the random states.

        Returns
        -------
        dict or None
            None without a file.

        Raises
        ------
        ValueError
            If the file is not from this training.
        """
        content = self.read()
        return None if content is None else self.restore(content)

    def read(self) -> bytes | None:
        """Read the file, or return None without one."""
        self._left = self._find()
        if self._left is None:
            return None
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise ValueError(f"checkpoint={str(self.path)!r} cannot be read: {error}") from error

    def restore(self, content: bytes) -> dict[str, Any]:
        """Return the state in the content of a file, and restore the random states."""
        import torch

        try:
            # Tensors and plain values only: no code from a file is run.
            found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            version, training = found["version"], found["training"]
            draws, state = found["random"], found["state"]
        except Exception:
            # torch raises many types for other files, and its messages advise to load a file
            # without its checks, which may run code: they are left out, in the traceback too.
            raise ValueError(
                f"checkpoint={str(self.path)!r} cannot be read: it is damaged, or recsk did not "
                "write it. Remove the file, or name another one"
            ) from None
        if (version, training) != (_VERSION, self.training):
            raise ValueError(
                f"checkpoint={str(self.path)!r} is of another fit, with other data, parameters or "
                "versions: remove the file, or name another one; for many fits, as in a search, "
                "name a folder"
            )
        for random, draw in zip(self.random_states, draws, strict=True):
            _set(random, draw)
        loaded: dict[str, Any] = state
        return loaded

    def remove(self) -> None:
        """Delete the file: the training is done."""
        if self._find() == self._left:
            self.path.unlink(missing_ok=True)

    def _find(self) -> tuple[int, int] | None:
        """What tells the file from one that was written before or after it; None without one."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns


def _get(random: Stateful | np.random.RandomState) -> Any:
    if not isinstance(random, np.random.RandomState):
        return random.get_state()
    import torch

    state: Any = random.get_state(legacy=True)
    name, keys, *rest = state
    return [name, torch.as_tensor(keys.astype(np.int64)), *rest]


def _set(random: Stateful | np.random.RandomState, state: Any) -> None:
    if not isinstance(random, np.random.RandomState):
        random.set_state(state)
    else:
        name, keys, *rest = state
        random.set_state((name, keys.numpy().astype(np.uint32), *rest))
