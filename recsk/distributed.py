"""Item features for searches on a cluster: sent to each worker once, not with every fit."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from operator import methodcaller
from typing import Any, Self

__all__ = ["SharedFeatures"]

# What this process has fetched, of the last features that it was asked for; see `_fetched`.
_held: dict[tuple[str, str], Any] = {}
_lock = threading.Lock()
_PATIENCE = 30  # seconds to wait for word of a cluster


class SharedFeatures(Mapping[str, Any]):
    """Item features that are pickled as handles of data which the cluster holds already.

    A search sends what it passes to `fit` along with every task. This stands for a dict of
    item features there: only its handles travel, and a worker fetches the arrays that they
    stand for once, whatever it is asked to fit. In the process that made it the arrays are
    at hand.

    Parameters
    ----------
    handles : dict of str to object
        What stands for the array of each modality, such as a Ray ``ObjectRef``.
    fetch : callable, default=None
        Turns a handle into the array; it has to be found by name in a worker, such as
        ``ray.get``. None calls ``handle.result()``.
    local : dict of str to array-like, default=None
        The arrays themselves, for use in this process; they are not pickled.

    Raises
    ------
    ValueError
        If `local` has other names than `handles`.

    Notes
    -----
    A worker keeps the arrays of the last `SharedFeatures` that it was asked for, until it
    is asked for others or ends.

    Examples
    --------
    >>> from concurrent.futures import Future
    >>> import numpy as np
    >>> from recsk.distributed import SharedFeatures
    >>> future = Future()
    >>> future.set_result(np.eye(3))
    >>> SharedFeatures({"image": future})["image"].shape
    (3, 3)
    """

    def __init__(
        self,
        handles: Mapping[str, Any],
        fetch: Callable[[Any], Any] | None = None,
        *,
        local: Mapping[str, Any] | None = None,
    ) -> None:
        self._handles = dict(handles)
        self._fetch = methodcaller("result") if fetch is None else fetch
        self._local = None if local is None else dict(local)
        self._token = uuid.uuid4().hex
        if self._local is not None and self._local.keys() != self._handles.keys():
            raise ValueError(
                f"local must have the names of handles, {list(self._handles)}; got "
                f"{list(self._local)}"
            )

    @classmethod
    def scatter(cls, item_features: Mapping[str, Any], client: Any) -> Self:
        """Send item features to a Dask cluster, each to one worker; the others fetch it from there.

        Parameters
        ----------
        item_features : dict of str to array-like of shape (n_items, n_columns)
            As `fit` takes them.
        client : distributed.Client
            Of the cluster, which keeps them as long as it runs and none of its workers is lost.

        Returns
        -------
        SharedFeatures
            To be passed to a search in place of `item_features`.
        """
        from distributed import Variable

        # Without a hash of their content, which takes longer than sending them.
        futures = client.scatter(list(item_features.values()), hash=False)
        handles = {}
        for name, future in zip(item_features, futures, strict=True):
            # A future does not find its client when it is pickled within something else; the
            # name of a variable that holds it does.
            handles[name] = f"recsk-{uuid.uuid4().hex}"
            Variable(handles[name], client=client).set(future)
        return cls(handles, _from_dask, local=item_features)

    def __getitem__(self, name: str) -> Any:
        if self._local is not None:
            return self._local[name]
        return _fetched(self._token, name, self._handles[name], self._fetch)

    def __iter__(self) -> Iterator[str]:
        return iter(self._handles)

    def __len__(self) -> int:
        return len(self._handles)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._handles)})"

    # By identity: dicts of arrays cannot be compared. A copy would lose what is at hand.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_local": None}


def _fetched(token: str, name: str, handle: Any, fetch: Callable[[Any], Any]) -> Any:
    """What a handle stands for, fetched by the first of the threads that ask for it."""
    with _lock:
        if (token, name) not in _held:
            for key in [key for key in _held if key[0] != token]:
                del _held[key]
            _held[token, name] = fetch(handle)
        return _held[token, name]


def _from_dask(name: str) -> Any:
    from distributed import Variable, get_worker

    lost = "the cluster no longer holds these item features: scatter them again"
    try:
        future = Variable(name).get(timeout=_PATIENCE)
    except TimeoutError as error:
        raise RuntimeError(lost) from error
    if future.status in ("lost", "cancelled", "error"):
        raise RuntimeError(lost)
    try:
        # `result` would send it here once more where this worker has it.
        held = get_worker().data
    except ValueError:  # no worker: a client unpickled it
        held = {}
    return held[future.key] if future.key in held else future.result()
