"""The recommenders, one folder for each."""

from recsk.models.mde.estimator import MDERecommender
from recsk.models.mdsrec.estimator import MDSRecRecommender

__all__ = ["MDERecommender", "MDSRecRecommender"]
