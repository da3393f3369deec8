"""Files with a valid checksum and any content."""

import json

import pytest
import safetensors.numpy

import recsk
from recsk.storage.format import compute_checksum


def read_parts(content):
    """Return the JSON document and the arrays of a file."""
    length = int.from_bytes(content[:8], "little")
    text = json.loads(content[8 : 8 + length])["__metadata__"]["recsk"]
    return json.loads(text), safetensors.numpy.load(content)


def forge(path, document, arrays):
    """Write a file with a valid checksum."""
    text = document if isinstance(document, str) else json.dumps(document)
    metadata = {"recsk": text, "sha256": compute_checksum(text, arrays)}
    path.write_bytes(safetensors.numpy.save(arrays, metadata))


def check_rejected(path, document, arrays, change, message):
    """Change a document or its arrays, and check that `load` rejects the file."""
    text = change(document, arrays)
    if not isinstance(text, str) or text[0] not in "{[":
        text = json.dumps(document).replace("Infinity", "1e999")
    forge(path, text, arrays)
    with pytest.raises(ValueError, match=f"cannot be loaded: .*{message}"):
        recsk.load(path)


def replace_at(array, index, value):
    """Return a copy of an array with one value replaced."""
    array = array.copy()
    array[index] = value
    return array
