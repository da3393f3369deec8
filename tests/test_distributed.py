"""Searches on a cluster, here one of two processes on this machine."""

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
from tests.contract import FEATURES, TRAIN

NDCG = make_ranking_scorer("ndcg", k=10)
PARAMS = {"n_factors": 4, "max_epochs": 2, "learning_rate": 0.02, "random_state": 0}


class Parcel:
    """An array that writes down the process where it is unpacked."""

    def __init__(self, array, log):
        self.array, self.log = array, log

    def __array__(self, dtype=None, copy=None):
        return self.array

    def __reduce__(self):
        return unpack, (self.array, self.log)


def unpack(array, log):
    with open(log, "a") as file:
        file.write(f"{os.getpid()}\n")
    return Parcel(array, log)


class Travelling(Interactions):
    """Interactions that write down the process where they are unpacked."""

    def __setstate__(self, state):
        super().__setstate__(state)
        with open(self.log, "a") as file:
            file.write(f"{os.getpid()}\n")


def travelling(X, log):
    log.touch()
    X = Travelling(X.user, X.item, timestamp=X.timestamp, n_users=X.n_users, n_items=X.n_items)
    X.log = str(log)
    return X


def unpacked(log):
    return [int(line) for line in log.read_text().split()]


def parcels(log):
    log.touch()
    return {name: Parcel(array, log) for name, array in FEATURES.items()}


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


SEARCHES = {
    "mde": (
        MDERecommender(**PARAMS, device="cpu"),
        {"alpha": [0.0, 0.1], "beta": [0.0, 0.1], "reg_lambda": [1e-4, 0.1]},
        RandomHoldout(n_splits=2, random_state=0),
    ),
    "mdsrec": (
        MDSRecRecommender(**PARAMS, n_interests=3, device="cpu"),
        {"n_neighbors": [2, 5], "tau": [0.5, 1.0]},
        LeaveLastOut(n_splits=2),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_on_a_cluster_is_the_search_in_turn(name, client, tmp_path):
    est, grid, cv = SEARCHES[name]
    options = {"cv": cv, "scoring": NDCG, "error_score": "raise"}
    alone = GridSearchCV(est, grid, **options).fit(TRAIN, item_features=FEATURES)
    log = tmp_path / "log"
    shared = SharedFeatures.scatter(parcels(log), client)
    with joblib.parallel_config("dask"):
        search = GridSearchCV(est, grid, n_jobs=-1, **options)
        search.fit(travelling(TRAIN, tmp_path / "X"), item_features=shared)
    assert search.cv_results_.keys() == alone.cv_results_.keys()
    for key, values in alone.cv_results_.items():
        if "time" not in key:
            np.testing.assert_array_equal(search.cv_results_[key], values, err_msg=key)
    np.testing.assert_array_equal(
        search.best_estimator_.recommend(k=5)[0], alone.best_estimator_.recommend(k=5)[0]
    )
    # Both modalities once in each worker, however many fits there are.
    workers = unpacked(log)
    assert set(map(workers.count, workers)) == {len(FEATURES)} and os.getpid() not in workers
    assert len(set(workers)) <= 2
    # The interactions, which are large enough, at most once too; a subset has no log.
    X_in_workers = [pid for pid in unpacked(tmp_path / "X") if pid in workers]
    assert 0 < len(X_in_workers) == len(set(X_in_workers))


def test_only_handles_are_pickled(tmp_path):
    log = tmp_path / "log"
    at_hand = SharedFeatures({"v": str(log)}, record, local={"v": np.ones(1000)})
    assert len(pickle.dumps(at_hand)) < 1000
    np.testing.assert_array_equal(at_hand["v"], np.ones(1000))
    assert not log.exists()
    calls = SharedFeatures({"v": str(log)}, record)
    for _ in range(3):
        again = pickle.loads(pickle.dumps(calls))
        assert again["v"] == "fetched"
        assert dict(again) == {"v": "fetched"} and len(again) == 1
    assert log.read_text() == "x"  # all of them are the same, fetched once
    assert pickle.loads(pickle.dumps(SharedFeatures({"v": str(log)}, record)))["v"] == "fetched"
    assert log.read_text() == "xx"
    assert calls["v"] == "fetched" and log.read_text() == "xxx"  # only the last ones are kept
    assert repr(calls) == "SharedFeatures(['v'])"


def record(path):
    with open(path, "a") as file:
        file.write("x")
    return "fetched"


def test_threads_that_ask_at_once_fetch_once(tmp_path):
    shared = SharedFeatures({"v": str(tmp_path / "log")}, record_slowly)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(shared.__getitem__, ["v"] * 8)) == {"fetched"}
    assert (tmp_path / "log").read_text() == "x"


def record_slowly(path):
    time.sleep(0.05)
    return record(path)


def test_copies_keep_what_is_at_hand():
    shared = SharedFeatures({"v": 0, "t": 1}, None, local={"t": np.ones(2), "v": np.ones(1)})
    for copied in (copy.copy(shared), copy.deepcopy(shared)):
        assert len(copied["v"]) == 1
    assert shared == shared and shared != SharedFeatures({"v": 0, "t": 1})
    assert len({shared}) == 1


def total(features):
    return float(np.sum(features["v"]))


@pytest.mark.slow
def test_features_that_the_cluster_lost_are_missed_and_said_to_be(client):
    shared = SharedFeatures.scatter(FEATURES, client)
    assert client.submit(total, shared, pure=False).result(60) == pytest.approx(total(FEATURES))
    assert total(pickle.loads(pickle.dumps(shared))) == pytest.approx(total(FEATURES))
    client.restart()
    with pytest.raises(RuntimeError, match="no longer holds these item features"):
        client.submit(total, shared, pure=False).result(60)


def test_names_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"local must have the names of handles, \['v'\]; got"):
        SharedFeatures({"v": 0}, local={"t": 0})


def test_the_size_of_interactions_is_that_of_their_columns():
    n = 10_000
    X = Interactions(np.zeros(n, int), np.zeros(n, int), timestamp=np.arange(n))
    assert 3 * 8 * n <= sys.getsizeof(X) < 3 * 8 * n + 1000
