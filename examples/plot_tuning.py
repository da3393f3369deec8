"""
Tuning with GridSearchCV
========================

:class:`~recsk.MDERecommender` has two terms beside the ranking loss: one pushes the modalities of a
user or item apart (weight `alpha`), the other pulls them together (`beta`). The best weights depend
on the data. We search with :class:`~sklearn.model_selection.GridSearchCV`, as it is.
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
# Hold out a test part
# --------------------
#
# The search sees ``train`` alone. Use the test part once, at the end: a figure that chose the
# parameters is too optimistic.

data = make_multimodal(n_users=n_users, n_items=n_items, random_state=0)
X = data.interactions
train, test = next(RandomHoldout(test_size=0.2, random_state=1).split(X))
train, test = X[train], X[test]

# %%
# The search
# ----------
#
# Three things differ from a search of a classifier:
#
# - `cv` is a splitter of recsk: it splits interactions. Splitters of scikit-learn would split the
#   users of a matrix, and a model cannot rank for users it has never seen. An int as `random_state`
#   gives all candidates the same splits.
# - `scoring` is a ranking metric, which masks seen items. Otherwise lists fill up with them, and
#   all candidates look bad.
# - The features go to ``fit``, as a dict. They belong to items, so that no split cuts them.

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
# Sensitivity
# -----------
#
# In :class:`~recsk.plotting.SensitivityDisplay` two parameters are a heat map. One is a line with a
# band of one standard deviation over the splits; the other parameter then has its best value.
#
# On these data a large `beta` is worse, and `alpha` makes little difference. The best value is at
# the edge of the grid: if it were clearly better, we would extend the grid.

SensitivityDisplay.from_search(search, params=["alpha", "beta"])
SensitivityDisplay.from_search(search, params="beta")
plt.show()

# %%
# Test once
# ---------
#
# The search has fitted the best candidate on all of ``train`` again. Beside it is the same model
# without the two terms. Their difference was small in the search and is small on the test part: the
# plain model is enough here. On other data it may not be.

plain = search.estimator.set_params(alpha=0, beta=0).fit(train, item_features=data.item_features)
for name, model in (("alpha=0, beta=0", plain), ("best of the search", search.best_estimator_)):
    figures = evaluate(model, test, metrics=("recall", "ndcg"), k=20)
    print(f"{name:20s}", "  ".join(f"{metric} {value:.4f}" for metric, value in figures.items()))
