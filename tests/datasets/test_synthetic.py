import inspect

import numpy as np
import pytest

from recsk.datasets import make_multimodal, synthetic


@pytest.fixture(scope="module")
def data():
    return make_multimodal(random_state=0)


def utility(data):
    """Utility as in the docstring, without the popularity term and the strength."""
    return sum(
        np.sqrt(data.user_preference[:, [m]]) * (data.user_factors[n] @ data.item_factors[n].T)
        for m, n in enumerate(data.modality_names)
    )


def test_shapes_and_types(data):
    n_users, n_items = 2000, 4000
    interactions = data.interactions
    assert (interactions.n_users, interactions.n_items) == (n_users, n_items)
    assert list(data.item_features) == data.modality_names == ["v", "t"]
    for features in data.item_features.values():
        assert features.shape == (n_items, 32)
        assert features.dtype == np.float32
        assert np.isfinite(features).all()
    assert data.user_preference.shape == (n_users, 2)
    np.testing.assert_allclose(data.user_preference.sum(axis=1), 1)
    assert data.popularity.shape == (n_items,)
    np.testing.assert_allclose(data.popularity.sum(), 1)
    assert data.successors.shape == (n_items, 5)
    assert data.shared_item_factors.shape == (n_items, 16)
    for factors in (data.item_factors, data.specific_item_factors):
        assert {name: array.shape for name, array in factors.items()} == {
            "v": (n_items, 16),
            "t": (n_items, 16),
        }


def test_every_user_has_distinct_items(data):
    interactions = data.interactions
    pairs = interactions.user * interactions.n_items + interactions.item
    assert len(np.unique(pairs)) == len(pairs)
    lengths = np.bincount(interactions.user, minlength=interactions.n_users)
    assert lengths.min() >= 1
    assert 9 < lengths.mean() < 11


def test_time_increases_for_each_user(data):
    user, timestamp = data.interactions.user, data.interactions.timestamp
    assert (np.diff(user) >= 0).all()
    same_user = np.diff(user) == 0
    assert (np.diff(timestamp)[same_user] > 0).all()
    assert timestamp.dtype == np.int64


def test_same_seed_same_data_and_another_seed_other_data():
    def draw(seed):
        return make_multimodal(n_users=40, n_items=50, sequential=0.3, random_state=seed)

    first, again, other = draw(3), draw(3), draw(4)
    for column in ("user", "item", "timestamp"):
        np.testing.assert_array_equal(
            getattr(first.interactions, column), getattr(again.interactions, column)
        )
    np.testing.assert_array_equal(first.item_features["v"], again.item_features["v"])
    assert not np.array_equal(first.item_features["v"], other.item_features["v"])


def test_the_global_random_state_is_used_and_an_instance_advances():
    state = np.random.RandomState(0)
    first = make_multimodal(n_users=20, n_items=30, random_state=state)
    second = make_multimodal(n_users=20, n_items=30, random_state=state)
    assert not np.array_equal(first.item_features["v"], second.item_features["v"])


def test_the_block_size_changes_nothing(monkeypatch):
    def draw():
        return make_multimodal(n_users=60, n_items=70, random_state=0).interactions

    whole = draw()
    monkeypatch.setattr(synthetic, "_BLOCK_ELEMENTS", 7 * 70)
    parts = draw()
    np.testing.assert_array_equal(whole.user, parts.user)
    np.testing.assert_array_equal(whole.item, parts.item)


def test_users_choose_items_that_match_their_taste(data):
    scores = utility(data)
    chosen = scores[data.interactions.user, data.interactions.item]
    assert (chosen[:, None] > scores[data.interactions.user][:, ::50]).mean() > 0.9


def test_choices_depend_on_the_preferred_modality():
    data = make_multimodal(n_users=2000, correlation=0.0, popularity=0.0, random_state=0)
    user, item = data.interactions.user, data.interactions.item
    for m, name in enumerate(data.modality_names):
        match = (data.user_factors[name][user] * data.item_factors[name][item]).sum(axis=1)
        devoted = data.user_preference[user, m] > 0.9
        indifferent = data.user_preference[user, m] < 0.1
        assert match[devoted].mean() > 3 * abs(match[indifferent].mean())


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.8, 1.0])
def test_modalities_have_the_given_correlation(correlation):
    data = make_multimodal(n_users=5, n_items=4000, correlation=correlation, random_state=0)
    found = np.corrcoef(data.item_factors["v"].ravel(), data.item_factors["t"].ravel())[0, 1]
    assert found == pytest.approx(correlation, abs=0.03)


def test_popularity_follows_its_exponent():
    def gini(exponent):
        data = make_multimodal(strength=0.0, popularity=exponent, random_state=0)
        counts = np.sort(np.bincount(data.interactions.item, minlength=data.interactions.n_items))
        return 1 - 2 * np.mean(np.cumsum(counts) / counts.sum())

    assert gini(0.0) < gini(0.6) < gini(1.2)


def test_concentration_spreads_or_focuses_the_preference():
    def largest(concentration):
        data = make_multimodal(n_users=300, n_items=20, concentration=concentration, random_state=0)
        return data.user_preference.max(axis=1).mean()

    assert largest(0.1) > 0.9
    assert largest(100.0) < 0.6


def test_the_share_of_successors_is_as_given():
    def share_of_successors(sequential):
        data = make_multimodal(sequential=sequential, n_successors=30, random_state=0)
        user, item = data.interactions.user, data.interactions.item
        assert len(np.unique(user * data.interactions.n_items + item)) == len(user)
        successor = (data.successors[item[:-1]] == item[1:, None]).any(axis=1)
        return successor[np.diff(user) == 0].mean()

    by_chance = share_of_successors(0.0)
    assert by_chance < 0.15
    for sequential in (0.5, 1.0):
        expected = sequential + (1 - sequential) * by_chance
        assert share_of_successors(sequential) == pytest.approx(expected, abs=0.05)


def test_features_show_the_factors(data):
    for name, features in data.item_features.items():
        design = np.c_[features, np.ones(len(features))]
        weights, *_ = np.linalg.lstsq(design, data.item_factors[name], rcond=None)
        residual = data.item_factors[name] - design @ weights
        assert residual.var() < 0.25 * data.item_factors[name].var()


def test_missing_rows_are_entirely_nan():
    data = make_multimodal(n_users=10, n_items=40, missing=0.25, random_state=0)
    for features in data.item_features.values():
        is_nan = np.isnan(features)
        assert (is_nan.all(axis=1) == is_nan.any(axis=1)).all()
        assert is_nan.all(axis=1).sum() == 10
    assert not np.array_equal(*(np.isnan(f[:, 0]) for f in data.item_features.values()))


@pytest.mark.parametrize("names", [("a",), ("v", "a", "t", "meta")])
def test_any_number_of_modalities(names):
    widths = {name: 3 + m for m, name in enumerate(names)}
    data = make_multimodal(
        n_users=10, n_items=20, modalities=names, n_features=widths, random_state=0
    )
    assert {name: array.shape[1] for name, array in data.item_features.items()} == widths
    assert data.user_preference.shape == (10, len(names))


def test_a_history_holds_each_item_of_a_tiny_catalogue_once_at_most():
    data = make_multimodal(
        n_users=30, n_items=3, interactions_per_user=50, sequential=0.5, random_state=0
    )
    lengths = np.bincount(data.interactions.user, minlength=30)
    assert lengths.max() == 3
    assert data.successors.shape == (3, 2)


def test_one_interaction_per_user():
    data = make_multimodal(n_users=30, n_items=20, interactions_per_user=1, random_state=0)
    assert len(data.interactions) == 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_users": 0}, "n_users"),
        ({"n_items": 1}, "n_items"),
        ({"correlation": 1.5}, "correlation"),
        ({"sequential": -0.1}, "sequential"),
        ({"concentration": 0.0}, "concentration"),
        ({"interactions_per_user": 0.5}, "interactions_per_user"),
        ({"random_state": "seed"}, "random_state"),
        ({"modalities": "vt"}, r"pass \('vt',\)"),
        ({"modalities": ()}, "modalities must be one or more strings"),
        ({"modalities": ("v", "v")}, "different names"),
        ({"n_features": {"v": 3}}, r"names of modalities, \['t', 'v'\], got \['v'\]"),
        ({"n_features": {"v": 3, "t": 0}}, r"n_features\['t'\] must be an int of at least 1"),
    ],
)
def test_errors_name_the_wrong_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_multimodal(**arguments)


def test_every_number_has_a_constraint():
    parameters = inspect.signature(make_multimodal).parameters
    assert set(synthetic._CONSTRAINTS) == set(parameters) - {"modalities"}


@pytest.mark.slow
def test_no_dense_users_by_items_array(monkeypatch):
    sizes = []
    top_k_columns = synthetic._top_k_columns

    def record_size(scores, k):
        sizes.append(scores.size)
        return top_k_columns(scores, k)

    monkeypatch.setattr(synthetic, "_top_k_columns", record_size)
    data = make_multimodal(n_users=5000, n_items=4000, random_state=0)
    assert len(np.unique(data.interactions.user)) == 5000
    assert max(sizes) <= synthetic._BLOCK_ELEMENTS
