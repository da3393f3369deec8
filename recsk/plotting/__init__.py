"""Pictures of what a model has learned, in the form of scikit-learn's displays.

Each display has a class method that computes and draws, keeps the numbers it drew, and draws
them again with ``plot``. They need matplotlib: ``pip install matplotlib``.
"""

from recsk.plotting._embedding import EmbeddingDisplay
from recsk.plotting._loss_curve import LossCurveDisplay
from recsk.plotting._preference import PreferenceDisplay
from recsk.plotting._sensitivity import SensitivityDisplay

__all__ = ["EmbeddingDisplay", "LossCurveDisplay", "PreferenceDisplay", "SensitivityDisplay"]
