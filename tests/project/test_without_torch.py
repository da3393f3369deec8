"""A small box loads models and answers where PyTorch cannot be imported; only a fit needs it."""

import subprocess
import sys
import textwrap

import joblib
import numpy as np
import pytest

import recsk
from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.baselines import (
    ALSRecommender,
    BPRRecommender,
    ContentKNNRecommender,
    EASERecommender,
    ItemKNNRecommender,
    PopularRecommender,
    RP3betaRecommender,
    SequentialRulesRecommender,
)
from recsk.datasets import make_multimodal

pytest.importorskip("safetensors")

DATA = make_multimodal(n_users=60, n_items=50, random_state=0)
X = Interactions(
    DATA.interactions.user,
    DATA.interactions.item,
    timestamp=np.arange(len(DATA.interactions)),
    n_users=60,
    n_items=50,
)
TRAIN, TEST = X[np.arange(len(X)) % 4 > 0], X[::4]
NEW = {name: values[:2] + 0.01 for name, values in DATA.item_features.items()}
SMALL = {"n_factors": 8, "max_epochs": 2, "random_state": 0}

# A process that looks for torch as one does that has none.
BLOCKED = """
import importlib.abc, sys

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is blocked")

sys.meta_path.insert(0, Blocker())
"""
# As on a box with a driver of CUDA: looking for its device must not need torch.
BLOCKED += f"""
import recsk.ranking.devices
recsk.ranking.devices._DRIVERS = ({__file__!r},)
"""

# What is asked, of a model and of its copy without torch. `new` is a history that is folded in.
ASK = """
def ask(model, data):
    NEW, TEST = data["new"], data["test"]
    answers = {
        "everybody": model.recommend(k=7),
        "half": model.recommend([0, 3], k=5, items=range(0, 50, 2)),
        "pairs": model.score_pairs([0, 1, 2], [3, 4, 5]),
        "users": model.recommend_users([0, 7], k=4),
        "ranked": model.rank_items([0, 1], [5, 9, 11]),
        "score": model.score(TEST),
    }
    if hasattr(model, "similar_items"):
        answers["similar items"] = model.similar_items([0, 1], k=5)
    if hasattr(model, "similar_users"):
        answers["similar users"] = model.similar_users([0, 1], k=5)
    if type(model).__name__ != "MDSRecRecommender":
        answers["new"] = model.recommend(user_items=[[1, 2, 30], [4]], k=7)
    if hasattr(model, "add_items"):
        answers["vectors"] = model.item_vectors(NEW)
        answers["added"] = model.add_items(NEW)
        answers["among them"] = model.recommend(k=7)
    return answers
"""

ON_THE_BOX = """
import sys, joblib, numpy as np, recsk
data = joblib.load("data.joblib")
for name, expected in data["expected"].items():
    for load, file in ((recsk.load, name), (joblib.load, name + ".joblib")):
        model = load(file)
        found = ask(model, data)
        assert found.keys() == expected.keys()
        for question in found:
            pairs = zip(found[question], expected[question]) if isinstance(
                found[question], tuple) else [(found[question], expected[question])]
            for a, b in pairs:
                np.testing.assert_array_equal(a, b, err_msg=f"{name}: {question}")
        recsk.save(model, "again")
        recsk.load("again")
        print(name)
assert "torch" not in sys.modules
"""


def run(code, folder, first=BLOCKED):
    command = [sys.executable, "-c", first + textwrap.dedent(code)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def models():
    networks = MDERecommender(**SMALL), MDERecommender.paper(**SMALL), MDSRecRecommender(**SMALL)
    rules = (
        ALSRecommender(factors=8, random_state=0),
        BPRRecommender(factors=8, random_state=0),
        ContentKNNRecommender(),
        EASERecommender(),
        ItemKNNRecommender(),
        PopularRecommender(),
        RP3betaRecommender(),
        SequentialRulesRecommender(),
    )
    features = {"item_features": DATA.item_features}
    for est in networks:
        yield est.fit(TRAIN, **features)
    for est in rules:
        yield est.fit(TRAIN, **(features if isinstance(est, ContentKNNRecommender) else {}))


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """A folder with fitted models, as files of `recsk.save` and of joblib, and their answers."""
    folder = tmp_path_factory.mktemp("box")
    space = {}
    exec(ASK, space)
    data = {"test": TEST, "new": NEW, "expected": {}}
    for number, model in enumerate(models()):
        name = f"{type(model).__name__}-{number}"
        recsk.save(model, folder / name)
        joblib.dump(model, folder / f"{name}.joblib")
        data["expected"][name] = space["ask"](model, data)
    joblib.dump(data, folder / "data.joblib")
    return folder


def test_all_models_answer_as_with_torch(box):
    assert len(set(run(ASK + ON_THE_BOX, box).split())) == 11


def test_the_approximate_index(box):
    pytest.importorskip("faiss")
    code = """
    import recsk
    for name in ("MDERecommender-0", "MDSRecRecommender-2"):
        model = recsk.load(name)
        ids = [0, 1, 2]
        found, _ = model.to_ann().query(
            model.user_vectors(ids), 5,
            exclude=model.interactions_[ids], weights=model.history_weights(ids),
        )
        assert (found == model.recommend(ids, k=5)[0]).all()
    """
    run(code, box)


def test_a_fit_and_an_encoder_of_sequences_name_the_cure(box):
    code = """
    import joblib, recsk
    X = joblib.load("data.joblib")["test"]

    def message(call, *args, **options):
        try:
            call(*args, **options)
        except ImportError as error:
            return str(error)

    mde, mdsrec = recsk.load("MDERecommender-0"), recsk.load("MDSRecRecommender-2")
    before = mde.recommend(k=3)[0]
    print(message(recsk.MDERecommender().fit, X))
    print(message(recsk.MDSRecRecommender().fit, X))
    print(message(mde.partial_fit, X[:5]))
    print(message(mde.set_params(warm_start=True).fit, X))
    print(message(mdsrec.recommend, user_items=[[1, 2]]))
    print(message(mdsrec.user_modality_weights, [[1, 2]]))
    assert (mde.recommend(k=3)[0] == before).all()
    """
    lines = run(code, box).splitlines()
    assert len(lines) == 6
    assert all("needs PyTorch" in line and "pip install torch" in line for line in lines)
    assert all(line.startswith("a fit") for line in lines[:4])
    assert all(line.startswith("encoding sequences of new users") for line in lines[4:])


def test_answers_are_explained(box):
    code = """
    import recsk
    from recsk.plotting import RecommendationReport

    for name in ("MDERecommender-0", "MDSRecRecommender-2"):
        model = recsk.load(name).set_params(device="cuda")
        items, scores = model.recommend([0, 3], k=4, diversity=0.3)
        why = model.explain([0, 3], items, history=False)
        assert abs(sum(why.parts.values()) - scores).max() < 1e-5
        assert "Not looked at" in RecommendationReport(why).to_html()
        try:
            print(len(model.explain([0, 3], items).effects))
        except ImportError as error:
            print(error)
    """
    lines = run(code, box).splitlines()
    assert lines[0] == "2"
    assert "needs PyTorch" in lines[1] and "history=False" in lines[1]


def test_the_import_loads_nothing_that_it_does_not_need(tmp_path):
    code = """
    import sys
    import recsk
    from recsk import Interactions, MDERecommender
    from recsk.contract import TrainedRecommender
    unwanted = "torch", "matplotlib", "faiss", "numba", "polars", "sklearn.cluster"
    unwanted += "sklearn.linear_model", "sklearn.preprocessing", "sklearn.model_selection"
    print([name for name in unwanted if name in sys.modules])
    """
    assert run(code, tmp_path, first="") == "[]\n"
