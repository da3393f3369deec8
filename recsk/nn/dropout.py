"""The random state that dropout draws from."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["dropout_from"]

# There is one state that dropout draws from, whichever thread asks.
_lock = threading.RLock()


@contextmanager
def dropout_from(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's own state, which dropout draws from, and put it back as it was afterwards.

    One fit at a time: two of them would draw from each other's state.
    """
    devices = [device] if device.type == "cuda" else []
    with _lock, torch.random.fork_rng(devices=devices):
        # Not torch.manual_seed, which would also set the state of every other device.
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
