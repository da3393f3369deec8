"""NewItemDisplay."""

import copy

import numpy as np
import pytest
import scipy.sparse as sp

from recsk import MDERecommender
from recsk.datasets import make_multimodal
from recsk.metrics import recall_at_k
from recsk.plotting import NewItemDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

DATA = make_multimodal(n_users=80, n_items=60, random_state=0)
KNOWN = 50
X = DATA.interactions.to_csr()
HELD_OUT = sp.csr_array(X.multiply(np.random.default_rng(0).random(X.shape) < 0.3))
TRAIN = sp.csr_matrix((X - HELD_OUT)[:, :KNOWN])
TEST = sp.csr_array(sp.hstack([HELD_OUT[:, :KNOWN], X[:, KNOWN:]]))
NEW = {name: values[KNOWN:] for name, values in DATA.item_features.items()}


@pytest.fixture(scope="module")
def model():
    TRAIN.eliminate_zeros()
    TEST.eliminate_zeros()
    features = {name: values[:KNOWN] for name, values in DATA.item_features.items()}
    return MDERecommender(n_factors=4, max_epochs=2, random_state=0).fit(
        TRAIN, item_features=features
    )


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_points_are_the_recall_of_known_and_new_items(model):
    display = NewItemDisplay.from_estimator(model, NEW, TEST, shares=[0, 2], k=5)
    assert model.n_features_in_ == KNOWN and model.new_item_share == 1  # as it was
    grown = copy.copy(model).set_params(new_item_share=2)
    grown.add_items(NEW)
    lists, _ = grown.recommend(k=5)
    for values, columns in ((display.known, slice(KNOWN)), (display.new, slice(KNOWN, None))):
        part = sp.csr_matrix(TEST.shape, dtype=np.float32).tolil()
        part[:, columns] = TEST[:, columns].toarray()
        part = part.tocsr()
        some = np.diff(part.indptr) > 0
        assert values[1] == pytest.approx(recall_at_k(lists[some], part[some], 5), rel=1e-6)
    assert display.new[1] > display.new[0]
    np.testing.assert_allclose(display.ax_.lines[0].get_xdata(), display.known)
    assert [text.get_text() for text in display.ax_.texts] == ["0", "2"]
    _, ax = plt.subplots()
    assert display.plot(ax=ax, c="red").ax_ is ax
    assert ax.lines[0].get_color() == "red"


def test_errors(model):
    with pytest.raises(TypeError, match="add_items"):
        NewItemDisplay.from_estimator(object(), NEW, TEST)
    with pytest.raises(TypeError, match="sparse matrix"):
        NewItemDisplay.from_estimator(model, NEW, TEST.toarray())
    with pytest.raises(ValueError, match="X_test must have 60 columns"):
        NewItemDisplay.from_estimator(model, NEW, TEST[:, :-1])
