"""
Tuning with scikit-learn's own search
=====================================

:class:`~recsk.MDERecommender` has two terms beside the ranking loss: one pushes the modalities of
a node apart (weight `alpha`), one pulls them together (`beta`). How much of each is good depends on
the data, so we search, with :class:`~sklearn.model_selection.GridSearchCV` as it is.
"""

import os

import matplotlib.pyplot as plt
from sklearn.model_selection import GridSearchCV

from recsk import MDERecommender
from recsk.datasets import make_multimodal
from recsk.metrics import evaluate
from recsk.model_selection import RandomHoldout, make_ranking_scorer
from recsk.plotting import SensitivityDisplay

QUICK = os.environ.get("RECSK_EXAMPLES") == "quick"
n_users, n_items, max_epochs = (100, 100, 2) if QUICK else (600, 600, 15)

# %%
# A test part first
# -----------------
#
# What the search sees is ``train``. The test part is for one look at the end: a figure that chose
# the parameters is too good to be true.

data = make_multimodal(n_users=n_users, n_items=n_items, random_state=0)
X = data.interactions
train, test = next(RandomHoldout(test_size=0.2, random_state=1).split(X))
train, test = X[train], X[test]

# %%
# The search
# ----------
#
# Three things are different from a classifier's search:
#
# - `cv` is a splitter of recsk, which splits interactions. scikit-learn's own would, given a
#   matrix, split users, and a model cannot be asked about a user it has never seen. An int as
#   `random_state` gives all candidates the same splits.
# - `scoring` is a ranking metric. It masks what was seen in training. Without that, lists fill up
#   with items the user has already, and all candidates look bad.
# - The features go to ``fit``, as a dict. They belong to items, so the splits leave them whole.

weights = [0, 0.1] if QUICK else [0, 0.01, 0.1, 1]
search = GridSearchCV(
    MDERecommender(n_factors=32, learning_rate=5e-3, max_epochs=max_epochs, random_state=0),
    {"alpha": weights, "beta": weights},
    cv=RandomHoldout(n_splits=2 if QUICK else 3, test_size=0.2, random_state=0),
    scoring=make_ranking_scorer("ndcg", k=20),
)
search.fit(train, item_features=data.item_features)
best, results = search.best_index_, search.cv_results_
print(f"best: {search.best_params_}, NDCG@20 {search.best_score_:.4f} in the search")
print(f"standard deviation over the splits {results['std_test_score'][best]:.4f}")
print(f"worst candidate {results['mean_test_score'].min():.4f}")

# %%
# How much depends on what
# ------------------------
#
# :class:`~recsk.plotting.SensitivityDisplay` draws two parameters as a heat map, and one as a line
# with a band of one standard deviation over the splits. The other parameter is then held at its
# best value.
#
# On this data a large `beta` does harm, and `alpha` hardly matters. The best value is at the edge
# of the grid: had it been clearly better, one would go on beyond it.

SensitivityDisplay.from_search(search, params=["alpha", "beta"])
SensitivityDisplay.from_search(search, params="beta")
plt.show()

# %%
# One look at the test part
# -------------------------
#
# The search refitted the best candidate on all of ``train``. Beside it is the same model without
# the two terms. The search was won by a hair, and a hair is what is left on the test part: here the
# plain model would do. On other data it may not.

plain = search.estimator.set_params(alpha=0, beta=0).fit(train, item_features=data.item_features)
for name, model in (("alpha=0, beta=0", plain), ("best of the search", search.best_estimator_)):
    figures = evaluate(model, test, metrics=("recall", "ndcg"), k=20)
    print(f"{name:20s}", "  ".join(f"{metric} {value:.4f}" for metric, value in figures.items()))
