"""What displays read from fitted estimators."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted

from recsk._describe import describe
from recsk.base import BaseRecommender

__all__ = ["attribute", "check_fitted", "modality_names"]


def check_fitted(estimator: Any) -> None:
    if not isinstance(estimator, BaseRecommender):
        raise TypeError(f"estimator must be a recommender of recsk; got {describe(estimator)}")
    check_is_fitted(estimator)


def attribute(estimator: BaseRecommender, name: str) -> Any:
    if not hasattr(estimator, name):
        raise TypeError(f"estimator must have {name}; {type(estimator).__name__} has none")
    return getattr(estimator, name)


def modality_names(estimator: BaseRecommender) -> list[str]:
    return attribute(estimator, "modality_names_") or ["id"]  # without features
