"""Every estimator against the contract; a new one joins by a class of its own."""

import os

from sklearn.base import clone

from recsk import MDERecommender
from recsk.models import MDSRecRecommender
from tests.contract.labelled import ITEM_LABELS, InLabels, labelled
from tests.contract.suite import RecommenderContract

SMALL = {
    "n_factors": 4,
    "max_epochs": 3,
    "user_neighbors": 5,
    "item_neighbors": 3,
    "random_state": 0,
}


class TestMDE(RecommenderContract):
    estimator = MDERecommender(**SMALL)
    enough = {"n_factors": 8, "max_epochs": 30, "learning_rate": 0.01}


class TestPaperMDE(RecommenderContract):
    estimator = MDERecommender.paper(**SMALL)
    enough = {"n_factors": 8, "max_epochs": 30, "learning_rate": 0.01}


class TestMDEWithoutFeatures(RecommenderContract):
    estimator = MDERecommender(**SMALL)
    enough = {"n_factors": 8, "max_epochs": 30, "learning_rate": 0.01}
    item_features = None


SMALL_MDSREC = {
    "n_factors": 8,
    "n_heads": 2,
    "max_epochs": 3,
    "n_interests": 3,
    "n_neighbors": 3,
    "random_state": 0,
}


class TestMDSRec(RecommenderContract):
    estimator = MDSRecRecommender(**SMALL_MDSREC)
    enough = {"max_epochs": 60, "learning_rate": 0.01}
    ordered = True


class TestSASRec(RecommenderContract):
    estimator = MDSRecRecommender(**SMALL_MDSREC)
    enough = {"max_epochs": 60, "learning_rate": 0.01}
    item_features = None
    ordered = True


class TestMDSRecOfOtherSwitches(RecommenderContract):
    estimator = MDSRecRecommender(
        **SMALL_MDSREC,
        similarity="dot",
        item_vectors="mean",
        relation="product",
        fusion="softmax",
        shared_ids=True,
        relation_strength=None,
        modality_weight=0.5,
        n_negatives=5,
    )
    enough = {"max_epochs": 60, "learning_rate": 0.01}
    ordered = True


class TestMDEOfLabels(InLabels, TestMDE):
    estimator = labelled(MDERecommender)(**SMALL)


class TestMDSRecOfLabels(InLabels, TestMDSRec):
    estimator = labelled(MDSRecRecommender, "tuple")(**SMALL_MDSREC)


if os.environ.get("RECSK_LABELS") == "all":  # python -m tox run -e labels
    for contract in RecommenderContract.__subclasses__():
        estimator = clone(contract.estimator)
        for kind in ITEM_LABELS:
            name = f"{contract.__name__}Of{kind.title()}Labels"
            of_labels = labelled(type(estimator), kind)(**estimator.get_params(deep=False))
            globals()[name] = type(name, (InLabels, contract), {"estimator": of_labels})
