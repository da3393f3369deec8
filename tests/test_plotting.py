"""Pictures show the numbers they are made from, and leave everything else as it was."""

import copy
import re
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV

from recsk import MDERecommender, MDSRecRecommender
from recsk.datasets import make_multimodal
from recsk.model_selection import InteractionKFold, make_ranking_scorer

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from recsk.plotting import (  # noqa: E402
    EmbeddingDisplay,
    LossCurveDisplay,
    PreferenceDisplay,
    SensitivityDisplay,
)

DATA = make_multimodal(60, 50, modalities=("image", "text"), missing=0.1, random_state=0)
X, FEATURES = DATA.interactions, DATA.item_features
FROM_ESTIMATOR = [PreferenceDisplay, LossCurveDisplay, EmbeddingDisplay]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def mde():
    params = {"n_factors": 8, "modality_weight": 1.0, "max_epochs": 4, "random_state": 0}
    model = MDERecommender(**params, early_stopping=True)
    return model.fit(X, item_features=FEATURES)


@pytest.fixture(scope="module")
def mdsrec():
    model = MDSRecRecommender(n_factors=8, max_epochs=2, early_stopping=False, random_state=0)
    return model.fit(X, item_features=FEATURES)


@pytest.fixture(scope="module")
def ids_only():
    return MDERecommender(n_factors=8, max_epochs=1, random_state=0).fit(X)


@pytest.fixture(scope="module")
def search():
    search = GridSearchCV(
        MDERecommender(n_factors=4, max_epochs=1, random_state=0),
        {"learning_rate": [0.1, 0.001], "loss": ["softmax", "bpr"]},
        cv=InteractionKFold(2),
        scoring=make_ranking_scorer("ndcg", k=5),
        refit=False,
    )
    return search.fit(X, item_features=FEATURES)


def results(*candidates, metric="score"):
    """A cv_results_ from pairs of parameters and the scores of the splits."""
    params, scores = zip(*candidates, strict=True)
    columns = np.array(scores, dtype=float).T
    return {
        "params": list(params),
        **{f"split{i}_test_{metric}": column for i, column in enumerate(columns)},
    }


def curve(values, name="a"):
    return results(*(({name: value}, [i, i + 1]) for i, value in enumerate(values)))


def check_layout(figure):
    """Refuse warnings, such as of panels without room."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.draw_without_rendering()


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


class TestPreference:
    def test_bars_are_the_shares_of_users_and_of_items(self, mde):
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

    def test_axes_have_names(self, mde):
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

    def test_users_alone_where_items_have_no_preference(self, mdsrec):
        (ax,) = PreferenceDisplay.from_estimator(mdsrec).ax_
        assert ax.get_ylabel() == "share of users"

    def test_weights_that_are_all_the_same(self, ids_only):
        users, _ = PreferenceDisplay.from_estimator(ids_only).ax_
        shares, _, _ = users.patches[0].get_data()
        assert shares.max() == 1
        fixed = PreferenceDisplay(
            user_preference=np.tile([0.2, 0.8], (5, 1)), modality_names=["v", "t"]
        ).plot()
        assert [patch.get_data().values.max() for patch in fixed.ax_[0].patches] == [1, 1]

    @pytest.mark.parametrize(("bins", "error"), [(0, ValueError), (2.5, TypeError)])
    def test_bins(self, bins, error, mde):
        with pytest.raises(error, match="bins must be"):
            PreferenceDisplay.from_estimator(mde, bins=bins)
        assert not plt.get_fignums()

    @pytest.mark.parametrize("n_modalities", [4, 5])
    def test_many_modalities_have_no_means_in_the_title(self, n_modalities):
        names = ["even", *(f"modality {at}" for at in range(1, n_modalities))]
        weights = np.full((6, n_modalities), 1 / n_modalities)
        display = PreferenceDisplay(user_preference=weights, modality_names=names).plot()
        assert ("mean" in display.ax_[0].get_title()) == (n_modalities == 4)
        legend = display.ax_[0].get_legend()
        assert [text.get_text() for text in legend.get_texts()] == [*names, "even"]


class TestLossCurve:
    def test_lines_are_the_curves(self, mde):
        axes = LossCurveDisplay.from_estimator(mde).ax_
        curves = [*mde.loss_curve_.values(), mde.validation_curve_]
        assert len(axes) == len(curves) == 6
        for ax, values in zip(axes, curves, strict=True):
            np.testing.assert_allclose(ax.lines[0].get_ydata(), values)
            np.testing.assert_array_equal(ax.lines[0].get_xdata(), [1, 2, 3, 4])
            assert ax.lines[1].get_xdata() == [mde.best_iter_] * 2

    def test_axes_have_names(self, mde):
        axes = LossCurveDisplay.from_estimator(mde).ax_
        titles = [ax.get_title().replace("\n", " ") for ax in axes]
        assert titles[:2] == ["ranking", "modality ranking"]
        assert titles[-1] == "validation"
        assert axes[-1].get_ylabel() == mde.eval_metric
        assert axes[0].get_ylabel() == axes[3].get_ylabel() == "mean loss"
        assert {ax.get_xlabel() for ax in axes[3:]} == {f"epoch (kept: {mde.best_iter_})"}

    def test_without_validation(self, mdsrec):
        axes = LossCurveDisplay.from_estimator(mdsrec).ax_
        assert [ax.get_title() for ax in axes] == ["ranking"]

    def test_one_epoch_has_one_tick(self):
        display = LossCurveDisplay(loss_curve={"loss": [1.0]}).plot(lw=3)
        display.figure_.canvas.draw()
        low, high = display.ax_[0].get_xlim()
        assert [tick for tick in display.ax_[0].get_xticks() if low <= tick <= high] == [1]
        assert display.ax_[0].lines[0].get_linewidth() == 3

    def test_nothing_kept_is_not_marked(self):
        (ax,) = LossCurveDisplay(loss_curve={"ranking": [2.0, 1.0]}).plot().ax_
        assert len(ax.lines) == 1
        assert ax.get_xlabel() == "epoch"

    @pytest.mark.parametrize("n_terms", range(1, 9))
    def test_any_number_of_terms(self, n_terms):
        display = LossCurveDisplay(loss_curve={f"term_{i}": [1.0] for i in range(n_terms)}).plot()
        check_layout(display.figure_)
        assert len(display.ax_) == len(display.figure_.axes) == n_terms

    @pytest.mark.filterwarnings("ignore:X has nobody with two items")
    def test_a_fit_without_an_epoch(self):
        alone = csr_array(np.eye(3) * [[1], [2], [3]])  # nobody has a next item
        model = MDSRecRecommender(n_factors=4, max_epochs=1, early_stopping=False).fit(alone)
        with pytest.raises(ValueError, match="estimator has an empty loss_curve_"):
            LossCurveDisplay.from_estimator(model)
        assert not plt.get_fignums()


class TestSensitivity:
    def test_a_search_over_two_parameters_is_a_heat_map(self, search):
        display = SensitivityDisplay.from_search(search)
        ax, found = display.ax_, search.cv_results_
        assert display.params == {"learning_rate": [0.001, 0.1], "loss": ["softmax", "bpr"]}
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("learning_rate", "loss")
        assert ticks(ax.xaxis) == ["0.001", "0.1"]
        assert ticks(ax.yaxis) == ["softmax", "bpr"]
        bar = display.figure_.axes[1]
        assert bar.get_ylabel() == "ndcg@5"
        drawn = ax.images[0].get_array()
        for params, mean in zip(found["params"], found["mean_test_score"], strict=True):
            place = (
                ["softmax", "bpr"].index(params["loss"]),
                [0.001, 0.1].index(params["learning_rate"]),
            )
            assert drawn[place] == pytest.approx(mean)
        (outline,) = ax.patches
        best = found["params"][np.argmax(found["mean_test_score"])]
        assert outline.get_x() + 0.5 == [0.001, 0.1].index(best["learning_rate"])
        assert outline.get_y() + 0.5 == ["softmax", "bpr"].index(best["loss"])
        assert "mean of 2 splits" in ax.get_title().replace("\n", " ")

    def test_one_of_two_parameters_holds_the_other_at_the_best(self, search):
        display = SensitivityDisplay.from_search(search, params="learning_rate")
        found = pd.DataFrame(search.cv_results_)
        best = found.params[found.mean_test_score.idxmax()]
        assert display.fixed == {"loss": best["loss"]}
        assert f"loss={best['loss']}" in display.ax_.get_title()
        same = found[found.param_loss == best["loss"]].sort_values("param_learning_rate")
        (line, diamond) = display.ax_.lines
        np.testing.assert_array_equal(line.get_xdata(), same.param_learning_rate.astype(float))
        np.testing.assert_allclose(line.get_ydata(), same.mean_test_score)
        assert diamond.get_xdata() == best["learning_rate"]
        band = display.ax_.collections[0].get_paths()[0].vertices
        for x, mean, std in zip(
            line.get_xdata(), same.mean_test_score, same.std_test_score, strict=True
        ):
            heights = band[np.isclose(band[:, 0], x), 1]
            assert heights.min() == pytest.approx(mean - std)
            assert heights.max() == pytest.approx(mean + std)

    @pytest.mark.parametrize(
        ("values", "scale"),
        [
            ([1e-4, 1e-3, 1e-2], "log"),
            ([16, 32, 64, 128, 256], "log"),
            ([0.0, 0.01, 0.1, 1.0], "symlog"),
            ([16, 32, 64], "linear"),
            ([0.1, 0.2, 0.4, 0.6, 0.8, 1.0], "linear"),
            ([0, 0.5, 1], "linear"),
            ([-1, 10, 100], "linear"),
            ([5], "linear"),
        ],
    )
    def test_numbers_that_span_decades_get_a_log_axis(self, values, scale):
        ax = SensitivityDisplay.from_cv_results(curve(values[::-1]), params="a").ax_
        assert ax.get_xscale() == scale
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), values)
        assert ticks(ax.xaxis) == [f"{value:g}" for value in values]

    @pytest.mark.parametrize(
        ("values", "names"),
        [
            ([None, 100], ["None", "100"]),
            (["sum", "product", None], ["sum", "product", "None"]),
            ([True, False], ["True", "False"]),
            (["learned", [0.5, 0.5]], ["learned", "[0.5, 0.5]"]),
            ([np.array([0.5, 0.5]), np.array([0.1, 0.9])], ["array([0.5, 0.5])"]),
        ],
    )
    def test_other_values_are_categories_without_a_line(self, values, names):
        ax = SensitivityDisplay.from_cv_results(curve(values)).ax_
        assert ticks(ax.xaxis)[: len(names)] == names
        assert ax.lines[0].get_linestyle() == "None"
        np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.5, 1.5, 2.5][: len(values)])

    def test_one_split_has_no_spread(self):
        ax = SensitivityDisplay.from_cv_results(results(({"a": 1}, [3]), ({"a": 2}, [4]))).ax_
        assert not ax.collections
        assert ax.get_title().startswith("1 split")

    def test_all_that_are_best_are_marked(self):
        tied = results(*(({"a": a, "b": b}, [min(a * b, 2)]) for a in (1, 2) for b in (1, 2)))
        places = [patch.get_xy() for patch in SensitivityDisplay.from_cv_results(tied).ax_.patches]
        assert places == [(0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)]
        line = results(({"a": 1}, [2]), ({"a": 2}, [1]), ({"a": 3}, [2]))
        diamonds = SensitivityDisplay.from_cv_results(line).ax_.lines[1]
        np.testing.assert_array_equal(diamonds.get_xdata(), [1, 3])

    def test_what_was_not_tried_or_failed_is_blank(self):
        found = results(
            ({"a": 1, "b": 1}, [1, 1]), ({"a": 2, "b": 1}, [2, np.nan]), ({"a": 1, "b": 2}, [3, 3])
        )
        display = SensitivityDisplay.from_cv_results(found)
        np.testing.assert_array_equal(
            display.ax_.images[0].get_array().mask, [[False, True], [False, True]]
        )
        assert [text.get_text() for text in display.ax_.texts] == ["1.00", "3.00"]

    def test_cells_tell_tiny_scores_apart(self):
        pairs = [({"a": a, "b": b}, [(a + b) * 1e-9]) for a in (1, 2) for b in (1, 2)]
        ax = SensitivityDisplay.from_cv_results(results(*pairs)).ax_
        assert {text.get_text() for text in ax.texts} == {"2e-09", "3e-09", "4e-09"}

    def test_a_value_at_which_a_split_failed_is_marked(self):
        found = results(({"a": 1}, [0.1, 0.2]), ({"a": 2}, [0.2, 0.3]), ({"a": 5}, [0.9, np.nan]))
        ax = SensitivityDisplay.from_cv_results(found).ax_
        (crosses,) = [line for line in ax.lines if line.get_marker() == "x"]
        assert list(crosses.get_xdata()) == [5]
        assert ax.get_xlim()[1] > 5
        assert "split failed: cross" in ax.get_title().replace("\n", " ")

    @pytest.mark.parametrize(
        "values, names",
        [
            ([4096, 8192, 16384, 32768], ["4096", "8192", "16384", "32768"]),
            ([0.10001, 0.10002, 0.10003], ["0.10001", "0.10002", "0.10003"]),
            ([f"sentence-transformers/{name}" for name in ("L6", "L12")], [".*L6", ".*L12"]),
            (["$y_{$", "$5 to $10"], [r"\\\$y_{\\\$", r"\\\$5 to \\\$10"]),
            ([1.0, float("nan"), np.float64("nan")], ["1", "nan"]),
        ],
    )
    def test_names_of_ticks_tell_values_apart(self, values, names):
        found = results(*(({"a": value}, [0.1]) for value in values))
        display = SensitivityDisplay.from_cv_results(found)
        display.figure_.canvas.draw()
        drawn = [label.get_text() for label in display.ax_.get_xticklabels()]
        assert len(drawn) == len(names)
        for text, expected in zip(drawn, names, strict=True):
            assert re.fullmatch(expected, text)

    @pytest.mark.parametrize("values", [[0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 0.9, 1]])
    def test_names_of_ticks_do_not_meet(self, values):
        found = results(*(({"a": value}, [0.1]) for value in values))
        display = SensitivityDisplay.from_cv_results(found)
        display.figure_.canvas.draw()
        labels = display.ax_.get_xticklabels()
        bases = [label.get_window_extent().x1 for label in labels]  # aslant: where they end
        assert np.diff(bases).min() > labels[0].get_fontsize()

    def test_a_line_has_its_colour_from_the_user_and_the_band_with_it(self):
        found = results(({"a": 1}, [0.1, 0.2]), ({"a": 2}, [0.2, 0.3]))
        ax = SensitivityDisplay.from_cv_results(found, c="red", lw=3).ax_
        red = matplotlib.colors.to_rgb("red")
        assert matplotlib.colors.to_rgb(ax.lines[0].get_color()) == red
        assert ax.lines[0].get_linewidth() == 3
        assert tuple(ax.collections[0].get_facecolor()[0, :3]) == red

    def test_metrics_are_chosen_by_name(self):
        found = results(({"a": 1}, [1, 2]), ({"a": 2}, [3, 4]), metric="ndcg@10")
        found |= {"split0_test_recall": np.array([9, 8]), "split1_test_recall": np.array([7, 6])}
        ax = SensitivityDisplay.from_cv_results(found, metric="recall").ax_
        assert ax.get_ylabel() == "recall"
        np.testing.assert_allclose(ax.lines[0].get_ydata(), [8, 7])
        message = r"metric must be one of \['ndcg@10', 'recall'\]; got"
        for metric in (None, "score", "map"):
            with pytest.raises(ValueError, match=f"{message} {metric!r}"):
                SensitivityDisplay.from_cv_results(found, metric=metric)

    def test_the_only_metric_can_be_named_if_the_search_does_not(self, search):
        found = search.cv_results_
        made = SensitivityDisplay.from_cv_results
        assert made(found, params="learning_rate").ax_.get_ylabel() == "score"
        assert made(found, params="learning_rate", metric="ndcg").ax_.get_ylabel() == "ndcg"
        with pytest.raises(ValueError, match=r"metric must be one of \['ndcg@5'\]; got 'recall'"):
            SensitivityDisplay.from_search(search, params="learning_rate", metric="recall")

    def test_a_data_frame_will_do(self):
        found = pd.DataFrame(curve([1, 2, 3]))
        ax = SensitivityDisplay.from_cv_results(found).ax_
        np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.5, 1.5, 2.5])

    def test_parameters_that_only_some_candidates_have(self):
        found = results(
            ({"kind": "x"}, [9, 9]),
            ({"kind": "y", "a": 1}, [1, 1]),
            ({"kind": "y", "a": 2}, [2, 2]),
        )
        with pytest.warns(UserWarning, match="has no a and is not drawn"):
            display = SensitivityDisplay.from_cv_results(found, params="a")
        assert display.params == {"a": [1, 2]}
        assert display.fixed == {"kind": "y"}

    def test_a_winner_that_cannot_be_drawn_is_told_of(self):
        found = results(
            ({"kind": "x"}, [9]), ({"kind": "y", "a": 1}, [2]), ({"kind": "y", "a": 2}, [3])
        )
        with pytest.warns(
            UserWarning, match=r"\{'kind': 'x'\}, has no a and is not drawn"
        ) as caught:
            display = SensitivityDisplay.from_cv_results(found)
        assert caught[0].filename == __file__
        assert display.params == {"kind": ["y"], "a": [1, 2]}

    def test_a_randomized_search_is_drawn_as_points(self):
        rng = np.random.default_rng(0)
        tried = [{"a": 10 ** rng.uniform(-3, 0), "b": rng.uniform()} for _ in range(12)]
        scores = rng.uniform(size=(12, 2))
        scores[3, 0] = np.nan
        found = results(*zip(tried, scores.tolist(), strict=True))
        display = SensitivityDisplay.from_cv_results(found, metric="recall@$20$")
        ax = display.ax_
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
        (points,) = ax.collections
        means = scores.mean(axis=1)
        places = map(tuple, points.get_offsets().tolist())
        drawn = dict(zip(places, points.get_array().tolist(), strict=True))
        expected = {(c["a"], c["b"]): m for c, m in zip(tried, means, strict=True) if m == m}
        assert drawn == expected
        crosses, ring = ax.lines
        assert crosses.get_xydata().tolist() == [[tried[3]["a"], tried[3]["b"]]]
        best = tried[int(np.nanargmax(means))]
        assert ring.get_xydata().tolist() == [[best["a"], best["b"]]]
        assert display.figure_.axes[1].get_ylabel() == r"recall@\$20\$"
        with pytest.raises(ValueError, match=r"params \['a'\] leave the best .* value of b: give"):
            SensitivityDisplay.from_cv_results(found, params="a")

    def test_points_without_neighbours_show_their_spread(self):
        found = curve([1, 2, 3, 4])
        found["split0_test_score"][1] = np.inf  # is no score either
        ax = SensitivityDisplay.from_cv_results(found).ax_
        lines = matplotlib.collections.LineCollection
        (bars,) = [found for found in ax.collections if isinstance(found, lines)]
        assert [segment[0, 0] for segment in bars.get_segments()] == [1]

    def test_the_title_names_what_is_best(self):
        found = results(*(({"a": a}, [-abs(a)]) for a in (-100, 0, 1, 100)))
        title = SensitivityDisplay.from_cv_results(found).ax_.get_title()
        assert "best: a=0 (diamond)" in title.replace("\n", " ")

    @pytest.mark.parametrize("values", [[1, 2, 3], ["x", "y", "z"]])
    @pytest.mark.parametrize("style", [{"fmt": "s--"}, {"fmt": "none"}, {"yerr": 0.01}])
    def test_keywords_of_error_bars(self, values, style):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ax = SensitivityDisplay.from_cv_results(curve(values), **style).ax_
        assert (ax.lines[0].get_marker() == "s") == (style.get("fmt") == "s--")

    def test_halving_shows_the_iteration_that_had_all_candidates(self):
        search = HalvingGridSearchCV(
            MDERecommender(n_factors=4, random_state=0),
            {"alpha": [0.0, 0.1]},
            resource="max_epochs",
            min_resources=1,
            max_resources=2,
            factor=2,
            cv=InteractionKFold(2, random_state=0),
            scoring=make_ranking_scorer("ndcg", k=5),
            refit=False,
        ).fit(X, item_features=FEATURES)
        display = SensitivityDisplay.from_search(search)
        first = search.cv_results_["iter"] == 0
        assert display.params == {"alpha": [0.0, 0.1]}
        np.testing.assert_allclose(
            display.scores.mean(axis=-1), search.cv_results_["mean_test_score"][first]
        )

    def test_many_values_have_fewer_names(self):
        found = results(*(({"a": a, "b": f"b{b}"}, [a + b]) for a in range(12) for b in range(40)))
        ax = SensitivityDisplay.from_cv_results(found).ax_
        check_layout(ax.figure)
        assert len(ticks(ax.yaxis)) < 20
        assert ticks(ax.yaxis)[1] == f"b{int(ax.get_yticks()[1])}"
        assert not ax.texts  # the numbers would not fit

    @pytest.mark.parametrize(
        ("params", "error", "message"),
        [
            (None, ValueError, r"params must name one or two .* as 3 .* \['a', 'b', 'c'\]"),
            ("d", ValueError, r"params has 'd', but the search varied \['a', 'b', 'c'\]"),
            (["a", "b", "c"], ValueError, "params must be one or two different names"),
            (["a", "a"], ValueError, "params must be one or two different names"),
            ([], ValueError, "params must be one or two different names"),
            ([1], TypeError, "params must be one or two names"),
        ],
    )
    def test_params(self, params, error, message):
        found = results(*(({"a": i, "b": i, "c": i}, [i]) for i in range(3)))
        with pytest.raises(error, match=message):
            SensitivityDisplay.from_cv_results(found, params=params)
        assert not plt.get_fignums()

    @pytest.mark.parametrize(
        ("found", "error", "message"),
        [
            ({}, TypeError, "cv_results must be the cv_results_ of a search"),
            ([1], TypeError, "cv_results must be .* got list"),
            ({"params": [{"a": 1}]}, TypeError, "'split0_test_score'"),
            (curve([1, 1]), ValueError, "params must name one or two parameters, as 0"),
            (
                results(({"a": 1}, [np.nan]), ({"a": 2}, [np.nan])),
                ValueError,
                "cv_results has no candidate with a whose scores are numbers in all splits",
            ),
            (
                {"params": ["{'a': 1}"], "split0_test_score": [1.0]},
                TypeError,
                "cv_results must have dicts in 'params', .* CSV",
            ),
            (
                results(({"a": 1}, [1]), ({"b": 2}, [1])),
                ValueError,
                r"params \['a', 'b'\] were never varied together",
            ),
        ],
    )
    def test_cv_results(self, found, error, message):
        params = ["a", "b"] if "together" in message else None
        with pytest.raises(error, match=message):
            SensitivityDisplay.from_cv_results(found, params=params)
        assert not plt.get_fignums()

    def test_search(self, search):
        unfitted = GridSearchCV(MDERecommender(), {"alpha": [0.1]})
        with pytest.raises(NotFittedError):
            SensitivityDisplay.from_search(unfitted)
        for wrong in (GridSearchCV, search.cv_results_):
            with pytest.raises(TypeError, match="search must be a fitted GridSearchCV"):
                SensitivityDisplay.from_search(wrong)
        with pytest.raises(TypeError, match="metric must be a str or None; got 3"):
            SensitivityDisplay.from_search(search, metric=3)


class TestEmbedding:
    def test_points_are_the_projections_of_features_and_of_vectors(self, mde):
        display = EmbeddingDisplay.from_estimator(mde, FEATURES, random_state=0)
        titles = ["image, before", "text, before", "image, after", "text, after"]
        assert [ax.get_title() for ax in display.ax_] == titles
        has_text = np.isfinite(FEATURES["text"]).all(axis=1)
        vectors = [
            (FEATURES["text"][has_text], display.ax_[1]),
            (mde.item_embedding_[:, 8:], display.ax_[3]),
        ]
        for values, ax in vectors:
            pca = PCA(2).fit(values.astype(float))
            drawn = np.ma.filled(ax.collections[0].get_offsets(), np.nan)
            drawn = drawn[np.isfinite(drawn).all(axis=1)]
            np.testing.assert_allclose(np.abs(drawn), np.abs(pca.transform(values)), atol=1e-4)
            assert ax.get_xlabel() == f"PC 1 ({pca.explained_variance_ratio_[0]:.0%} var.)"
            assert ax.get_ylabel() == f"PC 2 ({pca.explained_variance_ratio_[1]:.0%} var.)"

    def test_after_alone_without_features(self, mde, mdsrec, ids_only):
        panels = EmbeddingDisplay.from_estimator(mde).points
        assert list(panels) == [("after", "image"), ("after", "text")]
        points = EmbeddingDisplay.from_estimator(mdsrec).points["after", "text"]
        expected = PCA(2).fit_transform(mdsrec.item_embedding_[:, 8:16].astype(float))
        np.testing.assert_allclose(np.abs(points), np.abs(expected), atol=1e-4)
        assert list(EmbeddingDisplay.from_estimator(ids_only).points) == [("after", "id")]

    def test_one_panel_where_modalities_are_summed(self):
        model = MDERecommender(n_factors=8, max_epochs=1, fusion="sum", random_state=0)
        model.fit(X, item_features=FEATURES)
        display = EmbeddingDisplay.from_estimator(model, FEATURES)
        assert list(display.points)[-1] == ("after", "all modalities")
        assert len(display.ax_) == 3

    def test_a_sample_of_many_items(self, mde):
        make = EmbeddingDisplay.from_estimator
        display = make(mde, FEATURES, max_items=20, random_state=0, labels=np.arange(50))
        assert len(set(display.item_ids)) == 20
        np.testing.assert_array_equal(display.labels, display.item_ids)
        assert {len(points) for points in display.points.values()} == {20}
        again = make(mde, FEATURES, max_items=20, random_state=0)
        np.testing.assert_array_equal(display.item_ids, again.item_ids)
        for panel, points in display.points.items():
            np.testing.assert_array_equal(points, again.points[panel])
        assert len(make(mde, max_items=None).item_ids) == 50

    @pytest.mark.parametrize("max_items", [1, 2, 5, 30])
    @pytest.mark.parametrize("method", ["pca", "tsne"])
    def test_few_items(self, max_items, method, mde):
        display = EmbeddingDisplay.from_estimator(
            mde, method=method, max_items=max_items, random_state=0
        )
        points = display.points["after", "image"]
        assert points.shape == (max_items, 2)
        assert np.isfinite(points).all()
        if method == "tsne" and max_items > 3:
            assert display.ax_[0].get_xlabel() == "t-SNE 1"

    def test_features_of_one_column(self):
        features = {"price": np.arange(50.0)[:, None], "same": np.ones((50, 3))}
        model = MDERecommender(n_factors=1, max_epochs=1, random_state=0)
        model.fit(X, item_features=features)
        display = EmbeddingDisplay.from_estimator(model, features)
        price = display.points["before", "price"]
        np.testing.assert_allclose(np.abs(price[:, 0]), np.abs(np.arange(50) - 24.5))
        assert not price[:, 1].any()
        assert not display.points["before", "same"].any()

    @pytest.mark.parametrize("method", ["pca", "tsne"])
    @pytest.mark.parametrize("scale", [0, 1e30])
    def test_features_that_are_all_the_same_or_huge(self, method, scale):
        features = {"v": np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32) * scale}
        model = MDERecommender(n_factors=8, max_epochs=1, random_state=0)
        model.fit(X, item_features=features)
        found = EmbeddingDisplay.from_estimator(model, features, method=method, random_state=0)
        before = found.points["before", "v"]
        assert np.isfinite(before).all()
        assert (before == 0).all() == (scale == 0)

    def test_numbers_have_the_same_colours_in_all_panels(self, mde):
        labels = np.arange(50, dtype=object)
        labels[[0, 3]] = None, pd.NA
        display = EmbeddingDisplay.from_estimator(mde, FEATURES, labels=labels, random_state=0)
        drawn = [c for ax in display.ax_ for c in ax.collections if c.get_array() is not None]
        assert len(drawn) == len(display.points)
        assert {(c.norm.vmin, c.norm.vmax) for c in drawn} == {(1, 49)}

    def test_colours_of_the_user_take_the_place_of_ours(self, mde):
        labels = np.arange(50, dtype=object)
        labels[0] = None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            chosen = {"labels": labels, "cmap": "magma", "vmin": 10}
            display = EmbeddingDisplay.from_estimator(mde, FEATURES, **chosen)
            red = EmbeddingDisplay.from_estimator(mde, FEATURES, c="red")
        drawn = [c for ax in display.ax_ for c in ax.collections if c.get_array() is not None]
        assert {(c.cmap.name, c.norm.vmin, c.norm.vmax) for c in drawn} == {("magma", 10, 49)}
        colors = np.vstack([c.get_facecolor() for ax in red.ax_ for c in ax.collections])
        assert (colors[:, :3] == matplotlib.colors.to_rgb("red")).all()

    def test_a_label_that_is_called_as_one_of_ours(self, mde):
        labels = ["no label", None] * 25
        legend = EmbeddingDisplay.from_estimator(mde, labels=labels).ax_[-1].get_legend()
        assert [text.get_text() for text in legend.get_texts()] == ["no label", "no label"]

    def test_labels_that_matplotlib_would_read_otherwise(self, mde):
        labels = ["_x", "$5 to $10"] * 25
        legend = EmbeddingDisplay.from_estimator(mde, FEATURES, labels=labels).ax_[1].get_legend()
        texts = {text.get_text() for text in legend.get_texts()}
        assert texts == {"_x", r"\$5 to \$10"}

    def test_labels_are_a_legend(self, mde):
        labels = np.array(["hat", "shoe", None], dtype=object)[np.arange(50) % 3]
        display = EmbeddingDisplay.from_estimator(mde, labels=labels, label_name="kind")
        legend = display.ax_[-1].get_legend()
        assert legend.get_title().get_text() == "kind"
        assert [text.get_text() for text in legend.get_texts()] == ["hat", "shoe", "no label"]
        hats = display.ax_[0].collections[0].get_offsets()
        np.testing.assert_allclose(hats, display.points["after", "image"][::3])

    def test_rare_labels_are_grey(self, mde):
        labels = [f"kind {min(i // 4, 9)}" for i in range(50)]
        legend = EmbeddingDisplay.from_estimator(mde, labels=labels).ax_[-1].get_legend()
        names = [text.get_text() for text in legend.get_texts()]
        assert names == ["kind 9", *(f"kind {i}" for i in range(5)), "4 others"]

    def test_many_numbers_are_a_colour_bar(self, mde):
        labels = np.where(np.arange(50) < 5, np.nan, np.arange(50))
        display = EmbeddingDisplay.from_estimator(mde, labels=labels, label_name="year")
        assert display.figure_.axes[-1].get_ylabel() == "year (grey: none)"
        without, coloured = display.ax_[0].collections
        assert len(without.get_offsets()) == 5
        np.testing.assert_array_equal(coloured.get_array(), np.arange(5, 50))

    @pytest.mark.parametrize(
        "labels, names",
        [
            (np.resize([10, 5, 20, 10], 50), ["5", "10", "20"]),
            (np.resize([0.1 + 0.2, 0.5], 50), ["0.3", "0.5"]),
            (
                np.resize(np.array(["2020-01-01", "2021"], "M8[ns]"), 50),
                ["2020-01-01", "2021"],
            ),
            (np.resize([f"{'long ' * 20}{i}" for i in range(2)], 50), ["...", "..."]),
        ],
    )
    def test_names_in_the_legend(self, labels, names, mde):
        legend = EmbeddingDisplay.from_estimator(mde, labels=labels).ax_[-1].get_legend()
        texts = [text.get_text() for text in legend.get_texts()]
        assert len(texts) == len(set(texts)) == len(names)
        assert all(text.startswith(name) for text, name in zip(texts, names, strict=True))
        assert max(map(len, texts)) <= 24

    @pytest.mark.parametrize("labels", [None, np.arange(50) % 3, np.arange(50.0)])
    def test_values_for_single_items(self, labels, mde):
        sizes = np.arange(1.0, 51)
        style = {"s": sizes, "alpha": np.linspace(0, 1, 50), "cmap": "magma"}
        if labels is None:
            style["c"] = sizes
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            display = EmbeddingDisplay.from_estimator(mde, labels=labels, **style)
        drawn = np.concatenate([points.get_sizes() for points in display.ax_[0].collections])
        np.testing.assert_array_equal(np.sort(drawn), sizes)

    @pytest.mark.parametrize("name", ["c", "color"])
    def test_colours_beside_labels(self, name, mde):
        with pytest.raises(ValueError, match=f"{name} cannot be given beside labels"):
            EmbeddingDisplay.from_estimator(mde, labels=np.arange(50), **{name: "red"})

    @pytest.mark.parametrize("style", [{}, {"marker": "^", "facecolors": "none", "linewidth": 1}])
    def test_the_legend_shows_what_the_points_look_like(self, style, mde):
        display = EmbeddingDisplay.from_estimator(mde, labels=np.arange(50) % 2, **style)
        handles = display.ax_[-1].get_legend().legend_handles
        for handle, points in zip(handles, display.ax_[0].collections, strict=True):
            assert handle.get_marker() == style.get("marker", "o")
            assert handle.get_markeredgecolor() == pytest.approx(points.get_edgecolor()[0, :3])
            hollow = isinstance(handle.get_markerfacecolor(), str)
            assert hollow == ("facecolors" in style)

    def test_parameters_set_after_the_fit_change_nothing(self, mde, mdsrec):
        for model in (mde, mdsrec):
            later = copy.deepcopy(model).set_params(n_factors=16)
            assert list(EmbeddingDisplay.from_estimator(later).points) == [
                ("after", "image"),
                ("after", "text"),
            ]

    def test_few_numbers_are_a_legend(self, mde):
        display = EmbeddingDisplay.from_estimator(mde, labels=np.arange(50) % 2 == 0)
        names = [text.get_text() for text in display.ax_[-1].get_legend().get_texts()]
        assert names == ["False", "True"]

    @pytest.mark.parametrize(
        ("kwargs", "error", "message"),
        [
            ({"method": "umap"}, ValueError, "method must be 'pca' or 'tsne'; got 'umap'"),
            ({"max_items": 0}, ValueError, "max_items must be 1 or more; got 0"),
            ({"max_items": "all"}, TypeError, "max_items must be an int"),
            ({"labels": [1, 2]}, ValueError, r"labels must be .* \(50,\); got shape \(2,\)"),
            ({"random_state": "x"}, ValueError, "seed"),
            ({"item_features": FEATURES["image"]}, TypeError, "item_features must be a dict"),
            (
                {"item_features": {"image": FEATURES["image"]}},
                ValueError,
                r"item_features has \['image'\], but MDERecommender was fitted with "
                r"\['image', 'text'\]",
            ),
            (
                {"item_features": {"image": FEATURES["image"][:9]}},
                ValueError,
                r"item_features\['image'\] has 9 rows",
            ),
        ],
    )
    def test_arguments(self, kwargs, error, message, mde):
        with pytest.raises(error, match=message):
            EmbeddingDisplay.from_estimator(mde, **kwargs)
        assert not plt.get_fignums()


class TestAllDisplays:
    @pytest.fixture(params=[*FROM_ESTIMATOR, SensitivityDisplay], ids=lambda cls: cls.__name__)
    def draw(self, request, mde, search):
        """A function that draws, with what it is given passed on."""
        if request.param is SensitivityDisplay:
            return lambda **kwargs: SensitivityDisplay.from_search(search, **kwargs)
        return lambda **kwargs: request.param.from_estimator(mde, **kwargs)

    def test_one_figure_each_time(self, draw):
        display = draw()
        assert plt.get_fignums() == [display.figure_.number]
        check_layout(display.figure_)
        assert display.plot() is display
        assert len(plt.get_fignums()) == 2

    @pytest.mark.parametrize("layout", ["constrained", "tight", None])
    def test_the_given_axes_are_used(self, draw, layout):
        figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout=layout)
        display = draw(ax=right)
        assert display.figure_ is figure
        assert plt.get_fignums() == [figure.number]
        assert not left.lines and not left.collections and not left.images
        check_layout(figure)
        for ax in np.ravel(display.ax_):
            assert ax.figure is figure
            assert ax.get_position().x0 >= left.get_position().x1

    def test_a_legend_stays_in_axes_that_cannot_make_room(self, mde):
        figure, ax = plt.subplots()
        legend = PreferenceDisplay.from_estimator(mde, ax=ax).ax_[-1].get_legend()
        figure.canvas.draw()
        inside, whole = legend.get_window_extent(), figure.bbox
        assert inside.x1 <= whole.x1 and inside.y1 <= whole.y1

    def test_panels_in_one_axes_do_not_meet(self, mde):
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

    def test_one_axes_for_each_panel(self, draw):
        n_panels = np.size(draw().ax_)
        _, axes = plt.subplots(n_panels, squeeze=False)
        display = draw(ax=axes)
        assert list(np.ravel(display.ax_)) == list(axes.ravel())
        with pytest.raises(ValueError, match=f"ax must be one Axes or {n_panels}, .* got 11"):
            draw(ax=[axes[0, 0]] * 11)

    @pytest.mark.parametrize("ax", ["left", 3, [1, 2]])
    def test_anything_else_is_no_axes(self, draw, ax):
        with pytest.raises(TypeError, match="ax must be matplotlib Axes"):
            draw(ax=ax)
        assert not plt.get_fignums()

    def test_a_figure_that_failed_is_closed(self, draw):
        with pytest.raises(AttributeError, match="no_such_property"):
            draw(no_such_property=1)
        assert not plt.get_fignums()

    def test_nothing_that_was_passed_in_is_changed(self, mde, search):
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
    def test_unfitted(self, cls):
        with pytest.raises(NotFittedError):
            cls.from_estimator(MDERecommender())
        assert not plt.get_fignums()

    @pytest.mark.parametrize("cls", FROM_ESTIMATOR)
    def test_no_recommender(self, cls, search):
        for wrong in (KMeans(), MDERecommender, search, None):
            with pytest.raises(TypeError, match="estimator must be a recommender of recsk; got"):
                cls.from_estimator(wrong)


def test_without_matplotlib(monkeypatch, mde, search):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for cls in FROM_ESTIMATOR:
        with pytest.raises(ImportError, match="pip install matplotlib"):
            cls.from_estimator(mde)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        SensitivityDisplay.from_search(search)


@pytest.mark.slow
def test_importing_does_not_need_matplotlib():
    code = "import sys, recsk; print('recsk.plotting' in sys.modules); import recsk.plotting; "
    code += "print('matplotlib' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.split() == ["False", "False"]
