"""The pretended CUDA machine: what it rejects, and that it changes no numbers."""

import copy
import re

import numpy as np
import pytest
import torch

from recsk.nn import softmax
from recsk.nn.sampling import InteractionSampler
from tests.nn.test_mde import GRADIENTS, fit

CUDA = torch.device("cuda", 0)
PROBLEM = GRADIENTS[0]


def test_tensors_know_where_they_are(cuda):
    x = torch.ones(3, device="cuda")
    assert x.device == CUDA and x.is_cuda and not torch.ones(3).is_cuda
    for part in (x + 1, x[1:], x.clone(), torch.zeros_like(x), x.to(torch.int64), 2 * x.double()):
        assert part.device == CUDA
    assert torch.arange(2, device="cuda:1").device == torch.device("cuda:1")
    assert copy.deepcopy(x).is_cuda and copy.deepcopy({"x": x})["x"].is_cuda
    assert not x.cpu().is_cuda and x.is_cuda
    assert torch.as_tensor([1, 2], device="cuda").is_cuda
    with torch.cuda.device(1):
        assert torch.ones(1, device="cuda").device == torch.device("cuda:1")


def test_modules_move(cuda):
    layer = torch.nn.Linear(2, 3).to("cuda")
    loss = layer(torch.ones(4, 2, device="cuda")).square().sum()
    loss.backward()
    assert loss.is_cuda and layer.weight.is_cuda and layer.weight.grad.is_cuda
    with pytest.raises(RuntimeError, match="cpu and cuda:0"):
        layer(torch.ones(4, 2))


def test_gradients_move_back(cuda):
    x = torch.ones(3, requires_grad=True)
    (x.to("cuda") * 2).sum().backward()
    assert not x.grad.is_cuda and x.grad.tolist() == [2, 2, 2]


def test_devices_must_not_mix(cuda):
    x = torch.ones(3, device="cuda")
    for wrong in (
        lambda: x + torch.ones(3),
        lambda: x + torch.ones(3, device="cuda:1"),
        lambda: x.index_select(0, torch.tensor([0])),
        lambda: torch.cat([x, torch.ones(2)]),
    ):
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
            wrong()
    with pytest.raises(TypeError, match="numpy"):
        x.numpy()
    with pytest.raises(TypeError, match="numpy"):
        np.asarray(x)
    assert (x + torch.tensor(2.0)).is_cuda  # a number may be anywhere


def test_generators_belong_to_a_device(cuda):
    on_cpu, on_cuda = torch.Generator(), torch.Generator("cuda")
    assert isinstance(on_cuda, torch.Generator) and on_cuda.device.type == "cuda"
    torch.rand(2, generator=on_cpu), torch.rand(2, generator=on_cuda, device="cuda")
    for wrong in (
        lambda: torch.rand(2, generator=on_cpu, device="cuda"),
        lambda: torch.rand(2, generator=on_cuda),
        lambda: torch.ones(2, device="cuda").uniform_(generator=on_cpu),
        lambda: torch.rand(2, generator=torch.Generator("cuda:1"), device="cuda:0"),
    ):
        with pytest.raises(RuntimeError, match="generator"):
            wrong()


def test_devices_draw_from_their_own_state(cuda):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = torch.rand(4, device="cuda:1")
    torch.nn.functional.dropout(first)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.cuda.device(1):
        state = torch.cuda.get_rng_state()
        second = torch.rand(4, device="cuda")
        torch.cuda.set_rng_state(state)
        assert torch.equal(torch.rand(4, device="cuda"), second)


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.cpu(),
        lambda x: x[0].item(),
        lambda x: x.tolist(),
        lambda x: bool((x > 0).all()),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x.unique(),
        lambda x: torch.repeat_interleave(x.long()),
        lambda x: x.__setitem__(x.long(), 1.0),
        lambda x: x[torch.tensor([0])],
        lambda x: x.__setitem__(0, 2.0),
        lambda x: torch.as_tensor([1], device=x.device),
        lambda x: torch.ones(3).to(x.device),
        lambda x: torch.ones(3).to(x.device, non_blocking=True),
        lambda x: x.copy_(torch.ones(3)),
    ],
)
def test_waits_are_seen(wait, cuda):
    x = torch.ones(3, device="cuda")
    wait(x)
    assert cuda.waits
    torch.cuda.set_sync_debug_mode("error")
    with pytest.raises(RuntimeError, match="synchronizing"):
        wait(x)


def test_what_does_not_wait(cuda):
    torch.cuda.set_sync_debug_mode("error")
    x = torch.ones(3, device="cuda")
    x[:1] = 2
    x[x.long() * 0] += x.new_ones(())
    torch.where(x > 1, x, 0).masked_fill_(x > 1, 3)
    torch.ones(3).pin_memory().to("cuda", non_blocking=True)
    assert x.is_cuda and not cuda.waits


def test_a_fit_is_that_of_the_cpu(cuda):
    """No random number but those of the generator, which draws the same on both."""
    on_cpu, log = fit(PROBLEM, "softmax", max_epochs=2)
    on_cuda, other = fit(PROBLEM, "softmax", "cuda", max_epochs=2)
    assert log.loss_curve == other.loss_curve
    for name, value in on_cpu.state_dict().items():
        assert torch.equal(on_cuda.state_dict()[name].cpu(), value)


def to_cpu(monkeypatch):
    found = softmax._exponentiate
    monkeypatch.setattr(softmax, "_exponentiate", lambda x: (found(x)[0].cpu(), x.sum(dim=1)))


def without_device(monkeypatch):
    found = softmax.gather
    monkeypatch.setattr(
        softmax, "gather", lambda x, ids: found(x, ids) * torch.ones(len(ids), x.shape[1])
    )


def without_device_in_backward(monkeypatch):
    def backward(ctx, grad):
        query, scores, negative, _ = ctx.saved_tensors
        return query * torch.ones(query.shape), scores * grad, negative * grad, *[None] * 4

    monkeypatch.setattr(softmax._SoftmaxLoss, "backward", staticmethod(backward))


def other_generator(monkeypatch):
    def draw(self, size):
        return torch.randperm(size, generator=torch.Generator(), device=self.user.device)

    monkeypatch.setattr(InteractionSampler, "_draw_permutation", draw)


@pytest.mark.parametrize(
    "fault, message",
    [
        (to_cpu, "same device"),
        (without_device, "same device"),
        (without_device_in_backward, "same device"),
        (other_generator, "generator"),
    ],
)
def test_planted_faults_are_found(fault, message, cuda, monkeypatch):
    fit(PROBLEM, "softmax", "cuda", max_epochs=1)
    fault(monkeypatch)
    with pytest.raises(RuntimeError, match=message):
        fit(PROBLEM, "softmax", "cuda", max_epochs=1)


def test_a_wait_names_its_line(cuda):
    fit(PROBLEM, "softmax", "cuda", max_epochs=1)
    assert any(re.match(r"nn/training.py:\d+", wait.where) for wait in cuda.waits)
