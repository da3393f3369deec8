import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from recsk.ranking import Users, combine_scores, top_k, top_k_of_blocks
from tests.ranking.cases import own_set, sets


def reference(scores, k, exclude=None, items=None, filter_items=None):
    """The k best of each row by sorting everything, ties in the order of ids."""
    n, n_items = scores.shape
    ids = np.full((n, k), -1)
    best = np.full((n, k), -np.inf, dtype=np.float32)
    for u in range(n):
        allowed = np.ones(n_items, dtype=bool)
        if items is not None:
            allowed = np.isin(np.arange(n_items), list(own_set(items, u)))
        allowed[[] if filter_items is None else list(own_set(filter_items, u))] = False
        if exclude is not None:
            allowed &= ~exclude[u]
        candidates = [i for i in range(n_items) if allowed[i] and scores[u, i] > -np.inf]
        ranked = sorted(candidates, key=lambda i: (-scores[u, i], i))[:k]
        ids[u, : len(ranked)], best[u, : len(ranked)] = ranked, scores[u, ranked]
    return ids, best


def ranked(scores, k, **options):
    n, n_items = scores.shape
    return top_k_of_blocks(lambda rows: scores[rows].copy(), n, n_items, k, **options)


def assert_equal(a, b):
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[1], b[1])


@given(data=st.data(), n=st.integers(0, 6), n_items=st.integers(1, 40), k=st.integers(1, 45))
def test_the_best_of_what_is_allowed(data, n, n_items, k):
    # Few different values, so that most scores are tied.
    scores = data.draw(arrays(np.float32, (n, n_items), elements=st.integers(-2, 2)))
    exclude = data.draw(arrays(bool, (n, n_items)))
    items, filter_items = data.draw(sets(n, n_items)), data.draw(sets(n, n_items))
    found = ranked(
        scores, k, exclude=sparse.csr_array(exclude), items=items, filter_items=filter_items
    )
    assert_equal(found, reference(scores, k, exclude, items, filter_items))


@pytest.mark.parametrize("values", [2, 100, 10**9])
@pytest.mark.parametrize("n_items", [64, 1000, 1283])
@pytest.mark.parametrize("k", [1, 4, 10, 2000])
def test_many_items(values, n_items, k):
    """Also where the lower bound comes from groups of columns."""
    rng = np.random.default_rng(n_items + k)
    scores = rng.integers(values, size=(7, n_items)).astype(np.float32)
    scores[0] = 0
    scores[1, 5:] = -np.inf
    exclude = rng.random(scores.shape) < 0.1
    exclude[2, 3:] = True
    found = ranked(scores, k, exclude=sparse.csr_array(exclude))
    assert_equal(found, reference(scores, k, exclude))


def test_many_users_on_several_threads():
    rng = np.random.default_rng(0)
    scores = rng.integers(50, size=(1500, 70)).astype(np.float32)
    found = [ranked(scores, 5, n_threads=n) for n in (1, 2)]
    assert_equal(*found)
    assert_equal(found[0], reference(scores, 5))


def test_inner_products_are_ranked_as_top_k_ranks_them():
    rng = np.random.default_rng(0)
    users, items = (rng.normal(size=(n, 16)).astype(np.float32) for n in (300, 2000))
    seen = sparse.random_array((300, 2000), density=0.02, rng=rng, format="csr")
    found = top_k_of_blocks(
        lambda rows: combine_scores(Users(users[rows]), items, None), 300, 2000, 20, exclude=seen
    )
    np.testing.assert_array_equal(found[0], top_k(users, items, 20, exclude=seen)[0])


@pytest.mark.parametrize("place", [0, 3, 640, 649])
@pytest.mark.parametrize("n_items", [650, 5])
def test_what_is_not_a_number_is_refused(place, n_items):
    scores = np.zeros((2, n_items), dtype=np.float32)
    scores[1, place % n_items] = np.nan
    with pytest.raises(ValueError, match="a score is not a number"):
        ranked(scores, 3)


def test_errors_name_the_argument():
    scores = np.zeros((2, 3), dtype=np.float32)
    with pytest.raises(ValueError, match=r"a block of scores must have shape \(2, 3\); got \(2,"):
        top_k_of_blocks(lambda rows: scores[:, :2], 2, 3, 1)
    with pytest.raises(ValueError, match="^k must be"):
        ranked(scores, 0)
    with pytest.raises(IndexError, match="^items has 3"):
        ranked(scores, 1, items=[3])
    with pytest.raises(ValueError, match=r"^exclude must have shape \(2, 3\)"):
        ranked(scores, 1, exclude=sparse.csr_array((2, 2)))
    with pytest.raises(ValueError, match="^n_threads must be 0"):
        ranked(scores, 1, n_threads=-1)


class TestCombineScores:
    rng = np.random.default_rng(0)
    vectors, items = rng.normal(size=(4, 3)).astype("f4"), rng.normal(size=(6, 3)).astype("f4")
    weights = sparse.random_array((4, 6), density=0.5, rng=rng, format="csr", dtype=np.float32)
    relations = sparse.random_array((6, 6), density=0.5, rng=rng, format="csr", dtype=np.float32)

    @pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csr_array, lambda x: x.toarray()])
    def test_both_parts_add_up(self, form):
        users = Users(self.vectors, sparse.csr_matrix(self.weights))
        expected = np.zeros((4, 6))
        for u in range(4):
            for i in range(6):
                expected[u, i] = self.vectors[u] @ self.items[i]
                for j in range(6):
                    expected[u, i] += self.weights.toarray()[u, j] * self.relations.toarray()[j, i]
        found = combine_scores(users, self.items, form(self.relations))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        some = combine_scores(users[1:3], self.items, form(self.relations))
        np.testing.assert_allclose(some, expected[1:3], rtol=1e-5, atol=1e-6)

    def test_either_part_may_be_missing(self):
        users = Users(self.vectors, sparse.csr_matrix(self.weights))
        np.testing.assert_array_equal(
            combine_scores(users, self.items, None), self.vectors @ self.items.T
        )
        term = (self.weights @ self.relations).toarray()
        np.testing.assert_array_equal(combine_scores(users, None, self.relations), term)
        with pytest.raises(ValueError, match="a score needs vectors"):
            combine_scores(Users(), self.items, self.relations)

    def test_users_one_after_the_other(self):
        users = Users(self.vectors, sparse.csr_matrix(self.weights))
        again = users[:1].followed_by(users[1:])
        np.testing.assert_array_equal(again.vectors, users.vectors)
        np.testing.assert_array_equal(again.weights.toarray(), users.weights.toarray())
        assert Users().followed_by(Users()) == Users()
