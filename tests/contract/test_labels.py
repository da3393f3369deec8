"""A model fitted on labels gives the answers of the same model fitted on ids, in labels."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import recsk
from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.metrics import evaluate
from recsk.model_selection import LeaveLastOut, RandomHoldout, make_ranking_scorer
from tests.contract.suite import FEATURES, HISTORIES, N_ITEMS, N_USERS, TEST, TRAIN

ESTIMATORS = {
    "mde": MDERecommender(n_factors=4, max_epochs=2, user_neighbors=3, random_state=0),
    "mdsrec": MDSRecRecommender(n_factors=4, max_epochs=2, n_interests=3, random_state=0),
}
_RNG = np.random.default_rng(0)
# Integers that are positions too, but of others; strings; tuples; several types in one list.
LABELS = {
    "int": ((_RNG.permutation(N_USERS)).tolist(), (_RNG.permutation(N_ITEMS) + 7).tolist()),
    "str": ([f"u{i}" for i in range(N_USERS)], [f"sku-{i:03}" for i in range(N_ITEMS)]),
    "tuple": ([("u", i) for i in range(N_USERS)], [("s", i) for i in range(N_ITEMS)]),
    "mixed": ([i if i % 2 else str(i) for i in range(N_USERS)], [*range(1, N_ITEMS), "last"]),
}


@pytest.fixture(scope="module", params=[(e, k) for e in ESTIMATORS for k in LABELS], ids="-".join)
def pair(request):
    """A model that speaks labels, the same that speaks ids, and the labels by id."""
    name, kind = request.param
    users, items = LABELS[kind]
    labelled = clone(ESTIMATORS[name]).fit(TRAIN.with_labels(users, items), item_features=FEATURES)
    ids = clone(ESTIMATORS[name]).fit(TRAIN, item_features=FEATURES)
    return labelled, ids, users, items


def as_labels(ids, labels):
    table = np.empty(len(labels) + 1, dtype=object)
    table[:-1] = labels
    return table[ids]


def assert_same_answer(labelled, plain, labels):
    assert labelled[0].dtype == object
    np.testing.assert_array_equal(labelled[0], as_labels(plain[0], labels))
    np.testing.assert_allclose(labelled[1], plain[1], rtol=1e-5, atol=1e-6)


def test_labels_are_kept(pair):
    model, ids, users, items = pair
    assert model.users_.tolist() == users and model.items_.tolist() == items
    assert not hasattr(ids, "users_") and not hasattr(ids, "items_")


def test_every_call_takes_and_returns_labels(pair):
    model, ids, users, items = pair
    some = [3, 0, 29, 7]
    named = [users[i] for i in some]
    assert_same_answer(model.recommend(k=30), ids.recommend(k=30), items)
    assert_same_answer(model.recommend(named, k=5), ids.recommend(some, k=5), items)
    assert_same_answer(model.recommend(named[0], k=5), ids.recommend(some[0], k=5), items)
    chosen = {"items": [1, 2, 5, 11, 3], "filter_items": [5]}
    in_labels = {name: [items[i] for i in found] for name, found in chosen.items()}
    answers = [
        m.recommend(u, k=5, exclude_seen=False, **c)
        for m, u, c in ((model, named, in_labels), (ids, some, chosen))
    ]
    assert_same_answer(*answers, items)
    assert_same_answer(
        model.rank_items(named, in_labels["items"]), ids.rank_items(some, chosen["items"]), items
    )
    assert_same_answer(model.similar_items([items[2], items[9]]), ids.similar_items([2, 9]), items)
    assert_same_answer(model.similar_items(items[2]), ids.similar_items(2), items)
    assert_same_answer(model.similar_users(named), ids.similar_users(some), users)
    np.testing.assert_array_equal(model.user_vectors(named), ids.user_vectors(some))


def test_lists_of_labels_for_each_user_are_the_mask(pair):
    model, ids, users, items = pair
    some = [3, 0, 29]
    named = [users[i] for i in some]
    sets = [[1, 2, 5, 11], [], [7, 3, 7]]
    in_labels = [[items[i] for i in row] for row in sets]
    mask = np.zeros((3, len(items)), dtype=bool)
    for row, chosen in enumerate(sets):
        mask[row, chosen] = True
    for argument in ("items", "filter_items"):
        expected = ids.recommend(some, k=5, **{argument: mask})
        for m, u, given in ((model, named, in_labels), (ids, some, sets)):
            given = copy.deepcopy(given)
            found = m.recommend(u, k=5, **{argument: given})
            assert given == (in_labels if m is model else sets)
            if m is model:
                assert_same_answer(found, expected, items)
            else:
                np.testing.assert_array_equal(found, expected)
    assert_same_answer(model.rank_items(named, in_labels), ids.rank_items(some, mask), items)
    new = [[items[4]], [items[2], items[5]]]
    found = model.recommend(named[:1], k=3, user_items=new, items=in_labels)
    assert_same_answer(
        found, ids.recommend(some[:1], 3, user_items=[[4], [2, 5]], items=mask), items
    )
    if not hasattr(model, "item_embedding_"):
        return
    queries = [2, 9, 4]
    found = model.similar_items([items[i] for i in queries], 3, items=in_labels)
    assert_same_answer(found, ids.similar_items(queries, 3, items=mask), items)
    by_user = np.zeros((2, len(users)), dtype=bool)
    by_user[0, [4, 8]] = by_user[1, 6] = True
    lists = [[users[4], users[8]], [users[6]]]
    found = model.recommend_users([items[2], items[9]], 3, users=lists)
    assert_same_answer(found, ids.recommend_users([2, 9], 3, users=by_user), users)
    with pytest.raises(KeyError, match=r"items\[1\] has 'unknown'"):
        model.recommend(named[:2], items=[[items[1]], ["unknown"]])
    with pytest.raises(ValueError, match=r"items\[1\] must be a list of labels of items; got str"):
        model.recommend(named[:2], items=[[items[1]], "unknown"])


def test_histories_are_lists_of_labels(pair):
    model, ids, users, items = pair
    named = [[items[i] for i in history] for history in HISTORIES]
    expected = ids.recommend(user_items=HISTORIES, k=4)
    assert_same_answer(model.recommend(user_items=named, k=4), expected, items)
    mapping = {f"new-{i}": history for i, history in enumerate(named)}
    assert_same_answer(model.recommend(user_items=mapping, k=4), expected, items)
    # Known users and new ones in one call.
    both = model.recommend([users[5]], k=4, user_items=mapping)
    known = ids.recommend([5], k=4)
    plain = np.vstack([known[0], expected[0]]), np.vstack([known[1], expected[1]])
    assert_same_answer(both, plain, items)


def test_a_frame_has_no_padding(pair):
    pytest.importorskip("pandas")
    model, ids, users, items = pair
    frame = model.recommend([users[2]], k=30, user_items={"x": [items[1], items[2]]}, as_frame=True)
    assert list(frame.columns) == ["user", "item", "rank", "score"]
    assert frame.user.tolist() == [users[2]] * sum(frame.user == users[2]) + ["x"] * sum(
        frame.user == "x"
    )
    found, scores = model.recommend([users[2]], k=30)
    own = frame[[user == users[2] for user in frame.user]]
    kept = np.isfinite(scores[0])
    assert own.item.tolist() == found[0][kept].tolist()
    assert own["rank"].tolist() == list(range(1, kept.sum() + 1))
    np.testing.assert_allclose(own.score, scores[0][kept], rtol=1e-5, atol=1e-6)
    assert ids.recommend([2], k=3, as_frame=True).user.tolist() == [2, 2, 2]


def test_unknown_labels_are_named(pair):
    model, ids, users, items = pair
    for call in (
        lambda: model.recommend(["nobody"]),
        lambda: model.recommend("nobody"),
        lambda: model.recommend(items=["nobody"]),
        lambda: model.recommend(filter_items=[items[0], "nobody"]),
        lambda: model.recommend(user_items=[[items[0], "nobody"]]),
        lambda: model.recommend(user_items={"x": ["nobody"]}),
        lambda: model.similar_items("nobody"),
        lambda: model.similar_users(["nobody"]),
        lambda: model.rank_items([users[0]], ["nobody"]),
        lambda: evaluate(model, TEST.with_labels(users, items), eval_users=["nobody"]),
    ):
        with pytest.raises(
            KeyError, match="'nobody', which is not one of the .* labels of the fit"
        ):
            call()
    with pytest.raises(IndexError):
        ids.recommend([N_USERS])


def test_a_label_is_never_taken_for_a_position():
    users, items = LABELS["int"]
    X = TRAIN.with_labels(users, items)
    model = clone(ESTIMATORS["mde"]).fit(X, item_features=FEATURES)
    with pytest.raises(KeyError, match="user_ids has 1000"):
        model.recommend([1000])
    with pytest.raises(KeyError, match="items has 3,"):  # labels of items begin at 7
        model.recommend(items=[3])
    answer = model.recommend(12, k=3)
    np.testing.assert_array_equal(answer[0], model.recommend(k=3)[0][users.index(12)])


def test_held_out_data_are_matched_by_label(pair):
    model, ids, users, items = pair
    expected = evaluate(ids, TEST, ("recall", "ndcg", "coverage"), 5)
    same = TEST.with_labels(users, items)
    assert evaluate(model, same, ("recall", "ndcg", "coverage"), 5) == expected
    order = np.random.default_rng(1)
    u, i = order.permutation(N_USERS), order.permutation(N_ITEMS)
    other = Interactions(
        np.argsort(u)[TEST.user],
        np.argsort(i)[TEST.item],
        timestamp=TEST.timestamp,
        n_users=N_USERS,
        n_items=N_ITEMS,
    ).with_labels([users[x] for x in u], [items[x] for x in i])
    assert evaluate(model, other, ("recall", "ndcg", "coverage"), 5) == expected
    assert model.score(other) == model.score(same) == ids.score(TEST)
    named = [users[x] for x in np.unique(TEST.user)[:5]]
    assert evaluate(model, other, "recall", 5, eval_users=named) == evaluate(
        ids, TEST, "recall", 5, eval_users=np.unique(TEST.user)[:5]
    )
    refit = clone(model).fit(
        TRAIN.with_labels(users, items), item_features=FEATURES, eval_set=other
    )
    assert (
        refit.validation_curve_
        == clone(ids).fit(TRAIN, item_features=FEATURES, eval_set=TEST).validation_curve_
    )


def test_unknown_users_and_items_of_held_out_data_are_counted(pair):
    model, ids, users, items = pair
    n = len(TEST)
    X = Interactions(
        np.append(TEST.user, [TEST.user[0], N_USERS]),
        np.append(TEST.item, [N_ITEMS, 0]),
        timestamp=np.append(TEST.timestamp, [n, n]),
    ).with_labels([*users, "unknown"], [*items, "new item"])
    with pytest.warns(UserWarning) as told:
        found = evaluate(model, X, "recall", 5)
    told = [str(warning.message) for warning in told]
    assert any("has 1 users that were not in the fit; their 1 interactions are" in t for t in told)
    assert any(
        "has 1 items that were not in the fit and count as never found: 1 of" in t for t in told
    )
    held_out = TEST.to_csr()
    per_user = {
        u: evaluate(ids, TEST, "recall", 5, eval_users=[u])["recall@5"]
        for u in np.flatnonzero(np.diff(held_out.indptr))
    }
    first = TEST.user[0]
    h = held_out[first].nnz
    per_user[first] *= h / (h + 1)
    assert found["recall@5"] == pytest.approx(np.mean(list(per_user.values())))


def test_files_and_pickles_keep_labels(pair, tmp_path):
    model, _, users, items = pair
    recsk.save(model, tmp_path / "model")
    for again in (recsk.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert again.users_.tolist() == users and again.items_.tolist() == items
        assert list(map(type, again.items_.tolist())) == list(map(type, items))
        np.testing.assert_array_equal(again.recommend()[0], model.recommend()[0])


def test_labels_that_a_file_cannot_hold_are_rejected(tmp_path):
    items = [frozenset([i]) for i in range(N_ITEMS)]
    model = clone(ESTIMATORS["mde"]).fit(TRAIN.with_labels(None, items), item_features=FEATURES)
    with pytest.raises(ValueError, match="items_ has the label frozenset.*a file can hold labels"):
        recsk.save(model, tmp_path / "model")


def test_searches_keep_labels(pair):
    model, ids, users, items = pair
    ordered = isinstance(model, MDSRecRecommender)
    cv = LeaveLastOut() if ordered else RandomHoldout(random_state=0)
    grids = [
        GridSearchCV(
            clone(m), {"n_factors": [2, 4]}, cv=cv, scoring=make_ranking_scorer("ndcg", 5)
        ).fit(X, item_features=FEATURES)
        for m, X in ((model, TRAIN.with_labels(users, items)), (ids, TRAIN))
    ]
    np.testing.assert_array_equal(*(g.cv_results_["mean_test_score"] for g in grids))
    assert grids[0].best_estimator_.recommend([users[1]], k=3)[0].dtype == object


def test_an_index_returns_labels(pair):
    pytest.importorskip("faiss")
    model, ids, _, items = pair
    users = {"k": 4}
    if hasattr(ids, "item_to_item_"):
        users["weights"] = ids.history_weights([1, 2])
    vectors = ids.user_vectors([1, 2])
    found = [each.to_ann().query(vectors, **users) for each in (model, ids)]
    assert_same_answer(*found, items)


def test_a_fit_on_ids_forgets_labels(pair):
    model, _, users, items = pair
    again = clone(model).fit(TRAIN.with_labels(users, items), item_features=FEATURES)
    again.fit(TRAIN, item_features=FEATURES)
    assert not hasattr(again, "items_")
    assert again.recommend([0], k=2)[0].dtype == np.int64


def test_one_side_may_have_labels():
    _, items = LABELS["str"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = clone(ESTIMATORS["mde"]).fit(TRAIN.with_labels(None, items), item_features=FEATURES)
    found, _ = model.recommend([0, 1], k=2)
    assert found.shape == (2, 2) and set(found.ravel()) <= set(items)
    assert model.similar_users([0], k=2)[0].dtype == np.int64


def test_labels_and_ids_never_mix(pair):
    """Equal sizes would be enough for figures that mean nothing."""
    model, ids, users, items = pair
    labelled = TEST.with_labels(users, items)
    for call in (evaluate, lambda m, X: m.score(X), lambda m, X: m.recommend(user_items=X)):
        with pytest.raises(ValueError, match="has ids of .*, but the model was fitted on labels"):
            call(model, TEST)
        with pytest.raises(ValueError, match="has labels of .*, but the model was fitted on ids"):
            call(ids, labelled)
    with pytest.raises(ValueError, match="eval_set has ids of users, but the model was fitted on"):
        clone(model).fit(TRAIN.with_labels(users, items), eval_set=TEST)


def test_a_mask_is_no_list_of_labels():
    users, items = list(range(N_USERS)), list(range(N_ITEMS))
    model = clone(ESTIMATORS["mde"]).fit(TRAIN.with_labels(users, items), item_features=FEATURES)
    mask = np.arange(N_ITEMS) % 2 == 0
    for name in ("items", "filter_items", "user_ids"):
        with pytest.raises(TypeError, match=f"{name} must be a list of labels of .*bool"):
            model.recommend(**{name: mask})


def test_new_users_beside_known_ones_have_names_of_their_own():
    pytest.importorskip("pandas")
    model = clone(ESTIMATORS["mde"]).fit(TRAIN, item_features=FEATURES)
    frame = model.recommend([0, 1], k=1, user_items=[[5], [6]], as_frame=True)
    assert frame["user"].tolist() == [0, 1, "user_items[0]", "user_items[1]"]


def test_a_history_with_an_unknown_item_is_named_by_its_key():
    users, items = LABELS["str"]
    model = clone(ESTIMATORS["mde"]).fit(TRAIN.with_labels(users, items), item_features=FEATURES)
    with pytest.raises(KeyError, match="user_items.'eve'. has 'x9'"):
        model.recommend(user_items={"bob": [items[0]], "eve": ["x9"]})


def test_dates_are_labels():
    pd = pytest.importorskip("pandas")
    days = pd.date_range("2024-01-01", periods=4)
    X = Interactions.from_frame({"user": [1, 1, 2, 2, 3], "item": days[[0, 1, 1, 2, 3]]})
    model = MDERecommender(n_factors=2, max_epochs=1, random_state=0).fit(X)
    assert model.similar_items(pd.Timestamp("2024-01-02"), k=2)[0][0] in days
    found, _ = model.recommend([1], k=1, items=[days[3]])
    assert found[0, 0] == days[3]


def test_an_unfitted_model_is_told():
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        evaluate(MDERecommender(), TEST)


def test_a_log_that_is_read_as_a_matrix_is_told():
    pd = pytest.importorskip("pandas")
    log = pd.DataFrame({"account_id": np.arange(1000) % 7, "game_id": np.arange(1000) % 11})
    with pytest.warns(UserWarning, match="matrix of 1000 users x 2 items. If its rows are inter"):
        MDERecommender(n_factors=2, max_epochs=1, random_state=0).fit(log)


def test_a_matrix_is_in_the_order_of_the_labels(pair):
    model, ids, _, _ = pair
    matrix = TEST.to_csr()
    if isinstance(model, MDSRecRecommender):
        matrix = matrix.multiply(np.arange(1, N_ITEMS + 1)).tocsr()  # an order of its own
    assert model.score(matrix) == ids.score(matrix)
    assert evaluate(model, matrix, "recall", 5) == evaluate(ids, matrix, "recall", 5)


@pytest.mark.parametrize("kind", [np.array, list, pd.Series], ids=["array", "list", "series"])
def test_a_mask_of_all_items_has_a_cure(kind):
    """Of strings too, among which no mask is mistaken for labels."""
    users, items = [f"u{i}" for i in range(N_USERS)], [f"i{i}" for i in range(N_ITEMS)]
    labelled = clone(ESTIMATORS["mde"]).fit(TRAIN.with_labels(users, items), item_features=FEATURES)
    with_ids = clone(ESTIMATORS["mde"]).fit(TRAIN, item_features=FEATURES)
    mask = kind(np.arange(N_ITEMS) < 3)
    for model, cure in ((labelled, r"model.items_\[mask\]"), (with_ids, r"np.flatnonzero\(mask\)")):
        for name in ("items", "filter_items"):
            with pytest.raises(TypeError, match=f"^{name} must be .*mask.*{cure}, or a mask of 2"):
                model.recommend(**{name: mask})
        with pytest.raises(TypeError, match=f"must be .* got a mask, .* pass {cure}$"):
            model.similar_items(mask)
    chosen = labelled.recommend(items=labelled.items_[np.array(mask)], k=3)[0]
    assert set(chosen.ravel()) <= {*items[:3], None}
