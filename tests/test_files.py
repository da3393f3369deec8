"""Files of earlier releases load for ever, and answer as they did then.

``python -m tests.test_files`` writes the files of this release beside the others. Files that are
there are never written again.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import recsk
from recsk import MDERecommender, MDSRecRecommender
from recsk.persistence import _VERSION
from tests.contract import FEATURES, HISTORIES, TRAIN, answers

FOLDER = Path(__file__).parent / "files"
FILES = sorted(FOLDER.glob("*.recsk"))


def estimators():
    """One of each kind that has other parts in its file."""
    sizes = {"n_factors": 4, "max_epochs": 2, "random_state": 0, "device": "cpu"}
    return {
        "mde": (MDERecommender(**sizes), FEATURES),
        "mde-ids": (MDERecommender(**sizes, fusion="sum"), None),
        "mde-paper": (MDERecommender.paper(**sizes), FEATURES),
        "mdsrec": (MDSRecRecommender(**sizes, n_interests=3), FEATURES),
        "mdsrec-ids": (MDSRecRecommender(**sizes), None),
        "mdsrec-paper": (MDSRecRecommender.paper(**sizes, n_interests=3), FEATURES),
    }


def as_lists(model):
    """What a model answers, in JSON; scores of padding are None."""
    return [
        [ids.tolist(), [[float(s) if np.isfinite(s) else None for s in row] for row in scores]]
        for ids, scores in answers(model)
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_answers_as_it_did(file):
    model = recsk.load(file)
    expected = json.loads(file.with_suffix(".json").read_text())
    for (ids, scores), (old_ids, old_scores) in zip(answers(model), expected, strict=True):
        np.testing.assert_array_equal(ids, old_ids)
        old_scores = [[-np.inf if s is None else s for s in row] for row in old_scores]
        np.testing.assert_allclose(scores, old_scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("version", ["0.1.0", f"0.1.0-format{_VERSION}"])
def test_every_kind_has_a_file_of_every_version(version):
    assert {f"{name}-{version}" for name in estimators()} <= {file.stem for file in FILES}


def test_what_is_loaded_can_be_fitted_again():
    for file in FILES:
        model = recsk.load(file)
        model.set_params(max_epochs=1).fit(TRAIN, item_features=FEATURES)
        assert model.recommend(user_items=HISTORIES, k=3)[0].shape == (len(HISTORIES), 3)


def write():
    """Write the files of this release."""
    for name, (estimator, features) in estimators().items():
        path = FOLDER / f"{name}-{recsk.__version__}-format{_VERSION}.recsk"
        if path.exists():
            raise FileExistsError(f"{path} is there already; raise one of the versions first")
        recsk.save(estimator.fit(TRAIN, item_features=features), path)
        path.with_suffix(".json").write_text(json.dumps(as_lists(estimator)) + "\n")


if __name__ == "__main__":
    write()
