"""Every mistake that a user can make: a clear error before any training, or a stated answer."""

import functools
import re

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

from recsk import Interactions, MDERecommender
from recsk.metrics import evaluate
from recsk.model_selection import RandomHoldout
from recsk.models import MDSRecRecommender
from recsk.nn import training
from tests.contract.suite import FEATURES, N_ITEMS, N_USERS, TRAIN

# A new estimator joins here.
ESTIMATORS = [
    make(n_factors=4, max_epochs=1, random_state=0, device="cpu")
    for make in (MDERecommender, MDSRecRecommender)
]
X = TRAIN.to_csr()
V = FEATURES["v"]


def changed(array, index, value):
    array = np.array(array, dtype=np.float64)
    array[index] = value
    return array


@pytest.fixture(params=ESTIMATORS, ids=lambda est: type(est).__name__)
def est(request):
    return clone(request.param)


@functools.cache
def _fitted(index):
    return clone(ESTIMATORS[index]).fit(TRAIN, item_features=FEATURES)


@pytest.fixture(params=range(len(ESTIMATORS)), ids=lambda i: type(ESTIMATORS[i]).__name__)
def model(request):
    return _fitted(request.param)


@pytest.fixture
def no_training(monkeypatch):
    def begun(*args, **kwargs):
        raise AssertionError("training has begun")

    monkeypatch.setattr(training, "_run_epoch", begun)


def check_fit_is_refused(est, error, message, X=TRAIN, **kwargs):
    with pytest.raises(error, match=message):
        est.fit(X, **kwargs)
    with pytest.raises(NotFittedError):
        est.recommend(0)


def test_the_guard_notices_training(no_training, est):
    with pytest.raises(AssertionError, match="training has begun"):
        est.fit(TRAIN)


@pytest.mark.usefixtures("no_training")
class TestFit:
    @pytest.mark.parametrize(
        ("features", "error", "message"),
        [
            (V, TypeError, r"item_features must be a dict.*\{'image': features\}.*\(24, 6\)"),
            (list(FEATURES.values()), TypeError, "item_features must be a dict"),
            (sparse.csr_array(V), TypeError, "item_features must be a dict"),
            ({1: V}, TypeError, "item_features must have strings as names .* got 1"),
            ({"v": V[:-1]}, ValueError, r"\['v'\] has 23 rows, but X has 24 items \(columns\)"),
            ({"v": V, "t": V.T}, ValueError, r"\['t'\] has 6 rows, but X has 24 items"),
            ({"v": np.ones((N_USERS, 6))}, ValueError, r"\['v'\] has 30 rows, but X has 24 items"),
            ({"v": V[:, 0]}, ValueError, r"\['v'\] must be of shape \(n_items, n_columns\)"),
            ({"v": V[None]}, ValueError, r"\['v'\] must be of shape .* got shape \(1, 24, 6\)"),
            ({"v": V[:, :0]}, ValueError, r"\['v'\] must have at least one column"),
            ({"v": [[1.0], [2.0, 3.0]]}, ValueError, r"\['v'\] must be one array"),
            ({"v": V.astype(str)}, TypeError, r"\['v'\] must be an array of numbers"),
            ({"v": V * 1j}, TypeError, r"\['v'\] must be an array of numbers"),
            ({"v": None}, TypeError, r"\['v'\] must be an array of numbers"),
            ({"v": changed(V, (3, 1), np.nan)}, ValueError, r"\['v'\] has NaN in part of row 3"),
            ({"v": changed(V, (4, 0), np.inf)}, ValueError, r"\['v'\] has an infinite .* row 4"),
            ({"v": changed(V, (4, 0), 1e39)}, ValueError, r"\['v'\] has an infinite .* row 4"),
            ({"v": V * np.nan}, ValueError, r"\['v'\] is NaN for every item; leave the modality"),
        ],
    )
    def test_item_features(self, features, error, message, est):
        check_fit_is_refused(est, error, message, item_features=features)

    @pytest.mark.parametrize(
        ("X", "error", "message"),
        [
            (sparse.csr_array((N_USERS, N_ITEMS)), ValueError, "X has no interactions: 30 users"),
            (sparse.csr_array(np.zeros((2, 3))), ValueError, "X has no interactions"),
            (X * 0, ValueError, "X has no interactions"),
            (sparse.csr_array((0, 5)), ValueError, r"0 sample\(s\) \(shape=\(0, 5\)\)"),
            (sparse.csr_array((5, 0)), ValueError, r"0 feature\(s\) \(shape=\(5, 0\)\)"),
            (Interactions([], [], n_users=3, n_items=2), ValueError, "X has no interactions: 3"),
            (Interactions([0], [0], value=[0]), ValueError, "X has no interactions"),
            (Interactions([0], [0], value=[-2]), ValueError, "X holds -2; .* not be negative"),
            (-X, ValueError, "X holds -1; .* must not be negative"),
            (changed(X.toarray(), (0, 0), -3), ValueError, "X holds -3; .* must not be negative"),
            (changed(X.toarray(), (0, 0), np.nan), ValueError, "X contains NaN"),
            (sparse.csr_array([[np.inf]]), ValueError, "X contains infinity"),
            (np.ones(4), ValueError, "Expected 2D array, got 1D array"),
            (sparse.coo_array(np.ones(4)), ValueError, "Expected 2D"),
            (sparse.coo_array(np.ones((2, 2, 2))), ValueError, "shape|dim"),
            (X.astype(complex), ValueError, "Complex data not supported"),
            # It was a ValueError of NumPy, and text of numbers was read as numbers.
            ([["a", "b"]], TypeError, "X must be .* got text in .*Interactions.from_frame"),
            (None, ValueError, "Expected 2D array"),
        ],
    )
    def test_interactions(self, X, error, message, est):
        check_fit_is_refused(est, error, message, X=X)

    @pytest.mark.parametrize("y", [FEATURES, V, V.tolist(), TRAIN, X, X.toarray()])
    def test_features_or_data_in_the_place_of_y(self, y, est):
        """They would be ignored, and a model of ids alone would look like one of features."""
        with pytest.raises(TypeError, match=r"(?s)y must be None.*item_features=.*eval_set="):
            est.fit(TRAIN, y)
        with pytest.raises(NotFittedError):
            est.recommend(0)

    @pytest.mark.parametrize("reshape", [lambda X: X, lambda X: X.toarray()])
    def test_a_pivoted_table_with_nan(self, reshape, est):
        pivot = reshape(X * 1.0)
        pivot[0, 3] = np.nan
        check_fit_is_refused(est, ValueError, r"X contains NaN.*item 3.*X.fillna\(0\)", X=pivot)
        message = r"eval_set contains NaN.*item 3.*eval_set.fillna\(0\)"
        check_fit_is_refused(est, ValueError, message, eval_set=pivot)

    @pytest.mark.parametrize(
        ("eval_set", "error", "message"),
        [
            (X[:, :5], ValueError, "eval_set has 5 items.* fitted with 24; eval_set is n_users x"),
            (X.T, ValueError, r"eval_set has 30 items \(columns\)"),
            (sparse.vstack([X, X]), ValueError, r"eval_set has 60 users \(rows\).* with 30"),
            (Interactions([0], [0], n_items=3), ValueError, "eval_set has 3 items"),
            (X * 0, ValueError, "eval_set has no interactions"),
            (-X, ValueError, "eval_set holds -1"),
            (X * np.inf, ValueError, "eval_set contains"),
            ((X, None), TypeError, "eval_set must be .* alone, without y .* got a tuple of csr_m"),
            ([(TRAIN, None)], TypeError, "eval_set must be .* alone, without y and in no list"),
        ],
    )
    def test_eval_set(self, eval_set, error, message, est):
        check_fit_is_refused(est, error, message, eval_set=eval_set)

    @pytest.mark.parametrize(
        "name", ["recall", "recall@0", "recall@-1", "recall@many", "accuracy@10", "@10", ""]
    )
    def test_eval_metric(self, name, est):
        message = f"eval_metric must be a metric .* such as 'recall@20'.* got {name!r}"
        check_fit_is_refused(est.set_params(eval_metric=name), ValueError, message)

    @pytest.mark.parametrize("device", ["gpu", "cuda:99", "cuda:x", "meta", ""])
    def test_device(self, device, est):
        message = f"device.*{re.escape(repr(device))}"
        check_fit_is_refused(est.set_params(device=device), ValueError, message)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
    def test_no_cuda_device(self, est):
        message = "device='cuda' was asked for, but torch sees 0 CUDA devices"
        check_fit_is_refused(est.set_params(device="cuda"), ValueError, message)

    def test_parameters_out_of_range_or_of_the_wrong_type(self, est):
        for name in est.get_params():
            params = {name: object()}
            message = f"'{name}' parameter of {type(est).__name__} must be .* Got <object"
            check_fit_is_refused(clone(est).set_params(**params), InvalidParameterError, message)
        for params in (
            {"max_epochs": 0},
            {"max_epochs": 2.5},
            {"batch_size": 0},
            {"learning_rate": 0.0},
            {"validation_fraction": 1.0},
            {"n_iter_no_change": 0},
            {"early_stopping": "yes"},
            {"score_k": 0},
            {"random_state": -1},
        ):
            (name,) = params
            message = f"'{name}' parameter of {type(est).__name__}"
            check_fit_is_refused(clone(est).set_params(**params), ValueError, message)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"n_factors": 0}, "'n_factors' parameter of MDERecommender must be an int"),
            ({"n_layers": -1}, "'n_layers' parameter"),
            ({"alpha": -0.1}, "'alpha' parameter .* must be a float in the range"),
            ({"temperature": 0.0}, "'temperature' parameter"),
            ({"cooccurrence_weight": -1.0}, "'cooccurrence_weight' parameter"),
            ({"training": "slow"}, "'training' parameter"),
            ({"batch_size": 0}, "'batch_size' parameter"),
            ({"loss": "hinge"}, "'loss' parameter .* Got 'hinge'"),
            ({"fusion": None}, "'fusion' parameter"),
            ({"preference": "fixed"}, "'preference' parameter"),
            ({"preference": [1.0]}, r"preference must be 'learned' or 2 finite weights.* \[1.0\]"),
            ({"preference": [1.0, np.nan]}, "preference must be 'learned' or 2 finite weights"),
            ({"preference": [[1.0, 2.0]]}, "preference must be 'learned' or 2 finite weights"),
            ({"preference": [1.0, -1.0]}, "preference must have weights that are not negative"),
            ({"preference": [0.0, 0.0]}, "preference must have weights that are .* not all zero"),
        ],
    )
    def test_parameters_of_mde(self, params, message):
        est = MDERecommender(max_epochs=1).set_params(**params)
        check_fit_is_refused(est, ValueError, message, item_features=FEATURES)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"n_factors": 0}, "'n_factors' parameter of MDSRecRecommender must be an int"),
            ({"max_length": 0}, "'max_length' parameter"),
            ({"n_blocks": 0}, "'n_blocks' parameter"),
            ({"dropout": 1.0}, "'dropout' parameter .* must be a float in the range"),
            ({"relation": "both"}, "'relation' parameter .* Got 'both'"),
            ({"n_neighbors": -1}, "'n_neighbors' parameter"),
            ({"n_interests": -1}, "'n_interests' parameter"),
            ({"fusion": None}, "'fusion' parameter"),
            ({"candidate_vectors": "both"}, "'candidate_vectors' parameter"),
            ({"similarity": "euclidean"}, "'similarity' parameter"),
            ({"relation_weight": -1.0}, "'relation_weight' parameter"),
            ({"recent_weight": -1.0}, "'recent_weight' parameter"),
            ({"n_negatives": 0}, "'n_negatives' parameter"),
            ({"n_factors": 6, "n_heads": 4}, "multiple of n_heads; got n_factors=6 and n_heads=4"),
        ],
    )
    def test_parameters_of_mdsrec(self, params, message):
        est = MDSRecRecommender(max_epochs=1).set_params(**params)
        check_fit_is_refused(est, ValueError, message, item_features=FEATURES)


def test_divergence_is_not_kept(est):
    # It was an error, which lost the epochs before the divergence too.
    expected = "not finite in epoch 1 .* keeps its initial weights"
    with pytest.warns(ConvergenceWarning, match=expected):
        est.set_params(learning_rate=1e38).fit(TRAIN)
    assert est.n_iter_ == 0 and np.isfinite(est.recommend(k=3)[1][0]).all()


def test_without_any_good_state_there_is_no_model(est, monkeypatch):
    """Not even the initial weights give finite vectors, as with huge features."""
    keep = type(est)._keep

    def ruined(self, built, log):
        for weight in built.network.parameters():
            weight.data.fill_(np.inf)
        keep(self, built, log)

    monkeypatch.setattr(type(est), "_keep", ruined)
    with pytest.raises(ValueError, match="diverged: .* not finite; lower learning_rate=0.5"):
        est.set_params(learning_rate=0.5).fit(TRAIN)
    with pytest.raises(NotFittedError):
        est.recommend(0)


LOG = {"user_id": [0, 1], "item_id": [1, 0], "rating": [1.0, 1.0]}
FROM_FRAME = r"from_frame\({}, user='user_id', item='item_id'\)"
NO_MATRIX = [
    (lambda: pytest.importorskip("pandas").DataFrame(LOG), TypeError, FROM_FRAME),
    (lambda: pytest.importorskip("polars").DataFrame(LOG), TypeError, FROM_FRAME),
    (lambda: pytest.importorskip("pyarrow").table(LOG), TypeError, FROM_FRAME),
    (lambda: np.ma.masked_array(X.toarray(), X.toarray() == 0), ValueError, "{} has .* masked ent"),
    (lambda: (X, None), TypeError, "{} must be .* alone, without y"),
]


@pytest.mark.parametrize(("make", "error", "message"), NO_MATRIX)
def test_what_is_no_matrix_is_refused_wherever_a_matrix_goes(make, error, message, est, model):
    data = make()
    for name, call in {
        "X": est.fit,
        " X": model.score,
        "  X": Interactions.from_csr,
        "   X": lambda X: next(RandomHoldout().split(X)),
        "X_test": lambda X: evaluate(model, X),
        "eval_set": lambda X: est.fit(TRAIN, eval_set=X),
        "user_items": lambda X: model.recommend(user_items=X),
    }.items():
        with pytest.raises(error, match=message.format(name.strip())):
            call(data)


def test_score_refuses_features_or_data_in_the_place_of_y(model):
    with pytest.raises(TypeError, match=r"y must be None.*score\(X_test\)"):
        model.score(TRAIN, FEATURES)
    assert model.score(TRAIN, np.zeros(3)) == model.score(TRAIN)


def test_labels_as_y_change_nothing(est):
    expected = clone(est).fit(TRAIN).recommend()[0]
    for y in (np.zeros(N_USERS), ["a"] * len(TRAIN)):
        np.testing.assert_array_equal(clone(est).fit(TRAIN, y).recommend()[0], expected)


UNKNOWN_USER = r"user_ids has {}, but users go from 0 to 29"
UNKNOWN_ITEM = r"{} has {}, but items go from 0 to 23"


class TestFitted:
    @pytest.mark.parametrize(
        ("users", "error", "message"),
        [
            (30, IndexError, UNKNOWN_USER.format(30)),
            (-1, IndexError, UNKNOWN_USER.format(-1)),
            ([3, 55, -7], IndexError, UNKNOWN_USER.format(55)),  # the first one
            (np.array([2**64 - 1], np.uint64), IndexError, "user_ids has 18446744073709551615"),
            (10**30, TypeError, "user_ids must be integers"),
            (1.0, TypeError, r"user_ids must be integers, got float 1\.0"),
            ([0.0, 1.0], TypeError, "user_ids must be integers"),
            (True, TypeError, "user_ids must be integers, got bool True"),
            (np.array([True, False]), TypeError, "user_ids must be integers.* dtype bool"),
            ("ann", TypeError, "user_ids must be integers, got str 'ann'"),
            ([None], TypeError, "user_ids must be integers"),
            ([[0, 1]], ValueError, r"user_ids must be 0-D or 1-D;.* \(1, 2\)"),
            ([[0], [1, 2]], ValueError, "user_ids must be one array of integers"),
            (X, TypeError, "user_ids must be integers, got a sparse matrix"),
        ],
    )
    def test_users(self, users, error, message, model):
        for ask in (model.recommend, model.similar_users, lambda u: model.rank_items(u, [0])):
            with pytest.raises(error, match=message):
                ask(users)

    @pytest.mark.parametrize(
        ("items", "error", "message"),
        [
            ([0, 24], IndexError, UNKNOWN_ITEM.format("{}", 24)),
            ([-1], IndexError, UNKNOWN_ITEM.format("{}", -1)),
            ([1.0], TypeError, "{} must be integers"),
            ([True], TypeError, "{} must be integers"),
            (["film"], TypeError, "{} must be integers"),
        ],
    )
    def test_items(self, items, error, message, model):
        for name, ask in {
            "items": lambda x: model.recommend(0, items=x),
            "filter_items": lambda x: model.recommend(0, filter_items=x),
            " items": lambda x: model.rank_items(0, x),
            "item_ids": model.similar_items,
        }.items():
            with pytest.raises(error, match=message.format(name.strip())):
                ask(items)

    @pytest.mark.parametrize(
        ("items", "error", "message"),
        [
            ([[0], [1, 2]], ValueError, "must have one list of items for each of the 1 .* 2 lists"),
            ([[0, 1], [2, 3]], ValueError, r"are one list, such as \[3, 17\]"),
            ([[0, 24]], IndexError, UNKNOWN_ITEM.format(r"\[0\]", 24)),
            ([[-1]], IndexError, r"\[0\] has -1"),
            ([["film"]], TypeError, r"\[0\] must be integers, got list \['film'\]"),
            ([[True] * 24], TypeError, r"\[0\] must be integers"),
            ([[[1]]], ValueError, r"\[0\] must be 1-D"),
            (np.array([[0, 1]]), TypeError, "a list with one such list for each row"),
        ],
    )
    def test_lists_of_items_of_each_user(self, items, error, message, model):
        for name, ask in {
            "items": lambda x: model.recommend(0, items=x),
            "filter_items": lambda x: model.recommend([0], filter_items=x),
            " items": lambda x: model.rank_items(0, x),
            "  items": lambda x: model.similar_items([0], items=x),
        }.items():
            with pytest.raises(error, match=f"^{name.strip()}.*{message}"):
                ask(items)
        for call in (
            lambda: model.similar_items(0, items=[0, 1], filter_items=[[0], [1]]),
            lambda: model.recommend_users([0], users=[[0], [1]]),
            lambda: model.similar_users([0], filter_users=[[0], [1]]),
        ):
            with pytest.raises(ValueError, match="for each of the 1 that are asked about"):
                call()

    def test_items_are_lists_and_not_empty_for_rank_items(self, model):
        for ask in (
            lambda: model.recommend(0, items=3),
            lambda: model.recommend(0, filter_items=3),
            lambda: model.rank_items(0, 3),
        ):
            with pytest.raises(ValueError, match="items must be 1-D"):
                ask()
        with pytest.raises(ValueError, match="items must name at least one item"):
            model.rank_items(0, [])

    @pytest.mark.parametrize(
        ("k", "error", "message"),
        [
            (0, ValueError, "k must be 1 or more; got 0"),
            (-3, ValueError, "k must be 1 or more; got -3"),
            (2.0, TypeError, r"k must be an int; got 2\.0"),
            (True, TypeError, "k must be an int; got True"),
            (None, TypeError, "k must be an int; got None"),
        ],
    )
    def test_k(self, k, error, message, model):
        for ask in (model.recommend, model.similar_items, model.similar_users):
            with pytest.raises(error, match=message):
                ask(0, k=k)

    @pytest.mark.parametrize(
        ("user_items", "error", "message"),
        [
            (
                [3, 17],
                TypeError,
                r"user_items must be .* such as \[\[3, 17\]\], or a mapping .*; got list \[3, 17\]",
            ),
            ([[3], 17], TypeError, "user_items must be"),
            (["ab"], TypeError, "user_items must be"),
            (np.ones((2, N_ITEMS)), TypeError, "user_items must be"),
            (7, TypeError, "user_items must be .* got int 7"),
            ([[3], [1, 24]], IndexError, UNKNOWN_ITEM.format(r"user_items\[1\]", 24)),
            ([[-1]], IndexError, UNKNOWN_ITEM.format(r"user_items\[0\]", -1)),
            ([[1.5]], TypeError, r"user_items\[0\] must be integers"),
            ([[True]], TypeError, r"user_items\[0\] must be integers"),
            ([[[1]]], ValueError, r"user_items\[0\] must be 1-D"),
            (
                sparse.csr_array(X)[0],
                ValueError,
                r"user_items must have 2 axes, .* such as X\[\[0\]\]",
            ),
            (X[:, :5], ValueError, r"user_items has 5 items \(columns\), but .* fitted with 24"),
            (Interactions([0], [0]), ValueError, r"user_items has 1 items \(columns\)"),
            (-X, ValueError, "user_items holds -1; .* must not be negative"),
            (Interactions([0], [23], value=[-1]), ValueError, "user_items holds -1"),
            (X * np.nan, ValueError, "user_items must be finite"),
            (X.astype(complex), TypeError, "user_items must hold numbers"),
        ],
    )
    def test_user_items(self, user_items, error, message, model):
        with pytest.raises(error, match=message):
            model.recommend(user_items=user_items)

    def test_users_known_and_unknown_at_once(self, model):
        """It was an error; the rows of new users now follow those of known ones."""
        ids, scores = model.recommend(0, user_items=[[1]])
        known, new = model.recommend([0]), model.recommend(user_items=[[1]])
        np.testing.assert_array_equal(ids, np.vstack([known[0], new[0]]))
        np.testing.assert_allclose(scores, np.vstack([known[1], new[1]]), rtol=1e-5)

    @pytest.mark.parametrize("exclude_seen", [None, 1, "no"])
    def test_exclude_seen(self, exclude_seen, model):
        with pytest.raises(TypeError, match="exclude_seen must be a bool"):
            model.recommend(0, exclude_seen=exclude_seen)

    @pytest.mark.parametrize(
        ("held_out", "message"),
        [
            (X[:, :5], "X has 5 features, but .* is expecting 24 features"),
            (Interactions([0], [0]), r"X has 1 items \(columns\), but .* was fitted with 24"),
            (sparse.vstack([X, X]), r"X has 60 users \(rows\), but .* was fitted with 30"),
            (X * 0, "X has no interactions"),
            (-X, "X holds -1"),
        ],
    )
    def test_score(self, held_out, message, model):
        with pytest.raises(ValueError, match=message):
            model.score(held_out)
