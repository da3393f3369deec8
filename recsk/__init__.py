"""Multimodal recommendation with the scikit-learn interface."""

import recsk.baselines  # noqa: F401  (registers them: `load` knows their files)
from recsk.data import Interactions
from recsk.models import MDERecommender, MDSRecRecommender
from recsk.storage import load, save
from recsk.storage.version import __version__

__all__ = ["Interactions", "MDERecommender", "MDSRecRecommender", "__version__", "load", "save"]
