"""What networks run in: torch in its default state, and one thread in forked processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from recsk.data.optional import import_torch
from recsk.ranking.threads import one_thread_in_forks

__all__ = ["network_state", "one_thread_in_forks"]


@contextmanager
def network_state(*, training: bool) -> Iterator[None]:
    """Run a ``with`` block, or a decorated function, that builds, trains or applies a network.

    What a notebook set in torch changes nothing inside: grad and inference mode, the default dtype
    and device, autocast. In a forked process the block has one thread. All of it is restored.

    Parameters
    ----------
    training : bool
        Whether gradients are recorded.

    Raises
    ------
    ImportError
        If PyTorch cannot be imported.
    """
    import_torch("a fit" if training else "encoding sequences of new users")
    from recsk.nn.state import default_state

    with one_thread_in_forks(), default_state(grad=training):
        yield
