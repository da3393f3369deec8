import copy
import datetime
import pickle

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import _safe_indexing, indexable, resample
from sklearn.utils.validation import _num_samples

from recsk import Interactions
from recsk.data import interaction_matrix


@pytest.fixture
def X():
    return Interactions(
        [0, 2, 0, 2, 0],
        [3, 1, 0, 1, 3],
        timestamp=[30, 20, 10, 20, 40],
        value=np.array([1, 2, 3, 4, 5], dtype="f4"),
        n_users=4,
        n_items=6,
    )


def assert_same(a, b):
    for name in ("user", "item", "timestamp", "value", "user_labels", "item_labels"):
        left, right = getattr(a, name), getattr(b, name)
        assert (left is None) == (right is None), name
        if left is not None:
            np.testing.assert_array_equal(left, right)
            assert left.dtype == right.dtype
    assert (a.n_users, a.n_items) == (b.n_users, b.n_items)


def test_other_values_or_none():
    X = Interactions([0, 2], [1, 0], timestamp=[4, 5], value=[1.5, 2.0])
    plain = X.with_value(None)
    assert plain.value is None and X.value.tolist() == [1.5, 2.0]
    assert np.shares_memory(plain.user, X.user) and np.shares_memory(plain.timestamp, X.timestamp)
    assert repr(plain) == repr(Interactions([0, 2], [1, 0], timestamp=[4, 5]))
    other = X.with_value(np.array([3, 0], dtype=np.uint8))
    assert other.value.tolist() == [3, 0] and not other.value.flags.writeable
    labelled = Interactions.from_frame({"user": ["a", "b"], "item": ["x", "y"]}).with_value([1, 2])
    assert labelled.user_labels.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="columns must have one length; .* value 3"):
        X.with_value([1, 2, 3])
    with pytest.raises(ValueError, match="value"):
        X.with_value([1, np.nan])


def test_attributes(X):
    assert len(X) == 5 and X.shape == (5, 6)
    assert (X.n_users, X.n_items) == (4, 6)
    assert X.user.dtype == X.item.dtype == X.timestamp.dtype == np.int64
    assert X.value.dtype == np.float32
    assert repr(X) == (
        "Interactions(n_interactions=5, n_users=4, n_items=6, timestamp=int64, value=float32)"
    )


def test_sizes_are_inferred_from_the_largest_ids():
    X = Interactions([1, 0], [7, 2])
    assert (X.n_users, X.n_items) == (2, 8)
    empty = Interactions([], [])
    assert (len(empty), empty.shape, empty.n_users) == (0, (0, 0), 0)
    assert empty.to_csr().shape == (0, 0)


def test_the_input_is_not_changed_and_columns_are_read_only():
    user, item = np.array([0, 1]), np.array([1, 0])
    X = Interactions(user, item)
    assert user.flags.writeable and np.shares_memory(X.user, user)
    with pytest.raises(ValueError, match="read-only"):
        X.user[0] = 1
    for array in (user, item):
        array.flags.writeable = False
    assert_same(Interactions(user, item), X)


@pytest.mark.parametrize("dtype", ["i1", "u2", "i4", "u8"])
def test_ids_of_any_integer_type(dtype):
    X = Interactions(np.array([0, 1], dtype), np.array([1, 0], dtype))
    assert X.user.dtype == np.int64


def test_timestamps_of_all_kinds():
    days = np.array(["1970-01-02", "1970-01-01"], dtype="datetime64[D]")
    nanoseconds = [86_400_000_000_000, 0]
    for times in (days, days.astype("datetime64[s]"), days.astype(datetime.datetime)):
        X = Interactions([0, 0], [0, 1], timestamp=times)
        np.testing.assert_array_equal(X.timestamp, nanoseconds)
        assert X.timestamp.dtype == np.int64
    assert Interactions([0], [0], timestamp=np.float32([1.5])).timestamp.dtype == np.float64
    assert Interactions([0], [0], timestamp=np.uint8([7])).timestamp.dtype == np.int64


def test_times_with_a_time_zone_become_utc(recwarn):
    zone = datetime.timezone(datetime.timedelta(hours=2))
    times = [datetime.datetime(1970, 1, 1, hour, tzinfo=zone) for hour in (3, 4)]
    X = Interactions([0, 0], [0, 1], timestamp=times)
    assert (X.timestamp / 3.6e12).tolist() == [1, 2] and not recwarn


@pytest.mark.parametrize("kind", ["datetime64[D]", "datetime64[s]", "datetime64[us]", object])
@pytest.mark.parametrize("date", ["9999-12-31", "0001-01-01", "2263-01-01"])
def test_times_out_of_the_range_of_nanoseconds_are_rejected(date, kind):
    """A date far in the future would otherwise become a day in 1816."""
    times = np.array(["2020-01-01", date], dtype="datetime64[us]").astype(kind)
    with pytest.raises(ValueError, match=rf"timestamp\[1\] is {date}.*from 1677 to 2262"):
        Interactions([0, 0], [0, 1], timestamp=times)


@pytest.mark.parametrize(
    "index",
    [
        [3, 0, 0],
        np.array([-1, 2]),
        [True, False, True, False, False],
        np.zeros(5, dtype=bool),
        slice(1, None, 2),
        np.array([4], dtype=np.uint8),
    ],
)
def test_subsets_keep_the_numbers_of_users_and_items(X, index):
    for part in (X[index], X[index, ...]):
        for name in ("user", "item", "timestamp", "value"):
            expected = getattr(X, name)[index]
            np.testing.assert_array_equal(getattr(part, name), expected)
        assert (part.n_users, part.n_items) == (4, 6)
        assert part.to_csr().shape == (4, 6)


def test_an_empty_list_selects_nothing(X):
    assert len(X[[]]) == 0 and X[[]].shape == (0, 6)


def test_one_integer_gives_one_interaction(X):
    assert len(X[3]) == 1 and X[3].item[0] == 1 and X[np.int64(-1)].timestamp[0] == 40
    assert [int(part.item[0]) for part in X] == X.item.tolist()


@pytest.mark.parametrize("index", [5, [7], [True], [0.5], [[0, 1]], "user", (0, 1), True])
def test_bad_indices(X, index):
    with pytest.raises(IndexError):
        X[index]


def test_numpy_cannot_convert_interactions_to_an_array(X):
    with pytest.raises(TypeError, match=r"use \.to_csr\(\)"):
        np.asarray(X)


def test_scikit_learn_treats_interactions_as_samples(X):
    assert _num_samples(X) == 5
    assert indexable(X, None)[0] is X
    np.testing.assert_array_equal(_safe_indexing(X, [4, 0]).item, [3, 3])
    np.testing.assert_array_equal(_safe_indexing(X, X.user == 2).item, [1, 1])
    assert len(resample(X, n_samples=3, replace=False, random_state=0)) == 3
    assert_same(clone(X, safe=False), X)


@pytest.mark.parametrize("copied", [lambda X: pickle.loads(pickle.dumps(X)), copy.deepcopy])
def test_copies_by_pickle_and_deepcopy_are_equal(X, copied):
    again = copied(X)
    assert_same(again, X)
    assert not again.user.flags.writeable


def _inspect(X):
    return type(X.user.base).__name__, int(X.item.sum()), X.to_csr().nnz


def test_joblib_passes_large_arrays_as_memory_maps():
    X = Interactions(np.arange(2000), np.arange(2000))
    jobs = (joblib.delayed(_inspect)(X) for _ in range(2))
    for base, total, nnz in joblib.Parallel(n_jobs=2, max_nbytes=1000)(jobs):
        assert base == "memmap"
        assert (total, nnz) == (1999 * 1000, 2000)


def test_memory_maps_stay_maps(tmp_path):
    np.save(tmp_path / "user.npy", np.arange(10))
    user = np.load(tmp_path / "user.npy", mmap_mode="r")
    X = Interactions(user, user)
    assert np.shares_memory(X.user, user)


def test_to_csr(X):
    binary = X.to_csr()
    assert isinstance(binary, sparse.csr_matrix) and binary.dtype == np.float32
    assert binary.has_canonical_format and binary.shape == (4, 6)
    expected = np.zeros((4, 6))
    expected[[0, 0, 2], [0, 3, 1]] = 1
    np.testing.assert_array_equal(binary.toarray(), expected)
    expected[[0, 0, 2], [0, 3, 1]] = [3, 6, 6]
    np.testing.assert_array_equal(X.to_csr(binary=False).toarray(), expected)
    counts = Interactions([0, 0], [1, 1]).to_csr(binary=False)
    np.testing.assert_array_equal(counts.toarray(), [[0, 2]])
    zero = Interactions([0], [1], value=[0.0])
    assert (zero.to_csr().nnz, zero.to_csr(binary=False).nnz) == (1, 0)


def test_implicit_accepts_the_matrix(X):
    from implicit.cpu.als import AlternatingLeastSquares

    matrix = X.to_csr()
    model = AlternatingLeastSquares(factors=2, iterations=1, num_threads=1, random_state=0)
    model.fit(matrix, show_progress=False)
    assert model.recommend(0, matrix[0], N=2)[0].shape == (2,)


def test_sequences(X):
    sequences = X.sequences()
    assert [s.tolist() for s in sequences] == [[0, 3, 3], [], [1, 1], []]
    assert all(s.dtype == np.int64 for s in sequences)
    indptr, items = X.sequences(packed=True)
    assert indptr.tolist() == [0, 3, 3, 5, 5] and items.tolist() == [0, 3, 3, 1, 1]


def test_interactions_at_the_same_time_keep_the_order_of_the_input():
    X = Interactions([0, 1, 0, 0], [5, 0, 3, 4], timestamp=[1, 1, 1, 0])
    assert [s.tolist() for s in X.sequences()] == [[4, 5, 3], [0]]


def test_sequences_need_timestamps():
    with pytest.raises(ValueError, match=r"needs timestamps.*np\.arange"):
        Interactions([0], [0]).sequences()


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(-3, 3)), max_size=30))
def test_sequences_equal_a_sort_in_python(rows):
    user, item, time = (list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 3
    X = Interactions(user, item, timestamp=np.array(time, dtype=int), n_users=5, n_items=7)
    for u, sequence in enumerate(X.sequences()):
        expected = sorted(((t, i) for v, i, t in rows if v == u), key=lambda pair: pair[0])
        assert sequence.tolist() == [i for _, i in expected]


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
def test_from_any_sparse_format(format, kind):
    dense = np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]], dtype=np.float32)
    X = Interactions.from_csr(kind(dense).asformat(format))
    assert (X.user.tolist(), X.item.tolist(), X.value.tolist()) == ([0, 2, 2], [1, 0, 2], [2, 1, 3])
    np.testing.assert_array_equal(X.to_csr(binary=False).toarray(), dense)


def test_from_csr_sums_duplicates_drops_zeros_and_keeps_its_input():
    indices, data = np.array([2, 0, 2, 1]), np.array([1.0, 0.0, 4.0, 2.0])
    M = sparse.csr_array((data, indices, np.array([0, 4])), shape=(1, 3))
    X = Interactions.from_csr(M)
    assert (X.item.tolist(), X.value.tolist()) == ([1, 2], [2, 5])
    matrix = interaction_matrix(M)
    assert matrix.toarray().tolist() == [[0, 1, 1]]
    assert M.nnz == 4 and M.indices.tolist() == [2, 0, 2, 1] and M.data.tolist() == [1, 0, 4, 2]


def test_from_csr_values_as():
    M = sparse.csr_array([[0, 3, 1], [2, 0, 0]])
    X = Interactions.from_csr(M, values_as="timestamp")
    assert X.value is None and X.timestamp.dtype == np.int64
    assert [s.tolist() for s in X.sequences()] == [[2, 1], [0]]
    X = Interactions.from_csr(M, values_as=None)
    assert X.value is None and X.timestamp is None
    with pytest.raises(ValueError, match="values_as must be 'value', 'timestamp' or None"):
        Interactions.from_csr(M, values_as="rating")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, -3], [0, 0]), ValueError, r"user\[1\] is -3; ids must be 0 or more"),
        (([0], [0.0]), TypeError, "item must hold integer ids; got dtype float64"),
        (([0], ["a"]), TypeError, "item must hold integer ids.*from_frame turns labels into ids"),
        (([True], [0]), TypeError, "user must hold integer ids; got dtype bool"),
        (([0, 1], [0]), ValueError, "one length; got user 2, item 1"),
        (([[0]], [[0]]), ValueError, r"user must be 1-D; got shape \(1, 1\)"),
        ((sparse.csr_array([[1]]), [0]), TypeError, "from_csr takes matrices"),
        ((np.array([2**63], "u8"), [0]), ValueError, "user.0. is 9223372036854775808"),
        (([0, 1], [2**40, 3]), ValueError, "item holds the id 1099511627776.*from_frame"),
    ],
)
def test_bad_ids(arguments, error, message):
    with pytest.raises(error, match=message):
        Interactions(*arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_users": 1}, ValueError, "n_users=1 is too small: user holds the id 1"),
        ({"n_users": 2**70}, ValueError, "n_users must be at most 2147483647"),
        ({"n_items": 2}, ValueError, "n_items=2 is too small: item holds the id 2"),
        ({"n_items": 3.0}, TypeError, r"n_items must be an int; got 3\.0"),
        ({"timestamp": [0, np.nan]}, ValueError, "timestamp must be finite; entry 1 is nan"),
        ({"timestamp": [0]}, ValueError, "got user 2, item 2, timestamp 1"),
        ({"timestamp": ["a", "b"]}, TypeError, "timestamp must hold numbers or datetimes"),
        ({"timestamp": [True, False]}, TypeError, "timestamp must hold numbers.*bool"),
        ({"timestamp": np.array([0, "NaT"], "M8[D]")}, ValueError, r"timestamp\[1\] is NaT"),
        ({"timestamp": [{}, 1]}, TypeError, "timestamp must hold numbers.*object"),
        ({"timestamp": np.uint64([0, 2**63])}, ValueError, r"\[1\] is 9223372036854775808, which"),
        ({"timestamp": [[1], [1, 2]]}, ValueError, "timestamp must be 1-D; got sequences"),
        ({"value": [1, np.inf]}, ValueError, "value must be finite; entry 1 is inf"),
        ({"value": ["a", "b"]}, TypeError, "value must hold numbers"),
    ],
)
def test_bad_columns_and_sizes(arguments, error, message):
    with pytest.raises(error, match=message):
        Interactions([0, 1], [2, 0], **arguments)


def test_interaction_matrix(X):
    matrix = interaction_matrix(X)
    assert isinstance(matrix, sparse.csr_array) and matrix.dtype == np.float32
    assert matrix.has_canonical_format and set(matrix.data) == {1}
    np.testing.assert_array_equal(matrix.toarray(), X.to_csr().toarray())
    # A value of 0 is no interaction, as in a matrix.
    zero = Interactions([0, 0], [0, 1], value=[0.0, 2.0])
    assert interaction_matrix(zero).toarray().tolist() == [[0, 1]]
    M = sparse.csr_array(np.eye(3, dtype=np.float32))
    assert not np.shares_memory(interaction_matrix(M).indices, M.indices)


@pytest.mark.parametrize(
    ("matrix", "error", "message"),
    [
        (np.eye(2), TypeError, r"H must be a scipy sparse.*n_users x n_items.*csr_array\(H\)"),
        (sparse.csr_array([[-2.0]]), ValueError, "H holds -2; .* must not be negative"),
        (sparse.csr_array([[np.nan]]), ValueError, "H must be finite; entry 0 is nan"),
        (sparse.csr_array([[np.inf]]), ValueError, "H must be finite; entry 0 is inf"),
        (sparse.csr_array([[1j]]), TypeError, "H must hold numbers; got dtype complex128"),
        (sparse.coo_array(np.ones(3)), ValueError, r"H must have 2 axes.*got shape \(3,\)"),
        (Interactions([0], [0], value=[-1]), ValueError, "H holds -1"),
    ],
)
def test_interaction_matrix_rejects_bad_input(matrix, error, message):
    with pytest.raises(error, match=message):
        interaction_matrix(matrix, "H")


class TestFromFrame:
    ROWS = {
        "who": ["zoe", "ann", "zoe"],
        "what": [70, 9, 9],
        "when": np.array(["2020-01-02", "2020-01-01", "2020-01-03"], dtype="datetime64[ns]"),
        "stars": [5.0, 3.0, 4.0],
    }
    COLUMNS = {"user": "who", "item": "what", "timestamp": "when", "value": "stars"}

    def check(self, frame):
        X = Interactions.from_frame(frame, **self.COLUMNS)
        assert (X.user.tolist(), X.item.tolist()) == ([1, 0, 1], [1, 0, 0])
        assert X.user_labels.tolist() == ["ann", "zoe"] and X.item_labels.tolist() == [9, 70]
        assert X.item_labels.dtype == np.int64
        assert X.timestamp.tolist() == [t.astype(int) for t in self.ROWS["when"]]
        assert X.value.tolist() == [5, 3, 4]
        return X

    def test_dict_and_structured_array(self):
        self.check(self.ROWS)
        records = np.rec.fromarrays(list(self.ROWS.values()), names=list(self.ROWS))
        self.check(np.asarray(records).view(np.ndarray))

    def test_pandas(self):
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame(self.ROWS)
        before = frame.copy()
        self.check(frame)
        pd.testing.assert_frame_equal(frame, before)
        self.check(frame.set_index("stars", drop=False))  # the index does not matter
        self.check(frame.astype({"who": "category", "what": "Int64"}))
        frame["when"] = frame["when"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
        self.check(frame)

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    @pytest.mark.filterwarnings("ignore:.*interchange")
    def test_a_frame_with_only_the_interchange_protocol(self):
        pd = pytest.importorskip("pandas")
        pytest.importorskip("pandas.api.interchange")

        class Foreign:
            def __dataframe__(self, **kwargs):
                return pd.DataFrame(TestFromFrame.ROWS).__dataframe__(**kwargs)

        self.check(Foreign())

    def test_a_column_with_only_to_numpy(self):
        class Column:
            def __init__(self, values):
                self.values = values

            def to_numpy(self):
                return np.asarray(self.values)

        self.check({name: Column(values) for name, values in self.ROWS.items()})

    def test_labels_survive_subsets_and_pickling(self):
        X = self.check(self.ROWS)
        assert_same(pickle.loads(pickle.dumps(X)), X)
        assert X[[0]].user_labels.tolist() == ["ann", "zoe"]

    def test_one_long_label_does_not_lengthen_the_others(self):
        labels = [f"item {i}" for i in range(2_000)] + ["x" * 5_000]
        frame = {"user": np.zeros(2_001, int), "item": np.array(labels, dtype=object)}
        X = Interactions.from_frame(frame)
        assert X.item_labels.dtype == object and X.item_labels[X.item].tolist() == labels
        short = Interactions.from_frame({k: column[:5] for k, column in frame.items()})
        assert short.item_labels.dtype == "<U6"

    def test_ids_without_gaps_stay_the_same(self):
        X = Interactions.from_frame({"user": [2, 0, 1], "item": [0, 1, 0]})
        assert (X.user.tolist(), X.item.tolist()) == ([2, 0, 1], [0, 1, 0])

    def test_ids_without_encoding(self):
        frame = {"user": [5, 0], "item": [0, 3]}
        X = Interactions.from_frame(frame, encode=False, n_items=9)
        assert (X.user.tolist(), X.n_users, X.n_items) == ([5, 0], 6, 9)
        assert X.user_labels is None
        with pytest.raises(TypeError, match="user must hold integer ids"):
            Interactions.from_frame({"user": ["a"], "item": [0]}, encode=False)
        with pytest.raises(ValueError, match="n_items=9 needs encode=False"):
            Interactions.from_frame(frame, n_items=9)

    def test_encoding_with_given_labels(self):
        train = self.check(self.ROWS)
        rows = {"who": ["zoe"], "what": [9]}
        labels = {"user_labels": train.user_labels, "item_labels": [9, 70, 1000]}
        test = Interactions.from_frame(rows, user="who", item="what", **labels)
        assert (test.user.tolist(), test.item.tolist()) == ([1], [0])
        assert (test.n_users, test.n_items) == (2, 3)
        with pytest.raises(
            ValueError, match="'who' holds 'eve' in row 1.*not among the user_labels given"
        ):
            Interactions.from_frame(
                {"who": ["zoe", "eve"], "what": [9, 9]}, user="who", item="what", **labels
            )
        with pytest.raises(ValueError, match="item_labels repeat the label 0"):
            Interactions.from_frame({"user": [0], "item": [0]}, item_labels=[0, 0])

    @pytest.mark.parametrize("missing", [None, np.nan, "NA"])
    def test_missing_labels(self, missing):
        if missing == "NA":
            missing = pytest.importorskip("pandas").NA
        column = np.array(["a", missing], dtype=object)
        with pytest.raises(ValueError, match="column 'item' has no label in row 1"):
            Interactions.from_frame({"user": [0, 1], "item": column})

    def test_labels_that_cannot_be_sorted_keep_their_order(self):
        column = np.array(["b", 1, "a", "b"], dtype=object)
        X = Interactions.from_frame({"user": [0, 1, 1, 1], "item": column})
        assert X.item_labels.tolist() == ["b", 1, "a"] and X.item.tolist() == [0, 1, 2, 0]

    def test_an_unknown_column_or_no_frame(self):
        with pytest.raises(KeyError, match=r"no column 'user'; it has \['who', 'what'"):
            Interactions.from_frame(self.ROWS)
        pd = pytest.importorskip("pandas")
        with pytest.raises(KeyError, match=r"no column 'user'; it has \['who', 'what'"):
            Interactions.from_frame(pd.DataFrame(self.ROWS))
        with pytest.raises(TypeError, match="must be a data frame.*got int"):
            Interactions.from_frame(3)


@pytest.mark.realdata
def test_real_timestamps(real_data):
    data = real_data("ml100k")
    X = Interactions(data["user"], data["item"], timestamp=data["timestamp"], value=data["rating"])
    assert X.shape == (99815, 1663) and X.n_users == 943
    indptr, items = X.sequences(packed=True)
    assert indptr[-1] == len(items) == len(X)
