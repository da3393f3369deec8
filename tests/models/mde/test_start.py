import numpy as np
import pytest
import torch

from recsk import MDERecommender
from recsk.graphs import spectral_vectors
from recsk.models.mde.training import _batch_size
from tests.contract.suite import COLD_ITEM, FEATURES, ITEM_WITHOUT_TEXT, TRAIN

SMALL = {"n_factors": 4, "random_state": 0, "early_stopping": False}


def built(item_features=FEATURES, **params):
    est = MDERecommender(**{**SMALL, **params})
    prepared = est._prepare(TRAIN, item_features, None)
    return prepared, est._build(prepared).network


def test_users_and_items_start_at_their_singular_vectors():
    prepared, network = built()
    _, random = built(training="paper")
    users, items = spectral_vectors(prepared.train_set, 4, prepared.seed)
    np.testing.assert_allclose(
        network.user.detach(), 0.1 * np.hstack([users, users]) + 0.1 * random.user.detach().numpy()
    )
    np.testing.assert_allclose(network.item.detach(), 0.1 * items, rtol=1e-6)


def test_encoders_start_at_a_ridge_regression():
    prepared, network = built()
    _, items = spectral_vectors(prepared.train_set, 4, prepared.seed)
    for m, (values, _) in enumerate(prepared.modalities):
        learned = [
            i
            for i in range(len(items))
            if i != COLD_ITEM and not (m == 1 and i == ITEM_WITHOUT_TEXT)
        ]
        x, y = values[learned].astype(np.float64), items[learned].astype(np.float64)
        penalty = np.trace(x.T @ x) / x.shape[1]
        weight = np.linalg.inv(x.T @ x + penalty * np.eye(x.shape[1])) @ x.T @ y
        np.testing.assert_allclose(network.encoders[m].weight.detach().T, weight, atol=1e-4)
        assert not network.encoders[m].bias.any()


@pytest.mark.parametrize(
    "params",
    [{"id_embedding": "none"}, {"id_embedding": "gate"}, {"fusion": "sum"}],
    ids=str,
)
def test_what_has_no_closed_form_starts_at_random(params):
    _, network = built(**params)
    _, random = built(**params, training="paper")
    assert not torch.equal(network.user, random.user)
    if params.get("id_embedding") == "gate":
        assert torch.equal(network.item, random.item)


def test_without_features_items_are_the_singular_vectors():
    prepared, network = built(None)
    _, items = spectral_vectors(prepared.train_set, 4, prepared.seed)
    np.testing.assert_array_equal(network.item.detach(), items)


def test_the_paper_starts_at_random():
    _, network = built()
    assert MDERecommender.paper().training == "paper"
    _, paper = built(training="paper")
    assert not torch.equal(network.user, paper.user)


@pytest.mark.parametrize(
    ("n", "expected"), [(1, 1), (10, 10), (16 * 32, 32), (16 * 100 + 1, 101), (10**8, 8192)]
)
def test_an_epoch_has_sixteen_steps_where_it_can(n, expected):
    size = _batch_size("auto", n, None)
    assert min(size, n) == expected
    assert _batch_size(np.int64(7), n, 2) == 7


@pytest.mark.parametrize(
    ("n", "n_users", "expected"),
    [(10**6, 10**4, 8192), (10**6, 10**6, 1536), (3 * 10**6, 10**6, 4608), (500, 500, 32)],
)
def test_a_step_has_few_users_where_they_have_few_interactions(n, n_users, expected):
    assert _batch_size("auto", n, n_users) == expected
    assert _batch_size(8192, n, n_users) == 8192
