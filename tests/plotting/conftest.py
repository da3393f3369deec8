import pytest
from sklearn.model_selection import GridSearchCV

from recsk import MDERecommender, MDSRecRecommender
from recsk.model_selection import InteractionKFold, make_ranking_scorer
from tests.plotting.shared import FEATURES, X


@pytest.fixture(autouse=True)
def close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="session")
def mde():
    params = {"n_factors": 8, "modality_weight": 1.0, "max_epochs": 4, "random_state": 0}
    model = MDERecommender(**params, early_stopping=True)
    return model.fit(X, item_features=FEATURES)


@pytest.fixture(scope="session")
def mdsrec():
    model = MDSRecRecommender(n_factors=8, max_epochs=2, early_stopping=False, random_state=0)
    return model.fit(X, item_features=FEATURES)


@pytest.fixture(scope="session")
def ids_only():
    return MDERecommender(n_factors=8, max_epochs=1, random_state=0).fit(X)


@pytest.fixture(scope="session")
def search():
    search = GridSearchCV(
        MDERecommender(n_factors=4, max_epochs=1, random_state=0),
        {"learning_rate": [0.1, 0.001], "loss": ["softmax", "bpr"]},
        cv=InteractionKFold(2),
        scoring=make_ranking_scorer("ndcg", k=5),
        refit=False,
    )
    return search.fit(X, item_features=FEATURES)
