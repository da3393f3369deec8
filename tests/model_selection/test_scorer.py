import pickle

import numpy as np
import pytest
from sklearn.base import clone

from recsk.metrics import Calibration, Diversity, evaluate
from recsk.metrics.evaluation import METRICS
from recsk.model_selection import RandomHoldout, RankingScorer, make_ranking_scorer
from tests.model_selection.popularity import Popularity


class TestRankingScorer:
    @pytest.mark.parametrize("metric", METRICS)
    def test_the_score_is_the_metric(self, metric, interactions):
        train, test = next(RandomHoldout(random_state=0).split(interactions))
        est = Popularity().fit(interactions[train])
        scorer = make_ranking_scorer(metric, k=5)
        expected = evaluate(est, interactions[test], metric, 5)[f"{metric}@5"]
        for copy in (scorer, clone(scorer), pickle.loads(pickle.dumps(scorer))):
            assert copy(est, interactions[test]) == copy(est, interactions[test], None) == expected

    def test_seen_items_are_excluded_unless_allowed(self, interactions):
        est = Popularity().fit(interactions)
        assert make_ranking_scorer("recall")(est, interactions) == 0
        assert make_ranking_scorer("recall", exclude_seen=False)(est, interactions) > 0

    def test_wrong_parameters_are_rejected_at_once(self):
        with pytest.raises(ValueError, match="one of recall, ndcg, .*, coverage; got 'ndgc'"):
            make_ranking_scorer("ndgc")
        with pytest.raises(ValueError, match="k must be 1 or more; got 0"):
            make_ranking_scorer("ndcg", k=0)
        with pytest.raises(TypeError, match="exclude_seen must be a bool; got 'yes'"):
            make_ranking_scorer("ndcg", exclude_seen="yes")
        with pytest.raises(ValueError, match="^metric must be one of"):
            RankingScorer("ndcg@10")(None, None)

    def test_metrics_beyond_accuracy_are_higher_where_they_are_better(self, interactions):
        train, test = next(RandomHoldout(random_state=0).split(interactions))
        est = Popularity().fit(interactions[train])
        est.interactions_ = est.seen_
        rng = np.random.default_rng(0)
        n_items = interactions.n_items
        signs = {
            "novelty": 1,
            "popularity": 1,
            "popularity_shift": 1,
            "new_items": 1,
            "gini": -1,
            Diversity(rng.normal(size=(n_items, 3)), name="text"): 1,
            Calibration(rng.integers(0, 3, n_items)): -1,
        }
        for metric, sign in signs.items():
            (expected,) = evaluate(est, interactions[test], metric, 5).values()
            scorer = make_ranking_scorer(metric, k=5)
            for copy in (scorer, clone(scorer), pickle.loads(pickle.dumps(scorer))):
                assert copy(est, interactions[test]) == pytest.approx(sign * expected)

    def test_repr_shows_the_parameters(self):
        assert repr(make_ranking_scorer("map", 20)) == "RankingScorer(k=20, metric='map')"
