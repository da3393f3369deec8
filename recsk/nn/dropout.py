"""Reproducible dropout."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["seeded_dropout"]

# Dropout draws from torch's global random state, which all threads share.
_lock = threading.RLock()


def _start_fork() -> None:
    # A fit in another thread of the parent may hold the lock, and never ends in the fork.
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_fork)


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
