"""Multimodal recommendation with the scikit-learn interface."""

from recsk.interactions import Interactions
from recsk.mde import MDERecommender

__version__ = "0.1.0"

__all__ = ["Interactions", "MDERecommender", "__version__"]
