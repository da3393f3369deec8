"""The engine of devices gives the lists of the engine of the CPU, ties included."""

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from recsk.ranking import Users, on_device, similar, top_k
from recsk.ranking.allowed import Allowed
from recsk.ranking.blocks import rank, top_k_of_blocks
from recsk.ranking.devices import ranking_device
from recsk.ranking.scores import BlockScores, CombinedScores, ScoresOfItems
from tests.nn.cuda import DEVICES
from tests.ranking.cases import naive_top_k, problems, sets

FEW = st.integers(-2, 2).map(float)  # sums are exact in float32, and ties are frequent


def assert_same(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert found[0].dtype == np.int64 and found[1].dtype == np.float32


@pytest.mark.parametrize("device", DEVICES)
@given(problems(), st.sampled_from([1, 100, 2**20]))
def test_top_k_equals_the_naive_ranking(device, problem, n_bytes):
    users, catalogue, k, options, _ = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(on_device._BLOCK_BYTES, device, n_bytes)
        found = top_k(users, catalogue, k, **options, device=device)
    assert_same(found, naive_top_k(users, catalogue, k, **options))
    assert_same(found, top_k(users, catalogue, k, **options))


@pytest.mark.parametrize("device", DEVICES)
@given(problems())
def test_similar_equals_that_of_the_cpu(device, problem):
    _, vectors, k, _, _ = problem
    queries = np.arange(len(vectors))[::2]
    # Of lengths other than 0 and 1, roots are rounded.
    vectors = np.sign(vectors.sum(axis=1, keepdims=True)) * np.eye(1, 3, dtype="f4")
    assert_same(*(similar(vectors, queries, k, device=where) for where in (device, None)))


@st.composite
def combined_problems(draw):
    n, n_items, width = draw(st.integers(1, 5)), draw(st.integers(1, 8)), draw(st.integers(0, 2))

    def array(*shape, elements=FEW):
        return draw(hnp.arrays(np.float32, shape, elements=elements))

    def matrix(*shape):
        return sparse.csr_matrix(array(*shape))

    vectors, items = array(n, width), array(n_items, width)
    if draw(st.booleans()):
        vectors = items = None
    term = array(n_items, n_items)
    term = term if draw(st.booleans()) else sparse.csr_matrix(term)
    unrelated = matrix(n, n_items) if draw(st.booleans()) else None
    users = Users(vectors, matrix(n, n_items), unrelated)
    allowed = Allowed.read(
        draw(st.none() | st.just(matrix(n, n_items))),
        draw(sets(n, n_items)),
        draw(sets(n, n_items)),
        (n, n_items),
    )
    return users, items, term, (n, n_items), draw(st.integers(1, 9)), allowed


@pytest.mark.parametrize("device", DEVICES)
@given(combined_problems(), st.sampled_from([1, 2**20]))
def test_scores_with_an_item_to_item_part(device, problem, n_bytes):
    users, items, term, shape, k, allowed = problem
    scores = CombinedScores(users, items, term, *shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(on_device._BLOCK_BYTES, device, n_bytes)
        assert_same(*(rank(scores, k, allowed, device=where) for where in (device, None)))


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=40)
@given(combined_problems(), st.lists(st.integers(0, 7), min_size=1, max_size=4))
def test_users_of_items(device, problem, chosen):
    users, items, term, (n, n_items), k, _ = problem
    chosen = np.array(chosen) % n_items
    scores = ScoresOfItems(CombinedScores(users, items, term, n, n_items), chosen)
    for given_users in (None, [0], np.eye(len(chosen), n, dtype=bool)):
        allowed = Allowed.read(None, given_users, None, scores.shape)
        assert_same(*(rank(scores, k, allowed, device=where) for where in (device, None)))


def test_scores_that_come_in_blocks():
    scores = np.random.default_rng(0).integers(0, 5, (20, 30)).astype("f4")
    of_blocks = BlockScores(lambda rows: scores[rows].copy(), scores.shape)
    allowed = Allowed.read(sparse.csr_array(scores == 2), None, [3], scores.shape)
    expected = top_k_of_blocks(
        lambda rows: scores[rows].copy(),
        *(20, 30, 7),
        exclude=sparse.csr_array(scores == 2),
        filter_items=[3],
    )
    assert_same(rank(of_blocks, 7, allowed, device="cpu"), expected)


def test_zeros_are_equal_whatever_their_sign():
    ids, scores = top_k([[1.0, 0.0]], [[-0.0, 0], [0.0, 0], [-0.0, 1], [1, 0]], 4, device="cpu")
    assert_same((ids, scores), (np.array([[3, 0, 1, 2]]), np.array([[1, 0, 0, 0]], "f4")))


def test_largest_and_smallest_scores():
    big = np.finfo("f4").max
    catalogue = [[-big], [1e-45], [big], [-1e-45], [0.0], [-np.inf], [np.inf]]
    ids, _ = top_k([[1.0]], catalogue, 7, device="cpu", check_finite=False)
    np.testing.assert_array_equal(ids, [[6, 2, 1, 4, 3, 0, -1]])


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="not a number"):
        top_k([[np.nan]], [[1.0], [2.0]], 1, device="cpu", check_finite=False)


@pytest.mark.parametrize("device", DEVICES)
def test_a_large_problem(device, large_problem):
    users, catalogue, exclude = large_problem
    found, expected = (
        top_k(users, catalogue, 20, exclude=exclude, device=where) for where in (device, None)
    )
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-6)


def test_a_full_device_says_what_to_do(cuda, monkeypatch):
    import torch

    def fail(*args):
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`")

    monkeypatch.setattr(on_device._Combined, "block", fail)
    with pytest.raises(torch.OutOfMemoryError, match=r"cuda:0 .* rank 2 items: set device='cpu'"):
        top_k([[1.0]], [[1.0], [2.0]], 1, device="cuda:0")


def test_ranking_on_cuda(cuda, large_problem):
    users, catalogue, exclude = large_problem
    half = np.arange(0, 500, 2)
    for options in ({}, {"items": half}, {"filter_items": half}, {"items": exclude}):
        cuda.copies_to_cpu.clear()
        found, expected = (
            top_k(users, catalogue, 20, exclude=exclude, device=device, **options)
            for device in ("cuda:1", None)
        )
        np.testing.assert_array_equal(found[0], expected[0])
        # Lists go to the CPU, and nothing as large as the scores.
        assert {w.where.partition(" <")[0].partition(":")[0] for w in cuda.copies_to_cpu} == {
            "ranking/on_device.py"
        }
        assert len(cuda.copies_to_cpu) == 3  # ids, scores, and whether one is not a number


def test_vectors_of_items_stay_on_the_device(cuda):
    catalogue = np.ones((5, 2), "f4")
    gc.collect()
    known = len(on_device._copies)
    top_k([[1.0, 1.0]], catalogue, 1, device="cuda:0")
    n_waits = len(cuda.waits)
    assert len(on_device._copies) == known + 1
    top_k([[1.0, 1.0]], catalogue, 1, device="cuda:0")
    assert len(cuda.waits) == 2 * n_waits - 1
    del catalogue
    gc.collect()
    assert len(on_device._copies) == known


def test_which_device_ranks(cuda):
    import torch

    assert ranking_device("cpu") is None
    assert ranking_device("auto") == ranking_device("cuda") == "cuda:0"
    assert ranking_device("cuda:1") == "cuda:1"
    for other in ("cuda:7", "cuda:x", "gpu", None):
        assert ranking_device(other) is None
    with torch.cuda.device(1):
        assert ranking_device("auto") == "cuda:1"


def test_the_cpu_ranks_where_there_is_no_device(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("auto", "cpu", "cuda", "cuda:1"):
        assert ranking_device(device) is None


def test_a_fork_ranks_on_the_cpu(cuda, monkeypatch):
    monkeypatch.setattr("recsk.ranking.devices.in_fork", lambda: True)
    assert ranking_device("cuda") is None


@pytest.mark.parametrize("device", ["cuda:7", "meta", "gpu", 1.5, "cuda:x"])
@pytest.mark.parametrize(
    "ask",
    [lambda **o: top_k([[1.0]], [[1.0]], 1, **o), lambda **o: similar([[1.0], [1.0]], [0], 1, **o)],
)
def test_a_device_that_does_not_exist_is_refused(ask, device):
    with pytest.raises(ValueError, match="device must be 'cpu' or a device of CUDA"):
        ask(device=device)
