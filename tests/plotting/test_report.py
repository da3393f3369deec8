"""The HTML of a report, read by a parser; `test_report_in_browser.py` looks at it in a browser."""

import base64
from html.parser import HTMLParser

import numpy as np
import pytest

from recsk import Interactions, MDERecommender
from recsk.baselines import ItemKNNRecommender, SequentialRulesRecommender
from recsk.plotting import RecommendationReport
from recsk.plotting.pictures import picture_source
from tests.plotting.shared import DATA, FEATURES, X

pd = pytest.importorskip("pandas")

SCRIPT = "<script>document.title = 'hacked'</script>"
EVIL = f"{SCRIPT}\"'><img src=x onerror=alert(1)> & <b>bold</b>"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
VOID = {"meta", "img", "br", "hr", "link"}


class Page(HTMLParser):
    """The elements of a page, with their classes, attributes and texts."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements = [], []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, **dict(attrs), "text": ""}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def texts(self, kind):
        return [x["text"] for x in self.elements if kind in x.get("class", "").split()]

    def all(self, tag):
        return [x for x in self.elements if x["tag"] == tag]


@pytest.fixture(scope="module")
def model():
    return MDERecommender(n_factors=8, max_epochs=2, random_state=0).fit(X, item_features=FEATURES)


@pytest.fixture(scope="module")
def labelled():
    log = Interactions([0, 0, 1, 1, 2, 2], [0, 1, 1, 2, 2, 3]).with_labels(
        ["anna", "<i>ben</i>", "carl"], [("sku", 1), EVIL, "pot", "tea"]
    )
    return ItemKNNRecommender(weighting="cosine").fit(log)


def table(n=50):
    return pd.DataFrame({"title": [f"title of {i}" for i in range(n)]})


class TestPage:
    def test_it_shows_users_histories_and_recommendations(self, model):
        report = RecommendationReport.from_estimator(model, [3, 5], 4, table(), "title")
        page = Page(report.to_html())
        assert [x["text"] for x in page.all("h2")] == ["User 3", "User 5"]
        items, scores = model.recommend([3, 5], k=4)
        names = page.texts("head")
        assert len(names) == 8
        for name, item in zip(names, items.ravel(), strict=True):
            assert name.startswith(f"title of {item}")
        shown = [float(score) for score in page.texts("score")]
        np.testing.assert_allclose(shown, scores.ravel(), atol=5e-4)
        assert page.texts("legend")[0].startswith("image: contentimage: learnedtext: content")
        assert "60 users and 50 items, with image and text" in page.all("header")[0]["text"]

    def test_bars_are_the_parts(self, model):
        report = RecommendationReport.from_estimator(model, [3], 5)
        page = Page(report.to_html())
        why = report.explanation
        bars = [x for x in page.elements if x.get("class") == "bar"]
        parts = [x for x in page.elements if x.get("class") == "part"]
        assert len(bars) == 5
        drawn = {m: {} for m in range(5)}
        m = -1
        for element in page.elements:
            m += element.get("class") == "bar"
            if element.get("class") == "part":
                name, value = element["title"].rsplit(" ", 1)
                style = dict(one.split(":") for one in element["style"].split(";"))
                drawn[m][name] = float(style["width"].rstrip("%")), float(value)
        scale = []
        for m, found in drawn.items():
            for name, (width, value) in found.items():
                assert value == pytest.approx(why.parts[name][0, m], rel=5e-3)
                scale.append((abs(value), width / abs(value)))
        widest = max(scale)[1]  # of the largest part, whose text is the most exact
        for found in drawn.values():  # one scale for all items of a user
            for width, value in found.values():
                assert width == pytest.approx(widest * abs(value), rel=0.02, abs=0.02)
        assert len(parts) == sum(map(len, drawn.values()))

    def test_the_reason_is_the_item_with_the_largest_effect(self, model):
        report = RecommendationReport.from_estimator(model, [3], 4, table(), "title")
        why = report.explanation
        page = Page(report.to_html())
        reasons = page.texts("because")
        most = why.effects[0].argmax(axis=0)
        assert (why.effects[0].max(axis=0) > 0).all()
        for reason, row in zip(reasons, most, strict=True):
            assert f"title of {why.history[0][row]} +" in reason

    def test_histories_are_cut_and_counted(self, model):
        user = int(np.argmax(np.bincount(X.user)))
        n = len(np.unique(X.item[X.user == user]))
        report = RecommendationReport.from_estimator(model, [user], 2, n_history=2)
        page = Page(report.to_html())
        assert page.texts("more") == [f"and {n - 2} more"]
        effects = report.explanation.effects[0].sum(axis=1)
        first = report.explanation.history[0][np.argsort(-effects)[:2]]
        assert page.texts("history") == ["".join(map(str, first))]

    def test_ordered_histories_begin_with_the_latest(self):
        log = Interactions([0, 0, 0, 1, 1], [2, 0, 1, 1, 3], timestamp=[1, 2, 3, 1, 2])
        model = SequentialRulesRecommender().fit(log)
        page = Page(RecommendationReport.from_estimator(model, [0], 1).to_html())
        assert page.texts("history") == ["102"]

    def test_new_users_and_users_without_history(self, labelled):
        report = RecommendationReport.from_estimator(
            labelled, "anna", 2, user_items={"dora": ["pot"], "emil": []}
        )
        page = Page(report.to_html())
        assert [x["text"] for x in page.all("h2")] == ["anna", "dora", "emil"]
        assert "the most popular items" in page.all("section")[2]["text"]
        assert len(page.texts("head")) == 6

    def test_a_history_that_is_not_read_is_not_empty(self, labelled):
        why = labelled.explain(["anna"], ["pot"], history=False)
        text = Page(RecommendationReport(why).to_html()).all("section")[0]["text"]
        assert "Not looked at." in text and "None" not in text

    def test_nothing_to_recommend(self, labelled):
        everything = [("sku", 1), EVIL, "pot", "tea"]
        report = RecommendationReport.from_estimator(labelled, user_items=[everything])
        assert "Nothing to recommend" in Page(report.to_html()).all("main")[0]["text"]
        empty = RecommendationReport.from_estimator(labelled, [])
        assert "No users." in Page(empty.to_html()).all("main")[0]["text"]


class TestSafety:
    def test_names_stay_text_wherever_they_are(self):
        evil = make_evil()
        page = Page(evil.to_html())
        assert not page.all("script") and not page.all("img") and not page.all("i")
        assert all(tag["text"] != "bold" for tag in page.all("b"))
        assert EVIL in page.all("main")[0]["text"]
        assert EVIL in page.all("title")[0]["text"]
        assert f"{EVIL}: content" in page.texts("legend")[0]
        for element in page.elements:
            assert not any(name.startswith("on") for name in element)

    def test_nothing_may_run_or_load_from_elsewhere(self, model):
        page = Page(RecommendationReport.from_estimator(model, [3]).to_html())
        (policy,) = [x for x in page.all("meta") if x.get("http-equiv")]
        assert "default-src 'none'" in policy["content"]
        assert not page.all("script") and not page.all("link")
        assert "url(" not in page.all("style")[0]["text"]
        assert [x for x in page.all("meta") if x.get("name") == "viewport"]

    def test_a_notebook_shows_it_in_a_frame(self, model):
        report = RecommendationReport.from_estimator(model, [3])
        (frame,) = Page(report._repr_html_()).elements
        assert frame["tag"] == "iframe" and "sandbox" in frame
        assert frame["srcdoc"] == report.to_html()

    def test_names_that_no_file_can_hold_are_replaced(self, tmp_path):
        log = Interactions([0, 0, 1], [0, 1, 1]).with_labels(["a\ud800", "b"], ["x", "y"])
        model = ItemKNNRecommender().fit(log)
        path = tmp_path / "page.html"
        RecommendationReport.from_estimator(model, ["a\ud800"]).save(path)
        assert "a?" in path.read_text(encoding="utf-8")


def make_evil():
    """A report whose labels, titles, modalities and heading all are scripts."""
    rng = np.random.default_rng(0)
    labels = [f"{EVIL}{i}" for i in range(8)]
    log = Interactions(rng.integers(6, size=30), rng.integers(8, size=30), n_users=6, n_items=8)
    log = log.with_labels([f"<i>{i}{SCRIPT}" for i in range(6)], labels)
    model = MDERecommender(n_factors=4, max_epochs=1, random_state=0)
    model.fit(log, item_features={EVIL: rng.normal(size=(8, 3))})
    titles = pd.DataFrame({"t": [EVIL] * 8}, index=labels)
    report = RecommendationReport.from_estimator(
        model, [f"<i>0{SCRIPT}"], 3, titles, "t", user_items={SCRIPT: labels[:2]}
    )
    report.heading = EVIL
    return report


class TestTable:
    def test_labels_are_matched_by_the_index(self, labelled):
        index = pd.Index([EVIL, "tea", ("sku", 1), "other"], tupleize_cols=False)
        titles = pd.DataFrame({"name": ["evil", "Green tea", "Cup", "Other"]}, index=index)
        report = RecommendationReport.from_estimator(labelled, ["anna"], 3, titles, "name")
        page = Page(report.to_html())
        assert {text[:4] for text in page.texts("head")} == {"pot0", "Gree"}
        assert sorted(page.texts("history")[0].replace("Cup", "")) == sorted("evil")

    def test_a_table_with_another_index_is_met_with_a_warning(self, labelled):
        items = pd.DataFrame({"item": [EVIL, "tea", "pot"], "name": ["Evil", "Green tea", "Pot"]})
        with pytest.warns(UserWarning, match=r"none of the 4 items .*\[0, 1, 2\].*set_index"):
            report = RecommendationReport.from_estimator(labelled, ["anna"], 2, items, "name")
        assert "Green tea" not in report.to_html()
        items = items.set_index("item")
        report = RecommendationReport.from_estimator(labelled, ["anna"], 2, items, "name")
        assert "Green tea" in report.to_html()
        RecommendationReport.from_estimator(labelled, [], 2, items.iloc[:0], "name")

    def test_missing_titles_are_labels(self, model):
        titles = table()
        titles.loc[::2, "title"] = None
        page = Page(RecommendationReport.from_estimator(model, [3], 50, titles, "title").to_html())
        names = page.texts("name")
        assert any(name.startswith("title of") for name in names)
        assert any(name.isdigit() for name in names)

    def test_pictures_are_embedded_or_linked(self, model, tmp_path):
        path = tmp_path / 'a "picture".png'
        path.write_bytes(PNG)
        sources = [str(path), path, "https://example.com/a.png?x=1&y=2", None] * 13
        items = pd.DataFrame({"image": sources[:50]})
        report = RecommendationReport.from_estimator(model, [3], 50, items, image="image")
        page = Page(report.to_html())
        kinds = {x["src"].split(",")[0].split("?")[0] for x in page.all("img")}
        assert kinds == {"data:image/png;base64", "https://example.com/a.png"}
        embedded = next(x["src"] for x in page.all("img") if x["src"].startswith("data:"))
        assert base64.b64decode(embedded.split(",")[1]) == PNG
        assert page.all("body")[0]["class"] == "pictures"
        without = RecommendationReport.from_estimator(model, [3], 5)
        assert Page(without.to_html()).all("body")[0]["class"] == "words"

    @pytest.mark.parametrize(
        "wrong",
        [
            "javascript:alert(1)",
            "nothing.png",
            "/etc/passwd",
            "file:///etc/passwd",
            3,
            b"x",
            "a\0b",
        ],
    )
    def test_what_is_no_picture_is_left_out_with_a_warning(self, wrong, model):
        assert picture_source(wrong) is None
        items = pd.DataFrame({"image": [wrong] * 50})
        with pytest.warns(UserWarning, match=r"item_table\['image'\] has \d+ pictures that are"):
            report = RecommendationReport.from_estimator(model, [3], 2, items, image="image")
        assert not Page(report.to_html()).all("img")

    def test_wrong_arguments_are_named(self, model):
        twice = pd.DataFrame({"title": ["a", "b"]}, index=[4, 4])
        columns = pd.DataFrame([["a", "b"]], columns=["title", "title"])
        for given, error, words in (
            ({"users": None}, ValueError, "users must name the users"),
            ({"k": 0}, ValueError, "k must be 1 or more"),
            ({"n_history": 0}, ValueError, "n_history must be 1 or more"),
            ({"title": "title"}, ValueError, "columns of item_table, which is missing"),
            ({"item_table": {"title": ["a"]}}, TypeError, "item_table must be a pandas data frame"),
            (
                {"item_table": table(), "title": "name"},
                ValueError,
                r"one of \['title'\]; got 'name'",
            ),
            ({"item_table": table(), "image": "x"}, ValueError, "image must be a column"),
            ({"item_table": twice}, ValueError, "each item once; 4 is there again"),
            ({"item_table": columns, "title": "title"}, ValueError, "column 'title' once"),
            ({"users": [99]}, IndexError, "99"),
        ):
            with pytest.raises(error, match=words):
                RecommendationReport.from_estimator(model, **{"users": [1], **given})
        with pytest.raises(TypeError, match="must be a recommender"):
            RecommendationReport.from_estimator("model", [1])
        with pytest.raises(TypeError, match="explanation must be what explain .*from_estimator"):
            RecommendationReport(model).to_html()


def test_the_data_are_as_the_tests_think():
    assert DATA.interactions.shape[1] == 50
