"""Checks of models with vectors: `user_vectors`, their products, and `to_ann`."""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

import numpy as np
from scipy import sparse

from recsk.testing.data import HISTORIES, N_ITEMS, N_USERS, Problem, has
from recsk.testing.expect import expect, expect_close, expect_equal, expect_same

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


def check_products_of_vectors_are_scores(estimator: Any, problem: Problem) -> None:
    """The scores of items that a user has not seen are products of the vectors."""
    model = _with_vectors(estimator, problem)
    if has(model, "item_to_item_"):
        raise SkipTest("a part of the scores is no product of vectors")
    for asked, seen in _histories(problem):
        known = seen.any(axis=1)
        ids, scores = (part[known] for part in model.recommend(**asked, k=N_ITEMS))
        expected = np.einsum("nd,nkd->nk", model.user_vectors(**asked)[known], _rows(model, ids))
        shown = ids >= 0
        text = f"scores of recommend({', '.join(asked)}) beside user_vectors @ item_embedding_.T"
        expect_close(scores[shown], expected[shown], text)


def check_an_index_answers_as_recommend_does(estimator: Any, problem: Problem) -> None:
    """`to_ann` finds for the vectors of users what `recommend` finds."""
    model = _with_vectors(estimator, problem)
    if has(model, "item_to_item_"):
        raise SkipTest("an index knows the vectors alone")
    try:
        import faiss  # noqa: F401, the index is of faiss
    except ImportError as error:
        raise SkipTest("faiss is not installed") from error
    ann = model.to_ann()
    for asked, seen in _histories(problem):
        found = ann.query(model.user_vectors(**asked), k=5, exclude=sparse.csr_array(seen))
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


def _rows(model: Any, ids: np.ndarray) -> np.ndarray:
    return model.item_embedding_[ids]
