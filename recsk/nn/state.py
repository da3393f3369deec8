"""The state of torch that networks run in, whatever a notebook left behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

__all__ = ["default_state"]


@contextmanager
def default_state(*, grad: bool) -> Iterator[None]:
    """Run a ``with`` block, or a decorated function, with torch as it is after the import.

    New tensors are float32 and on the CPU, autocast and inference mode are off, and gradients are
    recorded if `grad` is true. At the end everything is as before. All of this is the state of
    the calling thread, except the dtype of new tensors, which torch knows for the process only: it
    is changed where it is another one, and if calls overlap, the last one to leave restores it.

    Parameters
    ----------
    grad : bool
    """
    with ExitStack() as stack:
        stack.enter_context(_FLOAT32)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(grad))
        for device_type in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device_type):
                stack.enter_context(torch.autocast(device_type, enabled=False))
        # This makes every call of torch slower, so only where it changes something.
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


class _Float32:
    """Make float32 the dtype of new tensors while any thread is inside this context."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = torch.float32

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = torch.get_default_dtype()
                torch.set_default_dtype(torch.float32)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                torch.set_default_dtype(self._before)

    def start_fork(self) -> None:
        """Forget the threads of the parent, which are not in its fork."""
        if self._inside:
            torch.set_default_dtype(self._before)
        self._lock, self._inside = threading.Lock(), 0


_FLOAT32 = _Float32()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_FLOAT32.start_fork)
