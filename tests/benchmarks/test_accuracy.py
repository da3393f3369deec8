"""The table of quality: any data, any estimator, tuned, compared, and nothing computed twice."""

import json
import sys

import numpy as np
import pytest

MODEL = '''
import numpy as np
from sklearn.base import BaseEstimator


class Tilted(BaseEstimator):
    """Items seen together, the better the nearer the tilt is to 9; fits are counted."""

    fits = []

    def __init__(self, *, tilt=1.0, offset=0):
        self.tilt = tilt
        self.offset = offset

    def fit(self, X, y=None, *, item_features=None):
        type(self).fits.append((self.tilt, sorted(item_features or {})))
        self.seen_ = X
        self.together_ = (X.T @ X).toarray() / np.maximum(np.ravel(X.sum(axis=0)), 1)
        return self

    def recommend(self, user_ids, k=10, *, exclude_seen=True):
        scores = self.seen_[user_ids] @ self.together_
        # The sign is wrong for a share of the items.
        wrong = np.random.default_rng(0).random(scores.shape[1]) < abs(np.log2(self.tilt / 9)) / 4
        scores[:, wrong] *= -1
        if exclude_seen:
            scores[self.seen_[user_ids].nonzero()] = -np.inf
        ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return ids, np.take_along_axis(scores, ids, axis=1)


class Random(Tilted):
    def __init__(self, *, tilt=1.0, random_state=None):
        self.tilt = tilt
        self.random_state = random_state


class InOrder(Tilted):
    ordered = True
'''
PATH = "my_models:Tilted"


@pytest.fixture
def accuracy(script):
    return script("accuracy")


@pytest.fixture
def run(accuracy, tmp_path, monkeypatch):
    (tmp_path / "my_models.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)

    def call(*options):
        options = ["--dataset", "tiny", "--seeds", "2", "--threads", "1", *options]
        options += [
            "--json",
            str(tmp_path / "report.json"),
            "--store",
            str(tmp_path / "runs.jsonl"),
        ]
        accuracy.main([*options, "--users", str(tmp_path / "users")])
        return json.loads((tmp_path / "report.json").read_text())

    yield call
    sys.modules.pop("my_models", None)


def fits():
    return sys.modules["my_models"].Tilted.fits


def test_an_estimator_by_its_path(run, capsys):
    report = run("--model", f"{PATH},popular", "--set", "tilt=3.0")
    (own,) = report["runs"][PATH]  # nothing in it is random
    (popular,) = report["runs"]["popular"]
    assert own["params"] == {"tilt": 3.0} and popular["params"] == {}
    assert fits() == [(3.0, ["t", "v"])]
    assert {"valid", "test"} <= own.keys()
    printed = capsys.readouterr().out
    assert "Tilted " in printed and "settings" in printed


def test_a_grid_goes_on(run, capsys):
    report = run("--model", PATH, "--grid", "tilt=[1.0,2.0]", "--set", "offset=1")
    found = report["searches"][PATH]
    assert found["params"]["tilt"] >= 4 and found["n_settings"] == len(found["tried"])
    (own,) = report["runs"][PATH]
    assert own["n_settings"] == found["n_settings"]
    assert own["params"] == {**found["params"], "offset": 1}
    best = max(value for _, value in found["tried"])
    assert own["valid"]["recall@20"] == pytest.approx(best)
    assert f"best of {found['n_settings']} settings" in capsys.readouterr().out


def test_nothing_is_run_twice(run, tmp_path):
    options = ("--model", "my_models:Random", "--grid", "tilt=[4.0,8.0,16.0]")
    first = run(*options)
    counted = len(fits())
    assert len(first["runs"]["my_models:Random"]) == 2
    second = run(*options)
    assert len(fits()) == counted
    assert second["runs"] == first["runs"]
    # Killed while it wrote the last line; one seed more; another parameter; anew.
    text = (tmp_path / "runs.jsonl").read_text()
    (tmp_path / "runs.jsonl").write_text(text[:-20])
    run(*options)
    assert len(fits()) == counted + 1
    run(*options, "--seeds", "3")
    assert len(fits()) == counted + 2
    run("--model", "my_models:Random", "--set", "tilt=5.0")
    assert len(fits()) == counted + 4
    run(*options, "--fresh")
    assert len(fits()) == 2 * counted + 4
    # Without its values by user a run is not known.
    for path in (tmp_path / "users").glob("synthetic-Random-seed1-*"):
        path.unlink()
    run(*options)
    assert len(fits()) == 2 * counted + 5


def test_other_data_are_other_runs(run, tmp_path):
    run("--model", PATH)
    rng = np.random.default_rng(0)
    pairs = rng.permutation(60 * 40)[:600]
    np.savez(tmp_path / "synthetic.npz", user=pairs // 40, item=pairs % 40)
    options = ["--npz", str(tmp_path / "synthetic.npz"), "--model", PATH]
    sys.modules["accuracy"].main(
        [*options, "--json", str(tmp_path / "b.json"), "--store", str(tmp_path / "runs.jsonl")]
        + ["--users", str(tmp_path / "users")]
    )
    assert [features for _, features in fits()] == [["t", "v"], []]


def test_compared_by_user(run, tmp_path, capsys):
    report = run("--model", f"{PATH},popular,my_models:Random", "--compare", "--set", "tilt=0.01")
    rows = report["comparison"]
    assert [(row["model"], row["metric"]) for row in rows] == [
        (model, metric)
        for metric in ("recall@20", "ndcg@20")
        for model in (PATH, "my_models:Random")
    ]
    for row in rows:
        runs = report["runs"][row["model"]]
        rule = report["runs"]["popular"][0]["test"][row["metric"]]
        mean = np.mean([run["test"][row["metric"]] for run in runs])
        assert row["mean"] == pytest.approx(mean)
        assert row["difference"] == pytest.approx(mean - rule)
        assert row["low"] <= row["difference"] <= row["high"] and 0 < row["p"] <= 1
    assert "paired differences from popular" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="needs a rule"):
        run("--model", PATH, "--compare")


def test_rules_of_the_data(accuracy):
    names, sequential = accuracy.expand("mde,rules", "tiny", False)
    rules = ["popular", "itemknn", "rp3beta", "ease", "als", "bpr", "content_knn"]
    assert names == ["mde", *rules] and not sequential
    names, sequential = accuracy.expand("mdsrec,rules", "tiny", False)
    assert names == ["mdsrec", *rules, "sequential_rules", "sequential_rules_ids"] and sequential
    assert accuracy.expand("ease,rules", "tiny", True)[0][0] == "ease"
    assert accuracy.expand("rules", "tiny", True)[1]


def test_options_of_one_model(accuracy):
    given = [("tilt", 1), ("ease:regularization", 5.0), (f"{PATH}:offset", 2)]
    assert accuracy.for_model("ease", given) == {"regularization": 5.0}
    assert accuracy.for_model(PATH, given) == {"tilt": 1, "offset": 2}
    assert accuracy.for_model("mde", given) == {"tilt": 1}


def test_options_that_reach_nobody(run):
    for options, word in (
        (["--model", "popular", "--set", "tilt=1"], "not for rules"),
        (["--model", "popular", "--set", "ease:regularization=1"], "not among --model"),
        (["--model", "nobody"], "unknown model 'nobody'"),
        (["--model", "my_models:Nobody"], "cannot import"),
    ):
        with pytest.raises(SystemExit, match=word):
            run(*options)


def test_sequences_are_asked_by_their_history(run, script, capsys):
    report = run("--model", "popular", "--sequences")
    (popular,) = report["runs"]["popular"]
    assert {"valid", "valid, not masked", "test", "test, not masked"} <= popular.keys()
    data = script("sources").load("tiny", True)
    count = np.bincount(data.train.item, minlength=data.test.shape[1])
    order = np.argsort(-count, kind="stable")
    found = []
    for user, items in enumerate(data.history["test"]):
        unseen = order[~np.isin(order, items)]
        found.append(data.test[[user]].indices[0] in unseen[:10])
    ties = np.sum(count == count[order[10]]) / len(found)
    assert popular["test"]["recall@10"] == pytest.approx(np.mean(found), abs=ties)
    assert "leave-last-out" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["itemknn", "rp3beta", "ease", "content_knn"])
def test_rules_are_tuned(name, run):
    report = run("--model", name)
    found = report["searches"][name]
    assert found["n_settings"] > 3
    (own,) = report["runs"][name]
    assert own["n_settings"] == found["n_settings"] and own["params"] == found["params"]
    assert own["valid"]["recall@20"] == pytest.approx(found["value"])


def test_rules_of_order(run):
    report = run("--model", "sequential_rules_ids", "--set", "sequential_rules_ids:max_gap=5")
    found = report["searches"]["sequential_rules_ids"]
    assert "max_gap" not in found["params"] and "content_weight" not in found["params"]
    assert report["chosen_by"] == "valid ndcg@10"
