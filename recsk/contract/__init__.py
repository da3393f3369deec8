"""What every recommender shares: recommend, fold-in, training in epochs, saving."""

from recsk.contract.recommender import BaseRecommender
from recsk.contract.training import TrainedRecommender

__all__ = ["BaseRecommender", "TrainedRecommender"]
