"""The seconds of an epoch from some of its steps, made small."""

import json

import numpy as np
import pytest

SIZE = ["--users", "300", "--items", "200", "--columns", "8", "--batch-size", "16"]


@pytest.fixture
def run(script, tmp_path):
    def call(*options):
        path = tmp_path / "report.json"
        script("sequence_epoch").main([*SIZE, *options, "--json", str(path)])
        return json.loads(path.read_text())

    return call


def test_an_epoch_costs_its_steps_by_their_targets(run, script, monkeypatch):
    timing = script("timing")
    # Every step takes as long as a hundredth of a second for each of its targets.
    found = script("sequence_epoch").Targets
    clock = []
    monkeypatch.setattr(found, "__init__", counting(found.__init__, clock))
    monkeypatch.setattr(timing.Clock, "cpu", lambda _: 5.0 + sum(clock[-1].found) / 100)
    report = run("--steps", "6", "--negatives", "20")
    n_targets = epoch_targets(script)
    assert report["epoch"] == pytest.approx(n_targets / 100)
    assert report["peak_mib"] > 0 and report["sequences"] == 300
    assert len(clock[-1].found) == 6


def counting(init, made):
    def wrapped(self):
        init(self)
        made.append(self)

    return wrapped


def epoch_targets(script):
    data = script("synthetic").sized(300, 200, 8, sequential=True, seed=0)
    return int(np.maximum(np.bincount(data.train.user) - 1, 0).sum())
