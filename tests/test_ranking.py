from contextlib import ExitStack

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse
from threadpoolctl import threadpool_info, threadpool_limits

from recsk import ranking
from recsk.ranking import similar, top_k, top_k_with_met


def naive(users, items_, k, exclude=None, items=None, filter_items=None):
    """The obvious way: score all, sort by (-score, id), skip what is not allowed."""
    ids = np.full((len(users), k), -1)
    scores = np.full((len(users), k), -np.inf, dtype="f4")
    for u, vector in enumerate(users):
        allowed = set(range(len(items_))) if items is None else set(items)
        allowed -= set() if filter_items is None else set(filter_items)
        if exclude is not None:
            allowed -= set(np.flatnonzero(exclude.toarray()[u]))
        score = {i: float(items_[i] @ vector) for i in allowed}
        best = sorted(allowed, key=lambda i: (-score[i], i))[:k]
        ids[u, : len(best)] = best
        scores[u, : len(best)] = [score[i] for i in best]
    return ids, scores


@st.composite
def problems(draw):
    n, n_items, d = draw(st.integers(0, 6)), draw(st.integers(1, 9)), draw(st.integers(0, 3))
    # Small integers: sums are exact in float32, and ties are many.
    entries = st.integers(-2, 2).map(float)
    users = draw(hnp.arrays(np.float32, (n, d), elements=entries))
    items_ = draw(hnp.arrays(np.float32, (n_items, d), elements=entries))
    some_items = st.none() | st.lists(st.integers(0, n_items - 1), max_size=12)
    exclude = draw(st.none() | hnp.arrays(np.float32, (n, n_items), elements=st.integers(0, 1)))
    options = {
        "exclude": None if exclude is None else sparse.csr_array(exclude),
        "items": draw(some_items),
        "filter_items": draw(some_items),
    }
    return users, items_, draw(st.integers(1, 12)), options, draw(st.sampled_from([None, 1, 2]))


@given(problems())
def test_top_k_equals_the_naive_ranking(problem):
    users, items_, k, options, block_size = problem
    ids, scores = top_k(users, items_, k, **options, block_size=block_size, n_threads=1)
    expected_ids, expected_scores = naive(users, items_, k, **options)
    assert ids.dtype == np.int64 and scores.dtype == np.float32
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_array_equal(scores, expected_scores)


@given(problems(), st.integers(0, 4))
def test_what_was_met_goes_by_the_first_columns(problem, met_width):
    users, items_, k, options, _ = problem
    met = options.pop("exclude")
    met = sparse.csr_array((len(users), len(items_)), dtype=np.float32) if met is None else met
    ids, scores = top_k_with_met(users, items_, k, met=met, met_width=met_width, **options)
    # A score that any item has by a column of its own, which these vectors make.
    products = users @ items_.T
    partly = users[:, :met_width] @ items_[:, :met_width].T
    products = np.where(met.toarray() > 0, partly, products)
    expected = naive(products, np.eye(len(items_), dtype=np.float32), k, **options)
    assert ids.dtype == np.int64 and scores.dtype == np.float32
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_array_equal(scores, expected[1])


@pytest.fixture
def big():
    rng = np.random.default_rng(0)
    exclude = sparse.random_array((333, 500), density=0.1, format="csr", rng=rng, dtype="f4")
    return (
        rng.normal(size=(333, 16)).astype("f4"),
        rng.normal(size=(500, 16)).astype("f4"),
        exclude,
    )


@pytest.mark.parametrize("n_threads", [0, 1, 2])
@pytest.mark.parametrize("whitelist", [None, np.arange(3, 300, 2)])
def test_many_blocks(big, n_threads, whitelist):
    users, items_, exclude = big
    ids, scores = top_k(users, items_, 20, exclude=exclude, items=whitelist, n_threads=n_threads)
    expected = naive(users, items_, 20, exclude, whitelist)
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_allclose(scores, expected[1], rtol=1e-4, atol=1e-5)


def test_batch_equals_single_and_any_block_size(big, monkeypatch):
    users, items_, exclude = big
    ids, scores = top_k(users, items_, 10, exclude=exclude)
    for block_size in (1, 7, 99, 100, 1000):
        again = top_k(users, items_, 10, exclude=exclude, block_size=block_size)
        np.testing.assert_array_equal(again[0], ids)
        np.testing.assert_allclose(again[1], scores, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(ranking, "_BLOCK_BYTES", 4 * 500 * 3)  # three users at a time
    np.testing.assert_array_equal(top_k(users, items_, 10, exclude=exclude)[0], ids)
    for u in (0, 100, 332):
        one = top_k(users[[u]], items_, 10, exclude=exclude[[u]])
        np.testing.assert_array_equal(one[0][0], ids[u])


def test_users_that_like_nothing_get_the_first_items():
    ids, scores = top_k(np.zeros((2, 4)), np.ones((50, 4)), 3, filter_items=[1])
    np.testing.assert_array_equal(ids, [[0, 2, 3]] * 2)
    np.testing.assert_array_equal(scores, np.zeros((2, 3)))


def test_explicit_zeros_exclude_nothing_and_stay():
    exclude = sparse.csr_array(([0.0, 1.0], [0, 1], [0, 2]), shape=(1, 3))
    ids, _ = top_k([[1.0]], [[3.0], [2.0], [1.0]], 3, exclude=exclude)
    np.testing.assert_array_equal(ids, [[0, 2, -1]])
    assert exclude.nnz == 2


@pytest.mark.parametrize("to", [sparse.csc_array, sparse.coo_array, sparse.csr_matrix])
def test_any_sparse_format_excludes(to):
    ids, _ = top_k([[1.0], [1.0]], [[3.0], [2.0]], 1, exclude=to(np.eye(2)))
    np.testing.assert_array_equal(ids, [[1], [0]])


def test_inputs_may_be_read_only_half_precision_or_not_contiguous(big):
    users, items_, _ = big
    for array in (users, items_):
        array.flags.writeable = False
    expected, _ = top_k(users, items_, 5)
    np.testing.assert_array_equal(top_k(np.asfortranarray(users), items_, 5)[0], expected)
    half = [x.astype(np.float16) for x in (users, items_)]
    whole = [x.astype(np.float32) for x in half]
    np.testing.assert_array_equal(top_k(*half, 5)[0], top_k(*whole, 5)[0])


def test_similar_is_cosine_without_the_item_itself(big):
    _, vectors, _ = big
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
    ("restriction", "expected"),
    [({}, [0, 1, 2]), ({"items": [1, 2]}, [1, 2, -1]), ({"filter_items": [0]}, [1, 2, -1])],
)
def test_what_was_met_may_be_forbidden(restriction, expected):
    items_, met = [[3.0, 0.0], [1.0, 0.0], [0.0, 0.0]], sparse.csr_array([[1.0, 0, 1.0]])
    ids, _ = top_k_with_met([[1.0, 1.0]], items_, 3, met=met, met_width=1, **restriction)
    np.testing.assert_array_equal(ids, [expected])


@pytest.mark.parametrize("met_width", [-1, 0, 5])
def test_what_was_met_has_to_be_told(met_width):
    met = None if met_width >= 0 else sparse.csr_array((1, 1))
    with pytest.raises(ValueError, match="met and met_width must be"):
        top_k_with_met([[1.0]], [[1.0]], 1, met=met, met_width=met_width)
    with pytest.raises(TypeError, match="met must be a sparse matrix"):
        top_k_with_met([[1.0]], [[1.0]], 1, met=np.ones((1, 1)), met_width=1)


def test_what_was_met_may_be_many_pairs_with_repeats(big, monkeypatch):
    users, items_, met = big
    whole = top_k_with_met(users, items_, 30, met=met, met_width=5)
    twice = sparse.csr_array(
        (np.repeat(met.data, 2), np.repeat(met.indices, 2), met.indptr * 2), shape=met.shape
    )
    monkeypatch.setattr("recsk.ranking._PAIRS", 100)
    monkeypatch.setattr("recsk.ranking._MERGED_ROWS", 7)
    again = top_k_with_met(users, items_, 30, met=twice, met_width=5)
    np.testing.assert_array_equal(again, whole)
    assert twice.nnz == 2 * met.nnz


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k": 0}, ValueError, "k must be 1 or more; got 0"),
        ({"k": 2.0}, TypeError, r"k must be an int; got 2\.0"),
        ({"block_size": 0}, ValueError, "block_size must be 1 or more; got 0"),
        ({"items": [0, 3]}, IndexError, "items has 3, but items go from 0 to 2"),
        ({"items": [0.5]}, TypeError, "items must be integers, got"),
        ({"items": [[0]]}, ValueError, r"items must be 1-D; got shape \(1, 1\)"),
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
        ({"user_vectors": [[1.0]]}, ValueError, "must have one width; got 1 and 2"),
    ],
)
def test_errors_name_the_argument(change, error, message):
    arguments = {"user_vectors": np.ones((1, 2)), "item_vectors": np.ones((3, 2)), "k": 2}
    with pytest.raises(error, match=message):
        top_k(**(arguments | change))


def test_many_threads_are_as_many_as_there_are_cores(big):
    users, items, _ = big
    np.testing.assert_array_equal(
        top_k(users, items, 5, n_threads=100_000), top_k(users, items, 5, n_threads=1)
    )


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_cosines_know_no_scale(scale):
    ids, cosines = similar(np.array([[1, 0], [1, 0.1], [0, 1]]) * scale, [0], 2)
    assert ids.tolist() == [[1, 2]]
    np.testing.assert_allclose(cosines, [[0.995037, 0]], atol=1e-6)


def test_errors_of_the_other_two():
    with pytest.raises(ValueError, match=r"met must have shape \(1, 1\)"):
        top_k_with_met([[1.0]], [[1.0]], 1, met=sparse.csr_array((1, 2)), met_width=0)
    for met_width in (1.5, "1"):
        with pytest.raises(TypeError, match="met_width must be an int"):
            top_k_with_met([[1.0]], [[1.0]], 1, met=sparse.eye_array(1), met_width=met_width)
    with pytest.raises(ValueError, match="^vectors holds values that are not finite.* row 1"):
        similar([[1.0], [np.inf]], [0], 1)
    with pytest.raises(IndexError, match="query_ids has 2, but items go from 0 to 1"):
        similar([[1.0], [2.0]], [2], 1)


def test_overlapping_calls_leave_the_threads_of_blas_as_they_were():
    def threads():
        return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        assert max(before) == 2  # else there would be nothing to limit
        with ExitStack() as one, ExitStack() as other:
            one.enter_context(ranking._ONE_BLAS_THREAD)
            other.enter_context(ranking._ONE_BLAS_THREAD)
            one.close()  # the first one in leaves first
            assert set(threads()) == {1}
        assert threads() == before
