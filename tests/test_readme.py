"""The code in the README and in the user guide runs."""

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


def blocks(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)


def run(name):
    """Run all blocks of a page in one namespace, as a reader would."""
    names = {"__name__": name}
    for block in blocks(name):
        exec(compile(block, name, "exec"), names)
    return names


def test_there_is_one_tour_of_about_thirty_lines():
    (tour,) = blocks("README.md")
    assert 20 <= len(tour.splitlines()) <= 40


@pytest.mark.slow
def test_the_tour_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run("README.md")
    assert names["ids"].shape == names["scores"].shape == (2, 5)
    assert np.isfinite(names["scores"]).all()
    assert not {3, 14, 15} & set(names["ids"][0].tolist())


@pytest.mark.slow
def test_the_user_guide_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")  # no window on a screen
    assert blocks("docs/user_guide.md")
    run("docs/user_guide.md")


def test_the_commands_are_the_ones_that_ci_runs():
    command = "python -m pip install tox && python -m tox"
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line.strip() for line in lines if line.startswith("    python")] == [
        f"{command} run -e demo",
        command,
    ]
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == command


@pytest.mark.parametrize(
    "page", ["README.md", "docs/cluster.md", "docs/index.md", "docs/user_guide.md"]
)
def test_links_inside_the_project_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert (ROOT / page).parent.joinpath(target).exists(), f"{page} links to {target}"
