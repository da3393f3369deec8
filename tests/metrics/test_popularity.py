import numpy as np
import pytest
from hypothesis import given
from scipy import sparse

from recsk.metrics import popularity_at_k, popularity_shift_at_k
from tests.metrics.cases import check_average, lists_and_histories, mean


@given(lists_and_histories())
def test_popularity_and_its_shift_equal_their_definitions(problem):
    ranked, train, users, k = problem
    share = train.sum(axis=0) / max(sum(row.any() for row in train), 1)
    listed = [mean([share[item] for item in row[:k] if item >= 0]) for row in ranked]
    history = [mean([share[item] for item in np.flatnonzero(train[user])]) for user in users]
    matrix = sparse.csr_array(train)
    np.testing.assert_allclose(popularity_at_k(ranked, matrix, k, average=False), listed)
    check_average(listed, popularity_at_k, ranked, matrix, k)
    expected = np.subtract(listed, history)
    values = popularity_shift_at_k(ranked, matrix, k, users=users, average=False)
    np.testing.assert_allclose(values, expected, atol=1e-12)
    check_average(expected, popularity_shift_at_k, ranked, matrix, k, users=users)
    by_row = popularity_shift_at_k(ranked, matrix[users], k, average=False)
    assert by_row.shape == values.shape


def test_lists_and_histories_must_match():
    train = sparse.csr_array([[1, 0, 1], [0, 1, 0]])
    with pytest.raises(ValueError, match="ranked has 1 lists for 2 rows of train: pass users"):
        popularity_shift_at_k([[0]], train)
    with pytest.raises(ValueError, match="ranked has 1 lists for 2 users"):
        popularity_shift_at_k([[0]], train, users=[0, 1])
    with pytest.raises(IndexError, match="users has 2, but rows of train go from 0 to 1"):
        popularity_shift_at_k([[0]], train, users=[2])
