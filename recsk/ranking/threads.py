"""One thread in forked processes, which do not have the threads of their parent.

A process that has used OpenMP, in PyTorch, in implicit or in scikit-learn, leaves its forks a pool
of threads that do not run. The first parallel region of such a fork waits for them for good.
Nothing shows whether the pool was used, so every fork of a process that had imported recsk gets
one thread, for our own calls only.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

__all__ = ["in_fork", "one_thread_in_forks"]

# OpenBLAS starts its threads anew in a fork, unless they are those of OpenMP.
_BLAS = ["mkl", "blis"]


class _Forked:
    """What the forked process needs; a fork of the fork starts anew."""

    def __init__(self, *, is_fork: bool) -> None:
        self.is_fork = is_fork
        self.lock = threading.Lock()
        self.n_inside = 0
        self.blas: Any = None
        self.torch_threads = 0
        self._pools: Any = None
        self._n_modules = -1

    def pools(self) -> Any:
        """Return the thread pools of the process; only an import can load another one."""
        if len(sys.modules) != self._n_modules:  # the search for them takes milliseconds
            self._n_modules = len(sys.modules)
            self._pools = ThreadpoolController()
        return self._pools


_process = _Forked(is_fork=False)


def _start_fork() -> None:
    global _process
    _process = _Forked(is_fork=True)


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_start_fork)


def in_fork() -> bool:
    """Whether this process is a fork of one that had imported recsk."""
    return _process.is_fork


@contextmanager
def one_thread_in_forks() -> Iterator[None]:
    """Run a ``with`` block, or a decorated function, with one thread if this process is a fork.

    It limits OpenMP, MKL, BLIS and PyTorch, and restores them at the end. OpenMP is limited for
    the calling thread alone. The others know one limit for the process: if calls overlap, the last
    one to leave lifts it. Libraries must be imported before the block begins.
    """
    if not _process.is_fork:
        yield
        return
    process = _process
    with process.lock:
        pools, first = process.pools(), not process.n_inside
        torch = sys.modules.get("torch")
        if torch is not None and not process.torch_threads:  # calls before it may have had none
            process.torch_threads = torch.get_num_threads()
        # `limit(user_api=...)` would restore the pools of the other kind too.
        openmp = pools.select(user_api="openmp").limit(limits=1)
        if first:
            process.blas = pools.select(internal_api=_BLAS).limit(limits=1)
        if torch is not None:
            torch.set_num_threads(1)
        process.n_inside += 1
    try:
        yield
    finally:
        with process.lock:
            process.n_inside -= 1
            if not process.n_inside:
                if process.torch_threads:
                    sys.modules["torch"].set_num_threads(process.torch_threads)
                    process.torch_threads = 0
                process.blas.restore_original_limits()
            openmp.restore_original_limits()
