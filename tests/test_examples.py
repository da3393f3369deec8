import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


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
    table = {line[0]: line[-8:] for line in lines if line[:1] in (["Popularity"], ["ALS"], ["MDE"])}
    assert header[1:] == [
        f"{m}@{k}" for k in (10, 20) for m in ("recall", "ndcg", "precision", "map")
    ]
    for column in range(8):
        popularity, als, mde = (float(table[m][column]) for m in ("Popularity", "ALS", "MDE"))
        assert popularity < als
        assert mde > 1.1 * als
    assert picture.stat().st_size > 10_000
    assert str(picture) in run.stdout
