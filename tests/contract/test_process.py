"""What can only be seen from outside a process: kills, repeats, leaks, the network."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytestmark = pytest.mark.slow

# What every child begins with: an estimator by its name, and something to fit it on.
_PROLOGUE = """
import atexit, json, os, sys
import numpy as np
from recsk import Interactions, MDERecommender, MDSRecRecommender

@atexit.register
def clean_up():
    # Older versions of PyTorch leave a directory of theirs to a finalizer, which warns.
    theirs = sys.modules.get("torch.distributed.nn.jit.instantiator")
    if hasattr(theirs, "_TEMP_DIR"):
        theirs._TEMP_DIR.cleanup()

def fit(name, checkpoint=None, **params):
    rng = np.random.default_rng(0)
    pairs = np.unique(rng.integers([60, 40], size=(900, 2)), axis=0)
    rng.shuffle(pairs)
    X = Interactions(*pairs.T, timestamp=np.arange(len(pairs)), n_users=60, n_items=40)
    features = {"v": rng.normal(size=(40, 6)), "t": rng.normal(size=(40, 4))}
    est = {"mde": MDERecommender, "mdsrec": MDSRecRecommender}[name]
    small = {"n_factors": 8, "batch_size": 64, "early_stopping": True, "random_state": 0}
    return est(**{**small, **params}).fit(X, item_features=features, checkpoint=checkpoint)
"""

ESTIMATORS = ["mde", "mdsrec"]


def start(code, *arguments, first=""):
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", first + _PROLOGUE + code]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result_of(code, *arguments, first=""):
    child = start(code, *arguments, first=first)
    out, err = child.communicate(timeout=300)
    assert child.returncode == 0, err
    # What finalizers raise is printed and nothing more.
    assert "ResourceWarning" not in err
    return out


_VECTORS = """
name, path, checkpoint = sys.argv[1:]
long = {"max_epochs": 150, "n_iter_no_change": 150}

from recsk.contract.validation import Validation
measure, epochs = Validation.__call__, []
Validation.__call__ = lambda *args, **kw: epochs.append(1) or measure(*args, **kw)
model = fit(name, checkpoint or None, **long)
np.savez(path, users=model.user_embedding_, items=model.item_embedding_,
         curve=model.validation_curve_, best=model.best_iter_)
print(len(epochs))
"""


def arrays(path):
    with np.load(path) as found:
        return dict(found)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that kills for good")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_kill_and_go_on(name, tmp_path):
    """Killed for good at some moments, wherever they fall, then run to the end."""
    checkpoint, killed_at = tmp_path / "fit.checkpoint", []
    for _ in range(3):
        child = start(_VECTORS, name, tmp_path / "killed.npz", checkpoint)
        try:
            before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
            deadline = time.monotonic() + 120
            while not (checkpoint.exists() and checkpoint.stat().st_mtime_ns > before):
                assert child.poll() is None and time.monotonic() < deadline
                time.sleep(0.001)
            time.sleep(np.random.default_rng().uniform(0, 0.05))
        finally:
            child.kill()
            child.communicate()
        killed_at.append(child.returncode)
    assert killed_at == [-signal.SIGKILL] * 3  # every time in the middle of it
    assert not (tmp_path / "killed.npz").exists()

    # The last one had gone on from the epochs of the two before it, and is gone on from.
    assert 0 < int(result_of(_VECTORS, name, tmp_path / "resumed.npz", checkpoint)) <= 147
    assert int(result_of(_VECTORS, name, tmp_path / "whole.npz", "")) == 150
    resumed, whole = arrays(tmp_path / "resumed.npz"), arrays(tmp_path / "whole.npz")
    for key in whole:
        np.testing.assert_array_equal(resumed[key], whole[key], err_msg=key)
    # No checkpoint is left of a fit that is done; what a kill left half written may be.
    assert not checkpoint.exists()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_two_processes_learn_the_same(name, tmp_path):
    paths = [tmp_path / "one.npz", tmp_path / "two.npz"]
    for path in paths:
        result_of(_VECTORS.replace("150", "3"), name, path, "")
    one, two = map(arrays, paths)
    for key in one:
        np.testing.assert_array_equal(one[key], two[key], err_msg=key)


_LEAKS = """
import gc, tempfile, threading
import torch

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def left():
    gc.collect()
    kinds = (torch.Tensor, torch.nn.Module, type(model))
    return {
        "objects": sum(isinstance(x, kinds) for x in gc.get_objects()),
        "threads": threading.active_count(),
        "files": sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                        if os.path.exists(f"/proc/self/fd/{fd}")),
        "temporary": sorted(os.listdir(tempfile.gettempdir())),
    }

memory = []
for i in range(50):
    model = fit(sys.argv[1], max_epochs=2)
    model.recommend(user_items=[[1, 2]])
    memory.append(resident())
    if i == 9:
        before = left()
print(json.dumps({"memory": memory, "before": before, "after": left()}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_fifty_fits_leave_nothing_behind(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found = json.loads(result_of(_LEAKS, name))
    assert found["after"] == found["before"]
    assert max(found["memory"][40:]) < 1.05 * found["memory"][9]


_OFFLINE = """
import socket

class Closed(socket.socket):
    def __init__(self, *args, **kwargs):
        raise AssertionError("somebody opened a socket")

def closed(*args, **kwargs):
    raise AssertionError("somebody asked the network")

socket.socket, socket.create_connection, socket.getaddrinfo = Closed, closed, closed
"""
_EVERYTHING = """
import recsk.datasets, recsk.metrics, recsk.model_selection, recsk.plotting
for name in ("mde", "mdsrec"):
    fit(name, max_epochs=1).recommend(k=3)
print("done")
"""


def test_neither_import_nor_fit_asks_the_network():
    assert result_of(_EVERYTHING, first=_OFFLINE) == "done\n"
