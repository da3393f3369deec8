"""Scores by blocks, for pairs, of some rows and columns, and the other way round."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsk.ranking import Users, scores
from recsk.ranking.allowed import Allowed
from recsk.ranking.blocks import rank
from recsk.ranking.scores import BlockScores, CombinedScores, ScoresOfItems
from tests.ranking.cases import naive_top_k, sets

PARTS = ["vectors", "sparse term", "dense term", "both", "both, unrelated", "blocks"]


def make(parts, n, n_items, rng, histories=0.3):
    """Scores of integers, with many ties, and the same as an array."""
    users, items = (rng.integers(-2, 3, size=(m, 2)).astype("f4") for m in (n, n_items))
    term = rng.integers(-1, 3, size=(n_items, n_items)).astype("f4")
    weights = (rng.random((n, n_items)) < histories).astype("f4")
    unrelated = rng.random((n, n_items)) < 0.3
    expected = np.zeros((n, n_items), dtype="f4")
    if parts not in ("sparse term", "dense term"):
        expected += users @ items.T
    if parts not in ("vectors", "blocks"):
        expected += np.where(unrelated, 0, weights @ term) if "un" in parts else weights @ term
    if parts == "blocks":
        return BlockScores(lambda rows: expected[rows].copy(), (n, n_items)), expected
    asked = Users(
        users if parts in ("vectors", "both", "both, unrelated") else None,
        None if parts == "vectors" else sparse.csr_matrix(weights),
        sparse.csr_matrix(unrelated) if "unrelated" in parts else None,
    )
    item_to_item = term if parts == "dense term" else sparse.csr_matrix(term)
    return CombinedScores(asked, items, item_to_item, n, n_items), expected


def whole(some):
    blocks = [some.block(rows) for rows in some.blocks()]
    return np.vstack([np.empty((0, some.shape[1])), *blocks])


@pytest.mark.parametrize("block_bytes", [2**26, 40])
@pytest.mark.parametrize("parts", PARTS)
@settings(max_examples=15)
@given(
    n=st.integers(0, 6),
    n_items=st.integers(1, 7),
    seed=st.integers(0, 99),
    histories=st.sampled_from([0.05, 0.8]),
    data=st.data(),
)
def test_all_views_are_the_same_scores(parts, block_bytes, n, n_items, seed, histories, data):
    rng = np.random.default_rng(seed)
    found, expected = make(parts, n, n_items, rng, histories)
    before = scores._BLOCK_BYTES
    scores._BLOCK_BYTES = block_bytes
    try:
        np.testing.assert_array_equal(whole(found), expected)
        rows = rng.integers(n, size=8 if n else 0)
        columns = rng.integers(n_items, size=8)
        np.testing.assert_array_equal(
            found.of_pairs(rows, columns[: len(rows)]), expected[rows, columns[: len(rows)]]
        )
        np.testing.assert_array_equal(whole(found.of(rows)), expected[rows])
        np.testing.assert_array_equal(whole(found.among(columns)), expected[:, columns])
        some = found.among(columns).among(np.arange(3)).of(rows)
        np.testing.assert_array_equal(whole(some), expected[rows][:, columns[:3]])
        turned = ScoresOfItems(found, columns)
        np.testing.assert_array_equal(whole(turned), expected[:, columns].T)
        np.testing.assert_array_equal(whole(turned.among(rows)), expected[rows][:, columns].T)
        np.testing.assert_array_equal(
            turned.of_pairs(np.arange(len(rows)), rows), expected[rows, columns[: len(rows)]]
        )
        options = {name: data.draw(sets(8, n)) if n else None for name in ("items", "filter_items")}
        allowed = Allowed.read(None, **options, shape=turned.shape)
        best = rank(turned, 4, allowed)
        naive = naive_top_k(np.eye(n_items)[columns], expected, 4, **options)
        np.testing.assert_array_equal(best[0], naive[0])
        np.testing.assert_array_equal(best[1], naive[1])
    finally:
        scores._BLOCK_BYTES = before


def test_pairs_of_few_items_and_many_users():
    found, expected = make("both, unrelated", 400, 50, np.random.default_rng(0))
    rows, columns = np.arange(400), np.full(400, 7)
    np.testing.assert_array_equal(found.of_pairs(rows, columns), expected[:, 7])
