"""MDSRecRecommender: next-item recommendation on several modalities."""

from recsk.models.mdsrec.estimator import MDSRecRecommender

__all__ = ["MDSRecRecommender"]
