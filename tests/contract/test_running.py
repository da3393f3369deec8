"""Fits and answers in processes and states that others have left behind."""

import os
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from sklearn.base import clone

from recsk import MDERecommender, MDSRecRecommender
from tests.contract.suite import FEATURES, HISTORIES, TRAIN, answers, assert_same_model

ESTIMATORS = {
    "mde": MDERecommender(n_factors=4, max_epochs=2, early_stopping=True, random_state=0),
    "mdsrec": MDSRecRecommender(
        n_factors=4, max_epochs=2, n_interests=3, early_stopping=True, random_state=0
    ),
}


@pytest.fixture(params=ESTIMATORS)
def est(request):
    return clone(ESTIMATORS[request.param])


@pytest.fixture
def restored():
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)


LEFT_BEHIND = {
    "grad disabled": lambda: nullcontext(torch.set_grad_enabled(False)),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: nullcontext(torch.set_default_dtype(torch.float64)),
    "float16": lambda: nullcontext(torch.set_default_dtype(torch.float16)),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "default device": lambda: nullcontext(torch.set_default_device("meta")),
    "device": lambda: torch.device("meta"),
}


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("left_behind", LEFT_BEHIND)
def test_what_a_notebook_left_in_torch_changes_nothing(left_behind, est):
    expected = clone(est).fit(TRAIN, item_features=FEATURES)
    before = answers(expected)
    with LEFT_BEHIND[left_behind]():
        mode = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_default_device()
        for one, other in zip(answers(expected), before, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])
        again = est.fit(TRAIN, item_features=FEATURES)
        assert_same_model(again, expected)
        assert again.loss_curve_ == expected.loss_curve_
        assert again.score(TRAIN) == expected.score(TRAIN)
        if hasattr(again, "user_modality_weights"):
            assert again.user_modality_weights(HISTORIES).dtype == np.float32
        assert mode == (
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.get_default_device(),
        )


# A process fits and asks with two threads. Then each call runs in a fork of it, which has to end.
_FORKS = """
import os, sys, time
import numpy as np
import torch
from threadpoolctl import threadpool_info
from recsk import Interactions, MDERecommender, MDSRecRecommender

rng = np.random.default_rng(0)
pairs = np.unique(rng.integers([300, 400], size=(6000, 2)), axis=0)
rng.shuffle(pairs)
X = Interactions(*pairs.T, timestamp=np.arange(len(pairs)), n_users=300, n_items=400)
features = {"v": rng.normal(size=(400, 32))}
estimator = {"mde": MDERecommender, "mdsrec": MDSRecRecommender}[sys.argv[1]]
est = estimator(n_factors=32, max_epochs=1, early_stopping=True, random_state=0)
model = est.fit(X, item_features=features)
new = X[X.user < 200]

calls = {
    "recommend": lambda: model.recommend(k=10),
    "recommend to one": lambda: model.recommend(3, k=10),
    "seen items too": lambda: model.recommend(k=10, exclude_seen=False),
    "similar_items": lambda: model.similar_items(np.arange(300)),
    "similar_users": lambda: model.similar_users(np.arange(300)),
    "fold in": lambda: model.recommend(user_items=new),
    "rank_items": lambda: model.rank_items(np.arange(300), [1, 2, 3]),
    "score": lambda: np.array([model.score(X)]),
    "fit": lambda: estimator(**est.get_params()).fit(X, item_features=features).recommend(k=3),
    "to_ann": lambda: model.to_ann().query(model.user_vectors(), k=3, **weights)[0].shape,
}
related = hasattr(model, "item_to_item_")
weights = {"weights": model.history_weights()} if related else {}

def settings():
    pools = ((x["filepath"], x["num_threads"]) for x in threadpool_info())
    return torch.get_num_threads(), sorted(pools)

def run(name, expected):
    for _ in range(2):
        before = settings()
        found = calls[name]()
        assert settings() == before, (before, settings())
        for a, b in zip(found, expected):
            if name == "seen items too" or name == "fold in" or name == "fit":
                a, b = np.asarray(a), np.asarray(b)
                assert a.shape == b.shape  # sums of one thread and of two are rounded differently
                assert np.mean(np.isclose(a, b, rtol=1e-3, atol=1e-4)) > 0.95
            else:
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)

for name in calls:
    expected = calls[name]()
    child = os.fork()
    if not child:
        code = 1
        try:
            run(name, expected)
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    deadline = time.monotonic() + 20
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
        time.sleep(0.01)
    if not ended[0]:
        os.kill(child, 9)
        os.waitpid(child, 0)
    outcome = "never returned" if not ended[0] else "failed" if ended[1] else "ok"
    print(name, outcome, sep=": ")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_fork_of_a_process_that_used_threads_answers(name):
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    child = subprocess.run(
        [sys.executable, "-c", _FORKS, name],
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert child.returncode == 0, child.stderr
    lines = child.stdout.splitlines()
    assert len(lines) == 10 and all(line.endswith(": ok") for line in lines), child
    assert "RuntimeWarning" not in child.stderr
