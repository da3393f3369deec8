import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsk.data.weights import scale_to_unit_mean, weight_matrix

PAIRS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.floats(0.0078125, 100, width=32)),
    max_size=20,
)


def columns(pairs):
    user, item, weight = zip(*pairs, strict=True) if pairs else ((), (), ())
    return np.array(user, np.int64), np.array(item, np.int64), np.array(weight, np.float32)


@given(PAIRS)
def test_a_pair_has_the_largest_of_its_weights(pairs):
    matrix = weight_matrix(*columns(pairs), (4, 5))
    expected = np.zeros((4, 5), dtype=np.float32)
    for user, item, weight in pairs:
        expected[user, item] = max(expected[user, item], weight)
    np.testing.assert_array_equal(matrix.toarray(), expected)
    assert matrix.has_canonical_format and matrix.dtype == np.float32
    assert matrix.nnz == (expected > 0).sum()


@given(PAIRS)
def test_scale_to_unit_mean(pairs):
    matrix = weight_matrix(*columns(pairs), (4, 5))
    before = matrix.data.copy()
    scaled = scale_to_unit_mean(matrix)
    np.testing.assert_array_equal(matrix.data, before)
    if pairs:
        np.testing.assert_allclose(scaled.data.mean(), 1, rtol=1e-5)
        np.testing.assert_allclose(scaled.data / scaled.data[0], before / before[0], rtol=1e-5)


@given(PAIRS)
def test_ones_stay_exactly_one(pairs):
    user, item, weight = columns(pairs)
    matrix = scale_to_unit_mean(weight_matrix(user, item, np.ones_like(weight), (4, 5)))
    assert (matrix.data == 1).all()
