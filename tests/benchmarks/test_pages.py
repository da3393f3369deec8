import json

import pytest

SPLIT = {"dataset": "tiktok", "split": "published", "searches": {}}


def run(ndcg):
    return {
        "params": {},
        "n_settings": 1,
        "best_iter": 3,
        "test": {"recall@20": 2 * ndcg, "ndcg@20": ndcg},
    }


def paired(model, p):
    values = {"difference": 0.01, "low": -0.001, "high": 0.021, "p": p / 2, "p_holm": p}
    return [
        {"model": model, "rule": "mde", "metric": f"{name}@20", **values}
        for name in ("recall", "ndcg")
    ]


@pytest.fixture
def results(script, tmp_path):
    """A table of two models over two seeds, one of one model, and a file of another script."""
    files = {
        "parts": SPLIT
        | {
            "changes": {"alpha": 0.1},
            "environment": {"commit": "c", "commits": ["a", "b"]},
            "runs": {
                "mde": [run(0.1), run(0.3)],
                "wo_mda": [run(0.1)],
                "wo_msa": [run(0.25)],
                "wo_nlt": [run(0.1)],
            },
            "comparison": [
                *paired("wo_mda", 0.004),
                *paired("wo_msa", 0.01),
                *paired("wo_nlt", 0.2),
            ],
        },
        "other": SPLIT
        | {"changes": {}, "environment": {"commits": ["d"]}, "runs": {"als": [run(0.25)]}},
        "large": {"sizes": {"10": {"seconds": [1.0, 12345.0, 0.5], "mib": 2048}}, "commit": "e"},
    }
    for name, report in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    return script("page_results").Results(tmp_path)


def block(text, kind="table"):
    return f"before\n<!-- {kind}\n{text}\n-->\nold\n<!-- end -->\nafter\n"


TABLE = """\
files = {TikTok = "parts"}
show = ["R@20", "N@20", "95 %", "p"]
[rows]
mde = "ours"
wo_mda = "without MDA"
"""


def test_a_table_has_the_means_the_command_and_the_commits(script, results, tmp_path):
    pages = script("pages")
    once = pages.rewrite(block(TABLE), tmp_path, results)
    assert once.partition("-->\n\n")[2].splitlines()[:-2] == [
        "| model | TikTok R@20 | N@20 | 95 % | p |",
        "|---|---|---|---|---|",
        "| ours | .4000 | .2000 |  |  |",
        "| without MDA | .2000 | .1000 | -.0010 to +.0210 | .004 |",
        "",
        "    python benchmarks/accuracy.py --dataset tiktok --model mde,wo_mda,wo_msa,wo_nlt"
        " --seeds 2 --threads 1 --set alpha=0.1 --compare mde --json benchmarks/results/parts.json",
        "",
        "[parts](parts.json): 2 seeds, commits a, b.",
        "",
    ]
    assert pages.rewrite(once, tmp_path, results) == once


def test_columns_are_templates_of_paths(script, results):
    block = {
        "at": "large/sizes/$0",
        "head": "size",
        "columns": [["s", "{seconds|s} s"], ["GiB", "{mib|GiB} of $1"], ["?", "{none?}"]],
        "rows": {"10": ["ten", "24"]},
        "literal": [["theirs", "1", "", ""]],
    }
    table = script("page_tables").table
    assert table(block, results)[2:] == ["| ten | 1 s | 2.0 of 24 |  |", "| theirs | 1 |  |  |"]
    block["columns"] = [["s", "{minutes}"]]
    with pytest.raises(KeyError, match="large/sizes/10/minutes"):
        table(block, results)


def test_groups_make_a_row_for_each_pair_that_has_values(script, results):
    block = {
        "head": "file | model",
        "columns": [["N@20", "{$0/test/ndcg@20?|.2f}"]],
        "groups": {"parts": "one", "other": "two"},
        "rows": {"mde": "MDE", "als": "ALS"},
    }
    lines = script("page_tables").table(block, results)
    assert lines[1:] == ["|---|---|---|", "| one | MDE | .20 |", "| two | ALS | .25 |"]
    del block["groups"]
    block |= {"files": {"": "parts"}, "show": ["N@20"], "columns": []}
    with pytest.raises(KeyError, match="als"):  # a row without values is a slip
        script("page_tables").table(block, results)


def test_files_are_merged_to_the_mean_and_the_deviation(script, tmp_path):
    for name, value in (("a", 1.0), ("b", 3.0)):
        row = {"x": value, "x std": 0.0, "name": "same"}
        (tmp_path / f"{name}.json").write_text(json.dumps({"row": row}))
    block = {
        "merge": {"both": ["a", "b"]},
        "columns": [["x", "{both/row/x|.1f} ± {both/row/x std|.2f} {both/row/name}"]],
        "rows": {"row": "it"},
    }
    lines = script("page_tables").table(block, script("page_results").Results(tmp_path))
    assert lines[2:] == ["| it | 2.0 ± 1.41 same |"]


def test_one_rule_has_the_verdict_of_a_claim(script, results):
    cells = [
        "parts: mde > wo_mda",
        "parts: mde > wo_msa",
        "parts: mde > wo_nlt",
        ["parts: mde > wo_mda", "parts: mde > wo_nlt"],
        "parts/mde > other/als",
        "not measured",
    ]
    block = {"columns": list("abcdef"), "rows": {"it helps": cells}}
    (row,) = script("page_tables").claims(block, results)[2:]
    assert row.strip("| ").split(" | ") == [
        "it helps",
        "**yes**: +100 % (p .004)",
        "no: \N{MINUS SIGN}20 % (p .01)",
        "not shown: +100 % (p .2)",
        "not shown: +100 %, +100 % (p .004, .2)",
        "\N{MINUS SIGN}20 % (not paired, one seed)",
        "not measured",
    ]


@pytest.mark.parametrize("text", ["rows = [", '[rows]\nx = "y"\n[columns]'])
def test_a_block_that_cannot_be_made_is_shown(text, script, results, tmp_path):
    with pytest.raises(SystemExit, match="in the block\n" + text[:4].replace("[", r"\[")):
        script("pages").rewrite(block(text), tmp_path, results)


def test_a_block_without_an_end_does_not_take_the_next(script, results, tmp_path):
    text = block(TABLE).replace("<!-- end -->", "") + block(TABLE)
    with pytest.raises(SystemExit, match="without <!-- end -->"):
        script("pages").rewrite(text, tmp_path, results)


def test_the_pages_have_the_figures_of_their_files(script):
    script("pages").main(["--check"])


@pytest.mark.parametrize("name", ["rules_page", "studies_page"])
def test_a_page_that_is_written_whole_has_the_figures_of_its_files(script, name):
    page = script(name)
    folder = page.HERE / "results" / ("studies" if name == "studies_page" else "")
    assert page.PAGE.read_text(encoding="utf-8") == page.page(page.load(folder))
