"""Multimodal recommendation with the scikit-learn interface."""

from recsk.interactions import Interactions

__version__ = "0.1.0"

__all__ = ["Interactions", "__version__"]
