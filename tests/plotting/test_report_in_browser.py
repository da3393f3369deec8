"""The report in a real browser, wide and on a phone."""

import shutil

import pytest

from recsk import MDERecommender
from recsk.plotting import RecommendationReport
from tests.plotting.shared import FEATURES, X
from tests.plotting.test_report import EVIL, PNG, make_evil

pd = pytest.importorskip("pandas")
selenium = pytest.importorskip("selenium", reason="needs selenium")

from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver on the path"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    (folder / "a.png").write_bytes(PNG)
    model = MDERecommender(n_factors=8, max_epochs=2, random_state=0)
    model.fit(X, item_features=FEATURES)
    long = "a very long title of an item that has many words " * 3 + "x" * 80
    items = pd.DataFrame(
        {
            "title": [long if i % 5 == 0 else f"title of {i}" for i in range(50)],
            "image": [str(folder / "a.png") if i % 3 else None for i in range(50)],
        }
    )
    report = RecommendationReport.from_estimator(model, [3, 5, 7], 6, items, "title", "image")
    report.save(folder / "report.html")
    make_evil().save(folder / "evil.html")
    (folder / "notebook.html").write_text(report._repr_html_(), encoding="utf-8")
    return folder


def show(browser, path, width, height=900):
    # A window of Chromium is at least 500 wide; the metrics of a device are not.
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(path.as_uri())


def box(element):
    return element.rect["x"], element.rect["x"] + element.rect["width"]


@pytest.mark.parametrize("width", [1400, 800, 360])
def test_everything_fits_into_the_width(width, browser, pages):
    show(browser, pages / "report.html", width)
    inner = browser.execute_script("return document.documentElement.clientWidth")
    assert width - 20 <= inner <= width  # less a scroll bar
    assert browser.execute_script("return document.documentElement.scrollWidth") <= inner
    for element in browser.find_elements(By.CSS_SELECTOR, ".name, .score, .bar, .part, .because"):
        left, right = box(element)
        assert left >= 0 and right <= inner
    assert not [x for x in browser.get_log("browser") if x["level"] == "SEVERE"]


def test_columns_are_side_by_side_or_on_a_phone_below_each_other(browser, pages):
    for width, beside in ((1400, True), (360, False)):
        show(browser, pages / "report.html", width)
        past, after = (browser.find_element(By.CLASS_NAME, name).rect for name in ("past", "next"))
        assert (past["x"] + past["width"] <= after["x"]) == beside
        assert (past["y"] + past["height"] <= after["y"]) == (not beside)


def test_bars_and_pictures_are_drawn(browser, pages):
    show(browser, pages / "report.html", 1400)
    bars = browser.find_elements(By.CLASS_NAME, "bar")
    assert len(bars) == 18
    for bar in bars:
        left, right = box(bar)
        parts = [box(part) for part in bar.find_elements(By.CLASS_NAME, "part")]
        assert len(parts) >= 2
        assert all(left - 1 <= low <= high <= right + 1 for low, high in parts)
        colors = {
            part.value_of_css_property("background-color")
            for part in bar.find_elements(By.CLASS_NAME, "part")
        }
        assert len(colors) >= 2
    images = browser.find_elements(By.CSS_SELECTOR, "img")
    assert images
    for image in images:
        browser.execute_script("arguments[0].scrollIntoView()", image)
    browser.execute_async_script(
        "const done = arguments[0];"
        "Promise.all([...document.images].map(x => x.decode())).then(() => done())"
    )
    assert all(browser.execute_script("return arguments[0].naturalWidth", x) for x in images)


def test_scripts_in_names_stay_text(browser, pages):
    show(browser, pages / "evil.html", 1400)
    assert browser.title == EVIL.strip()
    assert browser.execute_script("return document.scripts.length + document.images.length") == 0
    assert EVIL in browser.find_element(By.CSS_SELECTOR, ".recommended .name").text
    assert not browser.get_log("browser")


def test_the_frame_of_a_notebook_shows_the_page(browser, pages):
    show(browser, pages / "notebook.html", 1000)
    browser.switch_to.frame(0)
    assert len(browser.find_elements(By.TAG_NAME, "section")) == 3
    browser.switch_to.default_content()
