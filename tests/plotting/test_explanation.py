import numpy as np
import pytest

from recsk import Interactions
from recsk.baselines import ItemKNNRecommender, PopularRecommender
from recsk.plotting import ExplanationDisplay
from tests.plotting.shared import X, check_layout, tick_names

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402


def widths(ax):
    return np.array([bar.get_width() for bar in ax.patches])


class TestExplanationDisplay:
    def test_bars_are_the_parts_and_the_largest_effects(self, mde):
        display = ExplanationDisplay.from_estimator(mde, 3, k=2, n_history=2)
        items, scores = mde.recommend([3], k=2)
        why = mde.explain([3], items)
        assert len(display.ax_) == 4
        for m in range(2):
            parts, history = display.ax_[2 * m : 2 * m + 2]
            expected = [part[0, m] for part in why.parts.values()]
            np.testing.assert_allclose(widths(parts), expected)
            assert widths(parts).sum() == pytest.approx(scores[0, m], abs=1e-5)
            assert tick_names(parts.yaxis) == list(why.parts)
            assert parts.get_title() == f"{items[0, m]}: score {scores[0, m]:.3g}"
            effects = why.effects[0][:, m]
            most = np.argsort(-np.abs(effects), kind="stable")[:2]
            np.testing.assert_allclose(widths(history), effects[most])
            assert tick_names(history.yaxis) == [str(why.history[0][row]) for row in most]
        assert display.ax_[0].get_xlim() == display.ax_[2].get_xlim()
        check_layout(display.figure_)

    def test_items_have_names_and_new_users_their_history(self):
        log = Interactions([0, 0, 1, 1, 2], [0, 1, 1, 2, 2]).with_labels(
            ["a", "b", "c"], ["cup", "tea", "pot"]
        )
        model = ItemKNNRecommender(weighting="cosine").fit(log)
        names = {"cup": "a cup of $5", "pot": "a very long name of a pot, $2"}
        display = ExplanationDisplay.from_estimator(
            model, items=["pot"], user_items={"new": ["cup", "tea"]}, item_names=names
        )
        parts, history = display.ax_
        assert parts.get_title().replace("\n", " ").startswith(r"a very long name of a pot, \$2:")
        assert set(tick_names(history.yaxis)) == {r"a cup of \$5", "tea"}
        check_layout(display.figure_)

    @pytest.mark.parametrize("missing", [None, np.nan])
    def test_missing_names_are_those_of_the_model(self, missing, mde):
        names = dict.fromkeys(range(mde.n_features_in_), missing)
        display = ExplanationDisplay.from_estimator(mde, 3, [5], item_names=names)
        assert display.ax_[0].get_title().startswith("5: score")

    def test_without_a_history_there_are_parts_alone(self):
        model = PopularRecommender().fit(X)
        display = ExplanationDisplay.from_estimator(model, user_items=[[]], k=2)
        assert len(display.ax_) == 2
        assert tick_names(display.ax_[0].yaxis) == ["popularity"]
        without = ExplanationDisplay(model.explain([3], [1, 2], history=False)).plot()
        assert len(without.ax_) == 2

    def test_given_keywords_override_the_style(self, mde):
        display = ExplanationDisplay.from_estimator(mde, 3, k=1, color="green")
        assert display.ax_[0].patches[0].get_facecolor() == matplotlib.colors.to_rgba("green")

    def test_wrong_arguments_are_named(self, mde):
        for call, error, words in (
            (lambda: ExplanationDisplay.from_estimator(mde), ValueError, "pass one user"),
            (
                lambda: ExplanationDisplay.from_estimator(mde, 1, user_items=[[2]]),
                ValueError,
                "pass one user",
            ),
            (
                lambda: ExplanationDisplay.from_estimator(mde, [1, 2]),
                ValueError,
                "must be of one user; got 2",
            ),
            (
                lambda: ExplanationDisplay.from_estimator(mde, 1, item_names=["a"]),
                TypeError,
                "item_names must be a mapping",
            ),
            (
                lambda: ExplanationDisplay.from_estimator(mde, 1, n_history=0),
                ValueError,
                "n_history must be 1 or more",
            ),
            (
                lambda: ExplanationDisplay.from_estimator(mde, 1, np.empty(0, int)),
                ValueError,
                "has no item",
            ),
            (
                lambda: ExplanationDisplay(mde).plot(),
                TypeError,
                "explanation must be what explain .*from_estimator; got MDERecommender",
            ),
        ):
            with pytest.raises(error, match=words):
                call()
        assert not plt.get_fignums()
