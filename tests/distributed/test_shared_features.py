"""Searches on a cluster of two local processes."""

import copy
import os
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.distributed import SharedFeatures
from recsk.model_selection import LeaveLastOut, RandomHoldout, make_ranking_scorer
from tests.contract.suite import FEATURES, TRAIN

NDCG = make_ranking_scorer("ndcg", k=10)
PARAMS = {"n_factors": 4, "max_epochs": 2, "learning_rate": 0.02, "random_state": 0}


class LoggedArray:
    """An array that logs the process that unpickles it."""

    def __init__(self, array, log):
        self.array, self.log = array, log

    def __array__(self, dtype=None, copy=None):
        return self.array

    def __reduce__(self):
        return unpickle_logged, (self.array, self.log)


def unpickle_logged(array, log):
    with open(log, "a") as file:
        file.write(f"{os.getpid()}\n")
    return LoggedArray(array, log)


class LoggedInteractions(Interactions):
    """Interactions that log the process that unpickles them."""

    def __setstate__(self, state):
        super().__setstate__(state)
        with open(self.log, "a") as file:
            file.write(f"{os.getpid()}\n")


def make_logged_interactions(X, log):
    log.touch()
    X = LoggedInteractions(
        X.user, X.item, timestamp=X.timestamp, n_users=X.n_users, n_items=X.n_items
    )
    X.log = str(log)
    return X


def read_pids(log):
    return [int(line) for line in log.read_text().split()]


def make_logged_features(log):
    log.touch()
    return {name: LoggedArray(array, log) for name, array in FEATURES.items()}


SEARCHES = {
    "mde": (
        MDERecommender(**PARAMS, device="cpu"),
        {"alpha": [0.0, 0.1], "beta": [0.0, 0.1], "reg_lambda": [1e-4, 0.1]},
        RandomHoldout(n_splits=2, random_state=0),
    ),
    "mdsrec": (
        MDSRecRecommender(**PARAMS, n_interests=3, device="cpu"),
        {"n_neighbors": [2, 5], "recent_weight": [0.5, 1.0]},
        LeaveLastOut(n_splits=2),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_on_a_cluster_gives_the_results_of_a_local_search(name, client, tmp_path):
    est, grid, cv = SEARCHES[name]
    options = {"cv": cv, "scoring": NDCG, "error_score": "raise"}
    local = GridSearchCV(est, grid, **options).fit(TRAIN, item_features=FEATURES)
    log = tmp_path / "log"
    shared = SharedFeatures.scatter(make_logged_features(log), client)
    with joblib.parallel_config("dask"):
        search = GridSearchCV(est, grid, n_jobs=-1, **options)
        search.fit(make_logged_interactions(TRAIN, tmp_path / "X"), item_features=shared)
    assert search.cv_results_.keys() == local.cv_results_.keys()
    for key, values in local.cv_results_.items():
        if "time" not in key:
            np.testing.assert_array_equal(search.cv_results_[key], values, err_msg=key)
    np.testing.assert_array_equal(
        search.best_estimator_.recommend(k=5)[0], local.best_estimator_.recommend(k=5)[0]
    )
    # Each worker fetched both modalities once for all its fits.
    workers = read_pids(log)
    assert set(map(workers.count, workers)) == {len(FEATURES)} and os.getpid() not in workers
    assert len(set(workers)) <= 2
    # The interactions are large enough to be sent at most once to each worker too. Subsets of
    # them have no log.
    X_in_workers = [pid for pid in read_pids(tmp_path / "X") if pid in workers]
    assert 0 < len(X_in_workers) == len(set(X_in_workers))


def test_only_handles_are_pickled_and_fetched_once(tmp_path):
    log = tmp_path / "log"
    local = SharedFeatures({"v": str(log)}, record, local={"v": np.ones(1000)})
    assert len(pickle.dumps(local)) < 1000
    np.testing.assert_array_equal(local["v"], np.ones(1000))
    assert not log.exists()
    shared = SharedFeatures({"v": str(log)}, record)
    for _ in range(3):
        again = pickle.loads(pickle.dumps(shared))
        assert again["v"] == "fetched"
        assert dict(again) == {"v": "fetched"} and len(again) == 1
    assert log.read_text() == "x"  # all copies are the same features, fetched once
    assert pickle.loads(pickle.dumps(SharedFeatures({"v": str(log)}, record)))["v"] == "fetched"
    assert log.read_text() == "xx"
    assert shared["v"] == "fetched"
    assert log.read_text() == "xxx"  # only the features used last are kept
    assert repr(shared) == "SharedFeatures(['v'])"


def record(path):
    with open(path, "a") as file:
        file.write("x")
    return "fetched"


def test_concurrent_threads_fetch_once(tmp_path):
    shared = SharedFeatures({"v": str(tmp_path / "log")}, record_slowly)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(shared.__getitem__, ["v"] * 8)) == {"fetched"}
    assert (tmp_path / "log").read_text() == "x"


def record_slowly(path):
    time.sleep(0.05)
    return record(path)


def test_copies_keep_the_local_arrays():
    shared = SharedFeatures({"v": 0, "t": 1}, None, local={"t": np.ones(2), "v": np.ones(1)})
    for copied in (copy.copy(shared), copy.deepcopy(shared)):
        assert len(copied["v"]) == 1
    assert shared == shared and shared != SharedFeatures({"v": 0, "t": 1})
    assert len({shared}) == 1


def sum_features(features):
    return float(np.sum(features["v"]))


@pytest.mark.slow
def test_features_that_the_cluster_lost_raise_an_error(client):
    shared = SharedFeatures.scatter(FEATURES, client)
    expected = pytest.approx(sum_features(FEATURES))
    assert client.submit(sum_features, shared, pure=False).result(60) == expected
    assert sum_features(pickle.loads(pickle.dumps(shared))) == expected
    client.restart()
    with pytest.raises(RuntimeError, match="no longer holds these item features"):
        client.submit(sum_features, shared, pure=False).result(60)


def test_different_names_are_rejected():
    with pytest.raises(ValueError, match=r"local must have the names of handles, \['v'\]; got"):
        SharedFeatures({"v": 0}, local={"t": 0})


def test_getsizeof_interactions_is_the_size_of_their_columns():
    n = 10_000
    X = Interactions(np.zeros(n, int), np.zeros(n, int), timestamp=np.arange(n))
    assert 3 * 8 * n <= sys.getsizeof(X) < 3 * 8 * n + 1000
