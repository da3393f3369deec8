import math

import numpy as np
import pytest
from hypothesis import given
from scipy import sparse

from recsk import Interactions
from recsk.metrics import novelty_at_k
from tests.metrics.cases import check_average, lists_and_histories, mean


@given(lists_and_histories())
def test_novelty_equals_its_definition(problem):
    ranked, train, _, k = problem
    n_users = max(sum(row.any() for row in train), 1)
    expected = [
        mean([-math.log2(max(sum(train[:, item]), 1) / n_users) for item in row[:k] if item >= 0])
        for row in ranked
    ]
    matrix = sparse.csr_array(train)
    np.testing.assert_allclose(novelty_at_k(ranked, matrix, k, average=False), expected)
    check_average(expected, novelty_at_k, ranked, matrix, k)


def test_all_forms_of_train_give_the_same_novelty():
    train = sparse.csr_array([[1, 0, 1], [0, 0, 1], [0, 0, 0]])
    ranked = [[0, 2], [1, -1]]
    expected = novelty_at_k(ranked, train)
    assert expected == (0.5 + 1) / 2
    assert novelty_at_k(ranked, Interactions.from_csr(train)) == expected
    assert novelty_at_k(ranked, train.tocsc()) == expected


def test_wrong_arguments_are_rejected():
    train = sparse.csr_array([[1, 0, 1]])
    with pytest.raises(ValueError, match="ranked has the id 3; ids go from 0 to 2"):
        novelty_at_k([[3]], train)
    with pytest.raises(TypeError, match="train must be a scipy sparse"):
        novelty_at_k([[0]], train.toarray())
