import numpy as np
import pytest
from scipy.sparse import csr_array

from recsk import MDSRecRecommender
from recsk.plotting import LossCurveDisplay
from tests.plotting.shared import check_layout

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402


class TestLossCurveDisplay:
    def test_lines_show_the_loss_and_validation_curves(self, mde):
        axes = LossCurveDisplay.from_estimator(mde).ax_
        curves = [*mde.loss_curve_.values(), mde.validation_curve_]
        assert len(axes) == len(curves) == 6
        for ax, values in zip(axes, curves, strict=True):
            np.testing.assert_allclose(ax.lines[0].get_ydata(), values)
            np.testing.assert_array_equal(ax.lines[0].get_xdata(), [1, 2, 3, 4])
            assert ax.lines[1].get_xdata() == [mde.best_iter_] * 2

    def test_axes_and_titles_have_names(self, mde):
        axes = LossCurveDisplay.from_estimator(mde).ax_
        titles = [ax.get_title().replace("\n", " ") for ax in axes]
        assert titles[:2] == ["ranking", "modality ranking"]
        assert titles[-1] == "validation"
        assert axes[-1].get_ylabel() == mde.eval_metric
        assert axes[0].get_ylabel() == axes[3].get_ylabel() == "mean loss"
        assert {ax.get_xlabel() for ax in axes[3:]} == {f"epoch (kept: {mde.best_iter_})"}

    def test_there_is_no_validation_panel_without_validation(self, mdsrec):
        axes = LossCurveDisplay.from_estimator(mdsrec).ax_
        assert [ax.get_title() for ax in axes] == ["ranking"]

    def test_the_plot_of_one_epoch_has_one_tick(self):
        display = LossCurveDisplay(loss_curve={"loss": [1.0]}).plot(lw=3)
        display.figure_.canvas.draw()
        low, high = display.ax_[0].get_xlim()
        assert [tick for tick in display.ax_[0].get_xticks() if low <= tick <= high] == [1]
        assert display.ax_[0].lines[0].get_linewidth() == 3

    def test_no_epoch_is_marked_if_none_was_kept(self):
        (ax,) = LossCurveDisplay(loss_curve={"ranking": [2.0, 1.0]}).plot().ax_
        assert len(ax.lines) == 1
        assert ax.get_xlabel() == "epoch"

    @pytest.mark.parametrize("n_terms", range(1, 9))
    def test_any_number_of_terms_can_be_drawn(self, n_terms):
        display = LossCurveDisplay(loss_curve={f"term_{i}": [1.0] for i in range(n_terms)}).plot()
        check_layout(display.figure_)
        assert len(display.ax_) == len(display.figure_.axes) == n_terms

    @pytest.mark.filterwarnings("ignore:no user in X has two items")
    def test_a_fit_without_an_epoch_is_rejected(self):
        one_item_each = csr_array(np.eye(3) * [[1], [2], [3]])  # no user has a next item
        model = MDSRecRecommender(n_factors=4, max_epochs=1, early_stopping=False).fit(
            one_item_each
        )
        with pytest.raises(ValueError, match="estimator has an empty loss_curve_"):
            LossCurveDisplay.from_estimator(model)
        assert not plt.get_fignums()
