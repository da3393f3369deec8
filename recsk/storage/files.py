"""`save` and `load`: files of fitted recommenders that are safe to load."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from recsk.data.checks import shorten
from recsk.storage.atomic import replace_file
from recsk.storage.format import (
    FORMAT,
    MAX_HEADER_BYTES,
    VERSION,
    Arrays,
    compute_checksum,
    import_safetensors,
    map_arrays,
    parse_json,
    read_arrays,
    read_document,
    read_header_length,
    read_metadata,
)
from recsk.storage.params import param_from_json, param_to_json
from recsk.storage.registry import estimator_class, estimator_names
from recsk.storage.state import StateReader, flatten_state
from recsk.storage.version import __version__

__all__ = ["load", "save"]

_DOCUMENT_KEYS = {"format", "version", "recsk", "estimator", "params", "state"}


def save(est: Any, path: str | bytes | os.PathLike[str]) -> None:
    """Save a fitted recommender to a file that `load` reads without running any code.

    The file holds all parameters and everything that `fit` has set. It does not hold attributes
    that you added or metadata requests. The file is complete or does not appear: an older file with
    this name stays until the new one is complete and on the disk. While another thread is in
    `partial_fit` or `add_items`, the file has the model as it was.

    Parameters
    ----------
    est : estimator
        A fitted recommender: of recsk, or of another class with the decorator
        `recsk.contract.register_estimator`.
    path : str, bytes or path-like
        Where to write, with any suffix.

    Raises
    ------
    ImportError
        If safetensors is not installed.
    FileNotFoundError, IsADirectoryError
        If the folder of `path` does not exist, or `path` is a folder.
    NotFittedError
        If `est` is not fitted.
    TypeError
        If the class of `est` is not registered. Subclasses have to be registered too.
    ValueError
        If a file cannot hold a parameter or fitted attribute. The message names it, and nothing
        is written.

    See Also
    --------
    load : Load the file.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import recsk
    >>> X = np.eye(6) + np.eye(6, k=1)
    >>> model = recsk.MDERecommender(n_factors=4, max_epochs=1, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.recsk")
    ...     recsk.save(model, path)
    ...     again = recsk.load(path)
    >>> np.array_equal(again.recommend()[0], model.recommend()[0])
    True
    """
    safetensors = import_safetensors()
    name = type(est).__name__
    if estimator_class(name) is not type(est):
        raise TypeError(
            f"est must be a fitted {estimator_names()}, or of another class with the decorator "
            "recsk.contract.register_estimator; got "
            f"{est if isinstance(est, type) else type(est)}"
        )
    path = os.fsdecode(path)
    target = Path(os.path.realpath(path))  # of a link, the file that it points to is replaced
    est = est._as_fitted()  # another thread may change it meanwhile
    if target.is_dir():
        raise IsADirectoryError(f"path must be a file, but {path!r} is a folder")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder of path={path!r} does not exist")
    try:
        text, arrays = _to_document(est)
        _to_estimator(parse_json(text), dict(arrays))  # fails if the file could not be loaded
        metadata = {FORMAT: text, "sha256": compute_checksum(text, arrays)}
        content = safetensors.numpy.save(arrays, metadata)
        length = int.from_bytes(content[:8], "little")
        if length > MAX_HEADER_BYTES:
            raise ValueError(
                f"its parameters, names and settings take {length} bytes, but a file can hold at "
                f"most {MAX_HEADER_BYTES}"
            )
    except ValueError as error:
        raise ValueError(f"this {name} cannot be saved: {error}") from error
    replace_file(target, content)


def load(path: str | bytes | os.PathLike[str], *, mmap: bool = False) -> Any:
    """Load a recommender that `save` wrote.

    A file from an unknown source is safe to load: no code from it runs, and loading takes a small
    multiple of its size in memory, whatever it contains. Its parameters and vectors can still
    have any values, so its recommendations need not be good.

    Parameters
    ----------
    path : str, bytes or path-like
        The file to read.
    mmap : bool, default=False
        Map the arrays into memory in place of reading them: only for files that you wrote
        yourself. It takes milliseconds, and processes share one copy. The header and the type,
        shape and position of every array are checked. The checksum and the values are not: a
        damaged file may give wrong answers or end the process. The arrays are read-only;
        `partial_fit` and `add_items` make new ones. `save` may replace the file meanwhile, but
        nothing may write into it.

    Returns
    -------
    estimator
        Fitted, with the parameters that it was saved with.

    Raises
    ------
    ImportError
        If safetensors is not installed.
    OSError
        If the file cannot be read, for example FileNotFoundError.
    TypeError
        If `mmap` is no bool.
    ValueError
        If `save` did not write the file, or it is damaged, has another format version, or
        contains anything unexpected.

    See Also
    --------
    save : Write the file.

    Examples
    --------
    >>> import os, tempfile
    >>> import recsk
    >>> from recsk.datasets import make_multimodal
    >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
    >>> model = recsk.MDERecommender(n_factors=8, max_epochs=1, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.recsk")
    ...     recsk.save(model.fit(data.interactions), path)
    ...     loaded = recsk.load(path)
    >>> loaded.recommend([0], k=5)[0].shape
    (1, 5)
    """
    safetensors = import_safetensors()
    if not isinstance(mmap, bool | np.bool_):
        raise TypeError(f"mmap must be a bool, got {mmap!r}")
    load_errors = ValueError, OverflowError, RecursionError, safetensors.SafetensorError
    path = os.fsdecode(path)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            length = read_header_length(file.read(8), size)
            header = file.read(length)
            text, checksum = read_metadata(header, size - 8 - length)
            document = read_document(text)
            if mmap:
                arrays = map_arrays(file.fileno(), header, size)
                return _to_estimator(document, arrays, check_values=False)
            file.seek(0)
            content = file.read(size)
            arrays = read_arrays(safetensors.deserialize(content))
            del content
            if compute_checksum(text, arrays) != checksum:
                raise ValueError("the checksum does not match: the file is damaged or was changed")
            return _to_estimator(document, arrays)
        except load_errors as error:
            raise ValueError(f"{path!r} cannot be loaded: {error}") from error


def _to_document(est: Any) -> tuple[str, Arrays]:
    """Convert an estimator to the JSON text and the arrays of its file."""
    arrays, values = {}, {}
    for name, value in flatten_state(est.get_state()).items():
        if isinstance(value, np.ndarray):
            arrays[name] = np.ascontiguousarray(value)
        else:
            values[name] = value
    params = est.get_params(deep=False)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "recsk": __version__,
        "estimator": type(est).__name__,
        "params": {name: param_to_json(name, value) for name, value in params.items()},
        "state": values,
    }
    return json.dumps(document, allow_nan=False), arrays


def _to_estimator(document: dict[str, Any], arrays: Arrays, *, check_values: bool = True) -> Any:
    """Check everything in a file, or all but the values of arrays, and make the estimator."""
    if document.keys() != _DOCUMENT_KEYS:
        raise ValueError(f"it has unexpected or missing entries: {shorten(sorted(document))}")
    name, params, state = document["estimator"], document["params"], document["state"]
    cls = estimator_class(name) if isinstance(name, str) else None
    if cls is None:
        raise ValueError(f"the estimator must be {estimator_names()}; got {shorten(name)}")
    expected = cls().get_params(deep=False).keys()
    if not isinstance(params, dict) or params.keys() != expected:
        different = sorted(expected ^ params.keys()) if isinstance(params, dict) else params
        raise ValueError(f"the parameters are not those of {name}: {shorten(different)}")
    if not isinstance(state, dict) or state.keys() & arrays.keys():
        raise ValueError("the state must be an object that has every name once")
    est = cls(**{key: param_from_json(key, value) for key, value in params.items()})
    est._validate_params()
    reader = StateReader({**state, **arrays}, check_values=check_values)
    est.set_state(reader)
    reader.check_all_read()
    return est
