"""How much memory is available, and an error before a matrix that does not fit is allocated."""

from __future__ import annotations

import os

__all__ = ["available_memory", "check_memory"]


def available_memory() -> int | None:
    """Return the bytes of memory that new arrays can use; None where the system does not tell.

    On Linux it is ``MemAvailable``: free memory and caches that the system gives up. Elsewhere it
    is all memory of the machine.
    """
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # no such function or name, as on Windows
        return None


def check_memory(needed: int, what: str, cure: str) -> None:
    """Raise MemoryError if `needed` bytes are more than the machine has available.

    Parameters
    ----------
    needed : int
        Bytes.
    what : str
        What needs them, the start of the message.
    cure : str
        What to do instead, the end of the message.

    Examples
    --------
    >>> from recsk.graphs.memory import check_memory
    >>> check_memory(8, "one number", "count to one")
    """
    available = available_memory()
    if available is not None and needed > available:
        raise MemoryError(
            f"{what} needs {needed:,} bytes of memory ({needed / 2**30:.1f} GiB), and "
            f"{available:,} bytes ({available / 2**30:.1f} GiB) are available; {cure}"
        )
