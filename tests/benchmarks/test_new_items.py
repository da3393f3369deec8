"""New items beside known ones: the split, the columns, and the methods of the literature."""

import json

import numpy as np
import pytest

from recsk.datasets import make_multimodal


@pytest.fixture
def new_items(script, tmp_path, monkeypatch):
    """The script, on a small data set in place of ML-100K."""
    data = make_multimodal(n_users=60, n_items=50, random_state=0)
    X = data.interactions
    features = dict(zip("vt", data.item_features.values(), strict=False))
    when = np.arange(len(X))
    np.savez(tmp_path / "ml100k.npz", user=X.user, item=X.item, timestamp=when, **features)
    monkeypatch.setenv("RECSK_DATA", str(tmp_path))
    return script("new_items")


@pytest.mark.parametrize("split", ["split", "split_sequences"])
@pytest.mark.parametrize("part", ["valid", "test"])
def test_new_items_are_in_no_training(new_items, split, part):
    data = getattr(new_items, split)("ml100k", part, 0)
    n_users, n_items = data.relevant.shape
    assert data.train.shape == (n_users, 45) and data.new.tolist() == list(range(45, n_items))
    assert all(len(rows) == n_items for rows in data.features.values())
    assert not data.relevant[:, :45].multiply(data.train).nnz
    assert data.relevant[:, 45:].nnz


def test_columns(new_items, monkeypatch):
    """Everybody's list is the same: items 0 and 45."""
    monkeypatch.setattr(new_items, "K", 2)
    data = new_items.split("ml100k", "test", 0)
    lists = np.array([0, 45])

    def ranked(users, options):
        chosen = lists[np.isin(lists, options.get("items", lists))]
        return np.tile([*chosen, -1][:2], (len(users), 1))

    found = new_items.measure(data, ranked)
    relevant = data.relevant[data.users].toarray()
    n_new, n_known = relevant[:, 45:].sum(axis=1), relevant[:, :45].sum(axis=1)
    of_new, of_known = relevant[:, 45][n_new > 0], relevant[:, 0][n_known > 0]
    assert found["new among all"] == pytest.approx(np.mean(of_new / n_new[n_new > 0]), rel=1e-5)
    assert found["known alone"] == found["known among all"]
    assert found["known alone"] == pytest.approx(np.mean(of_known / n_known[n_known > 0]), rel=1e-5)
    assert found["share"] == 0.5


def test_a_table_and_a_figure(new_items, tmp_path, capsys, monkeypatch):
    cold_start = pytest.importorskip("cold_start")
    for method, count in ((cold_start.dropoutnet, (20,)), (cold_start.clcrec, (1,))):
        monkeypatch.setattr(method, "__defaults__", count)
    path = tmp_path / "found.json"
    arguments = ["--dataset", "ml100k", "--shares", "0", "1", "--seeds", "0", "--json", str(path)]
    figure = tmp_path / "curve.svg"
    monkeypatch.setattr("sys.argv", ["new_items.py", *arguments, "--figure", str(figure)])
    new_items.main()
    found = json.loads(path.read_text())["figures"]["ml100k"]
    assert [row.split(",")[0] for row in found] == [
        "content kNN",
        "ridge to ALS",
        "DropoutNet",
        "CLCRec",
        "MDE",
        "MDE",
    ]
    assert "| CLCRec |" in capsys.readouterr().out and figure.exists()
    assert found["MDE, share 1"]["new among all"] > found["MDE, share 0"]["new among all"]
