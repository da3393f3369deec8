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
