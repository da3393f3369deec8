"""What all displays have in common."""

import copy
import subprocess
import sys

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.exceptions import NotFittedError

from recsk import MDERecommender
from recsk.metrics import compare
from recsk.plotting import (
    ComparisonDisplay,
    EmbeddingDisplay,
    ExplanationDisplay,
    LossCurveDisplay,
    PreferenceDisplay,
    SensitivityDisplay,
)
from tests.plotting.shared import FEATURES, FROM_ESTIMATOR, X, check_layout

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402


class TestAllDisplays:
    @pytest.fixture(
        params=[*FROM_ESTIMATOR, SensitivityDisplay, ComparisonDisplay, ExplanationDisplay],
        ids=lambda cls: cls.__name__,
    )
    def draw(self, request, mde, ids_only, search):
        """A function that draws a display with the given arguments."""
        if request.param is ComparisonDisplay:
            models = {"mde": mde, "ids": ids_only}
            comparison = compare(models, X, k=5, exclude_seen=False, n_resamples=50, random_state=0)
            return lambda **kwargs: ComparisonDisplay.from_comparison(comparison, **kwargs)
        if request.param is ExplanationDisplay:
            return lambda **kwargs: ExplanationDisplay.from_estimator(mde, 3, k=2, **kwargs)
        if request.param is SensitivityDisplay:
            return lambda **kwargs: SensitivityDisplay.from_search(search, **kwargs)
        return lambda **kwargs: request.param.from_estimator(mde, **kwargs)

    def test_each_call_draws_one_figure(self, draw):
        display = draw()
        assert plt.get_fignums() == [display.figure_.number]
        check_layout(display.figure_)
        assert display.plot() is display
        assert len(plt.get_fignums()) == 2

    @pytest.mark.parametrize("layout", ["constrained", "tight", None])
    def test_given_axes_are_used(self, draw, layout):
        figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout=layout)
        display = draw(ax=right)
        assert display.figure_ is figure
        assert plt.get_fignums() == [figure.number]
        assert not left.lines and not left.collections and not left.images
        check_layout(figure)
        for ax in np.ravel(display.ax_):
            assert ax.figure is figure
            assert ax.get_position().x0 >= left.get_position().x1

    def test_a_legend_stays_inside_axes_without_a_layout_engine(self, mde):
        figure, ax = plt.subplots()
        legend = PreferenceDisplay.from_estimator(mde, ax=ax).ax_[-1].get_legend()
        figure.canvas.draw()
        box, figure_box = legend.get_window_extent(), figure.bbox
        assert box.x1 <= figure_box.x1 and box.y1 <= figure_box.y1

    def test_panels_in_one_axes_do_not_overlap(self, mde):
        figure, ax = plt.subplots()
        display = LossCurveDisplay.from_estimator(mde, ax=ax)
        figure.canvas.draw()
        boxes = [panel.get_tightbbox() for panel in display.ax_]
        for at, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[at + 1 :]), (at, boxes)

    def test_axes_placed_by_hand_are_used(self, draw):
        figure = plt.figure()
        ax = figure.add_axes((0.5, 0.1, 0.4, 0.8))
        for panel in np.ravel(draw(ax=ax).ax_):
            assert panel.get_position().x0 >= 0.49

    def test_one_axes_for_each_panel_can_be_given(self, draw):
        n_panels = np.size(draw().ax_)
        _, axes = plt.subplots(n_panels, squeeze=False)
        display = draw(ax=axes)
        assert list(np.ravel(display.ax_)) == list(axes.ravel())
        with pytest.raises(ValueError, match=f"ax must be one Axes or {n_panels}, .* got 11"):
            draw(ax=[axes[0, 0]] * 11)

    @pytest.mark.parametrize("ax", ["left", 3, [1, 2]])
    def test_ax_of_another_type_is_rejected(self, draw, ax):
        with pytest.raises(TypeError, match="ax must be matplotlib Axes"):
            draw(ax=ax)
        assert not plt.get_fignums()

    def test_a_figure_is_closed_after_an_error(self, draw):
        with pytest.raises(AttributeError, match="no_such_property"):
            draw(no_such_property=1)
        assert not plt.get_fignums()

    def test_arguments_and_settings_are_not_changed(self, mde, search):
        labels, features = np.arange(50.0), copy.deepcopy(FEATURES)
        before = copy.deepcopy(vars(mde))
        found = copy.deepcopy(search.cv_results_)
        settings = dict(matplotlib.rcParams)
        for cls in FROM_ESTIMATOR:
            cls.from_estimator(mde)
        EmbeddingDisplay.from_estimator(mde, features, labels=labels, max_items=10)
        SensitivityDisplay.from_search(search)
        np.testing.assert_array_equal(labels, np.arange(50.0))
        for name, values in FEATURES.items():
            np.testing.assert_array_equal(features[name], values)
        for name in ("item_embedding_", "user_preference_", "item_preference_"):
            np.testing.assert_array_equal(getattr(mde, name), before[name])
        assert mde.loss_curve_ == before["loss_curve_"]
        assert set(vars(mde)) == set(before)
        assert search.cv_results_["params"] == found["params"]
        np.testing.assert_array_equal(
            search.cv_results_["split0_test_score"], found["split0_test_score"]
        )
        assert dict(matplotlib.rcParams) == settings

    @pytest.mark.parametrize("cls", FROM_ESTIMATOR)
    def test_unfitted_estimators_are_rejected(self, cls):
        with pytest.raises(NotFittedError):
            cls.from_estimator(MDERecommender())
        assert not plt.get_fignums()

    @pytest.mark.parametrize("cls", FROM_ESTIMATOR)
    def test_other_estimators_are_rejected(self, cls, search):
        for wrong in (KMeans(), MDERecommender, search, None):
            with pytest.raises(TypeError, match="estimator must be a recommender of recsk; got"):
                cls.from_estimator(wrong)


def test_without_matplotlib_the_error_names_the_package(monkeypatch, mde, search):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for cls in FROM_ESTIMATOR:
        with pytest.raises(ImportError, match="pip install matplotlib"):
            cls.from_estimator(mde)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        SensitivityDisplay.from_search(search)
    comparison = compare({"a": mde, "b": mde}, X, k=5, exclude_seen=False, n_resamples=10)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        ComparisonDisplay.from_comparison(comparison)


@pytest.mark.slow
def test_importing_does_not_need_matplotlib():
    code = "import sys, recsk; print('recsk.plotting' in sys.modules); import recsk.plotting; "
    code += "print('matplotlib' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.split() == ["False", "False"]
