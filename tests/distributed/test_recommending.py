"""Lists for the users of a Dask data frame, on a cluster of two local processes."""

import os

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from recsk import Interactions, MDERecommender
from recsk.baselines import ItemKNNRecommender, PopularRecommender
from recsk.distributed import recommend
from tests.contract.suite import FEATURES, TRAIN

dd = pytest.importorskip("dask.dataframe")
pytest.importorskip("distributed")


def shop(labels):
    rng = np.random.default_rng(0)
    user, item = rng.integers(60, size=900), rng.integers(40, size=900)
    if labels:
        user, item = np.char.add("u", user.astype(str)), np.char.add("i", item.astype(str))
    return Interactions.from_frame(
        pd.DataFrame({"user": user, "item": item}).drop_duplicates(), user="user", item="item"
    )


class LoggedModel(ItemKNNRecommender):
    """A recommender that logs the process that unpickles it."""

    def __setstate__(self, state):
        super().__setstate__(state)
        with open(self.log, "a") as file:
            file.write(f"{os.getpid()}\n")


def frame_of(users, n=7):
    return dd.from_pandas(pd.DataFrame({"user": users, "other": 0}), npartitions=n)


@pytest.mark.slow
@pytest.mark.parametrize("labels", [False, True])
def test_lists_of_partitions_are_those_of_one_call(labels, client):
    X = shop(labels)
    model = ItemKNNRecommender().fit(X if labels else X.to_csr())
    users = model.users_ if labels else np.arange(60)
    lists = recommend(model, frame_of(users), 5, column="user", items=model_items(model)[:30])
    expected = model.recommend(users, 5, items=model_items(model)[:30], as_frame=True)
    found = lists.compute().reset_index(drop=True)
    assert list(lists.dtypes) == list(found.dtypes) == list(lists._meta.dtypes)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def model_items(model):
    return getattr(model, "items_", np.arange(model.n_features_in_))


@pytest.mark.slow
def test_a_network_answers_on_a_cluster(client):
    model = MDERecommender(n_factors=4, max_epochs=2, device="cpu", random_state=0)
    model.fit(TRAIN, item_features=FEATURES)
    users = np.arange(model.n_users_)
    found = recommend(model, frame_of(users, 3), 4, column="user").compute()
    expected = model.recommend(users, 4, as_frame=True)
    np.testing.assert_array_equal(found[["user", "item"]], expected[["user", "item"]])
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-6)


@pytest.mark.slow
def test_each_worker_gets_the_model_once(client, tmp_path):
    model = LoggedModel().fit(shop(True))
    model.log = str(tmp_path / "log")
    lists = recommend(model, frame_of(model.users_, 12), 3, column="user", client=client)
    assert lists.npartitions == 12
    lists.to_parquet(tmp_path / "lists")
    pids = [int(line) for line in (tmp_path / "log").read_text().split()]
    workers = set(client.run(os.getpid).values())
    # The scheduler's process may be this one; no worker has read it twice.
    in_workers = [pid for pid in pids if pid in workers]
    assert 0 < len(in_workers) == len(set(in_workers))


@pytest.mark.slow
def test_results_are_written_by_partition(client, tmp_path):
    model = PopularRecommender().fit(shop(True))
    recommend(model, frame_of(model.users_, 4)["user"], 3).to_parquet(tmp_path / "lists")
    assert len(list((tmp_path / "lists").glob("*.parquet"))) == 4
    read = pd.read_parquet(tmp_path / "lists").sort_values(["user", "rank"])
    expected = model.recommend(None, 3, as_frame=True).sort_values(["user", "rank"])
    assert read["item"].tolist() == expected["item"].tolist()


@pytest.mark.slow
def test_empty_partitions_and_a_single_column(client):
    model = PopularRecommender().fit(shop(True))
    users = frame_of(model.users_, 3)[["user"]]
    some = users[users["user"] == model.users_[0]]
    assert recommend(model, some, 2).compute()["rank"].tolist() == [1, 2]


@pytest.fixture
def no_cluster(monkeypatch):
    import distributed

    def absent():
        raise ValueError("no client")

    monkeypatch.setattr(distributed, "default_client", absent)


def test_without_a_cluster_the_lists_are_made_here(no_cluster):
    model = PopularRecommender().fit(shop(False).to_csr())
    found = recommend(model, frame_of(np.arange(6), 2)["user"], 2).compute(scheduler="sync")
    assert found["user"].tolist() == np.repeat(np.arange(6), 2).tolist()


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_categorical_users_keep_their_names(labels, known, no_cluster):
    X = shop(labels)
    model = PopularRecommender().fit(X if labels else X.to_csr())
    asked = list(model.users_[[3, 1, 3, 20]]) if labels else [3, 1, 3, 20]
    users = dd.from_pandas(pd.DataFrame({"user": asked}), npartitions=2)["user"].astype("category")
    lists = recommend(model, users.cat.as_known() if known else users, 2)
    found = lists.compute(scheduler="sync")
    assert found["user"].tolist() == [user for user in asked for _ in range(2)]
    assert found["user"].dtype == lists["user"].dtype


@pytest.mark.parametrize("labels", [False, True])
def test_missing_users_are_named(labels, no_cluster):
    X = shop(labels)
    model = PopularRecommender().fit(X if labels else X.to_csr())
    users = frame_of(["u1", None, "u2"] if labels else [1, None, 2], 1)
    with pytest.raises(ValueError, match=r"1 of the 3 in this partition.*dropna\(\)"):
        recommend(model, users, 2, column="user").compute(scheduler="sync")


def test_errors_name_the_cure(no_cluster):
    model = PopularRecommender().fit(shop(False).to_csr())
    users = frame_of(np.arange(6), 2)
    with pytest.raises(TypeError, match="Dask data frame"):
        recommend(model, pd.DataFrame({"user": [0]}))
    with pytest.raises(ValueError, match=r"column must be .*'user', 'other'.*got None"):
        recommend(model, users)
    twice = dd.from_pandas(pd.DataFrame([[0, 1]], columns=["user", "user"]), npartitions=1)
    with pytest.raises(ValueError, match="'user' is there twice"):
        recommend(model, twice, column="user")
    with pytest.raises(ValueError, match="'user'; got 'other'"):
        recommend(model, users["user"], column="other")
    assert recommend(model, users["user"], column="user").npartitions == 2
    with pytest.raises(TypeError, match=r"distributed\.Client.*got str 'tcp://here'"):
        recommend(model, users, column="user", client="tcp://here")
    with pytest.raises(ValueError, match="one list for all users"):
        recommend(model, users, column="user", items=np.ones((6, 40), dtype=bool))
    with pytest.raises(ValueError, match="k must be"):
        recommend(model, users, 0, column="user")
    with pytest.raises(IndexError, match="items"):
        recommend(model, users, column="user", items=[99])
    with pytest.raises(NotFittedError):
        recommend(PopularRecommender(), users, column="user")
    with pytest.raises(IndexError, match="60"):
        recommend(model, frame_of([60], 1), column="user").compute(scheduler="sync")
