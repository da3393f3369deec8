"""What several tests need: real data, and a reason to skip where something is absent."""

import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from scipy.sparse import csr_array

from recsk import Interactions

# On a busy machine the same example takes many times as long as a moment before.
settings.register_profile("recsk", deadline=None)
settings.load_profile("recsk")

_ROOT = Path(__file__).resolve().parents[1]


def _data_folder() -> Path:
    return Path(os.environ.get("RECSK_DATA") or _ROOT.parent / "shared" / "data")


def pytest_addoption(parser):
    parser.addoption(
        "--pretend-cuda",
        choices=("none", "some", "all"),
        default="some",
        help="which tests marked gpu run on a pretended CUDA device where there is none (some: two "
        "cases of each test function)",
    )


def pytest_collection_modifyitems(config, items):
    pretended = _pretended(config, [item for item in items if item.get_closest_marker("gpu")])
    for item in items:
        if item.nodeid in pretended:
            reason = "needs a CUDA device, none here; --pretend-cuda=all runs it on a pretended one"
            item.add_marker("pretended" if pretended[item.nodeid] else pytest.mark.skip(reason))
        if item.get_closest_marker("realdata") and not _data_folder().is_dir():
            reason = f"needs real data, but {_data_folder()} does not exist (set RECSK_DATA)"
            item.add_marker(pytest.mark.skip(reason=reason))


def _pretended(config, items) -> dict[str, bool]:
    """Return which tests run on a pretended device, and which none at all; empty with CUDA."""
    if not items:
        return {}
    import torch

    if torch.cuda.is_available():
        return {}
    cases = defaultdict(list)
    for item in items:
        if not (item.get_closest_marker("threads") or "thread" in item.name):
            cases[item.path, item.originalname].append(item.nodeid)
    chosen = config.getoption("--pretend-cuda")
    most = {"none": 0, "some": 2, "all": len(items)}[chosen]
    run = set()
    for same in cases.values():
        run.update(same[:: max(len(same) // max(most, 1), 1)][:most])
    return {item.nodeid: item.nodeid in run for item in items}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Run a test, with its fixtures, on a pretended device."""
    if not item.get_closest_marker("pretended"):
        return (yield)
    from tests.nn.pretend import pretended_cuda

    with pretended_cuda():
        return (yield)


@pytest.fixture
def cuda():
    """A pretended machine with CUDA devices, and what happens on them."""
    from tests.nn.pretend import pretended_cuda

    with pretended_cuda() as cuda:
        yield cuda


@pytest.fixture
def real_data():
    """A function from a name, such as "tiktok", to the arrays of that data set."""

    def load(name: str) -> dict[str, np.ndarray]:
        path = _data_folder() / f"{name}.npz"
        if not path.is_file():
            pytest.skip(f"needs real data, but {path} does not exist (set RECSK_DATA)")
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)

    return load


@pytest.fixture
def checkerboard():
    """Users like the items of their own parity; the diagonal is withheld for them to find."""
    board = (np.add.outer(np.arange(20), np.arange(20)) % 2 == 0).astype(np.float32)
    np.fill_diagonal(board, 0)
    return csr_array(board)


@pytest.fixture
def interactions():
    """800 interactions of 60 users with 40 items, the first ones popular; no pair twice."""
    rng = np.random.default_rng(0)
    weight = np.tile(1 / np.arange(5, 45), 60)
    pairs = rng.choice(60 * 40, 800, replace=False, p=weight / weight.sum())
    user, item = np.divmod(rng.permutation(pairs), 40)
    timestamp = rng.integers(0, 500, 800)  # some at the same time
    return Interactions(user, item, timestamp=timestamp, n_users=60, n_items=40)
