import sys
import warnings

import numpy as np
import pytest
from scipy import sparse, stats
from sklearn.model_selection import GridSearchCV

from recsk import Interactions, MDERecommender
from recsk.datasets import make_multimodal
from recsk.metrics import Calibration, Comparison, Diversity, compare, evaluate
from recsk.metrics.resampling import holm
from recsk.model_selection import RandomHoldout, make_ranking_scorer
from tests.metrics.cases import RANKED, TRUTH, FixedRecommender

N_USERS, N_ITEMS = 120, 40


class Noisy:
    """Ranks held-out items first, up to noise; the noise is this model's own."""

    def __init__(self, noise, seed, truth, labels=None):
        scores = truth.toarray() + noise * np.random.default_rng(seed).random(truth.shape)
        self.ranked = np.argsort(-scores, axis=1)
        self.n_calls = 0
        if labels is not None:
            self.users_, self.items_ = labels

    def recommend(self, user_ids, k=10, *, exclude_seen=True):
        self.n_calls += 1
        return self.ranked[user_ids, :k], np.zeros((len(user_ids), k))


@pytest.fixture(scope="module")
def truth():
    rng = np.random.default_rng(0)
    return sparse.csr_array((rng.random((N_USERS, N_ITEMS)) < 0.06).astype(int))


@pytest.fixture(scope="module")
def models(truth):
    return {"good": Noisy(2, 1, truth), "bad": Noisy(6, 2, truth), "as good": Noisy(2.05, 3, truth)}


def test_the_table_has_the_values_of_evaluate_and_their_differences(models, truth):
    metrics, k = ["recall", "ndcg", "coverage"], (5, 10)
    comparison = compare(models, truth, metrics, k, random_state=0)
    frame = comparison.frame
    assert frame["metric"].tolist() == ["recall"] * 6 + ["ndcg"] * 6 + ["coverage"] * 6
    assert frame["k"].tolist() == ([5] * 3 + [10] * 3) * 3
    assert frame["model"].tolist() == list(models) * 6
    alone = {name: evaluate(model, truth, metrics, k) for name, model in models.items()}
    by_user = {
        name: evaluate(model, truth, metrics[:2], k, per_user=True)
        for name, model in models.items()
    }
    for row in comparison.rows:
        key = f"{row.metric}@{row.k}"
        assert row.mean == pytest.approx(alone[row.model][key])
        assert row.n_users == len(comparison.users)
        if row.model != "good":
            assert row.difference == pytest.approx(row.mean - alone["good"][key])
        if row.metric == "coverage":
            assert np.isnan([row.standard_error, row.low, row.high, row.p, row.p_holm]).all()
            continue
        values = by_user[row.model][key]
        np.testing.assert_array_equal(comparison.values[row.model][key], values)
        assert row.standard_error == pytest.approx(stats.sem(values))
        if row.model == "good":
            assert np.isnan([row.difference, row.low, row.high, row.p, row.p_wilcoxon]).all()
            continue
        d = values - by_user["good"][key]
        assert row.low < row.difference < row.high
        assert row.p == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.03)
        assert row.p_wilcoxon == stats.wilcoxon(d[d != 0]).pvalue
        assert comparison.is_significant(row) == (row.model == "bad")
    np.testing.assert_array_equal(frame["p_holm"], holm(frame["p"]))
    np.testing.assert_array_equal(comparison.users, by_user["good"]["user"])
    assert comparison.by_user["bad", "ndcg@5"].tolist() == by_user["bad"]["ndcg@5"].tolist()
    assert comparison.by_user.index.tolist() == comparison.users.tolist()


def test_each_model_ranks_once(models, truth):
    before = [model.n_calls for model in models.values()]
    features = np.random.default_rng(0).normal(size=(N_ITEMS, 3))
    metrics = ["recall", "map", "coverage", "gini", Diversity(features)]
    compare(models, truth, metrics, iter([1, 5, 10]), n_resamples=10)
    assert [model.n_calls for model in models.values()] == [n + 1 for n in before]


@pytest.mark.parametrize("method", ["sign-flip", "bootstrap"])
def test_the_same_random_state_gives_the_same_table(models, truth, method):
    def table(random_state, **changes):
        arguments = {"n_resamples": 300, "method": method, "random_state": random_state}
        return compare(models, truth, "ndcg", 5, **(arguments | changes)).frame

    expected = table(0)
    assert table(0).equals(expected)
    assert table(np.random.RandomState(0)).equals(expected)
    assert not table(1).equals(expected)
    wider = table(0, confidence_level=0.99)
    assert (wider["high"] - wider["low"]).sum() > (expected["high"] - expected["low"]).sum()


def test_the_baseline_can_be_chosen(models, truth):
    forward = compare(models, truth, "ndcg", 5, random_state=0)
    back = compare(models, truth, "ndcg", 5, baseline="bad", random_state=0)
    assert (forward.baseline, back.baseline) == ("good", "bad")
    assert back.rows[0].difference == -forward.rows[1].difference
    assert np.isnan(back.rows[1].p) and back.rows[0].p == forward.rows[1].p


@pytest.mark.parametrize("method", ["sign-flip", "bootstrap"])
def test_identical_models_do_not_differ(models, truth, method):
    same = {"a": models["good"], "b": models["good"]}
    comparison = compare(same, truth, "ndcg", 5, method=method, n_resamples=100)
    row = comparison.rows[1]
    assert row[6:] == (0, 0, 0, 1, 1, 1)
    assert "+0.0000 [0.0000, 0.0000]  p=1.0000 Holm 1.0000" in repr(comparison)


@pytest.mark.parametrize("method", ["sign-flip", "bootstrap"])
def test_one_user_shows_nothing(models, truth, method):
    comparison = compare(models, truth, "ndcg", 5, [int(truth.nonzero()[0][0])], method=method)
    for row in comparison.rows[1:]:
        assert row.n_users == 1 and row.p == row.p_holm == 1
        assert np.isnan([row.standard_error, row.low, row.high]).all()
    assert repr(comparison).startswith("Comparison of 3 models on 1 users")


def test_users_without_a_value_under_one_model_do_not_enter():
    short = RANKED.copy()
    short[0, 1:] = -1  # no diversity for user 0 under this model, nor for user 3 under any
    features = np.random.default_rng(0).normal(size=(6, 3))
    models = {"a": FixedRecommender(RANKED), "b": FixedRecommender(short)}
    a, b = compare(models, TRUTH, Diversity(features), 3, random_state=0).rows
    assert a.n_users == b.n_users == 1
    expected = evaluate(models["a"], TRUTH, Diversity(features), 3, eval_users=[1])
    assert a.mean == b.mean == expected["diversity@3"]
    recall, _ = compare(models, TRUTH, ["recall", Diversity(features)], 3).rows[:2]
    assert recall.n_users == 3
    nothing = compare(models, TRUTH, Diversity(features), 1).rows
    assert nothing[1].n_users == 0 and np.isnan(nothing[1].mean)


def test_models_may_hold_their_users_in_any_order(truth):
    """Labels decide which values belong together."""
    users = np.array([f"u{i:03}" for i in range(N_USERS)])
    items = np.array([f"i{i:02}" for i in range(N_ITEMS)])
    X_test = Interactions.from_csr(truth).with_labels(users, items)
    order = np.random.default_rng(0).permutation(N_USERS)
    shuffled = Noisy(6, 2, truth, (users[order], items))
    shuffled.ranked = shuffled.ranked[order]
    models = {"good": Noisy(2, 1, truth, (users, items)), "bad": shuffled}
    comparison = compare(models, X_test, ["ndcg", "coverage"], 5, random_state=0)
    in_ids = {"good": Noisy(2, 1, truth), "bad": Noisy(6, 2, truth)}
    expected = compare(in_ids, truth, ["ndcg", "coverage"], 5, random_state=0)
    assert comparison.frame.equals(expected.frame)
    assert comparison.users.tolist() == users[expected.users].tolist()
    assert compare(dict(reversed(models.items())), X_test, "ndcg", 5).users[0] in users


@pytest.mark.parametrize("labelled", [False, True])
def test_several_fits_of_a_model_are_averaged_by_user(truth, labelled):
    users = np.array([f"u{i:03}" for i in range(N_USERS)])
    items = np.array([f"i{i:02}" for i in range(N_ITEMS)])
    X_test = Interactions.from_csr(truth).with_labels(users, items) if labelled else truth
    labels = (users, items) if labelled else None
    fits = {
        "a": [Noisy(2, seed, truth, labels) for seed in range(3)],
        "b": [Noisy(6, 9, truth, labels), Noisy(5, 8, truth, labels)],
        "c": [Noisy(4, 7, truth, labels)],
    }
    models = fits | {"c": fits["c"][0]}
    if labelled:  # one of the fits knows the users in another order
        order = np.random.default_rng(0).permutation(N_USERS)
        other = fits["a"][1]
        other.users_, other.ranked = users[order], other.ranked[order]
    metrics = ["recall", "ndcg", "coverage"]
    comparison = compare(models, X_test, metrics, (3, 5), baseline="b", random_state=0)
    assert list(models) == ["a", "b", "c"] and len(models["a"]) == 3
    for name, several in fits.items():
        tables = [evaluate(fit, X_test, metrics[:2], (3, 5), per_user=True) for fit in several]
        overall = [evaluate(fit, X_test, "coverage", (3, 5)) for fit in several]
        for key in ("recall@3", "recall@5", "ndcg@3", "ndcg@5"):
            rows = [
                dict(zip(table["user"].tolist(), table[key].tolist(), strict=True))
                for table in tables
            ]
            for user, found in zip(comparison.users, comparison.values[name][key], strict=True):
                assert found == pytest.approx(sum(row[user] for row in rows) / len(rows))
        for row in comparison.rows:
            if row.model != name:
                continue
            if row.metric == "coverage":
                key = f"coverage@{row.k}"
                assert row.mean == pytest.approx(sum(x[key] for x in overall) / len(overall))
                continue
            values = comparison.values[name][f"{row.metric}@{row.k}"]
            assert row.mean == pytest.approx(values.mean())
            assert row.standard_error == pytest.approx(stats.sem(values))
            d = values - comparison.values["b"][f"{row.metric}@{row.k}"]
            if name != "b":
                assert row.difference == pytest.approx(d.mean())
                assert row.p == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.03)
                assert row.p_wilcoxon == stats.wilcoxon(d[d != 0]).pvalue
    alone = compare(
        models | {"c": fits["c"]}, X_test, metrics, (3, 5), baseline="b", random_state=0
    )
    assert alone.frame.equals(comparison.frame)


def test_a_user_without_a_value_under_one_fit_does_not_enter():
    short = RANKED.copy()
    short[0, 1:] = -1  # no diversity for user 0
    features = np.random.default_rng(0).normal(size=(6, 3))
    whole = FixedRecommender(RANKED)
    models = {"a": [whole, FixedRecommender(short)], "b": whole}
    a, b = compare(models, TRUTH, Diversity(features), 3, random_state=0).rows
    assert a.n_users == b.n_users == 1 and a.mean == b.mean


def test_models_must_know_the_same_users(truth):
    users, items = np.arange(N_USERS) + 1000, np.arange(N_ITEMS)
    X_test = Interactions.from_csr(truth).with_labels(users, items)
    fewer = Noisy(2, 1, truth, (users[:-7], items))
    models = {"all": Noisy(2, 1, truth, (users, items)), "fewer": fewer}
    known = [user for user in users[:-7] if truth[[user - 1000]].nnz]
    for tried in (models, dict(reversed(models.items()))):
        with pytest.warns(UserWarning, match="X_test has . users that were not in the fit"):
            with pytest.raises(ValueError, match="users of X_test that 'all' knows were not.*'f"):
                compare(tried, X_test, "ndcg", 5)
        with pytest.warns(UserWarning, match="X_test has . users that were not in the fit"):
            with pytest.raises(ValueError, match=r"that 'all' knows .* fit of 'b\[1\]'"):
                compare({"all": models["all"], "b": list(models.values())}, X_test, "ndcg", 5)
        with pytest.warns(UserWarning, match="not in the fit"):
            assert len(compare(tried, X_test, "ndcg", 5, known).users) == len(known)
    models["ids"] = Noisy(2, 1, truth)
    with pytest.raises(ValueError, match="labels of users or all ids: 'all' was fitted on labels"):
        compare(models, X_test, "ndcg", 5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"models": {"a": FixedRecommender(RANKED)}}, ValueError, "two or more models.*evaluate"),
        ({"models": {"a": [], "b": None}}, ValueError, r"models\['a'\] must hold one or more fits"),
        ({"models": {"a": [None], "a[0]": None}}, ValueError, r"'a\[0\]' beside a list 'a'"),
        ({"models": {"a": [FixedRecommender(RANKED)] * 2}}, ValueError, "two or more models"),
        ({"models": [FixedRecommender(RANKED)]}, TypeError, "models must be a dict of names"),
        ({"models": {1: None, 2: None}}, TypeError, "models must be a dict of names"),
        ({"models": {"a": None, "b": None}}, TypeError, "est must have a method recommend"),
        ({"baseline": "c"}, ValueError, r"baseline must be one of the models, \['a', 'b'\]; got"),
        ({"method": "t"}, ValueError, "method must be one of sign-flip, bootstrap; got 't'"),
        ({"n_resamples": 0}, ValueError, "n_resamples must be 1 or more"),
        ({"confidence_level": 95}, ValueError, "confidence_level must be above 0 and below 1"),
        ({"metrics": "auc"}, ValueError, "metrics must be one of recall"),
        ({"metrics": "novelty"}, TypeError, "novelty needs the training.*pass X_train"),
        ({"k": 0}, ValueError, "k must be 1 or more"),
    ],
)
def test_wrong_arguments_are_rejected(change, error, message):
    models = {"a": FixedRecommender(RANKED), "b": FixedRecommender(RANKED)}
    arguments = {"models": models, "X_test": TRUTH, "metrics": "recall", "k": 3} | change
    with pytest.raises(error, match=message) as caught:
        compare(**arguments)
    if change in ({"metrics": "novelty"}, {"k": 0}):
        assert "the model 'a'" in caught.value.__notes__[0]


def test_latex_has_the_best_in_bold_and_asterisks_at_significant_differences(models, truth):
    pytest.importorskip("jinja2")
    named = {"good_1": models["good"], "bad": models["bad"]}
    comparison = compare(named, truth, ["ndcg", "gini"], 5, random_state=0)
    latex = comparison.to_latex(digits=3, caption="Models", label="tab:models")
    good, bad = (row.mean for row in comparison.rows[:2])
    assert rf"good\_1 & \textbf{{{good:.3f}}} $\pm$ " in latex
    assert rf"bad & {bad:.3f} $\pm$ {comparison.rows[1].standard_error:.3f}$^{{*}}$ & " in latex
    lower = min(row.mean for row in comparison.rows[2:])
    assert rf"& \textbf{{{lower:.3f}}} \\" in latex
    assert r"\caption{Models}" in latex and r"\label{tab:models}" in latex
    assert r"$\pm$" not in comparison.to_latex(errors=False)


@pytest.mark.parametrize(
    ("missing", "use", "message"),
    [
        ("pandas", lambda c: c.frame, "frame needs pandas: pip install pandas"),
        ("pandas", lambda c: c.by_user, "by_user needs pandas: pip install pandas"),
        ("pandas", lambda c: c.to_latex(), "to_latex needs pandas: pip install pandas"),
        ("jinja2", lambda c: c.to_latex(), "to_latex needs jinja2: pip install jinja2"),
    ],
)
def test_without_pandas_or_jinja2_the_error_names_the_package(
    models, truth, monkeypatch, missing, use, message
):
    comparison = compare(models, truth, "ndcg", 5, n_resamples=10)
    if missing == "jinja2":
        for name in [name for name in sys.modules if name.startswith("pandas.io.formats.style")]:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=message):
        use(comparison)
    assert repr(comparison)


def test_fitted_models_searches_and_models_of_ones_own():
    data = make_multimodal(n_users=80, n_items=50, random_state=0)
    X, features = data.interactions, data.item_features
    train, test = next(RandomHoldout(random_state=0).split(X))
    model = MDERecommender(n_factors=8, max_epochs=2, random_state=0)
    search = GridSearchCV(
        model,
        {"alpha": [0.0, 0.1]},
        cv=RandomHoldout(random_state=0),
        scoring=make_ranking_scorer("ndcg", k=5),
    )
    models = {
        "mde": model.fit(X[train], item_features=features),
        "search": search.fit(X[train], item_features=features),
        "own": Noisy(2, 0, X.to_csr()),
    }
    metrics = [
        "ndcg",
        "novelty",
        "popularity_shift",
        "new_items",
        Diversity(next(iter(features.values()))),
        Calibration(np.arange(50) % 3),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        comparison = compare(models, X[test], metrics, 5, n_resamples=100, X_train=X[train])
    assert isinstance(comparison, Comparison)
    alone = evaluate(models["mde"], X[test], metrics, 5)
    for row in comparison.rows:
        if row.model == "mde" and row.metric in ("ndcg", "novelty", "new_items"):
            assert row.mean == pytest.approx(alone[f"{row.metric}@5"])


def test_fitted_models_that_speak_labels():
    pd = pytest.importorskip("pandas")
    data = make_multimodal(n_users=60, n_items=40, random_state=0)
    log = pd.DataFrame({"user": data.interactions.user, "item": data.interactions.item})
    log = log.assign(user="u" + log["user"].astype(str), item="i" + log["item"].astype(str))
    X = Interactions.from_frame(log)
    train, test = next(RandomHoldout(random_state=0).split(X))
    frame = pd.DataFrame(data.item_features["t"], index=[f"i{i}" for i in range(40)])
    model = MDERecommender(n_factors=8, max_epochs=1, random_state=0)
    models = {
        "a": model.fit(X[train], item_features={"t": frame}),
        "b": MDERecommender(n_factors=8, max_epochs=1, random_state=1).fit(X[train]),
    }
    metrics = ["recall", "novelty", Diversity(frame), Calibration(frame[[0]].gt(0)[0])]
    comparison = compare(models, X[test], metrics, 5, random_state=0, n_resamples=50)
    assert set(comparison.users) <= set(log["user"])
    user = comparison.users[3]
    held_out = set(log["item"][test][log["user"][test] == user])
    listed = models["a"].recommend(user, k=5)[0].tolist()
    recall = comparison.by_user.loc[user, ("a", "recall@5")]
    assert recall == pytest.approx(len(held_out & set(listed)) / len(held_out))
    vectors = frame.loc[listed].to_numpy()
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = 1 - (vectors @ vectors.T)[np.triu_indices(5, 1)].mean()
    diversity = comparison.by_user.loc[user, ("a", "diversity@5")]
    assert diversity == pytest.approx(expected, rel=1e-4)


def test_warnings_point_to_the_call(models, truth):
    est = FixedRecommender(models["good"].ranked)
    est.interactions_ = sparse.csr_matrix(truth, dtype="f4")
    with pytest.warns(UserWarning, match="held-out interactions are in training") as caught:
        compare({"a": est, "b": est}, truth, "ndcg", 5, n_resamples=10)
    assert {warning.filename for warning in caught} == {__file__}
    users, items = np.arange(N_USERS), np.arange(N_ITEMS)
    X_test = Interactions.from_csr(truth).with_labels(users, items)
    est = Noisy(2, 1, truth, (users[:-20], items))
    for call in (
        lambda: compare({"a": est, "b": est}, X_test, "ndcg", 5, n_resamples=10),
        lambda: evaluate(est, X_test, "ndcg", 5),
    ):
        with pytest.warns(UserWarning, match="were not in the fit") as caught:
            call()
        assert {warning.filename for warning in caught} == {__file__}
