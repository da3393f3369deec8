"""Every estimator against the contract; a new one joins by a class of its own."""

from recsk import MDERecommender
from tests.contract import RecommenderContract

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
