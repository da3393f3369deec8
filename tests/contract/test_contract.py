"""Every estimator against the contract; a new one joins by a class of its own."""

import os

import pytest

from recsk import MDERecommender
from recsk.contract import register_estimator, training
from recsk.contract.preparation import Prepared
from recsk.models import MDSRecRecommender
from recsk.storage import registry
from recsk.testing.labels import ITEM_LABELS
from tests.contract.suite import NetworkContract, RecommenderContract
from tests.contract.two_towers import TwoTowersRecommender

SMALL = {
    "n_factors": 4,
    "max_epochs": 3,
    "user_neighbors": 5,
    "item_neighbors": 3,
    "random_state": 0,
}


class TestMDE(NetworkContract):
    estimator = MDERecommender(**SMALL)
    enough = {"n_factors": 8, "max_epochs": 30, "learning_rate": 0.01}


class TestPaperMDE(NetworkContract):
    estimator = MDERecommender.paper(**SMALL)
    enough = {"n_factors": 8, "max_epochs": 30, "learning_rate": 0.01}


class TestMDEWithoutFeatures(NetworkContract):
    estimator = MDERecommender(**SMALL)
    enough = {"n_factors": 8, "max_epochs": 30, "learning_rate": 0.01}
    item_features = False


SMALL_MDSREC = {
    "n_factors": 8,
    "n_heads": 2,
    "max_epochs": 3,
    "n_interests": 3,
    "n_neighbors": 3,
    "random_state": 0,
}


class TestMDSRec(NetworkContract):
    estimator = MDSRecRecommender(**SMALL_MDSREC)
    enough = {"max_epochs": 60, "learning_rate": 0.01}


class TestSASRec(NetworkContract):
    estimator = MDSRecRecommender(**SMALL_MDSREC)
    enough = {"max_epochs": 60, "learning_rate": 0.01}
    item_features = False


class TestMDSRecOfOtherSwitches(NetworkContract):
    estimator = MDSRecRecommender(
        **SMALL_MDSREC,
        similarity="dot",
        candidate_vectors="mean",
        relation="product",
        fusion="softmax",
        shared_ids=True,
        recent_weight=0.0,
        n_negatives=5,
    )
    enough = {"max_epochs": 60, "learning_rate": 0.01}


class TestTwoTowers(NetworkContract):
    """A class outside the package."""

    estimator = TwoTowersRecommender(n_factors=8, max_epochs=3, random_state=0)
    enough = {"max_epochs": 60}

    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch):
        # Files may hold it, but only here: error messages list the registered classes.
        monkeypatch.setattr(registry, "_classes", dict(registry._classes))
        register_estimator(TwoTowersRecommender)


class RankedByTorch(RecommenderContract):
    """The engine of devices ranks, on the CPU."""

    @pytest.fixture(autouse=True)
    def ranked_by_torch(self, monkeypatch):
        monkeypatch.setattr(training, "ranking_device", lambda device: "cpu")
        monkeypatch.setattr(Prepared, "ranking_device", "cpu")


class TestMDERankedByTorch(RankedByTorch):
    estimator = TestMDE.estimator
    enough = TestMDE.enough


class TestMDSRecRankedByTorch(RankedByTorch):
    estimator = TestMDSRec.estimator
    enough = TestMDSRec.enough


class TestMDEOfLabels(TestMDE):
    labels = "int"


class TestMDSRecOfLabels(TestMDSRec):
    labels = "tuple"


if os.environ.get("RECSK_LABELS") == "all":  # python -m tox run -e labels
    for contract in list(globals().values()):
        if isinstance(contract, type) and issubclass(contract, RecommenderContract):
            if contract.estimator is not None and contract.labels is None:
                for kind in ITEM_LABELS:
                    name = f"{contract.__name__}Of{kind.title()}Labels"
                    globals()[name] = type(name, (contract,), {"labels": kind})
