import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recsk.ranking import top_k_with_seen
from tests.ranking.cases import naive_top_k, problems


@given(problems(), st.integers(0, 4))
def test_seen_items_are_scored_by_the_first_columns(problem, seen_width):
    users, catalogue, k, options, _ = problem
    seen = options.pop("exclude")
    seen = (
        sparse.csr_array((len(users), len(catalogue)), dtype=np.float32) if seen is None else seen
    )
    ids, scores = top_k_with_seen(users, catalogue, k, seen=seen, seen_width=seen_width, **options)
    # With unit vectors as items, the entries of `products` are the scores.
    products = users @ catalogue.T
    partly = users[:, :seen_width] @ catalogue[:, :seen_width].T
    products = np.where(seen.toarray() > 0, partly, products)
    expected = naive_top_k(products, np.eye(len(catalogue), dtype=np.float32), k, **options)
    assert ids.dtype == np.int64 and scores.dtype == np.float32
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_array_equal(scores, expected[1])


@pytest.mark.parametrize(
    ("restriction", "expected"),
    [({}, [0, 1, 2]), ({"items": [1, 2]}, [1, 2, -1]), ({"filter_items": [0]}, [1, 2, -1])],
)
def test_seen_items_may_be_filtered_out(restriction, expected):
    catalogue, seen = [[3.0, 0.0], [1.0, 0.0], [0.0, 0.0]], sparse.csr_array([[1.0, 0, 1.0]])
    ids, _ = top_k_with_seen([[1.0, 1.0]], catalogue, 3, seen=seen, seen_width=1, **restriction)
    np.testing.assert_array_equal(ids, [expected])


@pytest.mark.parametrize("seen_width", [-1, 0, 5])
def test_seen_and_seen_width_are_required(seen_width):
    seen = None if seen_width >= 0 else sparse.csr_array((1, 1))
    message = "seen must be a sparse matrix; got None"
    if seen_width < 0:
        message = "seen_width must be 0 or more; got -1"
    with pytest.raises(ValueError, match=message):
        top_k_with_seen([[1.0]], [[1.0]], 1, seen=seen, seen_width=seen_width)
    with pytest.raises(TypeError, match="seen must be a sparse matrix"):
        top_k_with_seen([[1.0]], [[1.0]], 1, seen=np.ones((1, 1)), seen_width=1)


def test_seen_may_have_many_pairs_and_duplicate_entries(large_problem, monkeypatch):
    users, catalogue, seen = large_problem
    whole = top_k_with_seen(users, catalogue, 30, seen=seen, seen_width=5)
    twice = sparse.csr_array(
        (np.repeat(seen.data, 2), np.repeat(seen.indices, 2), seen.indptr * 2), shape=seen.shape
    )
    monkeypatch.setattr("recsk.ranking.seen._PAIRS_PER_BLOCK", 100)
    monkeypatch.setattr("recsk.ranking.seen._ROWS_PER_MERGE", 7)
    again = top_k_with_seen(users, catalogue, 30, seen=twice, seen_width=5)
    np.testing.assert_array_equal(again, whole)
    assert twice.nnz == 2 * seen.nnz


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"seen must have shape \(1, 1\)"):
        top_k_with_seen([[1.0]], [[1.0]], 1, seen=sparse.csr_array((1, 2)), seen_width=0)
    for seen_width in (1.5, "1"):
        with pytest.raises(TypeError, match="seen_width must be an int"):
            top_k_with_seen([[1.0]], [[1.0]], 1, seen=sparse.eye_array(1), seen_width=seen_width)
