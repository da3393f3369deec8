"""What a baseline does not use, and says so."""

from __future__ import annotations

import warnings

from recsk.contract import BaseRecommender, TrainingData

__all__ = ["reject_weights", "warn_of_features"]


def warn_of_features(estimator: BaseRecommender, data: TrainingData) -> None:
    """Warn that item features are not used; for `learn` of an estimator that knows ids alone."""
    if data.features:
        names = ", ".join(map(repr, data.features))
        warnings.warn(
            f"{type(estimator).__name__} knows items by their ids alone: item_features ({names}) "
            "are not used",
            stacklevel=4,  # the caller of fit, which calls learn, which calls this
        )


def reject_weights(estimator: BaseRecommender, data: TrainingData, cure: str) -> None:
    """Raise a ValueError if interactions have different weights."""
    if data.interactions.value is not None:
        raise ValueError(
            f"{type(estimator).__name__} counts all interactions the same, but the numbers in "
            f"sample_weight differ; {cure}"
        )
