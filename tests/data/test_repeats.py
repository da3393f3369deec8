import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsk import Interactions
from recsk.data.repeats import find_pairs

ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 4), st.integers(-2, 5)),
    max_size=25,
)


def columns_of(X):
    names = ("user", "item", "timestamp", "value")
    return pd.DataFrame({name: c for name in names if (c := getattr(X, name)) is not None})


@given(rows=ROWS, timed=st.booleans(), weighed=st.booleans())
def test_deduplicate_gives_what_pandas_gives(rows, timed, weighed):
    user, item, time, value = np.array(rows, dtype=int).reshape(-1, 4).T
    X = Interactions(
        user,
        item,
        timestamp=time if timed else None,
        value=value if weighed else None,
        n_users=5,
        n_items=6,
    )
    frame = columns_of(X)
    ordered = frame.sort_values("timestamp", kind="stable") if timed else frame
    pair = ["user", "item"]
    for keep in ("first", "last"):
        expected = ordered.drop_duplicates(pair, keep=keep).sort_index()
        found = X.deduplicate(keep)
        pd.testing.assert_frame_equal(columns_of(found), expected.reset_index(drop=True))
        assert (found.n_users, found.n_items) == (5, 6)
    if weighed:
        kept = {}  # of each pair: the largest value, then the earliest time, then the first row
        for row, (u, i, t, v) in enumerate(rows):
            kept[u, i] = min(kept.get((u, i), (np.inf,)), (-v, t if timed else 0, row))
        at = sorted(row for _, _, row in kept.values())
        pd.testing.assert_frame_equal(
            columns_of(X.deduplicate("max")), frame.iloc[at].reset_index(drop=True)
        )
    frame["value"] = frame["value"] if weighed else 1.0
    expected = ordered.drop_duplicates(pair, keep="last").sort_index()[pair]
    expected["value"] = frame.groupby(pair)["value"].transform("sum")
    found = columns_of(X.deduplicate("sum"))
    pd.testing.assert_frame_equal(found[[*pair, "value"]], expected.reset_index(drop=True))
    if timed:
        latest = frame.groupby(pair)["timestamp"].max()
        assert found.set_index(pair)["timestamp"].to_dict() == latest.to_dict()
    np.testing.assert_array_equal(
        X.deduplicate("sum").to_csr(binary=False).toarray(), X.to_csr(binary=False).toarray()
    )


@given(rows=ROWS)
def test_pairs_are_numbered_by_their_first_interaction(rows):
    user, item = np.array(rows, dtype=int).reshape(-1, 4).T[:2]
    first, pair = find_pairs(Interactions(user, item, n_users=5, n_items=6))
    seen = list(dict.fromkeys(zip(user.tolist(), item.tolist(), strict=True)))
    assert pair.tolist() == [seen.index(p) for p in zip(user.tolist(), item.tolist(), strict=True)]
    assert [(user[row], item[row]) for row in first] == seen
    assert (np.diff(first) > 0).all()


def test_labels_types_and_the_input_stay():
    frame = {"user": ["b", "a", "b"], "item": [9, 9, 9], "time": [3, 2, 1], "n": [1, 2, 3]}
    X = Interactions.from_frame(frame, timestamp="time", value="n")
    for keep, expected in (("first", [2, 3]), ("last", [1, 2]), ("sum", [4, 2]), ("max", [2, 3])):
        found = X.deduplicate(keep)
        assert found.value.tolist() == expected and not found.value.flags.writeable
        assert found.user_labels.tolist() == ["a", "b"] and found.item_labels.tolist() == [9]
    assert len(X) == 3 and X.value.tolist() == [1, 2, 3]
    half = Interactions([0, 0], [1, 1], value=np.float32([1, 2])).deduplicate("sum")
    assert half.value.dtype == np.float32 and half.value.tolist() == [3]
    assert X.deduplicate().timestamp.tolist() == X.deduplicate("first").timestamp.tolist()


def test_of_nothing_and_of_the_largest_ids():
    for keep in ("first", "last", "sum"):
        assert len(Interactions([], [], timestamp=[]).deduplicate(keep)) == 0
    assert len(Interactions([], [], value=[]).deduplicate("max")) == 0
    top = 2**31 - 2
    X = Interactions([top, 0, top], [top, top, top]).deduplicate("sum")
    assert (X.user.tolist(), X.item.tolist(), X.value.tolist()) == ([0, top], [top, top], [1, 2])


@pytest.mark.parametrize("keep", ["mean", "First", None, True, ["first"], np.array(["first"])])
def test_another_keep_is_refused(keep):
    with pytest.raises(ValueError, match="keep must be 'first', 'last', 'sum' or 'max'; got"):
        Interactions([0], [0]).deduplicate(keep)


def test_of_a_view_and_a_purchase_the_purchase_is_kept():
    X = Interactions([0, 0, 0], [4, 4, 4], timestamp=[5, 7, 9], value=[1, 10, 3])
    kept = X.deduplicate("max")
    assert (kept.timestamp.tolist(), kept.value.tolist()) == ([7], [10])


def test_the_largest_value_needs_values():
    X = Interactions([0, 0], [4, 4], timestamp=[5, 7])
    with pytest.raises(ValueError, match=r"keep='max' needs values.*X\.with_value\(values\)"):
        X.deduplicate("max")


def test_a_sum_that_the_type_cannot_hold_is_refused():
    X = Interactions([1, 4, 4], [0, 2, 2], value=np.float32([1, 3e38, 3e38]))
    with pytest.raises(ValueError, match="values of user 4 and item 2 sum to inf, beyond float32"):
        X.deduplicate("sum")
    assert X.deduplicate("last").value.tolist() == X.value[[0, 2]].tolist()
