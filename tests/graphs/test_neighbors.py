import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from recsk.graphs import neighbors as neighbors_module
from recsk.graphs import user_cooccurrence_graph
from tests.graphs.cases import check_graph, interaction_matrices


@given(R=interaction_matrices, limit=st.integers(1, 40))
def test_blocks_have_fewer_rows_if_the_rows_have_many_products(R, limit):
    whole = user_cooccurrence_graph(sp.csr_array(R), 3)
    blocks = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbors_module, "_MAX_PRODUCTS", limit)
        top_k_per_row = neighbors_module.top_k_per_row

        def record_block(block, *args, **kwargs):
            blocks.append((block.shape[0], block.nnz))
            return top_k_per_row(block, *args, **kwargs)

        patch.setattr(neighbors_module, "top_k_per_row", record_block)
        check_graph(user_cooccurrence_graph(sp.csr_array(R), 3), whole.toarray())
    assert sum(rows for rows, _ in blocks) == len(R)
    assert all(rows == 1 or products <= limit for rows, products in blocks)


@given(
    entries=st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 12), st.sampled_from([-2.0, -0.5, 0.5, 1.0])),
        unique_by=lambda entry: entry[:2],
    ),
    n_largest=st.integers(1, 5),
    offset=st.sampled_from([None, 0, 2]),
    as_array=st.booleans(),
    rows_per_sort=st.integers(1, 12),
    short=st.sampled_from([0, 64]),
)
def test_largest_of_each_row_with_ties_by_column(
    entries, n_largest, offset, as_array, rows_per_sort, short
):
    expected = np.zeros((10, 13), dtype=np.float32)
    for row in range(10):
        of_row = [(-value, j) for i, j, value in entries if i == row and offset != j - i]
        for negative, column in sorted(of_row)[:n_largest]:
            expected[row, column] = -negative
    i, j, value = zip(*entries, strict=True) if entries else ((), (), ())
    matrix = sp.csr_array((np.array(value, np.float32), (i, j)), shape=(10, 13))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbors_module, "_ROWS_PER_SORT", rows_per_sort)
        patch.setattr(neighbors_module, "_SHORT", short)
        if as_array and offset is not None:
            offset = offset + np.arange(10)
        found = neighbors_module.top_k_per_row(matrix, n_largest, diagonal_offset=offset)
    np.testing.assert_array_equal(found.toarray(), expected)
    assert found.nnz == np.count_nonzero(expected)


@pytest.mark.parametrize("integer", [np.int8, np.uint8, np.int64])
def test_small_integers_of_numpy_count_as_any(integer):
    matrix = sp.csr_array(np.random.default_rng(0).random((40, 200)))
    expected = neighbors_module.top_k_per_row(matrix, 7, diagonal_offset=None)
    found = neighbors_module.top_k_per_row(matrix, integer(7), diagonal_offset=None)
    np.testing.assert_array_equal(found.toarray(), expected.toarray())
