"""Files of every release stay loadable and give the same recommendations.

``python -m tests.storage.test_released_files`` adds the files of this release. It never replaces
an existing file.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import recsk
from recsk import MDERecommender, MDSRecRecommender
from recsk.storage.format import VERSION
from tests.contract.suite import FEATURES, HISTORIES, N_ITEMS, N_USERS, TRAIN, answers

FOLDER = Path(__file__).resolve().parents[1] / "files"
FILES = sorted(FOLDER.glob("*.recsk"))


def estimators():
    """Return one estimator for each different set of parts in a file."""
    sizes = {"n_factors": 4, "max_epochs": 2, "random_state": 0, "device": "cpu"}
    users = [f"user {i}" for i in range(N_USERS)]
    labelled = TRAIN.with_labels(users, [("sku", i) for i in range(N_ITEMS)])
    return {
        "mde": (MDERecommender(**sizes), TRAIN, FEATURES),
        "mde-ids": (MDERecommender(**sizes, fusion="sum"), TRAIN, None),
        "mde-labels": (MDERecommender(**sizes), labelled, FEATURES),
        "mde-paper": (MDERecommender.paper(**sizes, user_neighbors=10), TRAIN, FEATURES),
        "mdsrec": (MDSRecRecommender(**sizes, n_interests=3), TRAIN, FEATURES),
        "mdsrec-ids": (MDSRecRecommender(**sizes), TRAIN, None),
        "mdsrec-paper": (MDSRecRecommender.paper(**sizes, n_interests=3), TRAIN, FEATURES),
    }


def questions(model):
    """Return the answers of a model, asked by labels if it speaks labels."""
    if not hasattr(model, "items_"):
        return answers(model)
    users, items = model.users_.tolist(), model.items_.tolist()
    return [
        model.recommend(k=5),
        model.recommend(user_items=[[items[i] for i in history] for history in HISTORIES], k=5),
        model.rank_items(users, items[:3]),
        model.similar_items(items[:2], k=3),
        model.similar_users(users[:2], k=3),
    ]


def as_lists(model):
    """Return the answers of a model for JSON: labels as text, None as the score of padding."""
    return [
        [
            [[x if isinstance(x, int) else str(x) for x in row] for row in found.tolist()],
            [[float(s) if np.isfinite(s) else None for s in row] for row in scores],
        ]
        for found, scores in questions(model)
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_released_file_gives_the_same_recommendations(file):
    model = recsk.load(file)
    expected = json.loads(file.with_suffix(".json").read_text())
    for (found, scores), (expected_found, expected_scores) in zip(
        as_lists(model), expected, strict=True
    ):
        assert found == expected_found
        scores, expected_scores = (
            [[-np.inf if s is None else s for s in row] for row in lists]
            for lists in (scores, expected_scores)
        )
        np.testing.assert_allclose(scores, expected_scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("version", [f"0.1.0-format{VERSION}"])
def test_every_estimator_has_a_file_of_every_version(version):
    assert {f"{name}-{version}" for name in estimators()} <= {file.stem for file in FILES}


def test_released_models_can_be_fitted_again():
    for file in FILES:
        model = recsk.load(file)
        model.set_params(max_epochs=1).fit(TRAIN, item_features=FEATURES)
        assert model.recommend(user_items=HISTORIES, k=3)[0].shape == (len(HISTORIES), 3)


def write():
    """Write the files of this release."""
    for name, (estimator, X, features) in estimators().items():
        path = FOLDER / f"{name}-{recsk.__version__}-format{VERSION}.recsk"
        if path.exists():
            raise FileExistsError(f"{path} exists; raise VERSION or the version of recsk first")
        recsk.save(estimator.fit(X, item_features=features), path)
        path.with_suffix(".json").write_text(json.dumps(as_lists(estimator)) + "\n")


if __name__ == "__main__":
    write()
