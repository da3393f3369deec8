"""All baselines keep the contract; what cannot hold for one of them is named with the reason."""

import pytest
from sklearn.base import clone

from recsk.baselines import (
    ALSRecommender,
    BPRRecommender,
    ContentKNNRecommender,
    EASERecommender,
    ItemKNNRecommender,
    PopularRecommender,
    RP3betaRecommender,
    SequentialRulesRecommender,
)

testing = pytest.importorskip("recsk.testing")

NO_TASTE = "the same items for everybody"
NO_WEIGHTS = "weights that differ are a ValueError"
ONE_WAY = "an item is similar to those that follow it, and not all others do"
CASES = [
    (
        PopularRecommender(),
        {
            "expected_failed_checks": {
                "check_finds_what_a_checkerboard_withholds": NO_TASTE,
                "check_the_similar_on_a_checkerboard_have_the_same_parity": NO_TASTE,
                "check_permuted_users_and_items_get_permuted_answers": NO_TASTE,
            }
        },
    ),
    (ItemKNNRecommender(), {}),
    (ItemKNNRecommender(weighting="cosine"), {}),
    (RP3betaRecommender(), {}),
    (EASERecommender(), {}),
    (ALSRecommender(factors=4, random_state=0), {}),
    (
        BPRRecommender(factors=4, iterations=20, random_state=0),
        {
            "enough": {"factors": 8, "iterations": 300, "learning_rate": 0.1},
            "expected_failed_checks": {
                "check_fit_changes_none_of_its_arguments": NO_WEIGHTS,
                "check_weights_change_the_model": NO_WEIGHTS,
                "check_weight_zero_is_no_interaction": NO_WEIGHTS,
                "check_weights_in_every_form_are_the_same": NO_WEIGHTS,
                "check_a_model_of_weights_answers_finite_scores": NO_WEIGHTS,
                "check_a_model_of_weights_answers_from_a_file": NO_WEIGHTS,
            },
        },
    ),
    (ContentKNNRecommender(), {}),
    (ContentKNNRecommender(n_neighbors=5), {"enough": {"n_neighbors": 10}}),
    (
        SequentialRulesRecommender(),
        {
            "expected_failed_checks": {
                "check_the_similar_on_a_checkerboard_have_the_same_parity": ONE_WAY
            }
        },
    ),
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*are not used:UserWarning")
@pytest.mark.parametrize(("est", "options"), CASES, ids=[repr(est) for est, _ in CASES])
def test_the_contract_is_kept(est, options):
    with_features = isinstance(est, (ContentKNNRecommender, SequentialRulesRecommender))
    testing.check_recommender(clone(est), item_features=with_features, **options)
