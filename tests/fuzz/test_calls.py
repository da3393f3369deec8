"""Random calls give the documented result, or an error that names the argument.

A run of the tests makes a few hundred calls; `python -m tox run -e fuzz` makes tens of thousands.
"""

import copy
import functools
import os
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from recsk import Interactions, MDERecommender, MDSRecRecommender, metrics, model_selection
from recsk.metrics.evaluation import METRICS
from tests.fuzz import values

pytestmark = pytest.mark.slow
EXAMPLES = int(os.environ.get("RECSK_FUZZ", "40"))
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES < 100,  # every run of the tests makes the same calls
    suppress_health_check=list(HealthCheck),
)

N_USERS, N_ITEMS = 9, 7
ESTIMATORS = {
    "mde": MDERecommender(n_factors=4, max_epochs=1, random_state=0),
    "mdsrec": MDSRecRecommender(n_factors=4, n_interests=2, max_epochs=1, random_state=0),
}
each_estimator = pytest.mark.parametrize("name", ESTIMATORS)


@functools.cache
def fitted(name):
    rng = np.random.default_rng(0)
    order = rng.permutation(np.arange(1.0, N_USERS * N_ITEMS + 1)).reshape(N_USERS, N_ITEMS)
    order *= rng.random(order.shape) < 0.4
    order[0] = 0
    features = {"v": rng.normal(size=(N_ITEMS, 3)), "t": rng.normal(size=(N_ITEMS, 2))}
    return clone(ESTIMATORS[name]).fit(sparse.csr_array(order), item_features=features)


def call(function, *, names=(), errors=(), **arguments):
    """Return the result, or None after an error that names an argument."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Warnings of recsk: nothing to learn from, to validate on, or to measure.
        warnings.filterwarnings("default", ".*the estimator keeps.*", ConvergenceWarning)
        for words in (
            "holds out validation_fraction",
            "are in X as well",
            "no interaction in tr",
            "are in training too",
            "X has values",
            "item_features.* has rows for",
        ):
            warnings.filterwarnings("default", f".*{words}", UserWarning)
        try:
            return function(**arguments)
        except (*errors, ValueError, TypeError, IndexError, NotFittedError) as error:
            assert any(name in str(error) for name in (*names, *arguments)), error
            return None


def check_lists(result, k, seen=None, allowed=None, n_items=N_ITEMS):
    """Check for duplicates, seen items, bad ids, NaN, the order of scores, and padding."""
    ids, scores = result
    assert ids.dtype == np.int64 and scores.dtype == np.float32 and ids.shape == scores.shape
    assert ids.shape[-1] == k
    for row, (found, score) in enumerate(
        zip(np.atleast_2d(ids), np.atleast_2d(scores), strict=True)
    ):
        n = int((found >= 0).sum())
        assert (found[n:] == -1).all() and (score[n:] == -np.inf).all()
        assert len(set(found[:n])) == n and found.max(initial=-1) < n_items
        assert np.isfinite(score[:n]).all() and (np.diff(score[:n]) <= 0).all()
        if seen is not None:
            assert not seen[row][found[:n]].any()
        if allowed is not None:
            assert set(found[:n]) <= allowed


@each_estimator
@fuzz
@given(data=st.data())
def test_recommend(name, data):
    model = fitted(name)
    given_users = data.draw(st.booleans())
    arguments = {
        "user_ids": data.draw(values.ids(N_USERS)) if given_users else None,
        "user_items": None if given_users else data.draw(values.histories(N_ITEMS)),
        "k": data.draw(values.lengths(N_ITEMS)),
        "exclude_seen": data.draw(values.flags()),
        "items": data.draw(st.one_of(st.none(), st.none(), values.ids(N_ITEMS))),
        "filter_items": data.draw(st.one_of(st.none(), st.none(), values.ids(N_ITEMS))),
    }
    result = call(model.recommend, **arguments)
    if result is None:
        return
    n = np.atleast_2d(result[0]).shape[0]
    barred = ~as_mask(arguments["items"], n, N_ITEMS)
    if arguments["filter_items"] is not None:
        barred |= as_mask(arguments["filter_items"], n, N_ITEMS)
    if arguments["exclude_seen"] and arguments["user_items"] is None:
        users = np.arange(N_USERS) if arguments["user_ids"] is None else arguments["user_ids"]
        barred |= model.interactions_.toarray()[np.atleast_1d(np.asarray(users, dtype=int))] > 0
    check_lists(result, int(arguments["k"]), barred)


@each_estimator
@fuzz
@given(data=st.data())
def test_similar_items_similar_users_and_rank_items(name, data):
    model = fitted(name)
    k = data.draw(values.lengths(N_ITEMS))
    for function, argument, size in (
        (model.similar_items, "item_ids", N_ITEMS),
        (model.similar_users, "user_ids", N_USERS),
    ):
        queries = data.draw(values.ids(size))
        result = call(function, **{argument: queries, "k": k})
        if result is not None:
            ids = np.atleast_2d(result[0])
            assert result[0].shape[-1] == k and ids.max(initial=-1) < size
            queries = np.arange(size) if queries is None else np.ravel(queries)  # None: all users
            for own, row in zip(queries, ids, strict=True):
                assert own not in row and len(set(row[row >= 0])) == (row >= 0).sum()
            assert not np.isnan(result[1]).any()
    items = data.draw(values.ids(N_ITEMS))
    result = call(model.rank_items, user_ids=data.draw(values.ids(N_USERS)), items=items)
    if result is not None:
        n = max(np.atleast_2d(result[0]).shape[0], 1)
        check_lists(result, int(as_mask(items, n, N_ITEMS).sum(axis=1).max(initial=0)))


def as_mask(given, n, size):
    """Candidates that a call has accepted, with a row for each that is asked about."""
    if given is None:
        return np.ones((n, size), dtype=bool)
    if sparse.issparse(given):
        return given.toarray() != 0
    if isinstance(given, list) and any(isinstance(row, list) for row in given):
        return np.array([np.isin(np.arange(size), row) for row in given])
    if np.ndim(given) == 2:
        return given
    return np.tile(np.isin(np.arange(size), np.asarray(given)), (n, 1))


@each_estimator
@fuzz
@given(data=st.data())
def test_pairs_users_and_candidates(name, data):
    model = fitted(name)
    arguments = {
        "user_ids": data.draw(values.ids(N_USERS)),
        "items": data.draw(values.ids(N_ITEMS)),
        "user_items": data.draw(st.one_of(st.none(), st.none(), values.histories(N_ITEMS))),
    }
    scores = call(model.score_pairs, **arguments)
    if scores is not None:
        assert scores.dtype == np.float32 and np.shape(scores) == np.shape(arguments["items"])
        assert np.isfinite(scores).all()
    items, k = data.draw(values.ids(N_ITEMS)), data.draw(values.lengths(N_USERS))
    users = data.draw(values.candidates(items, N_USERS))
    result = call(model.recommend_users, items=items, k=k, users=users)
    if result is not None:
        check_lists(result, k, ~as_mask(users, np.size(items), N_USERS), n_items=N_USERS)
    asked, k = data.draw(values.ids(N_USERS)), data.draw(values.lengths(N_ITEMS))
    if asked is None:  # all users
        return
    only, without = (data.draw(values.candidates(asked, N_ITEMS)) for _ in range(2))
    options = {"user_ids": asked, "k": k, "items": only, "filter_items": without}
    result = call(model.recommend, **options)
    if result is not None:
        n = np.size(asked)
        allowed = as_mask(only, n, N_ITEMS)
        if without is not None:
            allowed = allowed & ~as_mask(without, n, N_ITEMS)
        check_lists(result, k, ~allowed)
    call(model.rank_items, user_ids=asked, items=only)
    result = call(model.similar_items, item_ids=items, k=k, items=users, filter_items=only)
    if result is not None:
        assert result[0].shape[-1] == k


@functools.cache
def index_of(name):
    return fitted(name).to_ann()


@each_estimator
@fuzz
@given(data=st.data())
def test_user_vectors_and_queries_of_an_index(name, data):
    pytest.importorskip("faiss")
    model = fitted(name)
    queries = (
        {"user_ids": data.draw(values.ids(N_USERS))}
        if data.draw(st.booleans())
        else {"user_items": data.draw(values.histories(N_ITEMS))}
    )
    vectors = call(model.user_vectors, **queries)
    if vectors is None:
        return
    width = model.item_embedding_.shape[1]
    assert vectors.dtype == np.float32 and vectors.shape[-1] == width
    assert np.isfinite(vectors).all()
    n = len(np.atleast_2d(vectors))
    arguments = {
        "user_vectors": data.draw(st.one_of(*[st.just(vectors)] * 4, values.NONSENSE)),
        "k": data.draw(values.lengths(N_ITEMS)),
        "exclude": data.draw(st.one_of(st.none(), values.matrices(n, N_ITEMS))),
    }
    if hasattr(model, "item_to_item_"):
        weights = model.history_weights(**queries)
        arguments["weights"] = data.draw(st.one_of(*[st.just(weights)] * 4, values.NONSENSE))
    result = call(index_of(name).query, **arguments)
    if result is not None:
        seen = arguments["exclude"]
        seen = None if seen is None else seen.toarray() != 0
        check_lists(result, int(arguments["k"]), seen)


@each_estimator
@fuzz
@given(data=st.data())
def test_adding_items(name, data):
    model = copy.deepcopy(fitted(name))
    arguments = {"item_features": data.draw(values.features(3))}
    if data.draw(st.integers(0, 4)) == 0:
        arguments["labels"] = data.draw(values.NONSENSE)
    added = call(model.add_items, **arguments)
    if added is None:
        assert model.n_features_in_ == N_ITEMS == len(model.item_embedding_)
        return
    n_items = N_ITEMS + len(added)
    assert added.tolist() == list(range(N_ITEMS, n_items))
    assert np.isfinite(model.item_embedding_).all()
    check_lists(model.recommend(k=n_items), n_items, n_items=n_items)


@each_estimator
@fuzz
@given(data=st.data())
def test_building_an_index(name, data):
    pytest.importorskip("faiss")
    valid = st.sampled_from([1, 2, 8, np.int32(4)])
    arguments = {
        "index": data.draw(st.one_of(st.just("faiss"), st.just("faiss"), values.NONSENSE)),
        "n_links": data.draw(st.one_of(valid, valid, values.NONSENSE)),
        "search_width": data.draw(st.one_of(valid, valid, values.NONSENSE)),
    }
    model = fitted(name)
    ann = call(model.to_ann, **arguments)
    if ann is not None:
        related = hasattr(model, "item_to_item_")
        weights = model.history_weights() if related else None
        check_lists(ann.query(model.user_vectors(), k=3, weights=weights), 3)


@each_estimator
@fuzz
@given(data=st.data())
def test_score_evaluate_and_scorer(name, data):
    model = fitted(name)
    X = data.draw(values.matrices(N_USERS, N_ITEMS))
    score = call(model.score, X=X)
    assert score is None or 0 <= score <= 1
    metric = data.draw(st.sampled_from([*METRICS, "accuracy", None]))
    k = data.draw(values.lengths(N_ITEMS))
    found = call(
        metrics.evaluate,
        est=model,
        X_test=X,
        metrics=metric,
        k=k,
        eval_users=data.draw(st.one_of(st.none(), values.ids(N_USERS))),
    )
    for value in {} if found is None else found.values():
        assert 0 <= value <= 1
    scorer = call(model_selection.make_ranking_scorer, metric=metric, k=k)
    if scorer is not None:
        value = call(functools.partial(scorer, model), X=X)
        assert value is None or 0 <= value <= 1


@each_estimator
@fuzz
@given(data=st.data())
def test_fit(name, data):
    est = clone(ESTIMATORS[name])
    changes = data.draw(
        st.dictionaries(
            st.sampled_from(sorted(set(est.get_params()) - {"max_epochs"})),
            st.one_of(values.NONSENSE, st.sampled_from([-1, 0, 1, 2, 0.5, "auto", "none", "sum"])),
            max_size=2 if data.draw(st.integers(0, 3)) == 0 else 0,
        )
    )
    arguments = {
        "X": data.draw(values.matrices(N_USERS, N_ITEMS)),
        "item_features": data.draw(st.one_of(st.none(), values.features(N_ITEMS))),
        "eval_set": data.draw(
            st.one_of(st.none(), st.none(), values.matrices(N_USERS, N_ITEMS)),
        ),
    }
    arguments["sample_weight"] = data.draw(
        st.one_of(st.none(), st.none(), values.weights(arguments["X"]))
    )

    def fit(**arguments):
        wanted = {
            key: arguments[key] for key in ("X", "item_features", "eval_set", "sample_weight")
        }
        return est.set_params(**changes).fit(**wanted)

    model = call(fit, **arguments, **changes)
    if model is None:
        with pytest.raises(NotFittedError):
            est.recommend()
        return
    ids, scores = model.recommend(k=3)
    assert not np.isnan(scores).any() and ids.max() < model.n_features_in_
    assert all(np.isfinite(curve).all() for curve in model.loss_curve_.values())


SPLITTERS = [
    (model_selection.RandomHoldout, ("n_splits", "test_size", "random_state", "repeats")),
    (model_selection.LeaveLastOut, ("n_splits", "n_last", "repeats")),
    (model_selection.TemporalSplit, ("n_splits", "test_size", "repeats")),
    (model_selection.InteractionKFold, ("n_splits", "random_state", "repeats")),
    (model_selection.PredefinedInteractionSplit, ("labels",)),
]


@pytest.mark.parametrize(("splitter", "names"), SPLITTERS)
@fuzz
@given(data=st.data())
def test_splitters(splitter, names, data):
    valid = st.sampled_from([1, 2, 3, 0.2, 0.5, 0])
    arguments = {
        name: data.draw(st.one_of(valid, valid, values.NONSENSE))
        for name in names
        if data.draw(st.booleans())
    }
    X = data.draw(values.matrices(N_USERS, N_ITEMS))
    if splitter is model_selection.PredefinedInteractionSplit:
        n = len(X) if isinstance(X, Interactions) else 3
        labels = np.random.default_rng(0).integers(-1, 2, n)
        arguments = {"labels": data.draw(st.one_of(st.just(labels), values.NONSENSE))}

    def split(X, **arguments):
        return list(splitter(**arguments).split(X))

    folds = call(split, names=names, X=X, **arguments)
    for train, test in [] if folds is None else folds:
        together = np.concatenate([train, test])
        assert len(set(together.tolist())) == len(together) and together.max() < len(X)
        # Every user in the test fold has training interactions.
        assert set(X.user[test].tolist()) <= set(X.user[train].tolist())


@fuzz
@given(data=st.data())
def test_interactions(data):
    columns = {
        "user": data.draw(values.ids(N_USERS)),
        "item": data.draw(values.ids(N_ITEMS)),
        "timestamp": data.draw(st.one_of(st.none(), values.NONSENSE, values.ids(N_ITEMS))),
        "value": data.draw(st.one_of(st.none(), values.NONSENSE, values.ids(N_ITEMS))),
        "n_users": data.draw(st.one_of(st.none(), st.just(N_USERS), values.NONSENSE)),
        "n_items": data.draw(st.one_of(st.none(), st.just(N_ITEMS), values.NONSENSE)),
    }
    X = call(Interactions, **columns)
    if X is not None:
        assert X.to_csr().shape == (X.n_users, X.n_items)
        if X.timestamp is not None:
            assert sum(map(len, X.sequences())) == len(X)
        assert len(X[::2]) == -(-len(X) // 2)


@fuzz
@given(data=st.data())
def test_metrics(data):
    truth = data.draw(values.matrices(3, N_ITEMS))
    ranked = data.draw(
        st.one_of(
            values.NONSENSE,
            st.lists(st.permutations(range(-1, N_ITEMS)), min_size=3, max_size=3),
        )
    )
    k = data.draw(st.one_of(st.none(), values.lengths(N_ITEMS)))
    for name in ("recall", "ndcg", "precision", "map", "mrr", "hit_rate"):
        value = call(getattr(metrics, f"{name}_at_k"), ranked=ranked, truth=truth, k=k)
        assert value is None or 0 <= value <= 1
