"""Which device ranks: CUDA where the machine has it; nothing here imports torch without need."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from recsk.ranking.threads import in_fork

__all__ = ["is_memory_error_of_device", "ranking_device"]

# What shows, without torch, that the machine may have a device of CUDA.
_DRIVERS = (
    "/dev/nvidiactl",
    "/proc/driver/nvidia",
    "/dev/dxg",
    "C:/Windows/System32/nvcuda.dll",
)
# What torch, cuBLAS and cuSPARSE say where the memory of a device is full.
_DEVICE_IS_FULL = (
    "CUDA error: out of memory",
    "ALLOC_FAILED",
    "insufficient resources",
    "resource allocation failed",
)


def ranking_device(device: str) -> str | None:
    """Return the device of CUDA that ranks, or None for the engine of the CPU.

    A fitted model serves on any machine: where the device does not exist, the CPU ranks. So it
    does in a forked process, which cannot use CUDA.

    Parameters
    ----------
    device : str
        "auto", "cpu", "cuda" or "cuda:1", as a fit takes it.

    Examples
    --------
    >>> from recsk.ranking.devices import ranking_device
    >>> ranking_device("cpu") is None
    True
    """
    if not (isinstance(device, str) and (device == "auto" or device.startswith("cuda"))):
        return None
    if in_fork():
        return None
    if "torch" not in sys.modules and not _has_driver():
        return None
    try:
        import torch
    except ImportError:  # a driver without PyTorch: models answer on the CPU
        return None
    if not torch.cuda.is_available():
        return None
    try:
        number = None if device == "auto" else torch.device(device).index
    except RuntimeError:  # no name of a device; a fit refuses it
        return None
    if number is None:
        number = torch.cuda.current_device()
    return f"cuda:{number}" if number < torch.cuda.device_count() else None


@cache  # a list for one user would notice four looks at the disk
def _has_driver() -> bool:
    return any(Path(path).exists() for path in _DRIVERS)


def is_memory_error_of_device(error: BaseException) -> bool:
    """Whether an error of torch or of a library of CUDA means that the device's memory is full."""
    if type(error).__name__ == "OutOfMemoryError":
        return True
    return any(message in str(error) for message in _DEVICE_IS_FULL)
