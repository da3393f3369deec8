import pytest
import torch
from torch.nn import functional

from recsk.nn.unit import unit_vectors

SHAPES = [(3,), (5, 4), (2, 3, 4), (6, 1), (0, 4)]


def random_tensor(*shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
def test_vectors_and_gradients_are_those_of_torch(shape, scale):
    x = (scale * random_tensor(*shape)).requires_grad_()
    y = x.detach().clone().requires_grad_()
    actual, expected = unit_vectors(x), functional.normalize(y, dim=-1)
    torch.testing.assert_close(actual, expected)
    slope = random_tensor(*shape).flip(0)
    actual.backward(slope)
    expected.backward(slope)
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-6, atol=1e-12 / scale)


@pytest.mark.parametrize("shape", SHAPES[:4])
def test_gradient_by_differences(shape):
    assert torch.autograd.gradcheck(unit_vectors, random_tensor(*shape).requires_grad_())


def test_vectors_that_are_not_contiguous():
    x = random_tensor(4, 5).T.requires_grad_()
    torch.testing.assert_close(unit_vectors(x), functional.normalize(x, dim=-1))
    assert torch.autograd.gradcheck(unit_vectors, x)


def test_zeros_stay():
    x = random_tensor(3, 4)
    x[1] = 0
    x.requires_grad_()
    scaled = unit_vectors(x)
    assert not scaled[1].any()
    torch.testing.assert_close(scaled[[0, 2]].norm(dim=1), torch.ones(2, dtype=torch.float64))
    scaled.sum().backward()
    assert torch.isfinite(x.grad).all()


def test_the_input_stays():
    x = random_tensor(3, 4)
    before = x.clone()
    unit_vectors(x)
    assert torch.equal(x, before)
