"""Reproducible dropout."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["seeded_dropout"]

# Dropout draws from torch's global random state, which all threads share.
_lock = threading.RLock()


@contextmanager
def seeded_dropout(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global random state, which dropout uses, and restore it afterwards.

    Only one fit runs at a time: two at once would draw from each other's state.
    """
    devices = [device] if device.type == "cuda" else []
    with _lock, torch.random.fork_rng(devices=devices):
        # torch.manual_seed would also set the state of every other device.
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
