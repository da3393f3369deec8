"""Links between similar items that grow are those of a search from scratch."""

import numpy as np
import pytest
import scipy.sparse as sp

from recsk.graphs import links as module
from recsk.graphs.links import grow_links
from recsk.graphs.neighbors import cosine_neighbors


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("at_once", [4_000_000, 30])
def test_as_a_search_from_scratch(seed, at_once, monkeypatch):
    monkeypatch.setattr(module, "_MAX_PRODUCTS", at_once)
    rng = np.random.default_rng(seed)
    n_items, n_known, k = 80, 74, int(rng.integers(1, 7))
    features = rng.normal(size=(n_items, 5)).astype(np.float32)
    present = rng.random(n_items) < 0.8
    changed = np.arange(n_items) >= n_known
    before = features[:n_known].copy()
    if seed % 2:
        changed[3] = True
        before[3] = -before[3]
    known = sp.csr_array(cosine_neighbors(before, present[:n_known], k))
    grown = grow_links(known, features, present, k, changed)
    expected = cosine_neighbors(features, present, k)
    np.testing.assert_allclose(grown.toarray(), expected.toarray(), atol=1e-6)


def test_without_a_change_links_stay():
    features = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    everything = np.ones(9, dtype=bool)
    known = sp.csr_array(cosine_neighbors(features, everything, 2))
    assert (grow_links(known, features, everything, 2, ~everything) != known).nnz == 0
