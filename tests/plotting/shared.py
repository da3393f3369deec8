"""Data and helpers that the tests of displays share."""

import warnings

import numpy as np

from recsk.datasets import make_multimodal
from recsk.plotting import EmbeddingDisplay, LossCurveDisplay, PreferenceDisplay

DATA = make_multimodal(60, 50, modalities=("image", "text"), missing=0.1, random_state=0)
X, FEATURES = DATA.interactions, DATA.item_features
FROM_ESTIMATOR = [PreferenceDisplay, LossCurveDisplay, EmbeddingDisplay]


def make_results(*candidates, metric="score"):
    """Make a cv_results_ from pairs of parameters and scores by split."""
    params, scores = zip(*candidates, strict=True)
    columns = np.array(scores, dtype=float).T
    return {
        "params": list(params),
        **{f"split{i}_test_{metric}": column for i, column in enumerate(columns)},
    }


def make_curve(values, name="a"):
    """Make a cv_results_ of one parameter, whose scores rise by one with each value."""
    return make_results(*(({name: value}, [i, i + 1]) for i, value in enumerate(values)))


def check_layout(figure):
    """Check that drawing gives no warnings, such as of panels without space."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.draw_without_rendering()


def tick_names(axis):
    """Return the texts of the ticks of an axis."""
    return [label.get_text() for label in axis.get_ticklabels()]
