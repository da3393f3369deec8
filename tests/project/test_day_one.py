"""Day one of a data scientist: from a messy log to recommendations as SKUs, in another process.

The log has string users and SKUs, repeats, times with zones, and event types as weights. The image
vectors are a frame in another order, with vectors of products that nobody has bought and without
vectors of some that sell. What the user writes are the lines of `DAY_ONE`.
"""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("safetensors")

DAY_ONE = """\
log = pd.read_csv("log.csv", parse_dates=["time"])
images = pd.read_pickle("images.pkl")
log["weight"] = log["event"].map({"view": 1, "cart": 3, "buy": 10})
X = recsk.Interactions.from_frame(log, item="sku", timestamp="time", value="weight")
train, test = next(RandomHoldout(test_size=0.25, random_state=0).split(X))
model = recsk.MDERecommender(n_factors=16, max_epochs=8, learning_rate=0.01, random_state=0)
model.fit(X[train], item_features={"image": images}, sample_weight="value")
print(evaluate(model, X[test], ["recall", "ndcg"], 10))
print(model.recommend(["ann-0", "ann-1"], k=5, as_frame=True))
recsk.save(model, "model.recsk")
"""

IMPORTS = """\
import pandas as pd
import recsk
from recsk.metrics import evaluate
from recsk.model_selection import RandomHoldout
"""

NEXT_DAY = """\
model = recsk.load("model.recsk")
print(model.recommend("ann-0", k=3)[0].tolist())
print(model.recommend(user_items={"new": ["SKU-0002", "SKU-0004"]}, k=3)[0].tolist())
"""

N_USERS, N_ITEMS = 120, 90


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Users buy products of one of three tastes, which the image vectors show."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    taste = rng.integers(3, size=N_USERS)
    kind = np.arange(N_ITEMS) % 3
    rows = []
    for user in range(N_USERS):
        own = np.flatnonzero(kind == taste[user])
        for item in [*rng.choice(own, 12), *rng.choice(N_ITEMS, 2)]:
            for event in ["view", "view", "cart", "buy"][: rng.integers(1, 5)]:  # repeats
                rows.append((f"ann-{user}", f"SKU-{item:04}", event))
    log = pd.DataFrame(rows, columns=["user", "sku", "event"]).sample(frac=1, random_state=0)
    log["time"] = pd.date_range("2024-03-30", periods=len(log), freq="7min", tz="Europe/Berlin")
    log = log[log["sku"] != "SKU-0089"]  # nobody has seen it
    log.to_csv(folder / "log.csv", index=False)
    vectors = np.eye(3)[kind] + rng.normal(0, 0.3, (N_ITEMS, 3))
    images = pd.DataFrame(vectors, index=[f"SKU-{i:04}" for i in range(N_ITEMS)])
    images.drop(index="SKU-0005").sample(frac=1, random_state=1).to_pickle(folder / "images.pkl")
    return folder, taste, kind


def run(folder, code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORTS + code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**__import__("os").environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.fixture(scope="module")
def day_one(shop):
    return run(shop[0], DAY_ONE)


def test_it_takes_fifteen_lines_without_glue():
    assert len((IMPORTS + DAY_ONE).splitlines()) <= 15


@pytest.mark.slow
def test_there_is_no_warning_and_the_figures_are_honest(shop, day_one):
    assert day_one.returncode == 0, day_one.stderr
    assert not day_one.stderr
    figures = eval(day_one.stdout.splitlines()[0])
    assert 0.2 < figures["recall@10"] <= 1 and 0.1 < figures["ndcg@10"] <= 1
    # Not repeats: no pair of the test part is in training.
    check = DAY_ONE.splitlines()[:5] + [
        "pairs = [set(zip(p.user.tolist(), p.item.tolist())) for p in (X[train], X[test])]",
        "print(len(pairs[0] & pairs[1]), len(pairs[1]))",
    ]
    overlap, n_test = map(int, run(shop[0], "\n".join(check)).stdout.split())
    assert overlap == 0 and n_test > 100


@pytest.mark.slow
def test_skus_come_out_in_another_process(shop, day_one):
    folder, taste, kind = shop
    assert day_one.returncode == 0, day_one.stderr
    assert "SKU-" in day_one.stdout and "ann-0" in day_one.stdout
    told = run(folder, NEXT_DAY)
    assert told.returncode == 0, told.stderr
    known, new = map(eval, told.stdout.splitlines())
    assert all(sku.startswith("SKU-") for sku in [*known, *new[0]])
    # The taste is found: nearly all recommendations are of the user's own kind.
    assert sum(kind[int(sku[4:])] == taste[0] for sku in known) >= 2


@pytest.mark.slow
def test_another_order_of_the_frame_gives_the_same_answers(shop, day_one):
    shuffled = DAY_ONE.replace('images.pkl")', 'images.pkl").iloc[::-1]')
    assert shuffled != DAY_ONE
    assert run(shop[0], textwrap.dedent(shuffled)).stdout == day_one.stdout
