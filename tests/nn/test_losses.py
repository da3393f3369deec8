import numpy as np
import pytest
import torch

from recsk.nn import losses
from tests.nn import reference

N, D = 7, 4
RNG = np.random.default_rng(0)
POSITIVE, NEGATIVE = RNG.normal(size=(2, N))
MATRIX = RNG.normal(size=(N, 5))
V, T = RNG.normal(size=(2, N, D))
WEIGHT, SECOND_WEIGHT = RNG.random((2, N))
IDS = np.array([3, 1, 3, 0, 1, 3, 9])


def tensors(*arrays):
    return [torch.as_tensor(array) for array in arrays]


# Name: (inputs, which all need a gradient; the loss; its reference).
CASES = {
    "bpr": ((POSITIVE, NEGATIVE), losses.bpr_loss, reference.bpr),
    "bpr, weighted": ((POSITIVE, NEGATIVE, WEIGHT), losses.bpr_loss, reference.bpr),
    "MDA": ((V, T, WEIGHT), losses.difference_loss, reference.difference),
    "MDA, uniform": (
        (V, T),
        losses.difference_loss,
        lambda v, t: reference.difference(v, t, np.ones(N)),
    ),
    "MSA": (
        (V, T, WEIGHT),
        lambda v, t, w: losses.alignment_loss(v, t, w, temperature=0.2),
        lambda v, t, w: reference.alignment(v, t, w, 0.2),
    ),
    "MSA, repeated nodes": (
        (V, T, WEIGHT),
        lambda *x: losses.alignment_loss(*x, temperature=0.5, ids=torch.as_tensor(IDS)),
        lambda *x: reference.alignment(*x, 0.5, IDS),
    ),
    "MSA, uniform": (
        (V, T),
        lambda v, t: losses.alignment_loss(v, t, temperature=1.0),
        lambda v, t: reference.alignment(v, t, 1, 1.0),
    ),
    "NLT": (
        (WEIGHT, SECOND_WEIGHT),
        lambda a, b: torch.stack(losses.tradeoff_weights(a, b)),
        lambda a, b: np.stack(reference.tradeoff(a, b)),
    ),
    "squared norm": ((V, T, MATRIX), losses.squared_norm, reference.squared_norm),
}


@pytest.mark.parametrize("inputs, loss, expected", CASES.values(), ids=CASES)
def test_equation(inputs, loss, expected):
    np.testing.assert_allclose(loss(*tensors(*inputs)), expected(*inputs), rtol=1e-10)
    single = [torch.as_tensor(x, dtype=torch.float32) for x in inputs]
    np.testing.assert_allclose(loss(*single), expected(*inputs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("inputs, loss, expected", CASES.values(), ids=CASES)
def test_gradient(inputs, loss, expected):
    learned = [tensor.requires_grad_() for tensor in tensors(*inputs)]
    assert torch.autograd.gradcheck(loss, learned)


@pytest.mark.parametrize("inputs, loss, expected", CASES.values(), ids=CASES)
def test_extreme_inputs_give_finite_losses_and_gradients(inputs, loss, expected):
    for scale in (0.0, 1e-20, 1e4):
        learned = [torch.tensor(x * scale, dtype=torch.float32, requires_grad=True) for x in inputs]
        value = loss(*learned).sum()
        value.backward()
        assert torch.isfinite(value)
        assert all(torch.isfinite(x.grad).all() for x in learned)


def test_extremes_of_difference_and_alignment():
    v = torch.eye(4)
    assert losses.difference_loss(v, 3 * v) == 0  # same directions: no difference
    assert losses.difference_loss(v, -v) == -2  # opposite unit vectors along one axis
    aligned = losses.alignment_loss(v, 3 * v, temperature=0.05)
    assert aligned < 1e-7 < losses.alignment_loss(v, v.roll(1, 0), temperature=0.05)
    # All rows are the same node: no negatives, so no loss.
    same = losses.alignment_loss(v, v.roll(1, 0), temperature=0.05, ids=torch.zeros(4))
    assert same == 0


def test_tradeoff_of_a_node_with_even_preferences_and_a_node_with_one_modality():
    difference, alignment = losses.tradeoff_weights(
        torch.tensor([0.5, 1.0]), torch.tensor([0.5, 0.0])
    )
    assert difference.tolist() == [0, 1] and alignment.tolist() == [1, 0]
