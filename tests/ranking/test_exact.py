import numpy as np
import pytest
from hypothesis import given
from scipy import sparse

from recsk.ranking import engine, similar, top_k
from tests.ranking.cases import naive_top_k, problems


@given(problems())
def test_top_k_equals_the_naive_ranking(problem):
    users, catalogue, k, options, block_size = problem
    ids, scores = top_k(users, catalogue, k, **options, block_size=block_size, n_threads=1)
    expected_ids, expected_scores = naive_top_k(users, catalogue, k, **options)
    assert ids.dtype == np.int64 and scores.dtype == np.float32
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_array_equal(scores, expected_scores)


@pytest.mark.parametrize("n_threads", [0, 1, 2])
@pytest.mark.parametrize("whitelist", [None, np.arange(3, 300, 2)])
def test_many_blocks_equal_the_naive_ranking(large_problem, n_threads, whitelist):
    users, catalogue, exclude = large_problem
    ids, scores = top_k(users, catalogue, 20, exclude=exclude, items=whitelist, n_threads=n_threads)
    expected = naive_top_k(users, catalogue, 20, exclude, whitelist)
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_allclose(scores, expected[1], rtol=1e-4, atol=1e-5)


def test_batch_equals_single_and_any_block_size(large_problem, monkeypatch):
    users, catalogue, exclude = large_problem
    ids, scores = top_k(users, catalogue, 10, exclude=exclude)
    for block_size in (1, 7, 99, 100, 1000):
        again = top_k(users, catalogue, 10, exclude=exclude, block_size=block_size)
        np.testing.assert_array_equal(again[0], ids)
        np.testing.assert_allclose(again[1], scores, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(engine, "_BLOCK_BYTES", 4 * 500 * 3)  # three users at a time
    np.testing.assert_array_equal(top_k(users, catalogue, 10, exclude=exclude)[0], ids)
    for u in (0, 100, 332):
        one = top_k(users[[u]], catalogue, 10, exclude=exclude[[u]])
        np.testing.assert_array_equal(one[0][0], ids[u])


def test_users_with_zero_vectors_get_the_first_items():
    ids, scores = top_k(np.zeros((2, 4)), np.ones((50, 4)), 3, filter_items=[1])
    np.testing.assert_array_equal(ids, [[0, 2, 3]] * 2)
    np.testing.assert_array_equal(scores, np.zeros((2, 3)))


def test_explicit_zeros_exclude_nothing_and_are_kept():
    exclude = sparse.csr_array(([0.0, 1.0], [0, 1], [0, 2]), shape=(1, 3))
    ids, _ = top_k([[1.0]], [[3.0], [2.0], [1.0]], 3, exclude=exclude)
    np.testing.assert_array_equal(ids, [[0, 2, -1]])
    assert exclude.nnz == 2


@pytest.mark.parametrize("to", [sparse.csc_array, sparse.coo_array, sparse.csr_matrix])
def test_any_sparse_format_excludes(to):
    ids, _ = top_k([[1.0], [1.0]], [[3.0], [2.0]], 1, exclude=to(np.eye(2)))
    np.testing.assert_array_equal(ids, [[1], [0]])


def test_inputs_may_be_read_only_half_precision_or_not_contiguous(large_problem):
    users, catalogue, _ = large_problem
    for array in (users, catalogue):
        array.flags.writeable = False
    expected, _ = top_k(users, catalogue, 5)
    np.testing.assert_array_equal(top_k(np.asfortranarray(users), catalogue, 5)[0], expected)
    half = [x.astype(np.float16) for x in (users, catalogue)]
    whole = [x.astype(np.float32) for x in half]
    np.testing.assert_array_equal(top_k(*half, 5)[0], top_k(*whole, 5)[0])


def test_similar_ranks_by_cosine_without_the_query_itself(large_problem):
    _, vectors, _ = large_problem
    vectors = np.vstack([vectors, np.zeros((1, 16), "f4")])
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    ids, scores = similar(vectors, [5, 500, 5], 4)
    cosine = unit[5] @ unit.T
    cosine[5] = -np.inf
    np.testing.assert_array_equal(ids[0], np.argsort(-cosine)[:4])
    np.testing.assert_allclose(scores[0], np.sort(cosine)[::-1][:4], rtol=1e-5)
    np.testing.assert_array_equal(ids[1], [0, 1, 2, 3])  # the row of zeros
    np.testing.assert_array_equal(ids[2], ids[0])
    np.testing.assert_array_equal(similar([[1.0], [2.0]], [1], 3)[0], [[0, -1, -1]])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k": 0}, ValueError, "k must be 1 or more; got 0"),
        ({"k": 2.0}, TypeError, r"k must be an int; got 2\.0"),
        ({"block_size": 0}, ValueError, "block_size must be 1 or more; got 0"),
        ({"items": [0, 3]}, IndexError, "items has 3, but items go from 0 to 2"),
        ({"items": [0.5]}, TypeError, "items must be integers, got"),
        ({"items": [[0]] * 5}, ValueError, "items must have one list of items .*; got 5 lists"),
        ({"filter_items": [-1]}, IndexError, "filter_items has -1, but items go from 0 to 2"),
        ({"exclude": np.eye(3)}, TypeError, "exclude must be a sparse matrix; got ndarray"),
        (
            {"exclude": sparse.csr_array((2, 3))},
            ValueError,
            r"exclude must have shape \(1, 3\), .* got \(2, 3\)",
        ),
        ({"user_vectors": [1.0, 2.0]}, ValueError, r"user_vectors must have 2 axes.*\(2,\)"),
        ({"n_threads": -1}, ValueError, "n_threads must be 0, for as many as possible, or more"),
        ({"n_threads": 1.5}, TypeError, r"n_threads must be an int; got 1\.5"),
        ({"n_threads": None}, TypeError, "n_threads must be an int; got None"),
        ({"user_vectors": [[np.nan, 0]]}, ValueError, "user_vectors holds .* first in row 0"),
        ({"item_vectors": [[0, 0], [0, 1e39]]}, ValueError, "item_vectors holds .* in row 1"),
        (
            {"user_vectors": [[1.0]]},
            ValueError,
            "must have the same number of columns; got 1 and 2",
        ),
    ],
)
def test_errors_name_the_argument(change, error, message):
    arguments = {"user_vectors": np.ones((1, 2)), "item_vectors": np.ones((3, 2)), "k": 2}
    with pytest.raises(error, match=message):
        top_k(**(arguments | change))


def test_too_many_threads_change_nothing(large_problem):
    users, items, _ = large_problem
    np.testing.assert_array_equal(
        top_k(users, items, 5, n_threads=100_000), top_k(users, items, 5, n_threads=1)
    )


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_cosines_do_not_depend_on_the_scale(scale):
    ids, cosines = similar(np.array([[1, 0], [1, 0.1], [0, 1]]) * scale, [0], 2)
    assert ids.tolist() == [[1, 2]]
    np.testing.assert_allclose(cosines, [[0.995037, 0]], atol=1e-6)


def test_errors_of_similar_name_the_argument():
    with pytest.raises(ValueError, match="^vectors holds values that are not finite.* row 1"):
        similar([[1.0], [np.inf]], [0], 1)
    with pytest.raises(IndexError, match="query_ids has 2, but items go from 0 to 1"):
        similar([[1.0], [2.0]], [2], 1)
