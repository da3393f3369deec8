import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recsk import Interactions
from recsk.metrics import Diversity, diversity_at_k, evaluate
from recsk.metrics import lists as lists_module
from tests.metrics.cases import (
    RANKED,
    TRUTH,
    FixedRecommender,
    check_average,
    lists_and_histories,
    mean,
)


def reference(row, features):
    """Average 1 - cosine over all pairs of items with the modality."""

    def has_modality(item):
        return item >= 0 and np.isfinite(features[item]).all() and features[item].any()

    def cosine(a, b):
        return a @ b / np.sqrt((a @ a) * (b @ b))

    pairs = itertools.combinations([item for item in row if has_modality(item)], 2)
    return mean([1 - cosine(features[i], features[j]) for i, j in pairs])


@given(lists_and_histories(), st.integers(0, 2**16), st.sampled_from(["f8", "f4", "i8"]))
def test_diversity_equals_its_definition(problem, seed, dtype):
    ranked, train, _, k = problem
    rng = np.random.default_rng(seed)
    features = rng.integers(-2, 3, (train.shape[1], 3)) * 10.0 ** rng.integers(-3, 4)
    if dtype != "i8":
        features[rng.random(len(features)) < 0.2, 0] = np.nan
    features = features.astype(dtype)
    expected = [reference(row[:k], features.astype("f8")) for row in ranked]
    tolerance = {"rtol": 1e-5, "atol": 1e-5}
    values = diversity_at_k(ranked, features, k, average=False)
    np.testing.assert_allclose(values, expected, **tolerance)
    with_nan = sparse.csr_array(features)
    np.testing.assert_allclose(
        diversity_at_k(ranked, with_nan, k, average=False), expected, **tolerance
    )
    check_average(values, diversity_at_k, ranked, features, k)


def test_blocks_and_batches_do_not_change_the_values(monkeypatch):
    rng = np.random.default_rng(0)
    features, ranked = (
        rng.normal(size=(30, 5)),
        rng.permuted(np.tile(np.arange(30), (20, 1)), axis=1),
    )
    expected = diversity_at_k(ranked, features, 6, average=False)
    monkeypatch.setattr(lists_module, "_BLOCK_ENTRIES", 12)
    np.testing.assert_allclose(diversity_at_k(ranked, features, 6, average=False), expected)


def test_huge_features_of_half_precision_do_not_overflow():
    features = np.array([[6e4, 0], [0, 6e4], [6e4, 6e4]], dtype=np.float16)
    values = diversity_at_k([[0, 1], [0, 2]], features, average=False)
    np.testing.assert_allclose(values, [1, 1 - 0.5**0.5], rtol=1e-6)


def test_the_features_are_not_changed():
    for features in (np.array([[1.0, 2], [np.nan, 1]]), sparse.csr_array([[3.0, 0], [0, 4]])):
        before = features.copy()
        diversity_at_k([[0, 1]], features, average=False)
        difference = features != before
        assert (difference.nnz if sparse.issparse(features) else difference.sum()) <= 1  # the NaN


def test_evaluate_takes_several_modalities():
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(6, 3)), sparse.csr_array(rng.random((6, 4)))
    metrics = ["recall", Diversity(image, name="diversity_image"), Diversity(text)]
    values = evaluate(FixedRecommender(RANKED), TRUTH, metrics, (3, 2))
    assert list(values) == [
        f"{name}@{k}" for name in ("recall", "diversity_image", "diversity") for k in (3, 2)
    ]
    listed = RANKED[[0, 1]]  # the third list has one item
    for k in (2, 3):
        assert values[f"diversity_image@{k}"] == pytest.approx(diversity_at_k(listed, image, k))
        assert values[f"diversity@{k}"] == pytest.approx(diversity_at_k(listed, text, k))


def test_frames_are_matched_by_index():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(6, 3))
    expected = evaluate(FixedRecommender(RANKED), TRUTH, Diversity(features), 3)
    order = rng.permutation(6)
    by_id = pd.DataFrame(features[order], index=order)
    assert evaluate(FixedRecommender(RANKED), TRUTH, Diversity(by_id), 3) == expected
    est = FixedRecommender(RANKED)
    est.items_ = np.array(list("abcdef"))
    X_test = Interactions.from_csr(TRUTH).with_labels(item_labels=est.items_)
    by_label = pd.DataFrame(features[order], index=est.items_[order])
    assert evaluate(est, X_test, Diversity(by_label), 3) == expected
    assert evaluate(est, X_test, Diversity(features), 3) == expected  # the order of items_
    # An item without a row lacks the modality; a row without an item is ignored.
    partly = pd.concat([by_label.drop("a"), by_label.loc[["a"]].rename({"a": "new"})])
    lacking = np.where(np.arange(6)[:, np.newaxis] == 0, np.nan, features)
    assert evaluate(est, X_test, Diversity(partly), 3) == evaluate(
        FixedRecommender(RANKED), TRUTH, Diversity(lacking), 3
    )
    with pytest.raises(ValueError, match="the index of features has none of the 6 labels"):
        evaluate(est, X_test, Diversity(by_id), 3)
    with pytest.raises(ValueError, match="the index of features names an item twice: a"):
        evaluate(est, X_test, Diversity(pd.concat([by_label, by_label.loc[["a"]]])), 3)


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        (np.ones((5, 2)), ValueError, "features must have a row for each of the 6 items; got an"),
        (np.ones(6), TypeError, r"features must be numbers of shape \(n_items, p\)"),
        ([["a"]] * 6, TypeError, "features must be numbers"),
        (np.full((6, 2), np.inf), ValueError, "features must be finite, or NaN"),
    ],
)
def test_wrong_features_are_rejected(features, error, message):
    with pytest.raises(error, match=message):
        evaluate(FixedRecommender(RANKED), TRUTH, Diversity(features), 3)


def test_polars_frames_are_told_what_to_do():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"item": list(range(6)), "x": [1.0] * 6})
    with pytest.raises(TypeError, match="call to_pandas.. and set_index"):
        evaluate(FixedRecommender(RANKED), TRUTH, Diversity(frame), 3)


def test_names_in_one_call_differ():
    image, text = np.ones((6, 2)), np.ones((6, 3))
    for metrics in ([Diversity(image), Diversity(text)], [Diversity(image, name="recall")]):
        with pytest.raises(ValueError, match="metrics has two metrics of the name"):
            evaluate(FixedRecommender(RANKED), TRUTH, metrics, 3)
    with pytest.raises(ValueError, match=r"coverage; got 'diversity': pass recsk.*Diversity\("):
        evaluate(FixedRecommender(RANKED), TRUTH, "diversity", 3)


def test_metric_objects_can_be_pickled_and_printed():
    metric = Diversity(np.ones((6, 2)), name="d")
    assert repr(metric).startswith("Diversity(an array of shape (6, 2)")
    assert pickle.loads(pickle.dumps(metric)).name == "d"
