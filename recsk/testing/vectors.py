"""Checks of what scores are made of: vectors, item-to-item weights, and `to_ann`."""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

import numpy as np
from scipy import sparse

from recsk.contract.recommender import BaseRecommender
from recsk.testing.data import HISTORIES, N_ITEMS, N_USERS, Problem, has
from recsk.testing.expect import expect, expect_close, expect_equal, expect_same
from recsk.testing.labels import unwrap

__all__: list[str] = []


def check_user_vectors(estimator: Any, problem: Problem) -> None:
    """`user_vectors` gives float32 vectors, zero for users without a history."""
    model = _with_vectors(estimator, problem)
    for asked, seen in _histories(problem):
        vectors = model.user_vectors(**asked)
        text = f"user_vectors({', '.join(asked)})"
        expect(vectors.dtype == np.float32, f"{text} must be float32; got {vectors.dtype}")
        expect_equal((vectors == 0).all(axis=1), ~seen.any(axis=1), f"{text}: which rows are zero")
    expect_equal(model.user_vectors(3), model.user_vectors([3])[0], "user_vectors(3)")


def check_history_weights(estimator: Any, problem: Problem) -> None:
    """`history_weights` weighs the items that users have seen and no others."""
    model = problem.fitted(estimator)
    if not has(model, "history_weights"):
        raise SkipTest("the model has no item-to-item weights")
    shape = (N_ITEMS, N_ITEMS)
    term = model.item_to_item_
    expect_equal(term.shape, shape, "shape of item_to_item_")
    expect(term.dtype == np.float32, f"item_to_item_ must be float32; got {term.dtype}")
    values = term.data if sparse.issparse(term) else term
    expect(np.isfinite(values).all(), "item_to_item_ must be finite")
    for asked, seen in _histories(problem):
        weights = model.history_weights(**asked)
        text = f"history_weights({', '.join(asked)})"
        expect_equal(weights.shape, seen.shape, f"shape of {text}")
        unseen = weights.toarray()[~seen]
        expect(not unseen.any(), f"{text} must be zero for items that a user has not seen")


def check_scores_are_the_sum_of_their_parts(estimator: Any, problem: Problem) -> None:
    """The scores of unseen items are products of vectors, plus item-to-item weights."""
    model = problem.fitted(estimator)
    if type(unwrap(model)).score_block is not BaseRecommender.score_block:
        raise SkipTest("the class computes scores in its own way")
    for asked, seen in _histories(problem):
        scores = np.zeros(seen.shape)
        parts = []
        if has(model, "user_vectors"):
            scores += model.user_vectors(**asked) @ model.item_embedding_.T
            parts.append("user_vectors @ item_embedding_.T")
        if has(model, "history_weights"):
            weights, term = model.history_weights(**asked), model.item_to_item_
            scores += np.asarray((weights @ sparse.csr_array(term)).todense())
            parts.append("history_weights @ item_to_item_")
        known = seen.any(axis=1)
        ids, got = (part[known] for part in model.recommend(**asked, k=N_ITEMS))
        shown = ids >= 0
        expected = np.take_along_axis(scores[known], ids, axis=1)
        text = f"scores of recommend({', '.join(asked)}) beside {' + '.join(parts)}"
        expect_close(got[shown], expected[shown], text)


def check_an_index_answers_as_recommend_does(estimator: Any, problem: Problem) -> None:
    """`to_ann` finds for the vectors of users what `recommend` finds."""
    model = _with_vectors(estimator, problem)
    try:
        import faiss  # noqa: F401, the index is of faiss
    except ImportError as error:
        raise SkipTest("faiss is not installed") from error
    ann = model.to_ann()
    for asked, seen in _histories(problem):
        options: dict[str, Any] = {"exclude": sparse.csr_array(seen)}
        if has(model, "history_weights"):
            options["weights"] = model.history_weights(**asked)
        found = ann.query(model.user_vectors(**asked), k=5, **options)
        text = f"to_ann().query(...) beside recommend({', '.join(asked)})"
        expect_same(found, model.recommend(k=5, **asked), text)


def _with_vectors(estimator: Any, problem: Problem) -> Any:
    model = problem.fitted(estimator)
    if not has(model, "user_vectors"):
        raise SkipTest("the model has no vectors")
    return model


def _histories(problem: Problem) -> list[tuple[dict[str, Any], np.ndarray]]:
    """Return what to ask for all users and for new ones, with what they have seen."""
    seen = np.zeros((len(HISTORIES), N_ITEMS), dtype=bool)
    for row, history in zip(seen, HISTORIES, strict=True):
        row[history] = True
    everybody = {"user_ids": np.arange(N_USERS)}
    return [(everybody, problem.seen), ({"user_items": HISTORIES}, seen)]
