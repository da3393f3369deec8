import re
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV

from recsk import MDERecommender
from recsk.model_selection import InteractionKFold, make_ranking_scorer
from recsk.plotting import SensitivityDisplay
from tests.plotting.shared import FEATURES, X, check_layout, make_curve, make_results, tick_names

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402


class TestSensitivityDisplay:
    def test_a_search_over_two_parameters_is_drawn_as_a_heat_map(self, search):
        display = SensitivityDisplay.from_search(search)
        ax, found = display.ax_, search.cv_results_
        assert display.params == {"learning_rate": [0.001, 0.1], "loss": ["softmax", "bpr"]}
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("learning_rate", "loss")
        assert tick_names(ax.xaxis) == ["0.001", "0.1"]
        assert tick_names(ax.yaxis) == ["softmax", "bpr"]
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

    def test_the_parameter_that_is_not_drawn_keeps_its_best_value(self, search):
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
        ax = SensitivityDisplay.from_cv_results(make_curve(values[::-1]), params="a").ax_
        assert ax.get_xscale() == scale
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), values)
        assert tick_names(ax.xaxis) == [f"{value:g}" for value in values]

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
    def test_values_that_are_not_numbers_are_categories_without_a_line(self, values, names):
        ax = SensitivityDisplay.from_cv_results(make_curve(values)).ax_
        assert tick_names(ax.xaxis)[: len(names)] == names
        assert ax.lines[0].get_linestyle() == "None"
        np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.5, 1.5, 2.5][: len(values)])

    def test_one_split_has_no_spread(self):
        ax = SensitivityDisplay.from_cv_results(make_results(({"a": 1}, [3]), ({"a": 2}, [4]))).ax_
        assert not ax.collections
        assert ax.get_title().startswith("1 split")

    def test_all_tied_best_values_are_marked(self):
        tied = make_results(*(({"a": a, "b": b}, [min(a * b, 2)]) for a in (1, 2) for b in (1, 2)))
        places = [patch.get_xy() for patch in SensitivityDisplay.from_cv_results(tied).ax_.patches]
        assert places == [(0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)]
        line = make_results(({"a": 1}, [2]), ({"a": 2}, [1]), ({"a": 3}, [2]))
        diamonds = SensitivityDisplay.from_cv_results(line).ax_.lines[1]
        np.testing.assert_array_equal(diamonds.get_xdata(), [1, 3])

    def test_combinations_that_were_not_tried_or_failed_are_blank(self):
        found = make_results(
            ({"a": 1, "b": 1}, [1, 1]), ({"a": 2, "b": 1}, [2, np.nan]), ({"a": 1, "b": 2}, [3, 3])
        )
        display = SensitivityDisplay.from_cv_results(found)
        np.testing.assert_array_equal(
            display.ax_.images[0].get_array().mask, [[False, True], [False, True]]
        )
        assert [text.get_text() for text in display.ax_.texts] == ["1.00", "3.00"]

    def test_cell_values_show_tiny_differences(self):
        pairs = [({"a": a, "b": b}, [(a + b) * 1e-9]) for a in (1, 2) for b in (1, 2)]
        ax = SensitivityDisplay.from_cv_results(make_results(*pairs)).ax_
        assert {text.get_text() for text in ax.texts} == {"2e-09", "3e-09", "4e-09"}

    def test_a_value_at_which_a_split_failed_is_marked(self):
        found = make_results(
            ({"a": 1}, [0.1, 0.2]), ({"a": 2}, [0.2, 0.3]), ({"a": 5}, [0.9, np.nan])
        )
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
    def test_tick_names_of_different_values_differ(self, values, names):
        found = make_results(*(({"a": value}, [0.1]) for value in values))
        display = SensitivityDisplay.from_cv_results(found)
        display.figure_.canvas.draw()
        drawn = [label.get_text() for label in display.ax_.get_xticklabels()]
        assert len(drawn) == len(names)
        for text, expected in zip(drawn, names, strict=True):
            assert re.fullmatch(expected, text)

    @pytest.mark.parametrize("values", [[0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 0.9, 1]])
    def test_tick_names_do_not_overlap(self, values):
        found = make_results(*(({"a": value}, [0.1]) for value in values))
        display = SensitivityDisplay.from_cv_results(found)
        display.figure_.canvas.draw()
        labels = display.ax_.get_xticklabels()
        bases = [label.get_window_extent().x1 for label in labels]  # slanted names end here
        assert np.diff(bases).min() > labels[0].get_fontsize()

    def test_the_line_and_the_band_have_the_given_colour(self):
        found = make_results(({"a": 1}, [0.1, 0.2]), ({"a": 2}, [0.2, 0.3]))
        ax = SensitivityDisplay.from_cv_results(found, c="red", lw=3).ax_
        red = matplotlib.colors.to_rgb("red")
        assert matplotlib.colors.to_rgb(ax.lines[0].get_color()) == red
        assert ax.lines[0].get_linewidth() == 3
        assert tuple(ax.collections[0].get_facecolor()[0, :3]) == red

    def test_a_metric_is_chosen_by_name(self):
        found = make_results(({"a": 1}, [1, 2]), ({"a": 2}, [3, 4]), metric="ndcg@10")
        found |= {"split0_test_recall": np.array([9, 8]), "split1_test_recall": np.array([7, 6])}
        ax = SensitivityDisplay.from_cv_results(found, metric="recall").ax_
        assert ax.get_ylabel() == "recall"
        np.testing.assert_allclose(ax.lines[0].get_ydata(), [8, 7])
        message = r"metric must be one of \['ndcg@10', 'recall'\]; got"
        for metric in (None, "score", "map"):
            with pytest.raises(ValueError, match=f"{message} {metric!r}"):
                SensitivityDisplay.from_cv_results(found, metric=metric)

    def test_the_only_metric_can_be_named_if_the_search_has_no_name_for_it(self, search):
        found = search.cv_results_
        draw = SensitivityDisplay.from_cv_results
        assert draw(found, params="learning_rate").ax_.get_ylabel() == "score"
        assert draw(found, params="learning_rate", metric="ndcg").ax_.get_ylabel() == "ndcg"
        with pytest.raises(ValueError, match=r"metric must be one of \['ndcg@5'\]; got 'recall'"):
            SensitivityDisplay.from_search(search, params="learning_rate", metric="recall")

    def test_cv_results_can_be_a_data_frame(self):
        found = pd.DataFrame(make_curve([1, 2, 3]))
        ax = SensitivityDisplay.from_cv_results(found).ax_
        np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.5, 1.5, 2.5])

    def test_parameters_that_only_some_candidates_have(self):
        found = make_results(
            ({"kind": "x"}, [9, 9]),
            ({"kind": "y", "a": 1}, [1, 1]),
            ({"kind": "y", "a": 2}, [2, 2]),
        )
        with pytest.warns(UserWarning, match="has no a and is not drawn"):
            display = SensitivityDisplay.from_cv_results(found, params="a")
        assert display.params == {"a": [1, 2]}
        assert display.fixed == {"kind": "y"}

    def test_a_warning_if_the_best_candidate_cannot_be_drawn(self):
        found = make_results(
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
        found = make_results(*zip(tried, scores.tolist(), strict=True))
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
        with pytest.raises(
            ValueError, match=r"params \['a'\] leave only the best .* value of b; add"
        ):
            SensitivityDisplay.from_cv_results(found, params="a")

    def test_points_without_neighbours_have_error_bars(self):
        found = make_curve([1, 2, 3, 4])
        found["split0_test_score"][1] = np.inf  # counts as a failed split
        ax = SensitivityDisplay.from_cv_results(found).ax_
        lines = matplotlib.collections.LineCollection
        (bars,) = [artist for artist in ax.collections if isinstance(artist, lines)]
        assert [segment[0, 0] for segment in bars.get_segments()] == [1]

    def test_the_title_names_the_best_value(self):
        found = make_results(*(({"a": a}, [-abs(a)]) for a in (-100, 0, 1, 100)))
        title = SensitivityDisplay.from_cv_results(found).ax_.get_title()
        assert "best: a=0 (diamond)" in title.replace("\n", " ")

    @pytest.mark.parametrize("values", [[1, 2, 3], ["x", "y", "z"]])
    @pytest.mark.parametrize("style", [{"fmt": "s--"}, {"fmt": "none"}, {"yerr": 0.01}])
    def test_keywords_of_error_bars_are_passed_on(self, values, style):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ax = SensitivityDisplay.from_cv_results(make_curve(values), **style).ax_
        assert (ax.lines[0].get_marker() == "s") == (style.get("fmt") == "s--")

    def test_halving_shows_the_iteration_with_all_candidates(self):
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

    def test_many_values_have_fewer_tick_names(self):
        found = make_results(
            *(({"a": a, "b": f"b{b}"}, [a + b]) for a in range(12) for b in range(40))
        )
        ax = SensitivityDisplay.from_cv_results(found).ax_
        check_layout(ax.figure)
        assert len(tick_names(ax.yaxis)) < 20
        assert tick_names(ax.yaxis)[1] == f"b{int(ax.get_yticks()[1])}"
        assert not ax.texts  # the numbers would not fit

    @pytest.mark.parametrize(
        ("params", "error", "message"),
        [
            (None, ValueError, r"params must name one or two .* because 3 .* \['a', 'b', 'c'\]"),
            ("d", ValueError, r"params has 'd', but the search varied \['a', 'b', 'c'\]"),
            (["a", "b", "c"], ValueError, "params must be one or two different names"),
            (["a", "a"], ValueError, "params must be one or two different names"),
            ([], ValueError, "params must be one or two different names"),
            ([1], TypeError, "params must be one or two names"),
        ],
    )
    def test_wrong_params_are_rejected(self, params, error, message):
        found = make_results(*(({"a": i, "b": i, "c": i}, [i]) for i in range(3)))
        with pytest.raises(error, match=message):
            SensitivityDisplay.from_cv_results(found, params=params)
        assert not plt.get_fignums()

    @pytest.mark.parametrize(
        ("found", "error", "message"),
        [
            ({}, TypeError, "cv_results must be the cv_results_ of a search"),
            ([1], TypeError, "cv_results must be .* got list"),
            ({"params": [{"a": 1}]}, TypeError, "'split0_test_score'"),
            (make_curve([1, 1]), ValueError, "params must name one or two parameters, because 0"),
            (
                make_results(({"a": 1}, [np.nan]), ({"a": 2}, [np.nan])),
                ValueError,
                "cv_results has no candidate with a that has a finite score in every split",
            ),
            (
                {"params": ["{'a': 1}"], "split0_test_score": [1.0]},
                TypeError,
                "cv_results must have dicts in 'params', .* CSV",
            ),
            (
                make_results(({"a": 1}, [1]), ({"b": 2}, [1])),
                ValueError,
                r"params \['a', 'b'\] are never together in a candidate",
            ),
        ],
    )
    def test_wrong_cv_results_are_rejected(self, found, error, message):
        params = ["a", "b"] if "together" in message else None
        with pytest.raises(error, match=message):
            SensitivityDisplay.from_cv_results(found, params=params)
        assert not plt.get_fignums()

    def test_wrong_searches_are_rejected(self, search):
        unfitted = GridSearchCV(MDERecommender(), {"alpha": [0.1]})
        with pytest.raises(NotFittedError):
            SensitivityDisplay.from_search(unfitted)
        for wrong in (GridSearchCV, search.cv_results_):
            with pytest.raises(
                TypeError, match="search must be a fitted GridSearchCV or another search"
            ):
                SensitivityDisplay.from_search(wrong)
        with pytest.raises(TypeError, match="metric must be a str or None; got 3"):
            SensitivityDisplay.from_search(search, metric=3)
