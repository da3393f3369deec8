"""Plots of fitted models, searches and comparisons, in the form of scikit-learn's displays.

Each display has a class method that computes values and draws them. It keeps the values, and
``plot`` draws them again. Displays need matplotlib: ``pip install matplotlib``.
`RecommendationReport` is a page of HTML and needs none.
"""

from recsk.plotting.comparison import ComparisonDisplay
from recsk.plotting.embedding import EmbeddingDisplay
from recsk.plotting.explanation import ExplanationDisplay
from recsk.plotting.loss_curve import LossCurveDisplay
from recsk.plotting.new_items import NewItemDisplay
from recsk.plotting.preference import PreferenceDisplay
from recsk.plotting.report import RecommendationReport
from recsk.plotting.sensitivity import SensitivityDisplay

__all__ = [
    "ComparisonDisplay",
    "EmbeddingDisplay",
    "ExplanationDisplay",
    "LossCurveDisplay",
    "NewItemDisplay",
    "PreferenceDisplay",
    "RecommendationReport",
    "SensitivityDisplay",
]
