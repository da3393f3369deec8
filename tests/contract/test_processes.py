"""Fits in several processes of torch.distributed end where a fit in one process ends."""

import os
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import recsk
from recsk.contract.checkpoint import Checkpoint
from recsk.contract.processes import shared_checkpoint
from recsk.contract.validation import Validation
from recsk.nn.training import NotFiniteError
from tests.contract.fits_in_processes import FEW, FITS, fits

ROOT = Path(__file__).resolve().parents[2]
CASES = [
    pytest.param((2, FEW), id="two"),
    pytest.param((2, FITS), id="two, more fits", marks=pytest.mark.slow),
    pytest.param((4, FITS), id="four", marks=pytest.mark.slow),
]


def run(folder, size, *words):
    """Call a function of `fits_in_processes` in so many processes.

    Returns what it returns, and what it printed to stderr, by rank; None for a process that died.
    """
    module = [sys.executable, "-m", "tests.contract.fits_in_processes"]
    files = [
        folder / f"{'-'.join(map(str, words)).replace('/', '_')}-{size}-{rank}"
        for rank in range(size)
    ]
    meeting = (folder / f"meeting-{files[0].name}").as_uri()
    processes = [
        subprocess.Popen(
            [*module, str(rank), str(size), meeting, str(files[rank]), *map(str, words)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    printed = [process.communicate(timeout=900)[1] for process in processes]
    found = [pickle.loads(x.read_bytes()) if x.exists() else None for x in files]
    return found, printed


@pytest.fixture(scope="module", params=CASES)
def together(request, tmp_path_factory):
    """What fits in one process found, and what those in several found and printed."""
    size, names = request.param
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = fits(names)
    folder = tmp_path_factory.mktemp("processes")
    found, printed = run(folder, size, "fits_and_refusals", *names)
    assert all(found), printed
    return alone, found, printed


def test_all_processes_end_at_the_model_of_one(together):
    alone, found, _ = together
    for name, expected in alone.items():
        for own in found:
            expect_same(own[name], expected)
            for part, value in own[name].items():
                np.testing.assert_array_equal(value, found[0][name][part])


def expect_same(found, expected):
    np.testing.assert_array_equal(found["epochs"], expected["epochs"])
    np.testing.assert_allclose(found["losses"], expected["losses"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["validation"], expected["validation"], rtol=0, atol=1e-5)
    for part in ("users", "items", "preference"):
        # In float32. Tests of recsk.nn compare in float64.
        np.testing.assert_allclose(found[part], expected[part], rtol=0, atol=2e-4)


def test_without_a_seed_all_draw_what_the_first_one_draws(together):
    first, *others = (found["without a seed"] for found in together[1])
    for other in others:
        for part, value in other.items():
            np.testing.assert_array_equal(value, first[part])


def test_only_the_first_process_shows_progress(together):
    assert ["epoch" in text for text in together[2]] == [True] + [False] * (len(together[2]) - 1)


@pytest.mark.parametrize(
    ("name", "what"),
    [("parameters", "parameters"), ("features", "item_features"), ("X", "X or sample_weight")],
)
def test_processes_that_disagree_are_refused_in_all_of_them(name, what, together):
    for found in together[1]:
        assert "fit one model together" in found[name] and what in found[name]


@pytest.mark.slow
def test_a_process_that_dies_ends_the_others_and_one_goes_on(tmp_path):
    path, other = tmp_path / "fit.checkpoint", tmp_path / "other.checkpoint"
    (whole,), _ = run(tmp_path, 1, "fit_until_killed", other, 0)
    assert whole["run"] == 5
    (survivor, dead), _ = run(tmp_path, 2, "fit_until_killed", path, 3)
    assert dead is None and path.exists()
    assert "another process has ended" in survivor["error"]
    assert "any number of processes" in survivor["error"]
    content = path.read_bytes()
    for size in (1, 2):
        path.write_bytes(content)
        found, _ = run(tmp_path, size, "fit_until_killed", path, 0)
        for own in found:
            assert own["run"] == 3  # two epochs are behind
            expect_same(own, whole)
        assert not path.exists()


@pytest.mark.slow
def test_the_script_of_the_guide_runs(tmp_path):
    page = (ROOT / "docs" / "guide" / "cluster.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"^```py\n(import os\n.*?)^```", page, flags=re.M | re.S)
    (tmp_path / "fit.py").write_text(script, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    subprocess.run(
        [*command, "--nproc-per-node", "2", "fit.py"],
        cwd=tmp_path,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=900,
    )
    assert recsk.load(tmp_path / "model.recsk").n_users_ == 2000


class Stub:
    """Processes of which this is the one of a rank, and what the others say."""

    def __init__(self, rank, **said):
        self.rank, self.size, self.is_first, self.said = rank, 2, rank == 0, said

    def from_all(self, value):
        found = list(self.said["all"])
        found[self.rank] = value
        return found

    def from_first(self, value):
        return value if self.is_first else self.said["first"].pop(0)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_checkpoint_in_some_processes_only_is_refused(rank, tmp_path):
    own = None
    if rank == 0:
        own = Checkpoint(tmp_path / "file", training="this", random_states=[])
    with pytest.raises(ValueError, match="checkpoint is None in the processes of rank 1 "):
        shared_checkpoint(own, Stub(rank, all=[True, False]))


def test_only_the_first_process_writes_a_checkpoint_and_all_restore_it(tmp_path):
    path, rng = tmp_path / "file", np.random.RandomState(0)
    first, second = (
        Checkpoint(path.with_name(name), training=name, random_states=[state])
        for name, state in (("file", rng), ("none", np.random.RandomState(9)))
    )
    shared = shared_checkpoint(first, Stub(0, all=[True, True]))
    shared.save({"step": 3})
    drawn = rng.random_sample()
    assert shared.load() == {"step": 3} and rng.random_sample() == drawn
    said = ["file", (None, None), (path.read_bytes(), None), (None, None)]
    other = shared_checkpoint(second, Stub(1, all=[True, True], first=said))
    other.save({"step": 4})
    assert other.load() == {"step": 3} and second.random_states[0].random_sample() == drawn
    other.remove()
    assert path.exists() and not second.path.exists()
    shared.remove()
    assert not path.exists()


def test_a_damaged_checkpoint_is_refused_in_all_processes(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "file", training="this", random_states=[])
    monkeypatch.setattr(checkpoint, "read", lambda: (_ for _ in ()).throw(ValueError("denied")))
    with pytest.raises(ValueError, match="denied"):
        shared_checkpoint(checkpoint, Stub(0, all=[True, True])).load()
    followers = Stub(1, all=[True, True], first=["this", (None, ValueError("denied"))])
    with pytest.raises(ValueError, match="denied"):
        shared_checkpoint(checkpoint, followers).load()


def test_a_checkpoint_that_cannot_be_written_is_an_error_in_all_processes(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "file", training="this", random_states=[])

    def full(state):
        raise OSError("no space left")

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(OSError, match="no space left"):
        shared_checkpoint(checkpoint, Stub(0, all=[True, True])).save({})
    followers = Stub(1, all=[True, True], first=["this", (None, OSError("no space left"))])
    with pytest.raises(OSError, match="no space left"):
        shared_checkpoint(checkpoint, followers).save({})


@pytest.mark.parametrize("as_tensor", [False, True])
def test_vectors_that_are_not_finite_in_one_process_end_the_fit_in_all(as_tensor):
    # Else the others would wait for its part of the metric.
    class Others(Stub):
        def slice_of(self, n):
            return slice(0, n)

        def sum_numbers(self, *numbers):
            return [number + 1.0 for number in numbers]

    held_out = sp.csr_matrix(np.eye(3, dtype=np.float32))
    validation = Validation(held_out * 0, held_out, "ndcg@2", processes=Others(0))
    vectors = np.eye(3, dtype=np.float32)
    if as_tensor:
        vectors = torch.as_tensor(vectors)
    with pytest.raises(NotFiniteError):
        validation(vectors, vectors)
