"""Forms of data that are refused, with the right call in the message."""

import datetime
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recsk import Interactions
from recsk.data.checks import check_ids
from recsk.data.forms import check_form, check_no_target
from recsk.data.matrices import interaction_matrix

USER, ITEM = np.array([0, 1, 1]), np.array([2, 0, 1])
WIDE = np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]])
LOG = {"user": USER, "item": ITEM, "rating": np.ones(3)}
FRAMES = ("pandas", "polars", "pyarrow")


def make_frame(library, columns):
    module = pytest.importorskip(library)
    return module.table(columns) if library == "pyarrow" else module.DataFrame(columns)


def names(*columns):
    return dict(zip(columns, LOG.values(), strict=True))


class TestTables:
    @pytest.mark.parametrize("library", FRAMES)
    @pytest.mark.parametrize(
        ("columns", "call"),
        [
            (LOG, "from_frame(H, user='user', item='item')"),
            (names("User", "ITEM", "r"), "from_frame(H, user='User', item='ITEM')"),
            (names("user_id", "item_id", "r"), "from_frame(H, user='user_id', item='item_id')"),
            (names("userId", "movieId", "r"), "from_frame(H, user='userId', item='movieId')"),
            (names("visitorid", "itemid", "r"), "from_frame(H, user='visitorid', item='itemid')"),
            (names("a", "sku", "r"), "from_frame(H, user='user', item='sku')"),
            (dict(LOG, user=["a", "b", "c"]), "from_frame(H, user='user', item='item')"),
            ({"who": ["a", "b", "c"], "n": USER}, "from_frame(H, user='user', item='item')"),
            ({"n": USER, "day": [datetime.date(2020, 1, 1)] * 3}, "from_frame(H, user='user'"),
        ],
    )
    def test_a_log_is_refused(self, library, columns, call):
        with pytest.raises(
            TypeError, match=r"H must be .*table with the columns .*" + re.escape(call)
        ):
            check_form(make_frame(library, columns), "H")

    @pytest.mark.parametrize("library", FRAMES)
    @pytest.mark.parametrize("dtype", [np.float32, np.int8, bool])
    def test_a_wide_table_of_numbers_passes(self, library, dtype):
        columns = {f"item {i}": column for i, column in enumerate(WIDE.T.astype(dtype))}
        check_form(make_frame(library, columns), "H")

    def test_wide_tables_of_pandas(self):
        pd = pytest.importorskip("pandas")
        wide = pd.DataFrame(WIDE, columns=["a", "b", "c"])
        log = pd.DataFrame(LOG)
        pivot = log.pivot(index="user", columns="item", values="rating")
        spmatrix = pd.DataFrame.sparse.from_spmatrix(sparse.csr_array(WIDE))
        for table in (pivot, spmatrix, wide.astype("Int64"), wide.astype(object)):
            check_form(table, "H")
        for table in (wide.astype("category"), wide.astype(str), wide.assign(b="x")):
            with pytest.raises(TypeError, match="table with the columns"):
                check_form(table, "H")
        many = pd.DataFrame(np.eye(9), columns=[*"abcdefgh", "User"])
        with pytest.raises(TypeError, match="columns 'a', 'b', 'c', 'd', ... and 'User'"):
            check_form(many, "H")
        for table in (log.set_index(["user", "item"]), log.groupby(["user", "item"]).sum()):
            with pytest.raises(TypeError, match=r"from_frame\(H.reset_index\(\), user='user'"):
                check_form(table, "H")

    def test_dicts_and_structured_arrays_are_refused(self):
        for table in (LOG, {"a": USER}, np.rec.fromarrays([USER, ITEM], names="who,what")):
            with pytest.raises(
                TypeError, match=r"table with the columns .*Interactions.from_frame"
            ):
                check_form(table, "H")


@pytest.mark.parametrize(
    ("X", "got"),
    [
        ((USER, ITEM), "a tuple of ndarray, ndarray"),
        ((), "a tuple of "),
        ([(0, 2), (1, 0)], "a list of tuple, tuple"),
        ([("ann", "tea", 5)], "a list of tuple"),
        ("u.data", "text in str 'u.data'"),
        (b"u.data", "text in bytes"),
        ([["ann", "tea"]], "text in list"),
        ([["ann", 3], [0, 1]], "text in list"),
        (["ann", "bob"], "text in list"),
        (np.array([["1", "0"]]), "text in an array"),
        (np.array([["ann", 1]], dtype=object), "text in an array"),
    ],
)
def test_tuples_and_text_are_refused(X, got):
    with pytest.raises(TypeError, match=f"H must be .*{re.escape(got)}.*Interactions.from_frame"):
        check_form(X, "H")


@pytest.mark.parametrize(
    "X", [WIDE, WIDE.tolist(), WIDE.astype(object), sparse.csr_array(WIDE), Interactions([0], [1])]
)
def test_matrices_and_interactions_pass(X):
    check_form(X, "H")


@pytest.mark.parametrize("matrix", [WIDE, sparse.csr_array(WIDE), Interactions([0], [1])])
def test_a_matrix_beside_a_target_is_refused(matrix):
    for pair in ((matrix, None), (matrix, USER), [matrix], [(matrix, None)], [matrix, matrix]):
        with pytest.raises(TypeError, match="H must be .* alone, without y and in no list; got"):
            check_form(pair, "H")


def test_histories_may_be_tuples():
    check_form([(0, 1), (2,)], "H", histories=True)
    check_form(((0, 1), [2]), "H", histories=True)
    with pytest.raises(TypeError, match="from_frame"):
        check_form(make_frame("pandas", LOG), "H", histories=True)


class TestMaskedArrays:
    """NumPy takes the values below a mask."""

    MASKED = np.ma.masked_array(WIDE, WIDE == 0)

    def test_masked_entries_are_refused(self):
        with pytest.raises(ValueError, match=r"H has 3 masked entries.*as in H.filled\(0\)"):
            check_form(self.MASKED, "H")
        check_form(np.ma.masked_array(WIDE), "H")  # nothing is masked

    def test_in_columns_and_ids(self):
        masked = np.ma.masked_array([0, 1], [False, True])
        for columns in (
            {"user": masked, "item": [0, 1]},
            {"user": [0, 1], "item": masked},
            {"user": [0, 1], "item": [0, 1], "timestamp": masked},
            {"user": [0, 1], "item": [0, 1], "value": masked},
        ):
            with pytest.raises(ValueError, match="(user|item|timestamp|value) has 1 masked"):
                Interactions(**columns)
        with pytest.raises(ValueError, match="item has 1 masked"):
            Interactions.from_frame({"user": [0, 1], "item": masked})
        with pytest.raises(ValueError, match="items has 1 masked"):
            check_ids(masked, "items", 5)
        assert check_ids(np.ma.masked_array([0, 1]), "items", 5).tolist() == [0, 1]

    def test_in_a_matrix(self):
        for read in (interaction_matrix, Interactions.from_csr):
            with pytest.raises(ValueError, match="X has 3 masked entries"):
                read(self.MASKED)


@pytest.mark.parametrize("dtype", ["i1", "i8", "u8"])
def test_ids_of_any_width_are_checked_and_not_shared(dtype):
    ids = np.array([2, 9, 0], dtype=dtype)[::2]  # not contiguous
    found = check_ids(ids, "items", 3)
    assert found.dtype == np.int64
    assert found.tolist() == [2, 0]
    assert not np.shares_memory(found, ids)
    last = np.array([np.iinfo(dtype).max], dtype=dtype)
    with pytest.raises(IndexError, match=f"items has {last[0]}, but items go from 0 to 2"):
        check_ids(last, "items", 3)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (np.nan, r"X contains NaN.*user 1 and item 2.*X.fillna\(0\) .*nan_to_num\(X\)"),
        (np.inf, "X contains infinity.*user 1 and item 2"),
    ],
)
def test_entries_that_are_not_finite(kind, message):
    matrix = sparse.csr_array([[0, 1, 0], [0, 2, kind]])
    for read in (interaction_matrix, Interactions.from_csr):
        with pytest.raises(ValueError, match=message):
            read(matrix)


class TestTargets:
    @pytest.mark.parametrize(
        "y",
        [
            {"v": WIDE},
            {},
            Interactions([0], [0]),
            sparse.csr_array(WIDE),
            sparse.coo_array(np.ones(3)),
            WIDE,
            WIDE[:, :1],
            WIDE.tolist(),
            [WIDE],
            [{"v": WIDE}],
            "image",
            3,
            object(),
        ],
    )
    def test_features_and_data_are_refused(self, y):
        with pytest.raises(
            TypeError, match=r"(?s)y must be None.*fit\(X, item_features=.*eval_set="
        ):
            check_no_target(y)
        with pytest.raises(TypeError, match=r"(?s)y must be None.*score\(X_test\)"):
            check_no_target(y, "score")

    @pytest.mark.parametrize("library", FRAMES)
    def test_frames_are_refused(self, library):
        with pytest.raises(TypeError, match="y must be None"):
            check_no_target(make_frame(library, LOG))

    def test_the_message_shows_the_keys_of_a_dict(self):
        with pytest.raises(TypeError, match=r"dict with the keys list \['v', 't'\]"):
            check_no_target({"v": WIDE, "t": WIDE})

    @given(st.lists(st.one_of(st.integers(), st.floats(), st.booleans(), st.text())))
    def test_labels_pass(self, labels):
        check_no_target(labels)
        check_no_target(np.array(labels, dtype=object))

    def test_labels_of_other_libraries_pass(self):
        check_no_target(None)
        check_no_target(USER)
        for library in ("pandas", "polars"):
            check_no_target(pytest.importorskip(library).Series([0, 1]))
        check_no_target(pytest.importorskip("pyarrow").array([0, 1]))


class TestColumns:
    """Columns of frames: missing, repeated, nested."""

    @pytest.mark.parametrize("library", FRAMES)
    def test_a_missing_column(self, library):
        frame = make_frame(library, LOG)
        with pytest.raises(
            KeyError, match=r"no column 'film'; it has \['user', 'item', 'rating'\]"
        ):
            Interactions.from_frame(frame, item="film")
        with pytest.raises(KeyError, match=r"no column 'when'; it has"):
            Interactions.from_frame(frame, timestamp="when")

    def test_a_repeated_column(self):
        pd, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
        twice = ["user", "item", "item"]
        for frame in (
            pd.DataFrame([[0, 1, 2]], columns=twice),
            pa.table([pa.array([0])] * 3, names=twice),
        ):
            with pytest.raises(ValueError, match="the frame has 2 columns 'item': rename or drop"):
                Interactions.from_frame(frame)

    @pytest.mark.parametrize("library", ["dict", *FRAMES])
    @pytest.mark.parametrize(
        "cells", [[[1], [2, 3], []], [[1, 2], [3, 4], [5, 6]], [{"a": 1}, {"a": 2}, {"a": 3}]]
    )
    def test_structs_and_lists_are_no_labels(self, library, cells):
        columns = {"user": [0, 1, 2], "item": cells}
        frame = columns if library == "dict" else make_frame(library, columns)
        with pytest.raises(TypeError, match="column 'item' must have one plain value per row"):
            Interactions.from_frame(frame)

    def test_declared_arrays_and_structs_are_no_labels(self):
        pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
        pa = pytest.importorskip("pyarrow")
        struct = pd.ArrowDtype(pa.struct([("a", pa.int64())]))
        for frame in (
            pl.DataFrame({"user": pl.Series([[0, 1]], dtype=pl.Array(pl.Int64, 2)), "item": [0]}),
            pd.DataFrame({"user": pd.Series([{"a": 1}], dtype=struct), "item": [0]}),
            {"user": np.zeros((1, 2)), "item": [0]},
            {"user": "ann", "item": ["tea"]},
        ):
            with pytest.raises(TypeError, match="column 'user' must have one plain value per row"):
                Interactions.from_frame(frame)

    @pytest.mark.parametrize("library", FRAMES)
    def test_names_of_columns_that_frames_have_as_attributes(self, library):
        frame = make_frame(library, LOG | {"dtype": USER, "columns": USER, "column_names": USER})
        assert len(Interactions.from_frame(frame, value="column_names")) == 3

    @pytest.mark.parametrize("library", FRAMES)
    def test_encoded_text_and_decimals_are_read(self, library):
        frame = make_frame(library, {"user": ["b", "a", "b"], "item": ITEM})
        if library == "pandas":
            frame = frame.astype({"user": "category"})
        elif library == "polars":
            frame = frame.with_columns(
                frame["user"].cast(pytest.importorskip("polars").Categorical)
            )
        else:
            frame = frame.set_column(0, "user", frame["user"].dictionary_encode())
        X = Interactions.from_frame(frame)
        assert list(X.user_labels[X.user]) == ["b", "a", "b"]
