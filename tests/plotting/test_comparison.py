import numpy as np
import pytest
from scipy import sparse, stats

from recsk.metrics import compare
from recsk.model_selection import make_ranking_scorer
from recsk.plotting import ComparisonDisplay
from recsk.plotting.search import get_scorer_name
from tests.plotting.shared import check_layout, tick_names

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

X_TEST = sparse.csr_array((np.random.default_rng(0).random((150, 30)) < 0.08).astype(int))


class Noisy:
    def __init__(self, noise, seed):
        scores = X_TEST.toarray() + noise * np.random.default_rng(seed).random(X_TEST.shape)
        self.ranked = np.argsort(-scores, axis=1)

    def recommend(self, user_ids, k=10, *, exclude_seen=True):
        return self.ranked[user_ids, :k], np.zeros((len(user_ids), k))


MODELS = {"base": Noisy(2, 1), "worse": Noisy(8, 2), "as good": Noisy(2, 3)}
METRICS, K = ("ndcg", "recall", "coverage"), 5


@pytest.fixture(scope="module")
def comparison():
    return compare(MODELS, X_TEST, METRICS, K, random_state=0)


def drawn(ax):
    """Return the points, the ends of their bars and whether markers are filled, by row."""
    found = []
    for container in ax.containers:
        point, _, (bars,) = container
        segment = np.array(bars.get_segments()[0])
        if not segment.size:  # no interval
            segment = np.full((2, 2), np.nan)
        hollow = point.get_markerfacecolor() == "white"
        found.append((point.get_xdata()[0], *segment[:, 0], not hollow))
    return found


class TestComparisonDisplay:
    @pytest.mark.parametrize("kind", ["differences", "means"])
    def test_a_panel_shows_the_rows_of_a_metric(self, comparison, kind):
        display = ComparisonDisplay.from_comparison(comparison, kind=kind)
        assert [ax.get_title() for ax in display.ax_] == [f"{name}@5" for name in METRICS]
        check_layout(display.figure_)
        for ax, metric in zip(display.ax_, METRICS, strict=True):
            rows = [row for row in comparison.rows if row.metric == metric]
            if kind == "differences":
                rows = rows[1:]
                expected = [(row.difference, row.low, row.high) for row in rows]
            else:
                halves = [stats.norm.ppf(0.975) * row.standard_error for row in rows]
                expected = [
                    (row.mean, row.mean - half, row.mean + half)
                    for row, half in zip(rows, halves, strict=True)
                ]
            found = drawn(ax)
            np.testing.assert_allclose([point[:3] for point in found], expected)
            assert tick_names(ax.yaxis) == [row.model for row in rows]
            filled = [row.model == "base" or comparison.is_significant(row) for row in rows]
            assert [point[3] for point in found] == filled
        label = "difference from base" if kind == "differences" else "mean"
        assert {ax.get_xlabel() for ax in display.ax_} == {label}

    def test_from_estimators_compares_the_models(self, comparison):
        display = ComparisonDisplay.from_estimators(MODELS, X_TEST, METRICS, K, random_state=0)
        assert display.comparison.frame.equals(comparison.frame)
        other = ComparisonDisplay.from_estimators(
            MODELS, X_TEST, "ndcg", K, baseline="worse", kind="means", color="red"
        )
        assert other.comparison.baseline == "worse" and other.kind == "means"
        assert other.ax_[0].containers[0][0].get_color() == "red"

    def test_the_first_model_is_at_the_top(self, comparison):
        ax = ComparisonDisplay.from_comparison(comparison).ax_[0]
        low, high = ax.get_ylim()
        assert low > high

    def test_wrong_arguments_are_rejected(self, comparison):
        with pytest.raises(TypeError, match="comparison must be the result of recsk.*; got dict"):
            ComparisonDisplay.from_comparison({})
        with pytest.raises(ValueError, match="kind must be one of means, differences; got 'box'"):
            ComparisonDisplay.from_comparison(comparison, kind="box")
        with pytest.raises(ValueError, match="kind must be one of"):
            ComparisonDisplay.from_estimators({}, None, kind="box")
        assert not plt.get_fignums()


def test_scorers_of_metrics_where_lower_is_better_are_named_so():
    class Search:
        scoring = make_ranking_scorer("gini", k=5)

    assert get_scorer_name(Search()) == "-gini@5"
