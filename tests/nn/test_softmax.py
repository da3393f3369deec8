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
EXCLUDED = RNG.random((N, K)) < 0.3
EXCLUDED[3] = True  # no negative is left for query 3
POSITIVE_INDEX = np.array([2, -1, 0, 4, -1, 2, 1])
QUERY_INDEX = np.array([4, 0, 6, 4, 3, 0, 4])  # queries 1, 2 and 5 have no positive

CASES = {
    "plain": {},
    "positive_index": {"positive_index": POSITIVE_INDEX},
    "excluded": {"excluded": EXCLUDED},
    "positive_index and excluded": {"positive_index": POSITIVE_INDEX, "excluded": EXCLUDED},
    "query_index": {"query_index": QUERY_INDEX},
    "query_index and excluded": {"query_index": QUERY_INDEX, "excluded": EXCLUDED},
}


def expected_loss(
    query,
    positive,
    negative,
    weight=None,
    positive_index=None,
    excluded=None,
    query_index=None,
):
    if query_index is not None:
        query, excluded = query[query_index], None if excluded is None else excluded[query_index]
    ignored = (
        np.zeros((len(query), len(negative)), dtype=bool) if excluded is None else excluded.copy()
    )
    if positive_index is not None:
        found = positive_index >= 0
        ignored[found, positive_index[found]] = True
    scores = np.array([q @ p for q, p in zip(query, positive, strict=True)])
    return reference.sampled_softmax(scores, query @ negative.T, ignored, weight)


def options(case, device="cpu"):
    return {name: torch.as_tensor(value, device=device) for name, value in CASES[case].items()}


@pytest.fixture(params=[2**19, 3 * K, 1], ids=["one block", "three rows", "one row"], autouse=True)
def block_size(request, monkeypatch):
    monkeypatch.setattr(softmax, "_BLOCK_SCORES", {"cpu": request.param, "cuda": request.param})
    monkeypatch.setattr(softmax, "_MIN_BLOCK_ROWS", 1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_equation(case, weighted, dtype, rtol):
    weight = WEIGHT if weighted else None
    inputs = [torch.as_tensor(x, dtype=dtype) for x in (QUERY, POSITIVE, NEGATIVE)]
    weight_tensor = None if weight is None else torch.as_tensor(weight, dtype=dtype)
    loss = softmax_loss(*inputs, weight=weight_tensor, **options(case))
    expected = expected_loss(QUERY, POSITIVE, NEGATIVE, weight, **CASES[case])
    np.testing.assert_allclose(loss, expected, rtol=rtol)


@pytest.mark.parametrize("case", CASES)
def test_gradient_of_every_input(case):
    inputs = [torch.tensor(x, requires_grad=True) for x in (QUERY, POSITIVE, NEGATIVE, WEIGHT)]
    assert torch.autograd.gradcheck(
        lambda q, p, n, w: softmax_loss(q, p, n, weight=w, **options(case)), inputs
    )
    assert torch.autograd.gradcheck(
        lambda q, p, n: 3 * softmax_loss(q, p, n, **options(case)), inputs[:3]
    )


def test_the_same_vectors_as_positives_and_negatives():
    # As in the alignment loss: the gradients by positives and by negatives add up.
    vectors = torch.tensor(POSITIVE, requires_grad=True)
    query, index = torch.tensor(QUERY), torch.arange(N)
    assert torch.autograd.gradcheck(
        lambda x: softmax_loss(query, x, x, positive_index=index), [vectors]
    )
    expected = torch.nn.functional.cross_entropy(query @ vectors.T, index)
    loss = softmax_loss(query, vectors, vectors, positive_index=index)
    torch.testing.assert_close(loss, expected)


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


def test_excluded_negatives_change_nothing():
    query, positive, negative = (torch.as_tensor(x) for x in (QUERY, POSITIVE, NEGATIVE))
    column = torch.full((N,), 1)
    without = softmax_loss(query, positive, negative[[0, 2, 3, 4]])
    loss = softmax_loss(query, positive, negative, positive_index=column)
    torch.testing.assert_close(loss, without)
    no_negatives = softmax_loss(query, positive, negative[:1], positive_index=0 * column)
    assert no_negatives == 0


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES)
def test_cuda_matches_the_cpu(case):
    results = []
    for device in ("cpu", "cuda"):
        inputs = [
            torch.tensor(x, dtype=torch.float32, device=device, requires_grad=True)
            for x in (QUERY, POSITIVE, NEGATIVE, WEIGHT)
        ]
        loss = softmax_loss(*inputs[:3], weight=inputs[3], **options(case, device))
        loss.backward()
        results.append([x.detach().cpu() for x in (loss, *(x.grad for x in inputs))])
    torch.testing.assert_close(*results)
