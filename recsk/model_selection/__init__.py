"""Splitters of interactions and ranking scorers for the searches of scikit-learn."""

from recsk.model_selection.predefined import PredefinedInteractionSplit
from recsk.model_selection.random import InteractionKFold, RandomHoldout
from recsk.model_selection.scorer import RankingScorer, make_ranking_scorer
from recsk.model_selection.time import LeaveLastOut, TemporalSplit

__all__ = [
    "InteractionKFold",
    "LeaveLastOut",
    "PredefinedInteractionSplit",
    "RandomHoldout",
    "RankingScorer",
    "TemporalSplit",
    "make_ranking_scorer",
]
