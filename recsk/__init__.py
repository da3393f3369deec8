"""Multimodal recommendation with the scikit-learn interface."""

from recsk.data import Interactions
from recsk.models import MDERecommender, MDSRecRecommender
from recsk.storage import load, save
from recsk.storage.version import __version__

__all__ = ["Interactions", "MDERecommender", "MDSRecRecommender", "__version__", "load", "save"]
