"""How much memory is available, and an error before a matrix that does not fit is allocated."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["available_memory", "check_memory"]


# Where Linux tells a container its limit, in the second and the first version. What the container
# uses says little: most of it may be caches.
_LIMITS = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"


def available_memory() -> int | None:
    """Return the bytes of memory that new arrays can use; None where the system does not tell.

    On Linux it is ``MemAvailable``, free memory and caches that the system gives up, and at most
    the limit of a container. Elsewhere it is all memory of the machine.
    """
    limits = [*map(_container_limit, _LIMITS), _machine_memory()]
    return min((limit for limit in limits if limit is not None), default=None)


def _container_limit(path: str) -> int | None:
    try:
        return int(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or "max"
        return None


def _machine_memory() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
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
