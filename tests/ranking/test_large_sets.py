"""Candidates that are much of a large catalogue: ranked as if all scores were masked."""

import numpy as np
import pytest
from scipy import sparse

from recsk.ranking import blocks, top_k, top_k_of_blocks
from tests.ranking.cases import naive_top_k

N_ITEMS = 5000


def problem(n, ties):
    """Users and items, a few seen items, sets of half of the items; one user has only a few."""
    rng = np.random.default_rng(n)
    users, items = (
        rng.integers(-1, 2, size=(m, 3)) if ties else rng.normal(size=(m, 3)) for m in (n, N_ITEMS)
    )
    mask, without = rng.random((2, n, N_ITEMS)) < [[[0.5]], [[0.1]]]
    if n > 2:
        mask[1] = False
        mask[1, [5, 2000]] = True
        without[2] = True
    seen = sparse.csr_array((rng.random((n, N_ITEMS)) < 0.01).astype("f4"))
    return users.astype("f4"), items.astype("f4"), mask, without, seen, rng.permutation(N_ITEMS)


@pytest.mark.parametrize("ties", [False, True], ids=["", "ties"])
@pytest.mark.parametrize("n", [1, 2, 5, 40])
@pytest.mark.parametrize("k", [1, 7, 60])
def test_equals_the_naive_ranking(n, k, ties):
    users, items, mask, without, seen, order = problem(n, ties)
    half, tenth = order[: N_ITEMS // 2].tolist(), order[: N_ITEMS // 10].tolist()
    for options in (
        {"items": half},
        {"items": half, "exclude": seen},
        {"items": order[:4].tolist()},
        {"filter_items": tenth, "exclude": seen},
        {"items": mask, "exclude": seen},
        {"items": sparse.csr_array(mask), "exclude": seen},
        {"items": mask, "filter_items": without},
        {"items": half, "filter_items": without, "exclude": seen},
        {"items": sparse.csr_array(mask), "filter_items": tenth},
        {"filter_items": sparse.csr_array(without)},
    ):
        expected = naive_top_k(users, items, k, **options)
        for ids, scores in (
            top_k(users, items, k, **options),
            top_k_of_blocks(lambda rows: users[rows] @ items.T, n, N_ITEMS, k, **options),
        ):
            np.testing.assert_array_equal(ids, expected[0], err_msg=str(list(options)))
            np.testing.assert_allclose(scores, expected[1], rtol=1e-5, atol=1e-5)


def test_most_rows_need_no_mask(monkeypatch):
    users, items, mask, _, seen, _ = problem(40, False)
    masked = []
    monkeypatch.setattr(blocks, "_take_best", lambda block, *_: masked.append(len(block)))
    for sets in (mask, sparse.csr_array(mask)):
        top_k(users, items, 7, items=sets, exclude=seen)
        assert sum(masked) <= 5
        masked.clear()
