"""scikit-learn's own checks; none is expected to fail."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from recsk import MDERecommender
from recsk.models import MDSRecRecommender

ESTIMATORS = [
    MDERecommender(n_factors=4, max_epochs=1),
    MDERecommender.paper(n_factors=4, max_epochs=1, early_stopping=True),
    MDSRecRecommender(n_factors=4, max_epochs=1),
    MDSRecRecommender(n_factors=4, max_epochs=1, early_stopping=True, n_negatives=2),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
