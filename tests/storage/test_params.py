"""Parameters in files: which ones are saved, and which ones `save` and `load` reject."""

import copy
import os

import numpy as np
import pandas as pd
import pytest

import recsk
from tests.storage.forging import check_rejected
from tests.storage.models import fitted


def test_parameters_of_every_type_are_saved(path):
    model = copy.copy(fitted("MDE"))
    used = np.random.RandomState(3)
    used.normal()  # its state then holds the second number of a pair
    for params in (
        {"alpha": np.float64(0.1), "n_factors": np.int64(4), "verbose": np.bool_(True)},
        {"alpha": 1, "new_item_share": None, "early_stopping": True, "verbose": 2},
        {"random_state": None, "preference": "learned"},
        {"random_state": used, "preference": [np.float32(0.5), 1]},
        {"preference": (0.1, 0.2)},
        {"preference": np.array([0.1, 0.2])},
        {"preference": np.array([1, 3], dtype=np.int32)},
    ):
        recsk.save(model.set_params(**params), path)
        loaded = recsk.load(path).get_params()
        for name, value in params.items():
            if isinstance(value, np.random.RandomState):
                expected = copy.deepcopy(value).normal(size=1000)
                np.testing.assert_array_equal(loaded[name].normal(size=1000), expected)
            else:
                np.testing.assert_array_equal(loaded[name], value)
                plain = value.item() if isinstance(value, np.generic) else value
                assert type(loaded[name]) is type(plain)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"preference": pd.Series([0.5, 0.5])}, "parameter 'preference' must be .* got Series"),
        ({"preference": [[0.5, 0.5]]}, "parameter 'preference' must be"),
        ({"preference": [0.5, np.nan]}, "parameter 'preference' must be"),
        ({"preference": np.ones((2, 2))}, r"parameter 'preference' .* shape \(2, 2\)"),
        ({"preference": np.array(["a"])}, "parameter 'preference' must be"),
        ({"preference": np.array(1.0)}, "parameter 'preference' must be"),
        ({"alpha": np.inf}, "parameter 'alpha' must be .* finite number.* got float inf"),
        ({"alpha": object()}, "parameter 'alpha' must be"),
        ({"n_factors": 0}, "'n_factors' parameter of MDERecommender must be an int"),
        ({"n_factors": 10**30}, "more than 20 digits"),
        (
            {"random_state": np.random.RandomState(np.random.PCG64(0))},
            "parameter 'random_state' must be .* got RandomState",
        ),
        ({"eval_metric": "x" * 2**20}, "take 1.* bytes, but a file can hold at most 1048576"),
    ],
)
def test_parameters_that_a_file_cannot_hold_are_rejected(params, message, path):
    path.write_bytes(b"old")
    model = copy.copy(fitted("MDE")).set_params(**params)
    with pytest.raises(ValueError, match=f"this MDERecommender cannot be saved: .*{message}"):
        recsk.save(model, path)
    assert path.read_bytes() == b"old" and os.listdir(path.parent) == [path.name]


INFINITE = float("inf")  # JSON writes it as 1e999
FORGERIES = {
    "params are a list": ("MDE", lambda d, a: d.update(params=[]), "parameters are not those"),
    "another parameter": ("MDE", lambda d, a: d["params"].update(hook="x"), r"are not.*\['hook'\]"),
    "parameter is missing": ("MDE", lambda d, a: d["params"].pop("alpha"), r"are not.*\['alpha'\]"),
    "parameter is out of range": (
        "MDE",
        lambda d, a: d["params"].update(alpha=-1),
        "'alpha' parameter of MDERecommender must be",
    ),
    "parameter is infinite": ("MDE", lambda d, a: d["params"].update(alpha=INFINITE), "'alpha'"),
    "parameter has another type": ("MDE", lambda d, a: d["params"].update(loss=3), "'loss'"),
    "parameter is an object": (
        "MDE",
        lambda d, a: d["params"].update(device={"__reduce__": []}),
        "parameter 'device' has no valid value: dict",
    ),
    "parameter is a list of strings": (
        "MDE",
        lambda d, a: d["params"].update(preference={"list": ["x"]}),
        "parameter 'preference' has no valid value: dict",
    ),
    "parameter is an array that overflows": (
        "MDE",
        lambda d, a: d["params"].update(preference={"float32": [1e300]}),
        "float32 cannot hold",
    ),
    "parameter is an integer array of fractions": (
        "MDE",
        lambda d, a: d["params"].update(preference={"int32": [1.5]}),
        "int32 cannot hold",
    ),
    "parameter is an array too large for its dtype": (
        "MDE",
        lambda d, a: d["params"].update(preference={"int64": [2**64 - 1]}),
        "int64 cannot hold",
    ),
    "RandomState of zeros": (
        "MDE",
        lambda d, a: d["params"].update(random_state={"RandomState": [0] * 627}),
        "a state that it cannot reach",
    ),
    "RandomState too short": (
        "MDE",
        lambda d, a: d["params"].update(random_state={"RandomState": [1]}),
        "a state that it cannot reach",
    ),
    "RandomState with a position beyond its end": (
        "MDE",
        lambda d, a: d["params"].update(random_state={"RandomState": [1] * 624 + [625, 0, 0.0]}),
        "a state that it cannot reach",
    ),
    "a path to write to": (
        "MDE",
        lambda d, a: d["params"].update(checkpoint="/etc/passwd"),
        r"are not.*\['checkpoint'\]",
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_wrong_parameters_are_rejected_though_the_checksum_is_valid(forgery, saved, path):
    model, change, message = FORGERIES[forgery]
    check_rejected(path, *saved(model), change, message)
