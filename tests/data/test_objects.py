"""Timestamps and values in columns of Python objects or text."""

import datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsk import Interactions

UTC = datetime.UTC
DAY = 86_400_000_000_000
INT64 = st.integers(-(2**63), 2**63 - 1)


def objects(values):
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def read(times):
    return Interactions([0] * len(times), [0] * len(times), timestamp=times).timestamp


@given(st.lists(INT64, min_size=1, max_size=5))
def test_integers_are_integers(times):
    for column in (
        objects(times),
        objects([np.int64(time) for time in times]),
        objects([Decimal(time) for time in times]),
        objects([str(time) for time in times]),
        [str(time) for time in times],
    ):
        assert read(column).dtype == np.int64 and read(column).tolist() == times


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=5))
def test_floats_are_floats(times):
    for column in (objects(times), objects([0, *times])[1:], objects([*times, 0.5])):
        assert read(column).dtype == np.float64 and read(column)[: len(times)].tolist() == times


def test_the_seconds_of_movielens_are_no_years():
    """NumPy reads '881250949' as a year."""
    for column in (["881250949", "891717742"], objects([881250949, 891717742])):
        assert read(column).tolist() == [881250949, 891717742]
        assert read(objects(list(column))).tolist() == [881250949, 891717742]
    pd = pytest.importorskip("pandas")
    for dtype in (object, "str", "string", "category"):
        assert read(pd.Series(["881250949"], dtype=dtype)).tolist() == [881250949]
    assert read(pytest.importorskip("polars").Series(["881250949"])).tolist() == [881250949]
    assert read(pytest.importorskip("pyarrow").array(["881250949"])).tolist() == [881250949]


def test_numbers_of_other_types():
    times = read(objects([Decimal("1.5"), Fraction(1, 4), np.float32(2), 7]))
    assert times.tolist() == [1.5, 0.25, 2, 7]
    assert Interactions([0], [0], value=objects([Decimal("1.5")])).value.tolist() == [1.5]
    assert Interactions([0, 0], [0, 1], value=objects([1, 2])).value.tolist() == [1, 2]
    exact = 1_577_836_800_123_456_789  # not a float
    assert read(objects([Decimal(exact), 1])).tolist() == [exact, 1]


def test_dates_and_datetimes_of_all_kinds():
    for time in (
        datetime.date(1970, 1, 2),
        datetime.datetime(1970, 1, 2),
        np.datetime64("1970-01-02"),
        np.datetime64("1970-01-02T00:00:00.000000000"),
        "1970-01-02",
        "1970-01-02 00:00:00",
        "1970-01-02T00:00:00.000",
        datetime.datetime(1970, 1, 2, tzinfo=UTC),
        datetime.datetime(1970, 1, 2, 9, tzinfo=datetime.timezone(datetime.timedelta(hours=9))),
        "1970-01-02T00:00:00Z",
        "1970-01-02T09:00:00+09:00",
    ):
        assert read(objects([time])).tolist() == [DAY], time
    mixed = [datetime.date(1970, 1, 2), datetime.datetime(1970, 1, 3), np.datetime64("1970-01-04")]
    assert read(objects(mixed)).tolist() == [DAY, 2 * DAY, 3 * DAY]
    assert read(["1970-01", "1970-01-03"]).tolist() == [0, 2 * DAY]


@given(
    st.lists(
        st.datetimes(
            datetime.datetime(1700, 1, 1),
            datetime.datetime(2200, 1, 1),
            timezones=st.integers(-14, 14).map(
                lambda hours: datetime.timezone(datetime.timedelta(hours=hours))
            ),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_datetimes_with_time_zones_keep_their_order(times):
    since = datetime.datetime(1970, 1, 1, tzinfo=UTC)
    expected = [(time - since) // datetime.timedelta(microseconds=1) * 1000 for time in times]
    assert read(objects(times)).tolist() == expected
    assert read([time.isoformat() for time in times]).tolist() == expected


def test_timestamps_of_pandas_keep_zones_and_nanoseconds():
    pd = pytest.importorskip("pandas")
    utc = pd.Timestamp("2020-01-01 00:00:00.123456789", tz="UTC")
    tokyo = utc.tz_convert("Asia/Tokyo")
    for column in (
        objects([utc, tokyo]),
        pd.Series([utc, tokyo], dtype=object),
        pd.Series([utc, utc]).dt.tz_convert("Asia/Tokyo"),
        pd.DatetimeIndex([tokyo, tokyo]),
    ):
        assert read(column).tolist() == [utc.value] * 2
    naive = pd.Timestamp("1970-01-02")
    assert read(objects([naive])).tolist() == [DAY]
    late = pd.Series(np.array(["9999-12-31"], "M8[us]")).dt.tz_localize("UTC")
    with pytest.raises(ValueError, match=r"timestamp\[0\] is 9999-12-31.*from 1677 to 2262"):
        read(late)


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_columns_of_arrow_and_polars_with_time_zones(unit):
    pa = pytest.importorskip("pyarrow")
    times = pa.array([86_400 * {"s": 1, "us": 10**6, "ns": 10**9}[unit]], pa.int64())
    times = times.cast(pa.timestamp(unit, "Asia/Tokyo"))
    assert read(times).tolist() == [DAY]
    if unit != "s":
        assert read(pytest.importorskip("polars").from_arrow(times)).tolist() == [DAY]


@pytest.mark.parametrize(
    ("times", "error", "message"),
    [
        (["now", "2020-01-01"], TypeError, "must hold numbers or datetimes.*'now' in row 0"),
        (["2020-01-01", "today"], TypeError, "'today' in row 1.*pandas.to_datetime"),
        (["12/31/2020"], TypeError, "'12/31/2020' in row 0"),
        (["1.5"], TypeError, r"'1.5' in row 0.*astype\(float\)"),
        (["2020-13-45"], TypeError, "timestamp must hold numbers or datetimes"),
        ([b"1"], TypeError, "timestamp must hold numbers or datetimes"),
        ([True, 1], TypeError, "timestamp must hold numbers.*True in row 0"),
        ([1j], TypeError, "timestamp must hold numbers"),
        ([datetime.timedelta(1)], TypeError, "timestamp must hold numbers"),
        ([np.timedelta64(1, "s")], TypeError, "timestamp must hold numbers"),
        (
            [datetime.date(2020, 1, 1), 3],
            TypeError,
            r"of one kind; timestamp\[0\] is datetime.date",
        ),
        (["2020-01-01", "3"], TypeError, r"of one kind; .*timestamp\[1\] is '3'"),
        ([3, "3"], TypeError, r"of one kind; .*timestamp\[1\] is '3'"),
        ([None, 3], ValueError, r"timestamp\[0\] is None, a missing value"),
        ([3, float("nan")], ValueError, r"timestamp\[1\] is nan, a missing value"),
        ([3, np.datetime64("NaT")], ValueError, r"timestamp\[1\] is .*NaT.*, a missing value"),
        ([Decimal("nan")], ValueError, r"timestamp\[0\] is Decimal\('NaN'\), a missing"),
        ([1, 10**30], ValueError, rf"timestamp\[1\] is {10**30}, which is beyond int64"),
        (["1", str(10**20)], ValueError, r"is 100000000000000000000, which is beyond int64"),
        ([0.5, 10**400], ValueError, "timestamp must be finite"),
        ([float("inf"), 1], ValueError, "timestamp must be finite; entry 0 is inf"),
        (
            [datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 1, tzinfo=UTC)],
            ValueError,
            "some have a time zone and some do not.*utc=True",
        ),
        (["2020-01-01T00:00", "2020-01-01T00:00Z"], ValueError, "some have a time zone"),
    ],
)
def test_other_times_are_refused(times, error, message):
    with pytest.raises(error, match=message):
        read(objects(times))


def test_missing_times_of_pandas_are_refused():
    pd = pytest.importorskip("pandas")
    for missing in (pd.NA, pd.NaT):
        with pytest.raises(ValueError, match=r"timestamp\[1\] is <?Na?[AT]>?, a missing value"):
            read(objects([3, missing]))


def test_values_that_are_no_numbers_are_refused():
    for values in (["a"], [None], [datetime.date(2020, 1, 1)]):
        with pytest.raises((TypeError, ValueError), match="value"):
            Interactions([0], [0], value=objects(values))
