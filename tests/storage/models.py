"""Fitted models that the tests of files share, and how to compare two of them."""

import functools

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import clone

from recsk import MDERecommender, MDSRecRecommender
from tests.contract.suite import FEATURES, N_ITEMS, TEST, TRAIN, answers, as_matrix

SMALL = {"n_factors": 4, "max_epochs": 2, "random_state": 0, "device": "cpu"}
FIXED_PREFERENCE = np.array([0.25, 0.75], dtype=np.float32)
MODELS = {
    "MDE": (MDERecommender(**SMALL, user_neighbors=3, preference=FIXED_PREFERENCE), FEATURES),
    "MDE, sum": (MDERecommender(**SMALL, fusion="sum", similarity="dot", n_layers=0), FEATURES),
    "MDE without features": (MDERecommender(**SMALL), None),
    "MDSRec": (MDSRecRecommender(**SMALL, n_interests=3, max_length=7), FEATURES),
    "MDSRec, mean": (MDSRecRecommender(**SMALL, candidate_vectors="mean", n_interests=0), FEATURES),
    "MDSRec without features": (MDSRecRecommender(**SMALL), None),
}
ITEM_NAMES = ["", "é\n", *(f"item {i}" for i in range(2, N_ITEMS))]


@functools.cache
def fitted(name):
    est, features = MODELS[name]
    X = TRAIN
    if name == "MDE without features":
        X = pd.DataFrame(as_matrix(TRAIN).toarray(), columns=ITEM_NAMES)
    # An eval_set gives a validation curve too.
    eval_set = TEST if features is not None else None
    return clone(est).fit(X, item_features=features, eval_set=eval_set)


def assert_identical(a, b):
    """Check that two models have the same parameters, attributes and recommendations."""
    assert type(a) is type(b) and repr(a) == repr(b) and vars(a).keys() == vars(b).keys()
    for (ids, scores), (other_ids, other_scores) in zip(answers(a), answers(b), strict=True):
        np.testing.assert_array_equal(ids, other_ids)
        np.testing.assert_array_equal(scores, other_scores)
    for name in [name for name in vars(a) if name.endswith("_")]:
        one, other = getattr(a, name), getattr(b, name)
        assert type(one) is type(other)
        if sparse.issparse(one):
            assert (one != other).nnz == 0 and one.dtype == other.dtype
        elif isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype and other.flags.writeable
        else:
            assert one == other
