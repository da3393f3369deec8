"""MDSRec's defaults but for one form: every model fits, and its form has an effect."""

import numpy as np
import pytest


@pytest.fixture
def fit(script):
    data = script("sources").load("tiny", True)
    models = script("models")

    def call(name):
        changes = {"n_factors": 8, "max_epochs": 2, "device": "cpu"}
        return models.fit(name, data, 0, changes).estimator

    return call


def test_every_form_has_an_effect(script, fit):
    usual = fit("mdsrec")
    encoder = script("recsk.nn.encoder").SequenceEncoder
    for name in script("sequence_content").FORMS:
        model = fit(name)
        assert np.isfinite(model.item_embedding_).all(), name
        same = model.user_embedding_.shape == usual.user_embedding_.shape
        assert not same or not np.allclose(
            model.user_embedding_, usual.user_embedding_, atol=1e-6
        ), name
        items, scores = model.recommend(user_items=[[1, 2, 3]], k=5)
        assert items.shape == (1, 5) and np.isfinite(scores).all(), name
    assert script("recsk.nn.encoder").SequenceEncoder is encoder
