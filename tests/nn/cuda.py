"""Helpers of tests on a CUDA device."""

from itertools import count

import pytest
import torch

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


class ForbidSynchronization:
    """Batches that raise an error if a step waits for the device, from the second epoch on."""

    def __init__(self, batches):
        self.batches, self.epoch = batches, count()

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        batches = iter(self.batches)
        yield next(batches)  # drawing an epoch may wait, before its first step
        # The first epoch may wait: it loads libraries and allocates memory.
        if next(self.epoch):
            torch.cuda.set_sync_debug_mode("error")
        try:
            yield from batches
        finally:
            torch.cuda.set_sync_debug_mode("default")


def assert_close(on_cpu, on_cuda):
    """Compare tensors by name, up to rounding."""
    assert on_cpu.keys() == on_cuda.keys()
    for name, value in on_cpu.items():
        torch.testing.assert_close(on_cuda[name].cpu(), value, rtol=1e-4, atol=1e-4)
