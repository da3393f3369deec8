import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recsk import Interactions, MDERecommender
from recsk.contract import validation
from recsk.contract.hold_out import hold_out, hold_out_last
from recsk.contract.validation import Validation, parse_metric
from recsk.data.sequences import Sequences


@given(
    hnp.arrays(np.float32, (6, 5), elements=st.sampled_from([0.0, 1.0, 2.5])),
    st.floats(0.01, 0.99),
    st.integers(0, 2**32 - 1),
)
def test_hold_out_is_a_partition_in_which_everybody_keeps_one(X, fraction, seed):
    matrix = sp.csr_matrix(X)
    kept, held = hold_out(matrix, fraction, np.random.RandomState(seed))
    np.testing.assert_array_equal((kept + held).toarray(), X)
    assert kept.nnz + held.nnz == matrix.nnz
    np.testing.assert_array_equal(np.diff(kept.indptr) > 0, np.diff(matrix.indptr) > 0)
    np.testing.assert_array_equal(matrix.toarray(), X)  # what came stays


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_hold_out_takes_about_the_share(fraction):
    matrix = sp.csr_matrix(np.ones((100, 100), dtype=np.float32))
    _, held = hold_out(matrix, fraction, np.random.RandomState(0))
    assert held.nnz == pytest.approx(fraction * 10_000, abs=4 * 50)  # four standard deviations
    # Neither rows nor columns are favoured.
    assert np.diff(held.indptr).std() < 10 and np.diff(held.tocsc().indptr).std() < 10


def test_hold_out_is_deterministic():
    matrix = sp.random(50, 40, 0.3, format="csr", random_state=0)
    first, again, other = (hold_out(matrix, 0.2, np.random.RandomState(s))[1] for s in (1, 1, 2))
    assert (first != again).nnz == 0 and (first != other).nnz > 0


def test_hold_out_of_nothing():
    kept, held = hold_out(sp.csr_matrix((3, 4)), 0.2, np.random.RandomState(0))
    assert kept.shape == held.shape == (3, 4) and kept.nnz == held.nnz == 0


@given(
    st.lists(st.lists(st.integers(0, 4), max_size=6), min_size=1, max_size=6),
    st.sampled_from([0.3, 0.99]),
    st.booleans(),
)
def test_a_perfect_model_finds_every_last_item_that_is_held_out(histories, fraction, repeats):
    """Also of histories that hold an item several times."""
    indptr = np.cumsum([0, *map(len, histories)])
    items = np.array([item for history in histories for item in history], dtype=np.int64)
    kept, held_out = hold_out_last(
        Sequences(indptr, items), fraction, np.random.RandomState(0), n_items=5, repeats=repeats
    )
    assert len(kept.items) + (0 if held_out is None else held_out.nnz) == len(items)
    if held_out is not None:
        assert (np.diff(kept.indptr)[np.diff(held_out.indptr) > 0] > 1).all()
        seen = kept.to_csr(5)
        assert repeats or not seen.multiply(held_out).nnz
        measure = Validation(seen, held_out, "ndcg@3", exclude_seen=not repeats)
        assert measure(held_out.toarray(), np.eye(5, dtype=np.float32)) == pytest.approx(1)


def test_repeats_change_nothing_of_what_mde_holds_out():
    once = Interactions.from_csr(sp.random(30, 20, 0.3, format="csr", random_state=0))
    curves = [
        MDERecommender(n_factors=4, max_epochs=3, early_stopping=True, random_state=0)
        .fit(once[np.sort(np.tile(np.arange(len(once)), n))])
        .validation_curve_
        for n in (1, 3)
    ]
    assert curves[0] == curves[1] and max(curves[0]) > 0


def test_parse_metric():
    assert parse_metric("recall@20") == ("recall", 20)
    assert parse_metric("ndcg@5") == ("ndcg", 5)


@pytest.mark.parametrize("name", ["recall", "recall@", "recall@0", "recall@-1", "best@5", "@5", ""])
def test_parse_metric_rejects(name):
    with pytest.raises(ValueError, match=f"eval_metric.*'recall@20'.*got '{name}'"):
        parse_metric(name)


def test_validation_by_hand():
    # Items by score for everybody: 0, 1, 2, 3, 4.
    users, items = np.ones((4, 1), dtype="f4"), np.arange(5, 0, -1, dtype="f4")[:, None]
    seen = sp.csr_matrix(
        [[1, 0, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 1], [1, 1, 1, 1, 1]], dtype="f4"
    )
    held = sp.csr_matrix(
        [[0, 1, 0, 0, 1], [0, 0, 0, 1, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]], dtype="f4"
    )
    # Ranked: 1 2 / 3 4 / 0 1; the last user has nothing to find and does not count.
    assert Validation(seen, held, "recall@2")(users, items) == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert Validation(seen, held, "precision@1")(users, items) == pytest.approx((1 + 1 + 0) / 3)
    dcg = 1 / (1 + 1 / np.log2(3))
    assert Validation(seen, held, "ndcg@2")(users, items) == pytest.approx((dcg + 1 + 0) / 3)


def test_relations_count_for_unseen_items_alone(monkeypatch):
    seen = sp.csr_matrix(np.array([[1.0, 0, 0]]))
    held = sp.csr_matrix(np.array([[0, 1.0, 0]]))
    users, items = np.ones((1, 1), "f4"), np.array([[0.6], [0.5], [0.4]], "f4")
    relations = sp.csr_matrix(np.array([[9.0, 0.3, 0.2], [0, 0, 0], [0, 0, 0]], "f4"))
    assert Validation(seen, held, "recall@1", exclude_seen=False)(users, items) == 0
    others = 3 * relations[:, [0, 2, 1]]
    for limit in (0, 100):  # products that are computed once
        monkeypatch.setattr(validation, "_MAX_KNOWN", limit)
        for item_to_item, found in ((relations, 1), (others, 0)):
            for exclude_seen in (True, False):
                parts = {"weights": seen, "item_to_item": item_to_item}
                measure = Validation(seen, held, "recall@1", exclude_seen=exclude_seen, **parts)
                assert measure(users, items) == found
