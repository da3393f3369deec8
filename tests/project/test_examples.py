import os
import subprocess
import sys
from pathlib import Path

import pytest

import recsk

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GALLERY = sorted(EXAMPLES.glob("plot_*.py"))


@pytest.mark.slow
def test_quickstart_shows_what_features_are_worth(tmp_path):
    picture = tmp_path / "made" / "picture.png"
    run = subprocess.run(
        [sys.executable, EXAMPLES / "quickstart.py", "--output", picture],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    lines = [line.split() for line in run.stdout.splitlines()]
    (header,) = (line for line in lines if line[:1] == ["model"])
    models = ("Popular", "ContentKNN", "ALS", "MDE")
    table = {
        line[0]: line[1:] for line in lines if line[:1] and line[0] in models and len(line) == 9
    }
    assert list(table) == list(models)
    assert header[1:] == [
        f"{m}@{k}" for k in (10, 20) for m in ("recall", "ndcg", "precision", "map")
    ]
    for column in range(8):
        popular, content, als, mde = (float(table[m][column]) for m in models)
        assert popular < min(content, als)
        assert mde > 1.1 * max(content, als)
    # Paired differences, and an ALS that is tuned inside its grid.
    differences = [line for line in lines if line[-2:-1] == ["p"]]
    assert len(differences) == 6
    assert all(float(line[2]) < 0 and float(line[-1]) < 0.05 for line in differences)
    assert "at an edge of the grid: none" in run.stdout
    # One recommendation is explained: its parts add up to its score.
    (why,) = (line for line in lines if line[:1] == ["Why"])
    parts = lines[lines.index(why) + 1]
    assert parts[1:2] == ["picture:"]
    assert sum(float(part) for part in parts if part[0].isdigit()) == pytest.approx(
        float(why[-2]), abs=0.02
    )
    # It shows progress.
    assert "Tuning ALS" in run.stderr
    assert picture.stat().st_size > 10_000
    assert str(picture) in run.stdout
    page = picture.with_suffix(".html")
    assert str(page) in run.stdout
    assert "Omar Lee" in page.read_text(encoding="utf-8")


def test_gallery_has_its_examples():
    assert len(GALLERY) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("example", GALLERY, ids=lambda path: path.stem)
def test_example_of_the_gallery_runs_without_warnings(example, tmp_path):
    if example.stem == "plot_serving":
        pytest.importorskip("faiss")
        pytest.importorskip("safetensors")
    # Data sets of whoever runs the tests are another matter.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("RECSK_")
    }
    environment |= {"RECSK_EXAMPLES": "quick", "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-W", "default", example],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout
    ours = (str(Path(recsk.__file__).parent), str(example))
    warned = [line for line in run.stderr.splitlines() if "Warning" in line]
    # Where there is a screen, matplotlib says that Agg does not show figures on it.
    warned = [line for line in warned if line.startswith(ours) and "non-interactive" not in line]
    assert not warned, run.stderr
