"""Checks of candidates and filters, for all or for each of those that a call asks about."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from recsk.testing.data import HISTORIES, N_ITEMS, N_USERS, Problem, has
from recsk.testing.expect import expect_close, expect_equal, expect_error
from recsk.testing.labels import unwrap

__all__ = ["best_of", "expect_ranked", "forms"]

Ranked = tuple[np.ndarray, np.ndarray]


def check_items_for_each_user(estimator: Any, problem: Problem) -> None:
    """`items` and `filter_items` of `recommend` may have a row for each user."""
    model = problem.fitted(estimator)
    users, k = np.array([3, 0, 7, 12, 3]), N_ITEMS - 2
    everything = model.recommend(users, N_ITEMS, exclude_seen=False)
    for shares in ((0.02, 0.02), (0.5, 0.1), (0.95, 0.5)):
        mask, without = _masks(len(users), N_ITEMS, shares)
        for exclude_seen in (True, False):
            seen = problem.seen[users] if exclude_seen else np.zeros_like(mask)
            for text, options, allowed in (
                ("items", {"items": mask}, mask),
                ("filter_items", {"filter_items": without}, ~without),
                ("both", {"items": mask, "filter_items": without}, mask & ~without),
                ("items for all", {"items": [2, 5, 9], "filter_items": without}, _only(without)),
            ):
                expected = best_of(everything, allowed & ~seen, k)
                for form, given in forms(options):
                    asked = f"recommend(exclude_seen={exclude_seen}, {text} as {form})"
                    found = model.recommend(users, k, exclude_seen=exclude_seen, **given)
                    expect_ranked(found, expected, everything, asked)


def _only(without: np.ndarray) -> np.ndarray:
    allowed = np.zeros_like(without)
    allowed[:, [2, 5, 9]] = True
    return allowed & ~without


def check_items_for_each_new_user(estimator: Any, problem: Problem) -> None:
    """`items` may have a row for each history, also of those without items."""
    model = problem.fitted(estimator)
    mask, _ = _masks(len(HISTORIES), N_ITEMS, (0.5, 0.5))
    everything = model.recommend(user_items=HISTORIES, k=N_ITEMS, exclude_seen=False)
    expected = best_of(everything, mask, 9)
    found = model.recommend(user_items=HISTORIES, k=9, exclude_seen=False, items=mask)
    expect_ranked(found, expected, everything, "recommend(user_items=..., items=a mask)")
    rows = np.r_[mask[:1], mask]
    both = model.recommend([3], user_items=HISTORIES, k=9, exclude_seen=False, items=rows)
    asked = "recommend([3], user_items=..., items=a mask): the rows of user_items"
    expect_ranked(tuple(part[1:] for part in both), expected, everything, asked)


def check_rank_items_for_each_user(estimator: Any, problem: Problem) -> None:
    """`rank_items` ranks the items of each user's row, and pads the shorter rows."""
    model = problem.fitted(estimator)
    users = np.array([3, 0, 7])
    mask, _ = _masks(3, N_ITEMS, (0.4, 0.4))
    mask[1] = False
    everything = model.recommend(users, N_ITEMS, exclude_seen=False)
    expected = best_of(everything, mask, int(mask.sum(axis=1).max()))
    for form, given in forms({"items": mask}):
        found = model.rank_items(users, **given)
        expect_ranked(found, expected, everything, f"rank_items(items as {form})")
    found = model.rank_items(3, mask[[0]])
    expect_equal(
        np.shape(found[0]), (mask[0].sum(),), "the shape of rank_items(3, a mask of a row)"
    )


def check_similar_among_candidates(estimator: Any, problem: Problem) -> None:
    """`similar_items` and `similar_users` find candidates only, for all or for each."""
    model = problem.fitted(estimator)
    queries = [4, 0, 5]
    for kind, n in (("item", N_ITEMS), ("user", N_USERS)):
        if not has(model, f"similar_{kind}s"):
            continue
        find = getattr(model, f"similar_{kind}s")
        everything = find(queries, k=n)
        others = np.ones((3, n), dtype=bool)
        others[np.arange(3), queries] = False
        mask, without = _masks(3, n, (0.3, 0.2))
        some = [1, 2, 5, 11]
        for text, options, allowed in (
            ("{}s", {f"{kind}s": mask}, mask),
            ("filter_{}s", {f"filter_{kind}s": without}, ~without),
            ("a list as {}s", {f"{kind}s": some}, np.isin(np.arange(n), some)),
            ("a list as filter_{}s", {f"filter_{kind}s": some}, ~np.isin(np.arange(n), some)),
        ):
            expected = best_of(everything, allowed & others, 6)
            for form, given in forms(options):
                asked = f"similar_{kind}s({text.format(kind)} as {form})"
                expect_ranked(find(queries, k=6, **given), expected, everything, asked)


def check_wrong_candidates_are_named(estimator: Any, problem: Problem) -> None:
    """Candidates of another shape or type are an error that names the argument."""
    model = unwrap(problem.fitted(estimator))
    users = list(getattr(model, "users_", range(2))[:2])
    items = list(getattr(model, "items_", range(2))[:2])
    calls: list[tuple[str, Any, str, int]] = [
        ("recommend", users, "items", N_ITEMS),
        ("recommend", users, "filter_items", N_ITEMS),
        ("rank_items", users, "items", N_ITEMS),
        ("recommend_users", items, "users", N_USERS),
        ("recommend_users", items, "filter_users", N_USERS),
        ("similar_items", items, "items", N_ITEMS),
        ("similar_items", items, "filter_items", N_ITEMS),
        ("similar_users", users, "users", N_USERS),
        ("similar_users", users, "filter_users", N_USERS),
    ]
    for method, two, argument, n in calls:
        if not has(model, method):
            continue
        for wrong, error in (
            (np.ones((3, n), dtype=bool), ValueError),
            (np.ones((2, n + 1), dtype=bool), ValueError),
            (sparse.csr_array((1, n)), ValueError),
            (np.ones((2, n)), TypeError),
        ):
            asked = f"{method}({argument}={wrong!r:.60}...) of 2 rows and {n} columns"
            call = partial(getattr(model, method), two, **{argument: wrong})
            expect_error(call, error, argument, asked)


def forms(options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the options with masks as they are, and as sparse matrices."""
    yield "boolean masks", options
    for format in (sparse.csr_array, sparse.coo_matrix):
        yield (
            format.__name__,
            {name: format(x * 3) if np.ndim(x) == 2 else x for name, x in options.items()},
        )


def best_of(everything: Ranked, allowed: np.ndarray, k: int) -> Ranked:
    """Return the first k allowed entries of each row of complete rankings."""
    ids = np.full((len(allowed), k), -1)
    scores = np.full((len(allowed), k), -np.inf, dtype=np.float32)
    for row, (found, values) in enumerate(zip(*everything, strict=True)):
        kept = (found >= 0) & allowed[row][found]
        n = min(k, int(kept.sum()))
        ids[row, :n], scores[row, :n] = found[kept][:n], values[kept][:n]
    return ids, scores


def expect_ranked(found: Ranked, expected: Ranked, everything: Ranked, asked: str) -> None:
    """Expect the best allowed entries; those with equal scores up to rounding in any order."""
    ids, scores = found
    expect_equal(np.shape(ids), expected[0].shape, f"{asked}: the shape of the answer")
    expect_close(scores, expected[1], f"{asked}: scores")
    expect_equal(ids < 0, expected[0] < 0, f"{asked}: where the padding is")
    for row, own in enumerate(ids):
        known = dict(zip(everything[0][row].tolist(), everything[1][row].tolist(), strict=True))
        told = np.array([known.get(i, np.nan) for i in own[own >= 0].tolist()], dtype=float)
        expect_close(scores[row][own >= 0], told, f"{asked}, row {row}: scores of these ids")
        expect_equal(len(set(own[own >= 0].tolist())), (own >= 0).sum(), f"{asked}: distinct ids")


def _masks(n: int, n_columns: int, shares: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return two masks with such shares; the last row of the first one is empty."""
    rng = np.random.default_rng(n_columns)
    mask, other = (rng.random((n, n_columns)) < share for share in shares)
    mask[-1] = False
    return mask, other
