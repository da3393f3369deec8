"""A search on validation goes on until its best is inside the grid."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture
def tuning(script):
    return script("tuning")


def peak(**best):
    """The nearer to the best, the larger."""

    def score(params):
        return -sum(abs(params[name] - value) for name, value in best.items())

    return score


def test_a_best_at_an_edge_goes_on_by_the_ratio(tuning):
    found = tuning.search({"a": tuning.Axis((1.0, 2.0))}, peak(a=11.0))
    assert found.params == {"a": 8.0}
    assert [params["a"] for params, _ in found.tried] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert found.n_settings == 5 and found.at_limit == []


def test_downwards_and_whole_numbers(tuning):
    found = tuning.search({"n": tuning.Axis((50, 100))}, peak(n=7))
    assert found.params == {"n": 6} and isinstance(found.params["n"], int)
    assert min(params["n"] for params, _ in found.tried) == 3
    found = tuning.search({"n": tuning.Axis((2, 4))}, peak(n=0))
    assert found.params == {"n": 1}
    assert found.at_limit == ["n"]  # half of one is no whole number
    found = tuning.search({"n": tuning.Axis((4, 16), limits=(1, 100))}, peak(n=0))
    assert found.params == {"n": 1}


def test_with_zero_by_the_step(tuning):
    found = tuning.search({"beta": tuning.Axis((0.0, 0.2, 0.4), limits=(0, 5))}, peak(beta=0.83))
    assert found.params == {"beta": 0.8}
    assert max(params["beta"] for params, _ in found.tried) == 1.0


def test_limits_are_tried_and_said(tuning):
    found = tuning.search({"decay": tuning.Axis((0.6, 0.8), limits=(0.1, 1))}, peak(decay=2))
    assert found.params == {"decay": 1}
    assert found.at_limit == ["decay"]


def test_none_is_the_upper_end(tuning):
    scores = {10: 0.1, 20: 0.2, 40: 0.3, None: 0.5}
    axis = tuning.Axis((10, 20, 40, None))
    found = tuning.search({"n": axis}, lambda params: scores.get(params["n"], 0.0))
    assert found.params == {"n": None} and found.n_settings == 4 and found.at_limit == []


def test_along_a_ridge(tuning):
    def score(params):
        a, b = math.log2(params["a"]), math.log2(params["b"])
        return a + b - 10 * abs(a - b) if a < 5 else -a

    axes = {name: tuning.Axis((1, 2), start=(1,)) for name in "ab"}
    alone = tuning.search(axes, score)
    assert alone.params == {"a": 1, "b": 1}
    assert tuning.search(axes, score, together=[("a", "b")]).params == {"a": 16, "b": 16}
    del axes["b"]
    only = tuning.search(axes, lambda params: -params["a"], together=[("a", "b")])
    assert only.params == {"a": 1}


def test_steps_are_halved(tuning):
    axis = tuning.Axis((1.0, 10.0, 100.0))
    assert tuning.search({"a": axis}, peak(a=33.0)).params == {"a": 10.0}
    axis = tuning.Axis((1.0, 10.0, 100.0), halvings=2)
    found = tuning.search({"a": axis}, peak(a=33.0))
    assert found.params == {"a": pytest.approx(1000**0.5)} and found.at_limit == []
    tried = sorted(params["a"] for params, _ in found.tried)
    ratios = [after / before for before, after in itertools.pairwise(tried)]
    assert min(ratios) == pytest.approx(10**0.25, rel=1e-3)
    found = tuning.search({"n": tuning.Axis((0, 4, 8), halvings=3)}, peak(n=3))
    assert found.params == {"n": 3}


def test_names_are_all_tried(tuning):
    axes = {"w": tuning.Axis(("x", "y", "z"), start=("x",)), "flag": tuning.Axis((False, True))}
    found = tuning.search(axes, lambda params: (params["w"] == "z") + params["flag"])
    assert found.params == {"w": "z", "flag": True} and found.at_limit == []


def test_a_value_that_is_refused_ends_the_axis(tuning, capsys):
    def score(params):
        if params["a"] > 4:
            raise ValueError("a must be at most 4")
        return params["a"]

    found = tuning.search({"a": tuning.Axis((1, 2))}, score)
    assert found.params == {"a": 4} and found.at_limit == ["a"]
    assert "a ends before 8" in capsys.readouterr().out
    with pytest.raises(ValueError, match="at most 4"):  # one that was asked for
        tuning.search({"a": tuning.Axis((1, 16))}, score)


def test_a_search_ends(tuning):
    found = tuning.search({"a": tuning.Axis((1, 2))}, lambda params: params["a"])
    assert found.params == {"a": 2 ** (1 + tuning.STEPS)} and found.at_limit == ["a"]
    axes = {name: tuning.Axis((1, 2)) for name in "abc"}
    found = tuning.search(axes, lambda params: sum(params.values()), max_settings=20)
    assert found.n_settings == 20 and found.at_limit


def test_a_list_of_settings_is_tried_as_it_is(tuning):
    found = tuning.search([{"a": 1}, {"a": 5}, {"b": 2}], lambda params: params.get("a", 0))
    assert found.params == {"a": 5} and found.n_settings == 3


@settings(max_examples=60)
@given(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), st.floats(-0.9, 0.9))
def test_no_neighbour_of_the_best_is_better(target, slope):
    import sys
    from pathlib import Path

    folder = str(Path(__file__).resolve().parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    try:
        from tuning import Axis, search
    finally:
        sys.path.remove(folder)

    def score(params):
        a, b = math.log2(params["a"]) - target[0], math.log2(params["b"]) - target[1]
        return -(a * a + b * b + slope * a * b)

    axes = {"a": Axis((1.0, 2.0)), "b": Axis((0.5, 1.0, 2.0), start=(1.0,))}
    found = search(axes, score)
    assert found.at_limit == []
    best = found.params
    for name in best:
        for factor in (0.5, 2):
            assert score({**best, name: best[name] * factor}) <= found.value
    assert found.value == max(value for _, value in found.tried)


def test_grids_of_the_rules_are_grids(tuning, script):
    for rule in script("rivals").RULES.values():
        for axis in rule.grid.values():
            assert set(axis.first) <= set(axis.values)
            if axis.is_numeric:
                assert axis.numbers == sorted(axis.numbers)
                low, high = axis.limits
                assert low <= axis.numbers[0] and axis.numbers[-1] <= high < math.inf


def test_coordinates_go_down_an_axis_and_then_up_if_down_is_not_better(tuning):
    grid = tuning.Coordinates({"a": 2, "b": 10}, {"a": (1, 2, 3, 4), "b": (5, 10)}, 9)
    asked = []

    def score(params):
        asked.append((params["a"], params["b"]))
        return -abs(params["a"] - 4) - abs(params["b"] - 5)

    found = tuning.search(grid, score)

    assert asked == [(2, 10), (1, 10), (3, 10), (4, 10), (4, 5)]
    assert found.params == {"a": 4, "b": 5}
    assert found.value == 0
    assert found.n_settings == 5


def test_coordinates_stop_at_the_most_settings(tuning):
    grid = tuning.Coordinates({"a": 0}, {"a": tuple(range(9))}, 4)
    found = tuning.search(grid, lambda params: params["a"])
    assert found.params == {"a": 3}
    assert found.n_settings == 4
