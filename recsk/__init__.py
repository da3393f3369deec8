"""Multimodal recommendation with the scikit-learn interface."""

__version__ = "0.1.0"

__all__ = ["__version__"]
