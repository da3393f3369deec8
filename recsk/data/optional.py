"""Libraries that only some calls need."""

from __future__ import annotations

from typing import Any

__all__ = ["import_pandas", "import_torch"]


def import_pandas(what: str) -> Any:
    """Import pandas, or raise an ImportError with the command to install it.

    Parameters
    ----------
    what : str
        What needs it, the start of the message.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(f"{what} needs pandas: pip install pandas") from error
    return pd


def import_torch(what: str) -> Any:
    """Import PyTorch, or raise an ImportError with the command to install it.

    Parameters
    ----------
    what : str
        What needs it, the start of the message.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"{what} needs PyTorch, which cannot be imported: pip install torch. Without it, "
            "fitted models can be loaded, and recommend (models of sequences: to users of the fit)"
        ) from error
    return torch
