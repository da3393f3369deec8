"""Splitters and scorers in scikit-learn's own searches (MDERecommender: test_search.py)."""

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_score,
    cross_validate,
)

from recsk.metrics.evaluation import METRICS
from recsk.model_selection import (
    InteractionKFold,
    LeaveLastOut,
    PredefinedInteractionSplit,
    RandomHoldout,
    TemporalSplit,
    make_ranking_scorer,
)
from tests.model_selection.popularity import Popularity

FEATURES = {"v": np.ones((40, 3), "f4"), "t": np.ones((40, 2), "f2")}
GRID = {"taste": [-1.0, 1.0]}
SCORING = {name: make_ranking_scorer(name, k=10) for name in METRICS}


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def check_search(search):
    assert search.best_params_["taste"] == 1.0  # popular items first
    assert set(search.best_estimator_.features_) == {"v", "t"}
    ids, scores = search.best_estimator_.recommend([0], k=3)
    assert ids.shape == scores.shape == (1, 3)


class TestSearches:
    """Searches without metadata routing."""

    request = staticmethod(lambda est: est)

    @pytest.mark.parametrize("n_jobs", [None, 2])
    @pytest.mark.parametrize("cv", [RandomHoldout(random_state=0), InteractionKFold(3)], ids=str)
    def test_grid_search(self, cv, n_jobs, interactions):
        search = GridSearchCV(
            self.request(Popularity()),
            GRID,
            cv=cv,
            n_jobs=n_jobs,
            error_score="raise",
            scoring=make_ranking_scorer("ndcg", k=10),
        )
        check_search(search.fit(interactions, item_features=FEATURES))

    def test_grid_search_with_the_score_of_the_estimator(self, interactions):
        search = GridSearchCV(
            self.request(Popularity()), GRID, cv=LeaveLastOut(), error_score="raise"
        )
        check_search(search.fit(interactions, item_features=FEATURES))

    @pytest.mark.parametrize("n_jobs", [None, 2])
    def test_grid_search_with_several_scorers(self, n_jobs, interactions):
        search = GridSearchCV(
            self.request(Popularity()),
            GRID,
            cv=TemporalSplit(),
            n_jobs=n_jobs,
            scoring=SCORING,
            refit="recall",
            error_score="raise",
        )
        check_search(search.fit(interactions, item_features=FEATURES))
        assert all(f"mean_test_{name}" in search.cv_results_ for name in SCORING)

    def test_halving_search(self, interactions):
        search = HalvingGridSearchCV(
            self.request(Popularity()),
            {"taste": [-2.0, -1.0, 0.0, 1.0]},
            factor=2,
            resource="max_epochs",
            max_resources=8,
            min_resources=2,
            error_score="raise",
            cv=RandomHoldout(random_state=0),
            scoring=make_ranking_scorer("recall"),
        )
        check_search(search.fit(interactions, item_features=FEATURES))
        assert search.n_resources_ == [2, 4, 8]

    def test_cross_validate(self, interactions):
        result = cross_validate(
            self.request(Popularity()),
            interactions,
            cv=InteractionKFold(4, random_state=0),
            scoring=SCORING,
            params={"item_features": FEATURES},
            n_jobs=2,
            error_score="raise",
            return_estimator=True,
        )
        assert all(len(result[f"test_{name}"]) == 4 for name in SCORING)
        assert set(result["estimator"][0].features_) == {"v", "t"}

    def test_cross_val_score(self, interactions):
        scores = cross_val_score(
            self.request(Popularity()),
            interactions,
            cv=LeaveLastOut(n_splits=2),
            scoring=make_ranking_scorer("mrr"),
            params={"item_features": FEATURES},
            error_score="raise",
        )
        assert len(scores) == 2 and (scores > 0).all()

    def test_a_matrix_is_rejected_in_a_search_too(self, interactions):
        search = GridSearchCV(Popularity(), GRID, cv=RandomHoldout())
        with pytest.raises(TypeError, match=r"Interactions\.from_csr\(X\)"):
            search.fit(interactions.to_csr())

    def test_a_search_can_set_parameters_of_its_splitter(self):
        search = GridSearchCV(Popularity(), GRID, cv=RandomHoldout())
        assert clone(search).set_params(cv__test_size=0.5).cv.test_size == 0.5


@pytest.mark.usefixtures("routing")
class TestSearchesWithRouting(TestSearches):
    """Searches with metadata routing."""

    request = staticmethod(lambda est: est.set_fit_request(item_features=True))


def test_halving_search_requires_constant_splits(interactions):
    def halving(cv):
        return HalvingGridSearchCV(
            Popularity(),
            GRID,
            resource="max_epochs",
            max_resources=8,
            cv=cv,
            scoring=make_ranking_scorer("recall"),
        )

    for cv in (LeaveLastOut(), TemporalSplit(), PredefinedInteractionSplit(np.arange(800) % 2)):
        halving(cv).fit(interactions)
    with pytest.raises(ValueError, match="Set its random_state to an int"):
        halving(RandomHoldout()).fit(interactions)
