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
from recsk.testing import check_recommender

NO_TASTE = "the same items for everybody"
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
        },
    ),
    (ContentKNNRecommender(), {}),
    (ContentKNNRecommender(n_neighbors=5), {"enough": {"n_neighbors": 10}}),
    (SequentialRulesRecommender(), {}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("est", "options"), CASES, ids=[repr(est) for est, _ in CASES])
def test_the_contract_is_kept(est, options):
    with_features = isinstance(est, (ContentKNNRecommender, SequentialRulesRecommender))
    check_recommender(clone(est), item_features=with_features, **options)
