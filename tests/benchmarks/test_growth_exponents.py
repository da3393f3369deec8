"""Exponents of growth, made small."""

import json

import pytest


def test_an_exponent_is_the_slope_of_the_logarithms(script):
    exponent = script("growth_exponents").exponent
    assert exponent([10, 20, 40, 80], [3.0, 3.0, 3.0, 3.0]) == pytest.approx(0.0)
    assert exponent([10, 20, 40, 80], [1.0, 2.0, 4.0, 8.0]) == pytest.approx(1.0)
    assert exponent([1, 4, 9], [5.0, 10.0, 15.0]) == pytest.approx(0.5)


@pytest.mark.parametrize("model", ["mde", "mdsrec"])
def test_a_size_is_measured_and_has_as_many_interactions_as_asked_for(script, model):
    growth = script("growth_exponents")
    size = {"users": 300, "items": 200, "interactions": 2000, "columns": 8}
    found = growth.measure(model, size)
    assert found["interactions"] == 2000
    assert 0 < found["step"] < found["epoch"]


def test_more_users_have_as_many_interactions_each(script):
    growth = script("growth_exponents")
    assert growth.size_of("users", 300_000)["interactions"] == 3_000_000
    assert growth.size_of("sparser users", 300_000) == {**growth.BASE, "users": 300_000}
    assert growth.size_of("items", 8000) == {**growth.BASE, "items": 8000}


def test_a_table_has_a_row_for_every_part_that_was_measured(script, capsys):
    growth = script("growth_exponents")
    rows = [{"size": n, "step": n / 1e4, "interactions": 1} for n in growth.SIZES["items"]]
    report = {"models": {"mde": {"items": rows}}}
    growth.add_exponents(report)
    assert report["exponents"]["mde"]["items"]["step"]["value"] == pytest.approx(1.0)
    growth.show(report)
    printed = capsys.readouterr().out
    assert "mde by items" in printed and printed.rstrip().endswith("1.00")
    assert "epoch " not in printed.splitlines()[-1]


def test_the_report_is_written_as_it_grows(script, tmp_path, monkeypatch):
    growth = script("growth_exponents")
    monkeypatch.setattr(
        growth.timing, "in_own_process", lambda *_: {"step": 1.0, "start": 0.5, "interactions": 9}
    )
    path = tmp_path / "report.json"
    growth.main(["--model", "mde", "--axis", "users", "--json", str(path)])
    rows = json.loads(path.read_text())["models"]["mde"]["users"]
    assert [row["size"] for row in rows] == list(growth.SIZES["users"])
