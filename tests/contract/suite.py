"""What every recommender of this package must do.

The contract itself is `recsk.testing`, which needs no pytest; here is what needs it, or what only
networks that are trained in epochs have. An estimator joins by a class of a few lines in
`test_contract.py`::

    class TestMine(RecommenderContract):
        estimator = MyRecommender(random_state=0)
"""

import functools
import os
import warnings
from itertools import count

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from recsk import Interactions
from recsk.contract import preparation
from recsk.contract.validation import Validation
from recsk.testing.answers import ask_everything, expect_best_allowed, expect_same_model
from recsk.testing.checks import CHECKS
from recsk.testing.data import (
    COLD_ITEM,
    COLD_USER,
    HISTORIES,
    ITEM_WITHOUT_TEXT,
    N_ITEMS,
    N_USERS,
    Problem,
    as_matrix,
)
from recsk.testing.expect import expect_identical, expect_same
from recsk.testing.labels import InIds, unwrap
from recsk.testing.refitting import check_several_threads_may_fit
from recsk.testing.weights import (
    check_weight_zero_is_no_interaction,
    check_weights_of_one_change_nothing,
)

__all__ = ["COLD_ITEM", "COLD_USER", "HISTORIES", "ITEM_WITHOUT_TEXT", "N_ITEMS", "N_USERS"]

PROBLEM = Problem()
TRAIN, TEST, FEATURES = PROBLEM.train, PROBLEM.test, PROBLEM.features
WEIGHTS, SEEN = PROBLEM.weights, PROBLEM.seen
PROBLEMS = {True: PROBLEM, False: Problem(item_features=False)}
ITEM_LISTS = st.none() | st.lists(st.integers(0, N_ITEMS - 1), max_size=N_ITEMS)


def assert_same(a, b):
    """The same recommendations, up to rounding of the scores."""
    expect_same(a, b, "items and scores")


def assert_identical(a, b):
    """The same fitted model, to the last bit of everything that it holds."""
    expect_identical(unwrap(a), unwrap(b), "fitted models")


def assert_same_model(a, b):
    expect_same_model(a, b, "fitted models")


def answers(model):
    """Something of everything that a model can be asked."""
    return list(ask_everything(model).values())


@functools.cache
def _asked(contract, device):
    """Return an estimator as it is asked, and its problem, which keeps a fitted copy."""
    estimator = clone(contract.estimator)
    if device is not None:
        estimator.set_params(device=device)
    problem = Problem(contract.item_features, contract.enough)
    return InIds(estimator, contract.labels) if contract.labels else estimator, problem


class RecommenderContract:
    """See the top of this file.

    Attributes
    ----------
    estimator
        Small, quick, with a fixed `random_state`.
    enough : dict
        Parameters that let it learn a 20 x 20 checkerboard by heart.
    item_features : bool
        Whether `fit` gets features.
    labels : {"int", "tuple"} or None
        Kind of the labels of items that it is fitted on; None fits it on ids.
    expected_failed_checks : dict
        Checks that it cannot pass, by name, each with the reason.
    """

    estimator = None
    enough: dict = {}
    item_features = True
    labels = None
    expected_failed_checks: dict = {}

    @pytest.fixture
    def device(self):
        return None

    @pytest.fixture
    def problem(self, device):
        return _asked(type(self), device)[1]

    @pytest.fixture
    def est(self, device):
        """Not fitted."""
        return clone(_asked(type(self), device)[0])

    @pytest.fixture
    def model(self, device, problem):
        """Fitted on the problem above, shared by all tests."""
        return problem.fitted(_asked(type(self), device)[0])

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_contract(self, check, device, problem, request):
        if check.__name__ in self.expected_failed_checks:
            reason = self.expected_failed_checks[check.__name__]
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
        check(_asked(type(self), device)[0], problem)

    @settings(
        max_examples=100,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
        ],
    )
    @given(
        users=st.lists(st.integers(0, N_USERS - 1), max_size=4),
        k=st.integers(1, N_ITEMS + 5),
        exclude_seen=st.booleans(),
        items=ITEM_LISTS,
        filter_items=ITEM_LISTS,
    )
    def test_recommends_the_best_of_what_is_allowed(self, model, problem, users, k, **options):
        expect_best_allowed(model, problem, users, k, options)


class NetworkContract(RecommenderContract):
    """For subclasses of `TrainedRecommender`: epochs, devices, `eval_set`, checkpoints."""

    @pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
    def device(self, request):
        return request.param

    def fit(self, est, X=TRAIN, **kwargs):
        return PROBLEMS[self.item_features].fit(est, X, **kwargs)

    @property
    def features(self):
        return FEATURES if self.item_features else None

    @pytest.mark.parametrize("features", [FEATURES, None], ids=["features", "ids"])
    def test_scores_of_seen_items(self, features, est):
        est.fit(TRAIN, item_features=features)
        ids, scores = est.recommend(0, k=N_ITEMS, exclude_seen=False)
        seen = SEEN[0, ids]
        assert 0 < seen.sum() < N_ITEMS
        expected = est.item_embedding_[ids] @ est.user_embedding_[0]
        if hasattr(est, "item_to_item_"):
            term = (est.history_weights([0]) @ est.item_to_item_).toarray()[0]
            counts = np.ones(len(ids), bool) if est._relates_seen() else ~seen
            expected += np.where(counts, term[ids], 0)
        np.testing.assert_allclose(scores, expected, atol=1e-5)

    def test_weights_beside_early_stopping(self, est, problem):
        est.set_params(early_stopping=True)
        check_weights_of_one_change_nothing(est, problem)
        check_weight_zero_is_no_interaction(est, problem)

    def test_weights_over_all_of_float64_train_a_finite_model(self, est):
        weight = np.geomspace(1e-300, 1e300, len(TRAIN))
        model = self.fit(est, sample_weight=weight)
        assert model.n_iter_ == est.max_epochs and np.isfinite(model.item_embedding_).all()

    def test_a_second_fit_watches_its_own_data(self, est, model):
        self.fit(
            est,
            as_matrix(TRAIN)[:25, :20],
            item_features=self.features and {"z": FEATURES["v"][:20]},
            eval_set=as_matrix(TEST)[:25, :20],
        )
        assert len(est.validation_curve_) == est.n_iter_
        self.fit(est)
        assert_same_model(est, model)
        assert vars(unwrap(est)).keys() == vars(unwrap(model)).keys()
        assert est.modality_names_ == list(self.features or [])

    def test_a_fit_that_fails_leaves_nothing_fitted(self, est):
        self.fit(est)
        with pytest.raises(ValueError, match="eval_set"):
            self.fit(est, as_matrix(TRAIN)[:10], eval_set=as_matrix(TEST))
        with pytest.raises(NotFittedError):
            est.recommend(0)

    def test_a_matrix_to_watch_has_a_row_for_every_user(self, est):
        # One that a search has cut would otherwise be of other people.
        with pytest.raises(ValueError, match=r"eval_set has 20 users \(rows\), but X has 30"):
            self.fit(est, as_matrix(TRAIN), eval_set=as_matrix(TEST)[:20])

    def test_eval_set_must_not_repeat_the_training_set(self, est):
        with pytest.raises(ValueError, match=r"^eval_set: all its \d+ interactions are in X"):
            self.fit(est, eval_set=TRAIN[::3])
        few = Interactions(
            np.r_[TEST.user, TRAIN.user[:2]], np.r_[TEST.item, TRAIN.item[:2]], n_items=N_ITEMS
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.fit(est, eval_set=few)
        everything = Interactions(
            np.r_[TEST.user, TRAIN.user], np.r_[TEST.item, TRAIN.item], n_items=N_ITEMS
        )
        with pytest.warns(UserWarning, match=rf"{len(TRAIN)} of the \d+ interactions of eval_set"):
            self.fit(est, eval_set=everything)

    def test_somebody_known_must_be_watched(self, est):
        nobody = Interactions([COLD_USER], [3], n_users=N_USERS, n_items=N_ITEMS)
        with pytest.raises(ValueError, match="^eval_set has 1 interactions, all of them of users"):
            self.fit(est, eval_set=nobody)

    def test_numbers_of_numpy_are_numbers(self, est, model):
        """As a search over `2 ** np.arange(3, 6)` gives them, in the smallest types that hold."""
        params = {
            name: np.min_scalar_type(value).type(value)
            for name, value in est.get_params().items()
            if type(value) is int and name != "random_state"
        }
        assert len(params) > 4 and {type(value) for value in params.values()} >= {np.uint8}
        assert_same_model(self.fit(est.set_params(**params)), model)
        more = {"batch_size": np.int64(7), "n_factors": np.int32(est.n_factors)}
        self.fit(est.set_params(**more, random_state=np.int64(3)))

    def test_data_to_watch_are_matched_by_label(self, est):
        """A set that was encoded by itself has other ids for the same users and items."""
        names = np.array([f"user {u}" for u in range(N_USERS)])
        titles = np.array([f"item {i}" for i in range(N_ITEMS)])

        def frame(X, **labels):
            columns = {"user": names[X.user], "item": titles[X.item], "time": X.timestamp}
            return Interactions.from_frame(columns, timestamp="time", **labels)

        labels = {"user_labels": names, "item_labels": titles}
        train, test = frame(TRAIN, **labels), frame(TEST[TEST.user > 3], **labels)
        curve = self.fit(est, train, eval_set=test).validation_curve_
        for other in (
            frame(TEST[TEST.user > 3], user_labels=list(names), item_labels=list(titles)),
            frame(TEST[TEST.user > 3]),
            frame(TEST[TEST.user > 3], user_labels=names[::-1], item_labels=titles[::-1]),
        ):
            assert self.fit(clone(est), train, eval_set=other).validation_curve_ == curve

    @pytest.mark.threads
    def test_a_fit_leaves_the_random_state_of_torch(self, est, problem):
        before = torch.get_rng_state()
        check_several_threads_may_fit(est, problem)
        assert torch.equal(torch.get_rng_state(), before)

    def test_fitted_attributes_of_a_training(self, model):
        assert model.modality_names_ == list(self.features or [])
        assert 1 <= model.best_iter_ <= model.n_iter_ <= model.max_epochs
        for term in model.loss_curve_.values():
            assert len(term) == model.n_iter_ and np.isfinite(term).all()

    def test_another_seed_gives_another_model(self, est, model):
        seed = est.random_state
        for other in (seed + 1, np.random.RandomState(seed + 1)):
            self.fit(est.set_params(random_state=other))
            assert not np.allclose(est.item_embedding_, model.item_embedding_)

    def test_silent_unless_asked(self, est, capfd):
        self.fit(est).score(TEST)
        assert capfd.readouterr() == ("", "")
        self.fit(est.set_params(verbose=True))
        out, err = capfd.readouterr()
        assert not out and f"{est.max_epochs}/{est.max_epochs}" in err

    @pytest.mark.parametrize("finished", [0, 1])
    def test_an_interrupted_fit_is_usable(self, finished, est, monkeypatch):
        calls = iter(range(100))
        measure = Validation.__call__

        def interrupted(self, *args, **kwargs):
            if next(calls) == finished:
                raise KeyboardInterrupt
            return measure(self, *args, **kwargs)

        monkeypatch.setattr(Validation, "__call__", interrupted)
        # A warning alone would let a search count it as finished and go on.
        kept = f"the weights of epoch {finished}" if finished else "its initial weights"
        with pytest.raises(KeyboardInterrupt, match=f"interrupted; the estimator keeps {kept}"):
            self.fit(est, eval_set=TEST)
        assert est.best_iter_ == est.n_iter_ == len(est.validation_curve_) == finished
        assert all(len(term) == finished for term in est.loss_curve_.values())
        assert np.isfinite(est.recommend(0)[1]).all()
        assert 0 <= est.score(TEST) <= 1

    @pytest.mark.parametrize(
        "error",
        [
            torch.OutOfMemoryError("CUDA out of memory"),
            RuntimeError("CUDA error: out of memory"),
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
            RuntimeError("CUDA error: insufficient resources when calling `cusparseSpMM`"),
            RuntimeError("CUDA error: resource allocation failed when calling `cusparseCreate`"),
        ],
        ids=["torch", "cuda", "cublas", "cusparse", "cusparse-handle"],
    )
    def test_a_full_device_says_what_to_lower(self, error, est, monkeypatch):
        def fail(*args, **kwargs):
            raise error

        monkeypatch.setattr(type(unwrap(est)), "_train_network", fail)
        expected = rf"not enough.*lower one of batch_size={est.batch_size}, .*device='cpu'"
        with pytest.raises(torch.OutOfMemoryError, match=expected):
            self.fit(est)
        with pytest.raises(NotFittedError):
            est.recommend()

    @pytest.mark.parametrize(
        "error",
        [
            MemoryError("Unable to allocate 23.8 GiB for an array"),
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
        ],
        ids=["numpy", "torch"],
    )
    def test_too_little_memory_says_what_for(self, error, est, monkeypatch):
        def fail(*args, **kwargs):
            raise error

        monkeypatch.setattr(type(unwrap(est)), "_train_network", fail)
        expected = rf"lower one of batch_size=.*{N_USERS} users x {N_ITEMS} items.*from_frame"
        with pytest.raises(MemoryError, match=expected):
            self.fit(est)

    def test_what_is_no_matrix_to_watch_is_named(self, est):
        with pytest.raises((TypeError, ValueError), match="eval_set"):
            self.fit(est, eval_set="a")

    @pytest.mark.parametrize("epochs", [1, 3])
    def test_a_killed_fit_goes_on_from_its_checkpoint(self, epochs, est, monkeypatch, tmp_path):
        path = tmp_path / "fit"
        whole = self.fit(clone(est.set_params(max_epochs=5)), eval_set=TEST)
        evaluations, measure = count(1), Validation.__call__

        def killed(self, *args, **kwargs):
            if next(evaluations) > epochs:
                raise SystemExit
            return measure(self, *args, **kwargs)

        monkeypatch.setattr(Validation, "__call__", killed)
        with pytest.raises(SystemExit):
            self.fit(est, eval_set=TEST, checkpoint=path)
        monkeypatch.setattr(Validation, "__call__", measure)
        assert os.listdir(tmp_path) == ["fit"]
        with pytest.raises(ValueError, match=r"checkpoint='.*fit' is of another fit"):
            self.fit(clone(est).set_params(max_epochs=6), eval_set=TEST, checkpoint=path)
        with pytest.raises(ValueError, match="is of another fit"):
            self.fit(est, TRAIN[1:], eval_set=TEST, checkpoint=path)
        again = self.fit(est, eval_set=TEST, checkpoint=path)
        assert_same_model(again, whole)
        assert again.loss_curve_ == whole.loss_curve_
        assert again.validation_curve_ == whole.validation_curve_
        assert os.listdir(tmp_path) == []

    def test_what_a_checkpoint_needs(self, est, monkeypatch, tmp_path):
        fits, path = set(), tmp_path / "fit"
        with pytest.raises(ValueError, match="checkpoint needs an int as random_state.*got .*None"):
            self.fit(clone(est).set_params(random_state=None), checkpoint=path)
        with pytest.raises(TypeError, match="checkpoint must be a str, path-like or None; got 3"):
            self.fit(est, checkpoint=3)
        with pytest.raises(ValueError, match="checkpoint must name a file in a folder that"):
            self.fit(est, checkpoint=str(tmp_path / "no" / "fit"))
        # The generators of a GPU are none of the CPU: with device="auto" a file may be of either.
        est.set_params(device="auto")

        def add_fit(weight=None):
            prepared = est._prepare(TRAIN, self.features, None, weight, path)
            fits.add(est._make_checkpoint(prepared, []).training)

        for kind in ("cpu", "cuda"):
            monkeypatch.setattr(preparation, "resolve_device", lambda _, k=kind: torch.device(k))
            add_fit()
        assert len(fits) == 2
        for weight in (np.ones(len(TRAIN)), WEIGHTS, 1 / (1 + WEIGHTS)):
            add_fit(weight)
        assert len(fits) == 4  # equal weights are the fit without weights
