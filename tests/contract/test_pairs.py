"""Pairs, users of items and candidates, against all scores item by item."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone

from recsk import Interactions, MDSRecRecommender
from recsk.contract import BaseRecommender, Learned, Users
from recsk.ranking import scores
from tests.contract.test_any_scorer import Blocks, Both
from tests.ranking.cases import own_set, sets

N_USERS, N_ITEMS = 7, 6


class Vectors(BaseRecommender):
    """Vectors of small integers, with many ties."""

    def learn(self, data):
        rng = np.random.default_rng(0)
        items, users = (rng.integers(-1, 2, size=(n, 2)) for n in (N_ITEMS, N_USERS))
        return Learned(item_vectors=items, user_vectors=users)

    def encode(self, histories):
        return Users(vectors=np.ones((histories.n_users, 2)))


class Counts(BaseRecommender):
    """Numbers of common users, which are tied too."""

    def learn(self, data):
        return Learned(item_to_item=data.matrix.T @ data.matrix)


class Unrelated(Counts):
    """Counts that seen items do not get."""

    def _relates_seen(self):
        return False


MODELS = [Vectors(), Counts(), Unrelated(), Both(), Blocks()]


def fitted(est, labelled):
    seen = np.random.default_rng(1).random((N_USERS, N_ITEMS)) < 0.4
    seen[2] = False
    user, item = seen.nonzero()
    X = Interactions(user, item, timestamp=np.arange(len(user)), n_users=N_USERS, n_items=N_ITEMS)
    if labelled:
        X = X.with_labels([f"u{u}" for u in range(N_USERS)], [(i, "x") for i in range(N_ITEMS)])
    return clone(est).fit(X), seen


FITTED = {
    (i, labelled): fitted(est, labelled) for i, est in enumerate(MODELS) for labelled in (0, 1)
}


def all_scores(model, seen):
    """One user and one item at a time, of seen items without what they do not get."""
    found = np.empty((N_USERS, N_ITEMS))
    for u in range(N_USERS):
        users = model._stored_users(np.array([u]))
        row = model.score_block(users)[0]
        if isinstance(model, Unrelated):
            row = np.where(seen[u], 0, row)
        found[u] = row if seen[u].any() else model.item_popularity_
    return found


def naive(found, allowed, k):
    ids = np.full((len(found), k), -1)
    best = np.full((len(found), k), -np.inf, dtype="f4")
    for row, own in enumerate(found):
        order = sorted(np.flatnonzero(allowed[row]), key=lambda i: (-own[i], i))[:k]
        ids[row, : len(order)], best[row, : len(order)] = order, own[order]
    return ids, best


def as_sets(items, n, n_items, default):
    if items is None:
        return np.full((n, n_items), default)
    rows = [[i in own_set(items, row) for i in range(n_items)] for row in range(n)]
    return np.array(rows, dtype=bool).reshape(n, n_items)


def spoken(given, values):
    """Lists of ids as labels, if there are labels."""
    if values is None or given is None or sparse.issparse(given) or np.ndim(given) == 2:
        return given
    return [values[i] for i in given]


def in_ids(answer, values):
    ids, scores = answer
    if values is None:
        return ids, scores
    known = {label: i for i, label in enumerate(values)} | {None: -1}
    return np.array([[known[x] for x in row] for row in ids.tolist()]).reshape(ids.shape), scores


def assert_same(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("labelled", [0, 1])
@pytest.mark.parametrize("number", range(len(MODELS)), ids=[type(est).__name__ for est in MODELS])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_calls_equal_the_naive_ranking(number, labelled, data):
    model, seen = FITTED[number, labelled]
    users, items = (model.users_, model.items_) if labelled else (None, None)
    found = all_scores(model, seen)
    k = data.draw(st.integers(1, 8))
    exclude_seen = data.draw(st.booleans())

    asked = data.draw(st.lists(st.integers(0, N_USERS - 1), max_size=5))
    n = len(asked)
    only, without = data.draw(sets(n, N_ITEMS)), data.draw(sets(n, N_ITEMS))
    allowed = as_sets(only, n, N_ITEMS, True) & ~as_sets(without, n, N_ITEMS, False)
    if exclude_seen:
        allowed &= ~seen[asked]
    answer = model.recommend(
        spoken(asked, users),
        k,
        exclude_seen=exclude_seen,
        items=spoken(only, items),
        filter_items=spoken(without, items),
    )
    assert_same(in_ids(answer, items), naive(found[asked], allowed, k))

    queries = data.draw(st.lists(st.integers(0, N_ITEMS - 1), max_size=5))
    n = len(queries)
    only, without = data.draw(sets(n, N_USERS)), data.draw(sets(n, N_USERS))
    allowed = as_sets(only, n, N_USERS, True) & ~as_sets(without, n, N_USERS, False)
    allowed &= seen.any(axis=1)
    if exclude_seen:
        allowed &= ~seen.T[queries]
    answer = model.recommend_users(
        spoken(queries, items),
        k,
        exclude_seen=exclude_seen,
        users=spoken(only, users),
        filter_users=spoken(without, users),
    )
    assert_same(in_ids(answer, users), naive(found.T[queries], allowed, k))

    n = min(len(asked), len(queries))
    pairs = asked[:n], queries[:n]
    got = model.score_pairs(spoken(pairs[0], users), spoken(pairs[1], items))
    np.testing.assert_allclose(got, found[pairs], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("est", MODELS, ids=[type(est).__name__ for est in MODELS])
def test_small_blocks_change_nothing(est, monkeypatch):
    model, _ = fitted(est, False)
    pairs = np.repeat(range(N_USERS), N_ITEMS), np.tile(range(N_ITEMS), N_USERS)
    mask = np.random.default_rng(0).random((N_ITEMS, N_USERS)) < 0.5

    def ask():
        users = model.recommend_users(range(N_ITEMS), 4, users=mask)
        return [model.score_pairs(*pairs), *users, *model.recommend(k=3, items=mask.T)]

    expected = ask()
    monkeypatch.setattr(scores, "_BLOCK_BYTES", 16)
    for got, wanted in zip(ask(), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_a_network_that_does_not_relate_seen_items():
    user, item = fitted(Counts(), False)[1].nonzero()
    data = Interactions(
        user, item, timestamp=np.arange(len(user)), n_users=N_USERS, n_items=N_ITEMS
    )
    model = MDSRecRecommender(n_factors=4, max_epochs=1, random_state=0).fit(data)
    ids, values = model.rank_items(range(N_USERS), range(N_ITEMS))
    expected = np.empty_like(values)
    np.put_along_axis(expected, ids, values, axis=1)
    user, item = np.divmod(np.arange(N_USERS * N_ITEMS), N_ITEMS)
    np.testing.assert_allclose(model.score_pairs(user, item), expected.ravel(), atol=1e-5)
    ids, values = model.recommend_users(range(N_ITEMS), N_USERS, exclude_seen=False)
    for i in range(N_ITEMS):
        known = ids[i][ids[i] >= 0]
        assert 2 not in known and len(known) == N_USERS - 1
        np.testing.assert_allclose(values[i][: len(known)], expected[known, i], atol=1e-5)


def test_memory_stays_bounded_with_an_item_to_item_term(monkeypatch):
    """No matrix of users x items: blocks are as large as the constant allows."""
    sizes, block = [], scores.CombinedScores.block

    def recorded(self, rows):
        found = block(self, rows)
        sizes.append(found.nbytes)
        return found

    rng = np.random.default_rng(0)
    X = sparse.random_array((3000, 800), density=0.01, rng=rng, format="csr")
    model = Counts().fit(X)
    monkeypatch.setattr(scores.CombinedScores, "block", recorded)
    monkeypatch.setattr(scores, "_BLOCK_BYTES", 2**20)
    ids, _ = model.recommend_users(range(800), 5)
    assert ids.shape == (800, 5) and 2**19 < max(sizes) <= 2**20 < 4 * 3000 * 800
    model.score_pairs(rng.integers(3000, size=999), rng.integers(800, size=999))
    assert max(sizes) <= 2**20
