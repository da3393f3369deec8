import numpy as np
import pytest
import torch

from recsk.nn import softmax
from recsk.nn.softmax import joint_softmax_loss, softmax_loss
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


def joint_inputs(n_modalities):
    rng = np.random.default_rng(n_modalities)
    shapes = [(N, n_modalities, D), (N, n_modalities, D), (K, n_modalities, D), (N, n_modalities)]
    return [torch.tensor(rng.normal(size=shape)) for shape in shapes]


def separate(query, positive, negative, share, **hidden):
    """What the joint loss is, with one softmax for each kind of scores."""
    vectors = (query, positive, negative)
    joined = [x.flatten(1) for x in (query * share[:, :, None], positive, negative)]
    parts = zip(*(x.unbind(1) for x in vectors), strict=True)
    return softmax_loss(*joined, **hidden), 0.7 * sum(softmax_loss(*x, **hidden) for x in parts)


def joint(*vectors, **given):
    return joint_softmax_loss(*vectors, modality_weight=0.7, **given)


JOINT_CASES = ["plain", "own"]


def with_gradients(loss, inputs, hidden):
    """Both terms, and the gradient of their sum by every input."""
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    terms = loss(*inputs, **hidden)
    sum(terms).backward()
    return [x.detach().cpu() for x in (*terms, *(x.grad for x in inputs))]


@pytest.mark.parametrize("n_modalities", [1, 2, 3])
@pytest.mark.parametrize("case", JOINT_CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_joint_loss_is_that_of_what_is_joined_and_of_its_parts(case, n_modalities, dtype):
    inputs = [x.to(dtype) for x in joint_inputs(n_modalities)]
    found = with_gradients(joint, inputs, options(case))
    torch.testing.assert_close(found, with_gradients(separate, inputs, options(case)))


@pytest.mark.parametrize("case", JOINT_CASES)
def test_gradient_of_every_input_of_the_joint_loss(case):
    inputs = [x.requires_grad_() for x in joint_inputs(2)]
    assert torch.autograd.gradcheck(lambda *x: sum(joint(*x, **options(case))), inputs)


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1e2, 1e4])
@pytest.mark.parametrize("case", JOINT_CASES)
def test_extreme_inputs_of_the_joint_loss(case, scale):
    inputs = [(x * scale).float() for x in joint_inputs(2)]
    found = with_gradients(joint, inputs, options(case))
    assert all(torch.isfinite(x).all() for x in found)


@pytest.mark.gpu
@pytest.mark.parametrize("case", JOINT_CASES)
@pytest.mark.parametrize("loss", [joint, separate])
def test_cuda_gives_what_the_cpu_gives(case, loss):
    found = []
    for device in ("cpu", "cuda"):
        inputs = [x.float().to(device) for x in joint_inputs(2)]
        found.append(with_gradients(loss, inputs, options(case, device)))
    torch.testing.assert_close(*found)


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
