"""The month that benchmarks/growing.py plays."""

import numpy as np
import pytest


@pytest.fixture
def growing(script):
    return script("growing")


@pytest.fixture
def data(growing):
    return growing.synthetic(0, n_users=150, n_items=80, n=2000)


def test_days_follow_each_other(growing, data):
    assert (np.diff(data.day) >= 0).all()
    assert data.day.max() == growing.N_DAYS + 1
    assert np.mean(data.day == 0) == pytest.approx(growing.FIRST, abs=0.01)
    first = np.unique(data.item, return_index=True)[1]
    assert (np.diff(first) > 0).all()  # numbered as they come


def test_a_night_knows_nothing_of_the_next_day_but_its_catalogue(growing, data):
    now = growing.known_at(data, 3)
    later = data.day == 4
    assert len(now.union) == np.sum(data.day <= 3)
    assert len(now.new) == np.sum(data.day == 3)
    assert now.union.n_items > data.item[data.day <= 4].max()
    pairs = set(zip(data.user[later], data.item[later], strict=True))
    assert set(zip(*now.relevant.nonzero(), strict=True)) <= pairs
    assert now.relevant.multiply(now.union.to_csr()).nnz == 0
    assert all(len(rows) == now.union.n_items for rows in now.features.values())


def test_a_month_has_both_ways(growing, data):
    from recsk import MDERecommender

    def new():
        return MDERecommender(n_factors=4, max_epochs=1, random_state=0)

    rows = list(growing.month(data, new, range(2, 5, 2)))
    assert [row["day"] for row in rows] == [1, 2, 3, 4]
    assert [growing.ANEW in row for row in rows] == [False, True, False, True]
    means = growing.summarize(rows)
    assert set(means) == {growing.ANEW, growing.PARTIAL, growing.ALONE}
    assert all(0 <= mean["recall"] <= 1 for mean in means.values())


def test_errors_are_those_of_months_where_there_are_several(growing):
    def night(seed, change):
        ways = {growing.ANEW: 0.5, growing.PARTIAL: 0.5 + change}
        row = {way: {"recall": value, "ndcg": value} for way, value in ways.items()}
        return {"seed": seed, "seconds": dict.fromkeys(ways, 1.0), **row}

    # Nights of a month that are all alike say no more than one.
    rows = [night(0, 0.01)] * 5 + [night(1, -0.01)] * 5
    assert growing.compare(rows).startswith("recall +0.0 % (s.e. 2.0)")
    assert growing.compare(rows[4:6]).startswith("recall +0.0 % (s.e. 2.0)")
    one = [night(0, 0.01), night(0, -0.01)]
    assert growing.compare(one).startswith("recall +0.0 % (s.e. 2.0)")
