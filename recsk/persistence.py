"""Fitted recommenders as files that can be read without trusting whoever wrote them.

A file is in the safetensors format: arrays, and a text beside them. The text is JSON and holds
everything that is no array; a checksum over all of it finds damage. Since anybody can compute a
checksum, nothing is believed for it: every value is read by what it has to be.

Whoever adds a parameter to an estimator or a value to its state raises `_VERSION`, and says here
how files of the version before are read:

1. MDSRec has the center of the interest of every item, ``encoder.interests``, which is read as
   the different ones of these and which of them each item has.
2. It has these two, ``encoder.centers`` and ``encoder.cluster``.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

import recsk
from recsk._describe import describe
from recsk._files import replace_file
from recsk._state import StateReader, flatten
from recsk.base import BaseRecommender
from recsk.mde import MDERecommender
from recsk.mdsrec import MDSRecRecommender

__all__ = ["load", "save"]

_FORMAT = "recsk"
_VERSION = 2
# The only way from a name in a file to a class.
_ESTIMATORS: dict[str, type[BaseRecommender]] = {
    cls.__name__: cls for cls in (MDERecommender, MDSRecRecommender)
}
_ENTRIES = {"format", "version", "recsk", "estimator", "params", "state"}
# What a file must not decide: where the next fit writes to.
_NOT_SAVED = {"checkpoint": None}
_DTYPES = {"F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8", "U8": "|u1"}
# What is no array is small; Python's objects take some thirty times the room of their JSON.
_MAX_HEADER = 2**20

Arrays = dict[str, npt.NDArray[Any]]


def save(est: BaseRecommender, path: str | os.PathLike[str]) -> None:
    """Write a fitted recommender to a file that `load` reads without running any code.

    The file appears as a whole or not at all: until it is complete and on the disk, an older one
    under this name stays. What is kept are the parameters but for `checkpoint` and what `fit` has
    set, not attributes of your own nor requests for metadata routing.

    Parameters
    ----------
    est : MDERecommender or MDSRecRecommender
        Fitted.
    path : str or path-like
        Where to; any suffix will do.

    Raises
    ------
    ImportError
        If safetensors is not installed.
    FileNotFoundError, IsADirectoryError
        If the folder of `path` does not exist, or it is a folder itself.
    NotFittedError
        If `est` is not fitted.
    TypeError
        If `est` is of another class, subclasses of these included.
    ValueError
        If a parameter or fitted attribute is none that a file can hold; it is named, and nothing
        is written.

    See Also
    --------
    load : Reads it.

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
    safetensors = _safetensors()
    name = type(est).__name__
    if _ESTIMATORS.get(name) is not type(est):
        raise TypeError(
            f"est must be a fitted {' or '.join(_ESTIMATORS)}; got "
            f"{est if isinstance(est, type) else type(est)}"
        )
    target = Path(os.path.realpath(path))  # a link stays, and what it points to is replaced
    check_is_fitted(est)
    if target.is_dir():
        raise IsADirectoryError(f"path must name a file, and {str(path)!r} is a folder")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"path={str(path)!r} is in a folder that does not exist")
    try:
        text, arrays = _write(est)
        _build(_parse(text), dict(arrays))  # what could not be loaded is not saved
        metadata = {_FORMAT: text, "sha256": _checksum(text, arrays)}
        content = safetensors.numpy.save(arrays, metadata)
        length = int.from_bytes(content[:8], "little")
        if length > _MAX_HEADER:
            raise ValueError(
                f"parameters, names and settings take {length} bytes, and a file can hold "
                f"{_MAX_HEADER}"
            )
    except ValueError as error:
        raise ValueError(f"this {name} cannot be saved: {error}") from error
    replace_file(target, content)


def load(path: str | os.PathLike[str]) -> BaseRecommender:
    """Read a recommender that `save` wrote.

    No code from the file is run, and what it takes in memory is a small multiple of its size,
    whatever is in it. Its parameters and vectors may still be anyone's choice: a file from a
    stranger is safe to load, which does not make its recommendations good.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    MDERecommender or MDSRecRecommender
        Fitted, with the parameters it had.

    Raises
    ------
    ImportError
        If safetensors is not installed.
    OSError
        If the file cannot be read, such as FileNotFoundError.
    ValueError
        If it is no such file, damaged, of another version, or holds anything unexpected.

    See Also
    --------
    save : Writes it.

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
    safetensors = _safetensors()
    refused = ValueError, OverflowError, RecursionError, safetensors.SafetensorError
    path = os.fspath(path)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            length = _header_length(file.read(8), size)
            text, checksum = _metadata(file.read(length), size - 8 - length)
            document = _document(text)
            file.seek(0)
            content = file.read(size)
            arrays = _arrays(safetensors.deserialize(content))
            del content
            if _checksum(text, arrays) != checksum:
                raise ValueError("the checksum does not match: it was damaged or changed")
            return _build(document, arrays)
        except refused as error:
            raise ValueError(f"{path!r} cannot be loaded: {error}") from error


# -------------------------------------------------------------------------- from and to one model


def _write(est: BaseRecommender) -> tuple[str, Arrays]:
    """The text and the arrays of a file."""
    arrays, values = {}, {}
    for name, value in flatten(est._get_state()).items():
        if isinstance(value, np.ndarray):
            arrays[name] = np.ascontiguousarray(value)
        else:
            values[name] = value
    params = est.get_params(deep=False) | _NOT_SAVED
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "recsk": recsk.__version__,
        "estimator": type(est).__name__,
        "params": {name: _param_to_json(name, value) for name, value in params.items()},
        "state": values,
    }
    return json.dumps(document, allow_nan=False), arrays


def _build(document: dict[str, Any], arrays: Arrays) -> BaseRecommender:
    """Make an estimator of what a file says, once everything in it is as it should be."""
    if document.keys() != _ENTRIES:
        raise ValueError(f"it has other entries than expected: {describe(sorted(document))}")
    name, params, state = document["estimator"], document["params"], document["state"]
    if not isinstance(name, str) or name not in _ESTIMATORS:
        raise ValueError(f"the estimator must be {' or '.join(_ESTIMATORS)}; got {describe(name)}")
    cls = _ESTIMATORS[name]
    known = cls().get_params(deep=False).keys()
    if not isinstance(params, dict) or params.keys() != known:
        different = sorted(known ^ params.keys()) if isinstance(params, dict) else params
        raise ValueError(f"the parameters are not those of {name}: {describe(different)}")
    if not isinstance(state, dict) or state.keys() & arrays.keys():
        raise ValueError("the state must have every name once")
    if wrong := [key for key, value in _NOT_SAVED.items() if params[key] != value]:
        raise ValueError(f"the parameter {wrong[0]!r} must be {_NOT_SAVED[wrong[0]]!r}")
    est = cls(**{key: _param_from_json(key, value) for key, value in params.items()})
    est._validate_params()
    reader = StateReader({**state, **arrays})
    est._set_state(reader)
    reader.finish()
    return est


def _param_to_json(name: str, value: Any) -> Any:
    """A parameter as JSON: plain values as they are, others as a dict that names their kind."""
    if isinstance(value, np.generic):
        value = value.item()
    if _is_plain(value):
        return value
    if isinstance(value, np.random.RandomState):
        state = value.get_state(legacy=False)
        if isinstance(state, dict) and state["bit_generator"] == "MT19937":
            twister = state["state"]
            numbers = [twister["pos"], state["has_gauss"], state["gauss"]]
            return {"RandomState": [*twister["key"].tolist(), *numbers]}
    kind = str(value.dtype) if isinstance(value, np.ndarray) else type(value).__name__
    if kind in _LISTS and getattr(value, "ndim", 1) == 1:
        numbers = [x.item() if isinstance(x, np.generic) else x for x in value]
        if all(map(_is_number, numbers)):
            return {kind: numbers}
    raise ValueError(
        f"the parameter {name!r} must be None, a bool, a finite number, a string, a RandomState, "
        "or a list, tuple or 1-D array (float32, float64, int32, int64) of finite numbers; got "
        f"{describe(value)}"
    )


def _param_from_json(name: str, value: Any) -> Any:
    if _is_plain(value):
        return value
    if isinstance(value, dict) and len(value) == 1:
        ((kind, numbers),) = value.items()
        if isinstance(numbers, list) and all(map(_is_number, numbers)):
            if kind in _LISTS:
                return _LISTS[kind](numbers)
            if kind == "RandomState":
                return _random_state(numbers)
    raise ValueError(f"the parameter {name!r} is {describe(value)}")


def _is_plain(value: Any) -> bool:
    return value is None or type(value) in (bool, str) or _is_number(value)


def _is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _array_of(dtype: type[np.number[Any]]) -> Callable[[list[Any]], npt.NDArray[Any]]:
    def make(numbers: list[Any]) -> npt.NDArray[Any]:
        try:
            with np.errstate(over="ignore"):
                array = np.array(numbers, dtype=dtype)
        except OverflowError:
            array = np.empty(0)
        if array.tolist() != numbers:
            raise ValueError(f"an array of {dtype.__name__} cannot hold {describe(numbers)}")
        return array

    return make


_LISTS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    **{dtype.__name__: _array_of(dtype) for dtype in (np.float32, np.float64, np.int32, np.int64)},
}


def _random_state(numbers: list[Any]) -> np.random.RandomState:
    """Make a Mersenne Twister that is in a state which it can reach."""
    *key, position, has_gauss, gauss = numbers if len(numbers) > 3 else [0] * 4
    if (
        len(key) != 624
        or not all(type(word) is int and 0 <= word < 2**32 for word in key)
        # From zeros it would only ever draw zeros, and who waits for another number waits forever.
        or not (any(key[1:]) or key[0] >= 2**31)
        or type(position) is not int
        or not 0 <= position <= 624
        or has_gauss not in (0, 1)
    ):
        raise ValueError("a RandomState is in no state that it can reach")
    state = np.random.RandomState()
    state.set_state(("MT19937", np.array(key, np.uint32), position, int(has_gauss), float(gauss)))
    return state


# ------------------------------------------------------------------------------ from and to bytes


def _header_length(start: bytes, size: int) -> int:
    length = int.from_bytes(start, "little")
    if len(start) < 8 or not 0 < length <= size - 8:
        raise ValueError(f"its {size} bytes are no file that recsk.save wrote, or not all of it")
    if length > _MAX_HEADER:
        raise ValueError(f"its header has {length} bytes, and {_MAX_HEADER} are allowed")
    return length


def _metadata(header: bytes, data_size: int) -> tuple[str, str]:
    """The text and the checksum that a header holds beside the arrays."""
    entries = _parse(header.decode())
    metadata = entries.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.keys() != {_FORMAT, "sha256"}:
        raise ValueError("it is not from recsk.save")
    text, checksum = metadata[_FORMAT], metadata["sha256"]
    if not isinstance(text, str) or not isinstance(checksum, str):
        raise ValueError("its metadata must be text")
    # safetensors looks at every array; this is to know before all of the file is read.
    try:
        end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    except (LookupError, TypeError) as error:
        raise ValueError("its header does not say where the arrays are") from error
    if end != data_size:
        raise ValueError(f"its arrays take {describe(end)} bytes, and the file has {data_size}")
    return text, checksum


def _document(text: str) -> dict[str, Any]:
    """The JSON of a file, of a version that this recsk can read."""
    document = _parse(text)
    if document.get("format") != _FORMAT:
        raise ValueError("it is not from recsk.save")
    version = document.get("version")
    if type(version) is not int or not 1 <= version <= _VERSION:
        raise ValueError(
            f"its format is of version {describe(version)}, by recsk "
            f"{describe(document.get('recsk'))}, and this recsk {recsk.__version__} reads "
            f"versions 1 to {_VERSION}"
        )
    return document


def _arrays(tensors: list[tuple[str, dict[str, Any]]]) -> Arrays:
    """What safetensors read, which has compared sizes with the file, as arrays."""
    arrays = {}
    for name, tensor in tensors:
        if tensor["dtype"] not in _DTYPES:
            raise ValueError(f"{name[:80]!r} has the dtype {tensor['dtype']}")
        array = np.frombuffer(tensor.pop("data"), dtype=_DTYPES[tensor["dtype"]])
        array = array.reshape(tensor["shape"])
        native = array.dtype.newbyteorder("=")
        # Older versions of safetensors give bytes, which cannot be written to.
        arrays[name] = array.astype(native, copy=not array.flags.writeable)
    return arrays


def _checksum(text: str, arrays: Arrays) -> str:
    names = sorted(arrays)
    kinds = [(name, arrays[name].dtype.name, arrays[name].shape) for name in names]
    digest = hashlib.sha256(json.dumps([text, kinds]).encode())
    for name in names:
        array = arrays[name]
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(-1).data)
    return digest.hexdigest()


def _parse(text: str) -> dict[str, Any]:
    """Read a JSON object; what Python takes beyond JSON is refused, and so are large numbers."""
    value = json.loads(
        text,
        object_pairs_hook=_unique,
        parse_constant=_no_constant,
        parse_int=_int,
    )
    if not isinstance(value, dict):
        raise ValueError(f"its JSON must be an object; got {describe(value)}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError("its JSON has a name twice")
    return entries


def _no_constant(name: str) -> Any:
    raise ValueError(f"its JSON has the value {name}")


def _int(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("its JSON has a number of more than 20 digits")
    return int(digits)


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "recsk.save and recsk.load need safetensors: pip install safetensors"
        ) from error
    return safetensors
