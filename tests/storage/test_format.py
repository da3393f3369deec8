"""The file format: damaged files, other files, forged documents and memory."""

import json
import pickle
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy

import recsk
from recsk.storage.format import VERSION
from tests.storage.forging import check_rejected, forge
from tests.storage.models import MODELS, assert_identical, fitted


def make_damaged(content, rng):
    """Return a copy of a file with one random damage."""
    damaged, size = bytearray(content), len(content)
    header = 8 + int.from_bytes(content[:8], "little")
    a, b = np.sort(rng.integers(size, size=2)).tolist()
    near = int(rng.integers(size - 64))
    kind = rng.integers(10)
    if kind == 0:
        return bytes(damaged[:a])
    if kind == 1:  # a bit anywhere
        damaged[a] ^= 1 << int(rng.integers(8))
    elif kind == 2:  # a bit in the header
        damaged[int(rng.integers(header))] ^= 1 << int(rng.integers(8))
    elif kind == 3:
        lengths = [0, 1, 7, header, size - 8, size, 2**20, 2**40, 2**63, 2**64 - 1]
        length = rng.choice(np.array([*lengths, header - 8 + int(rng.integers(-9, 9))], np.uint64))
        damaged[:8] = int(length).to_bytes(8, "little")
    elif kind == 4:
        damaged[near : near + 16] = rng.bytes(16)
    elif kind == 5:  # two sections swapped
        damaged[a : a + 32], damaged[b : b + 32] = damaged[b : b + 32], damaged[a : a + 32]
    elif kind == 6:
        del damaged[near : near + int(rng.integers(1, 64))]
    elif kind == 7:
        damaged[near:near] = rng.bytes(int(rng.integers(1, 64)))
    elif kind == 8:
        damaged[near : near + 64] = bytes(64)
    else:  # a digit in the header, so that it stays JSON
        digits = [i for i in range(8, header) if damaged[i] in b"0123456789"]
        damaged[int(rng.choice(digits))] = int(rng.choice(list(b"0123456789")))
    return bytes(damaged)


@pytest.mark.parametrize(("name", "seed"), [("MDE", 0), ("MDSRec", 1)])
def test_damaged_files_are_rejected(name, seed, path):
    model = fitted(name)
    recsk.save(model, path)
    content = path.read_bytes()
    rng = np.random.default_rng(seed)
    n_rejected = 0
    for _ in range(500):
        damaged = make_damaged(content, rng)
        path.write_bytes(damaged)
        try:
            again = recsk.load(path)
        except ValueError as error:
            assert str(path) in str(error) and "cannot be loaded: " in str(error)
            n_rejected += 1
        else:
            assert_identical(model, again)
    assert n_rejected > 450  # the others are unchanged, such as a digit replaced by itself


def test_the_checksum_covers_every_bit_of_the_arrays(path):
    recsk.save(fitted("MDE"), path)
    content = path.read_bytes()
    for position in (-1, -2000, 8 + int.from_bytes(content[:8], "little")):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match="the checksum does not match"):
                recsk.load(path)


def only_header(header):
    """Return a safetensors file without arrays, which safetensors 0.4.3 cannot write."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "its 0 bytes are not a file of recsk.save, or the file is incomplete"),
        (b"1234567", "its 7 bytes"),
        (bytes(8), "its 8 bytes"),
        (b"PK\3\4" + bytes(100), "its 104 bytes are not a file"),
        (pickle.dumps(list(range(100))), "bytes are not a file of recsk.save"),
        (safetensors.numpy.save({"a": np.ones(2)}), "it was not written by recsk.save"),
        (
            safetensors.numpy.save({"a": np.ones(2)}, {"recsk": "{}"}),
            "it was not written by recsk.save",
        ),
        (
            only_header({"__metadata__": {"recsk": "{}", "sha256": ""}}),
            "it was not written by recsk.save",
        ),
    ],
)
def test_files_that_save_did_not_write_are_rejected(content, message, path):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        recsk.load(path)


FORGERIES = {
    "not JSON": ("MDE", lambda d, a: "{", "Expecting"),
    "a list": ("MDE", lambda d, a: "[1]", r"must be an object; got list \[1\]"),
    "NaN": ("MDE", lambda d, a: '{"format": NaN}', "has the value NaN"),
    "a name twice": ("MDE", lambda d, a: '{"format": 1, "format": "recsk"}', "a name twice"),
    "a long number": ("MDE", lambda d, a: '{"format": 1%s}' % ("0" * 5000), "more than 20 digits"),
    "deep nesting": ("MDE", lambda d, a: "[" * 100_000, "recursion"),
    "another format": ("MDE", lambda d, a: d.update(format="other"), "not written by recsk.save"),
    "later version": (
        "MDE",
        lambda d, a: d.update(version=VERSION + 1),
        f"version is {VERSION + 1}, written by recsk '{recsk.__version__}', .* "
        f"reads the versions 1 to {VERSION}",
    ),
    "version is true": ("MDE", lambda d, a: d.update(version=True), "version is bool True"),
    "no version": ("MDE", lambda d, a: d.pop("version"), "version is NoneType None"),
    "another entry": (
        "MDE",
        lambda d, a: d.update(code="x"),
        "unexpected or missing entries.*code",
    ),
    "no params": ("MDE", lambda d, a: d.pop("params"), "unexpected or missing entries"),
    "another class": (
        "MDE",
        lambda d, a: d.update(estimator="MDSRecRecommender"),
        "parameters are not those of MDSRecRecommender",
    ),
    "unknown class": (
        "MDE",
        lambda d, a: d.update(estimator="os.system"),
        "must be .*, MDERecommender or MDSRecRecommender; got 'os.system'",
    ),
    "class is a list": ("MDE", lambda d, a: d.update(estimator=[]), "estimator must be"),
    "state is a list": (
        "MDE",
        lambda d, a: d.update(state=[]),
        "state must be an object that has every name once",
    ),
    "state value is missing": (
        "MDE",
        lambda d, a: d["state"].pop("n_iter_"),
        "'n_iter_' is missing",
    ),
    "state value is unknown": ("MDE", lambda d, a: d["state"].update(x=1), "'x' is unknown"),
    "state has a name twice": (
        "MDE",
        lambda d, a: d["state"].update(item_popularity_=1),
        "state must be an object that has every name once",
    ),
    "array is missing": ("MDE", lambda d, a: a.pop("fold.items"), "'fold.items' is missing"),
    "array is unknown": ("MDE", lambda d, a: a.update(x=np.ones(2)), "'x' is unknown"),
    "unsupported dtype": (
        "MDE",
        lambda d, a: a.update(user_embedding_=a["user_embedding_"].astype("f2")),
        "'user_embedding_' has the unsupported dtype F16",
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_wrong_document_is_rejected_though_the_checksum_is_valid(forgery, saved, path):
    model, change, message = FORGERIES[forgery]
    check_rejected(path, *saved(model), change, message)


def test_unchanged_parts_make_a_valid_file(saved, path):
    """Shows that the tests with changed parts fail because of the change."""
    for name in MODELS:
        forge(path, *saved(name))
        assert_identical(recsk.load(path), fitted(name))


def load_peak(path):
    """Return the peak memory of loading in bytes, and whether the file was rejected."""
    tracemalloc.start()
    try:
        recsk.load(path)
        return tracemalloc.get_traced_memory()[1], False
    except ValueError:
        return tracemalloc.get_traced_memory()[1], True
    finally:
        tracemalloc.stop()


def test_loading_a_valid_file_takes_little_memory(saved, path):
    document, arrays = saved("MDE")
    n_users = 30_000
    document["state"]["n_users_"] = n_users
    for name, array in arrays.items():
        if name.endswith("indptr") and not name.startswith(("item_to_item_", "links.")):
            arrays[name] = np.pad(array, (0, n_users + 1 - len(array)), mode="edge")
        elif array.shape[:1] == (30,):
            arrays[name] = np.repeat(array, n_users // 30, axis=0)
    forge(path, document, arrays)
    size = path.stat().st_size
    assert size > 3e6
    peak, is_rejected = load_peak(path)
    assert not is_rejected and peak < 3 * size


def raw_file(header, data=b"", length=None):
    """Return a file from its header (bytes or JSON) and data, with a given or the true length."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


def make_header(shape, end, dtype="F32"):
    """Return a header with one array, whose data ends at `end`."""
    return {
        "__metadata__": {"recsk": '{"format": "recsk", "version": 1}', "sha256": ""},
        "user_embedding_": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]},
    }


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(raw_file(make_header([2**40], 2**42)), id="huge shape"),
        pytest.param(raw_file(make_header([2**62, 2**62], 2**63)), id="shape that overflows"),
        pytest.param(raw_file(make_header([2**63, 0], 0)), id="empty, of a huge shape"),
        pytest.param(raw_file(make_header([1] * 100, 4), bytes(4)), id="more axes than NumPy has"),
        pytest.param(raw_file(make_header([-1], 4), bytes(4)), id="negative shape"),
        pytest.param(raw_file(make_header([1], [4]), bytes(4)), id="end is a list"),
        pytest.param(raw_file({**make_header([1], 4), "x": 1}, bytes(4)), id="array is a number"),
        pytest.param(raw_file(make_header([1.5], 4), bytes(4)), id="fractional shape"),
        pytest.param(raw_file(make_header([2], 4), bytes(4)), id="shape beyond the data"),
        pytest.param(raw_file(make_header([1], 4), bytes(8)), id="data of no array"),
        pytest.param(raw_file(make_header([1], 4, "F8_E4M3"), bytes(4)), id="dtype of eight bits"),
        pytest.param(raw_file(make_header([4], 4, "object"), bytes(4)), id="unknown dtype"),
        pytest.param(raw_file(b"{}", bytes(10), 2**63), id="huge header"),
        pytest.param(raw_file(b" " * (2**20 + 1)), id="header above the limit"),
        pytest.param(raw_file(b"[" * 2**20), id="deeply nested header"),
        pytest.param(raw_file(b'{"a":' * 2**17), id="deeply nested objects"),
        pytest.param(raw_file(b"[" + b"[]," * 10**5 + b"1]"), id="many lists"),
        pytest.param(raw_file(b"\xff" * 100), id="not UTF-8"),
        pytest.param(raw_file(b'{"__metadata__": 3}'), id="metadata is a number"),
        pytest.param(
            raw_file(b'{"__metadata__": {"recsk": 3, "sha256": 4}}'), id="text is a number"
        ),
    ],
)
def test_loading_a_forged_header_takes_little_memory(content, path):
    path.write_bytes(content)
    peak, is_rejected = load_peak(path)
    # Python parses the header, and its objects are larger than their JSON.
    assert is_rejected and peak < 2**18 + 40 * len(content)


def test_a_sparse_file_of_a_terabyte_is_not_read(path):
    """The file takes no space on the disk, but reading it would fill the memory."""
    with open(path, "wb") as file:
        file.write(raw_file(make_header([1], 4)))
        try:
            file.truncate(2**40)
        except OSError:
            pytest.skip("the file system does not support files of a terabyte")
    peak, is_rejected = load_peak(path)
    assert is_rejected and peak < 2**20
