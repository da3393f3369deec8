import numpy as np
import pytest

from recsk.plotting import PreferenceDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402


class TestPreferenceDisplay:
    def test_histograms_show_the_shares_of_users_and_items(self, mde):
        display = PreferenceDisplay.from_estimator(mde, bins=7)
        for ax, values in zip(
            display.ax_, [mde.user_preference_, mde.item_preference_], strict=True
        ):
            assert len(ax.patches) == 2
            for column, patch in enumerate(ax.patches):
                shares, edges, _ = patch.get_data()
                counts, _ = np.histogram(values[:, column], edges)
                np.testing.assert_allclose(shares, counts / len(values))
                assert len(shares) == 7
                assert shares.sum() == pytest.approx(1)

    def test_axes_titles_and_legend_have_names(self, mde):
        users, items = PreferenceDisplay.from_estimator(mde).ax_
        mean = mde.user_preference_.mean(axis=0)
        title = users.get_title().replace("\u00a0", " ").replace("\n", " ")
        assert title == f"60 users mean image {mean[0]:.2f}, text {mean[1]:.2f}"
        assert users.get_ylabel() == "share of users"
        assert items.get_ylabel() == "share of items"
        assert users.get_xlabel() == items.get_xlabel() == "weight of the modality"
        assert [text.get_text() for text in items.get_legend().get_texts()] == [
            "image",
            "text",
            "even",
        ]

    def test_only_users_are_drawn_if_items_have_no_preference(self, mdsrec):
        (ax,) = PreferenceDisplay.from_estimator(mdsrec).ax_
        assert ax.get_ylabel() == "share of users"

    def test_equal_weights_are_drawn_in_one_bin(self, ids_only):
        users, _ = PreferenceDisplay.from_estimator(ids_only).ax_
        shares, _, _ = users.patches[0].get_data()
        assert shares.max() == 1
        fixed = PreferenceDisplay(
            user_preference=np.tile([0.2, 0.8], (5, 1)), modality_names=["v", "t"]
        ).plot()
        assert [patch.get_data().values.max() for patch in fixed.ax_[0].patches] == [1, 1]

    @pytest.mark.parametrize(("bins", "error"), [(0, ValueError), (2.5, TypeError)])
    def test_wrong_bins_are_rejected(self, bins, error, mde):
        with pytest.raises(error, match="bins must be"):
            PreferenceDisplay.from_estimator(mde, bins=bins)
        assert not plt.get_fignums()

    @pytest.mark.parametrize("n_modalities", [4, 5])
    def test_the_title_has_no_means_of_more_than_four_modalities(self, n_modalities):
        names = ["even", *(f"modality {at}" for at in range(1, n_modalities))]
        weights = np.full((6, n_modalities), 1 / n_modalities)
        display = PreferenceDisplay(user_preference=weights, modality_names=names).plot()
        assert ("mean" in display.ax_[0].get_title()) == (n_modalities == 4)
        legend = display.ax_[0].get_legend()
        assert [text.get_text() for text in legend.get_texts()] == [*names, "even"]
