"""The studies in benchmarks/: every one runs, goes on where it was, and changes data as it says."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from recsk.metrics import evaluate

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def modules(monkeypatch):
    """The scripts, which find each other by their folder."""
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(BENCHMARKS)
    before = set(sys.modules)
    import corrupted
    import studies
    import studies_page
    import study_cells

    yield {"corrupted": corrupted, "studies": studies, "page": studies_page, "cells": study_cells}
    for name in set(sys.modules) - before:
        if (
            getattr(sys.modules[name], "__file__", None)
            and BENCHMARKS in Path(sys.modules[name].__file__).parents
        ):
            del sys.modules[name]


STUDIES = [
    "ablation",
    "cold-items",
    "complexity",
    "correlation",
    "noise",
    "sensitivity",
    "single-modality",
    "sparsity",
    "tradeoff",
]


def run(modules, study, model, folder, *options):
    modules["studies"].main(
        [study, "--dataset", "tiny", "--model", model, "--set", "max_epochs=1"]
        + ["--results", str(folder), *options]
    )


def test_these_are_all_studies(modules):
    assert sorted(modules["cells"].STUDIES) == STUDIES


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mde", "mdsrec"])
@pytest.mark.parametrize("study", STUDIES)
def test_a_study_prints_a_table_and_leaves_its_files(study, model, modules, tmp_path, capsys):
    if (study, model) == ("tradeoff", "mdsrec"):
        with pytest.raises(SystemExit):
            run(modules, study, model, tmp_path, "--seeds", "1")
        assert "tradeoff is a study of mde alone" in capsys.readouterr().err
        return
    run(modules, study, model, tmp_path, "--seeds", "1")
    report = json.loads((tmp_path / f"{study}-tiny-{model}.json").read_text())
    assert report["seeds"] == [0] and len(report["rows"]) > 2
    assert all(np.isfinite(value) for row in report["rows"] for value in row["mean"].values())
    assert (tmp_path / f"{study}-tiny-{model}.png").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert all(f"| {row['label']} |" in printed for row in report["rows"])


def test_a_study_goes_on_where_it_was(modules, tmp_path, monkeypatch):
    options = ("single-modality", "mde", tmp_path)
    run(modules, *options, "--seeds", "1")
    known = (tmp_path / "cells-tiny-mde.jsonl").read_text()
    asked = []
    models = sys.modules["models"]
    fitted = models.run
    monkeypatch.setattr(models, "run", lambda *args: asked.append(args[:3]) or fitted(*args))
    run(modules, *options, "--seeds", "1")
    assert not asked
    # Killed while it wrote the last line; and one seed more.
    (tmp_path / "cells-tiny-mde.jsonl").write_text(known[:-20])
    run(modules, *options, "--seeds", "2")
    n_cells = known.count("\n")
    assert len(asked) == 1 + n_cells
    assert [seed for _, _, seed in asked].count(0) == 1
    run(modules, *options, "--seeds", "2")
    assert len(asked) == 1 + n_cells  # the cut line spoiled none that came after
    run(modules, *options, "--seeds", "1", "--fresh", "--only", "v")
    assert len(asked) == 2 + n_cells
    run(modules, *options, "--seeds", "2")
    assert len(asked) == 2 + n_cells


# Rows that are to be the same: the defaults in every series of one parameter, nothing corrupted.
REPEATED = {
    ("sensitivity", "mde"): 3,
    ("sensitivity", "mdsrec"): 1,
    ("noise", "mde"): 5,
    ("noise", "mdsrec"): 5,
    ("complexity", "mde"): 2,
    ("complexity", "mdsrec"): 2,
}


@pytest.mark.parametrize("model", ["mde", "mdsrec"])
@pytest.mark.parametrize("study", STUDIES)
def test_different_rows_are_different_cells(study, model, modules):
    if (study, model) == ("tradeoff", "mdsrec"):
        return
    cells = modules["cells"].STUDIES[study].cells("tiny", model, {})
    different = {json.dumps(cell.key, sort_keys=True) for cell in cells}
    assert len(cells) - len(different) == REPEATED.get((study, model), 0)


def test_a_cell_is_its_model_whatever_it_is_called(modules, tmp_path, monkeypatch):
    run(modules, "single-modality", "mde", tmp_path, "--seeds", "1")
    models, asked = sys.modules["models"], []
    fitted = models.run
    monkeypatch.setattr(models, "run", lambda *args: asked.append(args[0]) or fitted(*args))
    run(modules, "ablation", "mde", tmp_path, "--seeds", "1", "--only", "mde")
    assert not asked
    # A default that has changed since makes another cell of it.
    monkeypatch.setitem(models.MDE, "mde", (models.MDE["mde"][0], {"item_neighbors": 3}, None))
    run(modules, "ablation", "mde", tmp_path, "--seeds", "1", "--only", "mde")
    assert asked == ["mde"]


def test_a_study_sets_its_own_parameters_alone(modules, tmp_path, capsys):
    for study, model, change in (
        ("ablation", "mde", "alpha=0.3"),
        ("sensitivity", "mde", "temperature=0.3"),
        ("cold-items", "mdsrec", "relation='sum'"),
        ("complexity", "mde", "early_stopping=True"),
    ):
        with pytest.raises(SystemExit):
            run(modules, study, model, tmp_path, "--set", change)
        assert f"sets {change.split('=')[0]} itself" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(modules, "noise", "mde", tmp_path, "--only", "nothing")
    assert "no rows" in capsys.readouterr().err


MODEL = """
from recsk import MDERecommender

class Mine(MDERecommender):
    pass
"""


def test_a_study_of_any_model_on_any_data(modules, tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    pairs = rng.permutation(60 * 40)[:600]
    arrays = {"user": pairs // 40, "item": pairs % 40, "t": rng.normal(size=(40, 3))}
    np.savez(tmp_path / "mine.npz", **arrays)
    (tmp_path / "my_study_models.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)

    def study(name, *options):
        modules["studies"].main(
            [name, "--npz", str(tmp_path / "mine.npz"), "--model", "my_study_models:Mine"]
            + ["--set", "max_epochs=1", "--seeds", "1", "--results", str(tmp_path), *options]
        )

    study("single-modality")
    report = json.loads((tmp_path / "single-modality-mine-Mine.json").read_text())
    assert [row["label"] for row in report["rows"]] == ["all", "t", "none"]
    all_of_them, only_t, none = (row["mean"] for row in report["rows"])
    assert all_of_them == only_t != none  # there is but one modality
    assert "--npz mine.npz --model my_study_models:Mine" in report["command"]
    study("sensitivity", "--grid", "item_neighbors=[2,5]")
    report = json.loads((tmp_path / "sensitivity-mine-Mine.json").read_text())
    assert [row["label"] for row in report["rows"]] == ["item_neighbors=2", "item_neighbors=5"]
    for name, options, word in (
        ("ablation", [], "of mde and mdsrec alone"),
        ("sensitivity", [], "Give --grid"),
        ("noise", ["--grid", "alpha=[1]"], "--grid is for the study of sensitivity"),
        ("noise", ["--rules"], "no rows of rules"),
    ):
        with pytest.raises(SystemExit):
            study(name, *options)
        assert word in capsys.readouterr().err
    sys.modules.pop("my_study_models")


@pytest.mark.parametrize("study", ["ablation", "sparsity", "cold-items"])
def test_rows_of_tuned_rules(study, modules, tmp_path, monkeypatch, capsys):
    rivals, kept = sys.modules["rivals"], ("popular", "ease", "content_knn")
    monkeypatch.setattr(rivals, "RULES", {name: rivals.RULES[name] for name in kept})
    run(modules, study, "mde", tmp_path, "--rules", "--only", "tuned ease", "--seeds", "1")
    (path,) = tmp_path.glob(f"{study}-tiny-mde*.json")
    rows = json.loads(path.read_text())["rows"]
    assert [row["x"] for row in rows] == (
        [0.2, 0.4, 0.6, 0.8, 1.0] if study == "sparsity" else [None]
    )
    printed = capsys.readouterr().out
    for row in rows:
        assert row["mean"]["settings"] >= 3
        assert f"| {row['label']} ({row['mean']['settings']:.0f} settings) |" in printed
    found = len((tmp_path / "cells-tiny-mde.jsonl").read_text().splitlines())
    run(modules, study, "mde", tmp_path, "--rules", "--only", "tuned ease", "--seeds", "1")
    assert len((tmp_path / "cells-tiny-mde.jsonl").read_text().splitlines()) == found


def test_items_seen_ranked_as_well(modules, tmp_path, capsys):
    one_row = ("ablation", "mdsrec", tmp_path, "--seeds", "1", "--only", "wo_ica")
    run(modules, *one_row)
    assert "not masked" not in capsys.readouterr().out
    run(modules, *one_row, "--not-masked")
    assert capsys.readouterr().out.count(", not masked") == 4
    for study, model in (("ablation", "mde"), ("cold-items", "mdsrec")):
        with pytest.raises(SystemExit):
            run(modules, study, model, tmp_path, "--not-masked")
        assert "no figures with items seen" in capsys.readouterr().err


def test_the_page_in_the_docs_is_that_of_the_results(modules):
    page = modules["page"]
    reports = page.load(page.RESULTS)
    assert reports
    assert page.PAGE.read_text() == page.page(reports)
    for report in reports:
        assert (page.PAGE.parent / "figures" / page.picture(report)).exists()


def test_a_page_of_studies(modules, tmp_path):
    run(modules, "single-modality", "mde", tmp_path, "--seeds", "2", "--threads", "1")
    run(modules, "tradeoff", "mde", tmp_path, "--seeds", "1")
    run(modules, "ablation", "mde", tmp_path, "--seeds", "1", "--only", "mde")
    page = modules["page"]
    page.DATASETS["tiny"] = "a tiny world"
    page.main(["--results", str(tmp_path), "--page", str(tmp_path / "studies.md")])
    text = (tmp_path / "studies.md").read_text()
    assert "## MDE on a tiny world\n\n### Single modality\n\n    python benchmarks/" in text
    assert "single-modality --dataset tiny --model mde --set max_epochs=1 --seeds 2" in text
    # A trial of one seed is no study, nor is a part of one.
    assert "Tradeoff" not in text and "Ablation" not in text
    (picture,) = re.findall(r"!\[.*\]\((.*)\)", text)
    assert (tmp_path / picture).stat().st_size > 10_000
    assert text.count("| all |") == 1


@pytest.mark.parametrize("model", ["mde", "mdsrec"])
def test_the_standard_error_of_a_test_set(model, modules):
    import standard_error

    found = standard_error.run("tiny", model, {"max_epochs": 1}, 0)
    data = modules["cells"].load("tiny", model)
    k = 10 if model == "mdsrec" else 20
    fitted = sys.modules["models"].fit(model, data, 0, {"max_epochs": 1})
    expected = evaluate(fitted, data.test, metrics=("recall", "ndcg"), k=k)
    assert {name: row["mean"] for name, row in found.items()} == pytest.approx(expected)
    # With one item each a hit is 0 or 1.
    recall = found[f"recall@{k}"]
    if model == "mdsrec":
        p, n = recall["mean"], recall["users"]
        assert recall["error"] == pytest.approx(np.sqrt(p * (1 - p) / (n - 1)))
    assert 0 < recall["error"] < 0.1


def test_among_new_items_popularity_is_chance(modules):
    data, cold = modules["corrupted"].without_items(
        modules["cells"].load("tiny", "mde"), 0.5, np.random.default_rng(0)
    )

    def popularity(seed):
        rng = np.random.default_rng(seed)
        return modules["corrupted"].fit_in_random_order("popular", data, 0, {}, rng)

    first = [
        popularity(seed).recommend(np.arange(3), 5, items=cold, exclude_seen=True)[0][0]
        for seed in range(80)
    ]
    assert len(set(np.concatenate(first))) == len(cold)
    rest = np.setdiff1d(np.arange(data.test.shape[1]), cold)
    ids, _ = popularity(0).recommend(np.arange(3), 1, exclude_seen=False)
    assert np.isin(ids, rest).all()


def test_sequences_of_any_size_are_in_no_order_of_items(modules):
    synthetic = sys.modules["synthetic"]
    X = synthetic.sized(50, 60, 4, sequential=True, seed=0).train
    assert not any((np.diff(items) > 0).all() for items in X.sequences() if len(items) > 5)


@pytest.fixture(params=["mde", "mdsrec"])
def data(request, modules):
    return modules["cells"].load("tiny", request.param)


def items_of(train):
    return train.indices if hasattr(train, "indices") else train.item


def test_a_thinned_history_is_a_part_of_the_whole(data, modules):
    thin = modules["corrupted"].thin(0.4, data, np.random.default_rng(0))
    n = len(items_of(data.train))
    assert len(items_of(thin.train)) == np.ceil(0.4 * n)
    if hasattr(data.train, "sequences"):
        whole = zip(thin.history["valid"], data.history["valid"], strict=True)
        assert all(set(part) <= set(own) for part, own in whole)
        for before, after, valid in zip(*thin.history.values(), data.valid, strict=True):
            assert after.tolist() == [*before, *valid.indices]
    assert (thin.test != data.test).nnz == 0


def test_items_held_out_are_nowhere_but_in_the_truth(data, modules):
    kept, cold = modules["corrupted"].without_items(data, 0.1, np.random.default_rng(0))
    assert len(cold) == round(0.1 * data.test.shape[1])
    assert not np.isin(items_of(kept.train), cold).any()
    assert not np.isin(kept.valid.indices, cold).any()
    assert kept.cold.nnz and np.isin(kept.cold.indices, cold).all()
    for histories in kept.get("history", {}).values():
        assert not np.isin(np.concatenate(histories), cold).any()


@pytest.mark.parametrize("kind", ["noise", "shuffled", "missing"])
def test_a_share_of_the_items_is_corrupted_in_one_modality(kind, data, modules):
    before = {name: values.copy() for name, values in data.features.items()}
    worse = modules["corrupted"].corrupt("v", kind, 0.5, data, np.random.default_rng(0)).features
    same = (worse["v"] == before["v"]).all(axis=1)
    assert 0.4 < same.mean() < 0.6
    assert np.isnan(worse["v"]).any() == (kind == "missing")
    if kind == "shuffled":
        assert np.array_equal(np.sort(worse["v"], axis=0), np.sort(before["v"], axis=0))
    assert worse["t"] is data.features["t"]
    assert all(np.array_equal(data.features[name], before[name]) for name in before)
