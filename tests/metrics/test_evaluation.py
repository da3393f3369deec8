import sys
import warnings

import numpy as np
import pytest
from scipy import sparse

from recsk import Interactions, metrics
from recsk.metrics import evaluate, evaluation
from tests.metrics.cases import RANKED, TRUTH, FixedRecommender


def test_evaluate_orders_keys_and_calls_recommend_once_per_batch(monkeypatch):
    monkeypatch.setattr(evaluation, "_BATCH_USERS", 2)
    est = FixedRecommender(RANKED)
    values = evaluate(est, TRUTH, ("ndcg", "recall"), (3, 1), exclude_seen=False)
    assert list(values) == ["ndcg@3", "ndcg@1", "recall@3", "recall@1"]
    assert all(type(value) is float for value in values.values())
    assert est.calls == [([0, 1], 3, False), ([3], 3, False)]
    for cutoffs in (np.array([3, 1]), range(3, 0, -2)):
        again = evaluate(FixedRecommender(RANKED), TRUTH, ("ndcg", "recall"), cutoffs)
        assert again == values


def test_eval_users_restrict_the_evaluation():
    est = FixedRecommender(RANKED)
    values = evaluate(est, TRUTH, "recall", 3, eval_users=[2, 1, 1])
    assert values == {"recall@3": 1.0}
    assert est.calls == [([1], 3, True)]


def test_all_forms_of_X_test_give_the_same_values():
    coo = TRUTH.tocoo()
    repeated = sparse.coo_array(
        (
            np.r_[coo.data, coo.data, 0],
            (np.r_[coo.row, coo.row, 2], np.r_[coo.col, coo.col, 3]),
        ),
        shape=coo.shape,
    )
    expected = evaluate(FixedRecommender(RANKED), TRUTH, k=3)
    for truth in (
        TRUTH.tocsc(),
        sparse.csr_matrix(TRUTH),
        repeated,
        Interactions.from_csr(TRUTH),
        Interactions(coo.row, coo.col, n_users=4, n_items=6),
    ):
        assert evaluate(FixedRecommender(RANKED), truth, k=3) == expected


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"metrics": "auc"}, ValueError, "metrics must be one of recall, ndcg.*got 'auc'"),
        ({"metrics": ()}, ValueError, "metrics and k must not be empty"),
        ({"k": 0}, ValueError, "k must be 1 or more; got 0"),
        ({"k": (5, 2.5)}, TypeError, r"k must be an int; got 2\.5"),
        ({"k": 2**70}, ValueError, "k must be at most"),
        ({"metrics": None}, ValueError, "metrics must be one of recall, ndcg.*got None"),
        ({"eval_users": [4]}, IndexError, "eval_users has 4, but X_test has users 0 to 3"),
        ({"eval_users": [0.5]}, TypeError, "eval_users must be 1-D and hold integers"),
        ({"eval_users": [2]}, ValueError, "no user to evaluate has a held-out item"),
        ({"X_test": sparse.csr_array((4, 6))}, ValueError, "no user to evaluate"),
        ({"X_test": TRUTH.toarray()}, TypeError, "X_test must be a scipy sparse matrix"),
        ({"est": object()}, TypeError, "est must have a method recommend.*got object"),
    ],
)
def test_wrong_arguments_are_rejected(change, error, message):
    arguments = {"est": FixedRecommender(RANKED), "X_test": TRUTH, "k": 3}
    with pytest.raises(error, match=message):
        evaluate(**(arguments | change))


def test_another_number_of_items_than_in_training_is_rejected():
    est = FixedRecommender(RANKED)
    est.n_features_in_ = 7
    with pytest.raises(ValueError, match="has 6 items, but FixedRecommender was fitted on 7"):
        evaluate(est, TRUTH, k=3)


def test_held_out_interactions_that_are_in_training_are_counted():
    est = FixedRecommender(RANKED)
    # Two pairs of TRUTH, (0, 2) and (3, 4), among others; the users of TRUTH may be fewer.
    est.interactions_ = sparse.csr_matrix(
        [[1, 0, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0], [1] * 6, [0, 0, 0, 0, 1, 1], [1] * 6]
    )
    est.n_users_ = 5
    X_test = Interactions.from_csr(TRUTH)
    for users, n_repeats, n_held_out in ((None, 2, 5), ([0, 1], 1, 4), ([3], 1, 1)):
        message = f"^{n_repeats} of the {n_held_out} held-out interactions are in training too"
        with pytest.warns(UserWarning, match=message) as caught:
            evaluate(est, X_test, k=(1, 3), eval_users=users)
        assert len(caught) == 1 and caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(est, X_test, k=3, eval_users=[1])
        evaluate(est, X_test, k=3, exclude_seen=False)


def test_values_by_user_are_the_terms_of_the_mean():
    names = ("ndcg", "recall")
    values = evaluate(FixedRecommender(RANKED), TRUTH, names, (3, 1), per_user=True)
    assert list(values) == ["user", "ndcg@3", "ndcg@1", "recall@3", "recall@1"]
    assert values["user"].tolist() == [0, 1, 3]
    np.testing.assert_allclose(values["recall@3"], [2 / 3, 1, 0])
    means = evaluate(FixedRecommender(RANKED), TRUTH, names, (3, 1))
    assert {name: values[name].mean() for name in means} == means
    frame = evaluate(FixedRecommender(RANKED), TRUTH, names, (3, 1), per_user=True, as_frame=True)
    assert frame.index.name == "user" and frame.index.tolist() == [0, 1, 3]
    assert {name: column.tolist() for name, column in frame.items()} == {
        name: values[name].tolist() for name in means
    }


def test_a_frame_has_standard_errors_and_numbers_of_users():
    names = ["recall", "popularity_shift", "coverage"]
    train = sparse.csr_array([[1, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [1] * 6, [0] * 6])
    arguments = {"metrics": names, "k": (3, 1), "X_train": train}
    frame = evaluate(FixedRecommender(RANKED), TRUTH, **arguments, as_frame=True)
    assert frame.columns.tolist() == ["metric", "k", "mean", "standard_error", "n_users"]
    assert frame["metric"].tolist() == [name for name in names for _ in range(2)]
    assert frame["k"].tolist() == [3, 1] * 3
    assert frame["mean"].tolist() == list(
        evaluate(FixedRecommender(RANKED), TRUTH, **arguments).values()
    )
    assert frame["n_users"].tolist() == [3, 3, 2, 2, 3, 3]  # user 3 has no history
    recall = np.array([2 / 3, 1, 0])
    assert frame["standard_error"][0] == pytest.approx(recall.std(ddof=1) / np.sqrt(3))
    assert frame["standard_error"].isna().tolist() == [False] * 4 + [True] * 2
    one = evaluate(FixedRecommender(RANKED), TRUTH, "recall", 3, [1], as_frame=True)
    assert one["n_users"][0] == 1 and np.isnan(one["standard_error"][0])


def test_values_by_user_have_labels_where_the_model_speaks_labels():
    est = FixedRecommender(RANKED)
    est.users_, est.items_ = np.array(list("wxyz")), np.arange(6) * 10
    X_test = Interactions.from_csr(TRUTH).with_labels(est.users_, est.items_)
    values = evaluate(est, X_test, "recall", 3, per_user=True)
    assert values["user"].tolist() == ["w", "x", "z"]
    frame = evaluate(est, X_test, "recall", 3, ["z", "x"], per_user=True, as_frame=True)
    assert frame.index.tolist() == ["x", "z"] and frame["recall@3"].tolist() == [1, 0]


@pytest.mark.parametrize("name", ["novelty", "popularity", "popularity_shift", "new_items"])
def test_metrics_beyond_accuracy_read_the_training_interactions(name, monkeypatch):
    train = sparse.csr_array([[1, 0, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0], [1] * 6, [0, 0, 1, 1, 0, 0]])
    function = getattr(metrics, f"{name}_at_k")
    evaluated = [0, 1, 3]
    users = {"users": evaluated} if name == "popularity_shift" else {}
    expected = [function(RANKED[evaluated], train, k, **users) for k in (3, 1)]
    for given in (None, train, Interactions.from_csr(train)):
        est = FixedRecommender(RANKED)
        if given is None:
            est.interactions_ = sparse.csr_matrix(train) * 2.5
        monkeypatch.setattr(evaluation, "_BATCH_USERS", 2)
        values = evaluate(est, TRUTH, name, (3, 1), exclude_seen=False, X_train=given)
        np.testing.assert_allclose(list(values.values()), expected)
    with pytest.raises(TypeError, match=f"^{name} needs the training.* FixedRecommender has no"):
        evaluate(FixedRecommender(RANKED), TRUTH, name, 3)


def test_training_interactions_are_matched_by_label():
    est = FixedRecommender(RANKED)
    est.users_, est.items_ = np.array(list("wxyz")), np.array(list("abcdef"))
    X_test = Interactions.from_csr(TRUTH).with_labels(est.users_, est.items_)
    user, item = np.array([0, 0, 1, 2, 3]), np.array([0, 2, 1, 3, 5])
    train = Interactions(user, item, n_users=4, n_items=6).with_labels(est.users_, est.items_)
    expected = evaluate(est, X_test, "popularity_shift", 3, X_train=train)
    other = Interactions(3 - user, 5 - item, n_users=4, n_items=6)
    other = other.with_labels(est.users_[::-1], est.items_[::-1])
    assert evaluate(est, X_test, "popularity_shift", 3, X_train=other) == pytest.approx(expected)
    strangers = other.with_labels(["new", "z", "y", "x"], est.items_)
    with pytest.raises(ValueError, match="X_train has users that the model was not fitted on"):
        evaluate(est, X_test, "novelty", 3, X_train=strangers)
    unknown = other.with_labels(est.users_, [*"abcde", "new"])
    with pytest.raises(ValueError, match="X_train must have the users and items of the model"):
        evaluate(est, X_test, "novelty", 3, X_train=unknown)
    with pytest.raises(ValueError, match="X_train has ids of users, but the model was fitted on"):
        evaluate(est, X_test, "novelty", 3, X_train=other.without_labels())


@pytest.mark.filterwarnings("ignore:3 of the 3 users to evaluate have no interaction in training")
def test_items_that_are_new_since_the_fit_have_no_users():
    est = FixedRecommender(RANKED)
    est.interactions_, est.n_features_in_ = sparse.csr_matrix((4, 4), dtype="f4"), 6
    assert evaluate(est, TRUTH, "new_items", 3, exclude_seen=False) == {"new_items@3": 1}


@pytest.mark.parametrize("name", ["gini", "coverage"])
def test_metrics_of_all_lists_have_no_values_by_user(name):
    with pytest.raises(ValueError, match=f"metrics has '{name}', which measures all lists"):
        evaluate(FixedRecommender(RANKED), TRUTH, ["recall", name], 3, per_user=True)


def test_without_pandas_a_frame_is_an_import_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="as_frame=True needs pandas: pip install pandas"):
        evaluate(FixedRecommender(RANKED), TRUTH, "recall", 3, as_frame=True)
