"""Files of models: the same model comes back, or an error, and nothing else ever happens."""

import copy
import errno
import functools
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import recsk
from recsk import Interactions, MDERecommender, MDSRecRecommender, persistence
from tests.contract import FEATURES, N_ITEMS, TEST, TRAIN, answers, as_matrix

SMALL = {"n_factors": 4, "max_epochs": 2, "random_state": 0, "device": "cpu"}
FIXED = np.array([0.25, 0.75], dtype=np.float32)
MODELS = {
    "MDE": (MDERecommender(**SMALL, user_neighbors=3, preference=FIXED), FEATURES),
    "MDE, sum": (MDERecommender(**SMALL, fusion="sum", similarity="dot", n_layers=0), FEATURES),
    "MDE without features": (MDERecommender(**SMALL, max_degree=None), None),
    "MDSRec": (MDSRecRecommender(**SMALL, n_interests=3, max_length=7), FEATURES),
    "MDSRec, mean": (MDSRecRecommender(**SMALL, item_vectors="mean", n_interests=0), FEATURES),
    "MDSRec without features": (MDSRecRecommender(**SMALL), None),
}
NAMES = ["", "é\n", *(f"item {i}" for i in range(2, N_ITEMS))]


@functools.cache
def fitted(name):
    est, features = MODELS[name]
    X = TRAIN
    if name == "MDE without features":
        X = pd.DataFrame(as_matrix(TRAIN).toarray(), columns=NAMES)
    # With an eval_set there is a curve of validation too.
    eval_set = TEST if features is not None else None
    return clone(est).fit(X, item_features=features, eval_set=eval_set)


@pytest.fixture(params=MODELS)
def model(request):
    return fitted(request.param)


@pytest.fixture(params=["MDE", "MDSRec"])
def one_of_each(request):
    return fitted(request.param)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.recsk"


def assert_identical(a, b):
    """The same in everything that can be seen of a model."""
    assert type(a) is type(b) and repr(a) == repr(b) and vars(a).keys() == vars(b).keys()
    for (ids, scores), (other_ids, other_scores) in zip(answers(a), answers(b), strict=True):
        np.testing.assert_array_equal(ids, other_ids)
        np.testing.assert_array_equal(scores, other_scores)
    for name in [name for name in vars(a) if name.endswith("_")]:
        one, other = getattr(a, name), getattr(b, name)
        assert type(one) is type(other)
        if name == "interactions_":
            assert (one != other).nnz == 0 and one.dtype == other.dtype
        elif isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype and other.flags.writeable
        else:
            assert one == other


# ----------------------------------------------------------------------------------- there and back


def test_a_model_comes_back(model, path):
    assert recsk.save(model, path) is None
    again = recsk.load(path)
    assert_identical(model, again)
    X = pd.DataFrame(as_matrix(TEST).toarray(), columns=NAMES)
    X = X if hasattr(model, "feature_names_in_") else TEST
    assert again.score(X) == model.score(X)
    if isinstance(model, MDSRecRecommender):
        histories = [[3, 4], [], [5, 3, 5]]
        np.testing.assert_array_equal(
            again.user_modality_weights(histories), model.user_modality_weights(histories)
        )


def test_what_comes_back_is_an_estimator_like_any_other(model, path):
    recsk.save(model, path)
    again = recsk.load(path)
    assert_identical(pickle.loads(pickle.dumps(again)), model)
    with pytest.raises(NotFittedError):
        clone(again).recommend(0)
    features = FEATURES if model.modality_names_ else None
    eval_set = TEST if features is not None else None
    refitted = clone(again).fit(TRAIN, item_features=features, eval_set=eval_set)
    np.testing.assert_array_equal(refitted.recommend()[0], model.recommend()[0])
    recsk.save(again, path)  # over itself
    assert_identical(recsk.load(path), model)


def test_the_same_model_gives_the_same_file(one_of_each, path):
    recsk.save(one_of_each, path)
    before = path.read_bytes()
    recsk.save(recsk.load(path), path)
    document, arrays = parts(path.read_bytes())
    assert document == parts(before)[0] and arrays.keys() == parts(before)[1].keys()


@pytest.mark.parametrize("form", [str, Path])
def test_paths(form, path):
    recsk.save(fitted("MDE"), form(path))
    assert_identical(recsk.load(form(path)), fitted("MDE"))
    for wrong in (3, None):
        with pytest.raises(TypeError):
            recsk.load(wrong)
        with pytest.raises(TypeError):
            recsk.save(fitted("MDE"), wrong)


def test_a_memory_mapped_model_is_saved_too(tmp_path, path):
    joblib.dump(fitted("MDSRec"), tmp_path / "model.joblib")
    recsk.save(joblib.load(tmp_path / "model.joblib", mmap_mode="r"), path)
    assert_identical(recsk.load(path), fitted("MDSRec"))


def test_parameters_of_every_kind(path):
    model = copy.copy(fitted("MDE"))
    used = np.random.RandomState(3)
    used.normal()  # the second of a pair waits in its state
    for params in (
        {"alpha": np.float64(0.1), "n_factors": np.int64(4), "normalize": np.bool_(True)},
        {"alpha": 1, "max_degree": None, "early_stopping": True, "verbose": 2},
        {"random_state": None, "preference": "learned"},
        {"random_state": used, "preference": [np.float32(0.5), 1]},
        {"preference": (0.1, 0.2)},
        {"preference": np.array([0.1, 0.2])},
        {"preference": np.array([1, 3], dtype=np.int32)},
    ):
        recsk.save(model.set_params(**params), path)
        got = recsk.load(path).get_params()
        for name, value in params.items():
            if isinstance(value, np.random.RandomState):
                expected = copy.deepcopy(value).normal(size=1000)
                np.testing.assert_array_equal(got[name].normal(size=1000), expected)
            else:
                np.testing.assert_array_equal(got[name], value)
                plain = value.item() if isinstance(value, np.generic) else value
                assert type(got[name]) is type(plain)


# ------------------------------------------------------------------------------- what is not saved


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"preference": pd.Series([0.5, 0.5])}, "parameter 'preference' must be .* got Series"),
        ({"preference": [[0.5, 0.5]]}, "parameter 'preference' must be"),
        ({"preference": [0.5, np.nan]}, "parameter 'preference' must be"),
        ({"preference": np.ones((2, 2))}, r"parameter 'preference' .* shape \(2, 2\)"),
        ({"preference": np.array(["a"])}, "parameter 'preference' must be"),
        ({"preference": np.array(1.0)}, "parameter 'preference' must be"),
        ({"alpha": np.inf}, "parameter 'alpha' must be .* finite number.* got float inf"),
        ({"alpha": object()}, "parameter 'alpha' must be"),
        ({"n_factors": 0}, "'n_factors' parameter of MDERecommender must be an int"),
        ({"n_factors": 10**30}, "more than 20 digits"),
        (
            {"random_state": np.random.RandomState(np.random.PCG64(0))},
            "parameter 'random_state' must be .* got RandomState",
        ),
        ({"eval_metric": "x" * 2**20}, "take 1.* bytes, and a file can hold 1048576"),
    ],
)
def test_parameters_that_no_file_can_hold(params, message, path):
    path.write_bytes(b"old")
    model = copy.copy(fitted("MDE")).set_params(**params)
    with pytest.raises(ValueError, match=f"this MDERecommender cannot be saved: .*{message}"):
        recsk.save(model, path)
    assert path.read_bytes() == b"old" and os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("user_embedding_", np.ones((30, 8)), "user_embedding_ must be an array of dtype float32"),
        ("user_embedding_", np.full((30, 8), np.nan, "f4"), "user_embedding_ must be finite"),
        ("item_embedding_", np.ones((5, 8), "f4"), r"item_embedding_ must be of shape \(24, 8\)"),
        ("interactions_", TRAIN.to_csr() * 2, "interactions must hold ones only"),
        ("modality_names_", "vt", "modality_names_ must be a list of strings; got str 'vt'"),
        ("n_users_", 31, "interactions_.indptr does not divide"),
    ],
)
def test_attributes_that_no_file_can_hold(name, value, message, path):
    model = copy.copy(fitted("MDE"))
    setattr(model, name, value)
    with pytest.raises(ValueError, match=f"cannot be saved: {message}"):
        recsk.save(model, path)
    assert not path.exists()


def test_what_is_no_fitted_recommender(path):
    class Mine(MDERecommender):
        pass

    mine = Mine(**SMALL).fit(TRAIN)
    for wrong in (mine, np.eye(2), None, MDERecommender):
        with pytest.raises(TypeError, match="fitted MDERecommender or MDSRecRecommender; got"):
            recsk.save(wrong, path)
    for est in (MDERecommender(), MDSRecRecommender()):
        with pytest.raises(NotFittedError, match=type(est).__name__):
            recsk.save(est, path)
    assert not path.exists()


def test_without_safetensors(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (lambda: recsk.save(fitted("MDE"), path), lambda: recsk.load(path)):
        with pytest.raises(ImportError, match="pip install safetensors"):
            call()


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        recsk.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="path=.*no folder.model.* does not exist"):
        recsk.save(fitted("MDE"), tmp_path / "no folder" / "model")
    with pytest.raises(IsADirectoryError, match="path must name a file, and .* is a folder"):
        recsk.save(fitted("MDE"), tmp_path)
    with pytest.raises(OSError):
        recsk.load(tmp_path)
    with pytest.raises(OSError):
        recsk.save(fitted("MDE"), tmp_path)
    assert os.listdir(tmp_path) == []


# ----------------------------------------------------------------------------------- damaged files


def mutated(content, rng):
    """What a disk, a network or an attacker may make of a file."""
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
def test_no_damage_goes_unnoticed(name, seed, path):
    model = fitted(name)
    recsk.save(model, path)
    content = path.read_bytes()
    rng = np.random.default_rng(seed)
    refused = 0
    for _ in range(500):
        damaged = mutated(content, rng)
        path.write_bytes(damaged)
        try:
            again = recsk.load(path)
        except ValueError as error:
            assert str(path) in str(error) and "cannot be loaded: " in str(error)
            refused += 1
        else:
            assert_identical(model, again)
    assert refused > 450  # what is left had the same digit written over itself, or the like


def test_every_bit_of_a_piece_of_data_counts(path):
    recsk.save(fitted("MDE"), path)
    content = path.read_bytes()
    for place in (-1, -2000, 8 + int.from_bytes(content[:8], "little")):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match="the checksum does not match"):
                recsk.load(path)


def only_header(header):
    """A file of safetensors without arrays; safetensors 0.4.3 writes no JSON for one."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "its 0 bytes are no file that recsk.save wrote, or not all of it"),
        (b"1234567", "its 7 bytes"),
        (bytes(8), "its 8 bytes"),
        (b"PK\3\4" + bytes(100), "its 104 bytes are no file"),
        (pickle.dumps(list(range(100))), "bytes are no file that recsk.save wrote"),
        (safetensors.numpy.save({"a": np.ones(2)}), "it is not from recsk.save"),
        (safetensors.numpy.save({"a": np.ones(2)}, {"recsk": "{}"}), "it is not from recsk.save"),
        (
            only_header({"__metadata__": {"recsk": "{}", "sha256": ""}}),
            "it is not from recsk.save",
        ),
    ],
)
def test_other_files(content, message, path):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        recsk.load(path)


# ------------------------------------------------------------------------------------ forged files


def parts(content):
    """The JSON of a file, and its arrays."""
    length = int.from_bytes(content[:8], "little")
    text = json.loads(content[8 : 8 + length])["__metadata__"]["recsk"]
    return json.loads(text), safetensors.numpy.load(content)


def forge(path, document, arrays):
    """Write a file whose checksum is right, whatever it says."""
    text = document if isinstance(document, str) else json.dumps(document)
    metadata = {"recsk": text, "sha256": persistence._checksum(text, arrays)}
    path.write_bytes(safetensors.numpy.save(arrays, metadata))


@functools.cache
def _saved(name, folder):
    path = folder / name
    recsk.save(fitted(name), path)
    return path.read_bytes()


@pytest.fixture
def saved(tmp_path_factory):
    """From a name to fresh parts of the file."""
    folder = tmp_path_factory.getbasetemp()
    return lambda name: parts(_saved(name, folder))


def set_at(array, index, value):
    array = array.copy()
    array[index] = value
    return array


INFINITE = float("inf")  # which is written as 1e999
INTERACTIONS = "interactions_.indices"
FIRST_ROW = int(TRAIN.to_csr().indptr[1])
FORGERIES = {
    "not JSON": ("MDE", lambda d, a: "{", "Expecting"),
    "a list": ("MDE", lambda d, a: "[1]", r"must be an object; got list \[1\]"),
    "NaN": ("MDE", lambda d, a: '{"format": NaN}', "has the value NaN"),
    "a name twice": ("MDE", lambda d, a: '{"format": 1, "format": "recsk"}', "a name twice"),
    "a long number": ("MDE", lambda d, a: '{"format": 1%s}' % ("0" * 5000), "more than 20 digits"),
    "deep": ("MDE", lambda d, a: "[" * 100_000, "recursion"),
    "format": ("MDE", lambda d, a: d.update(format="other"), "not from recsk.save"),
    "later version": (
        "MDE",
        lambda d, a: d.update(version=3),
        f"of version int 3, by recsk str '{recsk.__version__}', .* reads versions 1 to 2",
    ),
    "version true": ("MDE", lambda d, a: d.update(version=True), "version bool True"),
    "no version": ("MDE", lambda d, a: d.pop("version"), "version NoneType None"),
    "another entry": ("MDE", lambda d, a: d.update(code="x"), "other entries than expected.*code"),
    "no params": ("MDE", lambda d, a: d.pop("params"), "other entries than expected"),
    "another class": (
        "MDE",
        lambda d, a: d.update(estimator="MDSRecRecommender"),
        "parameters are not those of MDSRecRecommender",
    ),
    "no class of recsk": (
        "MDE",
        lambda d, a: d.update(estimator="os.system"),
        "must be MDERecommender or MDSRecRecommender; got str 'os.system'",
    ),
    "class a list": ("MDE", lambda d, a: d.update(estimator=[]), "estimator must be"),
    "params a list": ("MDE", lambda d, a: d.update(params=[]), "parameters are not those"),
    "another parameter": ("MDE", lambda d, a: d["params"].update(hook="x"), r"are not.*\['hook'\]"),
    "parameter missing": ("MDE", lambda d, a: d["params"].pop("alpha"), r"are not.*\['alpha'\]"),
    "parameter out of range": (
        "MDE",
        lambda d, a: d["params"].update(alpha=-1),
        "'alpha' parameter of MDERecommender must be",
    ),
    "parameter infinite": ("MDE", lambda d, a: d["params"].update(alpha=INFINITE), "'alpha'"),
    "parameter of another type": ("MDE", lambda d, a: d["params"].update(loss=3), "'loss'"),
    "parameter an object": (
        "MDE",
        lambda d, a: d["params"].update(device={"__reduce__": []}),
        "parameter 'device' is dict",
    ),
    "parameter a text in a list": (
        "MDE",
        lambda d, a: d["params"].update(preference={"list": ["x"]}),
        "parameter 'preference' is dict",
    ),
    "parameter an array that overflows": (
        "MDE",
        lambda d, a: d["params"].update(preference={"float32": [1e300]}),
        "float32 cannot hold",
    ),
    "parameter an array of fractions": (
        "MDE",
        lambda d, a: d["params"].update(preference={"int32": [1.5]}),
        "int32 cannot hold",
    ),
    "parameter an array too large for its type": (
        "MDE",
        lambda d, a: d["params"].update(preference={"int64": [2**64 - 1]}),
        "int64 cannot hold",
    ),
    "RandomState of zeros": (
        "MDE",
        lambda d, a: d["params"].update(random_state={"RandomState": [0] * 627}),
        "no state that it can reach",
    ),
    "RandomState too short": (
        "MDE",
        lambda d, a: d["params"].update(random_state={"RandomState": [1]}),
        "no state that it can reach",
    ),
    "RandomState beyond its end": (
        "MDE",
        lambda d, a: d["params"].update(random_state={"RandomState": [1] * 624 + [625, 0, 0.0]}),
        "no state that it can reach",
    ),
    "a place to write to": (
        "MDE",
        lambda d, a: d["params"].update(checkpoint="/etc/passwd"),
        "the parameter 'checkpoint' must be None",
    ),
    "state a list": ("MDE", lambda d, a: d.update(state=[]), "state must have every name once"),
    "state missing": ("MDE", lambda d, a: d["state"].pop("n_iter_"), "'n_iter_' is missing"),
    "state unknown": ("MDE", lambda d, a: d["state"].update(x=1), "'x' is not known"),
    "state twice": (
        "MDE",
        lambda d, a: d["state"].update(item_popularity_=1),
        "state must have every name once",
    ),
    "array missing": ("MDE", lambda d, a: a.pop("fold.items"), "'fold.items' is missing"),
    "array unknown": ("MDE", lambda d, a: a.update(x=np.ones(2)), "'x' is not known"),
    "array as a number": (
        "MDE",
        lambda d, a: (a.pop("item_popularity_"), d["state"].update(item_popularity_=1)),
        "item_popularity_ must be an array .* got int 1",
    ),
    "wrong dtype": (
        "MDE",
        lambda d, a: a.update(user_embedding_=a["user_embedding_"].astype("f8")),
        "user_embedding_ must be an array of dtype float32",
    ),
    "dtype that no model has": (
        "MDE",
        lambda d, a: a.update(user_embedding_=a["user_embedding_"].astype("f2")),
        "'user_embedding_' has the dtype F16",
    ),
    "NaN vectors": (
        "MDE",
        lambda d, a: a.update(item_embedding_=set_at(a["item_embedding_"], (3, 2), np.nan)),
        "item_embedding_ must be finite",
    ),
    "infinite weights": (
        "MDSRec",
        lambda d, a: a.update({"encoder.items": set_at(a["encoder.items"], (0, 3, 2), np.inf)}),
        "encoder.items must be finite",
    ),
    "user and item vectors of two widths": (
        "MDE",
        lambda d, a: a.update(item_embedding_=a["item_embedding_"][:, :7].copy()),
        r"item_embedding_ must be of shape \(24, 8\)",
    ),
    "vectors without width": (
        "MDE",
        lambda d, a: a.update(user_embedding_=np.ones((30, 0), "f4")),
        r"user_embedding_ must be of shape \(30, any\)",
    ),
    "empty vectors of a huge shape": (
        "MDE",
        lambda d, a: a.update(user_embedding_=np.ones((0, 2**40), "f4")),
        "user_embedding_ must be of shape",
    ),
    "more users than rows": (
        "MDE",
        lambda d, a: d["state"].update(n_users_=10**15),
        "does not divide .* among 1000000000000000 rows",
    ),
    "users true": ("MDE", lambda d, a: d["state"].update(n_users_=True), "n_users_ must be an int"),
    "more items than columns": (
        "MDE",
        lambda d, a: d["state"].update(n_features_in_=10**15),
        r"item_embedding_ must be of shape \(1000000000000000, 8\)",
    ),
    "fewer items than columns": (
        "MDE",
        lambda d, a: d["state"].update(n_features_in_=20),
        "interactions_.indices go beyond the 20 columns",
    ),
    "item out of range": (
        "MDE",
        lambda d, a: a.update({INTERACTIONS: set_at(a[INTERACTIONS], FIRST_ROW - 1, 24)}),
        "interactions_.indices go beyond the 24 columns",
    ),
    "item negative": (
        "MDSRec",
        lambda d, a: a.update({INTERACTIONS: set_at(a[INTERACTIONS], 0, -1)}),
        "interactions_.indices go beyond",
    ),
    "item of the fold-in out of range": (
        "MDE",
        lambda d, a: a.update(
            {"fold.interactions.indices": set_at(a["fold.interactions.indices"], -1, 2**31 - 1)}
        ),
        "fold.interactions.indices go beyond",
    ),
    "item twice": (
        "MDE",
        lambda d, a: a.update({INTERACTIONS: set_at(a[INTERACTIONS], 1, a[INTERACTIONS][0])}),
        "interactions_.indices must ascend within each row",
    ),
    "rows that go back": (
        "MDE",
        lambda d, a: a.update(
            {"interactions_.indptr": set_at(a["interactions_.indptr"], 1, -(2**31))}
        ),
        "interactions_.indptr does not divide",
    ),
    "rows that end too late": (
        "MDE",
        lambda d, a: a.update(
            {"interactions_.indptr": set_at(a["interactions_.indptr"], -1, 2**31 - 1)}
        ),
        "interactions_.indptr does not divide",
    ),
    "rows as fractions": (
        "MDE",
        lambda d, a: a.update({"interactions_.indptr": a["interactions_.indptr"].astype("f4")}),
        "interactions_.indptr must be a 1-D array of int32 or int64",
    ),
    "rows of another dtype": (
        "MDE",
        lambda d, a: a.update({"interactions_.indptr": a["interactions_.indptr"].astype("i8")}),
        "indices of dtypes int64 and int32",
    ),
    "names a text": (
        "MDE",
        lambda d, a: d["state"].update(modality_names_="vt"),
        "modality_names_ must be a list of strings",
    ),
    "one modality more": (
        "MDE",
        lambda d, a: d["state"]["modality_names_"].append("x"),
        r"user_preference_ must be of shape \(30, 3\)",
    ),
    "best epoch after the last": (
        "MDE",
        lambda d, a: d["state"].update(best_iter_=3),
        "best_iter_ must be an int from 0 to 2; got int 3",
    ),
    "curve of nobody": (
        "MDE",
        lambda d, a: a.update({"loss_curve_.x": np.ones(2)}),
        "'loss_curve_.x' is not known",
    ),
    "curve missing": (
        "MDE",
        lambda d, a: d["state"]["loss_terms"].append("x"),
        "'loss_curve_.x' is missing",
    ),
    "curve of two axes": (
        "MDE",
        lambda d, a: a.update(validation_curve_=np.ones((1, 2))),
        r"validation_curve_ must be of shape \(2\)",
    ),
    "fusion": (
        "MDE",
        lambda d, a: d["state"].update({"fuse.fusion": "max"}),
        "fuse.fusion must be one of concat, sum; got str 'max'",
    ),
    "another fusion": (
        "MDE",
        lambda d, a: d["state"].update({"fuse.fusion": "sum"}),
        r"fold.messages must be of shape \(24, 16\)",
    ),
    "layers": (
        "MDE",
        lambda d, a: d["state"].update({"fold.n_layers": -1}),
        "fold.n_layers must be an int from 0",
    ),
    "max_degree": (
        "MDE",
        lambda d, a: d["state"].update({"fold.max_degree": 0}),
        "fold.max_degree must be an int from 1",
    ),
    "normalize": (
        "MDE",
        lambda d, a: d["state"].update({"fold.normalize": None}),
        "fold.normalize must be true or false",
    ),
    "names of items missing": (
        "MDE without features",
        lambda d, a: a.pop("feature_names_in_.utf8"),
        "'feature_names_in_.utf8' is missing",
    ),
    "names of items too few": (
        "MDE without features",
        lambda d, a: a.update(
            {"feature_names_in_.lengths": a["feature_names_in_.lengths"][:-1].copy()}
        ),
        r"feature_names_in_.lengths must be of shape \(24\)",
    ),
    "names of items too long": (
        "MDE without features",
        lambda d, a: a.update(
            {"feature_names_in_.lengths": set_at(a["feature_names_in_.lengths"], 0, 2**62)}
        ),
        "feature_names_in_.lengths do not divide a text",
    ),
    "names of items not UTF-8": (
        "MDE without features",
        lambda d, a: a.update(
            {"feature_names_in_.utf8": set_at(a["feature_names_in_.utf8"], 0, 255)}
        ),
        "feature_names_in_.utf8 is not UTF-8",
    ),
    "blocks": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.n_blocks": 10**9}),
        "weights do not make 1000000000 blocks",
    ),
    "one block fewer": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.n_blocks": 1}),
        "weights of the encoder do not fit its settings",
    ),
    "length of sequences": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.max_length": 10**12}),
        "encoder.settings.max_length must be an int from 7 to 7",
    ),
    "heads": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.n_heads": 3}),
        "3 heads do not share a width of 4",
    ),
    "dropout": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.dropout": 2}),
        "encoder.settings.dropout must be a finite number from 0 to 1; got int 2",
    ),
    "tau": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.tau": 0}),
        "encoder.settings.tau must be a finite number",
    ),
    "setting unknown": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.device": "cuda"}),
        "'encoder.settings.device' is not known",
    ),
    "setting missing": (
        "MDSRec",
        lambda d, a: d["state"].pop("encoder.settings.similarity"),
        "'encoder.settings.similarity' is missing",
    ),
    "weight unknown": (
        "MDSRec",
        lambda d, a: a.update({"encoder.weights.x": np.ones(2, "f4")}),
        "weights of the encoder do not fit",
    ),
    "weight missing": (
        "MDSRec",
        lambda d, a: a.pop("encoder.weights.gate"),
        "weights of the encoder do not fit",
    ),
    "weight of another shape": (
        "MDSRec",
        lambda d, a: a.update({"encoder.weights.gate": np.ones((2, 5), "f4")}),
        "weights of the encoder do not fit",
    ),
    "no positions": (
        "MDSRec",
        lambda d, a: a.pop("encoder.weights.position"),
        "encoder need positions of width 4",
    ),
    "fewer items in the encoder": (
        "MDSRec",
        lambda d, a: a.update({"encoder.items": a["encoder.items"][:, :23].copy()}),
        r"encoder.items must be of shape \(2, 24, any\)",
    ),
    "centers missing": (
        "MDSRec",
        lambda d, a: a.pop("encoder.centers"),
        "'encoder.centers' is missing",
    ),
    "centers of another width": (
        "MDSRec",
        lambda d, a: a.update({"encoder.centers": a["encoder.centers"][:, :, :3].copy()}),
        r"encoder.centers must be of shape \(2, any, 4\)",
    ),
    "interests of version 1, of other items": (
        "MDSRec",
        lambda d, a: a.update({"encoder.interests": np.ones((2, 5, 4), "f4")}),
        r"encoder.interests must be of shape \(2, 24, 4\)",
    ),
    "interests of both versions": (
        "MDSRec",
        lambda d, a: a.update({"encoder.interests": np.ones((2, 24, 4), "f4")}),
        "'encoder.c(enters|luster)' is not known",  # the arrays of a file are in no order
    ),
    "clusters of other items": (
        "MDSRec",
        lambda d, a: a.update({"encoder.cluster": a["encoder.cluster"][:, :5].copy()}),
        r"encoder.cluster must be of shape \(2, 24\)",
    ),
    "clusters beyond the centers": (
        "MDSRec",
        lambda d, a: a.update({"encoder.cluster": a["encoder.cluster"] + 2}),
        "encoder.cluster goes beyond the 4 centers",
    ),
    "clusters before the centers": (
        "MDSRec",
        lambda d, a: a.update({"encoder.cluster": a["encoder.cluster"] - 4}),
        "encoder.cluster goes beyond the 4 centers",
    ),
    "parts added up": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.concatenate": False}),
        "does not give vectors of width 9",
    ),
    "more relations than columns": (
        "MDSRec",
        lambda d, a: d["state"].update({"relations.n_factors": 10**6}),
        "relations.n_factors must be",
    ),
    "relations that overflow": (
        "MDSRec",
        lambda d, a: d["state"].update({"relations.weight": 1e300}),
        "relations.weight must be",
    ),
    "a window of none": (
        "MDSRec",
        lambda d, a: d["state"].update({"relations.window": 0}),
        "relations.window must be",
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_right_checksum_is_not_believed(forgery, saved, path):
    name, change, message = FORGERIES[forgery]
    document, arrays = saved(name)
    text = change(document, arrays)
    if not isinstance(text, str) or text[0] not in "{[":
        text = json.dumps(document).replace("Infinity", "1e999")
    forge(path, text, arrays)
    with pytest.raises(ValueError, match=f"cannot be loaded: .*{message}"):
        recsk.load(path)


def test_an_honest_forgery_is_a_model(saved, path):
    """Or the test above would prove nothing."""
    for name in MODELS:
        forge(path, *saved(name))
        assert_identical(recsk.load(path), fitted(name))


OTHERS = [None, True, 0, -1, 1, 2, 5, 24, 2**31, 2**64 - 1, 0.5, 1e308, "", "sum", "x", [], {}, [0]]


def altered(document, arrays, rng):
    """Change one thing at random, keep everything else in order."""
    entries = [(document, k) for k in document if k not in ("params", "state")]
    entries += [(part, k) for part in (document["params"], document["state"]) for k in part]
    if rng.random() < 0.5:
        part, key = entries[rng.integers(len(entries))]
        part[key] = OTHERS[rng.integers(len(OTHERS))]
        return
    key = list(arrays)[rng.integers(len(arrays))]
    array = arrays[key].copy()
    kind = rng.integers(6)
    if kind == 0:
        array = array.astype(rng.choice(["f4", "f8", "i4", "i8", "u1"]))
    elif kind == 1:
        array = array.reshape(-1)
    elif kind == 2:
        array = array[:-1].copy()
    elif kind == 3:
        array = np.concatenate([array, array[:1]])
    elif array.size:
        values = [0, 1, 23, 24, 127] if array.dtype.kind in "iu" else [0, -1, 3e38, 1e-44, np.nan]
        array.flat[rng.integers(array.size)] = rng.choice(values)
    arrays[key] = array


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of what attackers chose, overflows too
@pytest.mark.parametrize(("name", "seed"), [("MDE", 2), ("MDSRec", 3)])
def test_what_is_loaded_answers(name, seed, saved, path):
    """A forger may choose values, never make an answer that is no list of items."""
    rng = np.random.default_rng(seed)
    loaded = 0
    for _ in range(250):
        document, arrays = saved(name)
        altered(document, arrays, rng)
        forge(path, document, arrays)
        try:
            model = recsk.load(path)
        except ValueError:
            continue
        loaded += 1
        for ids, _ in (model.recommend(k=5), model.recommend(user_items=[[3, 0], []], k=5)):
            assert ids.min() >= -1 and ids.max() < N_ITEMS
    assert 20 < loaded < 230


# ---------------------------------------------------------------------------------- code and memory


def test_nothing_is_unpickled(model, path, monkeypatch):
    recsk.save(model, path)

    def never(*args, **kwargs):
        raise AssertionError("a pickle was about to be read")

    for module, names in {
        pickle: ("load", "loads", "Unpickler", "_Unpickler", "_loads", "_load"),
        joblib: ("load",),
        np: ("load",),
        torch: ("load",),
    }.items():
        for name in names:
            monkeypatch.setattr(module, name, never)
    assert_identical(recsk.load(path), model)


def peak_of(path):
    """Most bytes that loading has held at once, and whether it was refused."""
    tracemalloc.start()
    try:
        recsk.load(path)
        return tracemalloc.get_traced_memory()[1], False
    except ValueError:
        return tracemalloc.get_traced_memory()[1], True
    finally:
        tracemalloc.stop()


def test_memory_of_an_honest_file(saved, path):
    document, arrays = saved("MDE")
    n_users = 30_000
    document["state"]["n_users_"] = n_users
    for name, array in arrays.items():
        if name.endswith("indptr"):
            arrays[name] = np.pad(array, (0, n_users + 1 - len(array)), mode="edge")
        elif array.shape[:1] == (30,):
            arrays[name] = np.repeat(array, n_users // 30, axis=0)
    forge(path, document, arrays)
    size = path.stat().st_size
    assert size > 3e6
    peak, refused = peak_of(path)
    assert not refused and peak < 3 * size


def raw(header, data=b"", length=None):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


def tensor(shape, end, dtype="F32"):
    return {
        "__metadata__": {"recsk": '{"format": "recsk", "version": 1}', "sha256": ""},
        "user_embedding_": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]},
    }


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(raw(tensor([2**40], 2**42)), id="huge shape"),
        pytest.param(raw(tensor([2**62, 2**62], 2**63)), id="shape that overflows"),
        pytest.param(raw(tensor([2**63, 0], 0)), id="empty, of a huge shape"),
        pytest.param(raw(tensor([1] * 100, 4), bytes(4)), id="more axes than NumPy has"),
        pytest.param(raw(tensor([-1], 4), bytes(4)), id="negative shape"),
        pytest.param(raw(tensor([1], [4]), bytes(4)), id="end a list"),
        pytest.param(raw({**tensor([1], 4), "x": 1}, bytes(4)), id="array a number"),
        pytest.param(raw(tensor([1.5], 4), bytes(4)), id="fractional shape"),
        pytest.param(raw(tensor([2], 4), bytes(4)), id="shape beyond the data"),
        pytest.param(raw(tensor([1], 4), bytes(8)), id="data that belongs to nobody"),
        pytest.param(raw(tensor([1], 4, "F8_E4M3"), bytes(4)), id="dtype of four bits"),
        pytest.param(raw(tensor([4], 4, "object"), bytes(4)), id="dtype unknown"),
        pytest.param(raw(b"{}", bytes(10), 2**63), id="huge header"),
        pytest.param(raw(b" " * (2**20 + 1)), id="header above the limit"),
        pytest.param(raw(b"[" * 2**20), id="deep header"),
        pytest.param(raw(b'{"a":' * 2**17), id="deep objects"),
        pytest.param(raw(b"[" + b"[]," * 10**5 + b"1]"), id="many lists"),
        pytest.param(raw(b"\xff" * 100), id="no UTF-8"),
        pytest.param(raw(b'{"__metadata__": 3}'), id="metadata a number"),
        pytest.param(raw(b'{"__metadata__": {"recsk": 3, "sha256": 4}}'), id="text a number"),
    ],
)
def test_memory_of_a_hostile_file(content, path):
    path.write_bytes(content)
    peak, refused = peak_of(path)
    # The header is read by Python, whose objects are larger than their JSON.
    assert refused and peak < 2**18 + 40 * len(content)


def test_a_hole_of_a_terabyte_is_not_read(path):
    """A sparse file takes no room on the disk; memory would run out."""
    with open(path, "wb") as file:
        file.write(raw(tensor([1], 4)))
        try:
            file.truncate(2**40)
        except OSError:
            pytest.skip("no such large files here")
    peak, refused = peak_of(path)
    assert refused and peak < 2**20


# ---------------------------------------------------------------------------------- all or nothing


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "disk full"), KeyboardInterrupt()])
def test_an_interrupted_save_leaves_the_old_file(step, error, path, monkeypatch):
    recsk.save(fitted("MDE"), path)
    before = path.read_bytes()

    def interrupted(*args):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, step, interrupted)
        with pytest.raises(type(error)):
            recsk.save(fitted("MDSRec"), path)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]
    recsk.save(fitted("MDSRec"), path)
    assert_identical(recsk.load(path), fitted("MDSRec"))


@pytest.mark.skipif(os.name != "posix", reason="links and modes of POSIX")
def test_links_and_modes_stay(tmp_path, path):
    recsk.save(fitted("MDE"), path)
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    path.chmod(0o600)
    link = tmp_path / "latest"
    link.symlink_to(path.name)
    recsk.save(fitted("MDSRec"), link)
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o600
    assert_identical(recsk.load(path), fitted("MDSRec"))


CHILD = """
import resource, signal, sys
import recsk

path = sys.argv[1]
model = recsk.load(path)  # a first time, for what is imported late
events = []
sys.addaudithook(lambda event, arguments: events.append(event))
recsk.load(path)
print(*sorted(set(events)), flush=True)
# From here on a write beyond this many bytes kills the process.
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
recsk.save(model, path)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_another_process_runs_no_code_and_may_be_killed(path):
    recsk.save(fitted("MDSRec"), path)
    before = path.read_bytes()
    assert len(before) > 10_000
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    events = set(child.stdout.split())
    assert "open" in events
    assert not events & {"compile", "exec", "import", "pickle.find_class", "os.system"}
    assert not [e for e in events if e.startswith(("subprocess", "socket", "ctypes", "marshal"))]
    assert child.returncode == -signal.SIGXFSZ, child.stderr
    # Half of the new one was on the disk, under another name.
    (half,) = [p for p in path.parent.iterdir() if p != path]
    assert 0 < half.stat().st_size < len(before) and half.name.startswith(".recsk-")
    assert path.read_bytes() == before
    assert_identical(recsk.load(path), fitted("MDSRec"))


def test_the_last_of_several_savers_wins(path):
    """Two at once do not write into each other's file."""
    from concurrent.futures import ThreadPoolExecutor

    models = [fitted("MDE"), fitted("MDE, sum")] * 4
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda model: recsk.save(model, path), models))
    got = recsk.load(path)
    assert repr(got) in {repr(model) for model in models}
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.filterwarnings("ignore:X has nobody with two items")
def test_an_interaction_at_the_edges(path):
    """Empty first and last rows, and one user alone."""
    for user, item in (([1], [2]), ([1, 1, 3], [0, 4, 0]), ([0], [0])):
        X = Interactions(user, item, timestamp=np.arange(len(user)), n_users=max(user) + 2)
        for est in (MDERecommender(**SMALL), MDSRecRecommender(**SMALL)):
            model = clone(est).fit(X)
            recsk.save(model, path)
            np.testing.assert_array_equal(recsk.load(path).recommend()[0], model.recommend()[0])


def test_where_a_fit_is_written_down_is_not_told(path):
    model = fitted("MDE")
    try:
        recsk.save(model.set_params(checkpoint=path.with_name("fit")), path)
    finally:
        model.set_params(checkpoint=None)
    assert recsk.load(path).checkpoint is None
