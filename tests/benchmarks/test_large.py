"""Large synthetic data, made small: what they hold, and the parts of a fit on them."""

import json

import numpy as np
import pytest

SIZE = (400, 200, 6_000)


@pytest.fixture
def synthetic(script):
    return script("synthetic")


@pytest.fixture
def run(script, tmp_path, monkeypatch):
    """The script without processes of its own for the models."""
    large, timing = script("large"), script("timing")

    def alone(_, words, n_threads):
        args = large.parse(words)
        assert n_threads == args.threads
        return json.loads(json.dumps(large.measure(args.measure, args.data, args)))

    monkeypatch.setattr(timing, "in_own_process", alone)

    def call(*options):
        places = ["--data", str(tmp_path / "data.npz"), "--json", str(tmp_path / "report.json")]
        large.main(["--size", "tiny", *options, *places])
        return json.loads((tmp_path / "report.json").read_text())

    return call


def pairs(arrays, parts=("train", "val", "test")):
    return np.concatenate([arrays[f"{p}_user"] * SIZE[1] + arrays[f"{p}_item"] for p in parts])


def test_interactions_by_topics(synthetic):
    arrays = synthetic.topical(*SIZE, n_columns=16, n_asked=50)
    everything = pairs(arrays)
    assert len(np.unique(everything)) == len(everything) == pytest.approx(SIZE[2], rel=0.1)
    assert arrays["train_user"].dtype == arrays["train_item"].dtype == np.int32
    assert arrays["train_user"].max() < SIZE[0] and arrays["train_item"].max() < SIZE[1]
    asked = [np.bincount(arrays[f"{part}_user"], minlength=SIZE[0]) for part in ("val", "test")]
    for count in asked:
        assert (count > 0).sum() == 50 and count.max() == 2
    assert not ((asked[0] > 0) & (asked[1] > 0)).any()
    assert np.bincount(arrays["train_user"], minlength=SIZE[0]).min() >= 2
    for name in ("v", "t"):
        assert arrays[name].shape == (200, 16) and arrays[name].dtype == np.float16
    same = synthetic.topical(*SIZE, n_columns=16, n_asked=50)
    assert all(np.array_equal(arrays[name], same[name]) for name in arrays)
    assert not np.array_equal(everything, pairs(synthetic.topical(*SIZE, n_asked=50, seed=1)))


def test_blocks_of_users_do_not_matter_for_what_is_asked(synthetic, monkeypatch):
    monkeypatch.setattr(synthetic, "_DRAWN", 500)
    arrays = synthetic.topical(*SIZE)
    assert len(np.unique(pairs(arrays))) == pytest.approx(SIZE[2], rel=0.1)
    assert len(np.unique(arrays["train_user"])) == SIZE[0]


def test_content_and_histories_show_topics(synthetic):
    arrays = synthetic.topical(*SIZE, n_columns=64)
    seen = np.zeros(SIZE[:2])
    seen[arrays["train_user"], arrays["train_item"]] = 1
    together = seen.T @ seen / np.sqrt(np.outer(seen.sum(0), seen.sum(0)) + 1e-9)
    content = [arrays[m].astype(float) for m in ("v", "t")]
    other = ~np.eye(SIZE[1], dtype=bool)
    for x in content:
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        assert np.corrcoef((x @ x.T)[other], together[other])[0, 1] > 0.05
    popularity = np.sort(seen.sum(0))[::-1]
    assert popularity[:20].sum() > 3 * popularity[-100:].sum() / 5


def test_parts_of_a_fit(run, capsys):
    small = ["--set", "mde:n_factors=4", "--set", "als:iterations=3", "--epochs", "2"]
    report = run("--model", "popular,als,mde", *small)["tiny"]
    assert report["generate"]["peak_mib"] > 0
    popular, als, mde = (report["models"][name] for name in ("popular", "als", "mde"))
    assert popular["parts"] == {} and als["parts"]["steps"] == 3
    assert {"start", "step", "steps", "epoch", "validation", "end"} == mde["parts"].keys()
    assert mde["epochs"] == 2 and len(mde["curve"]) == 2
    for row in (popular, als, mde):
        assert 0 <= row["recall@20"] <= 1 and row["peak_mib"] > 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in table[-4:]] == ["tiny", "popular", "als", "mde"]

    again = run("--model", "als,rp3beta", "--add")["tiny"]  # the other models stay
    assert again["models"].keys() == {"popular", "als", "mde", "rp3beta"}
    assert again["models"]["als"] == als and again["generate"] == report["generate"]


def test_quality_against_time(run, tmp_path):
    path = tmp_path / "figures" / "curves.png"
    small = ["--set", "als:iterations=3", "--epochs", "2", "--set", "mdsrec:n_negatives=20"]
    report = run("--model", "als,mde,mdsrec,popular", *small, "--figure", str(path))["tiny"]
    als, mde, mdsrec = (report["models"][name] for name in ("als", "mde", "mdsrec"))
    assert [len(row["curve"]) for row in (als, mde, mdsrec)] == [3, 2, 2]
    assert als["curve"][-1][1] == als["recall@20"]
    for row in (als, mde, mdsrec):
        seconds = [point[0] for point in row["curve"]]
        assert seconds == sorted(seconds) and seconds[-1] <= row["cpu_seconds"]
    assert path.stat().st_size > 0


def test_a_few_steps(run):
    found = run("--model", "mde", "--steps", "2", "--set", "batch_size=500")
    mde = found["tiny"]["models"]["mde"]
    assert mde["parts"].keys() == {"start", "step", "steps"} and mde["parts"]["steps"] == 2
    assert "recall@20" not in mde
