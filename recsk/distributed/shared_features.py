"""Item features for searches on a cluster, sent to each worker once and not with every fit."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from operator import methodcaller
from typing import Any, Self

__all__ = ["SharedFeatures"]

# The arrays that this process has fetched, only of the `SharedFeatures` used last.
_cache: dict[tuple[str, str], Any] = {}
_lock = threading.Lock()
_TIMEOUT = 30  # seconds to wait for an answer of the cluster


class SharedFeatures(Mapping[str, Any]):
    """Item features that are pickled as handles of data on the cluster.

    A search sends the arguments of `fit` with every task. Pass this mapping in place of a dict of
    item features: only the handles are sent, and each worker fetches the arrays once, for all
    fits. The process that creates the mapping can use the arrays without fetching them.

    Parameters
    ----------
    handles : dict of str to object
        A handle of the array of each modality, such as a Ray ``ObjectRef``.
    fetch : callable, default=None
        Function from a handle to the array. Workers must be able to import it, as ``ray.get``.
        None calls ``handle.result()``.
    local : dict of str to array-like, default=None
        The arrays themselves, for use in this process. They are not pickled.

    Raises
    ------
    ValueError
        If `local` has other names than `handles`.

    Notes
    -----
    A worker keeps the arrays of the `SharedFeatures` that it used last, until it uses others or
    ends.

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
        """Send item features to a Dask cluster.

        Each array goes to one worker, and the other workers fetch it from there.

        Parameters
        ----------
        item_features : dict of str to array-like of shape (n_items, n_columns)
            As for `fit`.
        client : distributed.Client
            A client of the cluster. The cluster keeps the arrays as long as it runs and loses no
            worker.

        Returns
        -------
        SharedFeatures
            Pass it to a search in place of `item_features`.
        """
        from distributed import Variable

        # Without hashes of the contents: computing them takes longer than sending the arrays.
        futures = client.scatter(list(item_features.values()), hash=False)
        handles = {}
        for name, future in zip(item_features, futures, strict=True):
            # A future loses its client when it is pickled inside another object. Therefore the
            # handle is the name of a variable that holds the future.
            handles[name] = f"recsk-{uuid.uuid4().hex}"
            Variable(handles[name], client=client).set(future)
        return cls(handles, _fetch_from_dask, local=item_features)

    def __getitem__(self, name: str) -> Any:
        if self._local is not None:
            return self._local[name]
        return _fetch_once(self._token, name, self._handles[name], self._fetch)

    def __iter__(self) -> Iterator[str]:
        return iter(self._handles)

    def __len__(self) -> int:
        return len(self._handles)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._handles)})"

    # Compare by identity, because dicts of arrays cannot be compared.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    # A copy by pickle would lose the local arrays.
    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_local": None}


def _fetch_once(token: str, name: str, handle: Any, fetch: Callable[[Any], Any]) -> Any:
    """Return the array of a handle; the first thread that needs it fetches it."""
    with _lock:
        if (token, name) not in _cache:
            for key in [key for key in _cache if key[0] != token]:
                del _cache[key]
            _cache[token, name] = fetch(handle)
        return _cache[token, name]


def _fetch_from_dask(name: str) -> Any:
    """Return the array whose future is in a Dask variable."""
    from distributed import Variable, get_worker

    lost = "the cluster no longer holds these item features; call SharedFeatures.scatter again"
    try:
        future = Variable(name).get(timeout=_TIMEOUT)
    except TimeoutError as error:
        raise RuntimeError(lost) from error
    if future.status in ("lost", "cancelled", "error"):
        raise RuntimeError(lost)
    try:
        # If this worker has the array, `result` would send it once more.
        local = get_worker().data
    except ValueError:  # this process is not a worker but a client that unpickled the features
        local = {}
    return local[future.key] if future.key in local else future.result()
