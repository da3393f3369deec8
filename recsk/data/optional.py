"""Libraries that only some calls need."""

from __future__ import annotations

from typing import Any

__all__ = ["import_pandas"]


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
