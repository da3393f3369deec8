"""The code in the README and in the docs runs, their links lead somewhere, and versions agree.

A block that begins with ```python is run; one with ```py is shown alone, because it needs what a
run of the tests has not: a model to download, a cluster, another library.
"""

import importlib
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import recsk
from recsk.storage import registry

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# Not what a build of the docs writes beside them.
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for folder in (".", "guide", "benchmarks", "contributing")
    for page in DOCS.joinpath(folder).glob("*.md")
)


def blocks(name, language="python"):
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def run(name):
    """Run all blocks of a page in one module, as a reader would; its classes can be pickled."""
    module = types.ModuleType(re.sub(r"\W", "_", name))
    sys.modules[module.__name__] = module
    try:
        for block in blocks(name):
            exec(compile(block, name, "exec"), vars(module))
    finally:
        del sys.modules[module.__name__]
    return vars(module)


def test_there_is_one_tour_of_about_fifteen_lines():
    (tour,) = blocks("README.md")
    assert len([line for line in tour.splitlines() if line]) <= 15


@pytest.mark.slow
def test_the_tour_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run("README.md")
    assert names["ids"].shape == names["scores"].shape == (2, 5)
    assert np.isfinite(names["scores"]).all()
    assert not {3, 14, 15} & set(names["ids"][0].tolist())


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_a_page_of_the_docs_runs_by_itself(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")  # no window on a screen
    monkeypatch.setattr(registry, "_classes", dict(registry._classes))
    run(page)


@pytest.mark.parametrize("page", PAGES)
def test_code_that_is_only_shown_can_be_read_by_python(page):
    for block in blocks(page, "py"):
        compile(block, page, "exec")


def test_the_commands_are_the_ones_that_ci_runs():
    command = "python -m pip install tox && python -m tox"
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line.strip() for line in lines if line.strip().startswith(command)] == [
        f"{command} run -e demo",
        command,
    ]
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == command


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", *PAGES])
def test_links_inside_the_project_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s#]+)", text):
        # Pages that a build writes are for the build to check.
        if not target.startswith("http") and "api/generated/" not in target:
            assert (ROOT / page).parent.joinpath(target).exists(), f"{page} links to {target}"


def test_the_citation_has_the_version_of_the_package():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", text, re.M) == [recsk.__version__]


def test_all_of_the_api_has_an_example():
    text = (ROOT / "docs/api/index.rst").read_text()
    module, without, n_names = "recsk", [], 0
    for line in text.splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split()[-1]
        elif re.fullmatch(r"   [\w.]+", line):
            *parents, name = f"{module}.{line.strip()}".split(".")
            found = getattr(importlib.import_module(".".join(parents)), name)
            n_names += 1
            if ">>> " not in (found.__doc__ or ""):
                without.append(name)
    assert n_names > 30
    assert without == ["TrainedRecommender"]  # for the networks of this package
