"""The device that a fit runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsk.data.optional import import_torch

if TYPE_CHECKING:
    import torch

__all__ = ["check_precision", "resolve_device"]


def resolve_device(device: str) -> torch.device:
    """Resolve the parameter `device` to a torch device.

    Parameters
    ----------
    device : str
        ``"auto"`` uses CUDA where available, else the CPU; ``"cpu"``, ``"cuda"`` or ``"cuda:1"``
        choose.

    Returns
    -------
    torch.device
        One of CUDA has a number: that of the current device where none was given. Without it, a
        program that changes the current device would change what is meant.

    Raises
    ------
    ValueError
        If it is none of these, or the device does not exist.
    ImportError
        If PyTorch cannot be imported.
    """
    torch = import_torch("a fit")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except RuntimeError:
        resolved = None
    if resolved is None or resolved.type not in ("cpu", "cuda"):
        raise ValueError(
            f"device must be 'auto', 'cpu' or 'cuda' (or 'cuda:1' ...); got {device!r}"
        )
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={device!r} was asked for, but torch sees {torch.cuda.device_count()} CUDA "
            "devices; device='auto' uses one where available"
        )
    if resolved.type == "cuda" and resolved.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return resolved


def check_precision(precision: str, device: torch.device) -> None:
    """Reject a precision that a device does not compute in.

    Parameters
    ----------
    precision : {"float32", "bfloat16"}
    device : torch.device

    Raises
    ------
    ValueError
        If a device of CUDA has no instructions for bfloat16, which would make it slower.
    """
    if precision == "float32" or device.type != "cuda":
        return
    torch = import_torch("a fit")
    with torch.cuda.device(device):
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return
    raise ValueError(
        f"precision={precision!r} needs a GPU that computes in it (compute capability 8.0 or "
        f"higher), and {str(device)!r} does not: set precision='float32', or choose another device"
    )
