"""What tests on a CUDA device share."""

from itertools import count

import pytest
import torch

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


class Watched:
    """Batches in whose epochs nothing may wait for the device, from the second one on."""

    def __init__(self, batches):
        self.batches, self.epochs = batches, count()

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        batches = iter(self.batches)
        yield next(batches)  # drawing an epoch may wait, before its first step
        # The first epoch may: libraries are loaded and memory is taken then.
        if next(self.epochs):
            torch.cuda.set_sync_debug_mode("error")
        try:
            yield from batches
        finally:
            torch.cuda.set_sync_debug_mode("default")


def assert_close(on_cpu, on_cuda):
    """The same tensors by name, up to rounding."""
    assert on_cpu.keys() == on_cuda.keys()
    for name, value in on_cpu.items():
        torch.testing.assert_close(on_cuda[name].cpu(), value, rtol=1e-4, atol=1e-4)
