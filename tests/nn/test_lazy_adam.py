import copy

import numpy as np
import pytest
import torch

from recsk.nn.lazy_adam import LazyAdam, rows_of

N, WIDTH, RATE = 9, 4, 0.05


def table(seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.Parameter(torch.randn(N, WIDTH, generator=generator, dtype=dtype))


def slopes(n_steps, seed=1):
    """Gradients of some steps; columns differ by orders of magnitude."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_steps, N, WIDTH)) * [1e-6, 1e-2, 1, 1e3]


def step_rows(optimizer, weight, rows, slope):
    """One step of a loss that is linear in these rows."""
    optimizer.zero_grad()
    rows = torch.as_tensor(rows, dtype=torch.int64)
    (rows_of(weight, rows) * torch.as_tensor(slope[rows], dtype=weight.dtype)).sum().backward()
    optimizer.step()


def reference(weight, touched, all_slopes, rate=RATE):
    """The documented rule, one number at a time."""
    w, m, v, last = weight.copy(), np.zeros((N, WIDTH)), np.zeros((N, WIDTH)), np.zeros(N)
    for t, (rows, slope) in enumerate(zip(touched, all_slopes, strict=True), start=1):
        for i in rows:
            n, last[i] = t - last[i], t
            for c in range(WIDTH):
                g = slope[i, c]
                m[i, c] = 0.9**n * m[i, c] + (1 - 0.9**n) * g
                v[i, c] = 0.999**n * v[i, c] + (1 - 0.999**n) * g**2 / n
                m_hat, v_hat = m[i, c] / (1 - 0.9**t), v[i, c] / (1 - 0.999**t)
                w[i, c] -= rate * m_hat / (np.sqrt(v_hat) + 1e-8)
    return w


def test_dense_gradients_are_those_of_adam():
    weight, other = table(), table()
    adam, lazy = torch.optim.Adam([other], lr=RATE), LazyAdam([weight], RATE)
    for slope in slopes(30):
        weight.grad, other.grad = (torch.as_tensor(slope) for _ in range(2))
        adam.step()
        lazy.step()
        torch.testing.assert_close(weight, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_with_a_gradient_in_every_step_are_those_of_adam(dtype):
    weight, other = table(dtype=dtype), table(dtype=dtype)
    adam, lazy = torch.optim.Adam([other], lr=RATE), LazyAdam([weight], RATE)
    rng = np.random.default_rng(0)
    for slope in slopes(30):
        other.grad = torch.as_tensor(slope, dtype=dtype)
        adam.step()
        step_rows(lazy, weight, rng.permutation(N), slope)
        torch.testing.assert_close(weight, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("every", [1, 2, 3, 10])
def test_rows_with_a_gradient_now_and_then(every):
    weight = table()
    start, all_slopes = weight.detach().numpy().copy(), slopes(40)
    # Row i has a gradient in every n-th step, and the last one in none.
    touched = [[i for i in range(N - 1) if t % every == i % every] for t in range(40)]
    lazy = LazyAdam([weight], RATE)
    for rows, slope in zip(touched, all_slopes, strict=True):
        step_rows(lazy, weight, rows, slope)
    expected = reference(start, touched, all_slopes)
    np.testing.assert_allclose(weight.detach(), expected, rtol=1e-5, atol=1e-5)


def test_a_rare_row_moves_about_as_far_as_in_adam():
    rare, dense = table(), table()
    adam, lazy = torch.optim.Adam([dense], lr=RATE), LazyAdam([rare], RATE)
    start = rare.detach().clone()
    for t in range(400):
        slope = np.ones((N, WIDTH)) * (t % 10 == 0)
        dense.grad = torch.as_tensor(slope)
        adam.step()
        step_rows(lazy, rare, range(N) if t % 10 == 0 else [], slope)
    far, expected = ((start - x.detach()).abs().mean().item() for x in (rare, dense))
    assert 0.5 * expected < far < 2 * expected


def test_rows_without_a_gradient_stay_bit_for_bit():
    weight, idle = table(dtype=torch.float32), table(1, torch.float32)
    before, lazy = weight.detach().clone(), LazyAdam([weight, idle], RATE)
    for slope in slopes(5):
        step_rows(lazy, weight, [7, 2], slope)
    changed = (weight != before).any(dim=1).nonzero().ravel().tolist()
    assert changed == [2, 7]
    assert torch.equal(idle, table(1, torch.float32))  # it has no gradient at all


def test_the_learning_rate_can_change():
    weight = table()
    start, all_slopes = weight.detach().numpy().copy(), slopes(2)
    lazy = LazyAdam([weight], 1.0)
    lazy.param_groups[0]["lr"] = RATE
    for slope in all_slopes:
        step_rows(lazy, weight, range(N), slope)
    expected = reference(start, [range(N)] * 2, all_slopes)
    np.testing.assert_allclose(weight.detach(), expected, rtol=1e-5, atol=1e-5)


def test_it_continues_from_its_state():
    touched = [[t % N, (2 * t + 1) % N] if t % N != (2 * t + 1) % N else [t % N] for t in range(20)]
    weights = table(), table()
    whole, first = (LazyAdam([weight], RATE) for weight in weights)
    for t, slope in enumerate(slopes(20)):
        if t == 10:
            first.param_groups[0]["lr"] = whole.param_groups[0]["lr"] = RATE / 2
            state = copy.deepcopy(first.state_dict())
            first = LazyAdam([weights[1]], 1.0)
            first.load_state_dict(state)
        step_rows(whole, weights[0], touched[t], slope)
        step_rows(first, weights[1], touched[t], slope)
    assert torch.equal(*weights)


@pytest.mark.parametrize("ids", [[], [3], [8, 0, 5]])
def test_rows_and_their_gradient(ids):
    weight, ids = table(), torch.tensor(ids, dtype=torch.int64)
    rows = rows_of(weight, ids)
    assert torch.equal(rows, weight[ids])
    slope = torch.randn(len(ids), WIDTH, dtype=torch.float64)
    rows.backward(slope)
    assert weight.grad.is_sparse
    expected = torch.zeros_like(weight)
    expected[ids] = slope
    assert torch.equal(weight.grad.to_dense(), expected)


def test_no_gradients_after_zero_grad():
    weight = table()
    lazy = LazyAdam([weight], RATE)
    weight.grad = torch.ones_like(weight)
    lazy.zero_grad()
    assert weight.grad is None
    lazy.step()
    assert torch.equal(weight, table())
