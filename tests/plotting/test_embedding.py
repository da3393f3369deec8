import copy
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from recsk import Interactions, MDERecommender
from recsk.plotting import EmbeddingDisplay
from tests.plotting.shared import FEATURES, X

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402


class TestEmbeddingDisplay:
    def test_points_are_the_projections_of_features_and_vectors(self, mde):
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

    def test_only_panels_after_training_are_drawn_without_features(self, mde, mdsrec, ids_only):
        panels = EmbeddingDisplay.from_estimator(mde).points
        assert list(panels) == [("after", "image"), ("after", "text")]
        points = EmbeddingDisplay.from_estimator(mdsrec).points["after", "text"]
        expected = PCA(2).fit_transform(mdsrec.item_embedding_[:, 8:16].astype(float))
        np.testing.assert_allclose(np.abs(points), np.abs(expected), atol=1e-4)
        assert list(EmbeddingDisplay.from_estimator(ids_only).points) == [("after", "id")]

    def test_summed_modalities_have_one_panel(self):
        model = MDERecommender(n_factors=8, max_epochs=1, fusion="sum", random_state=0)
        model.fit(X, item_features=FEATURES)
        display = EmbeddingDisplay.from_estimator(model, FEATURES)
        assert list(display.points)[-1] == ("after", "all modalities")
        assert len(display.ax_) == 3

    def test_a_sample_of_many_items_is_drawn(self, mde):
        draw = EmbeddingDisplay.from_estimator
        display = draw(mde, FEATURES, max_items=20, random_state=0, labels=np.arange(50))
        assert len(set(display.item_ids)) == 20
        np.testing.assert_array_equal(display.labels, display.item_ids)
        assert {len(points) for points in display.points.values()} == {20}
        again = draw(mde, FEATURES, max_items=20, random_state=0)
        np.testing.assert_array_equal(display.item_ids, again.item_ids)
        for panel, points in display.points.items():
            np.testing.assert_array_equal(points, again.points[panel])
        assert len(draw(mde, max_items=None).item_ids) == 50

    @pytest.mark.parametrize("max_items", [1, 2, 5, 30])
    @pytest.mark.parametrize("method", ["pca", "tsne"])
    def test_few_items_can_be_projected(self, max_items, method, mde):
        display = EmbeddingDisplay.from_estimator(
            mde, method=method, max_items=max_items, random_state=0
        )
        points = display.points["after", "image"]
        assert points.shape == (max_items, 2)
        assert np.isfinite(points).all()
        if method == "tsne" and max_items > 3:
            assert display.ax_[0].get_xlabel() == "t-SNE 1"

    def test_features_of_one_column_can_be_projected(self):
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
    def test_equal_or_huge_features_can_be_projected(self, method, scale):
        features = {"v": np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32) * scale}
        model = MDERecommender(n_factors=8, max_epochs=1, random_state=0)
        model.fit(X, item_features=features)
        display = EmbeddingDisplay.from_estimator(model, features, method=method, random_state=0)
        before = display.points["before", "v"]
        assert np.isfinite(before).all()
        assert (before == 0).all() == (scale == 0)

    def test_numbers_have_the_same_colours_in_all_panels(self, mde):
        labels = np.arange(50, dtype=object)
        labels[[0, 3]] = None, pd.NA
        display = EmbeddingDisplay.from_estimator(mde, FEATURES, labels=labels, random_state=0)
        drawn = [c for ax in display.ax_ for c in ax.collections if c.get_array() is not None]
        assert len(drawn) == len(display.points)
        assert {(c.norm.vmin, c.norm.vmax) for c in drawn} == {(1, 49)}

    def test_given_colours_replace_the_default_colours(self, mde):
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

    def test_a_label_can_be_the_text_no_label(self, mde):
        labels = ["no label", None] * 25
        legend = EmbeddingDisplay.from_estimator(mde, labels=labels).ax_[-1].get_legend()
        assert [text.get_text() for text in legend.get_texts()] == ["no label", "no label"]

    def test_labels_with_a_special_meaning_in_matplotlib_are_escaped(self, mde):
        labels = ["_x", "$5 to $10"] * 25
        legend = EmbeddingDisplay.from_estimator(mde, FEATURES, labels=labels).ax_[1].get_legend()
        texts = {text.get_text() for text in legend.get_texts()}
        assert texts == {"_x", r"\$5 to \$10"}

    def test_labels_have_a_legend(self, mde):
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

    def test_many_numbers_have_a_colour_bar(self, mde):
        labels = np.where(np.arange(50) < 5, np.nan, np.arange(50))
        display = EmbeddingDisplay.from_estimator(mde, labels=labels, label_name="year")
        assert display.figure_.axes[-1].get_ylabel() == "year (grey: no label)"
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
    def test_names_in_the_legend_are_short_and_different(self, labels, names, mde):
        legend = EmbeddingDisplay.from_estimator(mde, labels=labels).ax_[-1].get_legend()
        texts = [text.get_text() for text in legend.get_texts()]
        assert len(texts) == len(set(texts)) == len(names)
        assert all(text.startswith(name) for text, name in zip(texts, names, strict=True))
        assert max(map(len, texts)) <= 24

    @pytest.mark.parametrize("labels", [None, np.arange(50) % 3, np.arange(50.0)])
    def test_style_values_of_single_items_are_drawn(self, labels, mde):
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
    def test_colours_cannot_be_combined_with_labels(self, name, mde):
        with pytest.raises(ValueError, match=f"{name} cannot be combined with labels"):
            EmbeddingDisplay.from_estimator(mde, labels=np.arange(50), **{name: "red"})

    @pytest.mark.parametrize("style", [{}, {"marker": "^", "facecolors": "none", "linewidth": 1}])
    def test_legend_markers_look_like_the_points(self, style, mde):
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

    def test_few_numbers_have_a_legend(self, mde):
        display = EmbeddingDisplay.from_estimator(mde, labels=np.arange(50) % 2 == 0)
        names = [text.get_text() for text in display.ax_[-1].get_legend().get_texts()]
        assert names == ["False", "True"]

    @pytest.mark.parametrize(
        ("kwargs", "error", "message"),
        [
            ({"method": "umap"}, ValueError, "method must be 'pca' or 'tsne'; got 'umap'"),
            ({"max_items": 0}, ValueError, "max_items must be 1 or more; got 0"),
            ({"max_items": "all"}, TypeError, "max_items must be an int"),
            (
                {"labels": [1, 2]},
                ValueError,
                r"labels must have the shape .* \(50,\); got shape \(2,\)",
            ),
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
    def test_wrong_arguments_are_rejected(self, kwargs, error, message, mde):
        with pytest.raises(error, match=message):
            EmbeddingDisplay.from_estimator(mde, **kwargs)
        assert not plt.get_fignums()


def test_a_model_of_labels():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    items = [f"sku{i}" for i in range(12)]
    X = Interactions.from_frame(
        {"user": rng.integers(9, size=80), "item": rng.choice(items, size=80)}, item_labels=items
    )
    vectors = pd.DataFrame(rng.normal(size=(12, 3)), index=items, columns=[*"xyz"])
    colours = pd.Series(np.arange(12) % 3, index=items)
    model = MDERecommender(n_factors=4, max_epochs=1, random_state=0)
    model.fit(X, item_features={"v": vectors})
    displays = [
        EmbeddingDisplay.from_estimator(
            model,
            {"v": vectors.iloc[order, order]},  # columns are matched by name
            labels=colours.iloc[order],
            random_state=0,
        )
        for order in (slice(None), slice(None, None, -1))
    ]
    with pytest.raises(ValueError, match="'z' is missing and 'w' is unknown"):
        EmbeddingDisplay.from_estimator(model, {"v": vectors.rename(columns={"z": "w"})})
    assert displays[0].item_ids.tolist() == items
    np.testing.assert_array_equal(displays[0].labels, displays[1].labels)
    for panel, points in displays[0].points.items():
        np.testing.assert_array_equal(points, displays[1].points[panel])
