"""One process beside several that train together."""

import json

import numpy as np
import pytest


def test_medians_of_one_process_and_of_the_slowest_of_several(script, tmp_path, monkeypatch):
    parallel, turns = script("parallel"), []

    def fit(case, size, args):
        turns.append(size)
        # Seconds on the wall and of the CPU, of two epochs; later repeats are slower.
        own = np.array([[8.0, 6.0], [8.0, 6.0]]) * len(turns)
        return [own / (size + rank) for rank in range(size)]

    monkeypatch.setattr(parallel, "fit", fit)
    path = tmp_path / "report.json"
    parallel.main(["--case", "mde", "--repeats", "3", "--json", str(path)])
    assert turns == [1, 2] * 3
    row = json.loads(path.read_text())["cases"]["mde"]
    assert row["wall_one"] == 8 * 3 and row["cpu_one"] == 6 * 3
    assert row["wall_several"] == 8 * 4 / 2 and row["cpu_several"] == [6 * 4 / 2, 6 * 4 / 3]
    assert row["speed_up"] == row["speed_up_by_cpu"] == pytest.approx(24 / 16)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["mde", "mde-paper", "mdsrec-sampled"])
def test_processes_are_started_and_measured(case, script, tmp_path):
    path = tmp_path / "report.json"
    sizes = ["--shrink", "200", "--epochs", "1", "--repeats", "1"]
    script("parallel").main(["--case", case, *sizes, "--json", str(path)])
    row = json.loads(path.read_text())["cases"][case]
    assert len(row["cpu_several"]) == 2 and min(row["cpu_several"]) > 0
    assert np.shape(row["epochs"]["2"]) == (1, 2, 1, 2)  # repeats, processes, epochs, clocks
