"""scikit-learn's own checks; they have no features for `ContentKNNRecommender`."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from recsk.baselines import (
    ALSRecommender,
    BPRRecommender,
    EASERecommender,
    ItemKNNRecommender,
    PopularRecommender,
    RP3betaRecommender,
    SequentialRulesRecommender,
)

ESTIMATORS = [
    PopularRecommender(),
    ItemKNNRecommender(),
    RP3betaRecommender(),
    EASERecommender(),
    ALSRecommender(factors=4),
    BPRRecommender(factors=4, iterations=3),
    SequentialRulesRecommender(),
]
NO_WEIGHTS = dict.fromkeys(
    [
        "check_sample_weights_not_overwritten",
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    ],
    "weights that differ are a ValueError",
)


def expected_to_fail(est):
    return NO_WEIGHTS if isinstance(est, BPRRecommender) else {}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_to_fail)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
