"""What displays read: attributes of fitted estimators, and explanations."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted

from recsk.contract import BaseRecommender, Explanation
from recsk.data.checks import describe

__all__ = ["check_explanation", "check_fitted", "get_fitted_attribute", "get_modality_names"]


def check_fitted(estimator: Any) -> None:
    """Raise an error unless `estimator` is a fitted recommender."""
    if not isinstance(estimator, BaseRecommender):
        raise TypeError(f"estimator must be a recommender of recsk; got {describe(estimator)}")
    check_is_fitted(estimator)


def check_explanation(explanation: Any) -> None:
    """Raise an error unless `explanation` is what `explain` returns."""
    if not isinstance(explanation, Explanation):
        raise TypeError(
            "explanation must be what explain of a recommender returns, or call from_estimator; "
            f"got {describe(explanation)}"
        )


def get_fitted_attribute(estimator: BaseRecommender, name: str) -> Any:
    """Return a fitted attribute, or raise a TypeError with its name."""
    if not hasattr(estimator, name):
        raise TypeError(f"estimator must have {name}, but {type(estimator).__name__} does not")
    return getattr(estimator, name)


def get_modality_names(estimator: BaseRecommender) -> list[str]:
    """Return the names of the modalities, or ``["id"]`` for a model without features."""
    return get_fitted_attribute(estimator, "modality_names_") or ["id"]
