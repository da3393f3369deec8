"""What every recommender shares: recommend, fold-in, training in epochs, saving."""

from sklearn.utils._param_validation import Interval, StrOptions

from recsk.contract.explanation import Explanation
from recsk.contract.learning import Learned, TrainingData
from recsk.contract.recommender import BaseRecommender
from recsk.contract.training import TrainedRecommender
from recsk.ranking.users import Users
from recsk.storage.registry import register_estimator

__all__ = [
    "BaseRecommender",
    "Explanation",
    "Interval",
    "Learned",
    "StrOptions",
    "TrainedRecommender",
    "TrainingData",
    "Users",
    "register_estimator",
]
