"""Approximate top-k against the exact one."""

import pickle
import sys

import numpy as np
import pytest
from scipy import sparse

from recsk import MDERecommender
from recsk.ranking import ItemIndex, top_k

pytest.importorskip("faiss")


def problem(n_users=200, n_items=3000, width=16):
    """Make vectors like trained ones: some directions count more, and lengths differ."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(4, width)) * 2
    users, items = (
        (rng.normal(size=(n, 4)) @ directions + rng.normal(size=(n, width))).astype(np.float32)
        for n in (n_users, n_items)
    )
    items *= rng.uniform(0.2, 3, size=(n_items, 1)).astype(np.float32)
    share = np.full((n_users, 1), 0.01)
    share[0] = 0.9  # a user who has seen nearly all items
    return users, items, sparse.csr_array(rng.random((n_users, n_items)) < share)


def overlap(a, b):
    return np.mean([len(set(x) & set(y)) / len(x) for x, y in zip(a, b, strict=True)])


def test_index_finds_the_largest_inner_products_of_vectors_of_any_length():
    users, items, seen = problem()
    ann = ItemIndex(items, np.ones(len(items), np.float32))
    for exclude in (None, seen):
        ids, scores = ann.query(users, k=20, exclude=exclude)
        exact = top_k(users, items, 20, exclude=exclude)
        assert overlap(ids, exact[0]) > 0.95
        np.testing.assert_allclose(
            scores, np.einsum("nkd,nd->nk", items[ids], users), rtol=1e-5, atol=1e-5
        )
        assert (np.diff(scores, axis=1) <= 0).all()
    assert not seen[np.repeat(np.arange(len(users)), 20), ids.ravel()].any()
    assert all(len(set(row)) == 20 for row in ids)


@pytest.mark.parametrize(("n_groups", "noise"), [(10, 0.01), (10, 0.3), (100, 0.1)])
def test_items_in_groups_are_found(n_groups, noise):
    """If items are linked only within their group, searches miss whole lists."""
    rng = np.random.default_rng(0)
    users = rng.normal(size=(200, 16)).astype(np.float32)
    items = rng.normal(size=(n_groups, 16))[rng.integers(n_groups, size=3000)]
    items = (items + noise * rng.normal(size=items.shape)).astype(np.float32)
    found = ItemIndex(items, np.ones(3000)).query(users, k=10)[0]
    assert overlap(found, top_k(users, items, 10)[0]) > 0.95


@pytest.mark.parametrize("scale", [1e-18, 1e18])
def test_items_may_be_of_any_length(scale):
    users, items, _ = problem()
    found = ItemIndex(items * np.float32(scale), np.ones(len(items))).query(users, k=10)[0]
    assert overlap(found, top_k(users, items, 10)[0]) > 0.95


@pytest.mark.parametrize(
    ("items", "popularity", "message"),
    [
        (np.full((3, 2), np.nan), np.ones(3), "^item_vectors holds values.*first in row 0"),
        ([[1, 0], [np.inf, 0]], np.ones(2), "^item_vectors holds values.*first in row 1"),
        (np.ones(3), np.ones(3), "^item_vectors must have 2 axes"),
        (np.ones((0, 2)), np.ones(0), "at least one; got 0 and 0"),
        (np.ones((3, 2)), np.ones(2), "one entry for each item.*got 3 and 2"),
        (np.ones((2, 2)), [1.0, np.nan], "^popularity holds values"),
    ],
)
def test_invalid_items_are_rejected(items, popularity, message):
    with pytest.raises(ValueError, match=message):
        ItemIndex(items, popularity)


def test_more_links_and_a_wider_search_find_more():
    users, items, _ = problem()
    exact = top_k(users, items, 20)[0]
    popularity = np.ones(len(items), np.float32)
    few = ItemIndex(items, popularity, n_links=2, search_width=20)
    many = ItemIndex(items, popularity, n_links=32, search_width=512)
    assert overlap(few.query(users, 20)[0], exact) < overlap(many.query(users, 20)[0], exact)


@pytest.mark.parametrize("n_copies", [3, 3000])
def test_identical_items_do_not_hide_the_others(n_copies):
    users, items, seen = problem(n_items=1000)
    copies = items[np.arange(20).repeat(n_copies)]
    catalogue = np.concatenate([items, copies, np.zeros((500, 16), np.float32)])
    seen = sparse.hstack([seen, sparse.csr_array((200, len(catalogue) - 1000))], format="csr")
    popularity = np.ones(len(catalogue), np.float32)
    ids, scores = ItemIndex(catalogue, popularity).query(users, k=50, exclude=seen)
    exact = top_k(users, catalogue, 50, exclude=seen)
    # Any of several identical items may be found, so compare scores.
    assert (scores >= exact[1][:, -1:] * (1 - 1e-5)).mean() > 0.95
    assert all(len(set(row)) == 50 for row in ids) and ids.min() >= 0


@pytest.mark.parametrize("scale", [1e-25, 1e-6, 1e6, 1e20])
def test_the_length_of_user_vectors_does_not_matter(scale):
    users, items, _ = problem()
    ann = ItemIndex(items, np.ones(len(items), np.float32))
    ids, _ = ann.query(users * np.float32(scale), k=20)
    assert overlap(ids, top_k(users, items, 20)[0]) > 0.95


def test_one_item_may_be_much_longer_than_the_others():
    users, items, _ = problem()
    items[7] *= 100
    ids, _ = ItemIndex(items, np.ones(len(items), np.float32)).query(users, k=20)
    assert overlap(ids, top_k(users, items, 20)[0]) > 0.95


def test_blocks_of_users_equal_one_block(monkeypatch):
    users, items, seen = problem()
    index = ItemIndex(items, np.ones(len(items), np.float32))
    whole = index.query(users, k=5, exclude=seen)
    monkeypatch.setattr("recsk.ranking.approximate._BLOCK_BYTES", 4 * 64 * 16 * 7)
    for a, b in zip(whole, index.query(users, k=5, exclude=seen), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_one_vector_equals_a_batch_of_one_and_zeros_get_popular_items():
    users, items, seen = problem()
    popularity = np.arange(len(items), dtype=np.float32)
    ann = ItemIndex(items, popularity)
    users[3] = 0
    ids, scores = ann.query(users, k=5, exclude=seen)
    for row in (0, 3, 4):
        one = ann.query(users[row], k=5, exclude=seen[[row]])
        assert one[0].shape == (5,)
        np.testing.assert_array_equal(one[0], ids[row])
        np.testing.assert_allclose(one[1], scores[row], rtol=1e-5)
    unseen = np.flatnonzero(~seen[[3]].toarray()[0])
    np.testing.assert_array_equal(ids[3], unseen[::-1][:5])
    np.testing.assert_array_equal(scores[3], popularity[ids[3]])


def test_lists_longer_than_the_catalogue_end_in_padding():
    users, items, _ = problem(n_items=7)
    seen = sparse.csr_array(np.tile([1, 0, 0, 0, 0, 0, 0], (len(users), 1)))
    ids, scores = ItemIndex(items, np.ones(7, np.float32)).query(users, k=10, exclude=seen)
    np.testing.assert_array_equal(np.sort(ids[:, :6], axis=1), np.tile(range(1, 7), (200, 1)))
    assert (ids[:, 6:] == -1).all() and np.isneginf(scores[:, 6:]).all()


def test_index_survives_pickling():
    users, items, _ = problem()
    ann = ItemIndex(items, np.ones(len(items), np.float32))
    again = pickle.loads(pickle.dumps(ann))
    np.testing.assert_array_equal(again.query(users, 5)[0], ann.query(users, 5)[0])


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (
            ValueError,
            "user_vectors must have 16 columns.*\\(2, 3\\)",
            {"user_vectors": [[0] * 3] * 2},
        ),
        (TypeError, "user_vectors must hold numbers", {"user_vectors": ["a"]}),
        (ValueError, "user_vectors must have 1 or 2 axes", {"user_vectors": np.ones((1, 1, 16))}),
        (ValueError, "user_vectors holds values that are not", {"user_vectors": [np.nan] * 16}),
        (ValueError, "k must be 1 or more", {"k": 0}),
        (TypeError, "k must be an int", {"k": 2.5}),
        (TypeError, "exclude must be a sparse matrix", {"exclude": np.ones((200, 3000))}),
        (ValueError, "exclude must have shape \\(200, 3000\\)", {"exclude": sparse.eye_array(5)}),
    ],
)
def test_invalid_queries_are_rejected(error, message, arguments):
    users, items, _ = problem()
    ann = ItemIndex(items, np.ones(len(items), np.float32))
    with pytest.raises(error, match=message):
        ann.query(**{"user_vectors": users, "k": 3, **arguments})


def test_to_ann_rejects_invalid_arguments_and_needs_faiss(interactions, monkeypatch):
    model = MDERecommender(max_epochs=1, random_state=0).fit(interactions.to_csr())
    with pytest.raises(ValueError, match="index must be 'faiss'.*'annoy'"):
        model.to_ann("annoy")
    with pytest.raises(ValueError, match="n_links must be 1 or more; got 0"):
        model.to_ann(n_links=0)
    with pytest.raises(ValueError, match="n_links must be from 2 to 1024; got 1"):
        model.to_ann(n_links=1)
    with pytest.raises(ValueError, match="n_links must be from 2 to 1024; got 1025"):
        model.to_ann(n_links=1025)
    with pytest.raises(ValueError, match="build_width must be 1 or more; got 0"):
        model.to_ann(build_width=0)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match="pip install faiss-cpu"):
        model.to_ann()
