import numpy as np
import pytest

from recsk.baselines import EASERecommender
from recsk.graphs import memory
from tests.baselines.cases import all_scores, interactions, summed
from tests.graphs.test_ease import ridge_without_itself


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_equal_the_reference(weighted):
    X = interactions()
    weight = np.random.default_rng(1).integers(1, 5, len(X)) if weighted else np.ones(len(X))
    model = EASERecommender(regularization=3.0).fit(X, sample_weight=weight)
    R = np.zeros(X.to_csr().shape)
    R[X.user, X.item] = weight / weight.mean()
    histories = [row.nonzero()[0] for row in R[:29]]
    expected = summed(ridge_without_itself(R, 3.0), histories)
    np.testing.assert_allclose(all_scores(model, np.arange(29)), expected, rtol=1e-4, atol=1e-5)


def test_a_catalogue_that_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 100)
    with pytest.raises(MemoryError, match="n_items=12 .*RP3beta"):
        EASERecommender().fit(interactions())
