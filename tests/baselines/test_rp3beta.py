import numpy as np
import pytest

from recsk.baselines import RP3betaRecommender
from tests.baselines.cases import all_scores, interactions, summed
from tests.graphs.test_random_walks import walks


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_equal_the_reference(weighted):
    X = interactions()
    weight = np.random.default_rng(1).integers(1, 5, len(X)) if weighted else np.ones(len(X))
    model = RP3betaRecommender(alpha=0.8, beta=0.3, n_neighbors=5).fit(X, sample_weight=weight)
    R = np.zeros(X.to_csr().shape)
    R[X.user, X.item] = weight / weight.mean()
    histories = [row.nonzero()[0] for row in R[:29]]
    expected = summed(walks(R, 0.8, 0.3, 5), histories)
    np.testing.assert_allclose(all_scores(model, np.arange(29)), expected, rtol=1e-4, atol=1e-6)
