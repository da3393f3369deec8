"""Users of several data sets are compared together."""

import json

import numpy as np
import pytest


def write(folder, by_user, name, gain, n):
    """A report of two models on n users, the first better by `gain` for everybody."""
    runs = {}
    for model, shift in (("mine", gain), ("rule", 0.0)):
        runs[model] = []
        for seed in range(2):
            values = {"user": np.arange(n), "ndcg@10": np.full(n, 0.2 + shift + 0.1 * seed)}
            file = f"{name}-{model}-{seed}.npz"
            by_user.save(folder / file, {"test": values})
            runs[model].append({"by_user": file})
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"dataset": name, "runs": runs}))
    return path


def test_users_count_once_whatever_their_data_set(script, tmp_path, capsys):
    pooled, by_user = script("pooled"), script("by_user")
    files = [write(tmp_path, by_user, *args) for args in (("a", 0.1, 30), ("b", 0.0, 90))]
    options = ["--users", str(tmp_path), "--model", "mine", "--metrics", "ndcg@10"]
    pooled.main([*map(str, files), *options, "--against", "rule"])
    printed = capsys.readouterr().out
    assert "a + b: 120 users" in printed
    assert "0.2750" in printed and "0.2500" in printed and "+0.0250" in printed
    with pytest.raises(SystemExit, match="a has no runs of other"):
        pooled.main([*map(str, files), *options, "--against", "other"])
