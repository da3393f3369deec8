"""Reproducible dropout."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional

from recsk.nn.sequences import SequenceShare

__all__ = ["Dropout", "seeded_dropout"]

# Dropout draws from torch's global random state, which all threads share.
_lock = threading.RLock()


def _start_fork() -> None:
    # A fit in another thread of the parent may hold the lock, and never ends in the fork.
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_fork)


@contextmanager
def seeded_dropout(seed: int, device: torch.device, rank: int = 0) -> Iterator[None]:
    """Seed torch's global random state, which dropout uses, and restore it afterwards.

    Only one fit runs at a time: two at once would draw from each other's state. On CUDA each of
    several processes draws for its own share: `rank` makes these draws differ.
    """
    devices = [device] if device.type == "cuda" else []
    with _lock, torch.random.fork_rng(devices=devices):
        # torch.manual_seed would also set the state of every other device.
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed + rank)
        yield


class Dropout(nn.Module):
    """Dropout. On the CPU it compares random integers, in a fraction of PyTorch's time.

    A process that has a share of the sequences draws for all of them there, so that the noise of
    each is the same in any number of processes.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor, share: SequenceShare | None = None) -> torch.Tensor:
        """Apply dropout to x; with a share, its first axis are the sequences of the share."""
        if not self.training or not self.p or x.device.type != "cpu":
            return functional.dropout(x, self.p, self.training)
        # Sixteen random bits for each value: four of them cost as much as one number of torch.rand.
        shape = x.shape if share is None else (share.n_sequences, *x.shape[1:])
        n = math.prod(shape)
        n_words = -(-n // 4)
        bits = torch.empty(n_words, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        lowest = min(round(self.p * 2**16), 2**16 - 1) - 2**15
        bits = bits[:n].view(shape)
        if share is not None:
            bits = bits[share.rows]
        # In floats: comparisons of integers, and booleans, take several times as long.
        dtype = torch.promote_types(x.dtype, torch.float32)  # bfloat16 would round the integers
        keep = bits.to(dtype).ge_(lowest)
        return x * keep.mul_(1 / (1 - self.p))
