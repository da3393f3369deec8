import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.spatial.distance import jensenshannon

from recsk.metrics import Calibration, calibration_at_k, evaluate
from recsk.metrics import lists as lists_module
from tests.metrics.cases import (
    RANKED,
    TRUTH,
    FixedRecommender,
    check_average,
    lists_and_histories,
)

GENRES = "abc"


def distribution(items, categories):
    """Average the shares of the categories over the items that have any."""
    having = [categories[item] for item in items if categories[item]]
    return {
        g: sum((g in named) / len(named) for named in having) / len(having) if having else math.nan
        for g in GENRES
    }


def reference(row, history, categories, divergence, smoothing):
    """Compute the divergence of one list by the formulas of the paper."""
    p = distribution(history, categories)
    q = distribution([item for item in row if item >= 0], categories)
    q = {g: (1 - smoothing) * q[g] + smoothing * p[g] for g in GENRES}
    if math.isnan(sum(q.values())):
        return math.nan
    if divergence == "kl":
        return sum(p[g] * math.log(p[g] / q[g]) for g in GENRES if p[g] > 0)
    return jensenshannon(list(p.values()), list(q.values())) ** 2


@given(lists_and_histories(), st.data())
def test_calibration_equals_its_definition(problem, data):
    ranked, train, users, k = problem
    n_items = train.shape[1]
    entry = st.lists(st.sampled_from(GENRES), unique=True, max_size=2).map(tuple)
    categories = data.draw(st.lists(entry, min_size=n_items, max_size=n_items))
    divergence = data.draw(st.sampled_from(["kl", "js"]))
    smoothing = data.draw(st.sampled_from([0.01, 0.3] + [0] * (divergence == "js")))
    settings = {"users": users, "divergence": divergence, "smoothing": smoothing}
    expected = [
        reference(row[:k], np.flatnonzero(train[user]), categories, divergence, smoothing)
        for row, user in zip(ranked, users, strict=True)
    ]
    arguments = ranked, sparse.csr_array(train), categories, k
    values = calibration_at_k(*arguments, average=False, **settings)
    np.testing.assert_allclose(values, expected, atol=1e-9)
    check_average(values, calibration_at_k, *arguments, **settings)
    weights = np.array([[float(g in named) for g in GENRES] for named in categories])
    for matrix in (weights, 3 * sparse.csr_array(weights)):
        again = calibration_at_k(*arguments[:2], matrix, k, average=False, **settings)
        np.testing.assert_allclose(again, values, atol=1e-12)


def test_values_computed_by_hand():
    # History: two thirds a, one third b. List: one half each.
    train, categories = sparse.csr_array([[1, 1, 1, 0]]), ["a", "a", "b", "b"]
    q = [0.99 * 0.5 + 0.01 * 2 / 3, 0.99 * 0.5 + 0.01 / 3]
    expected = 2 / 3 * math.log(2 / 3 / q[0]) + 1 / 3 * math.log(1 / 3 / q[1])
    assert calibration_at_k([[0, 3]], train, categories) == pytest.approx(expected)
    # A category that the list lacks has a finite divergence.
    only_b = 2 / 3 * math.log(1 / 0.01) + 1 / 3 * math.log(1 / 3 / (0.99 + 0.01 / 3))
    assert calibration_at_k([[2, 3]], train, categories) == pytest.approx(only_b)


def test_all_forms_of_categories_give_the_same_values():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    names = ["pop", "jazz", None, "pop", "rock", "jazz"]
    train = sparse.csr_array(rng.random((4, 6)) < 0.6)
    expected = evaluate(FixedRecommender(RANKED), TRUTH, Calibration(names), 3, X_train=train)
    order = rng.permutation(6)
    series = pd.Series([names[i] for i in order], index=order)
    for categories in (
        np.array(names, dtype=object),
        [float("nan") if name is None else name for name in names],
        [() if name is None else (name,) for name in names],
        [[] if name is None else {name} for name in names],
        series,
        series.dropna(),
        series.astype("category"),
        pd.get_dummies(series),
    ):
        metric = pickle.loads(pickle.dumps(Calibration(categories)))
        values = evaluate(FixedRecommender(RANKED), TRUTH, metric, 3, X_train=train)
        assert values == pytest.approx(expected)


def test_a_list_of_tuples_of_numbers_holds_categories():
    train, genres = sparse.csr_array([[1, 0, 1]]), [(18, 35), (35, 18), (1, 18)]
    words = [tuple(map(str, named)) for named in genres]
    assert calibration_at_k([[1]], train, genres) == calibration_at_k([[1]], train, words) > 0


def test_blocks_do_not_change_the_values(monkeypatch):
    rng = np.random.default_rng(0)
    ranked = rng.permuted(np.tile(np.arange(30), (20, 1)), axis=1)[:, :5]
    train = sparse.csr_array(rng.random((20, 30)) < 0.3)
    arguments = ranked, train, rng.integers(0, 4, 30)
    expected = calibration_at_k(*arguments, average=False)
    monkeypatch.setattr(lists_module, "_BLOCK_ENTRIES", 12)
    np.testing.assert_allclose(calibration_at_k(*arguments, average=False), expected)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"divergence": "cosine"}, ValueError, 'divergence must be "kl" or "js"; got .cosine'),
        ({"smoothing": 0}, ValueError, "smoothing must be above 0 and below 1.*got 0"),
        ({"smoothing": 1, "divergence": "js"}, ValueError, "smoothing must be above 0"),
        ({"smoothing": "a"}, ValueError, "smoothing must be above 0"),
        ({"categories": ["a"] * 5}, ValueError, "categories must have a row for each of the 6"),
        ({"categories": np.full((6, 2), -1.0)}, ValueError, "weights that are finite and at least"),
        ({"categories": np.full((6, 2), np.inf)}, ValueError, "weights that are finite"),
        ({"categories": np.full((6, 2), "a")}, TypeError, "2 axes must hold numbers.*one column"),
        ({"categories": [[["a"]]] * 6}, TypeError, "categories must be hashable; item 0 has"),
    ],
)
def test_wrong_parameters_are_rejected(change, error, message):
    metric = Calibration(**({"categories": ["a"] * 6} | change))
    with pytest.raises(error, match=message):
        evaluate(FixedRecommender(RANKED), TRUTH, metric, 3, X_train=TRUTH)


def test_repr_shows_the_parameters():
    assert repr(Calibration(["a"], "js")) == (
        "Calibration(list ['a'], divergence='js', smoothing=0.01, name='calibration')"
    )
