"""Inner products with all items or some."""

import numpy as np
import pytest

from recsk.ranking import products
from recsk.ranking.products import inner_products


@pytest.mark.parametrize("n", [0, 1, 2, 16, 17])
@pytest.mark.parametrize("width", [0, 3])
def test_products_are_those_of_the_chosen_items(n, width, monkeypatch):
    monkeypatch.setattr(products, "_CACHED", 12)  # a few items at once
    rng = np.random.default_rng(0)
    users, items = (rng.normal(size=(m, width)).astype("f4") for m in (n, 11))
    expected = users @ items.T
    found = inner_products(users, items)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert found.flags.c_contiguous and found.flags.writeable and found.dtype == np.float32
    for chosen in ([], [3], [10, 0, 3, 3, 7, 1, 2]):
        some = inner_products(users, items, np.array(chosen, dtype=np.int64))
        np.testing.assert_allclose(some, expected[:, chosen], rtol=1e-5, atol=1e-6)
        assert some.flags.c_contiguous
