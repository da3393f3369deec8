"""Items for all users, or for each: which are allowed, whichever way they are scored."""

import numpy as np
import pytest
from scipy import sparse

from recsk.ranking import similar, top_k
from recsk.ranking.allowed import Allowed, keep
from tests.ranking.cases import naive_top_k

SHARES = [0, 0.01, 0.3, 0.9, 1]


@pytest.fixture(params=["gather", "mask", "measured"])
def way(request, monkeypatch):
    """All rankings gather the candidates, or mask the others, or do what is faster."""
    if request.param != "measured":
        gathers = request.param == "gather"
        monkeypatch.setattr(
            Allowed, "are_pairs_faster", lambda self, _: gathers and self.sets is not None
        )
        monkeypatch.setattr(
            Allowed,
            "to_gather",
            lambda self, _: (
                np.flatnonzero(self.common)
                if gathers and self.common is not None and self.sets is None
                else None
            ),
        )


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("n", [1, 40])
def test_every_way_gives_the_naive_ranking(large_problem, share, n, way):
    users, catalogue, exclude = large_problem
    users, exclude = users[:n], exclude[:n]
    rng = np.random.default_rng(1)
    mask, other = rng.random((2, n, 500)) < np.array([share, 0.1])[:, None, None]
    some = np.flatnonzero(rng.random(500) < share)
    for items in (some, mask, sparse.csr_array(mask)):
        for filter_items in (None, [3, 4], other, sparse.coo_array(other)):
            options = {"items": items, "filter_items": filter_items, "exclude": exclude}
            ids, scores = top_k(users, catalogue, 20, **options)
            expected = naive_top_k(users, catalogue, 20, **options)
            np.testing.assert_array_equal(ids, expected[0])
            np.testing.assert_allclose(scores, expected[1], rtol=1e-4, atol=1e-5)


def test_sets_of_every_form_are_the_same(large_problem):
    users, catalogue, _ = large_problem
    mask = np.random.default_rng(0).random((333, 500)) < 0.2
    expected = top_k(users, catalogue, 5, items=mask)
    lists = [[*np.flatnonzero(row)[::-1], *np.flatnonzero(row)[:2]] for row in mask]
    arrays = [np.flatnonzero(row) for row in mask]
    for given in (lists, arrays):
        np.testing.assert_array_equal(top_k(users, catalogue, 5, items=given)[0], expected[0])
    csr = sparse.csr_array(mask.astype(np.int8))
    row, column = mask.nonzero()
    pairs = np.tile(row, 256), np.tile(column, 256)  # whose sum is 0 in int8
    twice = sparse.coo_array((np.ones(len(pairs[0]), np.int8), pairs), shape=mask.shape)
    zeros = sparse.csr_array(np.where(mask, 1.0, 2.0))
    zeros.data[zeros.data == 2] = 0
    backwards = csr.copy()
    for start, end in zip(csr.indptr[:-1], csr.indptr[1:], strict=True):
        backwards.indices[start:end] = csr.indices[start:end][::-1]
    repeated = sparse.csr_array(
        (np.ones(2 * csr.nnz), np.repeat(csr.indices, 2), 2 * csr.indptr), shape=csr.shape
    )
    read_only = mask.copy()
    read_only.flags.writeable = False
    for form in (csr, sparse.csc_matrix(csr), zeros, backwards, repeated, twice, read_only, -csr):
        before = form.copy()
        found = top_k(users, catalogue, 5, items=form)
        np.testing.assert_array_equal(found[0], expected[0])
        for part in ("data", "indices") if hasattr(form, "indptr") else ():
            np.testing.assert_array_equal(getattr(form, part), getattr(before, part))


def test_negative_exclusions_and_filters_do_not_cancel_out():
    exclude, filter_items = (sparse.csr_array([[x, 0.0], [0.0, x]]) for x in (-1.0, 1.0))
    ids, _ = top_k(np.ones((2, 1)), np.ones((2, 1)), 2, exclude=exclude, filter_items=filter_items)
    np.testing.assert_array_equal(ids, [[1, -1], [0, -1]])


@pytest.mark.parametrize("bad", [-1, -3, -4, -7, 3, 6, 2**40, -(2**63)])
@pytest.mark.parametrize("name", ["items", "filter_items"])
def test_ids_outside_the_catalogue_are_refused(bad, name):
    with pytest.raises(IndexError, match=f"^{name} has {bad}, but items go from 0 to 2"):
        top_k(np.ones((1, 2)), np.ones((3, 2)), 2, **{name: np.array([0, bad])})


def test_what_one_user_has_seen_does_not_enter_the_given_mask():
    mask = np.array([[True, True, False]])
    seen = sparse.csr_array(np.array([[1, 0, 0]]))
    ids, _ = top_k(np.ones((1, 2)), np.ones((3, 2)), 2, items=mask, exclude=seen)
    np.testing.assert_array_equal(ids, [[1, -1]])
    np.testing.assert_array_equal(mask, [[True, True, False]])


def test_similar_among_some_rows(large_problem):
    _, vectors, _ = large_problem
    mask = np.random.default_rng(0).random((3, 500)) < 0.3
    for options in ({"items": [7, 9, 400]}, {"items": mask}, {"filter_items": mask}):
        ids, scores = similar(vectors, [9, 0, 3], 6, **options)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        itself = sparse.csr_array(np.eye(500)[[9, 0, 3]])
        expected = naive_top_k(unit[[9, 0, 3]], unit, 6, exclude=itself, **options)
        np.testing.assert_array_equal(ids, expected[0])
        np.testing.assert_allclose(scores, expected[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("value", [0, -3e38, np.inf, -np.inf])
def test_a_mask_keeps_scores_to_the_last_digit(value, form):
    rng = np.random.default_rng(0)
    scores, mask = rng.normal(size=(5, 300_000)).astype("f4"), rng.random((5, 300_000)) < 0.5
    scores[:, ::7] = value
    expected = np.where(mask, scores, -np.inf)
    keep(scores, form(np.r_[mask[:2], mask]), slice(2, 7))
    np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize("name", ["items", "filter_items"])
def test_errors_name_the_argument(name):
    for wrong, error, message in (
        (np.ones((2, 3)), TypeError, "sparse matrix or boolean mask of .*float64"),
        (np.ones((2, 3), int), TypeError, "sparse matrix or boolean mask of .*int64"),
        (np.ones((1, 3), bool), ValueError, r"must have shape \(2, 3\).*\(1, 3\)"),
        (sparse.csr_array((2, 4)), ValueError, r"must have shape \(2, 3\).*\(2, 4\)"),
        (np.ma.array(np.ones((2, 3), bool), mask=np.eye(2, 3)), ValueError, "masked"),
    ):
        with pytest.raises(error, match=f"^{name} .*{message}"):
            top_k(np.ones((2, 4)), np.ones((3, 4)), 1, **{name: wrong})
