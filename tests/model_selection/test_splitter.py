"""What all splitters have in common."""

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import check_cv, cross_val_score

from recsk import Interactions
from recsk.metrics import evaluate
from recsk.metrics.evaluation import METRICS
from recsk.model_selection import (
    InteractionKFold,
    LeaveLastOut,
    PredefinedInteractionSplit,
    RandomHoldout,
    TemporalSplit,
)
from tests.model_selection.popularity import Popularity

SPLITTERS = [
    RandomHoldout(random_state=0),
    RandomHoldout(n_splits=3, test_size=0.5, random_state=0),
    LeaveLastOut(),
    LeaveLastOut(n_splits=3, n_last=2),
    TemporalSplit(),
    TemporalSplit(n_splits=3, test_size=0.2),
    InteractionKFold(random_state=0),
    InteractionKFold(n_splits=2, random_state=0),
    PredefinedInteractionSplit(np.arange(800) % 4 - 1),
]


@pytest.mark.parametrize("cv", SPLITTERS, ids=lambda cv: f"{type(cv).__name__}-{cv.get_n_splits()}")
class TestEverySplitter:
    def test_train_and_test_indices_are_disjoint_and_ascending(self, cv, interactions):
        splits = list(cv.split(interactions))
        assert len(splits) == cv.get_n_splits(interactions)
        for train, test in splits:
            assert train.dtype.kind == test.dtype.kind == "i"
            assert (np.diff(train) > 0).all() and (np.diff(test) > 0).all()
            assert not np.intersect1d(train, test).size and test.size
            assert set(interactions.user[test]) <= set(interactions.user[train])

    def test_a_second_call_gives_the_same_splits(self, cv, interactions):
        for a, b in zip(cv.split(interactions), cv.split(interactions), strict=True):
            np.testing.assert_array_equal(a[0], b[0])
            np.testing.assert_array_equal(a[1], b[1])

    def test_the_only_interaction_of_a_user_is_never_in_a_test_set(self, cv):
        # 790 interactions of one user and one of each of ten others, at random times.
        user = np.r_[np.zeros(790, int), np.arange(1, 11)]
        time = np.random.default_rng(0).permutation(800)
        X = Interactions(user, np.arange(800), timestamp=time)
        for _, test in cv.split(X):
            assert not X.user[test].any()

    def test_it_works_in_scikit_learn(self, cv, interactions):
        assert check_cv(cv) is cv
        copy = clone(cv)
        assert copy is not cv and repr(copy) == repr(cv)
        pickle.loads(pickle.dumps(cv))
        scores = cross_val_score(Popularity(), interactions, cv=cv, error_score="raise")
        assert len(scores) == cv.get_n_splits() and (scores > 0).all()

    @pytest.mark.parametrize("matrix", [sparse.csr_array((3, 4)), np.zeros((3, 4)), [[1]]])
    def test_a_matrix_is_rejected_with_the_code_that_converts_it(self, cv, matrix):
        with pytest.raises(TypeError, match=r"pass Interactions\.from_csr\(.*\) in place") as error:
            cv.split(matrix)
        needs_time = isinstance(cv, (LeaveLastOut, TemporalSplit))
        assert ("from_csr(X, values_as='timestamp')" in str(error.value)) == needs_time

    def test_an_empty_test_set_is_an_error(self, cv):
        X = Interactions(np.arange(800), np.zeros(800, int), timestamp=np.arange(800))
        with pytest.raises(ValueError, match="leaves nothing to test"):
            next(cv.split(X))


@pytest.mark.parametrize("cv", [LeaveLastOut(), TemporalSplit()])
def test_splits_by_time_need_timestamps(cv):
    with pytest.raises(ValueError, match=r"needs timestamps.*values_as='timestamp'"):
        next(cv.split(Interactions([0, 0], [0, 1])))


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (RandomHoldout(test_size=1.0), "'test_size' parameter of RandomHoldout"),
        (RandomHoldout(n_splits=0), "'n_splits' parameter of RandomHoldout"),
        (InteractionKFold(1), "'n_splits' parameter of InteractionKFold"),
        (LeaveLastOut(n_last=0), "'n_last' parameter of LeaveLastOut"),
        (TemporalSplit(test_size=-1), "'test_size' parameter of TemporalSplit"),
    ],
)
def test_parameters_out_of_range_are_rejected(cv, message, interactions):
    with pytest.raises(ValueError, match=message):
        cv.split(interactions)


@pytest.mark.realdata
def test_popularity_has_plausible_recall_on_real_data(real_data):
    data = real_data("ml100k")
    X = Interactions(data["user"], data["item"], timestamp=data["timestamp"])
    for cv in (RandomHoldout(random_state=0), LeaveLastOut(), TemporalSplit()):
        train, test = next(cv.split(X))
        values = evaluate(Popularity().fit(X[train]), X[test], METRICS, k=(5, 10, 20))
        assert 0.01 < values["recall@20"] < 0.5 and values["recall@5"] < values["recall@20"]
