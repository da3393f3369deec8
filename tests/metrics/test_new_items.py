import numpy as np
from hypothesis import given
from scipy import sparse

from recsk.metrics import new_items_at_k
from tests.metrics.cases import check_average, lists_and_histories, mean


@given(lists_and_histories())
def test_new_items_equal_their_definition(problem):
    ranked, train, _, k = problem
    expected = [
        mean([float(not train[:, item].any()) for item in row[:k] if item >= 0]) for row in ranked
    ]
    matrix = sparse.csr_array(train)
    np.testing.assert_allclose(new_items_at_k(ranked, matrix, k, average=False), expected)
    check_average(expected, new_items_at_k, ranked, matrix, k)
