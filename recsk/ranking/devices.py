"""Devices of CUDA, without an import of torch."""

from __future__ import annotations

__all__ = ["is_memory_error_of_device"]

# What torch, cuBLAS and cuSPARSE say where the memory of a device is full.
_DEVICE_IS_FULL = (
    "CUDA error: out of memory",
    "ALLOC_FAILED",
    "insufficient resources",
    "resource allocation failed",
)


def is_memory_error_of_device(error: BaseException) -> bool:
    """Whether an error of torch or of a library of CUDA means that the device's memory is full."""
    if type(error).__name__ == "OutOfMemoryError":
        return True
    return any(message in str(error) for message in _DEVICE_IS_FULL)
