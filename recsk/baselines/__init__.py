"""Simple rules to compare with, each a recommender with the whole contract."""

from recsk.baselines.als import ALSRecommender
from recsk.baselines.bpr import BPRRecommender
from recsk.baselines.content_knn import ContentKNNRecommender
from recsk.baselines.ease import EASERecommender
from recsk.baselines.item_knn import ItemKNNRecommender
from recsk.baselines.popular import PopularRecommender
from recsk.baselines.rp3beta import RP3betaRecommender
from recsk.baselines.sequential_rules import SequentialRulesRecommender

__all__ = [
    "ALSRecommender",
    "BPRRecommender",
    "ContentKNNRecommender",
    "EASERecommender",
    "ItemKNNRecommender",
    "PopularRecommender",
    "RP3betaRecommender",
    "SequentialRulesRecommender",
]
