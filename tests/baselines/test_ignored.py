import warnings
from types import SimpleNamespace

import pytest

from recsk.baselines.ignored import reject_weights, warn_of_features


def data(features=None, value=None):
    return SimpleNamespace(features=features or {}, interactions=SimpleNamespace(value=value))


def test_what_is_absent_is_not_mentioned():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_features(object(), data())
    reject_weights(object(), data(), "try again")


def test_what_is_ignored_is_named():
    with pytest.warns(UserWarning, match=r"object knows items .*item_features \('text'\)"):
        warn_of_features(object(), data(features={"text": 1}))
    with pytest.raises(ValueError, match="object counts .*sample_weight differ; try again"):
        reject_weights(object(), data(value=[1, 2]), "try again")
