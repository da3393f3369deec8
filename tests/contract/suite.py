"""What every recommender must do, written once.

An estimator joins by a class of a few lines in `test_contract.py`::

    class TestMine(RecommenderContract):
        estimator = MyRecommender(max_epochs=2, random_state=0)
"""

import functools
import os
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import joblib
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import recsk
from recsk import Interactions
from recsk.contract import preparation
from recsk.contract.validation import Validation
from recsk.metrics import evaluate
from recsk.model_selection import make_ranking_scorer

N_USERS, N_ITEMS = 30, 24
COLD_USER, COLD_ITEM, ITEM_WITHOUT_TEXT = 7, 11, 5


def _problem():
    rng = np.random.default_rng(0)
    alike = (np.add.outer(np.arange(N_USERS), np.arange(N_ITEMS)) % 3 == 0) * 0.5
    seen = rng.random((N_USERS, N_ITEMS)) < 0.15 + alike
    seen[COLD_USER] = seen[:, COLD_ITEM] = False
    user, item = seen.nonzero()
    time = rng.permutation(len(user))
    held_out = rng.random(len(user)) < 0.2
    X = Interactions(user, item, timestamp=time, n_users=N_USERS, n_items=N_ITEMS)
    features = {
        "v": rng.normal(size=(N_ITEMS, 6)).astype(np.float32),
        "t": rng.normal(size=(N_ITEMS, 4)).astype(np.float32),
    }
    features["t"][ITEM_WITHOUT_TEXT] = np.nan
    return X[~held_out], X[held_out], features


TRAIN, TEST, FEATURES = _problem()
WEIGHTS = np.random.default_rng(1).choice([0, 0.5, 1, 2, 10], len(TRAIN))
SEEN = TRAIN.to_csr().toarray() > 0
HISTORIES = [[3, 0, 17], [9], [22, 1, 2, 3, 4, 5], [], [23, 0]]


def as_matrix(interactions):
    """The interactions as a matrix; its values are the order, 1 for the oldest."""
    matrix = np.zeros((interactions.n_users, interactions.n_items))
    for user, items in enumerate(interactions.sequences()):
        matrix[user, items] = np.arange(1, len(items) + 1)
    return sparse.csr_array(matrix)


def _as_rows(histories):
    seen = np.zeros((len(histories), N_ITEMS), dtype=bool)
    for row, history in zip(seen, histories, strict=True):
        row[history] = True
    return seen


def assert_same(a, b):
    """The same recommendations, up to rounding of the scores."""
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_allclose(a[1], b[1], rtol=1e-5, atol=1e-6)


def answers(model):
    """Something of everything that a model can be asked."""
    everybody = np.arange(model.n_users_)
    return [
        model.recommend(k=5),
        model.recommend(user_items=HISTORIES, k=5),
        model.rank_items(everybody, [0, 2, 4]),
        model.similar_items([0, 1], k=3),
        model.similar_users([0, 1], k=3),
    ]


def assert_identical(a, b):
    """The same fitted model, to the last bit of everything that it holds."""
    assert a is not b
    one, other = vars(a), vars(b)
    assert one.keys() == other.keys()
    for name in one:
        assert _plain(one[name]) == _plain(other[name]), name


def _plain(x):
    """Arrays and objects as text and bytes, which are equal where their contents are."""
    if sparse.issparse(x):
        return [x.shape, *map(_plain, (x.indptr, x.indices, x.data))]
    if isinstance(x, np.ndarray | torch.Tensor):
        x = np.asarray(x)
        return [x.dtype.str, x.shape, x.tobytes()]
    if isinstance(x, dict):
        return [[str(key), _plain(value)] for key, value in x.items()]
    if isinstance(x, list | tuple):
        return [_plain(value) for value in x]
    # What a pickle holds: without what is looked up once and kept.
    return _plain(x.__getstate__()) if hasattr(x, "__dict__") else repr(x)


def assert_same_model(a, b):
    for one, other in zip(answers(a), answers(b), strict=True):
        assert_same(one, other)


@functools.cache
def _fitted(contract, device):
    estimator = clone(contract.estimator).set_params(device=device)
    return estimator.fit(TRAIN, item_features=contract.item_features)


def _formats():
    X = as_matrix(TRAIN)
    for name in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil"):
        yield f"{name}_array", X.asformat(name)
        yield f"{name}_matrix", getattr(sparse, f"{name}_matrix")(X)
    for dtype in (np.int8, np.uint16, np.int64, np.float32):
        yield np.dtype(dtype).name, X.astype(dtype)
    yield "bool", X.astype(bool)
    yield "dense", X.toarray()
    yield "64-bit indices", _with_index(X, np.int64)

    coo = X.tocoo()
    zeros = np.flatnonzero(X.toarray().ravel() == 0)[::7]
    row, column = np.divmod(zeros, N_ITEMS)
    data, rows, columns = (
        np.r_[coo.data, np.zeros(len(zeros))],
        np.r_[coo.row, row],
        np.r_[coo.col, column],
    )
    yield "explicit zeros", sparse.coo_array((data, (rows, columns)), shape=X.shape).tocsr()
    twice = np.r_[coo.row, coo.row], np.r_[coo.col, coo.col]
    again = np.r_[coo.data, np.zeros(coo.nnz)]
    yield "duplicates", sparse.coo_array((again, twice), shape=X.shape)
    backwards = X.copy()
    for start, end in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        backwards.indices[start:end] = X.indices[start:end][::-1]
        backwards.data[start:end] = X.data[start:end][::-1]
    yield (
        "unsorted indices",
        sparse.csr_array((backwards.data, backwards.indices, X.indptr), shape=X.shape),
    )


def _with_index(X, dtype):
    X = X.copy()
    X.indices, X.indptr = X.indices.astype(dtype), X.indptr.astype(dtype)
    return X


ITEM_LISTS = st.none() | st.lists(st.integers(0, N_ITEMS - 1), max_size=N_ITEMS)


class RecommenderContract:
    """See the top of this file.

    Attributes
    ----------
    estimator
        Small, quick, with a fixed `random_state`.
    enough : dict
        Parameters that let it learn a 20 x 20 checkerboard by heart.
    item_features : dict or None
        Given to `fit`.
    ordered : bool
        Whether it needs to know the order of the interactions.
    """

    estimator = None
    enough: dict = {}
    item_features = FEATURES
    ordered = False

    @pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
    def device(self, request):
        return request.param

    @pytest.fixture
    def est(self, device):
        """Not fitted."""
        return clone(self.estimator).set_params(device=device)

    @pytest.fixture
    def model(self, device):
        """Fitted on the problem above, shared by all tests."""
        return _fitted(type(self), device)

    def fit(self, est, X=TRAIN, **kwargs):
        return est.fit(X, **{"item_features": self.item_features, **kwargs})

    def test_finds_what_a_checkerboard_withholds(self, est, checkerboard):
        user, item = checkerboard.nonzero()
        time = np.random.default_rng(0).permutation(len(user))
        est.set_params(**self.enough).fit(Interactions(user, item, timestamp=time))
        ids, _ = est.recommend(k=1)
        np.testing.assert_array_equal(ids[:, 0], np.arange(20))
        assert est.score(sparse.csr_array(np.eye(20))) == 1
        np.testing.assert_array_equal(est.rank_items([0, 1], [6, 7])[0], [[6, 7], [7, 6]])
        for similar in (est.similar_items, est.similar_users):
            ids, _ = similar(np.arange(20), k=9)
            np.testing.assert_array_equal(np.sort(ids) % 2, np.tile(np.arange(20) % 2, (9, 1)).T)
        new_user, _ = est.recommend(user_items=[[0, 2, 4, 6, 8]], k=5)
        np.testing.assert_array_equal(np.sort(new_user), [[10, 12, 14, 16, 18]])

    def test_vectors_and_an_index_answer_as_recommend_does(self, model):
        pytest.importorskip("faiss")
        ann = model.to_ann()
        for asked, seen in (({}, SEEN), ({"user_items": HISTORIES}, _as_rows(HISTORIES))):
            vectors = model.user_vectors(**asked)
            assert vectors.dtype == np.float32
            np.testing.assert_array_equal((vectors == 0).all(axis=1), ~seen.any(axis=1))
            found = ann.query(vectors, k=5, exclude=sparse.csr_array(seen))
            assert_same(found, model.recommend(k=5, **asked))
        np.testing.assert_array_equal(model.user_vectors(3), model.user_vectors([3])[0])

    def test_permuted_users_and_items_get_permuted_answers(self, est, checkerboard):
        rng = np.random.default_rng(0)
        new_user, new_item = rng.permutation(20), rng.permutation(20)
        user, item = checkerboard.nonzero()
        X = Interactions(new_user[user], new_item[item], timestamp=rng.permutation(len(user)))
        ids, _ = est.set_params(**self.enough).fit(X).recommend(new_user, k=1)
        np.testing.assert_array_equal(ids[:, 0], new_item)
        ids, _ = est.rank_items(new_user[[0, 1]], new_item[[6, 7]])
        np.testing.assert_array_equal(ids, new_item[[[6, 7], [7, 6]]])

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
    def test_recommends_the_best_of_what_is_allowed(
        self, model, users, k, exclude_seen, items, filter_items
    ):
        ids, scores = model.recommend(
            users, k, exclude_seen=exclude_seen, items=items, filter_items=filter_items
        )
        assert ids.shape == scores.shape == (len(users), k)
        assert ids.dtype == np.int64 and scores.dtype == np.float32
        for row, user in enumerate(users):
            allowed = np.isin(np.arange(N_ITEMS), np.arange(N_ITEMS) if items is None else items)
            allowed[filter_items or []] = False
            if exclude_seen:
                allowed &= ~SEEN[user]
            n = min(k, allowed.sum())
            got = ids[row, :n]
            assert allowed[got].all() and len(set(got.tolist())) == n
            assert (ids[row, n:] == -1).all() and (scores[row, n:] == -np.inf).all()

            ranked, reference = model.rank_items(user, np.arange(N_ITEMS))
            own_score = dict(zip(ranked.tolist(), reference, strict=True))
            np.testing.assert_allclose(
                scores[row, :n], [own_score[i] for i in got.tolist()], rtol=1e-5, atol=1e-6
            )
            np.testing.assert_allclose(
                scores[row, :n], reference[allowed[ranked]][:n], rtol=1e-5, atol=1e-6
            )

    def test_rank_items(self, model):
        ids, scores = model.rank_items([3, 0], [8, 2, 8, 5])
        assert ids.shape == scores.shape == (2, 3)
        np.testing.assert_array_equal(np.sort(ids), [[2, 5, 8], [2, 5, 8]])
        assert (np.diff(scores) <= 0).all()
        assert_same((ids, scores), model.recommend([3, 0], 3, items=[8, 2, 5], exclude_seen=False))

    @pytest.mark.parametrize("what", ["similar_items", "similar_users"])
    def test_similar(self, what, model):
        n = {"similar_items": N_ITEMS, "similar_users": N_USERS}[what]
        ids, scores = getattr(model, what)(np.arange(n), k=n + 2)
        np.testing.assert_array_equal(ids[:, n - 1 :], -1)  # the row itself is left out
        assert np.isneginf(scores[:, n - 1 :]).all()
        np.testing.assert_array_equal(
            np.sort(np.c_[ids[:, : n - 1], np.arange(n)]), np.tile(np.arange(n), (n, 1))
        )
        assert (np.diff(scores[:, : n - 1]) <= 0).all() and np.abs(scores[:, : n - 1]).max() < 1.01

    def test_score_is_the_metric_on_held_out_interactions(self, model):
        def metric(X):
            return evaluate(model, X, "ndcg", model.score_k)[f"ndcg@{model.score_k}"]

        matrix = as_matrix(TEST)
        for X in (TEST, matrix, matrix.tocoo(), matrix.toarray()):
            assert model.score(X) == metric(TEST) == make_ranking_scorer("ndcg")(model, TEST)
        with pytest.raises(ValueError, match=r"^X has 20 users \(rows\), but the model was fitted"):
            model.score(matrix[:20])
        few = TEST[TEST.user < 20]
        few = Interactions(few.user, few.item, n_items=N_ITEMS)  # ids say who they are
        assert model.score(few) == metric(few) == model.score(TEST[TEST.user < 20])
        assert 0 < model.score(TEST) <= 1
        worthless = Interactions(
            np.r_[TEST.user, np.arange(N_USERS)],
            np.r_[TEST.item, np.arange(N_USERS) % N_ITEMS],
            timestamp=np.arange(len(TEST) + N_USERS),
            value=np.r_[np.ones(len(TEST)), np.zeros(N_USERS)],
        )
        assert model.score(worthless) == metric(worthless) == metric(TEST)

    def test_a_batch_is_its_users_one_by_one(self, model):
        asked = [
            (model.recommend, range(N_USERS)),
            (functools.partial(model.rank_items, items=[1, 5, 9]), range(N_USERS)),
            (model.similar_items, range(N_ITEMS)),
            (model.similar_users, range(N_USERS)),
            (lambda h: model.recommend(user_items=h), HISTORIES),
        ]
        for ask, queries in asked:
            ids, scores = ask(list(queries))
            for row, query in enumerate(queries):
                single = ask([query])
                assert_same(single, (ids[[row]], scores[[row]]))
                if isinstance(query, int):
                    scalar = ask(query)
                    assert scalar[0].ndim == scalar[1].ndim == 1
                    assert_same(scalar, (ids[row], scores[row]))

    def test_users_may_come_in_any_order_and_repeat(self, model):
        ids, scores = model.recommend()
        users = np.random.default_rng(0).integers(N_USERS, size=50)
        assert_same(model.recommend(users), (ids[users], scores[users]))

    @pytest.mark.parametrize(
        "form",
        [list, tuple, np.array, lambda x: np.array(x, np.int32), lambda x: np.array(x, np.uint8)],
        ids=["list", "tuple", "int64", "int32", "uint8"],
    )
    def test_ids_of_every_integer_type(self, form, model):
        users, items = [4, 0, 9], [6, 3, 20, 7]
        assert_same(
            model.recommend(form(users), items=form(items), filter_items=form([3])),
            model.recommend(users, items=items, filter_items=[3]),
        )
        assert_same(model.rank_items(form(users), form(items)), model.rank_items(users, items))
        assert_same(model.similar_items(form(items)), model.similar_items(items))
        scalar = np.asarray(form(users))[0]
        assert_same(model.recommend(scalar), model.recommend(4))

    def histories(self):
        """The same histories in every form, with the order where a form can tell it."""
        user = np.repeat(np.arange(len(HISTORIES)), [len(h) for h in HISTORIES])
        item = np.concatenate(HISTORIES).astype(int)
        shape = {"n_users": len(HISTORIES), "n_items": N_ITEMS}
        in_order = Interactions(user, item, timestamp=np.arange(len(item)), **shape)
        yield in_order
        for format in ("csr", "csc", "coo", "lil", "dok"):
            yield as_matrix(in_order).asformat(format)
        yield sparse.csr_matrix(as_matrix(in_order).astype(np.int32))
        yield tuple(np.array(history, dtype=np.int32) for history in HISTORIES)
        if not self.ordered:
            yield as_matrix(in_order).astype(bool)
            yield [history + history[:1] for history in HISTORIES]
            twice = np.full(2 * len(item), 128, dtype=np.uint8)  # the sum is 0 in this type
            yield sparse.coo_array(
                (twice, (np.r_[user, user], np.r_[item, item])), tuple(shape.values())
            )

    def test_histories_in_every_form(self, model):
        ids, scores = model.recommend(user_items=HISTORIES, k=N_ITEMS)
        assert np.isfinite(scores[ids >= 0]).all()
        for row, history in enumerate(HISTORIES):
            assert sorted([*history, *ids[row][ids[row] >= 0]]) == list(range(N_ITEMS))
        for form in self.histories():
            assert_same(model.recommend(user_items=form, k=N_ITEMS), (ids, scores))
        assert model.recommend(user_items=[])[0].shape == (0, 10)
        everything = model.recommend(user_items=HISTORIES, k=N_ITEMS, exclude_seen=False)
        assert (everything[0] >= 0).all()

    @pytest.mark.parametrize("features", [FEATURES, None], ids=["features", "ids"])
    def test_without_a_history_the_popular_are_recommended(self, features, est):
        # Five interactions of one user count as those of five users.
        X = Interactions(
            np.r_[TRAIN.user, np.zeros(40, int)],
            np.r_[TRAIN.item, np.full(40, 6)],
            timestamp=np.arange(len(TRAIN) + 40),
            n_users=N_USERS + 1,
            n_items=N_ITEMS,
        )
        model = self.fit(est, X, item_features=features)
        popularity = np.bincount(X.item, minlength=N_ITEMS)
        assert popularity.argmax() == 6 and popularity.min() == 0
        new = model.recommend([0, N_USERS], k=N_ITEMS, exclude_seen=False)
        ids, scores = (part[1] for part in new)
        np.testing.assert_array_equal(np.sort(ids), np.arange(N_ITEMS))
        assert (np.diff(popularity[ids]) <= 0).all()
        np.testing.assert_allclose(scores, popularity[ids] / popularity.max(), rtol=1e-6)
        folded = model.recommend(user_items=[[1, 2], []], k=N_ITEMS)
        assert_same([part[1] for part in folded], (ids, scores))
        assert_same(model.rank_items(N_USERS, np.arange(N_ITEMS)), (ids, scores))
        some = {"items": [3, 6, 9, 11], "filter_items": [9]}
        expected = ids[np.isin(ids, [3, 6, 11])]
        np.testing.assert_array_equal(model.recommend(N_USERS, k=3, **some)[0], expected)
        ids, scores = (part[0] for part in new)
        products = model.user_embedding_[0] * model.item_embedding_[ids]
        seen = np.isin(ids, X.item[X.user == 0])
        assert 0 < seen.sum() < N_ITEMS
        products[seen, model._seen_width() :] = 0
        np.testing.assert_allclose(scores, products.sum(axis=1), atol=1e-5)

    def test_histories_of_interactions_worth_nothing_are_empty(self, model):
        nothing = Interactions([0], [3], timestamp=[1], value=[0], n_items=N_ITEMS)
        assert_same(model.recommend(user_items=nothing), model.recommend(user_items=[[]]))

    @pytest.mark.parametrize("X", [pytest.param(X, id=name) for name, X in _formats()])
    def test_a_matrix_of_every_kind_gives_the_same_model(self, X, est, model):
        if self.ordered and X.dtype == bool:
            pytest.skip("the values of a matrix are the order here, and these are all alike")
        assert_same_model(self.fit(est, X), model)

    def test_what_is_worth_nothing_is_no_interaction(self, est, model):
        unseen = np.argwhere(~SEEN)[::5]
        worthless = Interactions(
            np.r_[TRAIN.user, unseen[:, 0]],
            np.r_[TRAIN.item, unseen[:, 1]],
            timestamp=np.r_[TRAIN.timestamp, np.full(len(unseen), 5)],
            value=np.r_[np.full(len(TRAIN), 2.5), np.zeros(len(unseen))],
        )
        assert_same_model(self.fit(est, worthless), model)

    @pytest.mark.parametrize("options", [{}, {"early_stopping": True}], ids=["all", "held out"])
    def test_weights_of_one_change_nothing_to_the_last_digit(self, options, est):
        twice = np.r_[np.arange(len(TRAIN)), np.arange(0, len(TRAIN), 3)]
        for X in (TRAIN, TRAIN[twice], as_matrix(TRAIN)):
            n = len(X) if isinstance(X, Interactions) else N_USERS
            fits = [
                self.fit(clone(est).set_params(**options), X, sample_weight=weight)
                for weight in (None, np.ones(n), [3] * n)
            ]
            for model in fits[1:]:
                assert_identical(model, fits[0])

    @pytest.mark.parametrize("options", [{}, {"early_stopping": True}], ids=["all", "held out"])
    def test_weight_zero_is_as_if_the_interaction_were_not_there(self, options, est):
        est.set_params(**options)
        kept = WEIGHTS > 0
        assert 0 < kept.sum() < len(kept)
        for weight in (WEIGHTS, kept):
            without = self.fit(clone(est), TRAIN[kept], sample_weight=weight[kept])
            assert_identical(self.fit(clone(est), sample_weight=weight), without)
        by_user = np.arange(N_USERS) % 4 != 1  # and for a matrix a row of zeros
        matrix = as_matrix(TRAIN)
        without = sparse.csr_array(sparse.diags_array(by_user.astype(float)) @ matrix)
        assert_identical(
            self.fit(clone(est), matrix, sample_weight=by_user), self.fit(clone(est), without)
        )

    def test_weights_in_every_form_are_the_same(self, est):
        weighted = self.fit(clone(est), sample_weight=WEIGHTS)
        with pytest.raises(AssertionError):
            assert_same_model(weighted, self.fit(clone(est)))
        valued = TRAIN.with_value(WEIGHTS)
        for X, weight in (
            (TRAIN, WEIGHTS.tolist()),
            (TRAIN, WEIGHTS * 2.0**20),
            (valued, "value"),
            (valued, WEIGHTS),
            (TRAIN.with_value(WEIGHTS + 1), WEIGHTS),
        ):
            assert_identical(self.fit(clone(est), X, sample_weight=weight), weighted)
        assert_same_model(self.fit(clone(est), sample_weight=WEIGHTS * 1e-250), weighted)
        by_user = 0.5 + np.arange(N_USERS) % 3
        assert_same_model(
            self.fit(clone(est), as_matrix(TRAIN), sample_weight=by_user),
            self.fit(clone(est), sample_weight=by_user[TRAIN.user]),
        )

    def test_a_model_of_weighted_interactions_answers_from_a_file(self, est, tmp_path):
        model = self.fit(est, sample_weight=WEIGHTS)
        recsk.save(model, tmp_path / "model.recsk")
        assert_same_model(recsk.load(tmp_path / "model.recsk"), model)

    def test_weights_over_all_of_float64_train_a_finite_model(self, est):
        weight = np.geomspace(1e-300, 1e300, len(TRAIN))
        model = self.fit(est, sample_weight=weight)
        assert model.n_iter_ == est.max_epochs and np.isfinite(model.item_embedding_).all()

    def test_a_second_fit_forgets_the_first(self, est, model):
        self.fit(
            est,
            as_matrix(TRAIN)[:25, :20],
            item_features=self.item_features and {"z": FEATURES["v"][:20]},
            eval_set=as_matrix(TEST)[:25, :20],
        )
        assert est.n_users_ == 25 and est.n_features_in_ == 20
        self.fit(est)
        assert_same_model(est, model)
        assert vars(est).keys() == vars(model).keys()
        assert est.modality_names_ == list(self.item_features or [])

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
        assert len(params) > 5 and {type(value) for value in params.values()} >= {np.uint8}
        assert_same_model(self.fit(est.set_params(**params)), model)
        more = {"batch_size": np.int64(7), "n_factors": np.int32(est.n_factors)}
        self.fit(est.set_params(**more, random_state=np.int64(3)))

    def test_held_out_data_are_matched_by_label(self, est):
        """A test set that was encoded by itself has other ids for the same users and items."""
        names = np.array([f"user {u}" for u in range(N_USERS)])
        titles = np.array([f"item {i}" for i in range(N_ITEMS)])

        def frame(X, **labels):
            columns = {"user": names[X.user], "item": titles[X.item], "time": X.timestamp}
            return Interactions.from_frame(columns, timestamp="time", **labels)

        labels = {"user_labels": names, "item_labels": titles}
        train, test = frame(TRAIN, **labels), frame(TEST[TEST.user > 3], **labels)
        curve = self.fit(est, train, eval_set=test).validation_curve_
        expected = est.score(test), evaluate(est, test)
        lists = est.recommend(user_items=test, k=3, as_frame=True)
        for other in (
            frame(TEST[TEST.user > 3], user_labels=list(names), item_labels=list(titles)),
            frame(TEST[TEST.user > 3]),
            frame(TEST[TEST.user > 3], user_labels=names[::-1], item_labels=titles[::-1]),
        ):
            assert (est.score(other), evaluate(est, other)) == expected
            again = est.recommend(user_items=other, k=3, as_frame=True)
            for user in np.unique(names[TEST.user[TEST.user > 3]]):
                found, wanted = (f[f["user"] == user] for f in (again, lists))
                assert found["item"].tolist() == wanted["item"].tolist()
            assert self.fit(clone(est), train, eval_set=other).validation_curve_ == curve
        unknown = frame(TEST).with_labels(item_labels=[f"x{i}" for i in range(N_ITEMS)])
        with pytest.raises(KeyError, match=r"^.user_items has 'x\d+', which is not one of the 24"):
            est.recommend(user_items=unknown)

    def test_several_threads_may_fit_at_once(self, est, model):
        before = torch.get_rng_state()
        with ThreadPoolExecutor(4) as pool:
            for other in pool.map(self.fit, [clone(est) for _ in range(6)]):
                assert_same_model(other, model)
        assert torch.equal(torch.get_rng_state(), before)

    def test_fit_changes_none_of_its_arguments(self, est, model):
        arguments = {
            "X": _with_index(as_matrix(TRAIN), np.int32),
            "item_features": self.item_features and dict(self.item_features),
            "eval_set": as_matrix(TEST).tocoo(),
        }
        before = pickle.dumps(arguments)
        params = pickle.dumps(est.get_params())
        for matrix in (arguments["X"], arguments["eval_set"]):
            for part in ("data", "indices", "indptr", "row", "col"):
                if hasattr(matrix, part):
                    getattr(matrix, part).flags.writeable = False
        if self.item_features:
            for array in arguments["item_features"].values():
                array.flags.writeable = False
        assert est.fit(**arguments) is est
        assert pickle.dumps(arguments) == before
        assert pickle.dumps(est.get_params()) == params

    def test_fitted_attributes(self, model):
        width = model.user_embedding_.shape[1]
        assert (model.n_users_, model.n_features_in_) == (N_USERS, N_ITEMS)
        assert model.user_embedding_.shape == (N_USERS, width)
        assert model.item_embedding_.shape == (N_ITEMS, width)
        assert model.item_popularity_.shape == (N_ITEMS,)
        for vectors in (model.user_embedding_, model.item_embedding_):
            assert vectors.dtype == np.float32 and np.isfinite(vectors).all()
        assert model.modality_names_ == list(self.item_features or [])
        assert 1 <= model.best_iter_ <= model.n_iter_ <= model.max_epochs
        for term in model.loss_curve_.values():
            assert len(term) == model.n_iter_ and np.isfinite(term).all()
        np.testing.assert_array_equal(model.interactions_.toarray() > 0, SEEN)

    def test_random_state(self, est, model):
        assert_same_model(self.fit(est), model)
        seed = est.random_state
        for other in (seed + 1, np.random.RandomState(seed + 1)):
            self.fit(est.set_params(random_state=other))
            assert not np.allclose(est.item_embedding_, model.item_embedding_)

    @pytest.mark.parametrize(
        ("X", "features"),
        [
            pytest.param(Interactions([0], [0], timestamp=[1]), slice(1), id="one of everything"),
            pytest.param(TRAIN[TRAIN.user == 0], slice(None), id="one user with others empty"),
            pytest.param(as_matrix(TRAIN)[[0]], slice(None), id="one user"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:no user in X has two items")
    def test_the_smallest_problems(self, X, features, est):
        item_features = self.item_features and {"v": FEATURES["v"][features]}
        self.fit(est, X, item_features=item_features)
        ids, scores = est.recommend(0, exclude_seen=False, k=3)
        assert np.isfinite(scores[ids >= 0]).all()

    def test_nothing_warns(self, est):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.fit(est, as_matrix(TRAIN), eval_set=as_matrix(TEST)).score(TEST)
            answers(est)

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

    def test_a_full_device_says_what_to_lower(self, est, monkeypatch):
        def fail(*args, **kwargs):
            raise torch.OutOfMemoryError("CUDA out of memory")

        monkeypatch.setattr(type(est), "_train_network", fail)
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

        monkeypatch.setattr(type(est), "_train_network", fail)
        expected = rf"lower one of batch_size=.*{N_USERS} users x {N_ITEMS} items.*from_frame"
        with pytest.raises(MemoryError, match=expected):
            self.fit(est)

    @pytest.mark.parametrize("X", [None, "a", {}, [], np.zeros(3)], ids=str)
    def test_what_is_no_matrix_is_named(self, X, model, est):
        for call in (est.fit, model.score):
            with pytest.raises((TypeError, ValueError), match=r"\bX\b"):
                call(X)
        with pytest.raises((TypeError, ValueError), match="eval_set"):
            self.fit(est, eval_set="a")

    def test_evaluate_names_what_does_not_fit_the_model(self, model):
        X = sparse.csr_array(np.ones((N_USERS + 1, N_ITEMS)))
        with pytest.raises(ValueError, match=f"X_test.* has {N_USERS + 1} users"):
            evaluate(model, X)
        users = np.flatnonzero(np.diff(TEST.to_csr().indptr))
        one = evaluate(model, TEST, eval_users=users.astype(np.uint64))
        assert one == evaluate(model, TEST, eval_users=users.tolist())

    def test_no_features_is_an_empty_dict_of_features(self, est):
        none, empty = clone(est), clone(est)
        assert_same_model(none.fit(TRAIN), empty.fit(TRAIN, item_features={}))

    @pytest.mark.parametrize(
        "form",
        [
            lambda x: x.astype(np.float16),
            lambda x: x.astype(np.float64),
            np.ndarray.tolist,
            np.asfortranarray,
            sparse.csr_array,
            sparse.coo_matrix,
        ],
        ids=["float16", "float64", "list", "fortran", "csr_array", "coo_matrix"],
    )
    def test_features_in_every_form_give_the_same_model(self, form, est):
        # Values that half precision holds exactly.
        half = {name: x.astype(np.float16).astype(np.float32) for name, x in FEATURES.items()}
        given = {name: form(x) for name, x in half.items()}
        dense = clone(est).fit(TRAIN, item_features=half)
        assert_same_model(est.fit(TRAIN, item_features=given), dense)

    @pytest.mark.parametrize("epochs", [1, 3])
    def test_a_killed_fit_goes_on_from_its_checkpoint(self, epochs, est, monkeypatch, tmp_path):
        path = tmp_path / "fit"
        est.set_params(max_epochs=5)
        whole = self.fit(clone(est), eval_set=TEST)
        evaluations, measure = count(1), Validation.__call__

        def killed(self, *args, **kwargs):
            if next(evaluations) > epochs:
                raise SystemExit
            return measure(self, *args, **kwargs)

        monkeypatch.setattr(Validation, "__call__", killed)
        est.set_params(checkpoint=path)
        with pytest.raises(SystemExit):
            self.fit(est, eval_set=TEST)
        monkeypatch.setattr(Validation, "__call__", measure)
        assert os.listdir(tmp_path) == ["fit"]
        with pytest.raises(ValueError, match=r"checkpoint='.*fit' is of another fit"):
            self.fit(clone(est).set_params(learning_rate=0.5), eval_set=TEST)
        with pytest.raises(ValueError, match="is of another fit"):
            self.fit(est, TRAIN[1:], eval_set=TEST)
        again = self.fit(clone(est).set_params(checkpoint_epochs=2), eval_set=TEST)
        assert_same_model(again, whole)
        assert again.loss_curve_ == whole.loss_curve_
        assert again.validation_curve_ == whole.validation_curve_
        assert os.listdir(tmp_path) == []

    def test_what_a_checkpoint_needs(self, est, monkeypatch, tmp_path):
        with pytest.raises(ValueError, match="checkpoint needs an int as random_state.*got .*None"):
            self.fit(est.set_params(checkpoint=tmp_path / "fit", random_state=None))
        for path in (tmp_path, tmp_path / "no" / "fit"):
            with pytest.raises(ValueError, match="checkpoint must name a file in a folder that"):
                self.fit(est.set_params(checkpoint=str(path), random_state=0))
        # The generators of a GPU are none of the CPU: with device="auto" a file may be of either.
        est.set_params(checkpoint=tmp_path / "fit", device="auto")
        fits = set()
        for kind in ("cpu", "cuda"):
            monkeypatch.setattr(
                preparation, "resolve_device", lambda _, kind=kind: torch.device(kind)
            )
            prepared = est._prepare(TRAIN, self.item_features, None)
            fits.add(est._make_checkpoint(prepared, []).training)
        assert len(fits) == 2
        for weight in (np.ones(len(TRAIN)), WEIGHTS, 1 / (1 + WEIGHTS)):
            prepared = est._prepare(TRAIN, self.item_features, None, weight)
            fits.add(est._make_checkpoint(prepared, []).training)
        assert len(fits) == 4  # equal weights are the fit without weights

    @pytest.mark.parametrize(
        "ask",
        [
            lambda est: est.recommend(0),
            lambda est: est.recommend(user_items=[[0]]),
            lambda est: est.rank_items(0, [0]),
            lambda est: est.similar_items(0),
            lambda est: est.similar_users(0),
            lambda est: est.score(TEST),
        ],
        ids=["recommend", "fold in", "rank_items", "similar_items", "similar_users", "score"],
    )
    def test_unfitted(self, ask, est):
        with pytest.raises(NotFittedError, match=type(est).__name__):
            ask(est)

    def test_parameters(self, est, model):
        copy = clone(model)
        assert repr(copy) == repr(est) and copy.get_params().keys() == est.get_params().keys()
        with pytest.raises(NotFittedError):
            copy.recommend(0)
        assert_same_model(self.fit(copy), model)
        assert est.set_params(max_epochs=7) is est and est.get_params()["max_epochs"] == 7
        with pytest.raises(ValueError, match="Invalid parameter 'epochs'"):
            est.set_params(epochs=7)

    @pytest.mark.parametrize("how", ["pickle", "plain", "compressed", "memory-mapped", "recsk"])
    def test_stored_and_loaded_it_answers_the_same(self, how, model, tmp_path):
        path = tmp_path / "model.joblib"
        if how == "pickle":
            copy = pickle.loads(pickle.dumps(model))
        elif how == "recsk":
            recsk.save(model, path)
            copy = recsk.load(path)
        else:
            joblib.dump(model, path, compress=3 if how == "compressed" else 0)
            copy = joblib.load(path, mmap_mode="r" if how == "memory-mapped" else None)
        assert_same_model(copy, model)
        assert copy.score(TEST) == model.score(TEST)
        assert repr(copy) == repr(model)
        assert copy.recommend(user_items=[], k=3)[0].shape == (0, 3)

    def test_several_threads_may_ask_at_once(self, model):
        def ask(_):
            return model.recommend(k=3), model.recommend(user_items=TRAIN, k=3)

        alone = ask(None)
        with ThreadPoolExecutor(4) as pool:
            for answers in pool.map(ask, range(8)):
                for answer, expected in zip(answers, alone, strict=True):
                    np.testing.assert_array_equal(answer[0], expected[0])
                    np.testing.assert_array_equal(answer[1], expected[1])
