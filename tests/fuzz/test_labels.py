"""Random calls of models that speak labels: known labels come back, or a documented error."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from recsk import Interactions, metrics
from recsk.metrics.evaluation import METRICS
from tests.fuzz import values
from tests.fuzz.test_calls import (
    ESTIMATORS,
    N_ITEMS,
    N_USERS,
    call,
    check_lists,
    each_estimator,
    fitted,
    fuzz,
)

pytestmark = pytest.mark.slow
# Ints are positions of other items; tuples and text side by side have no order of their own.
LABELS = {
    "int": ([(i + 4) % N_USERS for i in range(N_USERS)], [(i + 3) % N_ITEMS for i in range(7)]),
    "str": ([f"u{i}" for i in range(N_USERS)], [f"sku {9 - i}" for i in range(N_ITEMS)]),
    "mixed": ([("u", i) if i % 2 else f"u{i}" for i in range(N_USERS)], [("sku", 1), *range(6)]),
}
each_kind = pytest.mark.parametrize("kind", LABELS)
ask = functools.partial(call, errors=(KeyError,))


@functools.cache
def labelled(name, kind):
    """The model of `fitted`, with labels."""
    ids = fitted(name)
    user, item = ids.interactions_.nonzero()
    X = Interactions(user, item, timestamp=np.arange(len(user)), n_users=N_USERS, n_items=N_ITEMS)
    return clone(ESTIMATORS[name]).fit(X.with_labels(*LABELS[kind]), item_features=features())


@functools.cache
def features():
    rng = np.random.default_rng(1)
    return {"v": rng.normal(size=(N_ITEMS, 3)), "t": rng.normal(size=(N_ITEMS, 2))}


def to_ids(answer, labels):
    """Return an answer in ids; every label in it is known, and the padding is None."""
    named, scores = answer
    assert named.dtype == object
    ids = {label: i for i, label in enumerate(labels)} | {None: -1}
    flat = [ids[label] for label in named.ravel()]
    assert all(type(x) in (str, int, tuple, type(None)) for x in named.ravel())
    return np.array(flat, dtype=np.int64).reshape(named.shape), scores


def as_positions(given, labels):
    """Return the positions of labels that a call has accepted."""
    given = given.tolist() if hasattr(given, "tolist") else given
    is_one = isinstance(given, str) or not hasattr(given, "__iter__")
    is_one = is_one or (isinstance(given, tuple) and given in labels)
    return [labels.index(label) for label in ([given] if is_one else given)]


@each_kind
@each_estimator
@fuzz
@given(data=st.data())
def test_recommend(name, kind, data):
    model, (users, items) = labelled(name, kind), LABELS[kind]
    form = data.draw(st.integers(0, 3))
    lists = st.one_of(st.none(), st.none(), values.labels(items))
    arguments = {
        "user_ids": data.draw(values.labels(users)) if form != 1 else None,
        "user_items": data.draw(values.histories_of_labels(items)) if form < 2 else None,
        "k": data.draw(values.lengths(N_ITEMS)),
        "exclude_seen": data.draw(values.flags()),
        "items": data.draw(lists),
        "filter_items": data.draw(lists),
    }
    result = ask(model.recommend, **arguments)
    if result is None:
        return
    allowed = set(range(N_ITEMS))
    if arguments["items"] is not None:
        allowed &= set(as_positions(arguments["items"], items))
    if arguments["filter_items"] is not None:
        allowed -= set(as_positions(arguments["filter_items"], items))
    seen = None
    if arguments["exclude_seen"] and arguments["user_items"] is None:
        asked = arguments["user_ids"]
        rows = range(N_USERS) if asked is None else as_positions(asked, users)
        seen = model.interactions_[list(rows)].toarray() > 0
    elif arguments["exclude_seen"] and isinstance(arguments["user_items"], list | dict):
        asked = arguments["user_items"]
        new = asked.values() if isinstance(asked, dict) else asked
        known = [] if arguments["user_ids"] is None else as_positions(arguments["user_ids"], users)
        seen = np.zeros((len(known) + len(new), N_ITEMS), dtype=bool)
        seen[: len(known)] = model.interactions_[known].toarray() > 0
        for row, history in enumerate(new, len(known)):
            seen[row, as_positions(history, items)] = True
    check_lists(to_ids(result, items), int(arguments["k"]), seen, allowed)
    if arguments["k"] < N_ITEMS:
        frame = model.recommend(**arguments, as_frame=True)
        assert set(frame["item"]) == set(result[0].ravel()) - {None}


@each_kind
@each_estimator
@fuzz
@given(data=st.data())
def test_similar_items_similar_users_rank_items_and_vectors(name, kind, data):
    model, (users, items) = labelled(name, kind), LABELS[kind]
    k = data.draw(values.lengths(N_ITEMS))
    for function, argument, known in (
        (model.similar_items, "item_ids", items),
        (model.similar_users, "user_ids", users),
    ):
        queries = data.draw(values.labels(known))
        result = ask(function, **{argument: queries, "k": k})
        if result is not None:
            ids, _ = to_ids(result, known)
            own = range(len(known)) if queries is None else as_positions(queries, known)
            assert ids.shape[-1] == k and not np.isnan(result[1]).any()
            for query, row in zip(own, np.atleast_2d(ids), strict=True):
                assert query not in row and len(set(row[row >= 0])) == (row >= 0).sum()
    asked, chosen = data.draw(values.labels(users)), data.draw(values.labels(items))
    result = ask(model.rank_items, user_ids=asked, items=chosen)
    if result is not None:
        wanted = set(as_positions(chosen, items))
        check_lists(to_ids(result, items), len(wanted), allowed=wanted)
    vectors = ask(model.user_vectors, user_ids=asked)
    if vectors is not None and asked is not None:
        rows = as_positions(asked, users)
        np.testing.assert_array_equal(np.atleast_2d(vectors), model.user_embedding_[rows])


@each_kind
@each_estimator
@fuzz
@given(data=st.data())
def test_held_out_data_of_any_encoding(name, kind, data):
    model, (users, items) = labelled(name, kind), LABELS[kind]
    X = data.draw(values.matrices(N_USERS, N_ITEMS))
    metric, k = data.draw(st.sampled_from(METRICS)), data.draw(st.sampled_from([1, 3, N_ITEMS]))
    eval_users = data.draw(st.one_of(st.none(), st.none(), values.labels(users)))
    measure = functools.partial(
        ask, metrics.evaluate, est=model, metrics=metric, k=k, eval_users=eval_users
    )
    found = measure(X_test=X)
    for value in {} if found is None else found.values():
        assert 0 <= value <= 1
    if not values.labellable(X, N_USERS, N_ITEMS):
        return
    user, item = (
        data.draw(st.permutations(range(N_USERS))),
        data.draw(st.permutations(range(N_ITEMS))),
    )
    other = Interactions(
        np.argsort(user)[X.user],
        np.argsort(item)[X.item],
        timestamp=X.timestamp,
        value=X.value,
        n_users=N_USERS,
        n_items=N_ITEMS,
    ).with_labels([users[i] for i in user], [items[i] for i in item])
    again = measure(X_test=other)
    if found is not None:
        assert again == pytest.approx(found)
    score = ask(model.score, X=other)
    assert score is None or 0 <= score <= 1


@each_estimator
@fuzz
@given(data=st.data())
def test_labels_of_interactions(name, data):
    X = data.draw(values.matrices(N_USERS, N_ITEMS))
    if not isinstance(X, Interactions) or not len(X):
        return
    drawn = [st.just(known) for kind in LABELS.values() for known in kind]
    arguments = {
        f"{what}_labels": data.draw(st.one_of(st.none(), *drawn, values.NONSENSE))
        for what in ("user", "item")
    }
    named = call(X.with_labels, **arguments)
    if named is None:
        return
    model = call(clone(ESTIMATORS[name]).fit, X=named)
    if model is None:
        return
    answer, _ = model.recommend(k=2)
    if named.item_labels is None:
        assert answer.dtype == np.int64
    else:
        assert set(answer.ravel()) - {None} <= set(named.item_labels.tolist())
    if named.user_labels is not None:
        assert model.users_.tolist() == named.user_labels.tolist()
        assert model.recommend(model.users_[:1], k=2)[0].tolist() == answer[:1].tolist()


@each_kind
@each_estimator
@fuzz
@given(data=st.data())
def test_frames_of_features(name, kind, data):
    reference, (users, items) = labelled(name, kind), LABELS[kind]
    user, item = reference.interactions_.nonzero()
    X = Interactions(user, item, timestamp=np.arange(len(user)), n_users=N_USERS, n_items=N_ITEMS)
    new = data.draw(st.sampled_from([[], ["new"], ["new", "newer"]]))
    frame, by_label = data.draw(values.feature_frame(items, new))
    item_features = {"v": frame}
    if data.draw(st.booleans()):
        item_features["t"] = features()["t"]
    fit = clone(reference).fit
    model = ask(fit, X=X.with_labels(users, items), item_features=item_features)
    if model is None or by_label is None:
        return
    added = sorted(set(by_label) - set(items), key=str)
    assert model.items_.tolist() == [*items, *added]
    # The same by hand: an array in the order of the items, new ones behind.
    aligned = {"v": np.full((len(items) + len(added), 2), np.nan)}
    for label, row in by_label.items():
        aligned["v"][[*items, *added].index(label)] = row
    if "t" in item_features:
        aligned["t"] = np.vstack([features()["t"], np.full((len(added), 2), np.nan)])
    again = clone(reference).fit(X.with_labels(users, [*items, *added]), item_features=aligned)
    np.testing.assert_allclose(again.item_embedding_, model.item_embedding_, atol=1e-6)
    known = model.items_.tolist()
    check_lists(to_ids(model.recommend(k=3), known), 3, n_items=len(known))
