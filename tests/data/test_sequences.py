import numpy as np

from recsk import Interactions
from recsk.data.sequences import Sequences

USER, ITEM, TIME = [1, 0, 1, 1, 0], [4, 2, 3, 4, 0], [5, 2, 1, 9, 1]
WEIGHTS = np.array([2, 1, 3, 5, 4], dtype=np.float32)
X = Interactions(USER, ITEM, timestamp=TIME, value=WEIGHTS, n_users=3)


def test_weights_are_in_the_order_of_the_items():
    sequences = Sequences.from_interactions(X)
    np.testing.assert_array_equal(sequences.indptr, [0, 2, 5, 5])
    np.testing.assert_array_equal(sequences.items, [0, 2, 3, 4, 4])
    np.testing.assert_array_equal(sequences.weights, [4, 1, 3, 2, 5])
    chosen = sequences.select(np.array([1, 2]))
    np.testing.assert_array_equal(chosen.weights, [3, 2, 5])
    assert Sequences.from_interactions(X.with_value(None)).weights is None


def test_the_matrix_of_weights_has_the_largest_of_each_pair_relative_to_the_mean():
    sequences = Sequences.from_interactions(X)
    expected = np.zeros((3, 5))
    expected[0, [0, 2]], expected[1, [3, 4]] = [4, 1], [3, 5]
    np.testing.assert_allclose(sequences.to_csr(5, binary=False).toarray(), expected / 3.25)
    np.testing.assert_array_equal(sequences.to_csr(5).toarray(), expected > 0)
    plain = Sequences.from_interactions(X.with_value(None))
    np.testing.assert_array_equal(plain.to_csr(5, binary=False).toarray(), expected > 0)
