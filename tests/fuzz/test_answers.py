"""Calls about users, items and pairs of models that have grown, beside all scores one by one."""

import functools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone

from recsk.baselines import ALSRecommender, BPRRecommender
from tests.contract.test_any_scorer import assert_ranked
from tests.fuzz import shop
from tests.fuzz.test_growing import LABELLED, NETWORKS, RULES, arrive, fuzz, learn
from tests.ranking.cases import own_set, sets

MODELS = {
    **NETWORKS,
    **RULES,
    "als": ALSRecommender(factors=3, iterations=2, random_state=0),
    "bpr": BPRRecommender(factors=3, iterations=2, random_state=0),
}
DAYS = [
    shop.Day([0, 0, 1, 2, 2, 3, 1], [0, 1, 1, 2, 4, 1, 0], None, 1),
    shop.Day([5, 5, 0, 0, 2], [6, 1, 2, 0, 6], None, 1),
]


class Reference:
    """All scores of a model, from what the documentation says that they are made of."""

    def __init__(self, model, record):
        self.model, self.users, self.items = model, record.users, record.items
        self.labelled = record.labelled
        self.seen = model.interactions_.toarray() > 0
        self.scores = self.of(self.seen)
        self.known = self.seen.any(axis=1)

    def of(self, seen, **histories):
        """Scores of users of the fit, or of those with given histories."""
        model = self.model
        scores = np.zeros(seen.shape)
        if hasattr(model, "item_embedding_"):
            vectors = model.user_vectors(**histories).astype(float)
            scores += vectors @ model.item_embedding_.T
        if hasattr(model, "item_to_item_"):
            term = model.history_weights(**histories).toarray() @ dense(model.item_to_item_)
            if not model._relates_seen():
                term[seen] = 0
            scores += term
        scores[~seen.any(axis=1)] = model.item_popularity_
        return scores

    def similarities(self, kind):
        """Cosines, or item-to-item weights of a model without vectors."""
        if not hasattr(self.model, f"{kind}_embedding_"):
            return dense(self.model.item_to_item_)
        vectors = self.model._similarity_vectors(getattr(self.model, f"{kind}_embedding_"))
        lengths = np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
        unit = vectors / np.where(lengths > 0, lengths, 1)
        return unit @ unit.T

    def spoken(self, ids, names):
        """Lists of ids as the model speaks; sets for each row as they are."""
        if ids is None or sparse.issparse(ids) or np.ndim(ids) == 2:
            return ids
        return [names[i] for i in ids]

    def in_ids(self, answer, names):
        found, scores = answer
        assert found.dtype == (object if self.labelled else np.int64)
        ids = {name: i for i, name in enumerate(names)} | {None if self.labelled else -1: -1}
        flat = [ids[name] for name in found.ravel().tolist()]
        return np.array(flat, dtype=np.int64).reshape(found.shape), scores


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


@functools.cache
def grown(name, labelled):
    """A model after a second day, with items that arrived behind it where it takes them."""
    record, model = shop.Record(labelled), clone(MODELS[name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for day in DAYS:
            learn(model, record, day)
    if name in NETWORKS:
        arrive(model, record)
    return Reference(model, record)


def mask_of(given, n, size, default):
    """Sets as a mask."""
    if given is None:
        return np.full((n, size), default)
    rows = [[i in own_set(given, row) for i in range(size)] for row in range(n)]
    return np.array(rows, dtype=bool).reshape(n, size)


@st.composite
def questions(draw, n_asked, n_found):
    """Draw ids, a length, sets to choose from, sets to leave out, and who is left over."""
    ids = draw(st.lists(st.integers(0, n_asked - 1), min_size=1, max_size=4))
    only, without = (draw(sets(len(ids), n_found)) for _ in range(2))
    allowed = mask_of(only, len(ids), n_found, True) & ~mask_of(without, len(ids), n_found, False)
    return ids, draw(st.integers(1, n_found + 2)), only, without, allowed


@LABELLED
@pytest.mark.parametrize("name", MODELS)
@fuzz(4)
@given(data=st.data())
def test_answers_are_those_of_all_scores(name, labelled, data):
    reference = grown(name, labelled)
    model, users, items = reference.model, reference.users, reference.items
    n_users, n_items = len(users), len(items)
    named = {"user": users, "item": items}

    def options(kind, only, without, prefix="filter_"):
        given = {f"{kind}s": only, f"{prefix}{kind}s": without}
        return {key: reference.spoken(x, named[kind]) for key, x in given.items()}

    exclude_seen = data.draw(st.booleans())
    ids, k, only, without, allowed = data.draw(questions(n_users, n_items))
    asked = reference.spoken(ids, users)
    chosen = options("item", only, without)
    if exclude_seen:
        allowed = allowed & ~(reference.seen[ids] & reference.known[ids][:, None])
    answer = model.recommend(asked, k, exclude_seen=exclude_seen, **chosen)
    assert_ranked(reference.in_ids(answer, items), reference.scores[ids], allowed)

    if only is not None and mask_of(only, len(ids), n_items, True).any():
        answer = model.rank_items(asked, chosen["items"])
        candidates = mask_of(only, len(ids), n_items, True)
        assert answer[0].shape[1] == candidates.sum(axis=1).max()
        assert_ranked(reference.in_ids(answer, items), reference.scores[ids], candidates)

    histories = data.draw(
        st.lists(
            st.lists(st.integers(0, n_items - 1), max_size=4), min_size=len(ids), max_size=len(ids)
        )
    )
    new = [[items[i] for i in history] for history in histories]
    seen = mask_of(sparse.csr_array((len(ids), n_items)), len(ids), n_items, False)
    for row, history in enumerate(histories):
        seen[row, history] = True
    scores = reference.of(seen, user_items=new)
    answer = model.recommend(user_items=new, k=k, exclude_seen=False, **chosen)
    open_to = mask_of(only, len(ids), n_items, True) & ~mask_of(without, len(ids), n_items, False)
    assert_ranked(reference.in_ids(answer, items), scores, open_to)
    pairs = data.draw(st.lists(st.integers(0, n_items - 1), min_size=len(ids), max_size=len(ids)))
    wanted = scores[np.arange(len(ids)), pairs]
    found = model.score_pairs(None, [items[i] for i in pairs], user_items=new)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    found = model.score_pairs(asked, [items[i] for i in pairs])
    np.testing.assert_allclose(found, reference.scores[ids, pairs], rtol=1e-4, atol=1e-5)

    ids, k, only, without, allowed = data.draw(questions(n_items, n_users))
    allowed = allowed & reference.known
    if exclude_seen:
        allowed &= ~reference.seen.T[ids]
    answer = model.recommend_users(
        reference.spoken(ids, items), k, exclude_seen=exclude_seen, **options("user", only, without)
    )
    assert_ranked(reference.in_ids(answer, users), reference.scores.T[ids], allowed)

    for kind, names in named.items():
        if not hasattr(model, f"similar_{kind}s"):
            continue
        ids, k, only, without, allowed = data.draw(questions(len(names), len(names)))
        allowed = allowed.copy()
        allowed[np.arange(len(ids)), ids] = False
        find = getattr(model, f"similar_{kind}s")
        answer = find(reference.spoken(ids, names), k, **options(kind, only, without))
        scores = reference.similarities(kind)[ids]
        assert_ranked(reference.in_ids(answer, names), scores, allowed)
