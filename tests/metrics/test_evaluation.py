import warnings

import numpy as np
import pytest
from scipy import sparse

from recsk import Interactions
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
