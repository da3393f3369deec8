"""Data of benchmarks, whichever option names them."""

import argparse

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array

from recsk import Interactions


@pytest.fixture
def sources(script):
    return script("sources")


def arrays(split=True, order=True):
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(12), 10)
    item = np.concatenate([rng.permutation(30)[:10] for _ in range(12)])
    features = {"t": rng.normal(size=(30, 4)), "v": rng.normal(size=(30, 3)).astype(np.float16)}
    found = {**features, "title": np.array(["a"] * 30)}
    found["t"][3] = np.nan
    if split:
        for part, place in (
            ("train", slice(0, 80)),
            ("val", slice(80, 100)),
            ("test", slice(100, 120)),
        ):
            chosen = np.random.default_rng(1).permutation(120)[place]
            found |= {f"{part}_user": user[chosen], f"{part}_item": item[chosen]}
    if order:
        found |= {"user": user, "item": item, "timestamp": rng.permutation(120)}
    return found


@pytest.fixture
def npz(tmp_path):
    def write(**changed):
        found = {**arrays(), **changed}
        path = tmp_path / "some.npz"
        np.savez(path, **{name: array for name, array in found.items() if array is not None})
        return f"npz:{path}"

    return write


def test_a_file_with_a_given_split(sources, npz):
    data = sources.load(npz(), False)
    given = arrays()
    assert (data.name, data.split) == ("some", "given")
    for part, name in (("train", "train"), ("valid", "val"), ("test", "test")):
        expected = np.zeros((12, 30))
        expected[given[f"{name}_user"], given[f"{name}_item"]] = 1
        assert_array_equal(data[part].toarray(), expected)
        assert data.sizes[part] == len(given[f"{name}_user"])
    assert list(data.features) == ["v", "t"]  # titles are none
    assert np.isnan(data.features["t"][3]).all() and data.features["t"].dtype == np.float32


def test_a_file_in_order(sources, npz):
    data = sources.load(npz(), True)
    given = arrays()
    for user in range(12):
        rows = np.flatnonzero(given["user"] == user)
        items = given["item"][rows[np.argsort(given["timestamp"][rows])]]
        assert_array_equal(data.history["test"][user], items[:-1])
        assert_array_equal(data.history["valid"][user], items[:-2])
        assert_array_equal(data.test[[user]].indices, items[-1:])
        assert_array_equal(data.valid[[user]].indices, items[-2:-1])
    assert "history" not in sources.load(npz(), False)


def test_a_file_without_a_split_is_split_at_random(sources, tmp_path):
    path = tmp_path / "ids.npz"
    np.savez(path, user=arrays()["user"], item=arrays()["item"])
    data = sources.load(f"npz:{path}", False)
    assert data.features == {}
    assert sum(data.sizes.values()) == 120
    together = (data.train + data.valid + data.test).toarray()
    assert together.max() == 1 and together.sum() == 120


@pytest.mark.parametrize(
    ("changed", "sequential", "word"),
    [
        ({"val_item": None}, False, "no array 'val_item'"),
        ({"timestamp": None}, True, "no timestamps"),
        ({"a": np.ones((29, 2))}, False, "one row for each item"),
        ({name: np.ones((9, 2)) for name in ("t", "v")}, False, "features of 9 items"),
    ],
)
def test_files_that_are_wrong(changed, sequential, word, sources, npz):
    with pytest.raises(SystemExit, match=word):
        sources.load(npz(**changed), sequential)
    with pytest.raises(SystemExit, match="there is no file"):
        sources.load("npz:nowhere.npz", False)


LOADER = """
import numpy as np
from scipy.sparse import csr_array
from recsk import Interactions

def matrices():
    board = csr_array(np.eye(4))
    return {"train": board, "valid": board, "test": board}

def sequences():
    train = Interactions([0, 0, 1], [0, 1, 2], timestamp=[1, 0, 0], n_users=2, n_items=5)
    last = Interactions([0, 1], [3, 4], n_users=2, n_items=5)
    return {"name": "mine", "train": train, "valid": last, "test": last}

def wrong():
    return {**matrices(), "test": csr_array(np.eye(5))}
"""


@pytest.fixture
def loader(tmp_path, monkeypatch):
    (tmp_path / "my_loaders.py").write_text(LOADER)
    monkeypatch.syspath_prepend(tmp_path)
    return "loader:my_loaders:{}".format


def test_a_loader_of_ones_own(sources, loader):
    data = sources.load(loader("matrices"), False)
    assert (data.name, data.features) == ("my_loaders-matrices", {})
    assert data.sizes == {"train": 4, "valid": 4, "test": 4}
    with pytest.raises(SystemExit, match="no sequences"):
        sources.load(loader("matrices"), True)
    with pytest.raises(SystemExit, match="same users and items"):
        sources.load(loader("wrong"), False)
    with pytest.raises(SystemExit, match="cannot import"):
        sources.load(loader("absent"), False)
    data = sources.load(loader("sequences"), True)
    assert data.name == "mine" and isinstance(data.train, Interactions)
    assert [items.tolist() for items in data.history["test"]] == [[1, 0, 3], [2, 4]]
    assert [items.tolist() for items in data.history["valid"]] == [[1, 0], [2]]
    assert sources.load(loader("sequences"), False).train.shape == (2, 5)


def test_options(sources):
    parser = argparse.ArgumentParser()
    sources.add_arguments(parser)
    for words, source, short in (
        (["--dataset", "tiny"], "tiny", ["--dataset", "tiny"]),
        (["--npz", "far/some.npz"], "npz:far/some.npz", ["--npz", "some.npz"]),
        (["--loader", "a.b:c"], "loader:a.b:c", ["--loader", "a.b:c"]),
        (["--mmrec", "far/baby"], "mmrec:far/baby", ["--mmrec", "baby"]),
    ):
        args = parser.parse_args(words)
        assert sources.source_of(args) == source
        assert sources.words_of(args) == short
    with pytest.raises(SystemExit):
        parser.parse_args([])


def test_other_data_are_others(sources, npz):
    seen = set()
    changed = [{}, {"t": np.zeros((30, 4))}, {"train_item": np.roll(arrays()["train_item"], 1)}]
    for change in changed:
        sources.load.cache_clear()
        seen.add(str(sources.about(sources.load(npz(**change), False))))
    assert len(seen) == 3
    sources.load.cache_clear()
    assert str(sources.about(sources.load(npz(), False))) in seen


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "shape", "sizes", "features"),
    [
        ("sports", (35598, 18357), (218409, 37899, 40029), {"t": 384, "d": 128}),
        ("citeulike", (5551, 16980), (168332, 18327, 18327), {"t": 256, "d": 128}),
        ("ml1m", (6040, 3260), (701156, 100062, 197321), {"v": 1280, "t": 384}),
    ],
)
def test_real_data(name, shape, sizes, features, sources, real_data):
    real_data(name)
    data = sources.load(name, False)
    assert data.test.shape == shape
    assert tuple(data.sizes.values()) == sizes
    assert {m: values.shape[1] for m, values in data.features.items()} == features
    missing = {m: int(np.isnan(values).all(axis=1).sum()) for m, values in data.features.items()}
    assert missing == (
        {"t": 3538, "d": 5266} if name == "citeulike" else dict.fromkeys(features, 0)
    )


@pytest.mark.realdata
def test_sports_in_order(sources, real_data):
    given = real_data("sports")
    data = sources.load("sports", True)
    assert sum(data.sizes.values()) == len(given["user"])
    assert data.test.shape == (35598, 18357)
    assert csr_array(data.test).sum() == 35598
