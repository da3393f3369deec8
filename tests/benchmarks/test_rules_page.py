import json

RUN = {"valid": {}, "fit_seconds": 0.5, "n_settings": 7}


def run(recall, ndcg):
    return {**RUN, "test": {"recall@20": recall, "ndcg@20": ndcg}}


def test_a_table_has_the_best_first_and_marks_what_is_significant(script, tmp_path):
    rules_page = script("rules_page")
    tests = {"low": 0.01, "high": 0.03, "difference": 0.02, "p_holm": 0.004, "p": 0.001}
    report = {
        "dataset": "tiktok",
        "split": "published",
        "changes": {"mde:alpha": 0.1},
        "environment": {"commits": ["abc"], "processors": ["a processor"]},
        "runs": {"popular": [run(0.1, 0.02)], "ease": [run(0.2, 0.04)], "mde": [run(0.3, 0.06)]},
        "searches": {"ease": {"at_limit": ["regularization"]}, "popular": {"at_limit": []}},
        "comparison": [
            {"model": name, "rule": "ease", "metric": metric, **tests}
            | ({"p_holm": 0.2} if name == "popular" else {})
            | {"difference": sign * 0.02}
            for metric in ("recall@20", "ndcg@20")
            for name, sign in (("popular", -1), ("mde", 1))
        ],
    }
    (tmp_path / "accuracy-tiktok.json").write_text(json.dumps(report))
    (tmp_path / "accuracy-other.json").write_text(json.dumps({**report, "dataset": "other"}))
    text = rules_page.page(rules_page.load(tmp_path))
    assert "--dataset tiktok --model popular,ease,mde --seeds 1" in text
    assert "--set mde:alpha=0.1 --compare" in text
    assert "Best at the end of an axis: `regularization` of ease.\n" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert rows == [
        "| mde | .3000 | .0600 | **+0.0200 [+0.0100, +0.0300]** | 0.004 | 7 | 0.5 |",
        "| ease | .2000 | .0400 | (the best rule) |  | 7 | 0.5 |",
        "| popular | .1000 | .0200 | -0.0200 [+0.0100, +0.0300] | 0.2 | 7 | 0.5 |",
    ]
