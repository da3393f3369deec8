"""The paper's form but for one choice: every model fits, and its choice has an effect."""

import numpy as np
import pytest


@pytest.fixture
def fit(script):
    data = script("sources").load("tiny", False)
    models = script("models")

    def call(name):
        changes = {"n_factors": 4, "max_epochs": 2, "device": "cpu"}
        return models.fit(name, data, 0, changes)

    return call


def test_every_choice_has_an_effect(script, fit):
    paper = fit("paper")
    usual = script("recsk.models.mde.training").MDEObjective
    for name in script("paper_form").FORMS:
        model = fit(name)
        assert np.isfinite(model.item_embedding_).all(), name
        assert not np.allclose(model.user_embedding_, paper.user_embedding_, atol=1e-6), name
    assert script("recsk.models.mde.training").MDEObjective is usual
