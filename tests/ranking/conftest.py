import numpy as np
import pytest
from scipy import sparse


@pytest.fixture
def large_problem():
    rng = np.random.default_rng(0)
    exclude = sparse.random_array((333, 500), density=0.1, format="csr", rng=rng, dtype="f4")
    return (
        rng.normal(size=(333, 16)).astype("f4"),
        rng.normal(size=(500, 16)).astype("f4"),
        exclude,
    )
