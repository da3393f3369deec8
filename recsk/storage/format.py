"""The file format: arrays and a JSON text in a safetensors file, with a checksum over both.

The text holds everything that is not an array. The checksum finds damage, but it does not make a
file trustworthy, because anyone can compute one. Therefore every value is checked when it is read.

Raise `VERSION` when the parameters of an estimator or its state change, and describe here how
files of each earlier version are read:

1. The format of recsk 0.1.0.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.data.checks import describe, shorten
from recsk.storage.version import __version__

__all__ = [
    "compute_checksum",
    "import_safetensors",
    "map_arrays",
    "parse_json",
    "read_arrays",
    "read_document",
    "read_header_length",
    "read_metadata",
]

FORMAT = "recsk"
VERSION = 1
_DTYPES = {"F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8", "U8": "|u1"}
# Everything but the arrays is small. Python objects take about thirty times the memory of their
# JSON, so a large header could fill the memory.
MAX_HEADER_BYTES = 2**20
Arrays = dict[str, npt.NDArray[Any]]


def read_header_length(start: bytes, size: int) -> int:
    """Read the length of the header from the first eight bytes of a file of `size` bytes."""
    length = int.from_bytes(start, "little")
    if len(start) < 8 or not 0 < length <= size - 8:
        raise ValueError(
            f"its {size} bytes are not a file of recsk.save, or the file is incomplete"
        )
    if length > MAX_HEADER_BYTES:
        raise ValueError(
            f"its header has {length} bytes, but at most {MAX_HEADER_BYTES} are allowed"
        )
    return length


def read_metadata(header: bytes, data_size: int) -> tuple[str, str]:
    """Read the text and the checksum from a header; `data_size` is the size of the arrays."""
    entries = parse_json(header.decode())
    metadata = entries.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.keys() != {FORMAT, "sha256"}:
        raise ValueError("it was not written by recsk.save")
    text, checksum = metadata[FORMAT], metadata["sha256"]
    if not isinstance(text, str) or not isinstance(checksum, str):
        raise ValueError("its metadata must be text")
    # safetensors checks every array later. This check comes before the whole file is read.
    try:
        end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    except (LookupError, TypeError) as error:
        raise ValueError("its header does not give the positions of the arrays") from error
    if end != data_size:
        raise ValueError(
            f"its arrays take {_show(end, int)} bytes, but the file has {data_size} bytes for them"
        )
    return text, checksum


def read_document(text: str) -> dict[str, Any]:
    """Parse the JSON text of a file and check that this recsk can read its version."""
    document = parse_json(text)
    if document.get("format") != FORMAT:
        raise ValueError("it was not written by recsk.save")
    version = document.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ValueError(
            f"its format version is {_show(version, int)}, written by recsk "
            f"{_show(document.get('recsk'), str)}, but this recsk {__version__} reads the versions "
            f"1 to {VERSION}"
        )
    return document


def read_arrays(tensors: list[tuple[str, dict[str, Any]]]) -> Arrays:
    """Convert the tensors of safetensors, which has checked their sizes, to arrays."""
    arrays = {}
    for name, tensor in tensors:
        if tensor["dtype"] not in _DTYPES:
            raise ValueError(f"{name[:80]!r} has the unsupported dtype {tensor['dtype']}")
        array = np.frombuffer(tensor.pop("data"), dtype=_DTYPES[tensor["dtype"]])
        array = array.reshape(tensor["shape"])
        native = array.dtype.newbyteorder("=")
        # Older versions of safetensors return bytes, whose arrays are read-only.
        arrays[name] = array.astype(native, copy=not array.flags.writeable)
    return arrays


def map_arrays(file: int, header: bytes, size: int) -> Arrays:
    """Map the arrays of a file into memory, read-only, where its header says that they are.

    Parameters
    ----------
    file : int
        Descriptor of the open file; it may be closed afterwards.
    header : bytes
    size : int
        Of the file. The arrays follow the header and fill the rest, without gaps.
    """
    start = 8 + len(header)
    mapped = mmap.mmap(file, size, access=mmap.ACCESS_READ)
    entries = parse_json(header.decode())
    del entries["__metadata__"]
    arrays, position = {}, 0
    try:
        for name in sorted(entries, key=lambda name: entries[name]["data_offsets"]):
            dtype, shape = np.dtype(_DTYPES[entries[name]["dtype"]]), entries[name]["shape"]
            first, end = entries[name]["data_offsets"]
            lengths_are_sizes = all(type(length) is int and length >= 0 for length in shape)
            n_bytes = math.prod(shape) * dtype.itemsize if lengths_are_sizes else -1
            if first != position or end != first + n_bytes:
                raise ValueError(f"{name[:80]!r} has a shape that does not fit its position")
            array = np.ndarray(shape, dtype, mapped, start + first)
            # Files are aligned and little-endian, as nearly all machines are: no array is copied.
            native = array.astype(dtype.newbyteorder("="), copy=False)
            arrays[name], position = np.require(native, requirements="A"), end
    except (LookupError, TypeError) as error:
        raise ValueError("its header does not give types, shapes and positions") from error
    return arrays


def compute_checksum(text: str, arrays: Arrays) -> str:
    """Compute the SHA-256 of the text and all arrays, with their names, types and shapes."""
    names = sorted(arrays)
    kinds = [(name, arrays[name].dtype.name, arrays[name].shape) for name in names]
    digest = hashlib.sha256(json.dumps([text, kinds]).encode())
    for name in names:
        array = arrays[name]
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(-1).data)
    return digest.hexdigest()


def parse_json(text: str) -> dict[str, Any]:
    """Parse a JSON object; reject long numbers, repeated names and values such as NaN."""
    value = json.loads(
        text,
        object_pairs_hook=_make_object,
        parse_constant=_reject_constant,
        parse_int=_parse_int,
    )
    if not isinstance(value, dict):
        raise ValueError(f"its JSON must be an object; got {describe(value)}")
    return value


def _show(value: Any, expected: type) -> str:
    """Return a value for an error message, with its type if that is not the expected one."""
    return shorten(value) if type(value) is expected else describe(value)


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError("its JSON has a name twice")
    return entries


def _reject_constant(name: str) -> Any:
    raise ValueError(f"its JSON has the value {name}")


def _parse_int(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("its JSON has a number of more than 20 digits")
    return int(digits)


def import_safetensors() -> Any:
    """Import safetensors with its NumPy module, or raise an ImportError with the command."""
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "recsk.save and recsk.load need safetensors: pip install safetensors"
        ) from error
    return safetensors
