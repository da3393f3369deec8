import numpy as np
import pytest
import torch

from recsk.nn import softmax
from recsk.nn.softmax import softmax_loss
from tests.nn import reference

N, K, D = 7, 5, 4
RNG = np.random.default_rng(0)
QUERY, POSITIVE = RNG.normal(size=(2, N, D))
NEGATIVE = RNG.normal(size=(K, D))
WEIGHT = RNG.random(N)
HITS = RNG.random((N, K)) < 0.3
HITS[3] = True  # nothing left for it
OWN = np.array([2, -1, 0, 4, -1, 2, 1])
OWNER = np.array([4, 0, 6, 4, 3, 0, 4])  # 1, 2 and 5 are to find nothing

CASES = {
    "plain": {},
    "own": {"own": OWN},
    "excluded": {"excluded": HITS},
    "both": {"own": OWN, "excluded": HITS},
    "owner": {"owner": OWNER},
    "owner and excluded": {"owner": OWNER, "excluded": HITS},
}


def expected(query, positive, negative, weight=None, own=None, excluded=None, owner=None):
    if owner is not None:
        query, excluded = query[owner], None if excluded is None else excluded[owner]
    gone = (
        np.zeros((len(query), len(negative)), dtype=bool) if excluded is None else excluded.copy()
    )
    if own is not None:
        gone[own >= 0, own[own >= 0]] = True
    scores = np.array([q @ p for q, p in zip(query, positive, strict=True)])
    return reference.sampled_softmax(scores, query @ negative.T, gone, weight)


def options(case, device="cpu"):
    return {name: torch.as_tensor(value, device=device) for name, value in CASES[case].items()}


@pytest.fixture(params=[2**19, 3 * K, 1], ids=["one block", "three rows", "one row"], autouse=True)
def block(request, monkeypatch):
    monkeypatch.setattr(softmax, "_BLOCK", {"cpu": request.param, "cuda": request.param})
    monkeypatch.setattr(softmax, "_ROWS", 1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_equation(case, weighted, dtype, rtol):
    weight = WEIGHT if weighted else None
    inputs = [torch.as_tensor(x, dtype=dtype) for x in (QUERY, POSITIVE, NEGATIVE)]
    given = None if weight is None else torch.as_tensor(weight, dtype=dtype)
    loss = softmax_loss(*inputs, weight=given, **options(case))
    right = expected(QUERY, POSITIVE, NEGATIVE, weight, **CASES[case])
    np.testing.assert_allclose(loss, right, rtol=rtol)


@pytest.mark.parametrize("case", CASES)
def test_gradient_of_every_input(case):
    inputs = [torch.tensor(x, requires_grad=True) for x in (QUERY, POSITIVE, NEGATIVE, WEIGHT)]
    assert torch.autograd.gradcheck(
        lambda q, p, n, w: softmax_loss(q, p, n, weight=w, **options(case)), inputs
    )
    assert torch.autograd.gradcheck(
        lambda q, p, n: 3 * softmax_loss(q, p, n, **options(case)), inputs[:3]
    )


def test_the_same_items_on_both_sides():
    # As where nodes are told apart from each other: the gradients of both sides add up.
    vectors = torch.tensor(POSITIVE, requires_grad=True)
    query = torch.tensor(QUERY)
    assert torch.autograd.gradcheck(
        lambda x: softmax_loss(query, x, x, own=torch.arange(N)), [vectors]
    )
    all_items = torch.nn.functional.cross_entropy(query @ vectors.T, torch.arange(N))
    loss = softmax_loss(query, vectors, vectors, own=torch.arange(N))
    torch.testing.assert_close(loss, all_items)


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1e2, 1e4])
@pytest.mark.parametrize("case", CASES)
def test_extreme_inputs_give_finite_losses_and_gradients(case, scale):
    inputs = [
        torch.tensor(x * scale, dtype=torch.float32, requires_grad=True)
        for x in (QUERY, POSITIVE, NEGATIVE, WEIGHT)
    ]
    loss = softmax_loss(*inputs[:3], weight=inputs[3], **options(case))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(x.grad).all() for x in inputs)


def test_what_is_no_negative_changes_nothing():
    query, positive, negative = (torch.as_tensor(x) for x in (QUERY, POSITIVE, NEGATIVE))
    column = torch.full((N,), 1)
    without = softmax_loss(query, positive, negative[[0, 2, 3, 4]])
    torch.testing.assert_close(softmax_loss(query, positive, negative, own=column), without)
    nothing_left = softmax_loss(query, positive, negative[:1], own=0 * column)
    assert nothing_left == 0


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES)
def test_cuda_gives_the_same_gradients(case):
    found = []
    for device in ("cpu", "cuda"):
        inputs = [
            torch.tensor(x, dtype=torch.float32, device=device, requires_grad=True)
            for x in (QUERY, POSITIVE, NEGATIVE, WEIGHT)
        ]
        loss = softmax_loss(*inputs[:3], weight=inputs[3], **options(case, device))
        loss.backward()
        found.append([x.detach().cpu() for x in (loss, *(x.grad for x in inputs))])
    torch.testing.assert_close(*found)
