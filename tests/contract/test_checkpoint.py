import traceback

import numpy as np
import pytest
import torch

from recsk.contract.checkpoint import Checkpoint
from recsk.nn.training import train


class Killed(BaseException):
    """What a process does not survive."""


class Problem:
    """A regression whose batches, weights and dropout all are drawn."""

    def __init__(self, path, *, training="this", n_steps_to_live=None):
        self.rng = np.random.RandomState(0)
        self.generator = torch.Generator().manual_seed(0)
        self.network = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 1))
        for parameter in self.network.parameters():
            torch.nn.init.uniform_(parameter, generator=torch.Generator().manual_seed(1))
        self.n_steps_to_live = n_steps_to_live
        draws = [self.rng, self.generator]
        self.checkpoint = Checkpoint(path, training=training, random_states=draws)

    def __len__(self):
        return 3

    def __iter__(self):
        for _ in range(3):
            if self.n_steps_to_live is not None:
                if self.n_steps_to_live == 0:
                    raise Killed
                self.n_steps_to_live -= 1
            noise = torch.as_tensor(self.rng.normal(size=(8, 4)), dtype=torch.float32)
            yield noise + torch.randn(8, 4, generator=self.generator)

    def terms(self, batch):
        return {"error": (self.network(batch)[:, 0] - batch.sum(dim=1)).square().mean()}

    def train(self, **options):
        return train(
            self.network,
            self,
            self.terms,
            max_epochs=9,
            learning_rate=0.01,
            schedule="one-cycle",
            weight_averaging=0.9,
            evaluate=lambda: float(self.rng.random_sample()),
            n_iter_no_change=20,
            checkpoint=self.checkpoint,
            **options,
        )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.checkpoint"


@pytest.mark.parametrize("steps", [0, 2, 3, 13, 26])
def test_a_killed_training_ends_where_one_that_lives_ends(path, steps):
    whole = Problem(path)
    log = whole.train()
    with pytest.raises(Killed):
        Problem(path, n_steps_to_live=steps).train()
    assert path.exists() == (steps >= 3)
    again = Problem(path, n_steps_to_live=27 - 3 * (steps // 3))
    assert again.train() == log
    for a, b in zip(whole.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not path.exists() and not list(path.parent.iterdir())


def test_killed_again_and_again(path):
    whole = Problem(path)
    log = whole.train()
    for _ in range(8):
        with pytest.raises(Killed):
            Problem(path, n_steps_to_live=4).train()
    last = Problem(path, n_steps_to_live=3)
    assert last.train() == log
    assert torch.equal(whole.network[0].weight, last.network[0].weight)


def test_an_interrupt_leaves_the_file(path):
    problem, whole = Problem(path), Problem(path.with_name("other"))
    log = whole.train()

    def interrupt():
        if path.exists():
            raise KeyboardInterrupt

    assert problem.train(before_epoch=interrupt).stopped_by == "interrupt"
    assert path.exists()
    assert Problem(path).train() == log


def test_the_progress_goes_on_too(path, capfd):
    with pytest.raises(Killed):
        Problem(path, n_steps_to_live=13).train()
    Problem(path).train(verbose=True)
    err = capfd.readouterr().err
    assert "4/9" in err and "9/9" in err and "3/9" not in err


def test_a_file_of_another_training_is_refused(path):
    with pytest.raises(Killed):
        Problem(path, n_steps_to_live=5).train()
    content = path.read_bytes()
    with pytest.raises(ValueError, match=r"checkpoint='.*fit.checkpoint' is of another fit"):
        Problem(path, training="that").train()
    assert path.read_bytes() == content


def test_a_folder_has_a_file_for_each_training(tmp_path):
    whole = Problem(tmp_path / "whole")
    log = whole.train()
    for training in ("this", "that"):
        with pytest.raises(Killed):
            Problem(tmp_path, training=training, n_steps_to_live=5).train()
    assert sorted(x.name for x in tmp_path.iterdir()) == ["that.checkpoint", "this.checkpoint"]
    assert Problem(tmp_path, n_steps_to_live=24).train() == log
    assert [x.name for x in tmp_path.iterdir()] == ["that.checkpoint"]


def test_two_trainings_at_the_same_time_do_not_share_a_file(path):
    """The second one has found no file at its start."""
    first, second = Problem(path), Problem(path, training="that")
    assert first.checkpoint.load() is None and second.checkpoint.load() is None
    first.checkpoint.save({"epoch": 1})
    content = path.read_bytes()
    with pytest.raises(ValueError, match=r"checkpoint='.*' is written by another fit at the same"):
        second.checkpoint.save({"epoch": 1})
    second.checkpoint.remove()
    assert path.read_bytes() == content
    first.checkpoint.save({"epoch": 2})
    first.checkpoint.remove()
    assert not path.exists()


def test_a_file_that_somebody_removed_is_written_again(path):
    problem = Problem(path)
    assert problem.checkpoint.load() is None
    problem.checkpoint.save({"epoch": 1})
    path.unlink()
    problem.checkpoint.save({"epoch": 2})
    assert Problem(path).checkpoint.load() == {"epoch": 2}


@pytest.mark.parametrize("what", ["text", "nothing", "half", "other tensors", "code"])
def test_a_file_that_is_none_is_refused(path, what, capfd):
    with pytest.raises(Killed):
        Problem(path, n_steps_to_live=5).train()
    content = path.read_bytes()
    if what == "code":
        torch.save({"version": 1, "training": "this", "random": print}, path)
    elif what == "other tensors":
        torch.save({"place": torch.zeros(3)}, path)
    else:
        path.write_bytes(
            {"text": b"to whom it may concern", "nothing": b"", "half": content[:999]}[what]
        )
    with pytest.raises(ValueError, match="checkpoint='.*' cannot be read: .*[Rr]emove") as refusal:
        Problem(path).train()
    # torch's own message advises to load the file without its checks, which may run code.
    assert "weights_only" not in "".join(traceback.format_exception(refusal.value))


def test_a_file_that_cannot_be_opened_is_refused_with_the_reason(path, monkeypatch):
    path.touch()

    def denied(*args, **kwargs):
        raise PermissionError("permission denied")

    monkeypatch.setattr(type(path), "read_bytes", denied)
    with pytest.raises(ValueError, match="checkpoint='.*' cannot be read: permission denied"):
        Problem(path).train()
