"""Multimodal recommendation with the scikit-learn interface."""

from recsk.interactions import Interactions
from recsk.mde import MDERecommender
from recsk.mdsrec import MDSRecRecommender
from recsk.persistence import load, save

__version__ = "0.1.0"

__all__ = ["Interactions", "MDERecommender", "MDSRecRecommender", "__version__", "load", "save"]
