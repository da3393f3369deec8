"""CPU seconds of whole fits beside ALS, the course of quality, and what is kept."""

import json

import numpy as np
import pytest
from sklearn.base import clone

from recsk import MDERecommender


@pytest.fixture
def timing(script):
    return script("timing")


@pytest.fixture
def tiny(script):
    return script("sources").load("tiny", False)


@pytest.fixture
def run(script, tmp_path):
    def call(*options):
        report, figure = tmp_path / "report.json", tmp_path / "figure.png"
        places = ["--json", str(report), "--figure", str(figure)]
        places += ["--store", str(tmp_path / "runs.jsonl")]
        script("time_to_quality").main(["--dataset", "tiny", *options, *places])
        assert figure.exists()
        return json.loads(report.read_text())

    return call


def test_networks_and_als_take_turns(run, capsys):
    options = ["--set", "max_epochs=2", "--set", "n_factors=4", "--repeats", "2"]
    report = run("--model", "mde,als,popular", *options)
    rows = report["tiny"]["rows"]
    mde, als, popular = rows["mde"], rows["als"], rows["popular"]
    assert [len(row["runs"]) for row in (mde, als, popular)] == [2, 2, 1]
    assert als["params"]["factors"] == 2 * 4  # two modalities
    assert als["ratio"] == 1
    assert mde["ratio"] == pytest.approx(mde["cpu_seconds"] / als["cpu_seconds"])
    assert mde["epochs"] == 2 and "epochs" not in als
    for fit in mde["runs"]:
        seconds, values = zip(*fit["curve"], strict=True)
        assert 0 < seconds[0] < seconds[1] < fit["cpu_seconds"]
        assert fit[fit["metric"]] == pytest.approx(max(values))
    assert [point["iterations"] for point in als["course"]] == [1, 2, 4, 8, 15, 30]
    assert als["course"][4]["recall@20"] == pytest.approx(als["runs"][0]["recall@20"])
    assert "tiny        popular" in capsys.readouterr().out
    assert run("--model", "mde,als", *options, "--add") == report
    rows = run("--model", "ease", "--add")["tiny"]["rows"]
    assert "ratio" not in rows["ease"] and rows["ease"]["environment"]
    assert {name: rows[name] for name in report["tiny"]["rows"]} == report["tiny"]["rows"]


def test_rules_may_be_tuned(run):
    rows = run("--model", "als,ease", "--repeats", "1")["tiny"]["rows"]
    assert {row["setting"] for row in rows.values()} == {"defaults"}
    rows = run("--model", "ease", "--repeats", "1", "--tune")["tiny"]["rows"]
    assert rows["ease"]["setting"] == "tuned" and "ratio" not in rows["ease"]
    assert rows["ease"]["params"]["regularization"] > 0


def test_a_fit_is_watched_and_left(timing, tiny):
    model = MDERecommender(n_factors=4, max_epochs=2, batch_size=100, random_state=0)
    for options in ({}, {"eval_set": tiny.valid}):
        with timing.Watch() as watch:
            model.fit(tiny.train, item_features=tiny.features, **options)
        assert len(watch.steps) >= 2 and watch.steps == sorted(watch.steps)
        assert [v.value for v in watch.validations] == model.validation_curve_
    with timing.Watch() as watch:  # the optimizer is one of torch
        clone(model).set_params(training="paper").fit(tiny.train, item_features=tiny.features)
    assert len(watch.steps) >= 2
    with timing.Watch(max_steps=3) as watch:
        model.fit(tiny.train, item_features=tiny.features)
        raise AssertionError("the fit was not left")
    assert len(watch.steps) == 3
    model.fit(tiny.train, item_features=tiny.features)
    assert len(watch.steps) == 3


def test_errors_of_a_fit_are_not_swallowed(timing):
    with pytest.raises(ZeroDivisionError), timing.Watch():
        raise ZeroDivisionError


def test_als_is_that_of_implicit(timing, tiny):
    seen = []
    ranker = timing.fit_als(tiny.train, factors=8, iterations=3, after=lambda i, _: seen.append(i))
    assert seen == [1, 2, 3]
    ids, _ = ranker.recommend(np.arange(5), 10)
    assert ids.shape == (5, 10)
    assert not any(np.isin(ids[u], tiny.train[[u]].indices).any() for u in range(5))
    assert set(timing.quality(ranker, tiny)) == {"recall@20", "ndcg@20"}
