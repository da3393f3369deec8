"""MDERecommender: graph collaborative filtering on several modalities."""

from recsk.models.mde.estimator import MDERecommender

__all__ = ["MDERecommender"]
